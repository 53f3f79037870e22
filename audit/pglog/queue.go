package pglog

import (
	"context"
	"log/slog"
	"slices"
	"sync"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/sealtrail/sealtrail/audit"
)

// beside is the entries that a Sequencer found no leaf can be made of: it looks past them, so that they hold up nobody. They stay
// pending, and [Check] names them. Safe for concurrent use.
type beside struct {
	mu  sync.Mutex
	ids []int64 // ascending
}

// maxBeside bounds the list, which is sent with every batch: 1 MB.
const maxBeside = 1 << 17

// add remembers ids and reports whether there was room.
func (b *beside) add(ids []int64) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	if len(b.ids)+len(ids) > maxBeside {
		return false
	}
	b.ids = append(slices.Clip(b.ids), ids...) // list has given the old one away
	slices.Sort(b.ids)
	return true
}

// list MUST not be changed; never nil, which PostgreSQL would take for null.
func (b *beside) list() []int64 {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.ids == nil {
		return []int64{}
	}
	return b.ids
}

// Rejected is the number of entries that this Sequencer leaves pending because their bodies are not canonical or name another
// institution or subject than their row. Only somebody who calls audit.append past this package can make one. [Check] names them.
func (s *Sequencer) Rejected() int { return len(s.beside.list()) }

// Waiting returns the age of the oldest entry that waits for an index, by PostgreSQL's clock; 0 when none does. Entries that this
// Sequencer rejected do not count: nothing becomes of them. The error wraps [ErrUnavailable].
func (s *Sequencer) Waiting(ctx context.Context) (time.Duration, error) {
	var seconds float64
	err := s.cfg.Pool.QueryRow(ctx, `
		select coalesce(extract(epoch from clock_timestamp() - (
			select e.inserted_at
			from (select q.id from audit.pending q where q.institution = $1 and q.id <> all ($2::bigint[]) order by q.id limit 1) p
			join audit.entry e on e.institution = $1 and e.id = p.id)), 0)::float8`,
		s.cfg.Institution, s.beside.list()).Scan(&seconds)
	if err != nil {
		return 0, unavailable("looking at the queue", err)
	}
	return time.Duration(seconds * float64(time.Second)), nil
}

type pendingEntry struct {
	id      uint64
	subject string
	body    []byte
	state   audit.State
}

// take locks and returns the oldest pending entries, less those that no leaf may be made of. It goes on behind a window that
// holds nothing else, so a crowd of them costs time once and stops nothing.
func (s *Sequencer) take(ctx context.Context, tx pgx.Tx) ([]pendingEntry, error) {
	for {
		list, rejected, err := s.window(ctx, tx)
		if err != nil || len(rejected) == 0 {
			return list, err
		}
		room := s.beside.add(rejected)
		s.cfg.Logger.ErrorContext(ctx, "entries that are none are left pending", slog.String("institution", s.cfg.Institution),
			slog.Int("count", len(rejected)), slog.Bool("remembered", room))
		if len(list) > 0 || len(rejected) < s.cfg.MaxBatch || !room {
			return list, nil
		}
	}
}

// window reads the oldest pending entries that were not rejected before.
func (s *Sequencer) window(ctx context.Context, tx pgx.Tx) (list []pendingEntry, rejected []int64, err error) {
	rows, err := tx.Query(ctx, "select id, subject, body from audit.take($1, $2, $3)", s.cfg.Institution, s.cfg.MaxBatch, s.beside.list())
	if err != nil {
		return nil, nil, err
	}
	defer rows.Close()
	var view audit.BodyView
	for rows.Next() {
		var e pendingEntry
		if err := rows.Scan(&e.id, &e.subject, &e.body); err != nil {
			return nil, nil, err
		}
		if sequenceable(e.body, e.subject, s.cfg.Institution, &view) && !reserved(view.Kind()) {
			e.state = view.State()
			list = append(list, e)
		} else {
			rejected = append(rejected, int64(e.id))
		}
	}
	return list, rejected, rows.Err()
}
