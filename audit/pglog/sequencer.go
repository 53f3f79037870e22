package pglog

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/transparency-dev/merkle/compact"

	"github.com/sealtrail/sealtrail/audit"
)

// Defaults of SequencerConfig.
const (
	DefaultInterval       = 25 * time.Millisecond // audit.md: every 20 to 50 ms
	DefaultSequenceBatch  = 2048
	statementTimeout      = time.Second     // contracts.md 4
	leaderPause           = 2 * time.Second // a leader that is silent for so long in its transaction loses it, and its locks
	partitionCheckEvery   = time.Minute
	maxPauseAfterFailures = 2 * time.Second
)

// SequencerConfig configures a Sequencer.
type SequencerConfig struct {
	Pool        *pgxpool.Pool // connects as sealtrail_app; required
	Institution string        // required
	Interval    time.Duration // pause when nothing is left; 0 = DefaultInterval
	MaxBatch    int           // entries to one batch; 0 = DefaultSequenceBatch. A full batch is followed by the next at once
	Logger      *slog.Logger  // failures; nil = slog.Default()
}

// Sequencer gives the pending entries of one institution their indexes. Several may run: an advisory lock lets one work at a
// time, and the compare-and-swap on (size, epoch) makes the others' work void, so a sequencer that was stopped and continued
// cannot fork the log.
type Sequencer struct {
	cfg    SequencerConfig
	beside beside
}

// NewSequencer returns a Sequencer; [Sequencer.Run] makes it work.
func NewSequencer(_ context.Context, cfg SequencerConfig) (*Sequencer, error) {
	if cfg.Pool == nil || cfg.Institution == "" {
		return nil, errors.New("pglog: Pool and Institution are required")
	}
	cfg.Interval = orDefault(cfg.Interval, DefaultInterval)
	cfg.MaxBatch = orDefault(cfg.MaxBatch, DefaultSequenceBatch)
	if cfg.Logger == nil {
		cfg.Logger = slog.Default()
	}
	return &Sequencer{cfg: cfg}, nil
}

// Run sequences until ctx ends and returns nil then. A database that is away makes it pause and try again, up to 2 s apart.
func (s *Sequencer) Run(ctx context.Context) error {
	pause := time.NewTimer(0)
	defer pause.Stop()
	var failures int
	var partitionsAt time.Time
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-pause.C:
		}
		var n int
		var err error
		if time.Since(partitionsAt) > partitionCheckEvery {
			if err = s.ensurePartitions(ctx); err == nil {
				partitionsAt = time.Now()
			}
		}
		if err == nil {
			n, err = s.Step(ctx)
		}
		pause.Reset(s.next(ctx, n, err, &failures))
	}
}

// next says how long to pause and logs the first failure of a row.
func (s *Sequencer) next(ctx context.Context, n int, err error, failures *int) time.Duration {
	if err == nil {
		*failures = 0
		if n == s.cfg.MaxBatch {
			return 0
		}
		return s.cfg.Interval
	}
	if *failures++; *failures == 1 && ctx.Err() == nil {
		s.cfg.Logger.WarnContext(ctx, "sequencing failed", slog.String("institution", s.cfg.Institution), slog.Any("error", err))
	}
	return min(s.cfg.Interval<<min(*failures, 10), maxPauseAfterFailures)
}

func (s *Sequencer) ensurePartitions(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, statementTimeout)
	defer cancel()
	if _, err := s.cfg.Pool.Exec(ctx, "select audit.ensure_partitions()"); err != nil {
		return unavailable("making partitions", err)
	}
	return nil
}

// Step sequences one batch and returns how many entries it took: 0 when nothing is pending, when another sequencer is at work
// or when no log is open.
// crash here, anywhere before the commit: the batch rolls back and stays pending, repaired by the next Step of anybody.
func (s *Sequencer) Step(ctx context.Context) (int, error) {
	ctx, cancel := context.WithTimeout(ctx, 3*statementTimeout)
	defer cancel()
	n := 0
	err := pgx.BeginFunc(ctx, s.cfg.Pool, func(tx pgx.Tx) error {
		head, ok, err := s.lead(ctx, tx)
		if err != nil || !ok {
			return err
		}
		if head.follows {
			if err := s.takeUp(ctx, tx, &head); err != nil {
				return err
			}
		}
		n, err = s.batch(ctx, tx, &head)
		return err
	})
	if errors.Is(err, errMoved) {
		return 0, nil
	}
	if err != nil {
		return 0, unavailable("sequencing", err)
	}
	return n, nil
}

// treeRow is the tree that a batch is built on.
type treeRow struct {
	shard   Shard
	size    uint64
	epoch   int64
	compact []byte
	seqAt   time.Time // for the leaves of this batch: PostgreSQL's clock, never before the last leaf's
	follows bool      // it has no leaf yet, and the institution has an earlier log
}

