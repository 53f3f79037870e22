package transit_test

import (
	"cmp"
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/sealtrail/sealtrail/crypto/field"
	"github.com/sealtrail/sealtrail/crypto/keyring"
	"github.com/sealtrail/sealtrail/crypto/transit"
)

// vaultItem is what a stand-in for Vault reads of an item, and answers.
type vaultItem struct {
	Plaintext  string `json:"plaintext,omitempty"`
	Ciphertext string `json:"ciphertext,omitempty"`
	Context    string `json:"context,omitempty"`
	KeyVersion int    `json:"key_version,omitempty"`
	Reference  string `json:"reference,omitempty"`
	Error      string `json:"error,omitempty"`
}

// standIn is a Vault without cryptography: a wrapped key is the key and its
// context, in base64. It is honest unless twist changes its answer.
type standIn struct {
	mu    sync.Mutex
	twist func(op string, out []vaultItem) []vaultItem
	raw   func(w http.ResponseWriter, r *http.Request) bool // true: it has answered
	calls atomic.Int64
}

func (s *standIn) set(f func(s *standIn)) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.twist, s.raw = nil, nil
	f(s)
}

func (s *standIn) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	s.calls.Add(1)
	s.mu.Lock()
	twist, raw := s.twist, s.raw
	s.mu.Unlock()
	var in struct {
		Items []vaultItem `json:"batch_input"`
	}
	_ = json.NewDecoder(r.Body).Decode(&in)
	_, _ = io.Copy(io.Discard, r.Body) // only then the server sees a client that leaves
	if raw != nil && raw(w, r) {
		return
	}
	op := strings.Split(r.URL.Path, "/")[3]
	out := make([]vaultItem, len(in.Items))
	for i, it := range in.Items {
		out[i] = honest(op, it)
	}
	if twist != nil {
		out = twist(op, out)
	}
	_ = json.NewEncoder(w).Encode(map[string]any{"data": map[string]any{"batch_results": out}})
}

func honest(op string, it vaultItem) vaultItem {
	out := vaultItem{Reference: it.Reference}
	key, keyContext, _ := strings.Cut(strings.TrimPrefix(strings.TrimPrefix(it.Ciphertext, "vault:v1:"), "vault:v2:"), ".")
	switch {
	case op == "encrypt":
		out.Ciphertext, out.KeyVersion = "vault:v1:"+it.Plaintext+"."+it.Context, 1
	case keyContext != it.Context:
		out.Error = "cipher: message authentication failed"
	case op == "rewrap":
		out.Ciphertext, out.KeyVersion = "vault:v2:"+key+"."+keyContext, 2
	default:
		out.Plaintext = key
	}
	return out
}

// faulty is a keyring on a stand-in, with some stored keys, and a deadline that
// a busy machine keeps.
func faulty(t *testing.T, n int) (*standIn, *transit.Transit, *keyring.Keyring, []keyring.LendRequest) {
	t.Helper()
	return faultyWithin(t, n, 5*time.Second)
}

func faultyWithin(t *testing.T, n int, deadline time.Duration) (*standIn, *transit.Transit, *keyring.Keyring, []keyring.LendRequest) {
	t.Helper()
	s := &standIn{}
	w := newTransit(t, transit.Config{Client: fake(t, s.ServeHTTP), Institution: "bank"})
	ring, err := keyring.New(keyring.Config{Wrapper: w, Deadline: deadline, Circuit: keyring.CircuitConfig{Failures: 3, Pause: 100 * time.Millisecond}})
	if err != nil {
		t.Fatal(err)
	}
	var minted []keyring.MintRequest
	for i := range n {
		minted = append(minted, keyring.MintRequest{ID: recordID("bank", i), Reference: fmt.Sprint("new-", i)})
	}
	var reqs []keyring.LendRequest
	for i, r := range ring.MintBatch(t.Context(), minted) {
		if r.Err != nil {
			t.Fatal(r.Err)
		}
		r.Lease.Release()
		reqs = append(reqs, keyring.LendRequest{ID: minted[i].ID, Wrapped: r.Wrapped, Reference: fmt.Sprint("read-", i)})
	}
	ring.VoidAll("test")
	return s, w, ring, reqs
}

