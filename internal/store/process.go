package store

import (
	"context"
	"errors"
	"time"

	"github.com/jackc/pgx/v5"
)

// ErrFenced is returned when a process may write no outcome any more: it was
// silent for so long that others say what came of what it began.
var ErrFenced = errors.New("this process is fenced")

// Beat says that a process lives and what it owes: the nonces of the intents
// whose outcome it may still write. covers is the answer of the Beat before, if
// any: the caller looked at what it owes after it had that answer, so of
// everything recorded before it, owes is all. now is PostgreSQL's clock. The
// error wraps ErrFenced or ErrUnavailable.
func (s *Store) Beat(ctx context.Context, institution, id string, owes []string, covers *time.Time) (now time.Time, err error) {
	err = s.pool.QueryRow(ctx, `insert into jobs.process as p (institution, id, started_at, seen_at, covers_at, owes)
		values ($1, $2, clock_timestamp(), clock_timestamp(), $4, $3)
		on conflict (institution, id) do update set seen_at = excluded.seen_at, covers_at = excluded.covers_at, owes = excluded.owes
		where p.fenced_at is null returning seen_at`, institution, id, nonNil(owes), covers).Scan(&now)
	if errors.Is(err, pgx.ErrNoRows) {
		return now, ErrFenced
	}
	return now, Classify(err)
}

// Answer runs a batch in one transaction in which the process is not fenced and
// cannot be. The error wraps ErrFenced, and then nothing was written, or what
// Classify gives.
func (s *Store) Answer(ctx context.Context, institution, id string, fill func(*pgx.Batch) error) error {
	batch := &pgx.Batch{}
	batch.Queue(`select jobs.answer_for($1, $2)`, institution, id)
	if err := fill(batch); err != nil {
		return err
	}
	return Classify(s.pool.SendBatch(ctx, batch).Close())
}

// Fence fences one process: it has ended in good order, or it says so itself.
func (s *Store) Fence(ctx context.Context, institution, id string) error {
	_, err := s.pool.Exec(ctx, `update jobs.process set fenced_at = clock_timestamp(), owes = '{}' where institution = $1 and id = $2 and fenced_at is null`, institution, id)
	return Classify(err)
}

// FenceSilent fences processes, but the caller's own, that have said nothing for
// so long, forgets those that were fenced a day ago, and returns how many it
// fenced. It waits for outcomes that are being written.
func (s *Store) FenceSilent(ctx context.Context, institution, own string, silent time.Duration) (int64, error) {
	if _, err := s.pool.Exec(ctx, `delete from jobs.process where institution = $1 and fenced_at < clock_timestamp() - interval '1 day'`, institution); err != nil {
		return 0, Classify(err)
	}
	tag, err := s.pool.Exec(ctx, `update jobs.process set fenced_at = clock_timestamp(), owes = '{}'
		where institution = $1 and fenced_at is null and seen_at < clock_timestamp() - $2 * interval '1 second' and id <> $3`, institution, silent.Seconds(), own)
	return tag.RowsAffected(), Classify(err)
}

// Process is what a living process says of itself.
type Process struct {
	ID     string
	Covers *time.Time // nil: it has said nothing of what it owes yet
	Owes   map[string]bool
}

// Place is a position in the logs of an institution, oldest first.
type Place struct {
	Year  int
	Index int64
}

// Leaf is an entry as the log has it.
type Leaf struct {
	Place
	ID    int64
	SeqAt time.Time
	Body  []byte // nil: detached from the database
}

const selectLeaves = `select l.year, l.idx, l.entry_id, l.seq_at, e.body
	from audit.leaf l left join audit.entry e on e.institution = l.institution and e.id = l.entry_id
	where l.institution = $1 and (l.year, l.idx) >= ($2, $3) order by l.year, l.idx limit $4`

func leavesFrom(ctx context.Context, q interface {
	Query(context.Context, string, ...any) (pgx.Rows, error)
}, institution string, from Place, limit int) ([]Leaf, error) {
	rows, err := q.Query(ctx, selectLeaves, institution, from.Year, from.Index, limit)
	if err != nil {
		return nil, Classify(err)
	}
	list, err := pgx.CollectRows(rows, func(row pgx.CollectableRow) (l Leaf, err error) {
		return l, row.Scan(&l.Year, &l.Index, &l.ID, &l.SeqAt, &l.Body)
	})
	return list, Classify(err)
}

