package pglog

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
)

// IndexAt returns the smallest index of a log whose entry was sequenced at or after t: its size, if none was. Times of a log never
// decrease, so it looks at a few leaves only. The error wraps [ErrUnavailable], or [ErrTampered] when a leaf is missing.
func IndexAt(ctx context.Context, pool *pgxpool.Pool, s Shard, t time.Time) (uint64, error) {
	head, err := NewTree(pool, s).Head(ctx)
	if err != nil {
		return 0, err
	}
	from, to := uint64(0), head.Size
	for from < to {
		middle := from + (to-from)/2
		var at time.Time
		err := pool.QueryRow(ctx, "select seq_at from audit.leaf where institution = $1 and year = $2 and idx = $3", s.Institution, s.Year, int64(middle)).Scan(&at)
		if errors.Is(err, pgx.ErrNoRows) {
			return 0, fmt.Errorf("looking for a time: %w", missingLeaf(middle))
		}
		if err != nil {
			return 0, unavailable("looking for a time", err)
		}
		if at.Before(t) {
			from = middle + 1
		} else {
			to = middle
		}
	}
	return from, nil
}
