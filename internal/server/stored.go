package server

import (
	"context"
	"io/fs"

	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/sealtrail/sealtrail/audit/pglog"
	"github.com/sealtrail/sealtrail/internal/store"
)

// Codes of a complaint that is not what the log last said.
const (
	foundStale = "rolled_back" // of that revision, but sealed otherwise; or the log knows no such complaint
	foundLost  = "lost"        // older than the log says, or not there
)

// CheckStored compares what PostgreSQL holds with what is published, and each
// complaint with what the log last said of it. A nil slice means that
// everything agrees.
func CheckStored(ctx context.Context, pool *pgxpool.Pool, institution string, published fs.FS) ([]pglog.Finding, error) {
	found, err := pglog.Check(ctx, pool, institution, published)
	if err != nil {
		return nil, err
	}
	return withRecords(ctx, pool, institution, found)
}

// withRecords adds the complaints that are not what the log last said.
func withRecords(ctx context.Context, pool *pgxpool.Pool, institution string, found []pglog.Finding) ([]pglog.Finding, error) {
	stale, err := store.CheckRevisions(ctx, pool, institution)
	if err != nil {
		return nil, err
	}
	for _, s := range stale {
		found = append(found, staleFinding(s))
	}
	return found, nil
}