// Leaves reads entries from a place on, in the order of the log.
func (s *Store) Leaves(ctx context.Context, institution string, from Place, limit int) ([]Leaf, error) {
	return leavesFrom(ctx, s.pool, institution, from, limit)
}

// ReapedTo is the place before which every intent has an outcome.
func (s *Store) ReapedTo(ctx context.Context, institution string) (Place, error) {
	var p Place
	err := s.pool.QueryRow(ctx, `insert into jobs.reaper (institution, year, idx, updated_at) values ($1, 0, 0, clock_timestamp())
		on conflict (institution) do update set institution = excluded.institution returning year, idx`, institution).Scan(&p.Year, &p.Index)
	return p, Classify(err)
}

// Reaping is one reaper's turn: a snapshot of all that matters, and the right to
// write what came of intents. Its methods are for the callback of Reap.
type Reaping struct {
	tx          pgx.Tx
	institution string
	// Now is PostgreSQL's clock. Living are the processes that may still answer.
	Now    time.Time
	Living []Process
	// Pending are bodies of entries that have no place in the log yet.
	Pending [][]byte
}

// Tx is the transaction of the turn.
func (r *Reaping) Tx() pgx.Tx { return r.tx }

// Leaves is Store.Leaves in the snapshot.
func (r *Reaping) Leaves(ctx context.Context, from Place, limit int) ([]Leaf, error) {
	return leavesFrom(ctx, r.tx, r.institution, from, limit)
}

// Take marks intents as closed and returns those that were not, in order.
func (r *Reaping) Take(ctx context.Context, entries []int64) ([]int64, error) {
	rows, err := r.tx.Query(ctx, `insert into jobs.reaped (institution, entry, at) select $1, e, clock_timestamp() from unnest($2::bigint[]) e
		on conflict do nothing returning entry`, r.institution, entries)
	if err != nil {
		return nil, Classify(err)
	}
	list, err := pgx.CollectRows(rows, pgx.RowTo[int64])
	return list, Classify(err)
}

// Move sets the place before which every intent has an outcome, and forgets what
// was closed long before it.
func (r *Reaping) Move(ctx context.Context, to Place) error {
	if _, err := r.tx.Exec(ctx, `delete from jobs.reaped where institution = $1 and at < clock_timestamp() - interval '7 days'`, r.institution); err != nil {
		return Classify(err)
	}
	_, err := r.tx.Exec(ctx, `update jobs.reaper set year = $2, idx = $3, updated_at = clock_timestamp()
		where institution = $1 and (year, idx) < ($2, $3)`, r.institution, to.Year, to.Index)
	return Classify(err)
}

// Reap gives work a turn. ErrStale means that another reaper has it.
func (s *Store) Reap(ctx context.Context, institution string, work func(*Reaping) error) error {
	return Classify(pgx.BeginTxFunc(ctx, s.pool, pgx.TxOptions{IsoLevel: pgx.RepeatableRead}, func(tx pgx.Tx) error {
		r := &Reaping{tx: tx, institution: institution}
		// The first statement takes the snapshot: whoever had the turn before and
		// committed since makes this one fail, and it is tried again.
		err := tx.QueryRow(ctx, `select clock_timestamp() from jobs.reaper where institution = $1 for update skip locked`, institution).Scan(&r.Now)
		if errors.Is(err, pgx.ErrNoRows) {
			return ErrStale
		}
		if err != nil {
			return err
		}
		if r.Living, err = living(ctx, tx, institution); err != nil {
			return err
		}
		rows, err := tx.Query(ctx, `select e.body from audit.pending p join audit.entry e on e.institution = p.institution and e.id = p.id where p.institution = $1`, institution)
		if err != nil {
			return err
		}
		if r.Pending, err = pgx.CollectRows(rows, pgx.RowTo[[]byte]); err != nil {
			return err
		}
		return work(r)
	}))
}

func living(ctx context.Context, tx pgx.Tx, institution string) ([]Process, error) {
	rows, err := tx.Query(ctx, `select id::text, covers_at, owes from jobs.process where institution = $1 and fenced_at is null`, institution)
	if err != nil {
		return nil, err
	}
	return pgx.CollectRows(rows, func(row pgx.CollectableRow) (p Process, err error) {
		var owes []string
		err = row.Scan(&p.ID, &p.Covers, &owes)
		p.Owes = make(map[string]bool, len(owes))
		for _, nonce := range owes {
			p.Owes[nonce] = true
		}
		return p, err
	})
}
