package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/sealtrail/sealtrail/audit/pglog"
	"github.com/sealtrail/sealtrail/crypto/transit"
	"github.com/sealtrail/sealtrail/internal/authn"
	"github.com/sealtrail/sealtrail/internal/server"
	"github.com/sealtrail/sealtrail/internal/vaultserver"
)

type doctorCommand struct{ server.Config }

// diagnosis is one line of the doctor's answer.
type diagnosis struct {
	what string
	err  error
	next string
}

// Run asks every part and prints ✓ or ✗ with the next step; exit code 1 if
// anything is wrong, 4 if the log's fences are.
func (d *doctorCommand) Run(ctx context.Context, c console) error {
	ctx, cancel := context.WithTimeout(ctx, 20*time.Second)
	defer cancel()
	bad := 0
	checks := []func(context.Context) diagnosis{d.database, d.standby, d.fences, d.clock, d.vault, d.keyConfig, d.issuerKeys, d.published}
	for _, check := range checks {
		found := check(ctx)
		if found.err == nil {
			if _, err := fmt.Fprintln(c.out, "✓", found.what); err != nil {
				return err
			}
			continue
		}
		bad++
		if _, err := fmt.Fprintf(c.out, "✗ %s: %s\n  next: %s\n", found.what, oneLine(found.err), found.next); err != nil {
			return err
		}
	}
	if bad > 0 {
		return fmt.Errorf("%d of %d checks failed", bad, len(checks))
	}
	return nil
}

// oneLine is an error without the line breaks that Vault's answers have.
func oneLine(err error) string { return strings.Join(strings.Fields(err.Error()), " ") }

func (d *doctorCommand) connect(ctx context.Context) (*pgx.Conn, error) {
	dsn, err := server.Secret(d.DatabaseURLFile)
	if err != nil {
		return nil, err
	}
	conn, err := pgx.Connect(ctx, dsn)
	if err != nil {
		return nil, errors.New("no connection")
	}
	return conn, nil
}

func (d *doctorCommand) database(ctx context.Context) diagnosis {
	found := diagnosis{what: "database", next: "check --database-url-file and that PostgreSQL runs; then sealtraild migrate"}
	conn, err := d.connect(ctx)
	if err != nil {
		found.err = err
		return found
	}
	defer conn.Close(ctx)
	var version string
	found.err = conn.QueryRow(ctx, "select split_part(version(), ' ', 2)").Scan(&version)
	found.what += " PostgreSQL " + version
	return found
}

// standby asks what serve asks before it starts: whether an acknowledged entry
// lives on one node only.
func (d *doctorCommand) standby(ctx context.Context) diagnosis {
	found := diagnosis{what: "synchronous standby", next: "give PostgreSQL one (synchronous_standby_names), or accept a single node in the log: sealtraild trail accept-single-node"}
	conn, err := d.connect(ctx)
	if err != nil {
		found.err = err
		return found
	}
	defer conn.Close(ctx)
	var names string
	if found.err = conn.QueryRow(ctx, "show synchronous_standby_names").Scan(&names); found.err == nil && names == "" {
		if accepted, err := d.singleNodeAccepted(ctx); err == nil && accepted {
			found.what += ": none, a single node is accepted in the log"
			return found
		}
		if d.AcceptNode {
			found.what += ": none, a single node will be accepted in the log at the start of serve"
			return found
		}
		found.err = errors.New("none: an entry that was acknowledged can be lost with its node; serve refuses to start")
	}
	return found
}

func (d *doctorCommand) fences(ctx context.Context) diagnosis {
	found := diagnosis{what: "fences of the log", next: "sealtraild migrate; then find out who took the fence down"}
	dsn, err := server.Secret(d.DatabaseURLFile)
	if err != nil {
		found.err = err
		return found
	}
	pool, err := pgxpool.New(ctx, dsn)
	if err != nil {
		found.err = errors.New("no connection")
		return found
	}
	defer pool.Close()
	weak, err := pglog.SelfCheck(ctx, pool)
	if err == nil && len(weak) > 0 {
		err = errors.New(weak[0].String())
	}
	found.err = err
	return found
}

func (d *doctorCommand) clock(ctx context.Context) diagnosis {
	// contracts.md 2: more than 5 s between the two clocks is worth an entry.
	const tolerated = 5 * time.Second
	found := diagnosis{what: "clocks of service and database", next: "set both by NTP"}
	conn, err := d.connect(ctx)
	if err != nil {
		found.err = err
		return found
	}
	defer conn.Close(ctx)
	var at time.Time
	if found.err = conn.QueryRow(ctx, "select clock_timestamp()").Scan(&at); found.err == nil {
		if skew := time.Since(at).Abs(); skew > tolerated {
			found.err = fmt.Errorf("differ by %s", skew.Round(time.Millisecond))
		}
	}
	return found
}

