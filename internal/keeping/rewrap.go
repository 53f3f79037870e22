package keeping

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/sealtrail/sealtrail/internal/custody"
)

// Rewrapper is what a rewrap asks of the door; *custody.Door has it.
type Rewrapper interface {
	BeginRewrap(ctx context.Context, holder string) (*custody.Rewrapping, error)
	ReadRewrap(context.Context, *custody.Rewrapping) (*custody.Rewrapped, error)
	WriteRewrap(context.Context, *custody.Rewrapping, *custody.Rewrapped) error
	EndRewrap(ctx context.Context, r *custody.Rewrapping, last bool) (remaining int64, err error)
	PauseRewrap(context.Context, *custody.Rewrapping) error
}

// RewrapConfig of Rewrap. Zero fields but Door mean the documented defaults.
type RewrapConfig struct {
	Door Rewrapper
	// Rate bounds the keys per second; 0: as fast as one call at a time goes.
	Rate float64
	// Share is the part of the time in which a call to Vault may be under way, in
	// (0, 1]; 0 means 1. Below 1, those who read meanwhile find Vault idle in
	// between.
	Share float64
	// Batch is how many keys one call to Vault carries; 0 means 256, or 32 with a
	// Share below 1: a reader then waits behind a call of one or two
	// milliseconds.
	Batch int
	// Progress hears how far the job is, after each batch and while it waits.
	Progress func(Progress)
	// At is called at each named point of the job, for tests that end it there:
	// an error that it returns ends the job at once, as a crash does.
	At func(point string) error
	// Join is how many times 256 keys one transaction writes, if so many are
	// waiting; 0 means 4. A busy database then costs Vault no idle time.
	Join int
	// Passes is how often the job starts over for keys that failed; 0 means 3.
	Passes int
	// MaxWait bounds the pause before the job tries a part again that is away;
	// 0 means 15 s.
	MaxWait time.Duration
}

// Points at which a test may end a job.
const (
	PointClaimed = "claimed" // the run is this process's, nothing was read
	PointRead    = "read"    // Vault answered a batch, nothing was written
	PointWritten = "written" // a batch was written
	PointCounted = "counted" // everything was read once, and what is left counted
)

// Progress is how far a rewrap is.
type Progress struct {
	Run     string        `json:"run,omitempty"`
	Key     string        `json:"key,omitempty"`
	Version int           `json:"version,omitempty"`
	Done    int64         `json:"done"`
	Total   int64         `json:"total"`
	Failed  int64         `json:"failed"`
	Rate    float64       `json:"keys_per_second"`
	Left    time.Duration `json:"-"`
	Waiting string        `json:"waiting,omitempty"` // for what; empty: at work
}

// Result is what a rewrap came to.
type Result struct {
	Progress
	// Remaining keys are older than the version even so: the log names the
	// records of those that do not open.
	Remaining int64 `json:"remaining"`
}

// politeBatch is the default of RewrapConfig.Batch beside readers.
const politeBatch = 32

// firstWait is the pause before the first new attempt.
const firstWait = 500 * time.Millisecond

// Rewrap brings every wrapped key to the newest version of the record key, one
// batch in flight at a time. It can be ended anywhere and run again, also by
// several processes at once: then one works and the others wait for it. While
// Vault or PostgreSQL is away it waits and goes on. It returns when nothing is
// left to do, or with ctx's error.
func Rewrap(ctx context.Context, cfg RewrapConfig) (Result, error) {
	job := newRewrap(cfg)
	wait := firstWait
	for {
		before := job.written
		result, err := job.run(ctx)
		if err == nil || ctx.Err() != nil {
			return result, err
		}
		reason := waitingFor(err)
		if reason == "" {
			return result, err
		}
		if job.written > before {
			wait = firstWait // it went on for a while: a new outage
		}
		job.tell(reason)
		if err := pause(ctx, wait); err != nil {
			return result, err
		}
		wait = min(2*wait, job.cfg.MaxWait)
	}
}

// waitingFor names what an error makes the job wait for; empty: it is no use.
func waitingFor(err error) string {
	switch {
	case errors.Is(err, custody.ErrBusy):
		return "another process rewraps"
	case errors.Is(err, custody.ErrKeysUnavailable):
		return "Vault is away"
	case errors.Is(err, custody.ErrStoreUnavailable), errors.Is(err, custody.ErrUnrecorded):
		return "the database is away"
	}
	return ""
}

func pause(ctx context.Context, d time.Duration) error {
	if d <= 0 {
		return ctx.Err()
	}
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-t.C:
		return nil
	}
}

type rewrap struct {
	cfg     RewrapConfig
	holder  string
	began   time.Time
	written int64 // keys that this process handled
	last    Progress
}

