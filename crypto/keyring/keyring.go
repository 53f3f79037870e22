package keyring

import (
	"container/list"
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/sealtrail/sealtrail/crypto/batch"
)

// Config of a Keyring. Zero fields mean the documented defaults.
type Config struct {
	// Wrapper holds the master keys. Required.
	Wrapper Wrapper
	// MaxKeys is how many unwrapped keys are kept; 0 means 10,000 (320 KB of
	// keys). The least recently used one is voided first.
	MaxKeys int
	// HardTTL is how long a key may be lent after it was opened; 0 means 60 s.
	// It bounds how long a reader can go on after the key service went away.
	HardTTL time.Duration
	// IdleTTL is how long an unused key is kept; 0 means 15 s.
	IdleTTL time.Duration
	// MaxBatch is the largest number of keys in one call; 0 means 256, where
	// the batch rate of Vault stops growing (measured: 14x single calls).
	MaxBatch int
	// MaxWait is how long a request may be held back for company while another
	// call is under way; 0 means 1 ms.
	MaxWait time.Duration
	// MintWait is the same for new keys; 0 means 25 ms. A key that is minted is
	// about to be written to disk with what it seals, so company is worth more
	// than a few milliseconds: each call costs the key service as much as six
	// of its items.
	MintWait time.Duration
	// Deadline of every call and every wait; 0 means 2 s.
	Deadline time.Duration
	// ProbeEvery is how often Run asks a Prober; 0 means 1 s, so that sealing
	// is seen within 2 s.
	ProbeEvery time.Duration
	// OnVoid, if set, hears of keys voided for a reason (not of expiry). It is
	// called without locks held and MUST NOT block.
	OnVoid func(reason string, keys int)
	// Now is the clock; nil means time.Now.
	Now func() time.Time
}

// Keyring lends data keys. It is safe for concurrent use. It works without Run,
// but then nobody probes, and expired keys are overwritten only when touched.
type Keyring struct {
	cfg    Config
	wrap   *batch.Collector[WrapItem, WrapResult]
	unwrap *batch.Collector[UnwrapItem, UnwrapResult]
	mem    *arena

	mu      sync.Mutex
	keys    map[RecordID]*entry
	recent  *list.List // of *entry, most recently used first
	flights map[flightKey]*flight
	health  error
	stats   Stats
}

// Stats are running totals since New, but Live, which is a count of now.
type Stats struct {
	Live     int    // keys that can be lent now
	Hits     uint64 // lent without a call
	Misses   uint64 // needed a call, or joined one
	Calls    uint64 // calls to the key service
	Items    uint64 // keys in these calls
	Voided   uint64 // keys withdrawn before their time, evictions included
	Failures uint64 // calls that failed as a whole
}

// New returns a Keyring. It makes no call and starts no goroutine.
func New(cfg Config) (*Keyring, error) {
	if cfg.Wrapper == nil {
		return nil, errors.New("making a keyring: no wrapper")
	}
	cfg = cfg.withDefaults()
	k := &Keyring{
		cfg:     cfg,
		mem:     newArena(cfg.MaxKeys),
		keys:    make(map[RecordID]*entry),
		recent:  list.New(),
		flights: make(map[flightKey]*flight),
	}
	k.wrap = batch.New(batch.Config[WrapItem, WrapResult]{
		Call: k.callWrap, MaxItems: cfg.MaxBatch, MaxWait: cfg.MintWait, Deadline: cfg.Deadline})
	k.unwrap = batch.New(batch.Config[UnwrapItem, UnwrapResult]{
		Call: k.callUnwrap, MaxItems: cfg.MaxBatch, MaxWait: cfg.MaxWait, Deadline: cfg.Deadline})
	return k, nil
}

func (c Config) withDefaults() Config {
	orInt := func(v *int, d int) {
		if *v <= 0 {
			*v = d
		}
	}
	orTime := func(v *time.Duration, d time.Duration) {
		if *v <= 0 {
			*v = d
		}
	}
	orInt(&c.MaxKeys, 10_000)
	orInt(&c.MaxBatch, 256)
	orTime(&c.HardTTL, 60*time.Second)
	orTime(&c.IdleTTL, 15*time.Second)
	orTime(&c.MaxWait, time.Millisecond)
	orTime(&c.MintWait, 25*time.Millisecond)
	orTime(&c.Deadline, 2*time.Second)
	orTime(&c.ProbeEvery, time.Second)
	if c.Now == nil {
		c.Now = time.Now
	}
	return c
}

