package verify

import (
	"errors"
	"fmt"
	"strings"
	"time"

	"golang.org/x/mod/sumdb/note"

	"github.com/sealtrail/sealtrail/audit"
)

// ErrOptions is wrapped when the options themselves are unusable: a key that is none, a saved checkpoint that is none.
var ErrOptions = errors.New("unusable options")

// ErrNoLog is wrapped when the folder holds no checkpoint at all.
var ErrNoLog = errors.New("no log here")

// Options says against what a folder is verified. Only VerifierKey is required.
type Options struct {
	// VerifierKey holds one or more note verifier keys ("<name>+<id>+<base64>", one per line; empty lines and lines that begin
	// with # are skipped). The log's origin must be the name of one of them.
	VerifierKey string

	// SecondKeys holds verifier keys of type ML-DSA-44 in the same form, each named by the origin of a log. The newest checkpoint of
	// such a log must bear a second signature line by it, and every such line of a checkpoint must verify.
	SecondKeys []string

	// Pinned holds signed checkpoints that the reader kept from earlier. Those of other logs are left alone, but at least one
	// must be of this log unless Pinned is empty.
	Pinned [][]byte

	// Witnesses holds the verifier keys of the witnesses that the reader trusts, Quorum how many of them must have cosigned;
	// 0 means all.
	Witnesses []string
	Quorum    int

	// Policy, if not nil, takes the place of Witnesses and Quorum: its quorum of groups decides. Its logs' keys are used beside
	// VerifierKey, which may then be empty.
	Policy *audit.WitnessPolicy

	// MaxAge, if not 0, is how old the newest cosignature may be; an older one is a finding of step 2. It needs Witnesses. Only
	// the witness's statement has a time that the log's keeper cannot choose: a log that was put back to an older state shows it.
	// [VerifyAll] holds only the last log of each institution to it. Now is the time of the comparison; zero means the clock's.
	MaxAge time.Duration
	Now    time.Time

	// WitnessCheckpoints holds checkpoints that witnesses saved on their side; each must bear the cosignature of a witness.
	WitnessCheckpoints [][]byte

	// Schema, if not nil, is called with every entry and returns why its kind or facts are not allowed. It must not keep v.
	Schema func(v *audit.LeafView) error

	// Entries, if not nil, is called with every entry in order, after its hash was taken into the tree. Whether the tree is the
	// signed one is known only at the end: results count only if the report is OK. It must not keep v; an error ends the
	// verification and is returned.
	Entries func(v *audit.LeafView) error

	// Trails, if not nil, holds the trails of the institution's earlier logs and takes up those of this one. Nil means a log
	// whose trails all begin in it, or whose first entry is of the kind "log.opened"; what that says of a former log is then not
	// checked.
	Trails *Trails

	// TreeOnly leaves the contents of entries alone: steps 1 to 4 and 8 for any tlog-tiles log, whatever it holds. Schema, Entries
	// and Trails are not used then, and steps 5 to 7 are not checked.
	TreeOnly bool
}

// keys is what Options come to when parsed.
type keys struct {
	logs      []note.Verifier
	second    []*audit.SecondVerifier
	witnesses []audit.PolicyWitness
	policy    *audit.WitnessPolicy
	quorum    int // of the short form; 0 with a policy file
}

func (o *Options) parse() (*keys, error) {
	k := &keys{policy: o.Policy}
	lines := o.VerifierKey
	if o.Policy != nil {
		for _, l := range o.Policy.Logs() {
			lines += "\n" + l.VerifierKey
		}
	}
	for line := range strings.Lines(lines) {
		line = strings.TrimSpace(line)
		if line == "" || line[0] == '#' {
			continue
		}
		v, err := note.NewVerifier(line)
		if err != nil {
			return nil, fmt.Errorf("%w: verifier key: %w", ErrOptions, err)
		}
		k.logs = append(k.logs, v)
	}
	if len(k.logs) == 0 {
		return nil, fmt.Errorf("%w: no verifier key", ErrOptions)
	}
	for _, line := range o.SecondKeys {
		v, err := audit.NewSecondVerifier(strings.TrimSpace(line))
		if err != nil {
			return nil, fmt.Errorf("%w: second verifier key: %w", ErrOptions, err)
		}
		k.second = append(k.second, v)
	}
	if err := o.parseWitnesses(k); err != nil {
		return nil, err
	}
	if o.MaxAge < 0 || o.MaxAge > 0 && !k.policy.NeedsWitnesses() {
		return nil, fmt.Errorf("%w: a greatest age needs a witness, and is not negative", ErrOptions)
	}
	return k, nil
}

// parseWitnesses takes the policy, or makes one of the short form.
func (o *Options) parseWitnesses(k *keys) (err error) {
	if k.policy != nil && (len(o.Witnesses) > 0 || o.Quorum != 0) {
		return fmt.Errorf("%w: a policy already says which witnesses count", ErrOptions)
	}
	if k.policy == nil {
		list := make([]string, len(o.Witnesses))
		for i, w := range o.Witnesses {
			list[i] = strings.TrimSpace(w)
		}
		if k.policy, err = audit.NewWitnessPolicy(o.Quorum, list...); err != nil {
			return fmt.Errorf("%w: %w", ErrOptions, err)
		}
		if k.quorum = o.Quorum; k.quorum == 0 {
			k.quorum = len(list)
		}
	}
	k.witnesses = k.policy.Witnesses()
	return nil
}

// log returns the key of the log with that origin.
func (k *keys) log(origin string) note.Verifier {
	for _, v := range k.logs {
		if v.Name() == origin {
			return v
		}
	}
	return nil
}
