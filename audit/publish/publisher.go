package publish

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"golang.org/x/mod/sumdb/note"

	"github.com/sealtrail/sealtrail/audit"
	"github.com/sealtrail/sealtrail/audit/pglog"
)

// Defaults of Config.
const (
	DefaultInterval        = 250 * time.Millisecond // contracts.md 4: sign every 250 ms when the log grew
	DefaultSignDeadline    = 2 * time.Second        // contracts.md 4
	DefaultWitnessDeadline = 2 * time.Second
	maxPause               = 5 * time.Second // between attempts after failures
)

// Source is the sequenced log that a Publisher publishes; pglog.Tree is one. Its contracts are pglog.Tree's.
type Source interface {
	Shard() pglog.Shard
	Head(ctx context.Context) (pglog.Head, error)
	Leaves(ctx context.Context, from, to uint64, fn func(pglog.LeafRow) error) error
	Hashes(ctx context.Context, from, to uint64, fn func(hash [32]byte) error) error
	Reserve(ctx context.Context, size uint64, root [32]byte) (note []byte, err error)
	Record(ctx context.Context, size uint64, root [32]byte, note []byte) error
	Checkpoints(ctx context.Context, from uint64) ([]pglog.Checkpoint, error)
}

// Witness cosigns checkpoints; WitnessClient is one.
type Witness interface {
	// Name is the witness's key name.
	Name() string
	// VerifierKey is its cosignature/v1 key (type 0x04) in note form.
	VerifierKey() string
	// Cosign returns the signature lines for checkpoint, given the proof that it extends the witness's last checkpoint of size
	// oldSize. The error is a [*StaleError] when the witness's last size is another, and wraps [ErrRefused] for other refusals.
	Cosign(ctx context.Context, checkpoint []byte, oldSize uint64, proof [][]byte) ([]byte, error)
}

// Config configures a Publisher.
type Config struct {
	Source           Source                                      // required
	Store            Store                                       // the log's own folder; required
	Signer           CheckpointSigner                            // its Name must be the log's origin; required
	Lead             Leader                                      // nil: this process always publishes
	Second           func(context.Context) (SecondSigner, error) // asked until it gives the second signer; nil = no second signature
	Witnesses        []Witness
	RequireWitnesses int           // fewer cosignatures than this: the checkpoint is not published. 0 = witnesses never block
	Interval         time.Duration // 0 = DefaultInterval
	SignDeadline     time.Duration // 0 = DefaultSignDeadline
	WitnessDeadline  time.Duration // 0 = DefaultWitnessDeadline
	Watch            Watch         // of the witnesses' silence
	Alarm            func(context.Context, Alarm)
	Logger           *slog.Logger // where alarms go if Alarm is nil; nil = slog.Default()
}

// Alarm is something that somebody must look at. Kind is stable.
type Alarm struct {
	Kind    string
	Witness string // for those about witnesses; "" = the quorum
	Err     error

	Size   uint64        // for those about witnesses: cosigned last, or where the histories part
	Age    time.Duration // for AlarmWitnessStale
	SHA256 string        // for AlarmSplit: of the file in evidence/
}

// Kinds of Alarm.
const (
	AlarmPublish  = "publish"  // a round failed and will be tried again
	AlarmTampered = "tampered" // stored rows contradict each other; nothing is signed until they do not
	AlarmWitness  = "witness"  // a witness is away or refuses
	AlarmFork     = "fork"     // ErrFork, ErrBehind or ErrForeign: Run has ended
	AlarmRebuilt  = "rebuilt"  // published tiles were missing or damaged and are written again from the database
)

// Status is what a Publisher last published.
type Status struct {
	Size         uint64
	Root         [32]byte
	PublishedAt  time.Time // zero: nothing in this process yet
	Cosignatures int       // of the last checkpoint
	Err          error     // of the last round; nil when it succeeded
}

// Publisher publishes one log. Several may run, in one process or several: a size has one root and a path one content, so they
// cannot contradict each other; Config.Lead lets one of them work at a time. Methods are safe for concurrent use.
type Publisher struct {
	cfg      Config
	shard    pglog.Shard
	verifier note.Verifier
	asked    map[string]*witnessState
	at       func(context.Context, Step) error // where tests stop a round; nil in service

	round    sync.Mutex // held for a round
	edge     *edge      // nil: to be loaded from the store
	compared bool       // the database has been compared with everything that was signed
	watch    watched    // of the witnesses
	second   secondState
	stale    []string // partial tiles that the last round made superfluous
	shown    []byte   // what this process last wrote as `checkpoint`

	mu        sync.Mutex
	status    Status
	witnessed Witnessed
}