// Run probes the key service and overwrites expired keys, once per ProbeEvery,
// until ctx ends. Then it voids everything and returns nil.
func (k *Keyring) Run(ctx context.Context) error {
	tick := time.NewTicker(k.cfg.ProbeEvery)
	defer tick.Stop()
	for {
		k.probe(ctx)
		k.sweep()
		select {
		case <-ctx.Done():
			k.VoidAll("shutdown")
			return nil
		case <-tick.C:
		}
	}
}

// probe asks once and voids all leases when the answer is a refusal.
func (k *Keyring) probe(ctx context.Context) {
	p, ok := k.cfg.Wrapper.(Prober)
	if !ok {
		return
	}
	ctx, cancel := context.WithTimeout(ctx, k.cfg.ProbeEvery)
	err := p.Probe(ctx)
	cancel()
	k.mu.Lock()
	k.health = err
	k.mu.Unlock()
	k.voidIfRefused(err)
}

// Health is the result of the last probe or call: nil, or an error that wraps
// ErrUnavailable. It makes no call.
func (k *Keyring) Health() error {
	k.mu.Lock()
	defer k.mu.Unlock()
	return k.health
}

// Stats returns the running totals.
func (k *Keyring) Stats() Stats {
	k.mu.Lock()
	defer k.mu.Unlock()
	s := k.stats
	s.Live = k.recent.Len()
	return s
}

// HasLive says whether id's key can be lent now without a call.
func (k *Keyring) HasLive(id RecordID) bool {
	k.mu.Lock()
	defer k.mu.Unlock()
	e := k.keys[id]
	return e != nil && !k.expired(e, k.cfg.Now())
}

// Void withdraws one key: nobody borrows it any more, calls under way for it
// start again, and it is overwritten when the last borrower returns it. It says
// whether there was one. For shredding and revoked grants.
func (k *Keyring) Void(id RecordID) bool {
	k.mu.Lock()
	defer k.mu.Unlock()
	for key, f := range k.flights {
		if key.id == id {
			f.stale = true
			delete(k.flights, key)
		}
	}
	e := k.keys[id]
	if e != nil {
		k.void(e)
	}
	return e != nil
}

// VoidAll withdraws every key, as Void does, and returns how many there were.
// For a policy activation, a sealed key service, a shutdown.
func (k *Keyring) VoidAll(reason string) int {
	k.mu.Lock()
	for _, f := range k.flights {
		f.stale = true
	}
	clear(k.flights)
	n := k.recent.Len()
	for k.recent.Len() > 0 {
		k.void(k.recent.Front().Value.(*entry))
	}
	k.mu.Unlock()
	if n > 0 && k.cfg.OnVoid != nil {
		k.cfg.OnVoid(reason, n)
	}
	return n
}

func (k *Keyring) voidIfRefused(err error) {
	if answered(err) {
		k.VoidAll(string(CauseOf(err)))
	}
}

// Locked says whether the keys lie in memory that is locked against swapping
// and left out of core dumps (Linux, if the limits allow).
func (k *Keyring) Locked() bool { return k.mem.locked }

func (k *Keyring) callWrap(ctx context.Context, id string, items []WrapItem) ([]WrapResult, error) {
	res, err := k.cfg.Wrapper.Wrap(ctx, id, items)
	return res, k.called(ctx, "wrap", len(items), err)
}

func (k *Keyring) callUnwrap(ctx context.Context, id string, items []UnwrapItem) ([]UnwrapResult, error) {
	res, err := k.cfg.Wrapper.Unwrap(ctx, id, items)
	return res, k.called(ctx, "unwrap", len(items), err)
}

// called counts a call and gives its error the type that callers branch on. An
// error of unknown type is dropped from the text: it might hold an answer.
func (k *Keyring) called(ctx context.Context, op string, items int, err error) error {
	if err != nil && !errors.Is(err, ErrUnavailable) {
		cause := CauseUnreachable
		if ctx.Err() != nil {
			cause = CauseDeadline
		}
		err = &UnavailableError{Cause: cause, Op: op}
	}
	k.mu.Lock()
	k.stats.Calls++
	k.stats.Items += uint64(items)
	k.health = err
	if err != nil {
		k.stats.Failures++
	}
	k.mu.Unlock()
	k.voidIfRefused(err)
	return err
}

// waitError turns the end of a wait into a typed error: our deadline means
// that the service is away, the caller's cancellation stays what it is.
func waitError(parent context.Context, op string) error {
	if errors.Is(parent.Err(), context.Canceled) {
		return fmt.Errorf("waiting to %s: %w", op, context.Canceled)
	}
	return &UnavailableError{Cause: CauseDeadline, Op: op}
}
