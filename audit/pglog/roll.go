package pglog

import (
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/sealtrail/sealtrail/audit"
)

// What the log writes about itself: the only entries that this package makes.
const (
	kindClosed = "log.closed" // last leaf of a log that another follows: facts origin, size and root before itself
	kindOpened = "log.opened" // first leaf of a log that follows another: facts origin, year, final size and root of the former

	logSubject = "charter:log"
	logActor   = "log" // no person stands behind it, so it has no alias
)

// refusedByLog is the SQLSTATE by which the log's own functions say no: trying again does not help.
const refusedByLog = "22023"

// rollDeadline bounds the one transaction of a roll-over; what piled up before is sequenced outside it.
const rollDeadline = 4 * time.Second

// EnsureLog opens the log of s.Institution for s.Year if it is not there, and reports whether it is new.
//
// The first log of an institution opens empty; the caller that gets true appends whatever founds it. A later log takes over from
// the open one in one transaction under the sequencer's lock: what was pending before is sequenced into the old log, whose last
// leaf becomes log.closed{origin, size, root}; the new log's first leaf is log.opened{origin, year, size, root}, which names the
// old log's final size and root, the very checkpoint that the old log signs last. What is appended meanwhile comes behind it. A
// log that exists with another origin, or a later one, is an error, and so is a year that has not come. Errors of a database that
// is away wrap [ErrUnavailable]; nothing has happened then.
func EnsureLog(ctx context.Context, pool *pgxpool.Pool, s Shard) (created bool, err error) {
	if s.Origin == "" || len(s.Origin) > audit.MaxOrigin {
		return false, fmt.Errorf("opening log %s: origin must have 1 to %d bytes", s.Folder(), audit.MaxOrigin)
	}
	open, err := CurrentShard(ctx, pool, s.Institution)
	if err != nil && !errors.Is(err, ErrNotFound) {
		return false, err
	}
	if err != nil || open.Year >= s.Year {
		return ensureLog(ctx, pool, s)
	}
	return roll(ctx, pool, s)
}

func ensureLog(ctx context.Context, q querier, s Shard) (created bool, err error) {
	if err := q.QueryRow(ctx, "select audit.ensure_log($1, $2, $3)", s.Institution, s.Year, s.Origin).Scan(&created); err != nil {
		return false, fmt.Errorf("opening log %s: %w", s.Folder(), withoutDetail(err))
	}
	return created, nil
}

// roll closes the open log and opens the log of s.
// crash here, anywhere before the commit: the old log is open as before, and the next EnsureLog rolls.
func roll(ctx context.Context, pool *pgxpool.Pool, s Shard) (created bool, err error) {
	q, err := NewSequencer(ctx, SequencerConfig{Pool: pool, Institution: s.Institution})
	if err != nil {
		return false, err
	}
	for n := q.cfg.MaxBatch; n == q.cfg.MaxBatch; { // what piled up first, so that the transaction below is short
		if n, err = q.Step(ctx); err != nil {
			return false, err
		}
	}
	ctx, cancel := context.WithTimeout(ctx, rollDeadline)
	defer cancel()
	err = pgx.BeginFunc(ctx, pool, func(tx pgx.Tx) error {
		created, err = q.rollTo(ctx, tx, s)
		return err
	})
	if err == nil || sqlState(err) == refusedByLog {
		return created && err == nil, withoutDetail(err)
	}
	return false, unavailable("opening log "+s.Folder(), err)
}

// rollTo does the whole roll-over in tx.
func (s *Sequencer) rollTo(ctx context.Context, tx pgx.Tx, to Shard) (created bool, err error) {
	t, err := s.leadForRoll(ctx, tx)
	if err != nil {
		return false, err
	}
	if t.shard.Year >= to.Year { // somebody rolled while we waited
		return ensureLog(ctx, tx, to)
	}
	// A window that is not full held everything that was pending when it was read. What commits later comes behind.
	for n := s.cfg.MaxBatch; n == s.cfg.MaxBatch; {
		if n, err = s.batch(ctx, tx, &t); err != nil {
			return false, err
		}
	}
	closed, err := t.facts(audit.Facts{"origin": t.shard.Origin})
	if err != nil {
		return false, err
	}
	if err := s.own(ctx, tx, &t, kindClosed, closed); err != nil {
		return false, err
	}
	if created, err = ensureLog(ctx, tx, to); err != nil {
		return false, err
	}
	return created, s.follow(ctx, tx, &treeRow{shard: to, seqAt: t.seqAt}, t)
}

