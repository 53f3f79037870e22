package field

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/fips140"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"errors"
	"fmt"
	"hash"

	"github.com/emmansun/gmsm/sm3"
	"github.com/emmansun/gmsm/sm4"
)

const (
	// Suite1 is AES-256-GCM with a random 96-bit nonce, HKDF-Expand and
	// HMAC-SHA-256: what runs under GODEBUG=fips140=only.
	Suite1 byte = 0x01
	// Suite2 is SM4-GCM with a random 96-bit nonce, HKDF-Expand and HMAC-SM3,
	// with SM3 for every digest: for institutions that have to use Chinese
	// commercial cryptography. It is refused under GODEBUG=fips140=only.
	Suite2 byte = 0x02

	suites = 2
	// digestSize is the length of SHA-256 and of SM3, in bytes.
	digestSize = 32
	// sm4KeySize is the length of an SM4 key: the first half of what Expand gives.
	sm4KeySize = 16
)

// ErrSuiteForbidden says that this process may not use the suite: it runs under
// GODEBUG=fips140=only and the suite is 0x02. Nothing is wrong with the data.
var ErrSuiteForbidden = errors.New("suite forbidden by fips140=only")

// CheckSuite says whether this process can use a suite, 0 meaning [Suite1]: the
// error wraps ErrPlace for an unknown suite and ErrSuiteForbidden for [Suite2]
// under GODEBUG=fips140=only. A service asks once at start.
func CheckSuite(suite byte) error {
	switch {
	case suite > suites:
		return fmt.Errorf("%w: suite 0x%02x is unknown", ErrPlace, suite)
	case suite == Suite2 && fips140.Enforced():
		return fmt.Errorf("suite 0x%02x: %w", suite, ErrSuiteForbidden)
	}
	return nil
}

// orSuite1 reads the zero value.
func orSuite1(suite byte) byte {
	if suite == 0 {
		return Suite1
	}
	return suite
}

// digest is the suite's hash: SHA-256 or SM3.
func digest(suite byte, b []byte) [digestSize]byte {
	if suite == Suite2 {
		return sm3.Sum(b)
	}
	return sha256.Sum256(b)
}

// macs are the prepared HMAC states of one suite under one data key.
type macs struct {
	expand   hash.Hash // under the data key itself
	manifest hash.Hash // under Expand(data key, "stf1/manifest")
}

// newMACs prepares both states. crypto/hmac panics on SM3 under fips140=only:
// the suite MUST have passed CheckSuite.
func newMACs(suite byte, dek []byte) macs {
	newHash := sha256.New
	if suite == Suite2 {
		newHash = sm3.New
	}
	m := macs{expand: hmac.New(newHash, dek)}
	sub := expand(m.expand, nil, []byte(labelManifest))
	m.manifest = hmac.New(newHash, sub)
	clear(sub)
	return m
}

// seal appends nonce, ciphertext and tag to dst, under the field key in c.sub
// and the additional data in c.aad. The suites take two paths, because the
// standard library chooses nonces for AES only and FIPS wants it to.
func (c *core) seal(suite byte, dst, plaintext []byte) ([]byte, error) {
	if suite == Suite2 {
		return c.sealSM4(dst, plaintext)
	}
	return c.sealAES(dst, plaintext)
}

// open is the inverse of seal and appends the plaintext to dst. The error is
// errTag when the bytes are not what was sealed.
func (c *core) open(suite byte, dst, sealed []byte) ([]byte, error) {
	if suite == Suite2 {
		return c.openSM4(dst, sealed)
	}
	return c.openAES(dst, sealed)
}

var errTag = errors.New("authentication failed")

// aes prepares AES-256-GCM. GCM with a random nonce from the standard library
// is the only AES-GCM that GODEBUG=fips140=only admits. One key seals one field
// revision, so the 2^32 limit of random nonces is out of reach.
func (c *core) aes() (cipher.AEAD, error) {
	block, err := aes.NewCipher(c.sub[:])
	if err != nil {
		return nil, err
	}
	return cipher.NewGCMWithRandomNonce(block)
}

func (c *core) sealAES(dst, plaintext []byte) ([]byte, error) {
	aead, err := c.aes()
	if err != nil {
		return nil, err
	}
	return aead.Seal(dst, nil, plaintext, c.aad), nil
}

func (c *core) openAES(dst, sealed []byte) ([]byte, error) {
	aead, err := c.aes()
	if err != nil {
		return nil, err
	}
	value, err := aead.Open(dst, nil, sealed, c.aad)
	if err != nil {
		return nil, errTag
	}
	return value, nil
}

// sm4 prepares SM4-GCM; cipher.NewGCM takes gmsm's own assembly where there is
// one.
func (c *core) sm4() (cipher.AEAD, error) {
	block, err := sm4.NewCipher(c.sub[:sm4KeySize])
	if err != nil {
		return nil, err
	}
	return cipher.NewGCM(block)
}

func (c *core) sealSM4(dst, plaintext []byte) ([]byte, error) {
	aead, err := c.sm4()
	if err != nil {
		return nil, err
	}
	// The nonce is drawn where it will stand; crypto/rand never fails.
	start := len(dst)
	dst = append(dst, make([]byte, nonceSize)...)
	nonce := dst[start:]
	_, _ = rand.Read(nonce)
	return aead.Seal(dst, nonce, plaintext, c.aad), nil
}

func (c *core) openSM4(dst, sealed []byte) ([]byte, error) {
	aead, err := c.sm4()
	if err != nil {
		return nil, err
	}
	value, err := aead.Open(dst, sealed[:nonceSize], sealed[nonceSize:], c.aad)
	if err != nil {
		return nil, errTag
	}
	return value, nil
}
