package pglog

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/sealtrail/sealtrail/audit"
)

// Head is the state of a log's tree.
type Head struct {
	Size      uint64
	Root      [32]byte
	LastSeqAt time.Time // of the last leaf; zero for an empty log
}

// LeafRow is one leaf with the bytes that it hashes: Bytes is put together anew from the stored body and the sequencer's
// columns, Hash is what the sequencer computed at the time. They disagree only after tampering.
type LeafRow struct {
	Index uint64
	ID    uint64
	Hash  [32]byte
	Bytes []byte
}

// Tree reads one log for its publisher and keeps the checkpoints that were signed. It is safe for concurrent use.
type Tree struct {
	pool  *pgxpool.Pool
	shard Shard
}

// NewTree returns the Tree of a log that [EnsureLog] opened.
func NewTree(pool *pgxpool.Pool, shard Shard) *Tree { return &Tree{pool: pool, shard: shard} }

// Shard is the log that t reads.
func (t *Tree) Shard() Shard { return t.shard }

// Head returns the committed head. The error wraps [ErrNotFound] if the log was never opened, else [ErrUnavailable].
func (t *Tree) Head(ctx context.Context) (Head, error) {
	var h Head
	var root []byte
	var at *time.Time
	err := t.pool.QueryRow(ctx, `
		select size, root, case when isfinite(last_seq_at) then last_seq_at end
		from audit.tree where institution = $1 and year = $2`, t.shard.Institution, t.shard.Year).Scan(&h.Size, &root, &at)
	if errors.Is(err, pgx.ErrNoRows) {
		return Head{}, fmt.Errorf("reading the head of log %s: %w", t.shard.Folder(), ErrNotFound)
	}
	if err != nil {
		return Head{}, unavailable("reading the head of log "+t.shard.Folder(), err)
	}
	copy(h.Root[:], root)
	if at != nil {
		h.LastSeqAt = at.UTC()
	}
	return h, nil
}

// Leaves calls fn for every leaf of [from, to) in order of index. The row's Bytes are fn's to keep. A missing leaf or entry
// gives an error that wraps [ErrTampered] and names table, id and index; one whose body left PostgreSQL gives [ErrRetained].
func (t *Tree) Leaves(ctx context.Context, from, to uint64, fn func(LeafRow) error) error {
	tx, err := t.pool.BeginTx(ctx, pgx.TxOptions{AccessMode: pgx.ReadOnly})
	if err != nil {
		return unavailable("reading leaves", err)
	}
	defer func() { _ = tx.Rollback(context.WithoutCancel(ctx)) }() // it only reads
	// A publisher reads the newest few hundred of perhaps millions: by key, whatever old statistics say.
	if _, err := tx.Exec(ctx, byKey); err != nil {
		return unavailable("reading leaves", err)
	}
	return t.leaves(ctx, tx, leafRange{from, to}, fn)
}

// byKey makes the planner of this transaction look rows up by their keys.
const byKey = "select set_config(name, 'off', true) from unnest(array['enable_seqscan', 'enable_hashjoin', 'enable_mergejoin']) name"

// leafRange is [from, to).
type leafRange struct{ from, to uint64 }

func (t *Tree) leaves(ctx context.Context, q rowsQuerier, r leafRange, fn func(LeafRow) error) error {
	s := t.shard
	rows, err := q.Query(ctx, `
		select l.idx, l.entry_id, l.hash, l.seq_at, l.trail_n, l.prev, e.body
		from audit.leaf l left join audit.entry e on e.institution = l.institution and e.id = l.entry_id
		where l.institution = $1 and l.year = $2 and l.idx >= $3 and l.idx < $4 order by l.idx`,
		s.Institution, s.Year, int64(r.from), int64(r.to))
	if err != nil {
		return unavailable("reading leaves", err)
	}
	defer rows.Close()
	next := r.from
	for rows.Next() {
		var row LeafRow
		var hash, prev, body []byte
		p := audit.Position{Log: s.Origin}
		if err := rows.Scan(&p.Index, &p.ID, &hash, &p.SeqAt, &p.TrailN, &prev, &body); err != nil {
			return unavailable("reading leaves", err)
		}
		if p.Index != next {
			return missingLeaf(next)
		}
		if body == nil {
			if from, err := windowOf(ctx, t.pool, s); err != nil || p.Index < from {
				return errors.Join(err, fmt.Errorf("reading leaves: index %d: %w", p.Index, ErrRetained))
			}
			return fmt.Errorf("reading leaves: audit.entry lacks id %d of index %d: %w", p.ID, p.Index, ErrTampered)
		}
		copy(p.TrailPrev[:], prev)
		copy(row.Hash[:], hash)
		row.Index, row.ID, row.Bytes = p.Index, p.ID, audit.AssembleLeaf(body, p)
		if err := fn(row); err != nil {
			return err
		}
		next++
	}
	if err := rows.Err(); err != nil {
		return unavailable("reading leaves", err)
	}
	if next < r.to {
		return missingLeaf(next)
	}
	return nil
}