// queueTimeouts bounds each statement of a sequencer's transaction, and its silence: a leader that is stopped in the middle would
// else hold its locks for as long as its connection lives.
func queueTimeouts(b *pgx.Batch) {
	// Statistics of a table that just grew a hundredfold are no guide: look trail heads up by key.
	b.Queue("select set_config('statement_timeout', $1, true), set_config('idle_in_transaction_session_timeout', $2, true), set_config('enable_seqscan', 'off', true)",
		fmt.Sprint(statementTimeout.Milliseconds()), fmt.Sprint(leaderPause.Milliseconds()))
}

// lead takes the advisory lock for the length of the transaction and reads the open tree; ok is false when another sequencer
// has the lock or there is nothing to do.
func (s *Sequencer) lead(ctx context.Context, tx pgx.Tx) (t treeRow, ok bool, err error) {
	t.shard.Institution = s.cfg.Institution
	var b pgx.Batch
	queueTimeouts(&b)
	b.Queue("select pg_try_advisory_xact_lock(hashtextextended('audit.sequence ' || $1, 0))", s.cfg.Institution).QueryRow(func(row pgx.Row) error {
		return row.Scan(&ok)
	})
	found := false
	b.Queue(`
		select l.year, l.origin, t.size, t.epoch, t.compact, greatest(t.last_seq_at, clock_timestamp()),
			t.size = 0 and exists (select from audit.log g where g.institution = $1 and g.year < l.year)
		from audit.log l join audit.tree t using (institution, year)
		where l.institution = $1 and l.state = 'open' and exists (select from audit.pending p where p.institution = $1)`,
		s.cfg.Institution).QueryRow(func(row pgx.Row) error {
		err := row.Scan(&t.shard.Year, &t.shard.Origin, &t.size, &t.epoch, &t.compact, &t.seqAt, &t.follows)
		found = err == nil
		if errors.Is(err, pgx.ErrNoRows) {
			return nil
		}
		return err
	})
	if err := tx.SendBatch(ctx, &b).Close(); err != nil {
		return t, false, err
	}
	return t, ok && found, nil
}

// batch turns the oldest pending entries into leaves and returns how many it took; t is then the tree behind them.
func (s *Sequencer) batch(ctx context.Context, tx pgx.Tx, t *treeRow) (int, error) {
	entries, err := s.take(ctx, tx)
	if err != nil || len(entries) == 0 {
		return 0, err
	}
	return s.sequence(ctx, tx, t, entries)
}

// sequence turns entries into the next leaves of t.
func (s *Sequencer) sequence(ctx context.Context, tx pgx.Tx, t *treeRow, entries []pendingEntry) (int, error) {
	heads, err := s.heads(ctx, tx, entries)
	if err != nil {
		return 0, err
	}
	b, err := assemble(*t, entries, heads)
	if err != nil {
		return 0, err
	}
	if err := b.store(ctx, tx); err != nil {
		return 0, err
	}
	t.size, t.epoch, t.compact = t.size+uint64(len(entries)), t.epoch+1, b.compact
	return len(entries), nil
}

// trailHead is the last entry of a trail.
type trailHead struct {
	n    uint64
	id   uint64
	hash [32]byte
	at   int // place of its last entry in the batch, from 1
	subjectState
}

// subjectState is the newest state that a trail's subject was altered to, and the entry that says so.
type subjectState struct {
	state   audit.State
	stateID uint64
}

// alter takes up an entry's state. Of two events that claim one revision the first one stands: what comes after it is the trace of
// a change made from an older state, and readers then find a row that the log does not know.
func (h *subjectState) alter(id uint64, s audit.State) {
	if s.Revision > h.state.Revision {
		h.state, h.stateID = s, id
	}
}

// heads reads the trail heads of the subjects in the batch. Nobody else changes them: a rival fails at the tree row.
func (s *Sequencer) heads(ctx context.Context, tx pgx.Tx, entries []pendingEntry) (map[string]*trailHead, error) {
	heads := make(map[string]*trailHead, len(entries))
	subjects := make([]string, 0, len(entries))
	for _, e := range entries {
		if heads[e.subject] == nil {
			heads[e.subject] = &trailHead{}
			subjects = append(subjects, e.subject)
		}
	}
	// A probe for each subject: with "= any" a trail table without fresh statistics is read whole.
	rows, err := tx.Query(ctx, `
		select t.subject, t.n, t.last_id, t.last_hash, t.revision, t.state, t.state_id
		from unnest($2::text[]) s (subject), lateral (
			select k.subject, k.n, k.last_id, k.last_hash, k.revision, k.state, k.state_id from audit.trail k where k.institution = $1 and k.subject = s.subject offset 0) t`,
		s.cfg.Institution, subjects)
	if err != nil {
		return nil, err
	}
	var subject string
	var n, id, revision, stateID int64
	var hash, state []byte
	_, err = pgx.ForEachRow(rows, []any{&subject, &n, &id, &hash, &revision, &state, &stateID}, func() error {
		h := heads[subject]
		h.n, h.id, h.state.Revision, h.stateID = uint64(n), uint64(id), uint64(revision), uint64(stateID)
		copy(h.hash[:], hash)
		copy(h.state.SHA256[:], state)
		return nil
	})
	return heads, err
}