// TestWrongAnswersAreNeverKeys: each lie of a Vault, or of whatever answers in
// its place, with the error that it must become. No lie gives a lease.
func TestWrongAnswersAreNeverKeys(t *testing.T) {
	t.Parallel()
	type twist = func(string, []vaultItem) []vaultItem
	foreign := base64.StdEncoding.EncodeToString(make([]byte, 32))
	each := func(change func(*vaultItem)) twist {
		return func(_ string, out []vaultItem) []vaultItem {
			for i := range out {
				change(&out[i])
			}
			return out
		}
	}
	for name, tc := range map[string]struct {
		twist twist
		raw   func(http.ResponseWriter, *http.Request) bool
		want  error
		cause keyring.Cause

		deadline time.Duration
	}{
		"reordered": {twist: func(_ string, out []vaultItem) []vaultItem {
			out[0], out[1], out[2] = out[1], out[2], out[0]
			return out
		}, want: keyring.ErrUnavailable, cause: keyring.CauseUnreachable},
		"reordered, without references": {twist: func(_ string, out []vaultItem) []vaultItem {
			out[0], out[1], out[2] = out[1], out[2], out[0]
			for i := range out {
				out[i].Reference = ""
			}
			return out
		}, want: keyring.ErrIntegrity},
		"one item too few":   {twist: func(_ string, out []vaultItem) []vaultItem { return out[1:] }, want: keyring.ErrUnavailable, cause: keyring.CauseUnreachable},
		"one item too many":  {twist: func(_ string, out []vaultItem) []vaultItem { return append(out, out[0]) }, want: keyring.ErrUnavailable, cause: keyring.CauseUnreachable},
		"no items":           {twist: func(string, []vaultItem) []vaultItem { return nil }, want: keyring.ErrUnavailable, cause: keyring.CauseUnreachable},
		"somebody's key":     {twist: each(func(it *vaultItem) { it.Plaintext = foreign }), want: keyring.ErrIntegrity},
		"empty plaintext":    {twist: each(func(it *vaultItem) { it.Plaintext = "" }), want: keyring.ErrIntegrity},
		"short plaintext":    {twist: each(func(it *vaultItem) { it.Plaintext = "AAAA" }), want: keyring.ErrIntegrity},
		"plaintext is text":  {twist: each(func(it *vaultItem) { it.Plaintext = "not base64, CANARY" }), want: keyring.ErrIntegrity},
		"key and error":      {twist: each(func(it *vaultItem) { it.Error = "CANARY" }), want: keyring.ErrUnavailable, cause: keyring.CauseRejected},
		"retired version":    {twist: each(func(it *vaultItem) { it.Error = "ciphertext or signature version is disallowed by policy (too old)" }), want: keyring.ErrRetired},
		"unknown version":    {twist: each(func(it *vaultItem) { it.Error = "invalid ciphertext: version is too new" }), want: keyring.ErrIntegrity},
		"HTML":               {raw: says("text/html", 200, "<html>CANARY</html>"), want: keyring.ErrUnavailable, cause: keyring.CauseUnreachable},
		"cut JSON":           {raw: says("application/json", 200, `{"data":{"batch_results":[{"plaintext":"CANARY`), want: keyring.ErrUnavailable, cause: keyring.CauseUnreachable},
		"results of strings": {raw: says("application/json", 200, `{"data":{"batch_results":["CANARY","b","c"]}}`), want: keyring.ErrUnavailable, cause: keyring.CauseUnreachable},
		"null results":       {raw: says("application/json", 200, `{"data":{"batch_results":[null,null,null]}}`), want: keyring.ErrIntegrity},
		"200 with errors":    {raw: says("application/json", 200, `{"errors":["CANARY"],"data":{"batch_results":[{},{},{}]}}`), want: keyring.ErrUnavailable, cause: keyring.CauseUnreachable},
		"cut body":           {raw: cut, want: keyring.ErrUnavailable, cause: keyring.CauseUnreachable},
		"endless body":       {raw: endless, want: keyring.ErrUnavailable, cause: keyring.CauseUnreachable},
		"no answer":          {raw: silent, want: keyring.ErrUnavailable, cause: keyring.CauseDeadline, deadline: 300 * time.Millisecond},
		"a byte at a time":   {raw: drip, want: keyring.ErrUnavailable, cause: keyring.CauseDeadline, deadline: 300 * time.Millisecond},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s, _, ring, reqs := faultyWithin(t, 3, cmp.Or(tc.deadline, 5*time.Second))
			s.set(func(s *standIn) { s.twist, s.raw = tc.twist, tc.raw })
			began := time.Now()
			for i, r := range ring.LendBatch(t.Context(), reqs) {
				if !errors.Is(r.Err, tc.want) || keyring.CauseOf(r.Err) != tc.cause || r.Lease != nil {
					t.Errorf("item %d: %v, want %v %s", i, r.Err, tc.want, tc.cause)
				} else if strings.Contains(r.Err.Error(), "CANARY") {
					t.Errorf("the error repeats the answer: %v", r.Err)
				}
			}
			if took := time.Since(began); tc.deadline > 0 && took > tc.deadline+2*time.Second {
				t.Errorf("said so after %v", took)
			}
			if live := ring.Stats().Live; live != 0 {
				t.Errorf("%d keys are live", live)
			}
			s.set(func(*standIn) {})
			for i, r := range ring.LendBatch(t.Context(), reqs) { // nothing of it is remembered
				if r.Err != nil {
					t.Errorf("item %d of an honest answer: %v", i, r.Err)
				}
			}
		})
	}
}

