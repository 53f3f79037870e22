package pglog

import (
	"context"
	"fmt"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
)

// Opening is what opens one commitment of an entry: its salt and, where the value may have to be shown later, the value as the
// caller sealed it. It is the only evidence that can be deleted; the commitment in the leaf stays.
type Opening struct {
	EntryID     uint64
	Path        string
	Salt        [16]byte
	ValueSealed []byte // nil: the value is not kept
}

// Executor is what pgx pools and transactions share for statements without rows.
type Executor interface {
	Exec(ctx context.Context, sql string, args ...any) (pgconn.CommandTag, error)
}

// PutOpening stores openings with q: the transaction that appended the entry ([Log.AppendTx]) or the pool.
func (l *Log) PutOpening(ctx context.Context, q Executor, openings ...Opening) error {
	ids, paths := make([]int64, len(openings)), make([]string, len(openings))
	salts, values := make([][]byte, len(openings)), make([][]byte, len(openings))
	for i, o := range openings {
		ids[i], paths[i], salts[i] = int64(o.EntryID), o.Path, o.Salt[:]
		if values[i] = o.ValueSealed; values[i] == nil {
			values[i] = []byte{}
		}
	}
	_, err := q.Exec(ctx, `
		insert into audit.opening (institution, entry_id, path, salt, value_sealed)
		select $1, u.id, u.path, u.salt, u.value from unnest($2::bigint[], $3::text[], $4::bytea[], $5::bytea[]) as u (id, path, salt, value)`,
		l.cfg.Institution, ids, paths, salts, values)
	if err != nil {
		return unavailable("storing openings", err)
	}
	return nil
}

// Openings returns what can still be opened of an entry, by path; none is not an error.
func (l *Log) Openings(ctx context.Context, entryID uint64) ([]Opening, error) {
	ctx, cancel := context.WithTimeout(ctx, l.cfg.Deadline)
	defer cancel()
	rows, err := l.cfg.Pool.Query(ctx, `
		select entry_id, path, salt, value_sealed from audit.opening where institution = $1 and entry_id = $2 order by path`,
		l.cfg.Institution, int64(entryID))
	if err != nil {
		return nil, unavailable("reading openings", err)
	}
	list, err := pgx.CollectRows(rows, scanOpening)
	if err != nil {
		return nil, unavailable("reading openings", err)
	}
	return list, nil
}

func scanOpening(row pgx.CollectableRow) (o Opening, err error) {
	var salt []byte
	if err = row.Scan(&o.EntryID, &o.Path, &salt, &o.ValueSealed); err != nil {
		return o, err
	}
	if copy(o.Salt[:], salt) != len(o.Salt) {
		return o, fmt.Errorf("salt of %d bytes: %w", len(salt), ErrTampered)
	}
	return o, nil
}

// EraseOpenings deletes what opens the commitments of an entry and returns how many there were. The leaf keeps the commitments:
// a hole that verifies.
func (l *Log) EraseOpenings(ctx context.Context, q Executor, entryID uint64) (int64, error) {
	tag, err := q.Exec(ctx, "delete from audit.opening where institution = $1 and entry_id = $2", l.cfg.Institution, int64(entryID))
	if err != nil {
		return 0, unavailable("erasing openings", err)
	}
	return tag.RowsAffected(), nil
}

// OpeningsOf returns, with tx, what can still be opened of a subject's entries, those that wait for an index included. It walks the
// whole trail of the subject. For whoever renews the key that the values were sealed under.
func (l *Log) OpeningsOf(ctx context.Context, tx pgx.Tx, subject string) ([]Opening, error) {
	rows, err := tx.Query(ctx, `
		with recursive walk as (
			select l.entry_id, l.prev_id
			from audit.trail t join audit.leaf l on l.institution = t.institution and l.entry_id = t.last_id
			where t.institution = $1 and t.subject = $2
			union all
			select l.entry_id, l.prev_id
			from walk w join audit.leaf l on l.institution = $1 and l.entry_id = w.prev_id
			where w.prev_id > 0
		), mine as (
			select entry_id from walk
			union all
			select p.id from audit.pending p join audit.entry e on e.institution = p.institution and e.id = p.id
			where p.institution = $1 and e.subject = $2
		)
		select o.entry_id, o.path, o.salt, o.value_sealed
		from mine m join audit.opening o on o.institution = $1 and o.entry_id = m.entry_id order by o.entry_id, o.path`,
		l.cfg.Institution, subject)
	if err != nil {
		return nil, unavailable("reading openings", err)
	}
	list, err := pgx.CollectRows(rows, scanOpening)
	if err != nil {
		return nil, unavailable("reading openings", err)
	}
	return list, nil
}

// ReplaceOpenings stores openings in place of those of the same entry and path, with the transaction that read them.
func (l *Log) ReplaceOpenings(ctx context.Context, q Executor, openings ...Opening) error {
	ids, paths := make([]int64, len(openings)), make([]string, len(openings))
	for i, o := range openings {
		ids[i], paths[i] = int64(o.EntryID), o.Path
	}
	_, err := q.Exec(ctx, `delete from audit.opening o using unnest($2::bigint[], $3::text[]) as u (id, path)
		where o.institution = $1 and o.entry_id = u.id and o.path = u.path`, l.cfg.Institution, ids, paths)
	if err != nil {
		return unavailable("replacing openings", err)
	}
	return l.PutOpening(ctx, q, openings...)
}
