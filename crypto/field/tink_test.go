package field

import (
	"bytes"
	"crypto/aes"
	"crypto/fips140"
	"go/parser"
	"go/token"
	"io/fs"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/tink-crypto/tink-go/v2/aead"
	"github.com/tink-crypto/tink-go/v2/aead/subtle"
	"github.com/tink-crypto/tink-go/v2/aead/xaesgcm"
	"github.com/tink-crypto/tink-go/v2/insecuresecretdataaccess"
	"github.com/tink-crypto/tink-go/v2/keyset"
	"github.com/tink-crypto/tink-go/v2/secretdata"
	"github.com/tink-crypto/tink-go/v2/tink"
	"pgregory.net/rapid"
)

// Tink is an oracle in tests only: it needs cipher.NewGCM, which fips140=only
// refuses, and no program of ours links it.
func needOracle(t *testing.T) {
	t.Helper()
	if fips140.Enforced() {
		t.Skip("fips140=only: oracle")
	}
}

// TestTinkGCMAgrees: Tink's AES-GCM opens what we seal, we open what it seals,
// and both refuse what the other would for a changed tag.
func TestTinkGCMAgrees(t *testing.T) {
	t.Parallel()
	needOracle(t)
	k, err := NewKey(bytes.Repeat([]byte{5}, KeySize))
	if err != nil {
		t.Fatal(err)
	}
	o, _ := NewOpener(k)
	s, _ := NewSealer(k)
	rapid.Check(t, func(t *rapid.T) {
		p := Place{Institution: "i", Record: "r", RecordType: "t", Path: rapid.StringMatching(`[a-z]{1,9}`).Draw(t, "path"),
			Revision: rapid.Uint64().Draw(t, "revision")}
		value := rapid.SliceOfN(rapid.Byte(), 0, 300).Draw(t, "value")
		env, err := s.Seal(p, value, Exact)
		if err != nil {
			t.Fatal(err)
		}
		// The Sealer's working state still holds the field key and the AAD.
		theirs, err := subtle.NewAESGCM(s.core.sub[:])
		if err != nil {
			t.Fatal(err)
		}
		if got, err := theirs.Decrypt(env[headerSize:], s.core.aad); err != nil || !bytes.Equal(got, value) {
			t.Fatalf("Tink opens %x, %v", got, err)
		}
		sealed, err := theirs.Encrypt(value, s.core.aad)
		if err != nil {
			t.Fatal(err)
		}
		if got, err := o.Open(p, slices.Concat(env[:headerSize], sealed)); err != nil || !bytes.Equal(got.Expose(), value) {
			t.Fatalf("we open Tink's as %d bytes, %v", got.Len(), err)
		}
		env[len(env)-1] ^= 1
		if _, err := theirs.Decrypt(env[headerSize:], s.core.aad); err == nil {
			t.Fatal("Tink opens a changed tag")
		}
	})
}

// TestTinkXAESAgrees: XAES-256-GCM is AES-256-GCM under a key derived from the
// first half of a long nonce. With that derivation written down here, our
// AES path and Tink's XAES open each other's.
func TestTinkXAESAgrees(t *testing.T) {
	t.Parallel()
	needOracle(t)
	key := bytes.Repeat([]byte{6}, 32)
	theirs := xaes(t, key)
	rapid.Check(t, func(t *rapid.T) {
		value := rapid.SliceOfN(rapid.Byte(), 0, 300).Draw(t, "value")
		salt := rapid.SliceOfN(rapid.Byte(), 12, 12).Draw(t, "salt")
		c := &core{aad: rapid.SliceOfN(rapid.Byte(), 0, 60).Draw(t, "aad")}
		copy(c.sub[:], xaesKey(key, salt))
		sealed, err := c.sealAES(slices.Clone(salt), value)
		if err != nil {
			t.Fatal(err)
		}
		if got, err := theirs.Decrypt(sealed, c.aad); err != nil || !bytes.Equal(got, value) {
			t.Fatalf("Tink opens %x, %v", got, err)
		}
		if sealed, err = theirs.Encrypt(value, c.aad); err != nil {
			t.Fatal(err)
		}
		copy(c.sub[:], xaesKey(key, sealed[:12]))
		if got, err := c.openAES(nil, sealed[12:]); err != nil || !bytes.Equal(got, value) {
			t.Fatalf("we open Tink's as %x, %v", got, err)
		}
	})
}

// xaesKey is the derivation of C2SP's XAES-256-GCM: CMAC with AES-256 of two
// whole blocks, which makes CMAC an encryption of block xor K1.
func xaesKey(key, salt []byte) []byte {
	block, err := aes.NewCipher(key)
	if err != nil {
		panic(err) // 32 bytes are a key
	}
	var k1 [16]byte
	block.Encrypt(k1[:], k1[:])
	carry := k1[0] >> 7
	for i := range 15 {
		k1[i] = k1[i]<<1 | k1[i+1]>>7
	}
	k1[15] = k1[15]<<1 ^ carry*0x87
	var out []byte
	for n := range byte(2) {
		m := append([]byte{0, n + 1, 'X', 0}, salt...)
		for i := range m {
			m[i] ^= k1[i]
		}
		block.Encrypt(m, m)
		out = append(out, m...)
	}
	return out
}

func xaes(t *testing.T, key []byte) tink.AEAD {
	t.Helper()
	params, err := xaesgcm.NewParameters(xaesgcm.VariantNoPrefix, 12)
	if err != nil {
		t.Fatal(err)
	}
	k, err := xaesgcm.NewKey(secretdata.NewBytesFromData(key, insecuresecretdataaccess.Token{}), 0, params)
	if err != nil {
		t.Fatal(err)
	}
	m := keyset.NewManager()
	id, err := m.AddKey(k)
	if err == nil {
		err = m.SetPrimary(id)
	}
	if err != nil {
		t.Fatal(err)
	}
	handle, err := m.Handle()
	if err != nil {
		t.Fatal(err)
	}
	out, err := aead.New(handle)
	if err != nil {
		t.Fatal(err)
	}
	return out
}

// TestOraclesAreInTestsOnly: no program of this module links Tink or the
// vectors.
func TestOraclesAreInTestsOnly(t *testing.T) {
	t.Parallel()
	files := 0
	err := filepath.WalkDir("../..", func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() || filepath.Ext(path) != ".go" || strings.HasSuffix(path, "_test.go") {
			return err
		}
		files++
		f, err := parser.ParseFile(token.NewFileSet(), path, nil, parser.ImportsOnly)
		if err != nil {
			return err
		}
		for _, spec := range f.Imports {
			if strings.Contains(spec.Path.Value, "tink-crypto") || strings.Contains(spec.Path.Value, "wycheproof") {
				t.Errorf("%s imports %s", path, spec.Path.Value)
			}
		}
		return nil
	})
	if err != nil || files < 100 {
		t.Errorf("%d files read, %v", files, err)
	}
}