func says(kind string, status int, body string) func(http.ResponseWriter, *http.Request) bool {
	return func(w http.ResponseWriter, _ *http.Request) bool {
		w.Header().Set("Content-Type", kind)
		w.WriteHeader(status)
		_, _ = io.WriteString(w, body)
		return true
	}
}

// cut promises more than it sends.
func cut(w http.ResponseWriter, _ *http.Request) bool {
	w.Header().Set("Content-Length", "4000")
	_, _ = io.WriteString(w, `{"data":{"batch_results":[`)
	return true
}

// endless sends more than anybody should read.
func endless(w http.ResponseWriter, _ *http.Request) bool {
	chunk := []byte(strings.Repeat(" ", 1<<20))
	for range 12 {
		if _, err := w.Write(chunk); err != nil {
			return true
		}
	}
	return true
}

func silent(_ http.ResponseWriter, r *http.Request) bool {
	<-r.Context().Done()
	return true
}

// drip sends a valid answer so slowly that it never ends.
func drip(w http.ResponseWriter, r *http.Request) bool {
	tick := time.NewTicker(50 * time.Millisecond)
	defer tick.Stop()
	for {
		select {
		case <-r.Context().Done():
			return true
		case <-tick.C:
			_, _ = io.WriteString(w, " ")
			_ = http.NewResponseController(w).Flush()
		}
	}
}

// TestPartlyFailedAnswer: items that failed concern nobody else, whichever they
// are.
func TestPartlyFailedAnswer(t *testing.T) {
	t.Parallel()
	s, _, ring, reqs := faulty(t, 8)
	for mask := 1; mask < 1<<8; mask += 37 {
		ring.VoidAll("test")
		s.set(func(s *standIn) {
			s.twist = func(_ string, out []vaultItem) []vaultItem {
				for i := range out {
					if mask>>i&1 == 1 {
						out[i] = vaultItem{Error: "cipher: message authentication failed", Reference: out[i].Reference}
					}
				}
				return out
			}
		})
		for i, r := range ring.LendBatch(t.Context(), reqs) {
			if bad := mask>>i&1 == 1; bad != errors.Is(r.Err, keyring.ErrIntegrity) || !bad && r.Err != nil {
				t.Errorf("mask %b, item %d: %v", mask, i, r.Err)
			}
			r.Lease.Release()
		}
	}
}

// TestWrongAnswersStoreNoKey: what Vault says to a new key, and to a rewrap.
func TestWrongAnswersStoreNoKey(t *testing.T) {
	t.Parallel()
	change := func(change func(i int, it *vaultItem)) func(string, []vaultItem) []vaultItem {
		return func(_ string, out []vaultItem) []vaultItem {
			for i := range out {
				change(i, &out[i])
			}
			return out
		}
	}
	for name, twist := range map[string]func(string, []vaultItem) []vaultItem{
		"reordered":             func(_ string, out []vaultItem) []vaultItem { out[0], out[1] = out[1], out[0]; return out },
		"empty blob":            change(func(_ int, it *vaultItem) { it.Ciphertext = "" }),
		"blob without version":  change(func(_ int, it *vaultItem) { it.Ciphertext = "CANARY" }),
		"version zero":          change(func(_ int, it *vaultItem) { it.Ciphertext = "vault:v0:AAAA" }),
		"another version":       change(func(_ int, it *vaultItem) { it.KeyVersion += 6 }),
		"another's reference":   change(func(_ int, it *vaultItem) { it.Reference = "somebody" }),
		"blob and an error":     change(func(_ int, it *vaultItem) { it.Error = "CANARY" }),
		"the answer of another": func(_ string, out []vaultItem) []vaultItem { return out[:1] },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s, w, ring, stored := faulty(t, 2)
			s.set(func(s *standIn) { s.twist = twist })
			new := []keyring.MintRequest{{ID: recordID("bank", 10), Reference: "a"}, {ID: recordID("bank", 11), Reference: "b"}}
			for i, r := range ring.MintBatch(t.Context(), new) {
				if !errors.Is(r.Err, keyring.ErrUnavailable) || r.Lease != nil || r.Wrapped.Blob != "" || strings.Contains(r.Err.Error(), "CANARY") {
					t.Errorf("new key %d: %+v, %v", i, r.Wrapped, r.Err)
				}
			}
			if ring.HasLive(new[0].ID) {
				t.Error("a key that was not wrapped is live")
			}
			var items []transit.RewrapItem
			for _, r := range stored {
				items = append(items, transit.RewrapItem{Reference: r.Reference, Context: r.ID.Context(), Blob: r.Wrapped.Blob})
			}
			got, err := w.Rewrap(t.Context(), "batch", items)
			if err != nil {
				if !errors.Is(err, keyring.ErrUnavailable) || got != nil {
					t.Errorf("rewrap: %v", err)
				}
				return
			}
			for i, r := range got {
				if !errors.Is(r.Err, keyring.ErrUnavailable) || r.Blob != "" || strings.Contains(r.Err.Error(), "CANARY") {
					t.Errorf("rewrapped key %d: %+v", i, r)
				}
			}
		})
	}
}

