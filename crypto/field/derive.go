package field

import (
	"crypto/hmac"
	"crypto/sha256"
	"fmt"

	"github.com/emmansun/gmsm/sm3"
)

// labelDerive opens the info of keys that other packages build upon.
const labelDerive = "stf1/derive/"

// Derive gives another use of the data key a key of its own:
// HKDF-Expand(dek, "stf1/derive/" + label) with the hash of the suite. Two
// labels give unrelated keys, and none of them says anything of the data key.
// The caller clears it. The error wraps ErrDestroyed once the lease is over, or
// is that of CheckSuite.
func (k *Key) Derive(suite byte, label string) ([KeySize]byte, error) {
	var out [KeySize]byte
	if err := CheckSuite(suite); err != nil {
		return out, fmt.Errorf("deriving a key: %w", err)
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.dek == nil {
		return out, ErrDestroyed
	}
	newHash := sha256.New
	if suite == Suite2 {
		newHash = sm3.New
	}
	expand(hmac.New(newHash, k.dek[:]), out[:0], []byte(labelDerive), []byte(label))
	return out, nil
}
