package keyring_test

import (
	"errors"
	"fmt"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/sealtrail/sealtrail/crypto/cryptotest"
	"github.com/sealtrail/sealtrail/crypto/keyring"
)

// TestCircuitOpensAndClosesByItself: after five calls that failed nobody waits
// any more, one call per pause goes through, and the first answer closes it.
func TestCircuitOpensAndClosesByItself(t *testing.T) {
	t.Parallel()
	bubble(t, func(t *testing.T) {
		w := cryptotest.NewWrapper(t.Name())
		req := mint(t, w, 1)[0]
		k := newRing(t, w, nil)
		lend := func() error {
			l, err := k.Lend(t.Context(), req.Wrapped, req.ID, "r")
			l.Release()
			return err
		}
		release := w.Hold() // nobody answers
		for i := range 5 {
			start := time.Now()
			if err := lend(); keyring.CauseOf(err) != keyring.CauseDeadline || time.Since(start) != 2*time.Second {
				t.Errorf("call %d after %v: %v", i, time.Since(start), err)
			}
			synctest.Wait()
		}
		start := time.Now()
		for range 100 {
			if err := lend(); keyring.CauseOf(err) != keyring.CauseCircuit || !errors.Is(err, keyring.ErrUnavailable) {
				t.Fatalf("open: %v", err)
			}
		}
		if _, _, err := k.Mint(t.Context(), id(3), "e"); keyring.CauseOf(err) != keyring.CauseCircuit {
			t.Errorf("a new key: %v", err)
		}
		if time.Since(start) != 0 || unwraps(w) != 5 {
			t.Errorf("waited %v and made %d calls", time.Since(start), unwraps(w))
		}
		if s := k.Stats(); s.Spared != 101 {
			t.Errorf("spared %d calls", s.Spared)
		}
		time.Sleep(500 * time.Millisecond)
		if err := lend(); keyring.CauseOf(err) != keyring.CauseDeadline || unwraps(w) != 6 {
			t.Errorf("half open: %v after %d calls", err, unwraps(w))
		}
		release() // it is back
		healed := time.Now()
		for lend() != nil {
			time.Sleep(10 * time.Millisecond)
		}
		if d := time.Since(healed); d > 2*time.Second {
			t.Errorf("healed after %v", d)
		}
		k.VoidAll("test")
		for range 4 {
			if err := lend(); err != nil {
				t.Errorf("closed: %v", err)
			}
		}
	})
}

// TestSlowCallsDoNotOpenTheCircuit: one that fails, or any number that do not
// follow one another, or refusals, which are answers.
func TestSlowCallsDoNotOpenTheCircuit(t *testing.T) {
	t.Parallel()
	c := keyring.NewCircuit(keyring.CircuitConfig{})
	call := func(err error) {
		t.Helper()
		if got := c.Allow("unwrap"); got != nil {
			t.Fatal(got)
		}
		c.Done(err)
	}
	for range 3 {
		for range 4 {
			call(unavailable(keyring.CauseDeadline))
		}
		call(nil)
	}
	for range 20 {
		call(unavailable(keyring.CauseDenied))
		call(unavailable(keyring.CauseRejected))
	}
	if c.Open() {
		t.Error("open")
	}
	for i := range 5 {
		if c.Open() {
			t.Errorf("open after %d failures", i)
		}
		call(unavailable([]keyring.Cause{keyring.CauseUnreachable, keyring.CauseSealed, keyring.CauseThrottled, keyring.CauseDeadline}[i%4]))
	}
	if !c.Open() || keyring.CauseOf(c.Allow("unwrap")) != keyring.CauseCircuit {
		t.Error("not open after five failures")
	}
}

// TestJoinerDoesNotInheritAnothersDeadline: who joins a call just before it is
// given up is served by the next one.
func TestJoinerDoesNotInheritAnothersDeadline(t *testing.T) {
	t.Parallel()
	bubble(t, func(t *testing.T) {
		w := cryptotest.NewWrapper(t.Name())
		req := mint(t, w, 1)[0]
		k := newRing(t, w, nil)
		release := w.Hold()
		var wg sync.WaitGroup
		wg.Go(func() {
			if _, err := k.Lend(t.Context(), req.Wrapped, req.ID, "early"); keyring.CauseOf(err) != keyring.CauseDeadline {
				t.Errorf("the first: %v, want deadline", err)
			}
		})
		time.Sleep(1999 * time.Millisecond)
		wg.Go(func() {
			l, err := k.Lend(t.Context(), req.Wrapped, req.ID, "late")
			if err != nil {
				t.Errorf("the joiner: %v", err)
			}
			l.Release()
		})
		time.Sleep(500 * time.Millisecond)
		release()
		wg.Wait()
		if n := unwraps(w); n != 2 {
			t.Errorf("%d calls, want 2", n)
		}
	})
}

// TestOneCallPerPauseGoesThrough, whoever comes at once.
func TestOneCallPerPauseGoesThrough(t *testing.T) {
	t.Parallel()
	now := time.Unix(0, 0)
	c := keyring.NewCircuit(keyring.CircuitConfig{Failures: 2, Pause: time.Second, Now: func() time.Time { return now }})
	for range 2 {
		c.Done(unavailable(keyring.CauseUnreachable))
	}
	for round := range 3 {
		now = now.Add(time.Second)
		var mu sync.Mutex
		passed := 0
		var wg sync.WaitGroup
		for range 20 {
			wg.Go(func() {
				if c.Allow("wrap") == nil {
					mu.Lock()
					passed++
					mu.Unlock()
				}
			})
		}
		wg.Wait()
		if passed != 1 {
			t.Errorf("round %d: %d calls went through", round, passed)
		}
	}
	c.Done(nil)
	if c.Open() || c.Allow("wrap") != nil {
		t.Error("an answer did not close it")
	}
}

// A caller of a service that does not answer asks the circuit first.
func ExampleCircuit() {
	c := keyring.NewCircuit(keyring.CircuitConfig{Failures: 2})
	for range 3 {
		if err := c.Allow("unwrap"); err != nil {
			fmt.Println(err)
			continue
		}
		c.Done(&keyring.UnavailableError{Cause: keyring.CauseUnreachable, Op: "unwrap"})
	}
	// Output: unwrap: key service unavailable: circuit
}