// TestNobodyInheritsAnothersEnd: of callers whose requests travel in one call,
// some give up; the others get their keys, and the call is not cancelled.
func TestNobodyInheritsAnothersEnd(t *testing.T) {
	t.Parallel()
	s, _, ring, reqs := faulty(t, 12)
	arrived, goOn := make(chan struct{}, 20), make(chan struct{})
	s.set(func(s *standIn) {
		s.raw = func(_ http.ResponseWriter, r *http.Request) bool {
			arrived <- struct{}{}
			select {
			case <-goOn:
			case <-r.Context().Done():
				t.Error("a call was cancelled")
			}
			return false
		}
	})
	ctx, cancel := context.WithCancel(t.Context())
	var wg sync.WaitGroup
	var gaveUp atomic.Int64
	for i, r := range reqs {
		mine := t.Context()
		if i%3 == 0 {
			mine = ctx
		}
		wg.Go(func() {
			l, err := ring.Lend(mine, r.Wrapped, r.ID, r.Reference)
			switch {
			case i%3 == 0 && !errors.Is(err, context.Canceled):
				t.Errorf("caller %d, who gave up: %v", i, err)
			case i%3 != 0 && err != nil:
				t.Errorf("caller %d, who waits: %v", i, err)
			}
			if i%3 == 0 && gaveUp.Add(1) == 4 {
				close(goOn)
			}
			l.Release()
		})
	}
	<-arrived
	cancel()
	wg.Wait()
}

// TestCircuitSparesADeadVault: few calls reach it while it is dead, and the
// first after it is back is served within 2 s.
func TestCircuitSparesADeadVault(t *testing.T) {
	t.Parallel()
	s, _, ring, reqs := faulty(t, 1)
	s.set(func(s *standIn) { s.raw = says("text/html", 502, "bad gateway") })
	before := s.calls.Load()
	lend := func() error {
		l, err := ring.Lend(t.Context(), reqs[0].Wrapped, reqs[0].ID, "r")
		l.Release()
		return err
	}
	began, circuit := time.Now(), 0
	for range 300 {
		err := lend()
		if !errors.Is(err, keyring.ErrUnavailable) {
			t.Fatal(err)
		}
		if keyring.CauseOf(err) == keyring.CauseCircuit {
			circuit++
		}
	}
	// Three to open it, then one per pause.
	if most := 4 + int64(time.Since(began)/(100*time.Millisecond)); s.calls.Load()-before > most || circuit == 0 {
		t.Errorf("%d calls reached a dead Vault, at most %d may; %d were spared", s.calls.Load()-before, most, circuit)
	}
	s.set(func(*standIn) {})
	back := time.Now()
	eventually(t, "healing", func() bool { return lend() == nil })
	if took := time.Since(back); took > 2*time.Second {
		t.Errorf("healed after %v", took)
	}
}

// TestCommitmentIsOfTheKey guards the stand-in itself: its honest answers open.
func TestCommitmentIsOfTheKey(t *testing.T) {
	t.Parallel()
	s, w, ring, reqs := faulty(t, 2)
	for i, r := range ring.LendBatch(t.Context(), reqs) {
		if r.Err != nil {
			t.Fatal(r.Err)
		}
		if _, err := field.Seal(r.Lease.Key(), placeOf(reqs[i].ID), []byte("v"), field.Short); err != nil {
			t.Error(err)
		}
	}
	got, err := w.Rewrap(t.Context(), "b", []transit.RewrapItem{{Reference: "x", Context: reqs[0].ID.Context(), Blob: reqs[0].Wrapped.Blob}})
	if err != nil || got[0].Err != nil || got[0].KeyVersion != 2 || s.calls.Load() != 3 {
		t.Errorf("rewrap: %+v, %v after %d calls", got, err, s.calls.Load())
	}
}
