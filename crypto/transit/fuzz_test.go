package transit

import (
	"encoding/json"
	"errors"
	"strings"
	"testing"

	"github.com/sealtrail/sealtrail/crypto/blindindex"
	"github.com/sealtrail/sealtrail/crypto/keyring"
)

// FuzzAnswer: whatever a broken Vault or a proxy in between sends, every item
// gets either a result of the right form or a typed error, and no error repeats
// what was sent.
func FuzzAnswer(f *testing.F) {
	f.Add(200, []byte(`{"data":{"batch_results":[{"plaintext":"AAAA","ciphertext":"vault:v1:x","hmac":"vault:v1:AAAA"}]}}`))
	f.Add(200, []byte(`{"data":{"batch_results":[{"plaintext":"AAAA","reference":"e-2"}]}}`))
	f.Add(400, []byte(`{"data":{"batch_results":[{"error":"invalid ciphertext: no prefix"}]}}`))
	f.Add(503, []byte(`{"errors":["Vault is sealed"]}`))
	f.Add(200, []byte(`{"data":{"batch_results":null}}`))
	f.Add(500, []byte(`{"data":[],"errors":[]}`))
	f.Fuzz(func(t *testing.T, status int, body []byte) {
		var a answer
		if json.Unmarshal(body, &a) != nil || causeOf(status, &a) != "" {
			return
		}
		plain, err := batchOf[decryptResult]("unwrap", &a, []string{"e-1"})
		if err != nil {
			if !errors.Is(err, keyring.ErrUnavailable) {
				t.Fatalf("untyped error %v", err)
			}
			return
		}
		if r := plain[0].Reference; r != "" && r != "e-1" {
			t.Fatalf("a result of %q was taken for e-1", r)
		}
		res := unwrapResult(plain[0])
		typed := errors.Is(res.Err, keyring.ErrIntegrity) || errors.Is(res.Err, keyring.ErrUnavailable) || errors.Is(res.Err, keyring.ErrRetired)
		if res.Err != nil && (!typed || res.Plaintext != nil) {
			t.Fatalf("item error %v with %d bytes", res.Err, len(res.Plaintext))
		}
		if s := plain[0].Error; len(s) > 20 && res.Err != nil && strings.Contains(res.Err.Error(), s) {
			t.Fatalf("error repeats the answer: %v", res.Err)
		}
		wrapped, err := batchOf[encryptResult]("rewrap", &a, []string{"e-1"})
		if err != nil {
			t.Fatalf("one answer, read twice: %v", err)
		}
		if r := rewrapResult(wrapped[0]); (r.Err == nil) != (r.Blob != "" && r.KeyVersion > 0) {
			t.Fatalf("rewrapped %+v", r)
		}
		macs, err := batchOf[hmacResult]("hmac", &a, []string{"e-1"})
		if err != nil {
			return
		}
		if tok := tokenOf(macs[0]); (tok.err == nil) != (len(tok.token) == blindindex.TokenSize) {
			t.Fatalf("token of %d bytes, %v", len(tok.token), tok.err)
		}
	})
}

func TestVersionOf(t *testing.T) {
	t.Parallel()
	for blob, want := range map[string]int{"vault:v1:abc": 1, "vault:v12:abc": 12, "": 0, "vault": 0, "vault:1:x": 0, "vault:vx:y": 0, "vault:v-1:y": 0, "vault:v0:y": 0} {
		if got := versionOf(blob); got != want {
			t.Errorf("versionOf(%q) = %d, want %d", blob, got, want)
		}
	}
}
