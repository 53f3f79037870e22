package keyring_test

import (
	"bytes"
	"context"
	"crypto/fips140"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/sealtrail/sealtrail/crypto/cryptotest"
	"github.com/sealtrail/sealtrail/crypto/field"
	"github.com/sealtrail/sealtrail/crypto/keyring"
)

// bubble runs f in fake time. Not in FIPS mode: the module's entropy source
// measures the jitter of the real clock, which fake time does not have.
func bubble(t *testing.T, f func(*testing.T)) {
	t.Helper()
	if fips140.Enabled() {
		t.Skip("fake time starves the FIPS entropy source")
	}
	synctest.Test(t, f)
}

func newRing(tb testing.TB, w keyring.Wrapper, change func(*keyring.Config)) *keyring.Keyring {
	tb.Helper()
	cfg := keyring.Config{Wrapper: w, MaxKeys: 100}
	if change != nil {
		change(&cfg)
	}
	k, err := keyring.New(cfg)
	if err != nil {
		tb.Fatal(err)
	}
	return k
}

func id(n int) keyring.RecordID {
	return keyring.RecordID{Institution: "bank-a", Record: fmt.Sprintf("rec-%d", n), Generation: 1}
}

// mint makes and stores n keys with another ring, so that they are cold.
func mint(tb testing.TB, w keyring.Wrapper, n int) []keyring.LendRequest {
	tb.Helper()
	reqs := make([]keyring.MintRequest, n)
	for i := range reqs {
		reqs[i] = keyring.MintRequest{ID: id(i), Reference: fmt.Sprint("mint-", i)}
	}
	out := make([]keyring.LendRequest, n)
	for i, r := range newRing(tb, w, nil).MintBatch(context.Background(), reqs) {
		if r.Err != nil {
			tb.Fatal(r.Err)
		}
		r.Lease.Release()
		out[i] = keyring.LendRequest{ID: id(i), Wrapped: r.Wrapped, Reference: fmt.Sprint("read-", i)}
	}
	return out
}

func place(n int) field.Place {
	return field.Place{Institution: "bank-a", Record: id(n).Record, RecordType: "t", Path: "p", Generation: 1}
}

func unwraps(w *cryptotest.Wrapper) (n int) {
	for _, c := range w.Calls() {
		if c.Op == "unwrap" {
			n++
		}
	}
	return n
}

func TestMintedKeyComesBack(t *testing.T) {
	t.Parallel()
	w := cryptotest.NewWrapper(t.Name())
	minted, wrapped, err := newRing(t, w, nil).Mint(t.Context(), id(0), "e-1")
	if err != nil {
		t.Fatal(err)
	}
	env, err := field.Seal(minted.Key(), place(0), []byte("v"), field.Short)
	if err != nil {
		t.Fatal(err)
	}
	lent, err := newRing(t, w, nil).Lend(t.Context(), wrapped, id(0), "e-2")
	if err != nil {
		t.Fatal(err)
	}
	p, err := field.Open(lent.Key(), place(0), env)
	if err != nil || string(p.Expose()) != "v" {
		t.Errorf("Open = %q, %v", p.Expose(), err)
	}
	calls := w.Calls()
	if len(calls) != 2 || calls[0].References[0] != "e-1" || calls[1].References[0] != "e-2" {
		t.Errorf("calls %+v", calls)
	}
	if minted.Batch() != calls[0].Batch || lent.Batch() != calls[1].Batch || lent.Item() != 0 || lent.Use() != 1 ||
		lent.KeyVersion() != 1 || lent.ID() != id(0) {
		t.Errorf("lease: batch %q item %d use %d", lent.Batch(), lent.Item(), lent.Use())
	}
}

func TestLiveLeaseMakesNoCall(t *testing.T) {
	t.Parallel()
	w := cryptotest.NewWrapper(t.Name())
	req := mint(t, w, 1)[0]
	k := newRing(t, w, nil)
	var batch string
	for use := range uint64(5) {
		l, err := k.Lend(t.Context(), req.Wrapped, req.ID, "r")
		if err != nil {
			t.Fatal(err)
		}
		if use == 0 {
			batch = l.Batch()
		}
		if l.Use() != use+1 || l.Batch() != batch {
			t.Errorf("use %d of batch %q, want %d of %q", l.Use(), l.Batch(), use+1, batch)
		}
		l.Release()
		l.Release() // a second Release does nothing
	}
	if n := unwraps(w); n != 1 {
		t.Errorf("%d unwrap calls, want 1", n)
	}
	if s := k.Stats(); s.Hits != 4 || s.Misses != 1 || s.Live != 1 || s.Calls != 1 || s.Items != 1 {
		t.Errorf("stats %+v", s)
	}
}

