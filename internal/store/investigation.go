package store

import (
	"context"
	"time"

	"github.com/jackc/pgx/v5"
)

// Investigation is a row of people.investigation: what an auditor reads about
// these persons and complaints is left out of others' views until it ends.
type Investigation struct {
	Institution, ID string
	Persons         []string
	Complaints      []string
	Salt            []byte // opens the commitment to the subjects
	Reason          string
	RequestedBy     string
	RequestedAt     time.Time
	Until           time.Time
	DecidedBy       *string
	DecidedAt       *time.Time
	ClosedAt        *time.Time
	State           string
	Entry           uint64 // of the request
}

// States of an investigation.
const (
	InvestigationRequested = "requested"
	InvestigationApproved  = "approved"
	InvestigationRefused   = "refused"
	InvestigationClosed    = "closed"
)

const selectInvestigation = `select institution, id, persons, complaints, salt, reason, requested_by, requested_at, until, decided_by, decided_at,
	closed_at, state, entry from people.investigation where institution = $1`

func scanInvestigation(row pgx.CollectableRow) (*Investigation, error) {
	x := &Investigation{}
	err := row.Scan(&x.Institution, &x.ID, &x.Persons, &x.Complaints, &x.Salt, &x.Reason, &x.RequestedBy, &x.RequestedAt, &x.Until,
		&x.DecidedBy, &x.DecidedAt, &x.ClosedAt, &x.State, &x.Entry)
	return x, err
}

// InsertInvestigation stores a request.
func (s *Store) InsertInvestigation(ctx context.Context, tx pgx.Tx, x *Investigation) error {
	_, err := tx.Exec(ctx, `insert into people.investigation (institution, id, persons, complaints, salt, reason, requested_by, requested_at, until, state, entry)
		values ($1, $2, $3, $4, $5, $6, $7, $8, $9, 'requested', $10)`,
		x.Institution, x.ID, x.Persons, x.Complaints, x.Salt, x.Reason, x.RequestedBy, x.RequestedAt, x.Until, int64(x.Entry))
	return Classify(err)
}

// Investigation reads one; ErrNotFound if there is none.
func (s *Store) Investigation(ctx context.Context, institution, id string) (*Investigation, error) {
	rows, err := s.pool.Query(ctx, selectInvestigation+` and id = $2`, institution, id)
	if err != nil {
		return nil, Classify(err)
	}
	x, err := pgx.CollectExactlyOneRow(rows, scanInvestigation)
	return x, Classify(err)
}

// LockInvestigation reads one for change.
func (s *Store) LockInvestigation(ctx context.Context, tx pgx.Tx, institution, id string) (*Investigation, error) {
	rows, err := tx.Query(ctx, selectInvestigation+` and id = $2 for no key update`, institution, id)
	if err != nil {
		return nil, Classify(err)
	}
	x, err := pgx.CollectExactlyOneRow(rows, scanInvestigation)
	return x, Classify(err)
}

// Investigations lists those in a state, or all if it is empty, the newest
// first, at most 500.
func (s *Store) Investigations(ctx context.Context, institution, state string) ([]*Investigation, error) {
	rows, err := s.pool.Query(ctx, selectInvestigation+` and ($2 = '' or state = $2) order by requested_at desc, id limit 500`, institution, state)
	if err != nil {
		return nil, Classify(err)
	}
	list, err := pgx.CollectRows(rows, scanInvestigation)
	return list, Classify(err)
}

// SetInvestigation writes what was decided, or that it ended.
func (s *Store) SetInvestigation(ctx context.Context, tx pgx.Tx, x *Investigation) error {
	tag, err := tx.Exec(ctx, `update people.investigation set decided_by = $3, decided_at = $4, closed_at = $5, state = $6 where institution = $1 and id = $2`,
		x.Institution, x.ID, x.DecidedBy, x.DecidedAt, x.ClosedAt, x.State)
	return missing(tag.RowsAffected(), err)
}

// LogQuery is a search of the log that a person keeps for herself.
type LogQuery struct {
	Institution, ID, Person, Name, Text string
	SavedAt                             time.Time
}

// maxLogQueries is how many searches one person may keep.
const maxLogQueries = 100

// InsertLogQuery keeps a search; ErrDuplicate if the person has one of that
// name, or has too many.
func (s *Store) InsertLogQuery(ctx context.Context, tx pgx.Tx, q LogQuery) error {
	tag, err := tx.Exec(ctx, `insert into people.log_query (institution, id, person, name, text, saved_at)
		select $1, $2, $3, $4, $5, $6 where (select count(*) from people.log_query where institution = $1 and person = $3) < $7`,
		q.Institution, q.ID, q.Person, q.Name, q.Text, q.SavedAt, maxLogQueries)
	if err == nil && tag.RowsAffected() == 0 {
		return ErrDuplicate
	}
	return Classify(err)
}

// LogQueries lists a person's searches by name.
func (s *Store) LogQueries(ctx context.Context, institution, person string) ([]LogQuery, error) {
	rows, err := s.pool.Query(ctx, `select institution, id, person, name, text, saved_at from people.log_query where institution = $1 and person = $2 order by name`,
		institution, person)
	if err != nil {
		return nil, Classify(err)
	}
	list, err := pgx.CollectRows(rows, pgx.RowToStructByPos[LogQuery])
	return list, Classify(err)
}

// DeleteLogQuery forgets a search of that person; ErrNotFound if she has none of
// that id.
func (s *Store) DeleteLogQuery(ctx context.Context, tx pgx.Tx, institution, person, id string) error {
	tag, err := tx.Exec(ctx, `delete from people.log_query where institution = $1 and person = $2 and id = $3`, institution, person, id)
	return missing(tag.RowsAffected(), err)
}

// Implicating lists the complaints that name a staff token as respondent's, by
// the index of any epoch.
func (s *Store) Implicating(ctx context.Context, institution string, staffToken []byte) ([]string, error) {
	// The epochs are few, and with them the primary key serves.
	return s.ids(ctx, `select distinct complaint::text from sealtrail.blind_index where institution = $1 and field = 'respondent_staff_id' and token = $2
		and epoch = any(array(select generate_series(1, greatest(1, (select max(epoch) from keys.index_epoch e where e.institution = $1)))))`, institution, staffToken)
}
