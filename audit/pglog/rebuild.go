package pglog

import (
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/transparency-dev/merkle/compact"

	"github.com/sealtrail/sealtrail/audit"
)

// ErrContradicted is wrapped when a database holds what the published log contradicts: it is no older state of that log, and a
// rebuild would have to change what was appended. Nothing is changed.
var ErrContradicted = errors.New("the published log contradicts what the database holds")

// RebuildConfig says whose database is brought to the state of the published log, and by what.
type RebuildConfig struct {
	// Conn is the database's superuser: rows are inserted past the functions of the log. No fence is taken down: they refuse
	// UPDATE, DELETE and TRUNCATE of what was appended, and a rebuild only inserts (docs/decisions/0023-rebuild.md).
	Conn        *pgx.Conn
	Institution string
	Published   fs.FS // root of the published logs: the result is compared with it before it is committed
	Operator    string
}

// Rebuilt is what a rebuild came to.
type Rebuilt struct {
	Logs     []RebuiltLog
	Pending  []uint64 // entries that are not published and stay pending: at most maxNamed ids
	Waiting  int      // how many there are
	Claimed  int      // pending entries that turned out to be published and have their index now
	SkipTo   uint64   // the next entry id is behind it
	Findings []Finding
}

// RebuiltLog is one log of a rebuild.
type RebuiltLog struct {
	Shard Shard
	Had   uint64 // leaves before
	Size  uint64 // leaves now
	Root  [32]byte
	Added int // entries that the database lacked
}

// ContradictionError names what a database holds and the published log contradicts.
type ContradictionError struct{ Findings []Finding }

// Error names the first.
func (e *ContradictionError) Error() string {
	return fmt.Sprintf("%v: %d places, the first: %s", ErrContradicted, len(e.Findings), e.Findings[0])
}

// Unwrap is ErrContradicted.
func (e *ContradictionError) Unwrap() error { return ErrContradicted }

// errNothing ends a rebuild that has nothing to do.
var errNothing = errors.New("nothing to rebuild")

const (
	maxNamed = 20 // findings and ids that a rebuild names

	// idsSkipped is how far the ids of new entries stay away from the last published one: ids behind it may have been given and
	// acknowledged, and lost with the database. Gaps are normal.
	idsSkipped = 1 << 20

	rebuildLockTimeout = 10 * time.Second
)

// Rebuild inserts what the published logs of an institution hold and the database lacks: entries, leaves, trail heads, trees,
// logs and signed checkpoints. feed verifies the published logs and gives every one of them to the Rebuilder, oldest first; if it
// returns an error nothing is changed. All of it is one transaction, at whose end the whole log is hashed again and compared as
// [Check] does; entries trail.rebuilt say what was done. Pending entries stay pending, unless they were published.
//
// What is not in published logs does not come back: openings, aliases, the times of insertion, and every table of the caller. The
// error wraps [ErrContradicted], and is a [*ContradictionError], if the database is no older state of the published log. A nil
// Logs means that no log was behind; nothing was changed then.
func Rebuild(ctx context.Context, cfg RebuildConfig, feed func(*Rebuilder) error) (*Rebuilt, error) {
	r := &Rebuilder{cfg: cfg, ctx: ctx, heads: map[string]*rebuiltHead{}}
	err := pgx.BeginFunc(ctx, cfg.Conn, func(tx pgx.Tx) error {
		r.tx = tx
		if err := r.begin(); err != nil {
			return err
		}
		if err := feed(r); err != nil {
			return err
		}
		return r.finish()
	})
	switch {
	case errors.Is(err, errNothing):
		return &Rebuilt{}, nil
	case err != nil && sqlState(err) != "":
		return nil, fmt.Errorf("rebuilding the log: %w", withoutDetail(err))
	case err != nil:
		return nil, fmt.Errorf("rebuilding the log: %w", err)
	}
	return &r.out, nil
}

// Rebuilder takes the published logs in. It is for the goroutine that Rebuild calls.
type Rebuilder struct {
	cfg   RebuildConfig
	ctx   context.Context
	tx    pgx.Tx
	logs  []*rebuiltLog
	heads map[string]*rebuiltHead // of trails, as the published leaves give them
	rows  [][]any                 // leaves that are not in the temporary table yet
	notes [][]any                 // and checkpoints
	maxID uint64
	out   Rebuilt
}

