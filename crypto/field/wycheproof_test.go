package field

import (
	"bytes"
	"crypto/aes"
	"crypto/cipher"
	"crypto/fips140"
	"crypto/hkdf"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"hash"
	"io/fs"
	"testing"

	"github.com/c2sp/wycheproof"
	"github.com/emmansun/gmsm/sm3"
)

// unhex is a byte string that the vectors hold in hexadecimal.
type unhex []byte

func (h *unhex) UnmarshalText(b []byte) (err error) {
	*h, err = hex.DecodeString(string(b))
	return err
}

// vector is the union of the AEAD, HKDF and MAC tests of Wycheproof.
type vector struct {
	ID      int    `json:"tcId"`
	Comment string `json:"comment"`
	Result  string `json:"result"`

	Key, IV, AAD, Msg, CT, Tag unhex
	IKM, Salt, Info, OKM       unhex
	Size                       int
}

// vectors yields the tests of one file and fails unless it has as many as it
// had when this was written: a renamed or emptied file must not pass.
func vectors(t *testing.T, file string, want int) []vector {
	t.Helper()
	raw, err := fs.ReadFile(wycheproof.TestVectors, file)
	if err != nil {
		t.Fatal(err)
	}
	var doc struct {
		TestGroups []struct{ Tests []vector }
	}
	if err := json.Unmarshal(raw, &doc); err != nil {
		t.Fatal(err)
	}
	var all []vector
	for _, g := range doc.TestGroups {
		all = append(all, g.Tests...)
	}
	if len(all) != want {
		t.Fatalf("%s has %d vectors, want %d", file, len(all), want)
	}
	return all
}

// count is how many vectors went which way.
type count struct{ opened, refused, elsewhere int }

// openAll opens every vector that fits our envelopes (96-bit nonce, the key
// size) through open; the others are of forms that no envelope has.
func openAll(t *testing.T, all []vector, keySize int, open func(c *core, sealed []byte) ([]byte, error)) (n count) {
	t.Helper()
	for _, v := range all {
		if len(v.IV) != nonceSize || len(v.Key) != keySize {
			n.elsewhere++
			continue
		}
		c := &core{aad: v.AAD}
		copy(c.sub[:], v.Key)
		got, err := open(c, bytes.Join([][]byte{v.IV, v.CT, v.Tag}, nil))
		switch {
		case v.Result == "valid" && (err != nil || !bytes.Equal(got, v.Msg)):
			t.Errorf("%d (%s): %x, %v", v.ID, v.Comment, got, err)
		case v.Result != "valid" && (!errors.Is(err, errTag) || got != nil):
			t.Errorf("%d (%s): opened as %x, %v", v.ID, v.Comment, got, err)
		case v.Result == "valid":
			n.opened++
		default:
			n.refused++
		}
	}
	return n
}

// TestWycheproofAESGCM opens Wycheproof's vectors by the path of suite 0x01.
func TestWycheproofAESGCM(t *testing.T) {
	t.Parallel()
	all := vectors(t, "aes_gcm_test.json", 316)
	got := openAll(t, all, KeySize, func(c *core, sealed []byte) ([]byte, error) { return c.openAES(nil, sealed) })
	if want := (count{opened: 39, refused: 27, elsewhere: 250}); got != want {
		t.Errorf("%+v, want %+v", got, want)
	}
}

// TestWycheproofAESGCMSeals: the other direction, in the standard library: ours
// takes no nonce.
func TestWycheproofAESGCMSeals(t *testing.T) {
	t.Parallel()
	if fips140.Enforced() {
		t.Skip("fips140=only: chosen nonce")
	}
	sealed := 0
	for _, v := range vectors(t, "aes_gcm_test.json", 316) {
		if len(v.IV) == 0 || v.Result != "valid" {
			continue
		}
		block, err := aes.NewCipher(v.Key)
		if err != nil {
			t.Fatal(err)
		}
		aead, err := cipher.NewGCMWithNonceSize(block, len(v.IV))
		if err != nil {
			t.Fatal(err)
		}
		if got := aead.Seal(nil, v.IV, v.Msg, v.AAD); !bytes.Equal(got, append(bytes.Clone(v.CT), v.Tag...)) {
			t.Errorf("%d (%s): sealed as %x", v.ID, v.Comment, got)
		}
		sealed++
	}
	if sealed != 229 {
		t.Errorf("%d vectors sealed", sealed)
	}
}

