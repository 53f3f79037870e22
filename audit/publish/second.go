package publish

import (
	"bytes"
	"context"
	"encoding/base64"
	"encoding/binary"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path"
	"strings"
	"time"

	"filippo.io/mldsa"
	fnote "github.com/transparency-dev/formats/note"

	"github.com/sealtrail/sealtrail/audit"
)

// AlarmSecond is the Kind of an alarm about the second signature: checkpoints are published without it.
const AlarmSecond = "second"

// SecondSigner adds the second signature line: ML-DSA-44 under the log's name, beside the Ed25519 one that the log rests on.
type SecondSigner interface {
	// VerifierKey is the public key in note form, type 0x06, under the log's name.
	VerifierKey() string
	// Sign returns time and signature ([audit.SecondSignatureSize] bytes) over the checkpoint text. It MUST honour the deadline
	// of ctx.
	Sign(ctx context.Context, text []byte) ([]byte, error)
}

// SecondKey is an ML-DSA-44 key in memory, read from a file. Safe for concurrent use.
type SecondKey struct {
	signer *fnote.SubtreeSigner
	vkey   string
}

var _ SecondSigner = (*SecondKey)(nil)

var errSecondKey = errors.New("reading the second key: malformed") // the cause could quote the key

// NewSecondKey reads the key from file as [LoadSecondKey] does, making one for origin (mode 0600) if the file is not there.
func NewSecondKey(file, origin string) (*SecondKey, error) {
	if _, err := os.Stat(file); !errors.Is(err, fs.ErrNotExist) {
		return LoadSecondKey(file, origin)
	}
	skey, _, err := fnote.GenerateMLDSAKey(origin)
	if err != nil {
		return nil, fmt.Errorf("making the second key: %w", err)
	}
	if err := writeDurable(file, []byte(skey+"\n"), 0o600); err != nil {
		return nil, fmt.Errorf("making the second key: %w", withoutPath(err))
	}
	return LoadSecondKey(file, origin)
}

// LoadSecondKey reads the key from file and gives it the name of the log origin. The file holds the note form
// "PRIVATE+KEY+<name>+<hash>+<0x06 and seed>". Like the log's key, it serves the logs of all years of one institution: its name
// must be origin but for the year.
func LoadSecondKey(file, origin string) (*SecondKey, error) {
	raw, err := os.ReadFile(file)
	if err != nil {
		return nil, fmt.Errorf("reading the second key: %w", withoutPath(err))
	}
	parts := strings.SplitN(strings.TrimSpace(string(raw)), "+", 5) // PRIVATE KEY name hash base64, which may hold more "+"
	if len(parts) != 5 {
		return nil, errSecondKey
	}
	if path.Dir(parts[2]) != path.Dir(origin) {
		return nil, fmt.Errorf("reading the second key: it is of %q, not of %q", parts[2], origin)
	}
	parts[2] = origin // the reader of this form takes the hash on trust, so that it may stay
	signer, err := fnote.NewMLDSASigner(strings.Join(parts, "+"))
	if err != nil {
		return nil, errSecondKey
	}
	seed, err := base64.StdEncoding.DecodeString(parts[4])
	if err != nil {
		return nil, errSecondKey
	}
	private, err := mldsa.NewPrivateKey(mldsa.MLDSA44(), seed[1:]) // signer has seen that there is a type and a seed
	if err != nil {
		return nil, errSecondKey
	}
	public := append(seed[:1:1], private.PublicKey().Bytes()...)
	vkey := fmt.Sprintf("%s+%08x+%s", origin, signer.KeyHash(), base64.StdEncoding.EncodeToString(public))
	if _, err := audit.NewSecondVerifier(vkey); err != nil {
		return nil, fmt.Errorf("reading the second key: %w", err)
	}
	return &SecondKey{signer: signer, vkey: vkey}, nil
}

// VerifierKey is what verifiers of the log of that origin configure.
func (k *SecondKey) VerifierKey() string { return k.vkey }

// Sign needs a millisecond and looks at ctx before.
func (k *SecondKey) Sign(ctx context.Context, text []byte) ([]byte, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	return k.signer.Sign(text)
}

// secondState is what a Publisher knows of its second signer; it belongs to the round.
type secondState struct {
	signer   SecondSigner // nil: not yet there
	verifier *audit.SecondVerifier
	failures int
	notUntil time.Time
	on       uint64 // size of the checkpoint that bears the line; 0 = none seen
}

