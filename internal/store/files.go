package store

import (
	"context"
	"errors"

	"github.com/jackc/pgx/v5"
)

// FileRef names one sealed file of a complaint.
type FileRef struct {
	Complaint, File string
	Generation      uint32
}

// InsertFileKey stores the wrapped key of a file, in the transaction that lists
// the file in its complaint.
func (s *Store) InsertFileKey(ctx context.Context, tx pgx.Tx, institution string, f FileRef, k Wrapped) error {
	_, err := tx.Exec(ctx, `insert into keys.wrapped_file (institution, complaint, file, generation, wrapped, commitment, key_version)
		values ($1, $2, $3, $4, $5, $6, $7)`, institution, f.Complaint, f.File, f.Generation, k.Blob, k.Commitment, k.Version)
	return Classify(err)
}

// FileKey returns the wrapped key of a file; nil if there is none.
func (s *Store) FileKey(ctx context.Context, institution string, f FileRef) (*Wrapped, error) {
	var k Wrapped
	err := s.pool.QueryRow(ctx, `select wrapped, commitment, key_version from keys.wrapped_file
		where institution = $1 and complaint = $2 and file = $3 and generation = $4`, institution, f.Complaint, f.File, f.Generation).
		Scan(&k.Blob, &k.Commitment, &k.Version)
	if errors.Is(err, pgx.ErrNoRows) {
		return nil, nil
	}
	if err != nil {
		return nil, Classify(err)
	}
	return &k, nil
}

// Orphans returns those of the files, by position, that nothing refers to: no
// wrapped key and no complaint's list, or a key that was destroyed by an
// erasure. A file whose key is merely lost is none: it is a finding.
func (s *Store) Orphans(ctx context.Context, institution string, files []FileRef) ([]int, error) {
	complaints, ids, generations := make([]string, len(files)), make([]string, len(files)), make([]int64, len(files))
	for i, f := range files {
		complaints[i], ids[i], generations[i] = f.Complaint, f.File, int64(f.Generation)
	}
	rows, err := s.pool.Query(ctx, `select t.n - 1 from unnest($2::uuid[], $3::uuid[], $4::bigint[]) with ordinality as t (complaint, file, generation, n)
		where not exists (select from keys.wrapped_file w
			where w.institution = $1 and w.complaint = t.complaint and w.file = t.file and w.generation = t.generation)
		and (not exists (select from sealtrail.complaint c where c.institution = $1 and c.id = t.complaint
				and c.files @> jsonb_build_array(jsonb_build_object('id', t.file::text)))
			or exists (select from keys.destroyed d where d.institution = $1 and d.complaint = t.complaint
				and d.part in ('', t.file::text) and d.why = 'shred'))
		order by t.n`, institution, complaints, ids, generations)
	if err != nil {
		return nil, Classify(err)
	}
	found, err := pgx.CollectRows(rows, pgx.RowTo[int])
	return found, Classify(err)
}