func TestColdPageIsOneCall(t *testing.T) {
	t.Parallel()
	w := cryptotest.NewWrapper(t.Name())
	reqs := mint(t, w, 50)
	for i, r := range newRing(t, w, nil).LendBatch(t.Context(), reqs) {
		if r.Err != nil || r.Lease.ID() != id(i) || r.Lease.Item() != i {
			t.Errorf("%d: %v", i, r.Err)
		}
	}
	if n := unwraps(w); n != 1 {
		t.Errorf("%d unwrap calls, want 1", n)
	}
}

func TestLeaseEndsHardAndIdle(t *testing.T) {
	t.Parallel()
	bubble(t, func(t *testing.T) {
		w := cryptotest.NewWrapper(t.Name())
		req := mint(t, w, 1)[0]
		k := newRing(t, w, nil)
		lend := func() {
			t.Helper()
			l, err := k.Lend(t.Context(), req.Wrapped, req.ID, "r")
			if err != nil {
				t.Fatal(err)
			}
			l.Release()
		}
		lend()
		for range 5 { // used every 10 s: lives to 60 s
			time.Sleep(10 * time.Second)
			lend()
		}
		if n := unwraps(w); n != 1 {
			t.Errorf("after 50 s of use: %d calls, want 1", n)
		}
		time.Sleep(10 * time.Second)
		if k.HasLive(req.ID) {
			t.Error("lives after the hard 60 s")
		}
		lend()
		time.Sleep(14 * time.Second)
		if !k.HasLive(req.ID) {
			t.Error("dead after 14 s idle")
		}
		time.Sleep(time.Second)
		if k.HasLive(req.ID) {
			t.Error("lives after 15 s idle")
		}
		lend()
		if n := unwraps(w); n != 3 {
			t.Errorf("%d calls, want 3", n)
		}
	})
}

func TestVoidedKeyIsZeroedWhenTheLastReturnsIt(t *testing.T) {
	t.Parallel()
	w := cryptotest.NewWrapper(t.Name())
	req := mint(t, w, 1)[0]
	heard := ""
	k := newRing(t, w, func(c *keyring.Config) { c.OnVoid = func(r string, n int) { heard = fmt.Sprint(r, n) } })
	a, _ := k.Lend(t.Context(), req.Wrapped, req.ID, "a")
	b, _ := k.Lend(t.Context(), req.Wrapped, req.ID, "b")
	key := a.Key()
	if n := k.VoidAll("policy"); n != 1 || heard != "policy1" {
		t.Errorf("voided %d, heard %q", n, heard)
	}
	if k.HasLive(req.ID) {
		t.Error("voided key is live")
	}
	a.Release()
	if _, err := field.Seal(b.Key(), place(0), []byte("v"), field.Exact); err != nil {
		t.Errorf("the other borrower lost its key: %v", err)
	}
	if _, err := field.Seal(a.Key(), place(0), nil, field.Exact); !errors.Is(err, field.ErrDestroyed) {
		t.Errorf("released lease: %v, want ErrDestroyed", err)
	}
	b.Release()
	if _, err := field.Seal(key, place(0), nil, field.Exact); !errors.Is(err, field.ErrDestroyed) {
		t.Errorf("after the last return: %v, want ErrDestroyed", err)
	}
	c, err := k.Lend(t.Context(), req.Wrapped, req.ID, "c")
	if err != nil || c.Use() != 1 || unwraps(w) != 2 {
		t.Errorf("next lend: %v, %d unwraps", err, unwraps(w))
	}
	if !k.Void(req.ID) || k.Void(req.ID) || k.HasLive(req.ID) {
		t.Error("Void of one key is wrong")
	}
}

func TestVoidDuringACallUnwrapsAgain(t *testing.T) {
	t.Parallel()
	for name, void := range map[string]func(*keyring.Keyring){
		"all": func(k *keyring.Keyring) { k.VoidAll("policy") },
		"one": func(k *keyring.Keyring) { k.Void(id(0)) },
	} {
		bubble(t, func(t *testing.T) {
			w := cryptotest.NewWrapper(t.Name())
			req := mint(t, w, 1)[0]
			k := newRing(t, w, nil)
			release := w.Hold()
			done := make(chan error)
			go func() {
				l, err := k.Lend(t.Context(), req.Wrapped, req.ID, "r")
				if err == nil {
					l.Release()
				}
				done <- err
			}()
			synctest.Wait()
			void(k)
			release()
			if err := <-done; err != nil || unwraps(w) != 2 {
				t.Errorf("%s: %v after %d unwraps, want 2", name, err, unwraps(w))
			}
		})
	}
}

