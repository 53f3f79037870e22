package publish

import (
	"context"
	"encoding/base64"
	"encoding/binary"
	"fmt"
	"strings"

	fnote "github.com/transparency-dev/formats/note"
	"golang.org/x/mod/sumdb/note"

	"github.com/sealtrail/sealtrail/audit"
)

// CheckpointSigner signs checkpoints with the log's Ed25519 key, wherever that key lives.
type CheckpointSigner interface {
	// Name is the key name: the origin of the log.
	Name() string
	// VerifierKey is the public key in note form, "<name>+<hash>+<base64 of 0x01 and the key>".
	VerifierKey() string
	// Sign returns the plain Ed25519 signature (64 bytes) over message. It MUST honour the deadline of ctx.
	Sign(ctx context.Context, message []byte) ([]byte, error)
}

// signCheckpoint returns the signed note of c, after verifying the signature that the signer gave.
func signCheckpoint(ctx context.Context, s CheckpointSigner, c audit.Checkpoint) ([]byte, error) {
	v, err := note.NewVerifier(s.VerifierKey())
	if err != nil {
		return nil, fmt.Errorf("reading the log's verifier key: %w", err)
	}
	text := c.Marshal()
	sig, err := s.Sign(ctx, text)
	if err != nil {
		return nil, fmt.Errorf("signing the checkpoint: %w", err)
	}
	if !v.Verify(text, sig) {
		return nil, fmt.Errorf("signing the checkpoint: %w", ErrSignature)
	}
	keyed := binary.BigEndian.AppendUint32(nil, v.KeyHash())
	keyed = append(keyed, sig...)
	msg := fmt.Appendf(nil, "%s\n— %s %s\n", text, v.Name(), base64.StdEncoding.EncodeToString(keyed))
	if _, err := openCheckpoint(msg, v, c.Origin); err != nil { // the whole note, as a reader will see it
		return nil, fmt.Errorf("signing the checkpoint: %w: %w", ErrSignature, err)
	}
	return msg, nil
}

// openCheckpoint verifies that msg is a checkpoint of origin under the log's key.
func openCheckpoint(msg []byte, v note.Verifier, origin string) (audit.Checkpoint, error) {
	return openByAny(msg, origin, []note.Verifier{v})
}

// openByAny verifies that msg is a checkpoint of origin under one of the log's keys, and under each of them that signed it.
func openByAny(msg []byte, origin string, keys []note.Verifier) (audit.Checkpoint, error) {
	n, err := note.Open(msg, note.VerifierList(keys...))
	if err != nil {
		return audit.Checkpoint{}, fmt.Errorf("opening the checkpoint: %w", err)
	}
	c, err := audit.ParseCheckpoint([]byte(n.Text))
	if err != nil {
		return audit.Checkpoint{}, err
	}
	if c.Origin != origin {
		return audit.Checkpoint{}, fmt.Errorf("opening the checkpoint: origin %q, want %q", c.Origin, origin)
	}
	return c, nil
}

// addCosignatures appends to a signed note the signature lines that a witness answered, keeping only those that verify with its
// key. It returns an error that wraps [ErrSignature] if none does.
func addCosignatures(signed, lines []byte, witnessKey string) ([]byte, error) {
	v, err := fnote.NewVerifierForCosignatureV1(witnessKey)
	if err != nil {
		return nil, fmt.Errorf("reading the witness's verifier key: %w", err)
	}
	text, _, ok := strings.Cut(string(signed), "\n\n")
	if !ok {
		return nil, fmt.Errorf("adding cosignatures: %w", audit.ErrCheckpoint)
	}
	n, err := note.Open([]byte(text+"\n\n"+string(lines)), note.VerifierList(v))
	if err != nil || len(n.Sigs) == 0 {
		return nil, fmt.Errorf("adding cosignatures of %s: %w", v.Name(), ErrSignature)
	}
	out := append([]byte(nil), signed...)
	for _, s := range n.Sigs {
		out = fmt.Appendf(out, "— %s %s\n", s.Name, s.Base64)
	}
	return out, nil
}
