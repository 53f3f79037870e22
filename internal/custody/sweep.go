package custody

import (
	"context"
	"errors"
	"log/slog"
	"strconv"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/sealtrail/sealtrail/audit"
	"github.com/sealtrail/sealtrail/crypto/field"
	"github.com/sealtrail/sealtrail/internal/store"
)

// Progress is how far a job of the keeper is.
type Progress struct {
	Job     string `json:"job"`
	Target  string `json:"target"`
	Done    int64  `json:"done"`   // records that the job moved
	Failed  int64  `json:"failed"` // records that it could not move: each is an entry
	Left    int64  `json:"left"`   // records that still have to be moved; counted at the start and the end, estimated in between
	Seconds int64  `json:"seconds"`
	// PerSecond and Remaining are of this process's own work; 0 before the first page.
	PerSecond float64       `json:"per_second"`
	Remaining time.Duration `json:"remaining"`
	// Waiting says what the job waits for: the log, the database or Vault.
	Waiting string `json:"waiting,omitempty"`
	State   string `json:"state"` // running, paused, finished
}

// sweep is a job over many records that can be killed anywhere.
type sweep struct {
	upkeep
	target string
	// next returns ids of records that still have to be moved, after one.
	next func(ctx context.Context, after string, limit int) ([]string, error)
	// left counts them.
	left func(ctx context.Context) (int64, error)
}

const (
	// jobSilence is how long a job must have been silent until another process
	// takes it over: well above the time of a page.
	jobSilence = 15 * time.Second
	// pageDeadline bounds one page of upkeep.
	pageDeadline = 20 * time.Second
	// awayPause is how long a job waits before it tries again a log, a database
	// or a Vault that is away.
	awayPause = 500 * time.Millisecond
	// maxIdle is how many walks a job makes in vain for records that somebody
	// changes again and again.
	maxIdle = 20
)

// run works through a job, page by page, until nothing is left that can be
// moved. Where it is stands in jobs.progress: another process goes on there.
// Every page can be done again, since what was moved is not found any more.
func (d *Door) run(ctx context.Context, s sweep, tell func(Progress)) (Progress, error) {
	left, err := s.left(ctx)
	if err != nil {
		return Progress{}, storeError(err)
	}
	job, err := d.cfg.Store.ClaimJob(ctx, store.Job{Institution: d.cfg.Institution, Name: s.job, Run: newUUID(), Holder: newUUID(), Target: s.target, Total: left}, jobSilence)
	if errors.Is(err, store.ErrStale) {
		return Progress{}, ErrBusy
	}
	if err != nil {
		return Progress{}, storeError(err)
	}
	r := &running{sweep: s, job: job, left: left, whole: job.Cursor == "", began: time.Now(), tell: tell}
	for {
		more, err := d.sweepPage(ctx, r)
		if err != nil || !more {
			return d.stop(ctx, r, err)
		}
	}
}

// running is a job at work in this process.
type running struct {
	sweep
	job   *store.Job
	left  int64
	moved int64 // by this process
	round int64 // moved since the walk began anew
	met   int64 // changed by others meanwhile, in this walk
	idle  int   // walks that moved nothing because of that
	whole bool  // the walk began at the first id
	began time.Time
	tell  func(Progress)
}

func (r *running) progress() Progress {
	p := Progress{Job: r.job.Name, Target: r.job.Target, Done: r.job.Done, Failed: r.job.Failed, Left: r.left, State: r.job.State,
		Seconds: int64(time.Since(r.job.StartedAt).Seconds())}
	if took := time.Since(r.began).Seconds(); r.moved > 0 && took > 0 {
		p.PerSecond = float64(r.moved) / took
		p.Remaining = time.Duration(float64(r.left) / p.PerSecond * float64(time.Second)).Round(time.Second)
	}
	return p
}

// say tells of the progress, and what the job waits for.
func (r *running) say(waiting string) {
	if r.tell == nil {
		return
	}
	p := r.progress()
	p.Waiting = waiting
	r.tell(p)
}

// sweepPage moves one page. more is false once nothing is left that can be
// moved.
func (d *Door) sweepPage(ctx context.Context, r *running) (more bool, err error) {
	if err := ctx.Err(); err != nil {
		return false, err
	}
	began := time.Now()
	bounded, cancel := context.WithTimeout(ctx, pageDeadline)
	defer cancel()
	ids, err := r.next(bounded, r.job.Cursor, keepPage)
	if err != nil {
		return d.pause(ctx, r, storeError(err))
	}
	if len(ids) == 0 {
		return d.round(bounded, r)
	}
	page, err := d.keep(bounded, ids, r.upkeep)
	r.count(page)
	if err != nil {
		// The same page again: what was moved is not found any more.
		return d.pause(ctx, r, err)
	}
	r.job.Cursor = ids[len(ids)-1]
	if err := d.saveJob(bounded, r.job); err != nil {
		return d.pause(ctx, r, err)
	}
	r.say("")
	// Half of the time is left to those who read meanwhile.
	return true, wait(ctx, min(time.Since(began), time.Second))
}

