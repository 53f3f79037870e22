package store

import (
	"context"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"
)

// States of the closing of a master key's epoch.
const (
	EpochProposed  = "proposed"
	EpochConfirmed = "confirmed"
	EpochClosed    = "closed"
	EpochWithdrawn = "withdrawn"
)

// Epoch is a row of keys.epoch: a closing of everything below Version. Such a
// row proves nothing; what was proposed and confirmed is in the log.
type Epoch struct {
	Institution, Key string
	Version          int
	State            string
	ProposedBy       string
	ProposedAt       time.Time
	ConfirmedBy      *string
	ConfirmedAt      *time.Time
	NotBefore        *time.Time
	ClosedAt         *time.Time
	MinAvailable     *int
	ClosedEntry      *int64
}

// ProposeEpoch stores a proposal. ErrDuplicate if there is one already that was
// not withdrawn.
func (s *Store) ProposeEpoch(ctx context.Context, tx pgx.Tx, e Epoch) error {
	tag, err := tx.Exec(ctx, `insert into keys.epoch as k (institution, key, version, state, proposed_by, proposed_at)
		values ($1, $2, $3, 'proposed', $4, $5)
		on conflict (institution, key, version) do update set state = 'proposed', proposed_by = excluded.proposed_by,
			proposed_at = excluded.proposed_at, confirmed_by = null, confirmed_at = null, not_before = null
		where k.state = 'withdrawn'`, e.Institution, e.Key, e.Version, e.ProposedBy, e.ProposedAt)
	if err != nil {
		return Classify(err)
	}
	if tag.RowsAffected() == 0 {
		return fmt.Errorf("%w: epoch_pkey", ErrDuplicate)
	}
	return nil
}

const selectKeyEpoch = `select institution, key, version, state, proposed_by, proposed_at, confirmed_by, confirmed_at, not_before, closed_at, min_available, closed_entry from keys.epoch `

func scanEpoch(row pgx.CollectableRow) (*Epoch, error) {
	e := &Epoch{}
	err := row.Scan(&e.Institution, &e.Key, &e.Version, &e.State, &e.ProposedBy, &e.ProposedAt, &e.ConfirmedBy, &e.ConfirmedAt, &e.NotBefore,
		&e.ClosedAt, &e.MinAvailable, &e.ClosedEntry)
	return e, err
}

// LockEpoch reads one closing for change; ErrNotFound if nobody proposed it.
func (s *Store) LockEpoch(ctx context.Context, tx pgx.Tx, institution, key string, version int) (*Epoch, error) {
	rows, err := tx.Query(ctx, selectKeyEpoch+`where institution = $1 and key = $2 and version = $3 for update`, institution, key, version)
	if err != nil {
		return nil, Classify(err)
	}
	e, err := pgx.CollectExactlyOneRow(rows, scanEpoch)
	return e, Classify(err)
}

// SetEpoch writes what may change about a closing.
func (s *Store) SetEpoch(ctx context.Context, tx pgx.Tx, e *Epoch) error {
	tag, err := tx.Exec(ctx, `update keys.epoch set state = $4, confirmed_by = $5, confirmed_at = $6, not_before = $7, closed_at = $8, min_available = $9, closed_entry = $10
		where institution = $1 and key = $2 and version = $3`,
		e.Institution, e.Key, e.Version, e.State, e.ConfirmedBy, e.ConfirmedAt, e.NotBefore, e.ClosedAt, e.MinAvailable, e.ClosedEntry)
	return missing(tag.RowsAffected(), err)
}

// Epochs lists the closings of every key, the newest version first.
func (s *Store) Epochs(ctx context.Context, institution string) ([]*Epoch, error) {
	rows, err := s.pool.Query(ctx, selectKeyEpoch+`where institution = $1 order by key, version desc`, institution)
	if err != nil {
		return nil, Classify(err)
	}
	list, err := pgx.CollectRows(rows, scanEpoch)
	return list, Classify(err)
}

// States of a generation of the blind indexes.
const (
	IndexBuilding = "building"
	IndexCurrent  = "current"
	IndexRetired  = "retired"
	IndexDropped  = "dropped"
)

// IndexEpoch is a row of keys.index_epoch. An institution without any row has
// epoch 1 and nothing else.
type IndexEpoch struct {
	Institution string
	Epoch       int
	Key         string // name in Vault
	State       string
	CreatedAt   time.Time
	SwitchedAt  *time.Time
}

