package main

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"text/tabwriter"
	"time"

	"github.com/sealtrail/sealtrail/audit"
	"github.com/sealtrail/sealtrail/internal/custody"
	"github.com/sealtrail/sealtrail/internal/keeping"
	"github.com/sealtrail/sealtrail/internal/server"
	"github.com/sealtrail/sealtrail/internal/vaultserver"
)

type keyCommand struct {
	Status       keyStatus       `cmd:"" help:"Versions of the master keys, what is wrapped under each, epochs, running jobs, findings."`
	Rotate       keyRotate       `cmd:"" help:"Make a new version of the record key. Needs a custodian's token (custodian-rotate.hcl)."`
	Rewrap       keyRewrap       `cmd:"" help:"Bring every data key to the newest version of the record key. May be ended anywhere and run again."`
	Close        keyClose        `cmd:"" help:"Give up older versions of the record key for ever. Needs a custodian's token of two uses (custodian-trim.hcl)."`
	IntakeRotate keyIntakeRotate `cmd:"" help:"Make the next version of the public key that drafts are sealed to while the service is away."`
	IndexOpen    keyIndexOpen    `cmd:"" help:"Make the key of the next generation of the blind indexes. Needs an operator's token."`
	Reindex      keyReindex      `cmd:"" help:"Fill the generation of the blind indexes that is being built. May be ended anywhere and run again."`
	IndexSwitch  keyIndexSwitch  `cmd:"" help:"Make the generation that was built the one that searches read."`
	IndexDrop    keyIndexDrop    `cmd:"" help:"Delete the tokens of a retired generation of the blind indexes."`
	Suite        keySuite        `cmd:"" help:"Show or choose the suite that records are sealed in."`
	Reseal       keyReseal       `cmd:"" help:"Move every record to the chosen suite. May be ended anywhere and run again."`
	Accept       keyAccept       `cmd:"" help:"Take back an alarm about a key, after somebody has looked into it."`
}

// custodianToken is a token of Vault that is not the service's. It comes from a
// file or from VAULT_TOKEN, never from a flag.
type custodianToken struct {
	TokenFile string `help:"File with the custodian's Vault token; else VAULT_TOKEN is used."`
}

func (t *custodianToken) key(cfg server.Config) (vaultserver.RecordKey, error) {
	token, err := t.read()
	if err != nil {
		return vaultserver.RecordKey{}, err
	}
	client, err := vaultserver.NewClient(cfg.VaultAddr, cfg.VaultCACert, token)
	return vaultserver.RecordKey{Client: client, Institution: cfg.Institution}, err
}

func (t *custodianToken) read() (string, error) {
	if t.TokenFile != "" {
		return server.Secret(t.TokenFile)
	}
	if token := os.Getenv("VAULT_TOKEN"); token != "" {
		return token, nil
	}
	return "", usageError{"no token: give --token-file or VAULT_TOKEN"}
}

// confirmed is what dangerous verbs ask for.
type confirmed struct {
	Confirm string `help:"The institution again." required:"" placeholder:"INSTITUTION"`
}

func (c confirmed) check(institution string) error {
	if c.Confirm != institution {
		return usageError{"--confirm does not repeat the institution"}
	}
	return nil
}

type keyStatus struct {
	server.Config
	Output string `short:"o" enum:"table,json" default:"table" help:"table or json."`
}

// Run shows how the keys stand; exit code 4 if there are findings.
func (k *keyStatus) Run(ctx context.Context, c console) error {
	var keys *custody.Keys
	err := server.Once(ctx, k.Config, c.err, func(ctx context.Context, s *server.Server) (err error) {
		keys, err = s.Door().KeyStatus(ctx)
		return err
	})
	if err != nil {
		return err
	}
	if err := printKeys(c.out, keys, k.Output); err != nil {
		return err
	}
	n := 0
	for _, key := range keys.Keys {
		n += len(key.Findings)
	}
	if n > 0 {
		return findings{n}
	}
	return nil
}

func asJSON(w io.Writer, v any) error {
	enc := json.NewEncoder(w)
	enc.SetIndent("", "  ")
	return enc.Encode(v)
}

