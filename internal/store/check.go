package store

import (
	"context"
	"fmt"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
)

// Stale is a complaint whose row is not what the log last said of it.
type Stale struct {
	Complaint string
	Revision  uint64 // of the row; 0 if there is none
	Logged    uint64 // newest revision in the log; 0 if there is none
	Entry     uint64 // the entry that says so; 0 if there is none
}

func (s Stale) String() string {
	return fmt.Sprintf("sealtrail.complaint of entry %d: rolled_back: complaint %s is at revision %d, the log says %d", s.Entry, s.Complaint, s.Revision, s.Logged)
}

// maxStale bounds the list: whoever restores yesterday's tables need not fill
// the memory of the one who looks.
const maxStale = 1000

// staleSQL compares each row with the entries of its changes, which name
// revision and digest of the manifest. A row that was put back to an older state
// as a whole verifies by itself; only the log knows better. Two manifests of one
// revision are the trace of a change that was made from such a row.
// The audit log's tables are only read here, and only for this comparison: both
// sides must come from one snapshot.
const staleSQL = `with said as (
	select e.subject, (b.body->>'revision')::bigint as revision, b.body->'commit'->>'manifest' as manifest, max(e.id) as id
	from audit.entry e cross join lateral (select convert_from(e.body, 'UTF8')::jsonb as body) b
	where e.institution = $1 and e.subject like 'complaint:%' and convert_from(e.body, 'UTF8') like '%"manifest":%'
		and b.body->'commit' ? 'manifest' and b.body ? 'revision'
	group by 1, 2, 3
), newest as (
	select distinct on (subject) subject, revision, manifest, id from said order by subject, revision desc, id desc
), twice as (
	select subject, max(id) as id from said group by subject, revision having count(*) > 1
), mine as (
	select 'complaint:' || id as subject, revision, encode(sha256(manifest), 'hex') as manifest from sealtrail.complaint where institution = $1
)
select substr(coalesce(m.subject, n.subject), 11), coalesce(m.revision, 0), coalesce(n.revision, 0), coalesce(t.id, n.id, 0)
from mine m full join newest n on n.subject = m.subject left join twice t on t.subject = n.subject
where m.subject is null or n.subject is null or t.subject is not null or m.revision <> n.revision or m.manifest <> n.manifest
order by 1 limit $2`

// CheckRevisions names, at most 1,000, complaints that are not at the revision,
// or have not the manifest, that the log last recorded. It reads the whole log:
// about 10 s for a million entries.
func CheckRevisions(ctx context.Context, pool *pgxpool.Pool, institution string) ([]Stale, error) {
	rows, err := pool.Query(ctx, staleSQL, institution, maxStale)
	if err != nil {
		return nil, Classify(err)
	}
	list, err := pgx.CollectRows(rows, func(row pgx.CollectableRow) (s Stale, err error) {
		return s, row.Scan(&s.Complaint, &s.Revision, &s.Logged, &s.Entry)
	})
	return list, Classify(err)
}