func newRewrap(cfg RewrapConfig) *rewrap {
	if cfg.Progress == nil {
		cfg.Progress = func(Progress) {}
	}
	if cfg.At == nil {
		cfg.At = func(string) error { return nil }
	}
	if cfg.Join <= 0 {
		cfg.Join = 4
	}
	if cfg.Passes <= 0 {
		cfg.Passes = 3
	}
	if cfg.MaxWait <= 0 {
		cfg.MaxWait = 15 * time.Second
	}
	if cfg.Share <= 0 || cfg.Share > 1 {
		cfg.Share = 1
	}
	if cfg.Batch <= 0 || cfg.Batch > custody.RewrapBatch {
		cfg.Batch = custody.RewrapBatch
		if cfg.Share < 1 {
			cfg.Batch = politeBatch
		}
	}
	return &rewrap{cfg: cfg, holder: rand.Text(), began: time.Now()}
}

// run claims the job and works until it is done or something fails. What was not
// written is read again by the next run.
func (j *rewrap) run(ctx context.Context) (Result, error) {
	r, err := j.cfg.Door.BeginRewrap(ctx, j.holder)
	if err != nil {
		return Result{Progress: j.last}, err
	}
	r.Batch = j.cfg.Batch
	j.report(r)
	if err := j.cfg.At(PointClaimed); err != nil {
		return Result{Progress: j.last}, err
	}
	result, err := j.passes(ctx, r)
	if err != nil && ctx.Err() != nil {
		// Best effort: without it the next process waits a few seconds.
		_ = j.cfg.Door.PauseRewrap(context.WithoutCancel(ctx), r)
		// What fails because of the interruption is the interruption, not an outage.
		err = errors.Join(ctx.Err(), err)
	}
	return result, err
}

func (j *rewrap) passes(ctx context.Context, r *custody.Rewrapping) (Result, error) {
	for n := 1; ; n++ {
		if err := j.pass(ctx, r); err != nil {
			return Result{Progress: j.last}, err
		}
		last := n == j.cfg.Passes
		remaining, err := j.cfg.Door.EndRewrap(ctx, r, last)
		if err != nil {
			return Result{Progress: j.last}, err
		}
		j.report(r)
		if err := j.cfg.At(PointCounted); err != nil {
			return Result{Progress: j.last}, err
		}
		if remaining == 0 || last {
			return Result{j.last, remaining}, nil
		}
	}
}

// pass goes through all older keys once. Vault works on a batch while the one
// before is written.
func (j *rewrap) pass(ctx context.Context, r *custody.Rewrapping) error {
	group, gctx := errgroup.WithContext(ctx)
	batches := make(chan *custody.Rewrapped, j.cfg.Join*custody.RewrapBatch/j.cfg.Batch-1)
	group.Go(func() error {
		defer close(batches)
		return j.read(gctx, r, batches)
	})
	group.Go(func() error {
		for b := range batches {
			j.gather(b, batches)
			if err := j.cfg.Door.WriteRewrap(gctx, r, b); err != nil {
				return fmt.Errorf("writing rewrapped keys: %w", err)
			}
			j.written += int64(b.Len())
			j.report(r)
			if err := j.cfg.At(PointWritten); err != nil {
				return err
			}
		}
		return nil
	})
	return group.Wait()
}

// gather joins batches until there is enough for a transaction and an entry, and
// takes what else is waiting.
func (j *rewrap) gather(b *custody.Rewrapped, batches <-chan *custody.Rewrapped) {
	for b.Len() < custody.RewrapBatch || b.Len() < j.cfg.Join*custody.RewrapBatch && len(batches) > 0 {
		next, ok := <-batches
		if !ok {
			return
		}
		b.Join(next)
	}
}

func (j *rewrap) read(ctx context.Context, r *custody.Rewrapping, batches chan<- *custody.Rewrapped) error {
	for {
		began := time.Now()
		b, err := j.cfg.Door.ReadRewrap(ctx, r)
		if err != nil {
			return fmt.Errorf("rewrapping keys: %w", err)
		}
		if b == nil {
			return nil
		}
		if err := j.cfg.At(PointRead); err != nil {
			return err
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case batches <- b:
		}
		if err := pause(ctx, j.idle(b.Len(), time.Since(began))); err != nil {
			return err
		}
	}
}

// idle is how long to leave Vault alone after a batch that took some time.
func (j *rewrap) idle(keys int, took time.Duration) time.Duration {
	rest := time.Duration(float64(took) * (1/j.cfg.Share - 1))
	if j.cfg.Rate > 0 {
		rest = max(rest, time.Duration(float64(keys)/j.cfg.Rate*float64(time.Second))-took)
	}
	return rest
}

func (j *rewrap) report(r *custody.Rewrapping) {
	p := Progress{Run: r.Run, Key: r.Key, Version: r.Version, Done: r.Done(), Total: r.Total, Failed: r.Failed()}
	if took := time.Since(j.began).Seconds(); took > 0 && j.written > 0 {
		p.Rate = float64(j.written) / took
		p.Left = time.Duration(float64(max(0, p.Total-p.Done)) / p.Rate * float64(time.Second)).Round(time.Second)
	}
	j.last = p
	j.cfg.Progress(p)
}

func (j *rewrap) tell(waiting string) {
	p := j.last
	p.Waiting = waiting
	j.cfg.Progress(p)
}
