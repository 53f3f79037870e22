package cryptotest_test

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/sealtrail/sealtrail/crypto/blindindex"
	"github.com/sealtrail/sealtrail/crypto/cryptotest"
	"github.com/sealtrail/sealtrail/crypto/keyring"
)

// TestWrapperBehavesLikeTheRealOne: what transit's tests show of Vault.
func TestWrapperBehavesLikeTheRealOne(t *testing.T) {
	t.Parallel()
	w := cryptotest.NewWrapper("seed")
	wrapped, err := w.Wrap(t.Context(), "b-1", []keyring.WrapItem{{Reference: "r", Context: []byte("c"), Plaintext: []byte("key")}})
	if err != nil || wrapped[0].Err != nil {
		t.Fatal(err, wrapped)
	}
	unwrap := func(w *cryptotest.Wrapper, keyContext, blob string) ([]byte, error) {
		res, err := w.Unwrap(t.Context(), "b-2", []keyring.UnwrapItem{{Reference: "r", Context: []byte(keyContext), Blob: blob}})
		if err != nil {
			return nil, err
		}
		return res[0].Plaintext, res[0].Err
	}
	if got, err := unwrap(cryptotest.NewWrapper("seed"), "c", wrapped[0].Blob); err != nil || string(got) != "key" {
		t.Errorf("same seed: %q, %v", got, err)
	}
	for name, bad := range map[string]func() ([]byte, error){
		"seed":    func() ([]byte, error) { return unwrap(cryptotest.NewWrapper("other"), "c", wrapped[0].Blob) },
		"context": func() ([]byte, error) { return unwrap(w, "d", wrapped[0].Blob) },
		"blob":    func() ([]byte, error) { return unwrap(w, "c", wrapped[0].Blob+"AAAA") },
		"prefix":  func() ([]byte, error) { return unwrap(w, "c", "x") },
		"empty":   func() ([]byte, error) { return unwrap(w, "c", "") },
	} {
		if got, err := bad(); !errors.Is(err, keyring.ErrIntegrity) || got != nil {
			t.Errorf("other %s: %q, %v; want ErrIntegrity", name, got, err)
		}
	}
	if c := w.Calls()[0]; c.Op != "wrap" || c.Batch != "b-1" || c.References[0] != "r" {
		t.Errorf("first call %+v", c)
	}
}

func TestWrapperFailsAsTold(t *testing.T) {
	t.Parallel()
	w := cryptotest.NewWrapper("seed")
	boom := errors.New("boom")
	w.Fail(boom)
	if err := w.Probe(t.Context()); !errors.Is(err, boom) {
		t.Errorf("Probe = %v", err)
	}
	w.Fail(nil)
	w.FailItem("bad", boom)
	res, err := w.Wrap(t.Context(), "b", []keyring.WrapItem{{Reference: "good"}, {Reference: "bad"}})
	if err != nil || res[0].Err != nil || !errors.Is(res[1].Err, boom) {
		t.Errorf("Wrap = %+v, %v", res, err)
	}
	release := w.Hold()
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Millisecond)
	defer cancel()
	if err := w.Probe(ctx); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("held Probe = %v", err)
	}
	release()
	release()
	if err := w.Probe(t.Context()); err != nil {
		t.Errorf("released Probe = %v", err)
	}
	x := cryptotest.NewIndexer("i", "seed")
	x.Fail(boom)
	if _, err := x.Tokens(t.Context(), []blindindex.Item{{}}); !errors.Is(err, boom) {
		t.Errorf("Tokens = %v", err)
	}
}
