package store

import (
	"context"

	"github.com/jackc/pgx/v5"
)

// What the service's own upkeep reads and writes. Pages walk by id, which is
// random, so that a walk is a sample at every moment.

// LiveAfter returns up to limit ids of complaints after an id.
func (s *Store) LiveAfter(ctx context.Context, institution, after string, limit int) ([]string, error) {
	return s.ids(ctx, `select c.id::text from sealtrail.complaint c where c.institution = $1 and c.id > $2::uuid and c.state <> 'erased'
		order by c.id limit $3`, institution, orNoUUID(after), limit)
}

// OfOtherSuite returns up to limit ids after an id of complaints that are not
// sealed in a suite.
func (s *Store) OfOtherSuite(ctx context.Context, institution string, suite uint8, after string, limit int) ([]string, error) {
	return s.ids(ctx, `select c.id::text from sealtrail.complaint c where c.institution = $1 and c.id > $2::uuid and c.state <> 'erased'
		and c.suite <> $3 order by c.id limit $4`, institution, orNoUUID(after), int16(suite), limit)
}

const countSuites = `select suite, count(*) from sealtrail.complaint where institution = $1 and state <> 'erased' group by suite`

// CountSuites is how many complaints that can be opened are sealed in each
// suite.
func (s *Store) CountSuites(ctx context.Context, institution string) (map[uint8]int64, error) {
	rows, err := s.pool.Query(ctx, countSuites, institution)
	if err != nil {
		return nil, Classify(err)
	}
	counts := map[uint8]int64{}
	var suite int16
	var n int64
	_, err = pgx.ForEachRow(rows, []any{&suite, &n}, func() error { counts[uint8(suite)] = n; return nil })
	return counts, Classify(err)
}

// InsertKey stores the wrapped key of a complaint's new generation.
func (s *Store) InsertKey(ctx context.Context, tx pgx.Tx, c *Complaint, key Wrapped) error {
	_, err := tx.Exec(ctx, `insert into keys.wrapped (institution, complaint, generation, wrapped, commitment, key_version) values ($1, $2, $3, $4, $5, $6)`,
		c.Institution, c.ID, c.Generation, key.Blob, key.Commitment, key.Version)
	return Classify(err)
}

// HoldGeneration keeps a complaint's data key what it is until tx ends:
// ErrStale if it is another generation's by now.
func (s *Store) HoldGeneration(ctx context.Context, tx pgx.Tx, c *Complaint) error {
	var generation uint32
	err := tx.QueryRow(ctx, `select generation from sealtrail.complaint where institution = $1 and id = $2 for share`, c.Institution, c.ID).Scan(&generation)
	if err == nil && generation != c.Generation {
		return ErrStale
	}
	return Classify(err)
}

// DestroyedKey is what is left of a key that was destroyed.
type DestroyedKey struct {
	Commitment, WrappedSHA256 []byte
	Version                   int // of the master key
}

// Destroyed reads what is left of a destroyed key; ErrNotFound if it was not.
func (s *Store) Destroyed(ctx context.Context, tx pgx.Tx, institution string, key KeyRef) (DestroyedKey, error) {
	var k DestroyedKey
	err := tx.QueryRow(ctx, `select commitment, wrapped_sha256, key_version from keys.destroyed
		where institution = $1 and complaint = $2 and part = $3 and generation = $4`, institution, key.Complaint, key.File, key.Generation).
		Scan(&k.Commitment, &k.WrappedSHA256, &k.Version)
	return k, Classify(err)
}

// Reason is a text of the register that is sealed under a complaint's key: why
// somebody asked for a grant or broke the glass.
type Reason struct {
	Grant  bool // people.access_grant, else people.break_glass
	ID     string
	Sealed []byte
}

// Reasons reads the reasons of a complaint's grants and emergency accesses and
// keeps others from changing them until tx ends.
func (s *Store) Reasons(ctx context.Context, tx pgx.Tx, institution, id string) ([]Reason, error) {
	var list []Reason
	batch := &pgx.Batch{}
	for _, grant := range []bool{true, false} {
		batch.Queue(`select id::text, reason_sealed from `+reasonTable(grant)+` where institution = $1 and complaint = $2 for update`, institution, id).
			Query(func(rows pgx.Rows) error {
				more, err := pgx.CollectRows(rows, func(row pgx.CollectableRow) (Reason, error) {
					r := Reason{Grant: grant}
					return r, row.Scan(&r.ID, &r.Sealed)
				})
				list = append(list, more...)
				return err
			})
	}
	return list, Classify(tx.SendBatch(ctx, batch).Close())
}

// SetReasons writes reasons that were sealed anew.
func (s *Store) SetReasons(ctx context.Context, tx pgx.Tx, institution string, list []Reason) error {
	batch := &pgx.Batch{}
	for _, r := range list {
		batch.Queue(`update `+reasonTable(r.Grant)+` set reason_sealed = $3 where institution = $1 and id = $2`, institution, r.ID, r.Sealed)
	}
	return Classify(tx.SendBatch(ctx, batch).Close())
}

func reasonTable(grant bool) string {
	if grant {
		return "people.access_grant"
	}
	return "people.break_glass"
}
