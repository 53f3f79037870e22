package keyring

import (
	"context"
	"crypto/rand"
	"crypto/subtle"
	"errors"
	"fmt"

	"github.com/sealtrail/sealtrail/crypto/batch"
	"github.com/sealtrail/sealtrail/crypto/field"
)

// LendRequest asks for the key of one stored record.
type LendRequest struct {
	ID        RecordID
	Wrapped   Wrapped
	Reference string // id of the audit entry that stands for this use
	// Policy is the generation of the policy that the use was decided under;
	// see Keyring.SetPolicy.
	Policy uint64
}

// LendResult answers a LendRequest: a Lease to release, or an error.
type LendResult struct {
	Lease *Lease
	Err   error
}

// MintRequest asks for a new key for one record.
type MintRequest struct {
	ID        RecordID
	Reference string
}

// MintResult answers a MintRequest: a Lease to release and what to store, or an
// error.
type MintResult struct {
	Lease   *Lease
	Wrapped Wrapped
	Err     error
}

// flightKey says which callers may share one unwrapping.
type flightKey struct {
	id      RecordID
	wrapped Wrapped
}

// flight is one key on its way to or from the key service. Guarded by
// Keyring.mu; done is closed when entry or err is set.
type flight struct {
	waiting int  // borrowers that will take a reference
	stale   bool // voided while under way: an unwrapped key is not handed out
	done    chan struct{}
	entry   *entry
	wrapped Wrapped
	err     error
}

// Lend returns the record's key. With a live lease it makes no call. The error
// wraps ErrIntegrity (the stored key is not this record's), ErrRetired,
// ErrUnavailable (now, within the deadline), ErrSuperseded, or context.Canceled.
// It is LendOne for callers that know no policy generations.
func (k *Keyring) Lend(ctx context.Context, w Wrapped, id RecordID, reference string) (*Lease, error) {
	return k.LendOne(ctx, LendRequest{ID: id, Wrapped: w, Reference: reference})
}

// LendOne is LendBatch of one request.
func (k *Keyring) LendOne(ctx context.Context, r LendRequest) (*Lease, error) {
	k.mu.Lock()
	var l *Lease
	if r.Policy == k.policy {
		if l = k.borrow(r.ID.canonical(), r.Wrapped.Commitment); l != nil {
			k.stats.Hits++
		}
	}
	k.mu.Unlock()
	if l != nil {
		return l, nil
	}
	res := k.LendBatch(ctx, []LendRequest{r})
	return res[0].Lease, res[0].Err
}

// LendBatch returns the keys of several records, in order, with at most one
// call to the key service per MaxBatch keys. An error concerns its item only;
// see Lend for what it wraps.
func (k *Keyring) LendBatch(ctx context.Context, reqs []LendRequest) []LendResult {
	wait, cancel := context.WithTimeout(ctx, k.cfg.Deadline)
	defer cancel()
	k.follow(reqs)
	out := make([]LendResult, len(reqs))
	todo := make([]int, len(reqs))
	for i := range todo {
		todo[i] = i
	}
	// Again for keys that were voided while their call was under way, and once
	// for who joined a call that then failed: its deadline was another's.
	inheritedOnce := make([]bool, len(reqs))
	for len(todo) > 0 {
		flights := k.depart(reqs, todo, out)
		again := todo[:0]
		for _, i := range todo {
			b, ok := flights[i]
			if !ok {
				continue
			}
			l, retry, err := k.arrive(ctx, wait, b.flight, "unwrap")
			out[i] = LendResult{Lease: l, Err: wrapErr(reqs[i].ID, err)}
			inherited := b.joined && !inheritedOnce[i] && noService(err) && wait.Err() == nil
			inheritedOnce[i] = inheritedOnce[i] || inherited
			if retry || inherited {
				again = append(again, i)
			}
		}
		todo = again
	}
	return out
}

func wrapErr(id RecordID, err error) error {
	if err == nil {
		return nil
	}
	return fmt.Errorf("key of record %s: %w", id.Record, err)
}

// boarding is a request on its way.
type boarding struct {
	flight *flight
	joined bool // the call was under way already
}

