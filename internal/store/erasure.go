package store

import (
	"context"
	"time"

	"github.com/jackc/pgx/v5"
)

// Erasure is a row of sealtrail.erasure: a request, and what became of it.
type Erasure struct {
	Institution, ID, Scope, Complaint string
	Groups                            []string
	Basis, RequestedBy                string
	RequestedAt                       time.Time
	DecidedBy                         *string
	DecidedAt                         *time.Time
	State                             string
}

// States of an erasure.
const (
	ErasureRequested = "requested"
	ErasureRefused   = "refused"
	ErasureApproved  = "approved"
	ErasureExecuted  = "executed"
)

const selectErasure = `select institution, id, scope, complaint, groups, basis, requested_by, requested_at, decided_by, decided_at, state from sealtrail.erasure `

func scanErasure(row pgx.CollectableRow) (*Erasure, error) {
	e := &Erasure{}
	return e, row.Scan(&e.Institution, &e.ID, &e.Scope, &e.Complaint, &e.Groups, &e.Basis, &e.RequestedBy, &e.RequestedAt, &e.DecidedBy, &e.DecidedAt, &e.State)
}

// InsertErasure stores a request. ErrDuplicate if another one about the same
// record is waiting: the row of the complaint is locked, so that of two at once
// one comes first.
func (s *Store) InsertErasure(ctx context.Context, tx pgx.Tx, e Erasure) error {
	var open bool
	if _, err := tx.Exec(ctx, `select from sealtrail.complaint where institution = $1 and id = $2 for no key update`, e.Institution, e.Complaint); err != nil {
		return Classify(err)
	}
	err := tx.QueryRow(ctx, `select exists (select from sealtrail.erasure where institution = $1 and complaint = $2 and state = 'requested')`,
		e.Institution, e.Complaint).Scan(&open)
	if err != nil {
		return Classify(err)
	}
	if open {
		return ErrDuplicate
	}
	_, err = tx.Exec(ctx, `insert into sealtrail.erasure (institution, id, scope, complaint, groups, basis, requested_by, requested_at, state)
		values ($1, $2, $3, $4, $5, $6, $7, $8, 'requested')`, e.Institution, e.ID, e.Scope, e.Complaint, nonNil(e.Groups), e.Basis, e.RequestedBy, e.RequestedAt)
	return Classify(err)
}

// Erasure reads one request; ErrNotFound if there is none.
func (s *Store) Erasure(ctx context.Context, institution, id string) (*Erasure, error) {
	return collectErasure(s.pool.Query(ctx, selectErasure+`where institution = $1 and id = $2`, institution, id))
}

// LockErasure reads a request for change.
func (s *Store) LockErasure(ctx context.Context, tx pgx.Tx, institution, id string) (*Erasure, error) {
	return collectErasure(tx.Query(ctx, selectErasure+`where institution = $1 and id = $2 for no key update`, institution, id))
}

func collectErasure(rows pgx.Rows, err error) (*Erasure, error) {
	if err != nil {
		return nil, Classify(err)
	}
	e, err := pgx.CollectExactlyOneRow(rows, scanErasure)
	return e, Classify(err)
}

// SetErasure writes what was decided on a request and how far it has come.
func (s *Store) SetErasure(ctx context.Context, tx pgx.Tx, e *Erasure) error {
	tag, err := tx.Exec(ctx, `update sealtrail.erasure set decided_by = $3, decided_at = $4, state = $5 where institution = $1 and id = $2`,
		e.Institution, e.ID, e.DecidedBy, e.DecidedAt, e.State)
	return missing(tag.RowsAffected(), err)
}

// Erasures lists requests in a state, oldest first, at most limit.
func (s *Store) Erasures(ctx context.Context, institution, state string, limit int) ([]*Erasure, error) {
	rows, err := s.pool.Query(ctx, selectErasure+`where institution = $1 and state = $2 order by requested_at, id limit $3`, institution, state, limit)
	if err != nil {
		return nil, Classify(err)
	}
	list, err := pgx.CollectRows(rows, scanErasure)
	return list, Classify(err)
}

// ErasureItem is what became of one record of an erasure.
type ErasureItem struct {
	Institution, Erasure, Complaint, Result string
	Hold                                    *string
	Until                                   *time.Time
	Commitment, WrappedSHA256               []byte
	KeyVersion                              *int
	SettledAt                               *time.Time
	SettledEntry                            *int64
	IrrecoverableAt                         *time.Time
	IrrecoverableEntry                      *int64
}

const selectItem = `select institution, erasure, complaint, result, hold, until, commitment, wrapped_sha256, key_version, settled_at, settled_entry,
	irrecoverable_at, irrecoverable_entry from sealtrail.erasure_item `

