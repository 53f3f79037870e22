package keyring_test

import (
	"context"
	"errors"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/sealtrail/sealtrail/crypto/cryptotest"
	"github.com/sealtrail/sealtrail/crypto/keyring"
)

func unavailable(c keyring.Cause) error { return &keyring.UnavailableError{Cause: c, Op: "unwrap"} }

// TestUnreachableServiceLeavesLeasesTheirTime: contracts.md 5.
func TestUnreachableServiceLeavesLeasesTheirTime(t *testing.T) {
	t.Parallel()
	bubble(t, func(t *testing.T) {
		w := cryptotest.NewWrapper(t.Name())
		reqs := mint(t, w, 2)
		k := newRing(t, w, nil)
		ctx, stop := context.WithCancel(t.Context())
		go func() { _ = k.Run(ctx) }()
		use := func() error {
			l, err := k.Lend(t.Context(), reqs[0].Wrapped, reqs[0].ID, "r")
			l.Release()
			return err
		}
		if err := use(); err != nil {
			t.Fatal(err)
		}
		w.Fail(unavailable(keyring.CauseUnreachable))
		for range 5 {
			time.Sleep(10 * time.Second)
			if err := use(); err != nil {
				t.Fatalf("live lease: %v", err)
			}
		}
		if k.Health() == nil {
			t.Error("health is fine while the service is away")
		}
		if _, err := k.Lend(t.Context(), reqs[1].Wrapped, reqs[1].ID, "r"); keyring.CauseOf(err) != keyring.CauseUnreachable {
			t.Errorf("cold key: %v, want unreachable", err)
		}
		if _, _, err := k.Mint(t.Context(), id(9), "r"); !errors.Is(err, keyring.ErrUnavailable) {
			t.Errorf("new key: %v, want ErrUnavailable", err)
		}
		time.Sleep(10 * time.Second)
		if err := use(); !errors.Is(err, keyring.ErrUnavailable) {
			t.Errorf("after 60 s: %v, want ErrUnavailable", err)
		}
		w.Fail(nil) // heals without a restart
		if err := use(); err != nil {
			t.Errorf("healed: %v", err)
		}
		stop()
		synctest.Wait()
		if k.HasLive(reqs[0].ID) {
			t.Error("keys survive the end of Run")
		}
	})
}

// TestRefusalIsSeenWithinTwoSeconds: sealed, denied, revoked void all leases.
func TestRefusalIsSeenWithinTwoSeconds(t *testing.T) {
	t.Parallel()
	for _, cause := range []keyring.Cause{keyring.CauseSealed, keyring.CauseDenied} {
		bubble(t, func(t *testing.T) {
			w := cryptotest.NewWrapper(t.Name())
			req := mint(t, w, 1)[0]
			var heard string
			k := newRing(t, w, func(c *keyring.Config) { c.OnVoid = func(r string, _ int) { heard = r } })
			ctx, stop := context.WithCancel(t.Context())
			var wg sync.WaitGroup
			wg.Go(func() { _ = k.Run(ctx) })
			time.Sleep(1500 * time.Millisecond)
			if _, err := k.Lend(t.Context(), req.Wrapped, req.ID, "r"); err != nil {
				t.Fatal(err)
			}
			w.Fail(unavailable(cause))
			time.Sleep(2 * time.Second)
			if k.HasLive(req.ID) || heard != string(cause) {
				t.Errorf("%s: lease lives %v, heard %q", cause, k.HasLive(req.ID), heard)
			}
			stop()
			wg.Wait()
		})
	}
}

