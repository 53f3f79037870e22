package pglog

import (
	"context"

	"github.com/jackc/pgx/v5"
)

// Aliases returns every alias that actor ever had, the oldest year first: a trail whose subject is a person goes on under a
// new name each year. Not cached. The error wraps [ErrUnavailable].
func (l *Log) Aliases(ctx context.Context, actor string) ([]string, error) {
	ctx, cancel := context.WithTimeout(ctx, l.cfg.Deadline)
	defer cancel()
	rows, err := l.cfg.Pool.Query(ctx, "select alias from audit.alias where institution = $1 and actor = $2 order by year", l.cfg.Institution, actor)
	if err != nil {
		return nil, unavailable("finding aliases", err)
	}
	list, err := pgx.CollectRows(rows, pgx.RowTo[string])
	if err != nil {
		return nil, unavailable("finding aliases", err)
	}
	return list, nil
}