func wait(ctx context.Context, d time.Duration) error {
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-time.After(d):
		return nil
	}
}

// count adds what became of a page. What somebody changed meanwhile is neither:
// the next round finds it if it still has to be moved.
func (r *running) count(page []*kept) {
	for _, k := range page {
		switch {
		case k == nil || k.err != nil && (away(k.err) || gone(k.err)):
		case errors.Is(k.err, ErrStale):
			r.met++
		case k.err != nil:
			r.job.Failed++
		case k.receipt.Valid():
			r.job.Done, r.moved, r.round, r.left = r.job.Done+1, r.moved+1, r.round+1, max(r.left-1, 0)
		}
	}
}

// round ends a walk through all ids. What came behind it is found by another
// one, until one moves nothing.
func (d *Door) round(ctx context.Context, r *running) (more bool, err error) {
	left, err := r.sweep.left(ctx)
	if err != nil {
		return d.pause(ctx, r, storeError(err))
	}
	r.left = left
	again := r.round > 0 || !r.whole
	if !again && r.met > 0 && r.idle < maxIdle {
		r.idle++ // whoever changed them has done so by now
		again = true
	}
	if left > r.job.Failed && again {
		r.whole, r.round, r.met, r.job.Cursor, r.job.Failed = true, 0, 0, "", 0
		return true, nil
	}
	return false, nil
}

// pause waits a little for what is away, if anything is.
func (d *Door) pause(ctx context.Context, r *running, err error) (more bool, _ error) {
	if !away(err) || ctx.Err() != nil {
		return false, err
	}
	r.say(waitingFor(err))
	if err := wait(ctx, awayPause); err != nil {
		return false, err
	}
	return true, nil
}

func waitingFor(err error) string {
	switch {
	case errors.Is(err, ErrKeysUnavailable):
		return "vault"
	case errors.Is(err, ErrUnrecorded):
		return "log"
	}
	return "database"
}

func (d *Door) saveJob(ctx context.Context, job *store.Job) error {
	err := d.cfg.Store.Tx(ctx, func(tx pgx.Tx) error { return d.cfg.Store.SaveJob(ctx, tx, job) })
	if errors.Is(err, store.ErrStale) {
		return ErrBusy // taken over
	}
	return storeError(err)
}

// stop writes how far the job came, and whether it is over.
func (d *Door) stop(ctx context.Context, r *running, err error) (Progress, error) {
	r.job.State = "finished"
	if err != nil {
		r.job.State = "paused"
	}
	if !errors.Is(err, ErrBusy) {
		last, cancel := context.WithTimeout(context.WithoutCancel(ctx), deadline)
		defer cancel()
		if saved := d.saveJob(last, r.job); saved != nil {
			d.cfg.Logger.WarnContext(ctx, "job not saved", slog.String("name", r.job.Name))
		}
	}
	r.say("")
	return r.progress(), err
}

// Resealing moves every record that is sealed in another suite than the chosen
// one, in either direction. Reads and changes go on meanwhile. tell hears of the
// progress after each page; it may be nil. It can be killed anywhere and called
// again. ErrBusy: another process does it.
func (d *Door) Resealing(ctx context.Context, tell func(Progress)) (Progress, error) {
	suite, err := d.CheckSuite(ctx)
	if err != nil {
		return Progress{}, err
	}
	return d.run(ctx, d.resealing(suite), tell)
}

func (d *Door) resealing(suite uint8) sweep {
	r := regen{suite: suite, why: becauseSuite}
	return sweep{target: "suite-" + strconv.Itoa(int(suite)),
		next: func(ctx context.Context, after string, limit int) ([]string, error) {
			return d.cfg.Store.OfOtherSuite(ctx, d.cfg.Institution, suite, after, limit)
		},
		left: func(ctx context.Context) (left int64, err error) {
			counts, err := d.cfg.Store.CountSuites(ctx, d.cfg.Institution)
			for s, n := range counts {
				if s != suite {
					left += n
				}
			}
			return left, err
		},
		upkeep: upkeep{job: "reseal", prepare: d.mintKept,
			intend: func(a *asked) (string, []string, audit.Facts, bool) {
				return "record.resealed", nil, resealFacts(a.row, r), max(a.row.Suite, field.Suite1) != suite
			},
			act: func(ctx context.Context, k *kept) error {
				return d.renew(ctx, k, func(o *opened) error {
					next, r := *k.a.row, r
					r.minted = k.minted
					_, err := d.regenerate(ctx, k.a, k.receipt, o, &next, r)
					return err
				})
			}}}
}

// renew opens a record for its keeper, without any field, and makes a finding of
// integrity an entry.
func (d *Door) renew(ctx context.Context, k *kept, act func(*opened) error) error {
	o, err := d.openKept(ctx, k, nil)
	if err != nil {
		return err
	}
	defer o.close()
	if err := act(o); err != nil {
		if broke(err) {
			return d.broken(ctx, k.a, k.receipt, err)
		}
		return keyError(err)
	}
	return nil
}

// gone says that a record was erased while a job was on its way to it.
func gone(err error) bool { return errors.Is(err, ErrShredded) }