func (d *doctorCommand) vault(ctx context.Context) diagnosis {
	found := diagnosis{what: "Vault login", next: "unseal Vault; check --vault-role-file and --vault-secret-file"}
	_, found.err = login(ctx, d.Config)
	return found
}

// login logs in to Vault as the service does and returns what its keys are
// reached by.
func login(ctx context.Context, cfg server.Config) (transit.Config, error) {
	client, err := transit.NewClient(transit.ClientConfig{Address: cfg.VaultAddr, CACert: cfg.VaultCACert})
	if err != nil {
		return transit.Config{}, err
	}
	role, err := server.Secret(cfg.VaultRoleFile)
	if err != nil {
		return transit.Config{}, err
	}
	session, err := transit.NewLogin(transit.LoginConfig{Client: client, RoleID: role,
		SecretID: func() (string, error) { return server.Secret(cfg.VaultSecret) }})
	if err != nil {
		return transit.Config{}, err
	}
	if err := session.Now(ctx); err != nil {
		return transit.Config{}, fmt.Errorf("refused or away: %w", err)
	}
	return transit.Config{Client: client, Institution: cfg.Institution, Login: session}, nil
}

// keyConfig reads back what must never change about the keys.
func (d *doctorCommand) keyConfig(ctx context.Context) diagnosis {
	found := diagnosis{what: "configuration of the keys",
		next: "they could not be read: see Vault's login, and that --institution is the one that `sealtraild institution add` made"}
	client, err := transit.NewClient(transit.ClientConfig{Address: d.VaultAddr, CACert: d.VaultCACert})
	if err == nil {
		var role, id string
		if role, err = server.Secret(d.VaultRoleFile); err == nil {
			if id, err = server.Secret(d.VaultSecret); err == nil {
				err = vaultserver.Login(ctx, client, vaultserver.Credentials{RoleID: role, SecretID: id})
			}
		}
	}
	if err == nil {
		err = vaultserver.CheckKeys(ctx, client, d.Institution)
	}
	if errors.Is(err, vaultserver.ErrKeyConfig) {
		found.next = "a key was weakened: find out who did it, rotate it, see docs/operate/custody.md"
	}
	found.err = err
	return found
}

// issuerKeys reads the keys by which bearer tokens are believed.
func (d *doctorCommand) issuerKeys(ctx context.Context) diagnosis {
	found := diagnosis{what: "keys of the issuer of tokens", next: "check --jwks-url or --jwks-file (one of them), and that the identity provider answers"}
	_, found.err = authn.New(ctx, authn.Config{JWKSURL: d.JWKSURL, JWKSFile: d.JWKSFile, Issuer: d.Issuer, Audience: d.Audience})
	if found.err == nil && d.JWKSURL != "" {
		found.err = fetchKeys(ctx, d.JWKSURL)
	}
	return found
}

func fetchKeys(ctx context.Context, address string) error {
	ctx, cancel := context.WithTimeout(ctx, 5*time.Second)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, address, nil)
	if err != nil {
		return errors.New("the address is not a URL")
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	var set struct {
		Keys []json.RawMessage `json:"keys"`
	}
	if err := json.NewDecoder(io.LimitReader(resp.Body, 1<<20)).Decode(&set); err != nil || resp.StatusCode != http.StatusOK || len(set.Keys) == 0 {
		return fmt.Errorf("status %d, no key set in the answer", resp.StatusCode)
	}
	return nil
}

// published says whether checkpoints can be written where auditors read them;
// a folder that is not there yet is made by the service.
func (d *doctorCommand) published(context.Context) diagnosis {
	found := diagnosis{what: "folder of the published log", next: "make " + d.Published + " writable for the service's user, and run this as that user"}
	dir := filepath.Clean(d.Published)
	for {
		info, err := os.Stat(dir)
		if err == nil && !info.IsDir() {
			found.err = fmt.Errorf("%s is no folder", dir)
			return found
		}
		if !errors.Is(err, fs.ErrNotExist) || dir == filepath.Dir(dir) {
			break
		}
		dir = filepath.Dir(dir)
	}
	trial, err := os.CreateTemp(dir, ".doctor-")
	if err != nil {
		found.err = err
		return found
	}
	found.err = errors.Join(trial.Close(), os.Remove(trial.Name()))
	return found
}