func TestEvictionKeepsTheRecentlyUsed(t *testing.T) {
	t.Parallel()
	w := cryptotest.NewWrapper(t.Name())
	reqs := mint(t, w, 4)
	k := newRing(t, w, func(c *keyring.Config) { c.MaxKeys = 3 })
	var held []*keyring.Lease
	for _, n := range []int{0, 1, 2, 0, 3} {
		l, err := k.Lend(t.Context(), reqs[n].Wrapped, reqs[n].ID, "r")
		if err != nil {
			t.Fatal(err)
		}
		held = append(held, l)
	}
	if k.HasLive(id(1)) || !k.HasLive(id(0)) || !k.HasLive(id(2)) || !k.HasLive(id(3)) {
		t.Error("the wrong key was evicted")
	}
	for i, l := range held { // also the evicted one works until it is returned
		if _, err := field.Seal(l.Key(), place(0), nil, field.Exact); err != nil {
			t.Errorf("lease %d: %v", i, err)
		}
		l.Release()
	}
	if s := k.Stats(); s.Live != 3 {
		t.Errorf("%d live keys, want 3", s.Live)
	}
}

func TestOneBadItemNeverFailsItsNeighbours(t *testing.T) {
	t.Parallel()
	w := cryptotest.NewWrapper(t.Name())
	reqs := mint(t, w, 6)
	reqs[1].Wrapped.Blob = "nonsense"
	reqs[2].Wrapped.Blob = ""
	reqs[3].Wrapped.Commitment[0] ^= 1
	reqs[4].ID.Record = ""
	w.FailItem("read-5", keyring.ErrRetired)
	res := newRing(t, w, nil).LendBatch(t.Context(), reqs)
	if res[0].Err != nil || res[0].Lease == nil {
		t.Errorf("good item: %v", res[0].Err)
	}
	for _, i := range []int{1, 2, 3} {
		if !errors.Is(res[i].Err, keyring.ErrIntegrity) || res[i].Lease != nil {
			t.Errorf("item %d: %v, want ErrIntegrity", i, res[i].Err)
		}
	}
	if res[4].Err == nil || !errors.Is(res[5].Err, keyring.ErrRetired) {
		t.Errorf("items 4 and 5: %v, %v", res[4].Err, res[5].Err)
	}
	w.FailItem("m-1", keyring.ErrIntegrity)
	minted := newRing(t, w, nil).MintBatch(t.Context(), []keyring.MintRequest{{id(7), "m-0"}, {id(8), "m-1"}, {keyring.RecordID{}, "m-2"}})
	if minted[0].Err != nil || minted[1].Err == nil || minted[1].Lease != nil || minted[2].Err == nil {
		t.Errorf("minted: %v, %v, %v", minted[0].Err, minted[1].Err, minted[2].Err)
	}
}

func TestCacheDoesNotServeAChangedRow(t *testing.T) {
	t.Parallel()
	w := cryptotest.NewWrapper(t.Name())
	reqs := mint(t, w, 2)
	k := newRing(t, w, nil)
	for _, r := range k.LendBatch(t.Context(), reqs) {
		if r.Err != nil {
			t.Fatal(r.Err)
		}
	}
	// The other record's wrapped key, by SQL, while both keys are live.
	if _, err := k.Lend(t.Context(), reqs[1].Wrapped, reqs[0].ID, "r"); !errors.Is(err, keyring.ErrIntegrity) {
		t.Errorf("swapped wrapped key: %v, want ErrIntegrity", err)
	}
}

// TestEveryFlippedByteOfAWrappedKeyIsRefused, and every other record.
func TestEveryFlippedByteOfAWrappedKeyIsRefused(t *testing.T) {
	t.Parallel()
	w := cryptotest.NewWrapper(t.Name())
	req := mint(t, w, 1)[0]
	var reqs []keyring.LendRequest
	for i := range req.Wrapped.Blob {
		bad := req
		b := []byte(bad.Wrapped.Blob)
		b[i] ^= 1
		bad.Wrapped.Blob = string(b)
		reqs = append(reqs, bad)
	}
	for i := range req.Wrapped.Commitment {
		bad := req
		bad.Wrapped.Commitment[i] ^= 1
		reqs = append(reqs, bad)
	}
	for _, change := range []func(*keyring.RecordID){
		func(r *keyring.RecordID) { r.Institution = "bank-b" },
		func(r *keyring.RecordID) { r.Record += "0" },
		func(r *keyring.RecordID) { r.Generation++ },
		func(r *keyring.RecordID) { r.Institution, r.Record = r.Institution+"r", r.Record[1:] },
	} {
		bad := req
		change(&bad.ID)
		reqs = append(reqs, bad)
	}
	for i, r := range newRing(t, w, nil).LendBatch(t.Context(), reqs) {
		if !errors.Is(r.Err, keyring.ErrIntegrity) {
			t.Errorf("change %d: %v, want ErrIntegrity", i, r.Err)
		}
	}
}