func printKeys(out io.Writer, keys *custody.Keys, output string) error {
	if output == "json" {
		return asJSON(out, keys)
	}
	w := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	fmt.Fprintln(w, "KEY\tTYPE\tSTATE\tNEWEST\tMIN DECRYPTION\tMIN AVAILABLE\tFINDINGS")
	for _, k := range keys.Keys {
		fmt.Fprintf(w, "%s\t%s\t%s\t%d\t%d\t%d\t%v\n", k.Name, k.Type, k.State, k.Latest, k.MinDecryption, k.MinAvailable, k.Findings)
	}
	fmt.Fprintln(w, "\nWRAPPED UNDER\tRECORDS\tFILES\tINTAKE")
	for _, k := range keys.Keys {
		for _, v := range k.Wrapped {
			fmt.Fprintf(w, "%s version %d\t%d\t%d\t%d\n", k.Name, v.Version, v.Records, v.Files, v.Intake)
		}
	}
	if len(keys.Epochs) > 0 {
		fmt.Fprintln(w, "\nEPOCH BELOW\tSTATE\tPROPOSED BY\tCONFIRMED BY\tNOT BEFORE")
	}
	for _, e := range keys.Epochs {
		fmt.Fprintf(w, "%s version %d\t%s\t%s\t%s\t%s\n", e.Key, e.Version, e.State, e.ProposedBy, e.ConfirmedBy, timeOrDash(e.NotBefore))
	}
	if len(keys.Jobs) > 0 {
		fmt.Fprintln(w, "\nJOB\tSTATE\tTOWARDS\tDONE\tOF\tFAILED\tLAST HEARD OF")
	}
	for _, j := range keys.Jobs {
		fmt.Fprintf(w, "%s\t%s\t%s\t%d\t%d\t%d\t%s\n", j.Name, j.State, j.Target, j.Done, j.Total, j.Failed, timeOrDash(j.UpdatedAt))
	}
	return w.Flush()
}

func timeOrDash(t time.Time) string {
	if t.IsZero() {
		return "-"
	}
	return t.UTC().Format(time.RFC3339)
}

type keyRotate struct {
	server.Config
	custodianToken
	confirmed
}

// Run makes a new version and writes its entry. crash here, between the two: the
// watch alarms about a version that no entry names; rotate again.
func (k *keyRotate) Run(ctx context.Context, c console) error {
	if err := k.check(k.Institution); err != nil {
		return err
	}
	key, err := k.key(k.Config)
	if err != nil {
		return err
	}
	return server.Once(ctx, k.Config, c.err, func(ctx context.Context, s *server.Server) error {
		// Before anything is changed: whether the entry could be written.
		if _, err := s.Door().KeyMemory(ctx, k.Institution+"-record"); err != nil {
			return err
		}
		if err := key.Rotate(ctx); err != nil {
			return err
		}
		ctx = context.WithoutCancel(ctx)
		info, err := s.Door().KeyInfo(ctx, "record")
		if err != nil {
			return fmt.Errorf("reading the new version back: %w", err)
		}
		ref, err := s.Door().NoteKey(ctx, info.Name, "key.rotated", audit.Facts{"version": info.LatestVersion})
		if err != nil {
			return err
		}
		_, err = fmt.Fprintf(c.out, "✓ %s has version %d (entry %d)\nnext: sealtraild key rewrap\n", info.Name, info.LatestVersion, ref.Entry)
		return err
	})
}

type keyRewrap struct {
	server.Config
	Rate   float64 `help:"At most so many keys a second; 0: as fast as one call at a time goes."`
	Share  float64 `help:"Part of the time that a call to Vault may take up; the rest is left to those who read." default:"0.25"`
	Output string  `short:"o" enum:"table,json" default:"table" help:"table or json."`
}

// Run rewraps in the foreground with the service's own credentials; exit code 4
// if keys are left that cannot be rewrapped.
func (k *keyRewrap) Run(ctx context.Context, c console) error {
	if k.Share <= 0 || k.Share > 1 || k.Rate < 0 {
		return usageError{"--share is above 0 and at most 1, --rate is not negative"}
	}
	var result keeping.Result
	err := server.Once(ctx, k.Config, c.err, func(ctx context.Context, s *server.Server) (err error) {
		result, err = keeping.Rewrap(ctx, keeping.RewrapConfig{Door: s.Door(), Rate: k.Rate, Share: k.Share, Progress: progressTo(c.err)})
		return err
	})
	if err != nil {
		return err
	}
	if k.Output == "json" {
		err = asJSON(c.out, result)
	} else {
		_, err = fmt.Fprintf(c.out, "%s %d of %d keys are under %s version %d, %.0f a second; %d are left\n",
			mark(result.Remaining == 0), result.Done, result.Total, result.Key, result.Version, result.Rate, result.Remaining)
	}
	if err == nil && result.Remaining > 0 {
		err = findings{int(result.Remaining)}
	}
	return err
}

func mark(good bool) string {
	if good {
		return "✓"
	}
	return "✗"
}

// progressEvery is how often a line about progress is worth reading.
const progressEvery = 2 * time.Second

func progressTo(w io.Writer) func(keeping.Progress) {
	var last time.Time
	waiting := ""
	return func(p keeping.Progress) {
		if p.Waiting != "" && p.Waiting != waiting {
			fmt.Fprintf(w, "waiting: %s\n", p.Waiting)
		}
		waiting = p.Waiting
		if p.Waiting != "" || time.Since(last) < progressEvery {
			return
		}
		last = time.Now()
		fmt.Fprintf(w, "%d of %d keys, %.0f a second, %s left, %d failed\n", p.Done, p.Total, p.Rate, p.Left, p.Failed)
	}
}

