package pglog

import (
	"context"
	"errors"
	"fmt"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/sealtrail/sealtrail/audit"
)

// Shard names one Merkle log: an institution keeps one per calendar year.
type Shard struct {
	Institution string
	Year        int    // UTC
	Origin      string // first line of its checkpoints and name of its signing key, e.g. "sealtrail.example/demo/2026"
}

// Folder is where the shard is published below the root of the published folder: "<institution>/<year>".
func (s Shard) Folder() string { return fmt.Sprintf("%s/%d", s.Institution, s.Year) }

// EnsureLog opens the log of s.Institution for s.Year if it is not there, closes the log of the year before, and reports whether
// it is new. Entries sequenced from then on go to the newest log; the caller that gets true appends the log.opened entry. A log
// that exists with another origin, or a later one, is an error.
func EnsureLog(ctx context.Context, pool *pgxpool.Pool, s Shard) (created bool, err error) {
	if s.Origin == "" || len(s.Origin) > audit.MaxOrigin {
		return false, fmt.Errorf("opening log %s: origin must have 1 to %d bytes", s.Folder(), audit.MaxOrigin)
	}
	if err := pool.QueryRow(ctx, "select audit.ensure_log($1, $2, $3)", s.Institution, s.Year, s.Origin).Scan(&created); err != nil {
		return false, fmt.Errorf("opening log %s: %w", s.Folder(), withoutDetail(err))
	}
	return created, nil
}

// Shards lists the logs of an institution, oldest first.
func Shards(ctx context.Context, pool *pgxpool.Pool, institution string) ([]Shard, error) {
	return shards(ctx, pool, institution)
}

// rowsQuerier is what pgx pools and transactions share.
type rowsQuerier interface {
	Query(ctx context.Context, sql string, args ...any) (pgx.Rows, error)
}

func shards(ctx context.Context, q rowsQuerier, institution string) ([]Shard, error) {
	rows, err := q.Query(ctx, "select institution, year, origin from audit.log where institution = $1 order by year", institution)
	if err == nil {
		var list []Shard
		if list, err = pgx.CollectRows(rows, pgx.RowToStructByPos[Shard]); err == nil {
			return list, nil
		}
	}
	return nil, unavailable("listing logs", err)
}

// CurrentShard is the log that entries of an institution are sequenced to now. The error wraps [ErrNotFound] when there is none.
func CurrentShard(ctx context.Context, pool *pgxpool.Pool, institution string) (Shard, error) {
	s := Shard{Institution: institution}
	err := pool.QueryRow(ctx, "select year, origin from audit.log where institution = $1 and state = 'open'", institution).
		Scan(&s.Year, &s.Origin)
	if errors.Is(err, pgx.ErrNoRows) {
		return Shard{}, fmt.Errorf("finding the open log: %w", ErrNotFound)
	}
	if err != nil {
		return Shard{}, unavailable("finding the open log", err)
	}
	return s, nil
}