// depart answers what the cache can answer and sends the rest on its way.
func (k *Keyring) depart(reqs []LendRequest, todo []int, out []LendResult) map[int]boarding {
	flights := make(map[int]boarding, len(todo))
	var items []UnwrapItem
	var own []*flight
	var keys []flightKey
	k.mu.Lock()
	for _, i := range todo {
		r := &reqs[i]
		if r.Policy < k.policy {
			out[i].Err = wrapErr(r.ID, ErrSuperseded)
			continue
		}
		if l := k.borrow(r.ID.canonical(), r.Wrapped.Commitment); l != nil {
			k.stats.Hits++
			out[i].Lease = l
			continue
		}
		if err := checkRequest(r); err != nil {
			out[i].Err = wrapErr(r.ID, err)
			continue
		}
		k.stats.Misses++
		key := flightKey{r.ID.canonical(), r.Wrapped}
		f := k.flights[key]
		joined := f != nil
		if !joined {
			f = &flight{done: make(chan struct{})}
			k.flights[key] = f
			own, keys = append(own, f), append(keys, key)
			items = append(items, UnwrapItem{Reference: r.Reference, Context: r.ID.Context(), Blob: r.Wrapped.Blob, KeyVersion: r.Wrapped.KeyVersion})
		}
		f.waiting++
		flights[i] = boarding{f, joined}
	}
	k.mu.Unlock()
	k.unwrap.Submit(items, func(j int, o batch.Outcome[UnwrapResult]) { k.unwrapped(keys[j], own[j], o) })
	return flights
}

func checkRequest(r *LendRequest) error {
	if r.ID.Institution == "" || r.ID.Record == "" {
		return errors.New("empty record id")
	}
	if r.Wrapped.Blob == "" {
		return fmt.Errorf("empty wrapped key: %w", ErrIntegrity)
	}
	return nil
}

// unwrapped receives one item of an answer, checks the key and hands it out.
func (k *Keyring) unwrapped(key flightKey, f *flight, o batch.Outcome[UnwrapResult]) {
	e, err := k.admit(key, o)
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.flights[key] == f {
		delete(k.flights, key)
	}
	f.err = err
	if e != nil {
		k.land(f, e)
	}
	close(f.done)
}

// land gives e to the waiting borrowers, or overwrites it when there are none
// or when it was voided on its way. k.mu is held.
func (k *Keyring) land(f *flight, e *entry) {
	if f.stale || f.waiting == 0 {
		k.destroyIfFree(e)
		return
	}
	e.refs = f.waiting
	f.entry = e
	if !e.withdrawn {
		k.insert(e)
	} // else it is a new key, withdrawn while it was wrapped: its maker's alone
}

// admit turns an answer into a key: right length, right commitment, in locked
// memory. The bytes of the answer are overwritten in any case.
func (k *Keyring) admit(key flightKey, o batch.Outcome[UnwrapResult]) (*entry, error) {
	if o.Err != nil {
		return nil, o.Err
	}
	dek := o.Result.Plaintext
	defer clear(dek)
	if o.Result.Err != nil {
		return nil, o.Result.Err
	}
	if len(dek) != field.KeySize {
		return nil, fmt.Errorf("unwrapped key has another length: %w", ErrIntegrity)
	}
	got := field.Commitment(dek)
	if subtle.ConstantTimeCompare(got[:], key.wrapped.Commitment[:]) != 1 {
		return nil, fmt.Errorf("unwrapped key is not the committed one: %w", ErrIntegrity)
	}
	e := k.entryOf(key.id, dek)
	e.commitment, e.version, e.batch, e.item = got, key.wrapped.KeyVersion, o.Batch, o.Item
	return e, nil
}

// entryOf copies dek into the arena.
func (k *Keyring) entryOf(id RecordID, dek []byte) *entry {
	k.mu.Lock()
	slot := k.mem.get()
	k.mu.Unlock()
	copy(slot, dek)
	key, err := field.NewKey(slot)
	if err != nil {
		panic(err) // slots have the size of a key
	}
	now := k.cfg.Now()
	return &entry{id: id, key: key, slot: slot, born: now, touched: now}
}

