package store

import (
	"context"
)

// StreamPlace is where a stream of the log to another system stands: the index of
// its next entry in a year's log.
type StreamPlace struct {
	Year int
	Next int64
}

// StreamPlace reads how far a stream is. ErrNotFound for one that is new.
func (s *Store) StreamPlace(ctx context.Context, institution, name string) (p StreamPlace, err error) {
	err = s.pool.QueryRow(ctx, `select year, next from jobs.stream where institution = $1 and name = $2`, institution, name).Scan(&p.Year, &p.Next)
	return p, Classify(err)
}

// MoveStream moves a stream if it is still at from, or begins it there if it is
// new; false if another process moved it first.
func (s *Store) MoveStream(ctx context.Context, institution, name string, from, to StreamPlace) (bool, error) {
	tag, err := s.pool.Exec(ctx, `insert into jobs.stream as t (institution, name, year, next, updated_at)
		values ($1, $2, $5, $6, clock_timestamp())
		on conflict (institution, name) do update set year = excluded.year, next = excluded.next, updated_at = excluded.updated_at
		where t.year = $3 and t.next = $4`, institution, name, from.Year, from.Next, to.Year, to.Next)
	if err != nil {
		return false, Classify(err)
	}
	return tag.RowsAffected() == 1, nil
}
