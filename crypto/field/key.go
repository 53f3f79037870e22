package field

import (
	"crypto/hmac"
	"crypto/sha256"
	"database/sql/driver"
	"fmt"
	"hash"
	"log/slog"
	"sync"
)

// KeySize is the length of a data key in bytes.
const KeySize = 32

// Labels of HKDF-Expand. A new use of the data key needs a new label.
const (
	labelField      = "stf1/field"
	labelManifest   = "stf1/manifest"
	labelCommitment = "stf1/commitment"
)

// maxIdle bounds the prepared states kept per key: more concurrent users of one
// record than this pay for a fresh HMAC, they do not wait.
const maxIdle = 4

// Key is a data key made ready for use: it keeps the HMAC states that Sealers
// and Openers of this key share one after the other, which is what keeps
// sealing at three allocations per field. It is safe for concurrent use and
// prints as "[sealed]".
//
//sealtrail:secret
type Key struct {
	mu sync.Mutex
	// dek is nil once destroyed. By pointer to an array, not a slice: fmt with a
	// wrong verb prints an unexported *Key one level deep, past our Format.
	dek  *[KeySize]byte
	idle []*core
}

// NewKey makes dek ready. It takes ownership: the caller MUST NOT use dek
// again, and [Key.Destroy] overwrites it. The error wraps ErrIntegrity when dek
// is not exactly [KeySize] bytes long.
func NewKey(dek []byte) (*Key, error) {
	if len(dek) != KeySize {
		return nil, fmt.Errorf("data key of %d bytes: %w", len(dek), ErrIntegrity)
	}
	return &Key{dek: (*[KeySize]byte)(dek)}, nil
}

// Destroy overwrites the key with zeros and drops the prepared states. Every
// later Seal, Open or manifest call fails with ErrDestroyed. The states that
// crypto/hmac and crypto/aes derived are left to the garbage collector: the
// standard library offers no way to clear them.
func (k *Key) Destroy() {
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.dek != nil {
		clear(k.dek[:])
	}
	k.dek, k.idle = nil, nil
}

// String returns "[sealed]".
func (k *Key) String() string { return hidden }

// GoString returns "[sealed]".
func (k *Key) GoString() string { return hidden }

// Format writes "[sealed]" for every verb.
func (k *Key) Format(s fmt.State, _ rune) { _, _ = s.Write([]byte(hidden)) }

// MarshalText returns "[sealed]".
func (k *Key) MarshalText() ([]byte, error) { return []byte(hidden), nil }

// MarshalBinary refuses, and with it encoding/gob.
func (k *Key) MarshalBinary() ([]byte, error) { return nil, ErrPlaintext }

// Value refuses: a key never becomes an SQL argument.
func (k *Key) Value() (driver.Value, error) { return nil, ErrPlaintext }

// LogValue returns "[sealed]".
func (k *Key) LogValue() slog.Value { return slog.StringValue(hidden) }

// Commitment derives the 32 bytes that are stored beside a wrapped key and
// compared in constant time after unwrapping: HKDF-Expand(dek, "stf1/commitment").
// It pins the key (AES-GCM alone does not commit to one) and reveals nothing of it.
func Commitment(dek []byte) [32]byte {
	var out [32]byte
	expand(hmac.New(sha256.New, dek), out[:0], []byte(labelCommitment))
	return out
}

// expand is HKDF-Expand (RFC 5869) for an output of one hash length, which is
// all this package needs: T(1) = HMAC(key, info | 0x01). crypto/hkdf computes
// the same with fourteen allocations; a test proves them equal. info MUST NOT
// be written to by others meanwhile; mac is reset first.
func expand(mac hash.Hash, dst []byte, info ...[]byte) []byte {
	mac.Reset()
	for _, part := range info {
		mac.Write(part)
	}
	mac.Write([]byte{0x01})
	return mac.Sum(dst)
}

// core is the working state under one key: HMACs and buffers, so that sealing
// allocates only the cipher. Not safe for concurrent use.
type core struct {
	macs    [suites]macs // of suite n at n-1, prepared when first needed
	aad     []byte
	scratch []byte // empty; its room holds padded plaintext, cleared after use
	info    [len(labelField) + 1 + digestSize + 1]byte
	sub     [KeySize]byte // the field key; suite 0x02 uses the first half
}

// take lends the working state to one Sealer or Opener.
func (k *Key) take() (*core, error) {
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.dek == nil {
		return nil, ErrDestroyed
	}
	if n := len(k.idle); n > 0 {
		c := k.idle[n-1]
		k.idle = k.idle[:n-1]
		return c, nil
	}
	return &core{aad: make([]byte, 0, 256)}, nil
}

// give takes the working state back, for the next user of the same key.
func (k *Key) give(c *core) {
	k.mu.Lock()
	defer k.mu.Unlock()
	clear(c.sub[:])
	if k.dek != nil && len(k.idle) < maxIdle {
		k.idle = append(k.idle, c)
	}
}

// ready makes c usable for a suite. The error is ErrDestroyed when c was given
// back (nil) or the key is no more. The suite MUST have passed CheckSuite.
func (k *Key) ready(c *core, suite byte) error {
	k.mu.Lock()
	defer k.mu.Unlock()
	if c == nil || k.dek == nil {
		return ErrDestroyed
	}
	if m := &c.macs[suite-1]; m.expand == nil {
		*m = newMACs(suite, k.dek[:])
	}
	return nil
}

// fieldKey derives the key of one field revision into c.sub and leaves the AAD
// in c.aad: Expand(dek, "stf1/field" | u8 suite | H(AAD)), with HMAC and H of
// the suite. c is ready for it.
func (c *core) fieldKey(p *Place, flags byte) {
	c.aad = p.appendAAD(c.aad[:0], flags)
	suite := p.suite()
	sum := digest(suite, c.aad)
	info := append(c.info[:0], labelField...)
	info = append(info, suite)
	info = append(info, sum[:]...)
	info = append(info, 0x01) // counter of HKDF-Expand
	mac := c.macs[suite-1].expand
	mac.Reset()
	mac.Write(info)
	mac.Sum(c.sub[:0])
}