func scanItem(row pgx.CollectableRow) (*ErasureItem, error) {
	i := &ErasureItem{}
	return i, row.Scan(&i.Institution, &i.Erasure, &i.Complaint, &i.Result, &i.Hold, &i.Until, &i.Commitment, &i.WrappedSHA256, &i.KeyVersion,
		&i.SettledAt, &i.SettledEntry, &i.IrrecoverableAt, &i.IrrecoverableEntry)
}

// InsertItems names the records of an approved erasure, all pending.
func (s *Store) InsertItems(ctx context.Context, tx pgx.Tx, e *Erasure, complaints []string) error {
	_, err := tx.Exec(ctx, `insert into sealtrail.erasure_item (institution, erasure, complaint, result)
		select $1, $2, u.id, 'pending' from unnest($3::uuid[]) as u (id) on conflict do nothing`, e.Institution, e.ID, complaints)
	return Classify(err)
}

// Items lists the records of an erasure by id.
func (s *Store) Items(ctx context.Context, institution, erasure string) ([]*ErasureItem, error) {
	rows, err := s.pool.Query(ctx, selectItem+`where institution = $1 and erasure = $2 order by complaint`, institution, erasure)
	if err != nil {
		return nil, Classify(err)
	}
	list, err := pgx.CollectRows(rows, scanItem)
	return list, Classify(err)
}

// SettleItem writes what became of a pending record. ErrStale if somebody else
// has settled it.
func (s *Store) SettleItem(ctx context.Context, tx pgx.Tx, i *ErasureItem) error {
	tag, err := tx.Exec(ctx, `update sealtrail.erasure_item set result = $4, hold = $5, until = $6, commitment = $7, wrapped_sha256 = $8,
		key_version = $9, settled_at = $10, settled_entry = $11 where institution = $1 and erasure = $2 and complaint = $3 and result = 'pending'`,
		i.Institution, i.Erasure, i.Complaint, i.Result, i.Hold, i.Until, i.Commitment, i.WrappedSHA256, i.KeyVersion, i.SettledAt, i.SettledEntry)
	if err != nil {
		return Classify(err)
	}
	if tag.RowsAffected() == 0 {
		return ErrStale
	}
	return nil
}

// FinishErasure marks an approved erasure as executed once no record of it is
// pending, and says whether it is.
func (s *Store) FinishErasure(ctx context.Context, institution, id string) (bool, error) {
	tag, err := s.pool.Exec(ctx, `update sealtrail.erasure e set state = 'executed' where e.institution = $1 and e.id = $2 and e.state = 'approved'
		and not exists (select from sealtrail.erasure_item i where i.institution = e.institution and i.erasure = e.id and i.result = 'pending')`, institution, id)
	return tag.RowsAffected() > 0, Classify(err)
}

// Recoverable lists records that were erased while their key was wrapped under a
// version below min, and that are not yet said to be irrecoverable.
func (s *Store) Recoverable(ctx context.Context, institution string, min, limit int) ([]*ErasureItem, error) {
	rows, err := s.pool.Query(ctx, selectItem+`where institution = $1 and key_version < $2 and irrecoverable_at is null
		and result in ('shredded', 'reduced') order by key_version, complaint limit $3`, institution, min, limit)
	if err != nil {
		return nil, Classify(err)
	}
	list, err := pgx.CollectRows(rows, scanItem)
	return list, Classify(err)
}

// MarkIrrecoverable writes that an erased record is irrecoverable, by an entry.
// A reduced record stays reduced and has the entry beside. Requests that name
// the same first stage are marked together. ErrStale if it is marked already.
func (s *Store) MarkIrrecoverable(ctx context.Context, tx pgx.Tx, i *ErasureItem, entry int64, at time.Time) error {
	tag, err := tx.Exec(ctx, `update sealtrail.erasure_item set irrecoverable_at = $4, irrecoverable_entry = $5,
		result = case result when 'shredded' then 'irrecoverable' else result end
		where institution = $1 and complaint = $2 and settled_entry = $3 and irrecoverable_at is null and result in ('shredded', 'reduced')`,
		i.Institution, i.Complaint, i.SettledEntry, at, entry)
	if err != nil {
		return Classify(err)
	}
	if tag.RowsAffected() == 0 {
		return ErrStale
	}
	return nil
}

// notErased is a condition on complaint c: no erasure has taken its key. The
// row alone does not know it where an older copy of the data stands beside the
// newest keys.
const notErased = `c.state <> 'erased' and not exists (select from keys.destroyed x
	where x.institution = c.institution and x.complaint = c.id and x.part = '' and x.why = 'shred')`

