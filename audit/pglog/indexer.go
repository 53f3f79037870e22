package pglog

import (
	"context"
	"encoding/binary"
	"errors"
	"log/slog"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/sealtrail/sealtrail/audit"
)

// Defaults of IndexerConfig.
const (
	DefaultIndexInterval = 250 * time.Millisecond
	DefaultIndexBatch    = 2048
)

// IndexerConfig configures an Indexer.
type IndexerConfig struct {
	Pool        *pgxpool.Pool // connects as sealtrail_app; required
	Institution string        // required
	Interval    time.Duration // pause when nothing is left; 0 = DefaultIndexInterval
	MaxBatch    int           // leaves to one step; 0 = DefaultIndexBatch
	Logger      *slog.Logger  // failures; nil = slog.Default()
}

// Indexer fills the search index behind the sequencer. The index is a projection: it proves nothing, and losing it loses time.
// Several may run: the one that comes second to a batch does nothing.
type Indexer struct{ cfg IndexerConfig }

// NewIndexer returns an Indexer; [Indexer.Run] makes it work.
func NewIndexer(_ context.Context, cfg IndexerConfig) (*Indexer, error) {
	if cfg.Pool == nil || cfg.Institution == "" {
		return nil, errors.New("pglog: Pool and Institution are required")
	}
	cfg.Interval = orDefault(cfg.Interval, DefaultIndexInterval)
	cfg.MaxBatch = orDefault(cfg.MaxBatch, DefaultIndexBatch)
	if cfg.Logger == nil {
		cfg.Logger = slog.Default()
	}
	return &Indexer{cfg: cfg}, nil
}

// Run indexes until ctx ends and returns nil then. A database that is away makes it pause and try again.
func (x *Indexer) Run(ctx context.Context) error {
	pause := time.NewTimer(0)
	defer pause.Stop()
	failures := 0
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-pause.C:
		}
		n, err := x.Step(ctx)
		switch {
		case err != nil:
			if failures++; failures == 1 && ctx.Err() == nil {
				x.cfg.Logger.WarnContext(ctx, "indexing the log failed", slog.String("institution", x.cfg.Institution), slog.Any("error", err))
			}
			pause.Reset(maxPauseAfterFailures)
		case n == x.cfg.MaxBatch:
			failures = 0
			pause.Reset(0)
		default:
			failures = 0
			pause.Reset(x.cfg.Interval)
		}
	}
}

// Step indexes one batch of one log and returns how many leaves it took; 0 when the index is up to date.
func (x *Indexer) Step(ctx context.Context) (int, error) {
	ctx, cancel := context.WithTimeout(ctx, 10*statementTimeout)
	defer cancel()
	list, err := lagging(ctx, x.cfg.Pool, x.cfg.Institution)
	if err != nil || len(list) == 0 {
		return 0, err
	}
	// The newest log first: it is what people search while an old one is indexed anew.
	g := list[len(list)-1]
	to := min(g.size, g.indexed+uint64(x.cfg.MaxBatch))
	batch, err := x.gather(ctx, g.shard, g.indexed, to)
	if err != nil {
		return 0, err
	}
	blocks, terms, rows := batch.columns()
	_, err = x.cfg.Pool.Exec(ctx, "select audit.index_terms($1, $2, $3, $4, $5, $6, $7)", x.cfg.Institution, g.shard.Year, int64(g.indexed), int64(to), blocks, terms, rows)
	if sqlState(err) == "40001" {
		return 0, nil // another replica was faster
	}
	if err != nil {
		return 0, unavailable("indexing the log", err)
	}
	return int(to - g.indexed), nil
}

// lag is how far the index of a log has come.
type lag struct {
	shard         Shard
	size, indexed uint64
}

const selectLags = `select l.institution, l.year, l.origin, t.size, coalesce(s.size, 0)
	from audit.log l join audit.tree t using (institution, year) left join audit.searched s using (institution, year)
	where l.institution = $1`

func scanLag(row pgx.CollectableRow) (g lag, err error) {
	err = row.Scan(&g.shard.Institution, &g.shard.Year, &g.shard.Origin, &g.size, &g.indexed)
	return g, err
}

// lagging lists the logs whose index is behind, the oldest first.
func lagging(ctx context.Context, q rowsQuerier, institution string) ([]lag, error) {
	return lags(ctx, q, selectLags+" and coalesce(s.size, 0) < t.size order by l.year", institution)
}

func lags(ctx context.Context, q rowsQuerier, statement string, args ...any) ([]lag, error) {
	rows, err := q.Query(ctx, statement, args...)
	if err != nil {
		return nil, unavailable("reading the search index", err)
	}
	list, err := pgx.CollectRows(rows, scanLag)
	if err != nil {
		return nil, unavailable("reading the search index", err)
	}
	return list, nil
}

// postings gathers where terms occur.
type postings map[posting][]byte

type posting struct {
	block int32
	term  int64
}

func (p postings) add(index uint64, b *audit.Body) {
	for _, term := range Terms(b) {
		key := posting{int32(index / blockSize), termID(term)}
		at := uint16(index % blockSize)
		if raw := p[key]; len(raw) >= 2 && binary.BigEndian.Uint16(raw[len(raw)-2:]) == at {
			continue // one leaf may have a term twice
		}
		p[key] = binary.BigEndian.AppendUint16(p[key], at)
	}
}

func (p postings) columns() (blocks []int32, terms []int64, rows [][]byte) {
	blocks, terms, rows = make([]int32, 0, len(p)), make([]int64, 0, len(p)), make([][]byte, 0, len(p))
	for key, raw := range p {
		blocks, terms, rows = append(blocks, key.block), append(terms, key.term), append(rows, raw)
	}
	return blocks, terms, rows
}

// gather reads the bodies of [from, to) and their terms. A body that is no longer here, because its partition was detached, has
// none: what is searched is what PostgreSQL holds.
func (x *Indexer) gather(ctx context.Context, s Shard, from, to uint64) (postings, error) {
	rows, err := x.cfg.Pool.Query(ctx, `
		select l.idx, e.body from audit.leaf l join audit.entry e on e.institution = l.institution and e.id = l.entry_id
		where l.institution = $1 and l.year = $2 and l.idx >= $3 and l.idx < $4 order by l.idx`, s.Institution, s.Year, int64(from), int64(to))
	if err != nil {
		return nil, unavailable("reading leaves", err)
	}
	found := postings{}
	var index uint64
	var raw []byte
	_, err = pgx.ForEachRow(rows, []any{&index, &raw}, func() error {
		b, err := audit.ParseBody(raw)
		if err != nil {
			return nil // changed in place: the check of the log names it, and no search shows it
		}
		found.add(index, &b)
		return nil
	})
	if err != nil {
		return nil, unavailable("reading leaves", err)
	}
	return found, nil
}

// ResetIndex forgets the search index of every log of an institution. Indexers make it anew.
func ResetIndex(ctx context.Context, pool *pgxpool.Pool, institution string) error {
	list, err := Shards(ctx, pool, institution)
	if err != nil {
		return err
	}
	for _, s := range list {
		if _, err := pool.Exec(ctx, "select audit.index_reset($1, $2)", institution, s.Year); err != nil {
			return unavailable("forgetting the search index", err)
		}
	}
	return nil
}

// IndexLag is how many leaves the search index of an institution does not hold yet.
func IndexLag(ctx context.Context, pool *pgxpool.Pool, institution string) (uint64, error) {
	list, err := lagging(ctx, pool, institution)
	n := uint64(0)
	for _, g := range list {
		n += g.size - g.indexed
	}
	return n, err
}
