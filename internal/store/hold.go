package store

import (
	"context"
	"time"

	"github.com/jackc/pgx/v5"
)

// Hold is a row of sealtrail.legal_hold. What counts for a record is the id in
// its own list of holds, which the manifest covers; this row says why.
type Hold struct {
	Institution, ID, Complaint, Reason, Reference, PlacedBy string
	PlacedAt                                                time.Time
	ReleaseAskedBy                                          *string
	ReleaseAskedAt                                          *time.Time
	ReleasedBy                                              *string
	ReleasedAt                                              *time.Time
}

const selectHold = `select institution, id, complaint, reason_code, reference, placed_by, placed_at, release_asked_by, release_asked_at,
	released_by, released_at from sealtrail.legal_hold `

func scanHold(row pgx.CollectableRow) (*Hold, error) {
	h := &Hold{}
	return h, row.Scan(&h.Institution, &h.ID, &h.Complaint, &h.Reason, &h.Reference, &h.PlacedBy, &h.PlacedAt, &h.ReleaseAskedBy,
		&h.ReleaseAskedAt, &h.ReleasedBy, &h.ReleasedAt)
}

// InsertHold stores a new hold.
func (s *Store) InsertHold(ctx context.Context, tx pgx.Tx, h Hold) error {
	_, err := tx.Exec(ctx, `insert into sealtrail.legal_hold (institution, id, complaint, reason_code, reference, placed_by, placed_at)
		values ($1, $2, $3, $4, $5, $6, $7)`, h.Institution, h.ID, h.Complaint, h.Reason, h.Reference, h.PlacedBy, h.PlacedAt)
	return Classify(err)
}

// Hold reads one hold; ErrNotFound if there is none.
func (s *Store) Hold(ctx context.Context, institution, id string) (*Hold, error) {
	rows, err := s.pool.Query(ctx, selectHold+`where institution = $1 and id = $2`, institution, id)
	if err != nil {
		return nil, Classify(err)
	}
	h, err := pgx.CollectExactlyOneRow(rows, scanHold)
	return h, Classify(err)
}

// Holds lists the holds of a complaint, open ones and then the newest first, at most limit.
func (s *Store) Holds(ctx context.Context, institution, complaint string, limit int) ([]*Hold, error) {
	rows, err := s.pool.Query(ctx, selectHold+`where institution = $1 and complaint = $2 order by released_at is not null, placed_at desc, id limit $3`, institution, complaint, limit)
	if err != nil {
		return nil, Classify(err)
	}
	list, err := pgx.CollectRows(rows, scanHold)
	return list, Classify(err)
}

// AskRelease remembers who asked for the release of a hold. ErrNotFound if the
// hold is released already.
func (s *Store) AskRelease(ctx context.Context, tx pgx.Tx, institution, id, by string, at time.Time) error {
	tag, err := tx.Exec(ctx, `update sealtrail.legal_hold set release_asked_by = $3, release_asked_at = $4
		where institution = $1 and id = $2 and released_at is null`, institution, id, by, at)
	return missing(tag.RowsAffected(), err)
}

// ReleaseHold ends a hold that somebody asked to have released. ErrNotFound if
// nobody asked, or it is released already.
func (s *Store) ReleaseHold(ctx context.Context, tx pgx.Tx, institution, id, by string, at time.Time) error {
	tag, err := tx.Exec(ctx, `update sealtrail.legal_hold set released_by = $3, released_at = $4
		where institution = $1 and id = $2 and released_at is null and release_asked_by is not null`, institution, id, by, at)
	return missing(tag.RowsAffected(), err)
}

// OpenHold is the id of a hold of a complaint that is not released, empty for
// none.
func (s *Store) OpenHold(ctx context.Context, tx pgx.Tx, institution, complaint string) (string, error) {
	var id *string
	err := tx.QueryRow(ctx, `select min(id::text) from sealtrail.legal_hold where institution = $1 and complaint = $2 and released_at is null`,
		institution, complaint).Scan(&id)
	if err != nil || id == nil {
		return "", Classify(err)
	}
	return *id, nil
}
