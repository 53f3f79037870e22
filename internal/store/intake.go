package store

import (
	"context"
	"encoding/hex"
	"time"

	"github.com/jackc/pgx/v5"
)

// IntakeKey is a row of keys.intake: a key pair of sealed intake, the private
// half as a wrapped key.
type IntakeKey struct {
	Institution string
	Version     uint32
	Public      []byte // as it is published
	Key         Wrapped
	CreatedAt   time.Time
	RetiredAt   *time.Time
}

const selectIntakeKey = `select institution, version, public, wrapped, commitment, key_version, created_at, retired_at from keys.intake `

func scanIntakeKey(row pgx.CollectableRow) (*IntakeKey, error) {
	k := &IntakeKey{}
	return k, row.Scan(&k.Institution, &k.Version, &k.Public, &k.Key.Blob, &k.Key.Commitment, &k.Key.Version, &k.CreatedAt, &k.RetiredAt)
}

// IntakeKeys lists the key pairs, the newest first; without any the list is empty.
func (s *Store) IntakeKeys(ctx context.Context, institution string) ([]*IntakeKey, error) {
	rows, err := s.pool.Query(ctx, selectIntakeKey+`where institution = $1 order by version desc`, institution)
	if err != nil {
		return nil, Classify(err)
	}
	list, err := pgx.CollectRows(rows, scanIntakeKey)
	return list, Classify(err)
}

// InsertIntakeKey stores a new key pair and retires those before it, which go on
// opening what was sealed to them. ErrDuplicate if the version is taken.
func (s *Store) InsertIntakeKey(ctx context.Context, tx pgx.Tx, k *IntakeKey) error {
	if _, err := tx.Exec(ctx, `update keys.intake set retired_at = $3 where institution = $1 and version < $2 and retired_at is null`,
		k.Institution, k.Version, k.CreatedAt); err != nil {
		return Classify(err)
	}
	_, err := tx.Exec(ctx, `insert into keys.intake (institution, version, public, wrapped, commitment, key_version, created_at)
		values ($1, $2, $3, $4, $5, $6, $7)`, k.Institution, k.Version, k.Public, k.Key.Blob, k.Key.Commitment, k.Key.Version, k.CreatedAt)
	return Classify(err)
}

// SealedIntake is a row of sealtrail.sealed_intake.
type SealedIntake struct {
	Institution          string
	EnvelopeSHA256       [32]byte
	Complaint            string
	SealedAt, IngestedAt time.Time
}

// InsertSealed notes which envelope became which complaint. ErrDuplicate if the
// envelope was brought in before.
func (s *Store) InsertSealed(ctx context.Context, tx pgx.Tx, list []SealedIntake) error {
	if len(list) == 0 {
		return nil
	}
	rows := pgx.CopyFromSlice(len(list), func(i int) ([]any, error) {
		x := list[i]
		return []any{x.Institution, x.EnvelopeSHA256[:], x.Complaint, x.SealedAt, x.IngestedAt}, nil
	})
	_, err := tx.CopyFrom(ctx, pgx.Identifier{"sealtrail", "sealed_intake"},
		[]string{"institution", "envelope_sha256", "complaint", "sealed_at", "ingested_at"}, rows)
	return Classify(err)
}

// SealedBefore returns which of the envelopes became which complaint.
func (s *Store) SealedBefore(ctx context.Context, institution string, envelopes [][32]byte) (map[[32]byte]string, error) {
	sums := make([][]byte, len(envelopes))
	for i := range envelopes {
		sums[i] = envelopes[i][:]
	}
	rows, err := s.pool.Query(ctx, `select encode(envelope_sha256, 'hex'), complaint from sealtrail.sealed_intake
		where institution = $1 and envelope_sha256 = any($2) and complaint is not null`, institution, sums)
	if err != nil {
		return nil, Classify(err)
	}
	found := map[[32]byte]string{}
	var sum, complaint string
	_, err = pgx.ForEachRow(rows, []any{&sum, &complaint}, func() error {
		raw, err := hex.DecodeString(sum)
		if err == nil && len(raw) == 32 {
			found[[32]byte(raw)] = complaint
		}
		return err
	})
	return found, Classify(err)
}
