package store

import (
	"context"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/sealtrail/sealtrail/audit"
)

// Population is what rows and log say of which complaints there are, from one
// snapshot.
type Population struct {
	Rows     map[string]string // state by complaint
	Recorded map[string]Filed  // complaints that the log says were recorded
	Shredded map[string]bool   // complaints that the log says were erased, by their key
	Reported map[SourceDay]int // what source systems said last
	Told     map[Difference]bool
}

// Filed is where and when a complaint came in, by the log.
type Filed struct {
	Source   string
	Received time.Time
}

// SourceDay is a day (YYYY-MM-DD, China's) of a source system.
type SourceDay struct{ Source, Day string }

// Difference is one that the log has already. Reported is -1 but for counts.
type Difference struct {
	What, Subject, Source, Day string
	Received, Reported         int64
}

// ReadPopulation reads the whole log and every complaint's id and state in one
// snapshot. It changes nothing. Entries that cannot be read are the business of
// pglog.Check.
func (s *Store) ReadPopulation(ctx context.Context, institution string) (*Population, error) {
	p := &Population{Rows: map[string]string{}, Recorded: map[string]Filed{}, Shredded: map[string]bool{}, Reported: map[SourceDay]int{}, Told: map[Difference]bool{}}
	err := pgx.BeginTxFunc(ctx, s.pool, pgx.TxOptions{IsoLevel: pgx.RepeatableRead, AccessMode: pgx.ReadOnly}, func(tx pgx.Tx) error {
		rows, err := tx.Query(ctx, `select id::text, state from sealtrail.complaint where institution = $1`, institution)
		if err != nil {
			return err
		}
		var id, state string
		if _, err := pgx.ForEachRow(rows, []any{&id, &state}, func() error { p.Rows[id] = state; return nil }); err != nil {
			return err
		}
		rows, err = tx.Query(ctx, `select body from audit.entry where institution = $1
			and (position('"kind":"complaint.recorded"'::bytea in body) > 0 or position('"kind":"erasure.shredded"'::bytea in body) > 0
				or position('"kind":"source.reported"'::bytea in body) > 0 or position('"kind":"population.difference"'::bytea in body) > 0)
			order by id`, institution)
		if err != nil {
			return err
		}
		var body []byte
		_, err = pgx.ForEachRow(rows, []any{&body}, func() error { p.take(body); return nil })
		return err
	})
	return p, Classify(err)
}

func (p *Population) take(raw []byte) {
	b, err := audit.ParseBody(raw)
	if err != nil || b.Stage != audit.StageEvent {
		return
	}
	text := func(name string) string { s, _ := b.Facts.Text(name); return s }
	number := func(name string) int64 {
		n, ok := b.Facts.Int(name)
		if !ok {
			return -1
		}
		return n
	}
	complaint, _ := strings.CutPrefix(b.Subject, "complaint:")
	switch b.Kind {
	case "complaint.recorded":
		at, err := time.Parse(time.RFC3339Nano, text("received_at"))
		if err != nil {
			at = b.At
		}
		p.Recorded[complaint] = Filed{text("source"), at}
	case "erasure.shredded":
		p.Shredded[complaint] = true
	case "source.reported":
		p.Reported[SourceDay{text("source"), text("day")}] = int(max(0, number("reported")))
	case "population.difference":
		p.Told[Difference{text("what"), b.Subject, text("source"), text("day"), number("received"), number("reported")}] = true
	}
}

// ClaimNight marks a nightly job as done by the caller, unless somebody has
// marked this night before.
func (s *Store) ClaimNight(ctx context.Context, institution, job, night string) (bool, error) {
	tag, err := s.pool.Exec(ctx, `insert into jobs.progress as p (institution, job, run, target, cursor, done, total, failed, state, started_at, updated_at)
		values ($1, $2, gen_random_uuid(), $3, '', 0, 0, 0, 'finished', clock_timestamp(), clock_timestamp())
		on conflict (institution, job) do update set target = excluded.target, run = excluded.run, updated_at = excluded.updated_at
		where p.target < excluded.target`, institution, job, night)
	return tag.RowsAffected() > 0, Classify(err)
}
