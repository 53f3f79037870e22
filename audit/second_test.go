package audit_test

import (
	"encoding/base64"
	"errors"
	"fmt"
	"strings"
	"testing"

	fnote "github.com/transparency-dev/formats/note"
	"golang.org/x/mod/sumdb/note"

	"github.com/sealtrail/sealtrail/audit"
)

const secondOrigin = "sealtrail.example/demo-bank/2026"

// secondLine is a checkpoint signed by others' code with a new key, and the key.
func secondLine(t *testing.T) (text, sig []byte, vkey string) {
	t.Helper()
	skey, vkey, err := fnote.GenerateMLDSAKey(secondOrigin)
	if err != nil {
		t.Fatal(err)
	}
	signer, err := fnote.NewSignerForCosignatureV1(skey)
	if err != nil {
		t.Fatal(err)
	}
	text = audit.Checkpoint{Origin: secondOrigin, Size: 7, Root: [32]byte{1, 2, 3}}.Marshal()
	if sig, err = signer.Sign(text); err != nil {
		t.Fatal(err)
	}
	return text, sig, vkey
}

// What others' code signs is what we verify, and nothing else is.
func TestSecondSignatureOfOthers(t *testing.T) {
	t.Parallel()
	text, sig, vkey := secondLine(t)
	v, err := audit.NewSecondVerifier(vkey)
	if err != nil {
		t.Fatal(err)
	}
	theirs, err := fnote.NewVerifierForCosignatureV1(vkey)
	if err != nil || theirs.KeyHash() != v.KeyHash() || theirs.Name() != v.Name() {
		t.Fatalf("key id %08x %s, theirs %v, %v", v.KeyHash(), v.Name(), theirs, err)
	}
	if len(sig) != audit.SecondSignatureSize || !v.Verify(text, sig) {
		t.Fatalf("a genuine line of %d bytes does not verify", len(sig))
	}
	_, _, other := secondLine(t)
	w, err := audit.NewSecondVerifier(other)
	if err != nil || w.Verify(text, sig) {
		t.Errorf("verifies under another key, %v", err)
	}
	for i := range sig {
		bad := append([]byte(nil), sig...)
		bad[i] ^= 1
		if v.Verify(text, bad) {
			t.Fatalf("verifies with byte %d changed", i)
		}
	}
	for name, c := range map[string]audit.Checkpoint{
		"size":   {Origin: secondOrigin, Size: 8, Root: [32]byte{1, 2, 3}},
		"root":   {Origin: secondOrigin, Size: 7, Root: [32]byte{1, 2, 4}},
		"origin": {Origin: "sealtrail.example/demo-bank/2027", Size: 7, Root: [32]byte{1, 2, 3}},
	} {
		if v.Verify(c.Marshal(), sig) {
			t.Errorf("verifies for another %s", name)
		}
	}
	if v.Verify(append(append([]byte(nil), text...), "an extension\n"...), sig) {
		t.Error("vouches for an extension line, which it does not sign")
	}
	if new(audit.SecondVerifier).Verify(text, sig) || v.Verify(text, sig[:len(sig)-1]) || v.Verify(nil, sig) {
		t.Error("the zero value, a short signature or no text verifies")
	}
}

func TestSecondVerifierKeysThatAreNone(t *testing.T) {
	t.Parallel()
	_, _, vkey := secondLine(t)
	name, rest, _ := strings.Cut(vkey, "+")
	id, b64, _ := strings.Cut(rest, "+")
	raw, err := base64.StdEncoding.DecodeString(b64)
	if err != nil {
		t.Fatal(err)
	}
	raw[0] = 1
	ed, err := note.NewEd25519VerifierKey(name, raw[:32])
	if err != nil {
		t.Fatal(err)
	}
	for what, key := range map[string]string{
		"nothing": "", "an Ed25519 key": ed, "another name": "x" + vkey, "no id": name + "+" + b64, "another id": name + "+00000000+" + b64,
		"another type": fmt.Sprintf("%s+%s+%s", name, id, base64.StdEncoding.EncodeToString(raw)), "cut": vkey[:len(vkey)-4],
		"a long name": strings.Repeat("n", 256) + "+" + rest,
	} {
		if _, err := audit.NewSecondVerifier(key); !errors.Is(err, audit.ErrKey) {
			t.Errorf("%s: %v", what, err)
		}
	}
}

func FuzzSecondVerifierKey(f *testing.F) {
	f.Add("sealtrail.example/demo-bank/2026+00000000+BgAA")
	f.Fuzz(func(t *testing.T, vkey string) {
		if v, err := audit.NewSecondVerifier(vkey); err == nil && !strings.HasPrefix(vkey, v.Name()+"+") {
			t.Errorf("took the name %q", v.Name())
		}
	})
}

func ExampleSecondVerifier() {
	_, err := audit.NewSecondVerifier("sealtrail.example/demo-bank/2026+00000000+BgAA")
	fmt.Println(errors.Is(err, audit.ErrKey)) // the key is 1312 bytes long
	// Output: true
}
