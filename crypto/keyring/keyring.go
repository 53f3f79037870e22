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
	// MaxUses is how often one unwrapped key may be borrowed before it must be
	// unwrapped again; 0 means 100,000. Every use of a lease stands in the log
	// as {opening batch, use k}, so this bounds what a single item of the key
	// service's own audit log can stand for. A record read without pause during
	// the whole 60 s of a lease (1,600 times a second) just reaches it.
	MaxUses uint64
	// Circuit decides when calls to a service that does not answer fail at
	// once; its zero fields mean its defaults.
	Circuit CircuitConfig
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

	circuit *Circuit

	mu      sync.Mutex
	policy  uint64 // see SetPolicy
	keys    map[RecordID]*entry
	recent  *list.List // of *entry, most recently used first
	flights map[flightKey]*flight
	minting map[*entry]bool // new keys that are being wrapped
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
	Spared   uint64 // calls not made since the circuit was open
}

// New returns a Keyring. It makes no call and starts no goroutine.
func New(cfg Config) (*Keyring, error) {
	if cfg.Wrapper == nil {
		return nil, errors.New("making a keyring: no wrapper")
	}
	cfg = cfg.withDefaults()
	k := &Keyring{
		cfg:     cfg,
		circuit: NewCircuit(cfg.Circuit),
		mem:     newArena(cfg.MaxKeys),
		keys:    make(map[RecordID]*entry),
		recent:  list.New(),
		flights: make(map[flightKey]*flight),
		minting: make(map[*entry]bool),
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
	if c.MaxUses == 0 {
		c.MaxUses = 100_000
	}
	orTime(&c.HardTTL, 60*time.Second)
	orTime(&c.IdleTTL, 15*time.Second)
	orTime(&c.MaxWait, time.Millisecond)
	orTime(&c.MintWait, 25*time.Millisecond)
	orTime(&c.Deadline, 2*time.Second)
	orTime(&c.ProbeEvery, time.Second)
	if c.Now == nil {
		c.Now = time.Now
	}
	if c.Circuit.Now == nil {
		c.Circuit.Now = c.Now
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
	e := k.keys[id.canonical()]
	return e != nil && !k.expired(e, k.cfg.Now())
}

// Void withdraws one key: nobody borrows it any more, calls under way for it
// start again, and it is overwritten when the last borrower returns it. It says
// whether there was one. For shredding and revoked grants.
func (k *Keyring) Void(id RecordID) bool {
	id = id.canonical()
	k.mu.Lock()
	defer k.mu.Unlock()
	for e := range k.minting {
		e.withdrawn = e.withdrawn || e.id == id
	}
	for key, f := range k.flights {
		if key.id == id {
			f.stale = true
			delete(k.flights, key)
		}
	}
	e := k.keys[id]
	if e != nil {
		k.withdraw(e)
	}
	return e != nil
}

// VoidAll withdraws every key, as Void does, and returns how many there were.
// For a sealed key service, a shutdown. reason goes to OnVoid.
func (k *Keyring) VoidAll(reason string) int {
	k.mu.Lock()
	n := k.withdrawAll()
	k.mu.Unlock()
	k.heard(reason, n)
	return n
}

// heard tells of keys that were withdrawn. k.mu is not held.
func (k *Keyring) heard(reason string, keys int) {
	if keys > 0 && k.cfg.OnVoid != nil {
		k.cfg.OnVoid(reason, keys)
	}
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
	if err := k.allowed("wrap"); err != nil {
		return nil, err
	}
	res, err := k.cfg.Wrapper.Wrap(ctx, id, items)
	return res, k.called(ctx, "wrap", len(items), answerError(err, len(res), len(items), "wrap"))
}

func (k *Keyring) callUnwrap(ctx context.Context, id string, items []UnwrapItem) ([]UnwrapResult, error) {
	if err := k.allowed("unwrap"); err != nil {
		return nil, err
	}
	res, err := k.cfg.Wrapper.Unwrap(ctx, id, items)
	return res, k.called(ctx, "unwrap", len(items), answerError(err, len(res), len(items), "unwrap"))
}

// answerError adds what a Wrapper may not have noticed: an answer with another
// number of results belongs to nobody.
func answerError(err error, got, want int, op string) error {
	if err == nil && got != want {
		return &UnavailableError{Cause: CauseUnreachable, Op: op}
	}
	return err
}

// allowed asks the circuit and counts what it spares.
func (k *Keyring) allowed(op string) error {
	err := k.circuit.Allow(op)
	if err != nil {
		k.mu.Lock()
		k.stats.Spared++
		k.mu.Unlock()
	}
	return err
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
	k.circuit.Done(err)
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
