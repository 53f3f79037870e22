package intake

import (
	"crypto/fips140"
	"crypto/hpke"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
)

// KeyFormat is the member "format" of a published intake key.
const KeyFormat = "sealtrail-intake-key/1"

// SeedSize is the length of what a private key is made from, in bytes.
const SeedSize = 32

// KEM identifiers of the HPKE registry that this package takes.
const (
	// MLKEM768X25519 is ML-KEM-768 with X25519 (X-Wing), the default.
	MLKEM768X25519 uint16 = 0x647a
	// MLKEM768P256 is ML-KEM-768 with P-256: what is allowed under
	// GODEBUG=fips140=only.
	MLKEM768P256 uint16 = 0x0050
)

// Errors that callers branch on.
var (
	// ErrMalformed: these bytes are no key, envelope or receipt of ours.
	ErrMalformed = errors.New("not a sealed-intake object")
	// ErrForeign: sealed to another institution's key.
	ErrForeign = errors.New("sealed to another institution")
	// ErrVersion: sealed to another version of the key.
	ErrVersion = errors.New("sealed to another version of the intake key")
	// ErrOpen: it does not open: changed, cut, or sealed to another key.
	ErrOpen = errors.New("sealed intake does not open")
)

// PublicKey is an institution's intake key of one version. It is safe for
// concurrent use.
type PublicKey struct {
	institution string
	version     uint32
	kem         uint16
	key         hpke.PublicKey
}

// bundle is a published key, its members in the order of their names.
type bundle struct {
	Format      string `json:"format"`
	Institution string `json:"institution"`
	KEM         uint16 `json:"kem"`
	Key         string `json:"key"`
	Version     uint32 `json:"version"`
}

func kemOf(id uint16) (hpke.KEM, error) {
	if id != MLKEM768X25519 && id != MLKEM768P256 {
		return nil, fmt.Errorf("%w: KEM %#04x", ErrMalformed, id)
	}
	return hpke.NewKEM(id)
}

// DefaultKEM is the KEM for a new key of this process.
func DefaultKEM() uint16 {
	if fips140.Enforced() {
		return MLKEM768P256
	}
	return MLKEM768X25519
}

// ParsePublicKey reads a published key: what Bundle gives, byte for byte. Its
// errors wrap ErrMalformed.
func ParsePublicKey(raw []byte) (*PublicKey, error) {
	var b bundle
	if json.Unmarshal(raw, &b) != nil || b.Format != KeyFormat {
		return nil, fmt.Errorf("reading an intake key: %w", ErrMalformed)
	}
	kem, err := kemOf(b.KEM)
	if err != nil {
		return nil, fmt.Errorf("reading an intake key: %w", err)
	}
	point, err := base64.StdEncoding.DecodeString(b.Key)
	if err != nil {
		return nil, fmt.Errorf("reading an intake key: %w", ErrMalformed)
	}
	key, err := kem.NewPublicKey(point)
	if err != nil {
		return nil, fmt.Errorf("reading an intake key: %w", ErrMalformed)
	}
	k := &PublicKey{institution: b.Institution, version: b.Version, kem: b.KEM, key: key}
	if k.check() != nil || string(k.Bundle()) != string(raw) {
		return nil, fmt.Errorf("reading an intake key: %w: not canonical", ErrMalformed)
	}
	return k, nil
}

func (k *PublicKey) check() error {
	if k.version == 0 || !isInstitution(k.institution) {
		return fmt.Errorf("%w: an institution and a version from 1 are required", ErrMalformed)
	}
	return nil
}

// isInstitution takes slugs: a-z, 0-9 and hyphen, at most 64 bytes.
func isInstitution(s string) bool {
	for _, c := range []byte(s) {
		if (c < 'a' || c > 'z') && (c < '0' || c > '9') && c != '-' {
			return false
		}
	}
	return s != "" && len(s) <= 64
}

// Bundle is the key as it is published: canonical JSON (RFC 8785) in one line
// without a line end.
func (k *PublicKey) Bundle() []byte {
	raw, err := json.Marshal(bundle{KeyFormat, k.institution, k.kem, base64.StdEncoding.EncodeToString(k.key.Bytes()), k.version})
	if err != nil {
		return nil // cannot be: strings and numbers
	}
	return raw
}

// Fingerprint is the SHA-256 of Bundle: what a client pins and the log names.
func (k *PublicKey) Fingerprint() [32]byte { return sha256.Sum256(k.Bundle()) }

// Institution says whose key it is.
func (k *PublicKey) Institution() string { return k.institution }

// Version counts from 1.
func (k *PublicKey) Version() uint32 { return k.version }

// KEM is the key's KEM: MLKEM768X25519 or MLKEM768P256.
func (k *PublicKey) KEM() uint16 { return k.kem }

// PrivateKey opens envelopes of one version. It prints as "[sealed]". It is
// safe for concurrent use.
type PrivateKey struct {
	public PublicKey
	key    hpke.PrivateKey
}

// NewPrivateKey makes the key of a version from a seed of SeedSize random
// bytes, always the same one from the same seed. The seed stays the caller's,
// who clears it; the standard library keeps what it made from it until the
// PrivateKey is collected.
func NewPrivateKey(institution string, version uint32, kem uint16, seed []byte) (*PrivateKey, error) {
	suite, err := kemOf(kem)
	if err != nil {
		return nil, fmt.Errorf("making an intake key: %w", err)
	}
	if len(seed) != SeedSize {
		return nil, fmt.Errorf("making an intake key: %w: a seed has %d bytes", ErrMalformed, SeedSize)
	}
	key, err := suite.NewPrivateKey(seed)
	if err != nil {
		return nil, errors.New("making an intake key: the seed is refused")
	}
	k := &PrivateKey{PublicKey{institution, version, kem, key.PublicKey()}, key}
	if err := k.public.check(); err != nil {
		return nil, fmt.Errorf("making an intake key: %w", err)
	}
	return k, nil
}

// Public is the half that is published.
func (k *PrivateKey) Public() *PublicKey { return &k.public }

// String is "[sealed]".
func (k *PrivateKey) String() string { return "[sealed]" }

// GoString is "[sealed]".
func (k *PrivateKey) GoString() string { return "[sealed]" }

// Format prints "[sealed]" for every verb.
func (k *PrivateKey) Format(s fmt.State, _ rune) { _, _ = s.Write([]byte("[sealed]")) }

// MarshalText is "[sealed]", so that JSON and slog say no more.
func (k *PrivateKey) MarshalText() ([]byte, error) { return []byte("[sealed]"), nil }