// leafBatch is the arguments of audit.sequence.
type leafBatch struct {
	treeRow
	ids, trailNs, prevIDs []int64
	hashes, prevs         [][]byte
	subjects              []string
	last                  []int32
	revisions, stateIDs   []int64 // per subject, as last
	states                [][]byte
	root                  []byte
}

// assemble hashes the leaves of a batch and appends them to the compact range.
func assemble(t treeRow, entries []pendingEntry, heads map[string]*trailHead) (*leafBatch, error) {
	n := len(entries)
	b := &leafBatch{treeRow: t, ids: make([]int64, n), trailNs: make([]int64, n), prevIDs: make([]int64, n),
		hashes: make([][]byte, n), prevs: make([][]byte, n)}
	tree, err := compactRange(t.size, t.compact)
	if err != nil {
		return nil, err
	}
	sums, zero := make([][32]byte, n), make([]byte, 32)
	buf := make([]byte, 0, 2048)
	for i, e := range entries {
		h := heads[e.subject]
		p := audit.Position{ID: e.id, Index: t.size + uint64(i), Log: t.shard.Origin, SeqAt: t.seqAt, TrailN: h.n + 1, TrailPrev: h.hash}
		b.ids[i], b.trailNs[i], b.prevIDs[i], b.prevs[i] = int64(e.id), int64(p.TrailN), int64(h.id), zero
		if h.n > 0 {
			b.prevs[i] = append([]byte(nil), h.hash[:]...)
		}
		buf = audit.AppendLeaf(buf[:0], e.body, p)
		sums[i] = audit.LeafHash(buf)
		b.hashes[i] = sums[i][:]
		if err := tree.Append(b.hashes[i], nil); err != nil {
			return nil, fmt.Errorf("appending to the compact range: %w", err)
		}
		h.n, h.id, h.hash, h.at = p.TrailN, e.id, sums[i], i+1
		h.alter(e.id, e.state)
	}
	for subject, h := range heads {
		b.subjects, b.last = append(b.subjects, subject), append(b.last, int32(h.at))
		b.revisions, b.stateIDs = append(b.revisions, int64(h.state.Revision)), append(b.stateIDs, int64(h.stateID))
		var state []byte
		if h.state.Revision > 0 {
			state = h.state.SHA256[:]
		}
		b.states = append(b.states, state)
	}
	b.compact = flatten(tree.Hashes())
	b.root, err = tree.GetRootHash(nil)
	return b, err
}

// store writes leaves, trail heads and tree and removes the entries from pending, if the tree is still where it was.
func (b *leafBatch) store(ctx context.Context, tx pgx.Tx) error {
	_, err := tx.Exec(ctx, "select audit.sequence($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17)",
		b.shard.Institution, b.shard.Year, int64(b.size), b.epoch, b.compact, b.root, b.seqAt,
		b.ids, b.hashes, b.trailNs, b.prevs, b.prevIDs, b.subjects, b.last, b.revisions, b.states, b.stateIDs)
	if sqlState(err) == "40001" {
		return errMoved
	}
	return err
}

// compactRange rebuilds the range [0, size) from its concatenated hashes.
func compactRange(size uint64, flat []byte) (*compact.Range, error) {
	hashes := make([][]byte, 0, len(flat)/32)
	for i := 0; i+32 <= len(flat); i += 32 {
		hashes = append(hashes, flat[i:i+32])
	}
	r, err := rangeFactory().NewRange(0, size, hashes)
	if err != nil {
		return nil, fmt.Errorf("audit.tree at size %d: %w: %w", size, ErrTampered, err)
	}
	return r, nil
}

func rangeFactory() *compact.RangeFactory {
	return &compact.RangeFactory{Hash: func(left, right []byte) []byte {
		h := audit.NodeHash([32]byte(left), [32]byte(right))
		return h[:]
	}}
}

func flatten(hashes [][]byte) []byte {
	flat := make([]byte, 0, 32*len(hashes))
	for _, h := range hashes {
		flat = append(flat, h...)
	}
	return flat
}
