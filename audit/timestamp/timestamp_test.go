package timestamp_test

import (
	"bytes"
	"crypto/x509"
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/sealtrail/sealtrail/audit"
	"github.com/sealtrail/sealtrail/audit/timestamp"
	"github.com/sealtrail/sealtrail/audit/timestamp/tsatest"
)

var text = audit.Checkpoint{Origin: "sealtrail.example/demo/2026", Size: 3, Root: [32]byte{7}}.Marshal()

func roots(t testing.TB, a *tsatest.Authority) *x509.CertPool {
	t.Helper()
	pool, err := timestamp.Roots(a.CA)
	if err != nil {
		t.Fatal(err)
	}
	return pool
}

func ask(t testing.TB, a *tsatest.Authority, text []byte) (*timestamp.Request, []byte) {
	t.Helper()
	r, err := timestamp.NewRequest(text)
	if err != nil {
		t.Fatal(err)
	}
	answer, err := a.Reply(r.DER)
	if err != nil {
		t.Fatal(err)
	}
	return r, answer
}

func TestTokenOfOpenSSL(t *testing.T) {
	t.Parallel()
	a := tsatest.New(t, tsatest.Config{})
	r, answer := ask(t, a, text)
	token, err := r.Check(answer, roots(t, a))
	if err != nil {
		t.Fatal(err)
	}
	if token.Authority != "CN=TSA of the tests" || time.Since(token.Time).Abs() > time.Minute || token.Accuracy != time.Second {
		t.Errorf("token %+v", token)
	}
	if _, err := timestamp.Verify(answer, append(bytes.Clone(text), "x\n"...), roots(t, a)); !errors.Is(err, timestamp.ErrDigest) {
		t.Errorf("another text: %v", err)
	}
	other, _ := ask(t, a, text)
	if _, err := other.Check(answer, roots(t, a)); !errors.Is(err, timestamp.ErrNonce) {
		t.Errorf("an old answer to a new request: %v", err)
	}
	stranger := tsatest.New(t, tsatest.Config{})
	if _, err := timestamp.Verify(answer, text, roots(t, stranger)); !errors.Is(err, timestamp.ErrUntrusted) {
		t.Errorf("another authority: %v", err)
	}
	if _, err := timestamp.Verify(answer, text, nil); !errors.Is(err, timestamp.ErrUntrusted) {
		t.Errorf("no authority: %v", err)
	}
}

// Whatever byte of a response is changed, it is refused, or says the very same: bytes that nobody signs (the response's own status
// text, an unused certificate of the chain) may differ.
func TestEveryChangedByteIsRefusedOrMeansNothing(t *testing.T) {
	t.Parallel()
	a := tsatest.New(t, tsatest.Config{})
	_, answer := ask(t, a, text)
	pool := roots(t, a)
	good, err := timestamp.Verify(answer, text, pool)
	if err != nil {
		t.Fatal(err)
	}
	accepted := 0
	for i := range answer {
		for _, flip := range []byte{1, 0x80} {
			bad := bytes.Clone(answer)
			bad[i] ^= flip
			got, err := timestamp.Verify(bad, text, pool)
			if err != nil {
				continue
			}
			accepted++
			if !got.Time.Equal(good.Time) || got.Authority != good.Authority || got.Accuracy != good.Accuracy {
				t.Fatalf("byte %d changed: %+v instead of %+v", i, got, good)
			}
		}
	}
	if accepted > len(answer)/2 {
		t.Errorf("%d of %d changed responses were accepted", accepted, 2*len(answer))
	}
}

// A certificate that was not valid when the token says, or that is not for time stamps alone, is no authority's.
func TestCertificateMustBeForTimeStampsThen(t *testing.T) {
	t.Parallel()
	now := time.Now().Truncate(time.Second)
	good := tsatest.New(t, tsatest.Config{NotAfter: now.Add(time.Hour)})
	for name, test := range map[string]struct {
		a    *tsatest.Authority
		at   time.Time
		want error
	}{
		"good":           {good, now, nil},
		"years ago":      {good, now.Add(-72 * time.Hour), timestamp.ErrUntrusted},
		"after its end":  {good, now.Add(2 * time.Hour), timestamp.ErrUntrusted},
		"of a server":    {tsatest.New(t, tsatest.Config{Usage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth}}), now, timestamp.ErrUntrusted},
		"also a server":  {tsatest.New(t, tsatest.Config{Usage: []x509.ExtKeyUsage{x509.ExtKeyUsageTimeStamping, x509.ExtKeyUsageServerAuth}}), now, timestamp.ErrUntrusted},
		"long out of it": {tsatest.New(t, tsatest.Config{NotAfter: now.Add(-time.Hour)}), now, timestamp.ErrUntrusted},
	} {
		answer, err := test.a.Forge(text, test.at)
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		token, err := timestamp.Verify(answer, text, roots(t, test.a))
		if !errors.Is(err, test.want) {
			if test.want != nil && errors.Is(err, timestamp.ErrMalformed) {
				continue // its signing time alone is outside of the certificate: refused before the chain
			}
			t.Errorf("%s: %v, want %v", name, err, test.want)
		}
		if test.want == nil && !token.Time.Equal(test.at) {
			t.Errorf("%s: %v", name, token.Time)
		}
	}
}

func FuzzVerify(f *testing.F) {
	a := tsatest.New(f, tsatest.Config{})
	_, answer := ask(f, a, text)
	f.Add(answer)
	f.Add([]byte{})
	pool := roots(f, a)
	f.Fuzz(func(t *testing.T, data []byte) {
		token, err := timestamp.Verify(data, text, pool)
		if err == nil && token.Time.IsZero() {
			t.Fatal("taken without a time")
		}
	})
}

// The answer of an authority counts only under the certificate that the reader brings.
func ExampleRequest() {
	r, err := timestamp.NewRequest([]byte("sealtrail.example/demo/2026\n3\nCsUYapGGPo4dkMgIAUqom/Xajj7h2fB2MPA3j2jxq2I=\n"))
	if err != nil {
		fmt.Println(err)
		return
	}
	_, err = r.Check([]byte("no answer"), nil)
	fmt.Println(errors.Is(err, timestamp.ErrMalformed))
	// Output: true
}
