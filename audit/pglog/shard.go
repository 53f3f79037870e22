package pglog

import (
	"context"
	"errors"
	"fmt"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
)

// Shard names one Merkle log: an institution keeps one per calendar year.
type Shard struct {
	Institution string
	Year        int    // UTC
	Origin      string // first line of its checkpoints and name of its signing key, e.g. "sealtrail.example/demo/2026"
}

// Folder is where the shard is published below the root of the published folder: "<institution>/<year>".
func (s Shard) Folder() string { return fmt.Sprintf("%s/%d", s.Institution, s.Year) }

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
