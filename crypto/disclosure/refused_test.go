package disclosure_test

import (
	"bytes"
	"crypto/fips140"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"

	"filippo.io/age"

	"github.com/sealtrail/sealtrail/crypto/disclosure"
)

// TestMain leaves out the examples where age cannot be used: an example cannot
// skip itself.
func TestMain(m *testing.M) {
	flag.Parse()
	if fips140.Enforced() {
		fmt.Println("fips140=only: age: the examples are left out")
		if err := flag.Set("test.skip", "^Example"); err != nil {
			panic(err)
		}
	}
	os.Exit(m.Run())
}

// TestExamplesEndUnderFIPSOnly: the program of the example, run where Go allows
// approved algorithms only, ends at once (age's own key generation never would).
func TestExamplesEndUnderFIPSOnly(t *testing.T) {
	if os.Getenv("SEALTRAIL_EXAMPLE") != "" {
		Example()
		return
	}
	t.Parallel()
	again := exec.CommandContext(t.Context(), os.Args[0], "-test.run=^TestExamplesEndUnderFIPSOnly$", "-test.timeout=10s", "-test.v")
	again.Env = append(os.Environ(), "GODEBUG=fips140=only", "SEALTRAIL_EXAMPLE=1")
	if out, err := again.CombinedOutput(); err != nil || !strings.Contains(string(out), "not available under GODEBUG=fips140=only") {
		t.Errorf("%v\n%.2000s", err, out)
	}
}

// What no Reader would take must not be written either: the recipient would have
// a package that says of itself that it is broken.
func TestNothingIsWrittenThatNoReaderTakes(t *testing.T) {
	t.Parallel()
	id, to := hybrid(t)
	var sealed bytes.Buffer
	w, err := disclosure.NewWriter(&sealed, to, header())
	if err != nil {
		t.Fatal(err)
	}
	if err := w.File(aFile(-1), strings.NewReader("")); !errors.Is(err, disclosure.ErrUnfit) {
		t.Errorf("a file of -1 bytes: %v", err)
	}
	long := record(1)
	long.Fields = append(long.Fields, disclosure.Field{Name: "story", Value: bytes.Repeat([]byte{1}, 12<<20)}) // 72 MiB as \u0001
	if err := w.Record(long); !errors.Is(err, disclosure.ErrUnfit) {
		t.Errorf("a line of 72 MiB: %v", err)
	}
	if err := w.Record(record(2)); err != nil {
		t.Fatal(err)
	}
	if _, err := w.Close(); err != nil {
		t.Fatal(err)
	}
	if items, _, err := drain(inner(t, sealed.Bytes(), id)); err != nil || len(items) != 1 {
		t.Errorf("%d items, %v", len(items), err)
	}
	h := header()
	h.IssuedAt = h.IssuedAt.Add(200 * time.Millisecond)
	h.ExpiresAt = h.IssuedAt.Add(600 * time.Millisecond) // the same second, as it is written
	if _, err := disclosure.NewWriter(io.Discard, to, h); err == nil {
		t.Error("an expiry within the second of issue was taken")
	}
}

// A secret key is known as one also where the whole file of age-keygen was
// pasted, which begins with two comments.
func TestAPastedKeyFileIsASecretKey(t *testing.T) {
	t.Parallel()
	if fips140.Enforced() {
		t.Skip("fips140=only: age")
	}
	id, err := age.GenerateX25519Identity()
	if err != nil {
		t.Fatal(err)
	}
	_, err = disclosure.ParseRecipient("# created: 2026-11-23T09:30:00Z\n# public key: " + id.Recipient().String() + "\n" + id.String() + "\n")
	refused, ok := errors.AsType[*disclosure.RecipientError](err)
	if !ok || refused.Code != "secret_key" {
		t.Errorf("got %v", err)
	}
}