// rebuiltLog is one log while it is taken in.
type rebuiltLog struct {
	RebuiltLog
	tree  *compact.Range
	seqAt time.Time
}

// rebuiltHead is the end of one trail.
type rebuiltHead struct {
	trailAt
	year  int
	index uint64
}

// begin keeps every writer out and makes the tables that the published logs are read into.
func (r *Rebuilder) begin() error {
	var b pgx.Batch
	b.Queue("select set_config('lock_timeout', $1, true), set_config('audit.migration', 'on', true)", fmt.Sprint(rebuildLockTimeout.Milliseconds()))
	b.Queue("select pg_advisory_xact_lock(hashtextextended('audit.log ' || $1, 0)), pg_advisory_xact_lock(hashtextextended('audit.sequence ' || $1, 0))", r.cfg.Institution)
	b.Queue("lock table audit.entry, audit.pending, audit.log, audit.tree, audit.leaf, audit.trail, audit.checkpoint in share row exclusive mode")
	b.Queue(`create temporary table rebuilt_leaf (year integer, idx bigint, id bigint, hash bytea, seq_at timestamptz, trail_n bigint,
		prev bytea, prev_id bigint, subject text, body bytea) on commit drop`)
	b.Queue(`create temporary table rebuilt_trail (subject text, n bigint, year integer, last_idx bigint, last_id bigint, last_hash bytea,
		revision bigint, state bytea, state_id bigint) on commit drop`)
	b.Queue("create temporary table rebuilt_checkpoint (year integer, size bigint, root bytea, note bytea) on commit drop")
	return r.tx.SendBatch(r.ctx, &b).Close()
}

// Log begins a log; the leaves that follow are its own. Logs come oldest first.
func (r *Rebuilder) Log(s Shard) error {
	l := &rebuiltLog{RebuiltLog: RebuiltLog{Shard: s}, tree: rangeFactory().NewEmptyRange(0)}
	err := r.tx.QueryRow(r.ctx, "select size from audit.tree where institution = $1 and year = $2", s.Institution, s.Year).Scan(&l.Had)
	if err != nil && !errors.Is(err, pgx.ErrNoRows) {
		return fmt.Errorf("reading log %s: %w", s.Folder(), err)
	}
	r.logs = append(r.logs, l)
	return nil
}

// leavesToCopy is how many leaves go to PostgreSQL at a time.
const leavesToCopy = 4096

// Leaf takes the next published leaf of the log that Log began. It keeps nothing of v.
func (r *Rebuilder) Leaf(v *audit.LeafView) error {
	if len(r.logs) == 0 || v.Index != r.logs[len(r.logs)-1].Size || string(v.Log()) != r.logs[len(r.logs)-1].Shard.Origin {
		return fmt.Errorf("leaf %d of %q comes out of turn: %w", v.Index, v.Log(), ErrTampered)
	}
	l := r.logs[len(r.logs)-1]
	hash := audit.LeafHash(v.RawLeaf())
	if err := l.tree.Append(append([]byte(nil), hash[:]...), nil); err != nil {
		return fmt.Errorf("appending to the compact range: %w", err)
	}
	subject := string(v.Subject())
	h := r.heads[subject]
	if h == nil {
		h = &rebuiltHead{}
		r.heads[subject] = h
	}
	r.rows = append(r.rows, []any{l.Shard.Year, int64(v.Index), int64(v.ID), hash[:], v.SeqAt(), int64(v.TrailN),
		append([]byte(nil), v.TrailPrev[:]...), int64(h.id), subject, append([]byte(nil), v.Raw()...)})
	h.n, h.id, h.hash, h.year, h.index = v.TrailN, v.ID, hash, l.Shard.Year, v.Index
	h.alter(v.ID, v.State())
	l.Size, l.seqAt, r.maxID = v.Index+1, v.SeqAt(), max(r.maxID, v.ID)
	if len(r.rows) == leavesToCopy {
		return r.flush()
	}
	return nil
}

