package pglog

import (
	"context"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"
)

// Skew is how far this machine's clock is ahead of PostgreSQL's, negative when it is behind. The answer is exact to half the time of
// the round trip. The error wraps [ErrUnavailable].
func Skew(ctx context.Context, pool *pgxpool.Pool) (time.Duration, error) {
	ctx, cancel := context.WithTimeout(ctx, DefaultDeadline)
	defer cancel()
	conn, err := pool.Acquire(ctx)
	if err != nil {
		return 0, unavailable("comparing the clocks", err)
	}
	defer conn.Release()
	begin := time.Now()
	var theirs time.Time
	if err := conn.QueryRow(ctx, "select clock_timestamp()").Scan(&theirs); err != nil {
		return 0, unavailable("comparing the clocks", err)
	}
	ours := begin.Add(time.Since(begin) / 2).Round(0) // by the wall
	return ours.Sub(theirs), nil
}