// New returns a Publisher. It touches neither database nor store.
func New(_ context.Context, cfg Config) (*Publisher, error) {
	if cfg.Source == nil || cfg.Store == nil || cfg.Signer == nil {
		return nil, errors.New("publish: Source, Store and Signer are required")
	}
	p := &Publisher{cfg: cfg, shard: cfg.Source.Shard(), asked: map[string]*witnessState{}}
	v, err := note.NewVerifier(cfg.Signer.VerifierKey())
	if err != nil {
		return nil, fmt.Errorf("reading the log's verifier key: %w", err)
	}
	if v.Name() != p.shard.Origin || cfg.Signer.Name() != p.shard.Origin {
		return nil, fmt.Errorf("publish: key name %q is not the origin %q", v.Name(), p.shard.Origin)
	}
	p.verifier = v
	if p.cfg.Interval == 0 {
		p.cfg.Interval = DefaultInterval
	}
	if p.cfg.SignDeadline == 0 {
		p.cfg.SignDeadline = DefaultSignDeadline
	}
	if p.cfg.WitnessDeadline == 0 {
		p.cfg.WitnessDeadline = DefaultWitnessDeadline
	}
	if p.cfg.Logger == nil {
		p.cfg.Logger = slog.Default()
	}
	if err := p.prepareWatch(); err != nil {
		return nil, err
	}
	return p, nil
}

// Status is safe to call at any time.
func (p *Publisher) Status() Status {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.status
}

// Run publishes every Config.Interval when the log grew, until ctx ends, and returns nil then. What may heal by itself (database,
// store, signer or witness away, disk full) raises an alarm and is tried again, up to 5 s apart. It returns an error that wraps
// [ErrFork], [ErrBehind] or [ErrForeign] when the published log and the database are two histories: only a person can say which
// is true.
func (p *Publisher) Run(ctx context.Context) error {
	timer := time.NewTimer(0)
	defer timer.Stop()
	for failures := 0; ; {
		select {
		case <-ctx.Done():
			return nil
		case <-timer.C:
		}
		err := p.Publish(ctx)
		switch {
		case err == nil || ctx.Err() != nil:
			failures = 0
		case errors.Is(err, ErrFork) || errors.Is(err, ErrBehind) || errors.Is(err, ErrForeign):
			p.alarm(ctx, Alarm{Kind: AlarmFork, Err: err})
			return err
		case errors.Is(err, pglog.ErrTampered):
			failures++
			p.alarm(ctx, Alarm{Kind: AlarmTampered, Err: err})
		default:
			failures++
			p.alarm(ctx, Alarm{Kind: AlarmPublish, Err: err})
		}
		timer.Reset(min(p.cfg.Interval<<min(failures, 6), max(maxPause, p.cfg.Interval)))
	}
}

// Publish publishes the log as it is now, if it grew since the last checkpoint. It returns nil when there was nothing to do.
// After an error nothing of the round counts: the next one starts from what is published.
func (p *Publisher) Publish(ctx context.Context) error {
	p.round.Lock()
	defer p.round.Unlock()
	err := p.turn(ctx)
	if err != nil {
		p.edge = nil // may have grown past what is published
	}
	p.mu.Lock()
	p.status.Err = err
	p.mu.Unlock()
	return err
}

// published keeps in memory what was published.
func (p *Publisher) published(c audit.Checkpoint, cosignatures int) {
	p.stale = partialTiles(p.edge.published.Size, c.Size)
	p.edge.published = c
	p.mu.Lock()
	defer p.mu.Unlock()
	p.status = Status{Size: c.Size, Root: c.Root, PublishedAt: time.Now(), Cosignatures: cosignatures}
}

func (p *Publisher) alarm(ctx context.Context, a Alarm) {
	if p.cfg.Alarm != nil {
		p.cfg.Alarm(ctx, a)
		return
	}
	p.cfg.Logger.ErrorContext(ctx, "publishing the log", slog.String("kind", a.Kind), slog.String("log", p.shard.Folder()),
		slog.String("witness", a.Witness), slog.Any("error", a.Err))
}

// PutBlob stores bytes that entries name by their SHA-256 (policy bundles, decision tables, calendars, definitions) and returns
// the lower-case hex digest. It is idempotent.
func (p *Publisher) PutBlob(ctx context.Context, blob []byte) (string, error) {
	return PutBlob(ctx, p.cfg.Store, blob)
}