// WasShredded reports whether the record's own key was destroyed by an erasure.
// The schema keys travels apart, so this holds also beside older data.
func (s *Store) WasShredded(ctx context.Context, institution, complaint string) (bool, error) {
	var was bool
	err := s.pool.QueryRow(ctx, `select exists (select from keys.destroyed where institution = $1 and complaint = $2 and part = '' and why = 'shred')`,
		institution, complaint).Scan(&was)
	return was, Classify(err)
}

// FileKeys lists the wrapped keys of a complaint's files, in all generations.
func (s *Store) FileKeys(ctx context.Context, tx pgx.Tx, institution, complaint string) ([]KeyRef, error) {
	rows, err := tx.Query(ctx, `select file::text, generation from keys.wrapped_file where institution = $1 and complaint = $2 order by file, generation`,
		institution, complaint)
	if err != nil {
		return nil, Classify(err)
	}
	list, err := pgx.CollectRows(rows, func(row pgx.CollectableRow) (KeyRef, error) {
		k := KeyRef{Kind: KeyOfFile, Complaint: complaint}
		return k, row.Scan(&k.File, &k.Generation)
	})
	return list, Classify(err)
}

// OfSameSubject lists the complaints that share the complainant of the one
// named, that one included, by id: a token of her identity number in any
// generation of the index.
func (s *Store) OfSameSubject(ctx context.Context, institution, complaint string, limit int) ([]string, error) {
	rows, err := s.pool.Query(ctx, `select distinct u.id from (
			select $2::uuid as id
			union all
			select b.complaint from sealtrail.blind_index a
			join sealtrail.blind_index b on b.institution = a.institution and b.field = a.field and b.epoch = a.epoch and b.token = a.token
			where a.institution = $1 and a.complaint = $2 and a.field = 'id_number'
		) u order by 1 limit $3`, institution, complaint, limit)
	if err != nil {
		return nil, Classify(err)
	}
	list, err := pgx.CollectRows(rows, pgx.RowTo[string])
	return list, Classify(err)
}

// PastRetention returns clear columns of complaints whose retention ended before
// an instant, that are under no hold, not erased, and about which no request is
// waiting: earliest end first, after (until, id), at most limit.
func (s *Store) PastRetention(ctx context.Context, institution string, at time.Time, after Cursor, limit int) ([]*Complaint, error) {
	if after.ID == "" {
		after.ID = noUUID
	}
	rows, err := s.pool.Query(ctx, selectMeta+`where c.institution = $1 and c.retention_until <= $2 and (c.retention_until, c.id) > ($3, $4::uuid)
		and `+notErased+` and cardinality(c.holds) = 0
		and not exists (select from sealtrail.legal_hold h where h.institution = c.institution and h.complaint = c.id and h.released_at is null)
		and not exists (select from sealtrail.erasure e where e.institution = c.institution and e.complaint = c.id and e.state = 'requested')
		order by c.retention_until, c.id limit $5`, institution, at, after.At, after.ID, limit)
	if err != nil {
		return nil, Classify(err)
	}
	list, err := pgx.CollectRows(rows, scanMeta)
	return list, Classify(err)
}

// Cursor is a place in a list that is ordered by a time and an id.
type Cursor struct {
	At time.Time
	ID string
}

// ByID returns clear columns of complaints by their ids, in the order of the ids.
func (s *Store) ByID(ctx context.Context, institution string, ids []string) ([]*Complaint, error) {
	rows, err := s.pool.Query(ctx, selectMeta+`where c.institution = $1 and c.id = any($2) order by c.id`, institution, ids)
	if err != nil {
		return nil, Classify(err)
	}
	list, err := pgx.CollectRows(rows, scanMeta)
	return list, Classify(err)
}

// CopyItem settles a pending record that an earlier erasure has erased, by what
// that one wrote. ErrStale if there is none, or it is settled.
func (s *Store) CopyItem(ctx context.Context, tx pgx.Tx, i *ErasureItem) error {
	tag, err := tx.Exec(ctx, `update sealtrail.erasure_item t set result = f.result, commitment = f.commitment, wrapped_sha256 = f.wrapped_sha256,
			key_version = f.key_version, settled_at = f.settled_at, settled_entry = f.settled_entry,
			irrecoverable_at = f.irrecoverable_at, irrecoverable_entry = f.irrecoverable_entry
		from (select * from sealtrail.erasure_item where institution = $1 and complaint = $3 and erasure <> $2
			and result in ('shredded', 'irrecoverable') limit 1) f
		where t.institution = $1 and t.erasure = $2 and t.complaint = $3 and t.result = 'pending'`, i.Institution, i.Erasure, i.Complaint)
	if err != nil {
		return Classify(err)
	}
	if tag.RowsAffected() == 0 {
		return ErrStale
	}
	return nil
}
