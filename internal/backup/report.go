package backup

import (
	"context"
	"fmt"

	"github.com/jackc/pgx/v5"
)

// Report says of one institution what a database can still open, after a restore
// from parts of different age. The counts are of records.
type Report struct {
	Institution string `json:"institution"`
	Records     int64  `json:"records"`
	// Readable have their wrapped key. Whether Vault still unwraps its version,
	// only Vault knows: see KeyVersions.
	Readable int64 `json:"readable"`
	// Erased were shredded: their keys were destroyed on purpose.
	Erased int64 `json:"erased"`
	// Superseded are older than a reseal: the key of their generation is gone and
	// a newer one is there. A newer backup of the data has them.
	Superseded int64 `json:"superseded"`
	// Lost have no key, and nobody destroyed it.
	Lost int64 `json:"lost"`
	// Orphans are keys of records that this database has not.
	Orphans int64 `json:"orphans"`
	// Stale are records older than the log says; they are refused when read.
	Stale int64 `json:"stale"`
	// OldestKeyVersion of the readable records; 0 if there is none.
	OldestKeyVersion int64 `json:"oldest_key_version"`
}

// Reports looks at every institution of a database.
func Reports(ctx context.Context, conn *pgx.Conn) ([]Report, error) {
	rows, err := conn.Query(ctx, `
		with record as (
			select c.institution, c.id, c.state,
				w.key_version,
				exists (select from keys.destroyed d where d.institution = c.institution and d.complaint = c.id and d.part = '' and d.why = 'shred') as shredded,
				exists (select from keys.destroyed d where d.institution = c.institution and d.complaint = c.id and d.part = ''
					and d.generation = c.generation and d.why = 'generation') as superseded,
				coalesce(c.revision < t.revision or c.revision = t.revision and sha256(c.manifest) <> t.state, false) as stale
			from sealtrail.complaint c
			left join keys.wrapped w on w.institution = c.institution and w.complaint = c.id and w.generation = c.generation
			left join audit.trail t on t.institution = c.institution and t.subject = 'complaint:' || c.id
		), orphan as (
			select w.institution, count(*) as n from keys.wrapped w
			where not exists (select from sealtrail.complaint c where c.institution = w.institution and c.id = w.complaint) group by 1
		)
		select r.institution, count(*), count(r.key_version),
			count(*) filter (where r.key_version is null and (r.shredded or r.state = 'erased')),
			count(*) filter (where r.key_version is null and not r.shredded and r.state <> 'erased' and r.superseded),
			count(*) filter (where r.key_version is null and not r.shredded and r.state <> 'erased' and not r.superseded),
			coalesce(max(o.n), 0), count(*) filter (where r.stale), coalesce(min(r.key_version), 0)
		from record r left join orphan o using (institution) group by 1 order by 1`)
	if err != nil {
		return nil, fmt.Errorf("looking at what can be opened: %w", err)
	}
	list, err := pgx.CollectRows(rows, pgx.RowToStructByPos[Report])
	if err != nil {
		return nil, fmt.Errorf("looking at what can be opened: %w", err)
	}
	return list, nil
}