// Hashes calls fn with the stored leaf hash of every index in [from, to), in order. It reads no bodies. A missing leaf gives an
// error that wraps [ErrTampered].
func (t *Tree) Hashes(ctx context.Context, from, to uint64, fn func(hash [32]byte) error) error {
	rows, err := t.pool.Query(ctx, "select idx, hash from audit.leaf where institution = $1 and year = $2 and idx >= $3 and idx < $4 order by idx",
		t.shard.Institution, t.shard.Year, int64(from), int64(to))
	if err != nil {
		return unavailable("reading leaf hashes", err)
	}
	defer rows.Close()
	next := from
	var index uint64
	var hash []byte
	for rows.Next() {
		if err := rows.Scan(&index, &hash); err != nil {
			return unavailable("reading leaf hashes", err)
		}
		if index != next || len(hash) != 32 {
			return missingLeaf(next)
		}
		if err := fn([32]byte(hash)); err != nil {
			return err
		}
		next++
	}
	if err := rows.Err(); err != nil {
		return unavailable("reading leaf hashes", err)
	}
	if next < to {
		return missingLeaf(next)
	}
	return nil
}

func missingLeaf(index uint64) error {
	return fmt.Errorf("audit.leaf lacks index %d: %w", index, ErrTampered)
}

// Reserve writes the unique (size, root) row that must exist before a signature is asked for. It returns the note if the
// checkpoint of that size was signed before, and an error that wraps [ErrFork] if another root is reserved.
func (t *Tree) Reserve(ctx context.Context, size uint64, root [32]byte) (note []byte, err error) {
	err = t.pool.QueryRow(ctx, "select audit.reserve_checkpoint($1, $2, $3, $4)",
		t.shard.Institution, t.shard.Year, int64(size), root[:]).Scan(&note)
	if sqlState(err) == "23505" {
		return nil, fmt.Errorf("reserving the checkpoint at size %d: %w", size, ErrFork)
	}
	if err != nil {
		return nil, unavailable("reserving a checkpoint", err)
	}
	return note, nil
}

// Record keeps the signed note of a reserved checkpoint; the first note of a size stays.
func (t *Tree) Record(ctx context.Context, size uint64, root [32]byte, note []byte) error {
	_, err := t.pool.Exec(ctx, "select audit.record_checkpoint($1, $2, $3, $4, $5)",
		t.shard.Institution, t.shard.Year, int64(size), root[:], note)
	if err != nil {
		return unavailable("recording a checkpoint", err)
	}
	return nil
}

// Checkpoint is a row of audit.checkpoint.
type Checkpoint struct {
	Size uint64
	Root [32]byte
	Note []byte // nil: reserved, never signed
}

// Checkpoints returns those of size at least from, in order of size.
func (t *Tree) Checkpoints(ctx context.Context, from uint64) ([]Checkpoint, error) {
	return checkpoints(ctx, t.pool, t.shard, from)
}

func checkpoints(ctx context.Context, q rowsQuerier, s Shard, from uint64) ([]Checkpoint, error) {
	rows, err := q.Query(ctx, `
		select size, root, note from audit.checkpoint
		where institution = $1 and year = $2 and size >= $3 order by size`, s.Institution, s.Year, int64(from))
	if err != nil {
		return nil, unavailable("reading checkpoints", err)
	}
	list, err := pgx.CollectRows(rows, func(row pgx.CollectableRow) (c Checkpoint, err error) {
		var root []byte
		err = row.Scan(&c.Size, &root, &c.Note)
		copy(c.Root[:], root)
		return c, err
	})
	if err != nil {
		return nil, unavailable("reading checkpoints", err)
	}
	return list, nil
}