func TestRefusedCallVoidsAll(t *testing.T) {
	t.Parallel()
	w := cryptotest.NewWrapper(t.Name())
	reqs := mint(t, w, 2)
	k := newRing(t, w, nil)
	if _, err := k.Lend(t.Context(), reqs[0].Wrapped, reqs[0].ID, "r"); err != nil {
		t.Fatal(err)
	}
	w.Fail(unavailable(keyring.CauseDenied))
	if _, err := k.Lend(t.Context(), reqs[1].Wrapped, reqs[1].ID, "r"); keyring.CauseOf(err) != keyring.CauseDenied {
		t.Errorf("cold key: %v, want denied", err)
	}
	if k.HasLive(reqs[0].ID) {
		t.Error("lease survives a refusal")
	}
}

// TestNeverAHang: a service that never answers, at start and later.
func TestNeverAHang(t *testing.T) {
	t.Parallel()
	bubble(t, func(t *testing.T) {
		w := cryptotest.NewWrapper(t.Name())
		req := mint(t, w, 1)[0]
		k := newRing(t, w, nil)
		release := w.Hold()
		start := time.Now()
		_, err := k.Lend(t.Context(), req.Wrapped, req.ID, "r")
		if keyring.CauseOf(err) != keyring.CauseDeadline || time.Since(start) != 2*time.Second {
			t.Errorf("Lend after %v: %v", time.Since(start), err)
		}
		start = time.Now()
		_, _, err = k.Mint(t.Context(), id(1), "r")
		if keyring.CauseOf(err) != keyring.CauseDeadline || time.Since(start) != 2*time.Second {
			t.Errorf("Mint after %v: %v", time.Since(start), err)
		}
		start = time.Now()
		ctx, cancel := context.WithTimeout(t.Context(), 300*time.Millisecond)
		defer cancel()
		_, err = k.Lend(ctx, req.Wrapped, req.ID, "r")
		if keyring.CauseOf(err) != keyring.CauseDeadline || time.Since(start) != 300*time.Millisecond {
			t.Errorf("Lend with a shorter deadline after %v: %v", time.Since(start), err)
		}
		release()
		time.Sleep(time.Minute)
		if s := k.Stats(); s.Live != 0 {
			t.Errorf("%d keys were kept that nobody waited for", s.Live)
		}
	})
}

// leaky fails with what a careless Wrapper might say.
type leaky struct{ keyring.Wrapper }

func (leaky) Unwrap(context.Context, string, []keyring.UnwrapItem) ([]keyring.UnwrapResult, error) {
	return nil, errors.New("POST https://vault: body CANARY")
}

func TestUnknownErrorsAreTypedAndSilent(t *testing.T) {
	t.Parallel()
	_, err := newRing(t, leaky{}, nil).Lend(t.Context(), keyring.Wrapped{Blob: "x"}, id(0), "r")
	if !errors.Is(err, keyring.ErrUnavailable) || strings.Contains(err.Error(), "CANARY") {
		t.Errorf("error %q", err)
	}
	if keyring.CauseOf(errors.New("other")) != "" {
		t.Error("an unrelated error has a cause")
	}
}

// TestManyBorrowersUnderVoids is for the race detector: no key is used after it
// was overwritten, whatever happens at the same time.
func TestManyBorrowersUnderVoids(t *testing.T) {
	t.Parallel()
	w := cryptotest.NewWrapper(t.Name())
	reqs := mint(t, w, 20)
	k := newRing(t, w, func(c *keyring.Config) { c.MaxKeys = 5 })
	var wg sync.WaitGroup
	for g := range 8 {
		wg.Go(func() {
			for i := range 200 {
				r := reqs[(g*7+i)%len(reqs)]
				l, err := k.Lend(t.Context(), r.Wrapped, r.ID, "r")
				if err != nil {
					t.Error(err)
					return
				}
				if _, err := sealOne(l); err != nil {
					t.Errorf("borrowed key: %v", err)
				}
				if i%50 == g {
					k.VoidAll("test")
				}
				l.Release()
			}
		})
	}
	wg.Wait()
	k.VoidAll("end")
	if s := k.Stats(); s.Live != 0 {
		t.Errorf("%d live keys at the end", s.Live)
	}
}