// arrive waits for a flight. retry means that the key was voided on its way.
func (k *Keyring) arrive(ctx, wait context.Context, f *flight, op string) (l *Lease, retry bool, err error) {
	select {
	case <-f.done:
	case <-wait.Done():
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	select {
	case <-f.done:
	default:
		f.waiting--
		return nil, false, waitError(ctx, op)
	}
	switch {
	case f.err != nil:
		return nil, false, f.err
	case f.entry == nil && wait.Err() != nil:
		return nil, false, waitError(ctx, op)
	case f.entry == nil:
		return nil, true, nil
	}
	return k.take(f.entry)
}

// take lends a key that has just come, unless it was withdrawn or used up
// between its coming and now. A new key is never refused to who made it.
func (k *Keyring) take(e *entry) (l *Lease, retry bool, err error) {
	if e.uses > 0 && e.uses >= k.cfg.MaxUses {
		k.void(e)
		k.giveBack(e)
		return nil, true, nil
	}
	if e.withdrawn && !e.minted {
		k.giveBack(e)
		return nil, true, nil
	}
	return k.lease(e), false, nil
}

// Mint makes a new random key for a record that has none, wraps it and lends
// it. The caller stores the Wrapped beside the record. Errors as for Lend.
func (k *Keyring) Mint(ctx context.Context, id RecordID, reference string) (*Lease, Wrapped, error) {
	res := k.MintBatch(ctx, []MintRequest{{ID: id, Reference: reference}})
	return res[0].Lease, res[0].Wrapped, res[0].Err
}

// MintBatch makes keys for several records, in order, with at most one call to
// the key service per MaxBatch keys. An error concerns its item only.
func (k *Keyring) MintBatch(ctx context.Context, reqs []MintRequest) []MintResult {
	wait, cancel := context.WithTimeout(ctx, k.cfg.Deadline)
	defer cancel()
	out := make([]MintResult, len(reqs))
	flights := make([]*flight, len(reqs))
	items := make([]WrapItem, 0, len(reqs))
	fresh := make([]*flight, 0, len(reqs))
	for i, r := range reqs {
		if r.ID.Institution == "" || r.ID.Record == "" {
			out[i].Err = wrapErr(r.ID, errors.New("empty record id"))
			continue
		}
		f, item := k.newKey(r)
		flights[i] = f
		fresh, items = append(fresh, f), append(items, item)
	}
	k.wrap.Submit(items, func(j int, o batch.Outcome[WrapResult]) { k.wrapped(fresh[j], items[j].Plaintext, o) })
	for i, f := range flights {
		if f == nil {
			continue
		}
		l, _, err := k.arrive(ctx, wait, f, "wrap")
		out[i] = MintResult{Lease: l, Err: wrapErr(reqs[i].ID, err)}
		if l != nil {
			out[i].Wrapped = f.wrapped
		}
	}
	return out
}

// newKey draws a key. The copy that travels to the key service is overwritten
// when the call is over, whether or not anybody still waits.
func (k *Keyring) newKey(r MintRequest) (*flight, WrapItem) {
	dek := make([]byte, field.KeySize)
	_, _ = rand.Read(dek) // never fails since Go 1.24: it ends the process instead
	e := k.entryOf(r.ID.canonical(), dek)
	e.commitment, e.minted = field.Commitment(dek), true
	k.mu.Lock()
	f := &flight{waiting: 1, done: make(chan struct{}), entry: e}
	k.minting[e] = true
	k.mu.Unlock()
	return f, WrapItem{Reference: r.Reference, Context: r.ID.Context(), Plaintext: dek}
}

// wrapped receives one item of an answer. A key whose minter has gone, or that
// was not wrapped, is overwritten: nothing was sealed with it.
func (k *Keyring) wrapped(f *flight, dek []byte, o batch.Outcome[WrapResult]) {
	clear(dek)
	err := o.Err
	if err == nil {
		err = o.Result.Err
	}
	if err == nil && o.Result.Blob == "" {
		err = &UnavailableError{Cause: CauseRejected, Op: "wrap"}
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	e := f.entry
	delete(k.minting, e)
	f.err, f.entry = err, nil
	e.batch, e.item, e.version = o.Batch, o.Item, o.Result.KeyVersion
	f.wrapped = Wrapped{Blob: o.Result.Blob, Commitment: e.commitment, KeyVersion: e.version}
	if err != nil {
		k.destroyIfFree(e)
	} else {
		k.land(f, e)
	}
	close(f.done)
}