func (r *Rebuilder) flush() error {
	_, err := r.tx.CopyFrom(r.ctx, pgx.Identifier{"pg_temp", "rebuilt_leaf"},
		[]string{"year", "idx", "id", "hash", "seq_at", "trail_n", "prev", "prev_id", "subject", "body"}, pgx.CopyFromRows(r.rows))
	if err != nil {
		return err
	}
	_, err = r.tx.CopyFrom(r.ctx, pgx.Identifier{"pg_temp", "rebuilt_checkpoint"}, []string{"year", "size", "root", "note"}, pgx.CopyFromRows(r.notes))
	clear(r.rows)
	clear(r.notes)
	r.rows, r.notes = r.rows[:0], r.notes[:0]
	return err
}

// Checkpoint takes a signed checkpoint of a log, whose signature the caller has verified.
func (r *Rebuilder) Checkpoint(s Shard, c audit.Checkpoint, note []byte) error {
	r.notes = append(r.notes, []any{s.Year, int64(c.Size), c.Root[:], note})
	if len(r.notes) == leavesToCopy {
		return r.flush()
	}
	return nil
}

// finish compares, inserts, proves and says what was done.
func (r *Rebuilder) finish() error {
	if err := r.flush(); err != nil {
		return err
	}
	if err := r.copyHeads(); err != nil {
		return err
	}
	if _, err := r.tx.Exec(r.ctx, "analyze rebuilt_leaf, rebuilt_trail"); err != nil {
		return err
	}
	behind := false
	for _, l := range r.logs {
		root, err := l.tree.GetRootHash(nil)
		if err != nil {
			return fmt.Errorf("computing the root of log %s: %w", l.Shard.Folder(), err)
		}
		copy(l.Root[:], root)
		behind = behind || l.Had < l.Size
	}
	for _, step := range []func() error{r.contradictions, r.insert, r.leftOver, r.say, r.prove} {
		if err := step(); err != nil {
			return err
		}
		if !behind {
			return errNothing // not contradicted, and complete
		}
	}
	return nil
}

func (r *Rebuilder) copyHeads() error {
	rows := make([][]any, 0, len(r.heads))
	for subject, h := range r.heads {
		var state []byte
		if h.state.Revision > 0 {
			state = h.state.SHA256[:]
		}
		rows = append(rows, []any{subject, int64(h.n), h.year, int64(h.index), int64(h.id), h.hash[:], int64(h.state.Revision), state, int64(h.stateID)})
	}
	_, err := r.tx.CopyFrom(r.ctx, pgx.Identifier{"pg_temp", "rebuilt_trail"},
		[]string{"subject", "n", "year", "last_idx", "last_id", "last_hash", "revision", "state", "state_id"}, pgx.CopyFromRows(rows))
	return err
}

// say makes each log that grew an entry, in the same transaction.
func (r *Rebuilder) say() error {
	var alias string
	key := aliasKey{actor: r.cfg.Operator, year: time.Now().UTC().Year()}
	alias, err := findAlias(r.ctx, r.tx, r.cfg.Institution, key)
	if err != nil {
		return err
	}
	for _, l := range r.out.Logs {
		b := audit.Body{Institution: r.cfg.Institution, At: time.Now(), Stage: audit.StageEvent, Kind: "trail.rebuilt", Nonce: audit.NewNonce(),
			Actor: audit.Actor{ID: alias, Auth: "operator"}, Subject: logSubject,
			Facts: audit.Facts{"origin": l.Shard.Origin, "size": int64(l.Size), "root": hex.EncodeToString(l.Root[:]), "entries": int64(l.Added), "what": "from_published"}}
		raw, err := b.Canonical()
		if err != nil {
			return fmt.Errorf("writing trail.rebuilt: %w", err)
		}
		if _, err := appendSQL(r.ctx, r.tx, r.cfg.Institution, []prepared{{raw: raw, subject: b.Subject}}); err != nil {
			return err
		}
	}
	return nil
}

// prove compares the whole database with the published logs, as Check does, before anything is committed.
func (r *Rebuilder) prove() error {
	c := newChecker(r.cfg.Institution, r.cfg.Published)
	if err := c.all(r.ctx, r.tx); err != nil && !errors.Is(err, errEnough) {
		return err
	}
	var wrong []Finding
	for _, f := range c.found {
		switch f.Table {
		case "audit.alias", "audit.opening": // not of the log's making; said, and left
			r.out.Findings = append(r.out.Findings, f)
		default:
			wrong = append(wrong, f)
		}
	}
	if len(wrong) > 0 {
		return &ContradictionError{wrong[:min(len(wrong), maxNamed)]}
	}
	return nil
}
