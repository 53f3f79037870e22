package store

import (
	"context"
	"time"

	"github.com/jackc/pgx/v5"
)

// Job is a row of jobs.progress: how far a resumable job is.
type Job struct {
	Institution string
	Name        string // "rewrap", ...: one row each
	Run         string // UUID; stays the same when another process goes on
	Holder      string // the process that works at it
	Target      string // what it works towards; another target is another run
	Cursor      string // where it goes on
	Done        int64
	Total       int64
	Failed      int64
	State       string // running, paused, finished, cancelled
	StartedAt   time.Time
	UpdatedAt   time.Time
}

const jobColumns = `institution, job, run::text, holder, target, cursor, done, total, failed, state, started_at, updated_at`

func scanJob(row pgx.Row) (*Job, error) {
	j := &Job{}
	err := row.Scan(&j.Institution, &j.Name, &j.Run, &j.Holder, &j.Target, &j.Cursor, &j.Done, &j.Total, &j.Failed, &j.State, &j.StartedAt, &j.UpdatedAt)
	if err != nil {
		return nil, Classify(err)
	}
	j.StartedAt, j.UpdatedAt = j.StartedAt.UTC(), j.UpdatedAt.UTC()
	return j, nil
}

// ClaimJob starts a job, or goes on with a run towards the same target that was
// not finished: then the answer has its run, place and figures instead of those
// of j. ErrStale means that another holder works at it and has said so within
// stale. Times are PostgreSQL's, so that the clocks of two machines do not
// matter.
func (s *Store) ClaimJob(ctx context.Context, j Job, stale time.Duration) (*Job, error) {
	row := s.pool.QueryRow(ctx, `insert into jobs.progress as p (institution, job, run, holder, target, cursor, done, total, failed, state, started_at, updated_at)
		values ($1, $2, $3, $4, $5, $6, 0, $7, 0, 'running', clock_timestamp(), clock_timestamp())
		on conflict (institution, job) do update set
			run = case when p.state in ('running', 'paused') and p.target = excluded.target then p.run else excluded.run end,
			cursor = case when p.state in ('running', 'paused') and p.target = excluded.target then p.cursor else excluded.cursor end,
			done = case when p.state in ('running', 'paused') and p.target = excluded.target then p.done else 0 end,
			total = case when p.state in ('running', 'paused') and p.target = excluded.target then p.total else excluded.total end,
			failed = case when p.state in ('running', 'paused') and p.target = excluded.target then p.failed else 0 end,
			started_at = case when p.state in ('running', 'paused') and p.target = excluded.target then p.started_at else excluded.started_at end,
			holder = excluded.holder, target = excluded.target, state = 'running', updated_at = excluded.updated_at
		where p.state <> 'running' or p.holder = excluded.holder or p.updated_at < clock_timestamp() - $8 * interval '1 second'
		returning `+jobColumns,
		j.Institution, j.Name, j.Run, j.Holder, j.Target, j.Cursor, j.Total, stale.Seconds())
	claimed, err := scanJob(row)
	if missingRow(err) {
		return nil, ErrStale
	}
	return claimed, err
}

func missingRow(err error) bool { return err == ErrNotFound } //nolint:errorlint // Classify returns this very value

// SaveJob writes how far a job is, in the transaction of the work itself.
// ErrStale means that another holder took the run over.
func (s *Store) SaveJob(ctx context.Context, tx pgx.Tx, j *Job) error {
	tag, err := tx.Exec(ctx, `update jobs.progress set cursor = $5, done = $6, total = $7, failed = $8, state = $9, updated_at = clock_timestamp()
		where institution = $1 and job = $2 and run = $3 and holder = $4`, j.Institution, j.Name, j.Run, j.Holder, j.Cursor, j.Done, j.Total, j.Failed, j.State)
	if err != nil {
		return Classify(err)
	}
	if tag.RowsAffected() == 0 {
		return ErrStale
	}
	return nil
}

// Jobs lists the institution's jobs.
func (s *Store) Jobs(ctx context.Context, institution string) ([]*Job, error) {
	rows, err := s.pool.Query(ctx, `select `+jobColumns+` from jobs.progress where institution = $1 order by job`, institution)
	if err != nil {
		return nil, Classify(err)
	}
	list, err := pgx.CollectRows(rows, func(row pgx.CollectableRow) (*Job, error) { return scanJob(row) })
	return list, Classify(err)
}
