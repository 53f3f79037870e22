package store

import (
	"context"
	"time"

	"github.com/jackc/pgx/v5"
)

// Disclosure is a row of sealtrail.disclosure: a request for a package, and what
// became of it.
type Disclosure struct {
	Institution, ID, Scope string
	Complaint              *string // nil for scope institution
	Groups                 []string
	Recipient              string // the public key's text
	RecipientName          string
	Basis, Purpose         string
	Watermark              string
	ExpiresAt              time.Time
	RequestedBy            string
	RequestedAt            time.Time
	ApprovedBy             *string
	ApprovedAt             *time.Time
	ConfirmedBy            *string
	ConfirmedAt            *time.Time
	State                  string
	ProducedAt             *time.Time
	PackageSHA256          []byte
	Records                *int
}

// States of a disclosure.
const (
	DisclosureRequested = "requested"
	DisclosureApproved  = "approved"
	DisclosureConfirmed = "confirmed"
	DisclosureRefused   = "refused"
	DisclosureProduced  = "produced"
)

const selectDisclosure = `select institution, id, scope, complaint, groups, recipient, recipient_name, basis, purpose, watermark, expires_at,
	requested_by, requested_at, approved_by, approved_at, confirmed_by, confirmed_at, state, produced_at, package_sha256, records
	from sealtrail.disclosure where institution = $1 and id = $2`

func scanDisclosure(row pgx.CollectableRow) (*Disclosure, error) {
	x := &Disclosure{}
	err := row.Scan(&x.Institution, &x.ID, &x.Scope, &x.Complaint, &x.Groups, &x.Recipient, &x.RecipientName, &x.Basis, &x.Purpose, &x.Watermark,
		&x.ExpiresAt, &x.RequestedBy, &x.RequestedAt, &x.ApprovedBy, &x.ApprovedAt, &x.ConfirmedBy, &x.ConfirmedAt, &x.State, &x.ProducedAt,
		&x.PackageSHA256, &x.Records)
	return x, err
}

// InsertDisclosure stores a request.
func (s *Store) InsertDisclosure(ctx context.Context, tx pgx.Tx, x *Disclosure) error {
	_, err := tx.Exec(ctx, `insert into sealtrail.disclosure (institution, id, scope, complaint, groups, recipient, recipient_name, basis, purpose,
		watermark, expires_at, requested_by, requested_at, state) values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, 'requested')`,
		x.Institution, x.ID, x.Scope, x.Complaint, x.Groups, x.Recipient, x.RecipientName, x.Basis, x.Purpose, x.Watermark, x.ExpiresAt,
		x.RequestedBy, x.RequestedAt)
	return Classify(err)
}

// Disclosure reads one request; ErrNotFound if there is none.
func (s *Store) Disclosure(ctx context.Context, institution, id string) (*Disclosure, error) {
	return collectDisclosure(s.pool.Query(ctx, selectDisclosure, institution, id))
}

// LockDisclosure reads a request for change.
func (s *Store) LockDisclosure(ctx context.Context, tx pgx.Tx, institution, id string) (*Disclosure, error) {
	return collectDisclosure(tx.Query(ctx, selectDisclosure+` for no key update`, institution, id))
}

func collectDisclosure(rows pgx.Rows, err error) (*Disclosure, error) {
	if err != nil {
		return nil, Classify(err)
	}
	x, err := pgx.CollectExactlyOneRow(rows, scanDisclosure)
	return x, Classify(err)
}

// SetDisclosure writes what was decided on a request, or that it was produced.
func (s *Store) SetDisclosure(ctx context.Context, tx pgx.Tx, x *Disclosure) error {
	tag, err := tx.Exec(ctx, `update sealtrail.disclosure set approved_by = $3, approved_at = $4, confirmed_by = $5, confirmed_at = $6, state = $7,
		produced_at = $8, package_sha256 = $9, records = $10 where institution = $1 and id = $2`,
		x.Institution, x.ID, x.ApprovedBy, x.ApprovedAt, x.ConfirmedBy, x.ConfirmedAt, x.State, x.ProducedAt, x.PackageSHA256, x.Records)
	return missing(tag.RowsAffected(), err)
}