// IndexEpochs lists the generations of the indexes, the oldest first; never
// empty: without a row, epoch 1 under firstKey is current.
func (s *Store) IndexEpochs(ctx context.Context, institution, firstKey string) ([]*IndexEpoch, error) {
	rows, err := s.pool.Query(ctx, `select institution, epoch, key, state, created_at, switched_at from keys.index_epoch
		where institution = $1 order by epoch`, institution)
	if err != nil {
		return nil, Classify(err)
	}
	list, err := pgx.CollectRows(rows, func(row pgx.CollectableRow) (*IndexEpoch, error) {
		e := &IndexEpoch{}
		err := row.Scan(&e.Institution, &e.Epoch, &e.Key, &e.State, &e.CreatedAt, &e.SwitchedAt)
		return e, err
	})
	if err == nil && len(list) == 0 {
		list = []*IndexEpoch{{Institution: institution, Epoch: 1, Key: firstKey, State: IndexCurrent}}
	}
	return list, Classify(err)
}

// OpenIndexEpoch adds the generation after the newest one, in state building,
// and returns its number. keyOf names the key of a generation. ErrDuplicate if
// one is being built already.
func (s *Store) OpenIndexEpoch(ctx context.Context, tx pgx.Tx, institution string, at time.Time, keyOf func(epoch int) string) (int, error) {
	if _, err := tx.Exec(ctx, stopIndex, institution); err != nil {
		return 0, Classify(err)
	}
	if _, err := tx.Exec(ctx, `insert into keys.index_epoch (institution, epoch, key, state, created_at) values ($1, 1, $2, 'current', $3)
		on conflict (institution, epoch) do nothing`, institution, keyOf(1), at); err != nil {
		return 0, Classify(err)
	}
	var newest int
	if err := tx.QueryRow(ctx, `select max(epoch) from keys.index_epoch where institution = $1`, institution).Scan(&newest); err != nil {
		return 0, Classify(err)
	}
	_, err := tx.Exec(ctx, `insert into keys.index_epoch (institution, epoch, key, state, created_at) values ($1, $2, $3, 'building', $4)`,
		institution, newest+1, keyOf(newest+1), at)
	return newest + 1, Classify(err)
}

// SwitchIndexEpoch makes the generation that was built the current one and
// retires the one before. ErrStale if it is not being built.
func (s *Store) SwitchIndexEpoch(ctx context.Context, tx pgx.Tx, institution string, epoch int, at time.Time) error {
	if _, err := tx.Exec(ctx, stopIndex, institution); err != nil {
		return Classify(err)
	}
	if _, err := tx.Exec(ctx, `update keys.index_epoch o set state = 'retired' where o.institution = $1 and o.state = 'current'
		and exists (select from keys.index_epoch n where n.institution = $1 and n.epoch = $2 and n.state = 'building')`, institution, epoch); err != nil {
		return Classify(err)
	}
	return s.moveIndexEpoch(ctx, tx, institution, epoch, IndexBuilding, IndexCurrent, &at)
}

// DropIndexEpoch marks a retired generation as dropped. The caller deletes its
// tokens first (DeleteIndexTokens). ErrStale if it is not retired.
func (s *Store) DropIndexEpoch(ctx context.Context, tx pgx.Tx, institution string, epoch int) error {
	return s.moveIndexEpoch(ctx, tx, institution, epoch, IndexRetired, IndexDropped, nil)
}

func (s *Store) moveIndexEpoch(ctx context.Context, tx pgx.Tx, institution string, epoch int, from, to string, at *time.Time) error {
	tag, err := tx.Exec(ctx, `update keys.index_epoch set state = $4, switched_at = coalesce($5, switched_at)
		where institution = $1 and epoch = $2 and state = $3`, institution, epoch, from, to, at)
	if err != nil {
		return Classify(err)
	}
	if tag.RowsAffected() == 0 {
		return ErrStale
	}
	return nil
}

// DeleteIndexTokens deletes up to limit tokens of a generation that is neither
// current nor being built, and returns how many: 0 means that none are left.
func (s *Store) DeleteIndexTokens(ctx context.Context, institution string, epoch, limit int) (int64, error) {
	tag, err := s.pool.Exec(ctx, `delete from sealtrail.blind_index b using (
			select ctid from sealtrail.blind_index where institution = $1 and epoch = $2 limit $3) old
		where b.ctid = old.ctid and exists (select from keys.index_epoch e where e.institution = $1 and e.epoch = $2 and e.state = 'retired')`,
		institution, epoch, limit)
	return tag.RowsAffected(), Classify(err)
}
