package pglog

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"
)

// State says how far an entry has come.
type State string

// States of an entry: durable without an index yet, a leaf of its log, or a leaf whose body is only in the stored copy, where this
// Log cannot read it (Config.Stored).
const (
	StatePending   State = "pending"
	StateSequenced State = "sequenced"
	StateRetained  State = "retained"
)

// EntryState is an entry and, once it is sequenced, its place. Index, Year, LeafHash, SeqAt, TrailN and TrailPrev are zero while
// it is pending.
type EntryState struct {
	ID        uint64
	State     State
	Body      []byte // canonical, as stored; see audit.ParseBody. Nil if retained
	Year      int
	Index     uint64
	LeafHash  [32]byte
	SeqAt     time.Time
	TrailN    uint64
	TrailPrev [32]byte
}

// TrailEntry is one entry of a subject's trail.
type TrailEntry = EntryState

// entryColumns is what scanEntry reads, of entry e left-joined with leaf l.
const entryColumns = `coalesce(e.id, l.entry_id), e.body, l.year, l.idx, l.hash, l.seq_at, l.trail_n, l.prev`

// letGo says of leaf l that its body may be in the stored copy only.
const letGo = `exists (select from audit.retained r where r.institution = $1 and r.year = l.year and r.from_idx > l.idx)`

func scanEntry(row pgx.CollectableRow) (EntryState, error) {
	var e EntryState
	var year *int
	var idx, n *int64
	var hash, prev []byte
	var at *time.Time
	if err := row.Scan(&e.ID, &e.Body, &year, &idx, &hash, &at, &n, &prev); err != nil {
		return e, err
	}
	if year == nil {
		e.State = StatePending
		return e, nil
	}
	e.State = StateSequenced
	if e.Body == nil {
		e.State = StateRetained
	}
	e.Year, e.Index, e.SeqAt, e.TrailN = *year, uint64(*idx), at.UTC(), uint64(*n)
	copy(e.LeafHash[:], hash)
	copy(e.TrailPrev[:], prev)
	return e, nil
}

// Entry returns an entry by id. The error wraps [ErrNotFound] when this institution has none.
func (l *Log) Entry(ctx context.Context, id uint64) (EntryState, error) {
	ctx, cancel := context.WithTimeout(ctx, l.cfg.Deadline)
	defer cancel()
	rows, err := l.cfg.Pool.Query(ctx, `
		select `+entryColumns+`
		from audit.entry e left join audit.leaf l on l.institution = e.institution and l.entry_id = e.id
		where e.institution = $1 and e.id = $2
		union all
		select l.entry_id, null, l.year, l.idx, l.hash, l.seq_at, l.trail_n, l.prev
		from audit.leaf l where l.institution = $1 and l.entry_id = $2 and `+letGo+`
		  and not exists (select from audit.entry e where e.institution = $1 and e.id = $2)`, l.cfg.Institution, int64(id))
	if err != nil {
		return EntryState{}, unavailable("reading an entry", err)
	}
	e, err := pgx.CollectExactlyOneRow(rows, scanEntry)
	if errors.Is(err, pgx.ErrNoRows) {
		return EntryState{}, fmt.Errorf("reading entry %d: %w", id, ErrNotFound)
	}
	if err != nil {
		return EntryState{}, unavailable("reading an entry", err)
	}
	one := []EntryState{e}
	err = l.fill(ctx, one)
	return one[0], err
}

// Trail returns the newest entries about subject, at most limit, newest first: those still pending, then the sequenced ones back
// along the trail, across years. An unknown subject has an empty trail.
func (l *Log) Trail(ctx context.Context, subject string, limit int) ([]TrailEntry, error) {
	limit = max(limit, 0)
	ctx, cancel := context.WithTimeout(ctx, l.cfg.Deadline)
	defer cancel()
	// entry has no index on subject, on purpose: it would cost every append. Sequenced entries are found from the trail's head,
	// each leaf naming the one before it; pending ones are few.
	// The two parts are one statement, so one snapshot: an entry is in exactly one of them.
	rows, err := l.cfg.Pool.Query(ctx, `
		with recursive walk as (
			select l.institution, l.entry_id, l.year, l.idx, l.hash, l.seq_at, l.trail_n, l.prev, l.prev_id
			from audit.trail t join audit.leaf l on l.institution = t.institution and l.entry_id = t.last_id
			where t.institution = $1 and t.subject = $2
			union all
			select l.institution, l.entry_id, l.year, l.idx, l.hash, l.seq_at, l.trail_n, l.prev, l.prev_id
			from walk w join audit.leaf l on l.institution = w.institution and l.entry_id = w.prev_id
			where w.prev_id > 0
		), back as (
			select * from walk limit $3
		)
		(select e.id, e.body, null::integer, null::bigint, null::bytea, null::timestamptz, null::bigint, null::bytea
		from audit.pending p join audit.entry e on e.institution = p.institution and e.id = p.id
		where p.institution = $1 and e.subject = $2 order by e.id desc limit $3)
		union all
		(select `+entryColumns+`
		from back l left join audit.entry e on e.institution = l.institution and e.id = l.entry_id
		where e.id is not null or `+letGo+` order by l.trail_n desc)`,
		l.cfg.Institution, subject, limit)
	if err != nil {
		return nil, unavailable("reading a trail", err)
	}
	list, err := pgx.CollectRows(rows, scanEntry)
	if err != nil {
		return nil, unavailable("reading a trail", err)
	}
	list = list[:min(len(list), limit)]
	return list, l.fill(ctx, list)
}
