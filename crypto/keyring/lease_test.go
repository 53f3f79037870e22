package keyring_test

import (
	"context"
	"errors"
	"runtime"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"

	"github.com/sealtrail/sealtrail/crypto/cryptotest"
	"github.com/sealtrail/sealtrail/crypto/keyring"
)

// TestKindsOfKeysAreApart: the two spellings of a record's kind are one key, and
// a key of one kind never opens as one of another.
func TestKindsOfKeysAreApart(t *testing.T) {
	t.Parallel()
	w := cryptotest.NewWrapper(t.Name())
	plain := id(0)
	spelt, file, intake := plain, plain, plain
	spelt.Kind, file.Kind, intake.Kind = keyring.KindRecord, keyring.KindFile, keyring.KindIntake
	if string(plain.Context()) != string(spelt.Context()) {
		t.Error("kind 0 and kind 1 have two contexts")
	}
	if string(plain.Context()) == string(file.Context()) || string(file.Context()) == string(intake.Context()) {
		t.Error("two kinds share a context")
	}
	k := newRing(t, w, nil)
	_, wrapped, err := k.Mint(t.Context(), file, "e")
	if err != nil {
		t.Fatal(err)
	}
	for _, other := range []keyring.RecordID{plain, spelt, intake} {
		if _, err := k.Lend(t.Context(), wrapped, other, "r"); !errors.Is(err, keyring.ErrIntegrity) {
			t.Errorf("a file's key as kind %d: %v, want ErrIntegrity", other.Kind, err)
		}
	}
	if _, _, err := k.Mint(t.Context(), spelt, "e"); err != nil {
		t.Fatal(err)
	}
	if !k.HasLive(plain) || !k.HasLive(file) || !k.Void(plain) || k.HasLive(spelt) || !k.HasLive(file) {
		t.Error("the spellings of one kind are not one key, or two kinds are")
	}
}

// TestKeyIsUnwrappedAgainAfterMaxUses, however many wait for it at once.
func TestKeyIsUnwrappedAgainAfterMaxUses(t *testing.T) {
	t.Parallel()
	w := cryptotest.NewWrapper(t.Name())
	req := mint(t, w, 1)[0]
	k := newRing(t, w, func(c *keyring.Config) { c.MaxUses = 3 })
	for i := range 7 {
		l, err := k.Lend(t.Context(), req.Wrapped, req.ID, "r")
		if err != nil {
			t.Fatal(err)
		}
		if want := uint64(i%3 + 1); l.Use() != want {
			t.Errorf("lend %d is use %d, want %d", i, l.Use(), want)
		}
		l.Release()
	}
	if n := unwraps(w); n != 3 {
		t.Errorf("%d unwraps for 7 uses, want 3", n)
	}
	bubble(t, func(t *testing.T) {
		w := cryptotest.NewWrapper(t.Name())
		req := mint(t, w, 1)[0]
		k := newRing(t, w, func(c *keyring.Config) { c.MaxUses = 3 })
		release := w.Hold()
		var wg sync.WaitGroup
		for range 10 {
			wg.Go(func() {
				l, err := k.Lend(t.Context(), req.Wrapped, req.ID, "r")
				if err != nil || l.Use() > 3 {
					t.Errorf("use %d, %v", l.Use(), err)
				}
			})
		}
		synctest.Wait()
		release()
		wg.Wait()
		if n := unwraps(w); n != 4 {
			t.Errorf("%d unwraps for 10 uses at once, want 4", n)
		}
	})
}

// TestPolicyActivationWithdrawsKeys, and what was decided before it is refused.
func TestPolicyActivationWithdrawsKeys(t *testing.T) {
	t.Parallel()
	w := cryptotest.NewWrapper(t.Name())
	req := mint(t, w, 1)[0]
	var heard []string
	k := newRing(t, w, func(c *keyring.Config) { c.OnVoid = func(why string, _ int) { heard = append(heard, why) } })
	lend := func(policy uint64) error {
		r := req
		r.Policy = policy
		l, err := k.LendOne(t.Context(), r)
		l.Release()
		return err
	}
	if err := lend(0); err != nil {
		t.Errorf("without generations: %v", err)
	}
	if n := k.SetPolicy(7); n != 1 || k.HasLive(req.ID) || k.Policy() != 7 {
		t.Errorf("activation withdrew %d keys, live %v", n, k.HasLive(req.ID))
	}
	for _, old := range []uint64{0, 6} {
		if err := lend(old); !errors.Is(err, keyring.ErrSuperseded) || errors.Is(err, keyring.ErrUnavailable) {
			t.Errorf("decided under generation %d: %v, want ErrSuperseded", old, err)
		}
	}
	if err := lend(7); err != nil || !k.HasLive(req.ID) {
		t.Errorf("decided under the active policy: %v", err)
	}
	if err := lend(6); !errors.Is(err, keyring.ErrSuperseded) || !k.HasLive(req.ID) {
		t.Errorf("an older decision beside a live key: %v, live %v", err, k.HasLive(req.ID))
	}
	if n := k.SetPolicy(7) + k.SetPolicy(3); n != 0 || k.Policy() != 7 {
		t.Errorf("a generation that is not newer withdrew %d keys", n)
	}
	before := unwraps(w)
	if err := lend(8); err != nil || unwraps(w) != before+1 || k.Policy() != 8 {
		t.Errorf("a newer decision before the activation was told: %v, %d calls", err, unwraps(w)-before)
	}
	mixed := []keyring.LendRequest{req, req}
	mixed[0].Policy, mixed[1].Policy = 8, 9
	res := k.LendBatch(t.Context(), mixed)
	if !errors.Is(res[0].Err, keyring.ErrSuperseded) || res[1].Err != nil {
		t.Errorf("one batch of two generations: %v, %v", res[0].Err, res[1].Err)
	}
	if len(heard) != 3 || heard[0] != "policy" {
		t.Errorf("heard %q", heard)
	}
}