// openSecond asks for the signer until there is one.
func (p *Publisher) openSecond(ctx context.Context) error {
	if p.second.verifier != nil {
		return nil
	}
	s, err := p.cfg.Second(ctx)
	if err != nil {
		return err
	}
	v, err := audit.NewSecondVerifier(s.VerifierKey())
	if err != nil {
		return fmt.Errorf("reading the second verifier key: %w", err)
	}
	if v.Name() != p.shard.Origin {
		return fmt.Errorf("reading the second verifier key: its name %q is not the origin %q", v.Name(), p.shard.Origin)
	}
	p.second.signer, p.second.verifier = s, v
	return nil
}

// withSecond returns the note with exactly one second line, verified. If there is no signer or it fails, the note comes back
// without the line, an alarm is raised, and the next attempt waits 1, 2, 4 ... at most 30 s: the second key never stops the log.
func (p *Publisher) withSecond(ctx context.Context, note []byte, c audit.Checkpoint) []byte {
	if p.cfg.Second == nil || time.Now().Before(p.second.notUntil) {
		return note
	}
	ctx, cancel := context.WithTimeout(ctx, p.cfg.SignDeadline)
	defer cancel()
	out, err := p.addSecond(ctx, note, c)
	if err == nil {
		p.second.failures, p.second.on = 0, c.Size
		return out
	}
	p.second.notUntil = time.Now().Add(min(firstWitnessPause<<min(p.second.failures, 5), maxWitnessPause))
	p.second.failures++
	p.alarm(ctx, Alarm{Kind: AlarmSecond, Size: c.Size, Err: fmt.Errorf("checkpoint without its second signature: %w", err)})
	return out
}

// addSecond leaves a line that verifies, and puts a new one in the place of any other by the key. With an error it returns the
// note without a line by the key.
func (p *Publisher) addSecond(ctx context.Context, note []byte, c audit.Checkpoint) ([]byte, error) {
	if err := p.openSecond(ctx); err != nil {
		return note, err
	}
	v := p.second.verifier
	if hasSecond(note, v) {
		return note, nil
	}
	bare := keepLines(note, func(_ string, id uint32) bool { return id != v.KeyHash() })
	text := c.Marshal()
	sig, err := p.second.signer.Sign(ctx, text)
	if err != nil {
		return bare, fmt.Errorf("signing a second time: %w", err)
	}
	line := base64.StdEncoding.EncodeToString(append(binary.BigEndian.AppendUint32(nil, v.KeyHash()), sig...))
	out := fmt.Appendf(bytes.Clone(bare), "— %s %s\n", v.Name(), line)
	if !hasSecond(out, v) {
		return bare, fmt.Errorf("signing a second time: %w", ErrSignature)
	}
	return out, nil
}

// hasSecond reports whether a note bears one line by the key, and it verifies.
func hasSecond(note []byte, v *audit.SecondVerifier) bool {
	n, err := audit.SplitNote(note)
	if err != nil {
		return false
	}
	lines, good := 0, false
	for _, s := range n.Sigs {
		if s.KeyID == v.KeyHash() {
			lines++
			good = s.Name == v.Name() && v.Verify(n.Text, s.Sig)
		}
	}
	return lines == 1 && good
}

// refreshSecond gives the published checkpoint of a log that does not grow the line that it lacks.
// crash here: the published checkpoint, with or without the line.
func (p *Publisher) refreshSecond(ctx context.Context, last audit.Checkpoint) error {
	if p.cfg.Second == nil || last.Size == 0 || p.second.on == last.Size || time.Now().Before(p.second.notUntil) {
		return nil
	}
	raw, err := p.cfg.Store.Get(ctx, audit.CheckpointPath)
	if err != nil {
		return err
	}
	if now, err := openCheckpoint(raw, p.verifier, p.shard.Origin); err != nil || now != last {
		return err // another process published meanwhile
	}
	out := p.withSecond(ctx, raw, last)
	if bytes.Equal(out, raw) {
		return nil
	}
	on := p.second.on
	p.second.on = 0 // until it is written
	if err := p.overtaken(ctx, last); err != nil {
		return err
	}
	p.shown = nil
	if err := p.cfg.Store.Put(ctx, audit.CheckpointPath, out); err != nil {
		return err
	}
	p.shown, p.second.on = out, on
	return nil
}