// TestWycheproofSM4GCM opens and seals Wycheproof's vectors by the path of
// suite 0x02.
func TestWycheproofSM4GCM(t *testing.T) {
	t.Parallel()
	if fips140.Enforced() {
		t.Skip("fips140=only: suite 0x02")
	}
	all := vectors(t, "sm4_gcm_test.json", 104)
	got := openAll(t, all, sm4KeySize, func(c *core, sealed []byte) ([]byte, error) { return c.openSM4(nil, sealed) })
	if want := (count{opened: 38, refused: 27, elsewhere: 39}); got != want {
		t.Errorf("%+v, want %+v", got, want)
	}
	sealed := 0
	for _, v := range all {
		if len(v.IV) != nonceSize || v.Result != "valid" {
			continue
		}
		c := &core{}
		copy(c.sub[:], v.Key)
		aead, err := c.sm4()
		if err != nil {
			t.Fatal(err)
		}
		if got := aead.Seal(nil, v.IV, v.Msg, v.AAD); !bytes.Equal(got, append(bytes.Clone(v.CT), v.Tag...)) {
			t.Errorf("%d (%s): sealed as %x", v.ID, v.Comment, got)
		}
		sealed++
	}
	if sealed != got.opened {
		t.Errorf("%d vectors sealed, %d opened", sealed, got.opened)
	}
}

// TestWycheproofHKDF: our Expand where its 32 bytes are enough, the standard
// library's for the rest, and neither gives more than 255 blocks.
func TestWycheproofHKDF(t *testing.T) {
	t.Parallel()
	ours, longer, refused := 0, 0, 0
	for _, v := range vectors(t, "hkdf_sha256_test.json", 86) {
		prk, err := hkdf.Extract(sha256.New, v.IKM, v.Salt)
		if err != nil {
			t.Fatal(err)
		}
		all, err := hkdf.Expand(sha256.New, prk, string(v.Info), v.Size)
		switch {
		case v.Result != "valid":
			if err == nil {
				t.Errorf("%d (%s): %d bytes", v.ID, v.Comment, len(all))
			}
			refused++
			continue
		case err != nil || !bytes.Equal(all, v.OKM):
			t.Errorf("%d (%s): %x, %v", v.ID, v.Comment, all, err)
		case v.Size > digestSize:
			longer++
			continue
		}
		mac := hmac.New(sha256.New, prk)
		for range 2 { // the second goes by the saved state
			if got := expand(mac, nil, v.Info); !bytes.Equal(got[:v.Size], v.OKM) {
				t.Errorf("%d (%s): our Expand gives %x", v.ID, v.Comment, got)
			}
		}
		ours++
	}
	if ours != 30 || longer != 53 || refused != 3 {
		t.Errorf("%d by our Expand, %d longer, %d refused", ours, longer, refused)
	}
}

// TestWycheproofHMAC: the MACs of both suites, fresh and by the state that
// crypto/hmac saves in the hash.
func TestWycheproofHMAC(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct {
		file  string
		suite byte
		hash  func() hash.Hash
	}{{"hmac_sha256_test.json", Suite1, sha256.New}, {"hmac_sm3_test.json", Suite2, sm3.New}} {
		t.Run(tc.file, func(t *testing.T) {
			if CheckSuite(tc.suite) != nil {
				t.Skip("fips140=only: suite 0x02")
			}
			valid, refused := 0, 0
			for _, v := range vectors(t, tc.file, 174) {
				mac := hmac.New(tc.hash, v.Key)
				for range 3 {
					mac.Reset()
					mac.Write(v.Msg)
					if got := mac.Sum(nil)[:len(v.Tag)]; hmac.Equal(got, v.Tag) != (v.Result == "valid") {
						t.Errorf("%d (%s): %x is %s", v.ID, v.Comment, v.Tag, v.Result)
					}
				}
				if v.Result == "valid" {
					valid++
				} else {
					refused++
				}
			}
			if valid != 66 || refused != 108 {
				t.Errorf("%d valid, %d refused", valid, refused)
			}
		})
	}
}
