package store

import (
	"context"
	"time"

	"github.com/jackc/pgx/v5"
)

// Grant is a row of people.access_grant.
type Grant struct {
	Institution, ID, Complaint, Requester, Purpose, State string
	Groups                                                []string
	Minutes                                               int
	ReasonSealed                                          []byte
	RequestedAt                                           time.Time
	Reviewer                                              *string
	From, Until                                           *time.Time
}

// InsertGrant stores a request for access.
func (s *Store) InsertGrant(ctx context.Context, tx pgx.Tx, g Grant) error {
	_, err := tx.Exec(ctx, `insert into people.access_grant
		(institution, id, complaint, requester, purpose, groups, minutes, reason_sealed, state, requested_at)
		values ($1, $2, $3, $4, $5, $6, $7, $8, 'requested', $9)`,
		g.Institution, g.ID, g.Complaint, g.Requester, g.Purpose, g.Groups, g.Minutes, g.ReasonSealed, g.RequestedAt)
	return Classify(err)
}

// Grant reads one access grant without locking it.
func (s *Store) Grant(ctx context.Context, institution, id string) (*Grant, error) {
	return collectGrant(s.pool.Query(ctx, selectGrant, institution, id))
}

// LockGrant reads one access grant for change.
func (s *Store) LockGrant(ctx context.Context, tx pgx.Tx, institution, id string) (*Grant, error) {
	return collectGrant(tx.Query(ctx, selectGrant+` for no key update`, institution, id))
}

const selectGrant = `select institution, id, complaint, requester, purpose, state, groups, minutes, reason_sealed, requested_at,
	reviewer, valid_from, valid_until from people.access_grant where institution = $1 and id = $2`

func collectGrant(rows pgx.Rows, err error) (*Grant, error) {
	if err != nil {
		return nil, Classify(err)
	}
	g, err := pgx.CollectExactlyOneRow(rows, func(row pgx.CollectableRow) (*Grant, error) {
		g := &Grant{}
		return g, row.Scan(&g.Institution, &g.ID, &g.Complaint, &g.Requester, &g.Purpose, &g.State, &g.Groups, &g.Minutes,
			&g.ReasonSealed, &g.RequestedAt, &g.Reviewer, &g.From, &g.Until)
	})
	return g, Classify(err)
}

// SetGrant moves an access grant to a new state.
func (s *Store) SetGrant(ctx context.Context, tx pgx.Tx, g *Grant) error {
	tag, err := tx.Exec(ctx, `update people.access_grant set state = $3, reviewer = $4, valid_from = $5, valid_until = $6
		where institution = $1 and id = $2`, g.Institution, g.ID, g.State, g.Reviewer, g.From, g.Until)
	return missing(tag.RowsAffected(), err)
}

// BreakGlass is a row of people.break_glass.
type BreakGlass struct {
	Institution, ID, Complaint, Person, Ticket string
	ReasonSealed                               []byte
	OpenedAt, Until                            time.Time
	ClosedAt, ReviewedAt                       *time.Time
	Reviewer                                   *string
	Justified                                  *bool
}

// InsertBreakGlass opens an emergency access.
func (s *Store) InsertBreakGlass(ctx context.Context, tx pgx.Tx, b BreakGlass) error {
	_, err := tx.Exec(ctx, `insert into people.break_glass (institution, id, complaint, person, ticket, reason_sealed, opened_at, valid_until)
		values ($1, $2, $3, $4, $5, $6, $7, $8)`,
		b.Institution, b.ID, b.Complaint, b.Person, b.Ticket, b.ReasonSealed, b.OpenedAt, b.Until)
	return Classify(err)
}

const selectBreakGlass = `select institution, id, complaint, person, ticket, reason_sealed, opened_at, valid_until, closed_at, reviewed_at,
	reviewer, justified from people.break_glass where institution = $1 and id = $2`

// BreakGlass reads one emergency access without locking it.
func (s *Store) BreakGlass(ctx context.Context, institution, id string) (*BreakGlass, error) {
	return collectBreakGlass(s.pool.Query(ctx, selectBreakGlass, institution, id))
}

// LockBreakGlass reads one emergency access for change.
func (s *Store) LockBreakGlass(ctx context.Context, tx pgx.Tx, institution, id string) (*BreakGlass, error) {
	return collectBreakGlass(tx.Query(ctx, selectBreakGlass+` for no key update`, institution, id))
}

func collectBreakGlass(rows pgx.Rows, err error) (*BreakGlass, error) {
	if err != nil {
		return nil, Classify(err)
	}
	b, err := pgx.CollectExactlyOneRow(rows, func(row pgx.CollectableRow) (*BreakGlass, error) {
		b := &BreakGlass{}
		return b, row.Scan(&b.Institution, &b.ID, &b.Complaint, &b.Person, &b.Ticket, &b.ReasonSealed, &b.OpenedAt, &b.Until,
			&b.ClosedAt, &b.ReviewedAt, &b.Reviewer, &b.Justified)
	})
	return b, Classify(err)
}

// SetBreakGlass writes the closing and the review of an emergency access.
func (s *Store) SetBreakGlass(ctx context.Context, tx pgx.Tx, b *BreakGlass) error {
	tag, err := tx.Exec(ctx, `update people.break_glass set closed_at = $3, reviewed_at = $4, reviewer = $5, justified = $6
		where institution = $1 and id = $2`, b.Institution, b.ID, b.ClosedAt, b.ReviewedAt, b.Reviewer, b.Justified)
	return missing(tag.RowsAffected(), err)
}

// ExpireBreakGlass closes every emergency access whose time is over and
// returns them, so that the closing can be logged in the same transaction.
func (s *Store) ExpireBreakGlass(ctx context.Context, tx pgx.Tx, institution string, at time.Time) ([]*BreakGlass, error) {
	rows, err := tx.Query(ctx, `update people.break_glass set closed_at = valid_until
		where institution = $1 and closed_at is null and valid_until <= $2
		returning institution, id, complaint, person, ticket, reason_sealed, opened_at, valid_until, closed_at, reviewed_at, reviewer, justified`,
		institution, at)
	if err != nil {
		return nil, Classify(err)
	}
	list, err := pgx.CollectRows(rows, func(row pgx.CollectableRow) (*BreakGlass, error) {
		b := &BreakGlass{}
		return b, row.Scan(&b.Institution, &b.ID, &b.Complaint, &b.Person, &b.Ticket, &b.ReasonSealed, &b.OpenedAt, &b.Until,
			&b.ClosedAt, &b.ReviewedAt, &b.Reviewer, &b.Justified)
	})
	return list, Classify(err)
}