// TestActivationDuringACallRefusesTheCaller: the key was asked for under the
// old policy and came under the new one.
func TestActivationDuringACallRefusesTheCaller(t *testing.T) {
	t.Parallel()
	bubble(t, func(t *testing.T) {
		w := cryptotest.NewWrapper(t.Name())
		req := mint(t, w, 1)[0]
		req.Policy = 1
		k := newRing(t, w, nil)
		k.SetPolicy(1)
		release := w.Hold()
		got := make(chan error)
		go func() {
			l, err := k.LendOne(t.Context(), req)
			l.Release()
			got <- err
		}()
		synctest.Wait()
		k.SetPolicy(2)
		release()
		if err := <-got; !errors.Is(err, keyring.ErrSuperseded) || k.HasLive(req.ID) {
			t.Errorf("%v, live %v; want ErrSuperseded and no key", err, k.HasLive(req.ID))
		}
	})
}

// TestNoKeyOutlivesItsPolicy races activations against borrowers: whoever is
// lent a key was decided under the generation active when it was lent, never
// under one that had ended before she asked.
func TestNoKeyOutlivesItsPolicy(t *testing.T) {
	t.Parallel()
	w := cryptotest.NewWrapper(t.Name())
	reqs := mint(t, w, 4)
	k := newRing(t, w, nil)
	var active atomic.Uint64
	active.Store(1)
	k.SetPolicy(1)
	var wg sync.WaitGroup
	for g := range 6 {
		wg.Go(func() {
			for i := range 300 {
				r := reqs[(g+i)%len(reqs)]
				decided := active.Load()
				ended := k.Policy() // if it is newer, the decision is already old
				r.Policy = decided
				l, err := k.LendOne(context.Background(), r)
				switch {
				case err == nil && decided < ended:
					t.Errorf("lent under generation %d after %d was active", decided, ended)
				case err != nil && !errors.Is(err, keyring.ErrSuperseded):
					t.Error(err)
				}
				l.Release()
			}
		})
	}
	wg.Go(func() {
		for g := uint64(2); g < 60; g++ {
			k.SetPolicy(g)
			active.Store(g)
			runtime.Gosched() // some room for the borrowers
		}
	})
	wg.Wait()
	if k.VoidAll("end"); k.Stats().Live != 0 {
		t.Error("keys are left")
	}
}

// TestNewKeyIsNotKeptWhenKeysAreWithdrawnMeanwhile, but its maker has it.
func TestNewKeyIsNotKeptWhenKeysAreWithdrawnMeanwhile(t *testing.T) {
	t.Parallel()
	for name, void := range map[string]func(*keyring.Keyring){
		"all":    func(k *keyring.Keyring) { k.VoidAll("sealed") },
		"one":    func(k *keyring.Keyring) { k.Void(id(0)) },
		"policy": func(k *keyring.Keyring) { k.SetPolicy(2) },
	} {
		bubble(t, func(t *testing.T) {
			w := cryptotest.NewWrapper(t.Name())
			k := newRing(t, w, nil)
			release := w.Hold()
			var wg sync.WaitGroup
			wg.Go(func() {
				l, _, err := k.Mint(t.Context(), id(0), "e")
				if err != nil {
					t.Errorf("%s: %v", name, err)
					return
				}
				if _, err := sealOne(l); err != nil {
					t.Errorf("%s: the maker's key: %v", name, err)
				}
				if k.HasLive(id(0)) {
					t.Errorf("%s: kept", name)
				}
				l.Release()
			})
			wg.Go(func() {
				l, _, err := k.Mint(t.Context(), id(1), "e")
				if err != nil || k.HasLive(id(1)) != (name == "one") {
					t.Errorf("%s: another record's new key is kept %v, %v", name, k.HasLive(id(1)), err)
				}
				l.Release()
			})
			synctest.Wait()
			void(k)
			release()
			wg.Wait()
		})
	}
}
