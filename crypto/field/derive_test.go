package field_test

import (
	"bytes"
	"crypto/fips140"
	"crypto/hkdf"
	"crypto/sha256"
	"errors"
	"testing"

	"github.com/sealtrail/sealtrail/crypto/field"
)

// A derived key is HKDF-Expand of the standard library, other for every label
// and suite, and never another key of this package.
func TestDerivedKeysAreHKDFAndSeparate(t *testing.T) {
	t.Parallel()
	dek := bytes.Repeat([]byte{3}, field.KeySize)
	k, err := field.NewKey(bytes.Clone(dek))
	if err != nil {
		t.Fatal(err)
	}
	got, err := k.Derive(0, "stream/x")
	want, hkdfErr := hkdf.Expand(sha256.New, dek, "stf1/derive/stream/x", field.KeySize)
	if err != nil || hkdfErr != nil || !bytes.Equal(got[:], want) {
		t.Errorf("not HKDF-Expand: %v %v", err, hkdfErr)
	}
	seen := map[[field.KeySize]byte]bool{got: true, field.Commitment(dek): true}
	for _, label := range []string{"stream/y", "", "stream/x\x01"} {
		other, err := k.Derive(field.Suite1, label)
		if err != nil || seen[other] {
			t.Errorf("label %q: a key that another use has, %v", label, err)
		}
		seen[other] = true
	}
	if other, err := k.Derive(field.Suite2, "stream/x"); fips140.Enforced() != errors.Is(err, field.ErrSuiteForbidden) || seen[other] && err == nil {
		t.Errorf("suite 2: %v", err)
	}
	if _, err := k.Derive(3, "x"); !errors.Is(err, field.ErrPlace) {
		t.Errorf("suite 3: %v", err)
	}
	k.Destroy()
	if _, err := k.Derive(0, "stream/x"); !errors.Is(err, field.ErrDestroyed) {
		t.Errorf("destroyed: %v", err)
	}
}