// leadForRoll waits for the sequencer's lock and reads the open tree.
func (s *Sequencer) leadForRoll(ctx context.Context, tx pgx.Tx) (t treeRow, err error) {
	t.shard.Institution = s.cfg.Institution
	var b pgx.Batch
	queueTimeouts(&b)
	b.Queue("select pg_advisory_xact_lock(hashtextextended('audit.log ' || $1, 0))", s.cfg.Institution)
	b.Queue("select pg_advisory_xact_lock(hashtextextended('audit.sequence ' || $1, 0))", s.cfg.Institution)
	b.Queue(`
		select l.year, l.origin, t.size, t.epoch, t.compact, greatest(t.last_seq_at, clock_timestamp())
		from audit.log l join audit.tree t using (institution, year)
		where l.institution = $1 and l.state = 'open'`, s.cfg.Institution).QueryRow(func(row pgx.Row) error {
		return row.Scan(&t.shard.Year, &t.shard.Origin, &t.size, &t.epoch, &t.compact, &t.seqAt)
	})
	return t, tx.SendBatch(ctx, &b).Close()
}

// follow makes the first leaf of the log at t, which names what former came to.
func (s *Sequencer) follow(ctx context.Context, tx pgx.Tx, t *treeRow, former treeRow) error {
	opened, err := former.facts(audit.Facts{"origin": former.shard.Origin, "year": former.shard.Year})
	if err != nil {
		return err
	}
	return s.own(ctx, tx, t, kindOpened, opened)
}

// takeUp makes the first leaf of a log that somebody opened past this package.
func (s *Sequencer) takeUp(ctx context.Context, tx pgx.Tx, t *treeRow) error {
	former := treeRow{shard: Shard{Institution: s.cfg.Institution}}
	err := tx.QueryRow(ctx, `
		select l.year, l.origin, t.size, t.compact from audit.log l join audit.tree t using (institution, year)
		where l.institution = $1 and l.year < $2 order by l.year desc limit 1`, s.cfg.Institution, t.shard.Year).
		Scan(&former.shard.Year, &former.shard.Origin, &former.size, &former.compact)
	if err != nil {
		return err
	}
	return s.follow(ctx, tx, t, former)
}

// own appends an entry of the log's own and gives it the next index, in one go.
func (s *Sequencer) own(ctx context.Context, tx pgx.Tx, t *treeRow, kind string, facts audit.Facts) error {
	b := audit.Body{Institution: s.cfg.Institution, At: t.seqAt, Stage: audit.StageEvent, Kind: kind,
		Actor: audit.Actor{ID: logActor}, Subject: logSubject, Facts: facts, Nonce: audit.NewNonce()}
	raw, err := b.Canonical()
	if err != nil {
		return fmt.Errorf("writing %s: %w", kind, err)
	}
	ids, err := appendSQL(ctx, tx, s.cfg.Institution, []prepared{{raw: raw, subject: logSubject}})
	if err != nil {
		return err
	}
	_, err = s.sequence(ctx, tx, t, []pendingEntry{{id: ids[0], subject: logSubject, body: raw}})
	return err
}

// facts adds size and root of the tree as it is.
func (t *treeRow) facts(f audit.Facts) (audit.Facts, error) {
	if _, err := compactRange(t.size, t.compact); err != nil {
		return nil, err
	}
	root := t.root()
	f["size"], f["root"] = int64(t.size), hex.EncodeToString(root[:])
	return f, nil
}

// root is that of the compact range; zero if there is none of that size.
func (t *treeRow) root() (root [32]byte) {
	if t.size == 0 {
		return audit.EmptyRoot()
	}
	r, err := compactRange(t.size, t.compact)
	if err != nil {
		return root
	}
	sum, err := r.GetRootHash(nil)
	if err == nil {
		copy(root[:], sum)
	}
	return root
}

// reserved reports whether an entry is of a kind that only the log itself may write: it ends the log.
func reserved(kind []byte) bool { return string(kind) == kindClosed }
