package pglog

import (
	"context"
	"errors"
	"fmt"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/sealtrail/sealtrail/audit"
)

// HeadsSnapshot is the end of every trail of an institution, of all its logs, as of exactly Size entries of the log that was open.
type HeadsSnapshot struct {
	Shard Shard
	Size  uint64
	File  audit.HeadFile
}

// SnapshotHeads reads the ends of all trails in one snapshot of the database, which the sequencer's one transaction per batch makes a
// snapshot at one tree size. Its memory is 72 bytes per trail, twice while it sorts. Without an open log the error wraps
// [ErrNotFound], else [ErrUnavailable].
func SnapshotHeads(ctx context.Context, pool *pgxpool.Pool, institution string) (*HeadsSnapshot, error) {
	var s HeadsSnapshot
	var heads []audit.Head
	opts := pgx.TxOptions{IsoLevel: pgx.RepeatableRead, AccessMode: pgx.ReadOnly}
	err := pgx.BeginTxFunc(ctx, pool, opts, func(tx pgx.Tx) (err error) {
		s.Shard.Institution = institution
		err = tx.QueryRow(ctx, `
			select l.year, l.origin, t.size
			from audit.log l join audit.tree t on t.institution = l.institution and t.year = l.year
			where l.institution = $1 and l.state = 'open'`, institution).Scan(&s.Shard.Year, &s.Shard.Origin, &s.Size)
		if err != nil {
			return err
		}
		heads, err = readHeads(ctx, tx, institution)
		return err
	})
	switch {
	case err == nil:
	case errors.Is(err, pgx.ErrNoRows):
		return nil, fmt.Errorf("reading the ends of trails: %w", ErrNotFound)
	default:
		return nil, unavailable("reading the ends of trails", err)
	}
	if s.File, err = audit.NewHeadFile(heads); err != nil {
		return nil, fmt.Errorf("reading the ends of trails: %w: %w", ErrTampered, err)
	}
	return &s, nil
}

// readHeads leaves out, as [audit.InHeads] does, what lives for one request: most rows of the table.
func readHeads(ctx context.Context, tx pgx.Tx, institution string) (heads []audit.Head, err error) {
	rows, err := tx.Query(ctx, `
		select subject, n, last_hash from audit.trail
		where institution = $1 and subject not like 'request:%' and subject not like 'query:%'`, institution)
	if err != nil {
		return nil, err
	}
	var subject string
	var n uint64
	var last []byte
	_, err = pgx.ForEachRow(rows, []any{&subject, &n, &last}, func() error {
		if !audit.InHeads(subject) || len(last) != audit.HashSize {
			return fmt.Errorf("audit.trail: %w", ErrTampered)
		}
		heads = append(heads, audit.Head{Key: audit.HeadKey(subject), N: n, Last: [32]byte(last)})
		return nil
	})
	return heads, err
}
