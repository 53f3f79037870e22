package store

import (
	"context"
	"strings"

	"github.com/jackc/pgx/v5"

	"github.com/sealtrail/sealtrail/audit"
)

// Suites is how many complaints that can be opened are sealed in each suite, by
// the rows and by the log. Both are of one snapshot.
type Suites struct{ Stored, Logged map[uint8]int64 }

// CompareSuites counts the rows and folds the log: which suite each complaint
// was recorded in, resealed to, and whether it was shredded. A progress figure
// is proved where both say the same. It reads the whole log.
func (s *Store) CompareSuites(ctx context.Context, institution string) (Suites, error) {
	found := Suites{Stored: map[uint8]int64{}, Logged: map[uint8]int64{}}
	err := pgx.BeginTxFunc(ctx, s.pool, pgx.TxOptions{IsoLevel: pgx.RepeatableRead, AccessMode: pgx.ReadOnly}, func(tx pgx.Tx) error {
		rows, err := tx.Query(ctx, countSuites, institution)
		if err != nil {
			return err
		}
		var suite int16
		var n int64
		if _, err = pgx.ForEachRow(rows, []any{&suite, &n}, func() error { found.Stored[uint8(suite)] = n; return nil }); err != nil {
			return err
		}
		rows, err = tx.Query(ctx, `select body from audit.entry where institution = $1 and subject like 'complaint:%'
			and (position('"kind":"complaint.recorded"'::bytea in body) > 0 or position('"kind":"record.resealed"'::bytea in body) > 0
				or position('"kind":"erasure.shredded"'::bytea in body) > 0) order by id`, institution)
		if err != nil {
			return err
		}
		f := suiteFold{}
		var body []byte
		if _, err = pgx.ForEachRow(rows, []any{&body}, func() error { f.add(body); return nil }); err != nil {
			return err
		}
		for _, suite := range f {
			found.Logged[suite]++
		}
		return nil
	})
	return found, Classify(err)
}

// suiteFold is the suite of each complaint that was not shredded.
type suiteFold map[string]uint8

// add takes up one more entry, the oldest first. Those that cannot be read are
// the business of pglog.Check.
func (f suiteFold) add(body []byte) {
	b, err := audit.ParseBody(body)
	if err != nil || b.Stage != audit.StageEvent {
		return
	}
	id := strings.TrimPrefix(b.Subject, "complaint:")
	switch b.Kind {
	case "complaint.recorded":
		f[id] = 1 // before there were suites
		if suite, ok := b.Facts.Int("suite"); ok {
			f[id] = uint8(suite)
		}
	case "record.resealed":
		suite, _ := b.Facts.Int("suite_to")
		f[id] = uint8(suite)
	case "erasure.shredded":
		delete(f, id)
	}
}
