package audit

import (
	"crypto/ed25519"
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"golang.org/x/mod/sumdb/note"
)

// Signature types of C2SP signed-note: the first byte of an encoded key.
const (
	algEd25519     = 0x01
	algCosignature = 0x04
)

// ErrKey is wrapped by every refusal of a verifier key.
var ErrKey = errors.New("malformed verifier key")

// CosignatureVerifier checks the lines by which a witness vouches for a checkpoint (C2SP tlog-cosignature, cosignature/v1). It
// implements [note.Verifier]. The zero value verifies nothing. Safe for concurrent use.
type CosignatureVerifier struct {
	name string
	id   uint32
	key  ed25519.PublicKey
}

var _ note.Verifier = (*CosignatureVerifier)(nil)

// NewCosignatureVerifier reads a verifier key "<name>+<key id>+<base64>". A witness's key has type 0x04; a plain Ed25519 key
// (0x01) is taken as the same key in that role, as other tools take it. The error wraps [ErrKey].
func NewCosignatureVerifier(vkey string) (*CosignatureVerifier, error) {
	name, rest, _ := strings.Cut(vkey, "+")
	id16, b64, ok := strings.Cut(rest, "+")
	id, err := strconv.ParseUint(id16, 16, 32)
	key, err64 := base64.StdEncoding.Strict().DecodeString(b64)
	if !ok || name == "" || len(id16) != 8 || err != nil || err64 != nil || len(key) != 1+ed25519.PublicKeySize {
		return nil, fmt.Errorf("%w: want <name>+<8 hex>+<base64>", ErrKey)
	}
	if key[0] != algCosignature && key[0] != algEd25519 {
		return nil, fmt.Errorf("%w: algorithm %d", ErrKey, key[0])
	}
	if uint32(id) != keyID(name, key) {
		return nil, fmt.Errorf("%w: key id does not fit name and key", ErrKey)
	}
	v := &CosignatureVerifier{name: name, key: ed25519.PublicKey(key[1:])}
	v.id = keyID(name, append([]byte{algCosignature}, v.key...))
	return v, nil
}

// keyID is the key id of C2SP signed-note: the first four bytes of SHA-256(name || "\n" || type || key).
func keyID(name string, key []byte) uint32 {
	sum := sha256.Sum256(append([]byte(name+"\n"), key...))
	return binary.BigEndian.Uint32(sum[:])
}

// Name returns the witness's name.
func (v *CosignatureVerifier) Name() string { return v.name }

// KeyHash returns the key id of the cosignature lines.
func (v *CosignatureVerifier) KeyHash() uint32 { return v.id }

// Verify reports whether sig (8 bytes time, 64 bytes Ed25519) is the witness's cosignature of the checkpoint text.
func (v *CosignatureVerifier) Verify(text, sig []byte) bool {
	if len(v.key) != ed25519.PublicKeySize || len(sig) != 8+ed25519.SignatureSize {
		return false
	}
	return ed25519.Verify(v.key, CosignatureMessage(text, binary.BigEndian.Uint64(sig)), sig[8:])
}

// CosignatureMessage returns what a witness signs: the checkpoint text with the time of its statement in front, in seconds
// since 1970.
func CosignatureMessage(text []byte, unix uint64) []byte {
	return append(fmt.Appendf(nil, "cosignature/v1\ntime %d\n", unix), text...)
}

// CosignatureTime returns when the witness made a verified cosignature.
func CosignatureTime(sig []byte) time.Time {
	if len(sig) < 8 {
		return time.Time{}
	}
	return time.Unix(int64(binary.BigEndian.Uint64(sig)), 0).UTC()
}
