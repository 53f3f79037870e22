package server

import (
	"context"
	"fmt"
	"io/fs"

	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/sealtrail/sealtrail/audit/pglog"
	"github.com/sealtrail/sealtrail/internal/store"
)

// foundStale is the code of a complaint that is not what the log last said.
const foundStale = "rolled_back"

// CheckStored compares what PostgreSQL holds with what is published, and each
// complaint with what the log last said of it. A nil slice means that
// everything agrees.
func CheckStored(ctx context.Context, pool *pgxpool.Pool, institution string, published fs.FS) ([]pglog.Finding, error) {
	found, err := pglog.Check(ctx, pool, institution, published)
	if err != nil {
		return nil, err
	}
	stale, err := store.CheckRevisions(ctx, pool, institution)
	if err != nil {
		return nil, err
	}
	for _, s := range stale {
		found = append(found, pglog.Finding{Table: "sealtrail.complaint", Code: foundStale, ID: s.Entry, HasID: s.Entry > 0,
			Detail: fmt.Sprintf("complaint %s is at revision %d, the log's newest is %d", s.Complaint, s.Revision, s.Logged)})
	}
	return found, nil
}