func TestLengthOfTheKeyIsChecked(t *testing.T) {
	t.Parallel()
	for _, n := range []int{0, 16, 31, 33} {
		k := newRing(t, short(n), nil)
		_, err := k.Lend(t.Context(), keyring.Wrapped{Blob: "x"}, id(0), "r")
		if !errors.Is(err, keyring.ErrIntegrity) {
			t.Errorf("%d bytes: %v, want ErrIntegrity", n, err)
		}
	}
}

// short unwraps everything to n bytes.
type short int

func (short) Wrap(context.Context, string, []keyring.WrapItem) ([]keyring.WrapResult, error) {
	return []keyring.WrapResult{{}}, nil
}

func (n short) Unwrap(_ context.Context, _ string, items []keyring.UnwrapItem) ([]keyring.UnwrapResult, error) {
	out := make([]keyring.UnwrapResult, len(items))
	for i := range out {
		out[i].Plaintext = make([]byte, n)
	}
	return out, nil
}

func TestMintRefusesAnEmptyAnswer(t *testing.T) {
	t.Parallel()
	l, _, err := newRing(t, short(32), nil).Mint(t.Context(), id(0), "r")
	if !errors.Is(err, keyring.ErrUnavailable) || l != nil {
		t.Errorf("Mint = %v, %v; want ErrUnavailable", l, err)
	}
}

func TestConcurrentLendsOfOneKeyShareOneItem(t *testing.T) {
	t.Parallel()
	bubble(t, func(t *testing.T) {
		w := cryptotest.NewWrapper(t.Name())
		req := mint(t, w, 1)[0]
		k := newRing(t, w, nil)
		release := w.Hold()
		var mu sync.Mutex
		uses := map[uint64]bool{}
		cancelled, cancel := context.WithCancel(t.Context())
		var wg sync.WaitGroup
		for i := range 10 {
			ctx := t.Context()
			if i%2 == 1 {
				ctx = cancelled
			}
			wg.Go(func() {
				l, err := k.Lend(ctx, req.Wrapped, req.ID, "r")
				if i%2 == 1 {
					if !errors.Is(err, context.Canceled) {
						t.Errorf("cancelled waiter: %v", err)
					}
					return
				}
				if err != nil {
					t.Errorf("waiter %d: %v", i, err)
					return
				}
				mu.Lock()
				uses[l.Use()] = true
				mu.Unlock()
				l.Release()
			})
		}
		synctest.Wait()
		cancel()
		synctest.Wait()
		release()
		wg.Wait()
		if len(uses) != 5 || unwraps(w) != 1 {
			t.Errorf("%d uses in %d calls, want 5 in 1", len(uses), unwraps(w))
		}
		if k.VoidAll("end") != 1 {
			t.Error("no key was kept")
		}
	})
}

func TestRecordContextIsInjective(t *testing.T) {
	t.Parallel()
	base := keyring.RecordID{Institution: "ab", Record: "cd", Generation: 1}
	for _, other := range []keyring.RecordID{
		{Institution: "abc", Record: "d", Generation: 1}, {Institution: "a", Record: "bcd", Generation: 1},
		{Institution: "ab", Record: "cd", Generation: 2}, {Institution: "ab", Record: "c", Generation: 1},
	} {
		if bytes.Equal(base.Context(), other.Context()) {
			t.Errorf("%+v and %+v have one context", base, other)
		}
	}
	if want := "stk1\x00\x00\x00\x02ab\x00\x00\x00\x02cd\x01\x00\x00\x00\x01"; string(base.Context()) != want {
		t.Errorf("context %q, want %q", base.Context(), want)
	}
}

func TestNewNeedsAWrapper(t *testing.T) {
	t.Parallel()
	if _, err := keyring.New(keyring.Config{}); err == nil || !strings.Contains(err.Error(), "wrapper") {
		t.Errorf("New = %v", err)
	}
}
