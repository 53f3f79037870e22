package audit

import (
	"encoding/base64"
	"encoding/binary"
	"fmt"
	"math"
	"strconv"
	"strings"

	"filippo.io/mldsa"
	"golang.org/x/mod/sumdb/note"
)

// algMLDSA44 is the signature type of C2SP tlog-cosignature for ML-DSA-44.
const algMLDSA44 = 0x06

// SecondSignatureSize is what a second signature has in bytes: a time (8) and an ML-DSA-44 signature (FIPS 204).
const SecondSignatureSize = 8 + mldsa.MLDSA44SignatureSize

// SecondVerifier checks the second signature line of a checkpoint, by an ML-DSA-44 key that bears the log's name (C2SP
// tlog-cosignature, type 0x06). It holds when Ed25519 no longer does. It implements [note.Verifier]. The zero value verifies
// nothing. Safe for concurrent use.
type SecondVerifier struct {
	name string
	id   uint32
	key  *mldsa.PublicKey
}

var _ note.Verifier = (*SecondVerifier)(nil)

// NewSecondVerifier reads a verifier key "<name>+<key id>+<base64 of 0x06 and the key>". The error wraps [ErrKey].
func NewSecondVerifier(vkey string) (*SecondVerifier, error) {
	name, rest, _ := strings.Cut(vkey, "+")
	id16, b64, ok := strings.Cut(rest, "+")
	id, err := strconv.ParseUint(id16, 16, 32)
	key, err64 := base64.StdEncoding.Strict().DecodeString(b64)
	if !ok || name == "" || len(name) > math.MaxUint8 || len(id16) != 8 || err != nil || err64 != nil || len(key) != 1+mldsa.MLDSA44PublicKeySize {
		return nil, fmt.Errorf("%w: want <name>+<8 hex>+<base64> of an ML-DSA-44 key", ErrKey)
	}
	if key[0] != algMLDSA44 {
		return nil, fmt.Errorf("%w: algorithm %d, want %d", ErrKey, key[0], algMLDSA44)
	}
	if uint32(id) != keyID(name, key) {
		return nil, fmt.Errorf("%w: key id does not fit name and key", ErrKey)
	}
	public, err := mldsa.NewPublicKey(mldsa.MLDSA44(), key[1:])
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrKey, err)
	}
	return &SecondVerifier{name: name, id: uint32(id), key: public}, nil
}

// Name returns the log's name.
func (v *SecondVerifier) Name() string { return v.name }

// KeyHash returns the key id of the second line.
func (v *SecondVerifier) KeyHash() uint32 { return v.id }

// Verify reports whether sig ([SecondSignatureSize] bytes) is the second signature of the checkpoint text. It covers origin, size
// and root, not what else a text may hold: hence a text with extension lines is refused.
func (v *SecondVerifier) Verify(text, sig []byte) bool {
	c, err := ParseCheckpoint(text)
	if err != nil || string(c.Marshal()) != string(text) || v.key == nil || len(sig) != SecondSignatureSize {
		return false
	}
	message, err := SecondMessage(v.name, c, binary.BigEndian.Uint64(sig))
	return err == nil && mldsa.Verify(v.key, message, sig[8:], nil) == nil
}

// SecondMessage returns what the second key signs: a binary form of who signs, when (seconds since 1970), and the checkpoint as
// the subtree from 0 to its size. The error wraps [ErrCheckpoint]: a name is 1 to 255 bytes.
func SecondMessage(signer string, c Checkpoint, unix uint64) ([]byte, error) {
	if signer == "" || c.Origin == "" || len(signer) > math.MaxUint8 || len(c.Origin) > math.MaxUint8 {
		return nil, fmt.Errorf("%w: a name that is empty or longer than 255 bytes", ErrCheckpoint)
	}
	out := append([]byte("subtree/v1\n\x00"), byte(len(signer)))
	out = append(out, signer...)
	out = binary.BigEndian.AppendUint64(out, unix)
	out = append(append(out, byte(len(c.Origin))), c.Origin...)
	out = binary.BigEndian.AppendUint64(out, 0) // the subtree's begin
	out = binary.BigEndian.AppendUint64(out, c.Size)
	return append(out, c.Root[:]...), nil
}
