package pglog

import (
	"context"
	"io/fs"
	"maps"
	"slices"

	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/sealtrail/sealtrail/audit"
)

// Checker checks one log again and again, as [Check] does, and can go on from where it was: what it found published and unchanged
// it does not hash again until the next whole check. It remembers a tree's edge for each year and nothing of any entry. Not safe
// for concurrent use.
type Checker struct {
	pool        *pgxpool.Pool
	institution string
	published   fs.FS

	from   map[int]*audit.Tree // nil: the next check is a whole one
	fromID uint64
}

// NewChecker returns a Checker whose first check is a whole one. For the arguments see [Check].
func NewChecker(pool *pgxpool.Pool, institution string, published fs.FS) *Checker {
	return &Checker{pool: pool, institution: institution, published: published}
}

// Looked says how far a check looked.
type Looked struct {
	Whole  bool
	From   uint64 // first leaf of the newest log that was hashed; 0 for a whole check
	Leaves uint64 // that were hashed, in all logs
}

// Whole checks everything.
func (c *Checker) Whole(ctx context.Context) (Looked, []Finding, error) {
	c.from = nil
	return c.Check(ctx)
}

// Check checks what came since the last check without findings: leaves that were not published then, with bodies, hashes, trees,
// checkpoints, published bundles and the heads of their trails; and all pending entries and aliases. What was changed before that
// is for the next whole check to find, which this one is if there was none without findings before.
func (c *Checker) Check(ctx context.Context) (Looked, []Finding, error) {
	run := newChecker(c.institution, c.published)
	run.from, run.fromID, run.lastID = c.from, c.fromID, c.fromID
	looked := Looked{Whole: c.from == nil}
	if !looked.Whole && len(c.from) > 0 {
		looked.From = c.from[slices.Max(slices.Collect(maps.Keys(c.from)))].Size()
	}
	err := run.run(ctx, c.pool)
	looked.Leaves = run.looked
	if err != nil || len(run.found) > 0 {
		c.from = nil
		return looked, run.found, err
	}
	c.from, c.fromID = run.reached, run.lastID
	return looked, nil, nil
}

// met lists the trails that this check met.
func (c *checker) met() []string { return slices.Collect(maps.Keys(c.trails)) }