type keyClose struct {
	server.Config
	custodianToken
	confirmed
	KeyVersion      int       `name:"key-version" help:"The oldest version that stays." required:""`
	RestoreTested   string    `help:"File with the protocol of the restore test of the new Vault snapshot; its SHA-256 goes into the entry." required:"" type:"existingfile"`
	SnapshotsBefore time.Time `name:"snapshots-destroyed-before" help:"Declare that Vault snapshots and backups of keys older than this date are destroyed." format:"2006-01-02"`
}

// Run closes an epoch that two custodians agreed on; run again, it goes on.
func (k *keyClose) Run(ctx context.Context, c console) error {
	if err := k.check(k.Institution); err != nil {
		return err
	}
	protocol, err := os.ReadFile(k.RestoreTested)
	if err != nil || len(protocol) == 0 {
		return usageError{"reading --restore-tested: want the protocol of the test, which is not empty"}
	}
	sum := sha256.Sum256(protocol)
	key, err := k.key(k.Config)
	if err != nil {
		return err
	}
	return server.Once(ctx, k.Config, c.err, func(ctx context.Context, s *server.Server) error {
		closing, err := keeping.Close(ctx, keeping.CloseConfig{Door: s.Door(), Vault: key, Version: k.KeyVersion,
			Declared: custody.Declared{RestoreTested: hex.EncodeToString(sum[:]), SnapshotsDestroyedBefore: k.SnapshotsBefore}})
		if err != nil {
			return explained(err)
		}
		_, err = fmt.Fprintf(c.out, "✓ every version of %s below %d is gone; %d erased records are irrecoverable\n", closing.Key, closing.Version, closing.Irrecoverable)
		return err
	})
}

// explained adds the next step to what keeps an epoch open.
func explained(err error) error {
	var conflict *custody.ConflictError
	if !errors.As(err, &conflict) {
		return err
	}
	switch conflict.Code {
	case "keys_older":
		return fmt.Errorf("%s: run sealtraild key rewrap, then this again (%w)", conflict.State, err)
	case "epoch_unconfirmed":
		return fmt.Errorf("%s: one custodian runs sealtrail key propose, another one sealtrail key confirm (%w)", conflict.State, err)
	case "epoch_too_early":
		return fmt.Errorf("%s: until then test that a new snapshot of Vault restores, then run this with a new token (%w)", conflict.State, err)
	}
	return err
}

type keyIndexOpen struct {
	server.Config
	custodianToken
	confirmed
}

// Run makes the key in Vault first: a crash leaves a key that nobody uses, and
// running it again takes that one.
func (k *keyIndexOpen) Run(ctx context.Context, c console) error {
	if err := k.check(k.Institution); err != nil {
		return err
	}
	key, err := k.key(k.Config)
	if err != nil {
		return err
	}
	return server.Once(ctx, k.Config, c.err, func(ctx context.Context, s *server.Server) error {
		epoch, err := s.Door().NextIndexEpoch(ctx)
		if err != nil {
			return err
		}
		if err := vaultserver.MakeIndexKey(ctx, key.Client, k.Institution, epoch); err != nil {
			return err
		}
		ref, err := s.Door().OpenIndexEpoch(ctx, epoch)
		if err != nil {
			return err
		}
		_, err = fmt.Fprintf(c.out, "✓ generation %d of the blind indexes is being built (entry %d)\nnext: sealtraild key reindex\n", epoch, ref.Entry)
		return err
	})
}

type keyAccept struct {
	server.Config
	confirmed
	Key     string `help:"Name of the key in Vault, as status says it." required:""`
	Finding string `help:"The finding, as status says it." required:""`
}

// Run takes an alarm back. What the key is like does not change: exportable is
// exportable for ever.
func (k *keyAccept) Run(ctx context.Context, c console) error {
	if err := k.check(k.Institution); err != nil {
		return err
	}
	return server.Once(ctx, k.Config, c.err, func(ctx context.Context, s *server.Server) error {
		ref, err := s.Door().AcceptKey(ctx, k.Key, k.Finding)
		if errors.Is(err, custody.ErrNotFound) {
			return fmt.Errorf("%s has no finding %s; sealtraild key status has them (%w)", k.Key, k.Finding, err)
		}
		if err != nil {
			return err
		}
		_, err = fmt.Fprintf(c.out, "✓ %s of %s was taken back (entry %d)\n", k.Finding, k.Key, ref.Entry)
		return err
	})
}

type keyIntakeRotate struct {
	server.Config
	confirmed
}

// Run makes and publishes the next version. Envelopes sealed to earlier ones
// are opened as before.
func (k *keyIntakeRotate) Run(ctx context.Context, c console) error {
	if err := k.check(k.Institution); err != nil {
		return err
	}
	return server.Once(ctx, k.Config, c.err, func(ctx context.Context, s *server.Server) error {
		key, err := s.RotateIntake(ctx)
		if err != nil {
			return err
		}
		_, err = fmt.Fprintf(c.out, "✓ version %d of the intake key is published: sha256 %s\n", key.Version, key.SHA256)
		return err
	})
}
