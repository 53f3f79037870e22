package store

import (
	"context"
	"time"

	"github.com/jackc/pgx/v5"
)

// Subject is everything the register knows about one person at one instant
// that a decision needs.
type Subject struct {
	Kind, Department, Status string
	StaffToken               []byte
	Duties                   []DutyFact
	TrainedUntil             *time.Time // nil: never trained
	Undertaken               bool       // the version in force is signed
	RevealsThisHour          int
	RevealsPerHour           int
	Grants                   []GrantFact
	BreakGlass               []BreakGlassFact
	ReviewOverdue            bool // an own break-glass that was not reviewed in time
}

// DutyFact is a confirmed appointment in force.
type DutyFact struct {
	ID         string    `json:"id"`
	Role       string    `json:"role"`
	Level      uint8     `json:"level"`
	Department string    `json:"department"`
	Until      time.Time `json:"until"`
}

// GrantFact is an issued access grant in force.
type GrantFact struct {
	ID        string    `json:"id"`
	Complaint string    `json:"complaint"`
	Purpose   string    `json:"purpose"`
	Groups    []string  `json:"groups"`
	From      time.Time `json:"from"`
	Until     time.Time `json:"until"`
}

// BreakGlassFact is an open emergency access.
type BreakGlassFact struct {
	ID        string    `json:"id"`
	Complaint string    `json:"complaint"`
	From      time.Time `json:"from"`
	Until     time.Time `json:"until"`
}

// reviewWithin is how long a closed break-glass may wait for its review before
// it narrows the requester's own decisions. Clock G-BREAK: 24 hours.
const reviewWithin = "24 hours"

// SpendReveal takes one reveal from the person's budget of this hour. It
// returns false, and takes nothing, when limit reveals are already spent; the
// count is right under concurrency because the row is.
func (s *Store) SpendReveal(ctx context.Context, institution, person string, at time.Time, limit int) (bool, error) {
	if limit <= 0 {
		return false, nil
	}
	tag, err := s.pool.Exec(ctx, `insert into people.budget as b (institution, person, hour, reveals)
		values ($1, $2, date_trunc('hour', $3::timestamptz), 1)
		on conflict (institution, person, hour) do update set reveals = b.reveals + 1 where b.reveals < $4`,
		institution, person, at, limit)
	if err != nil {
		return false, Classify(err)
	}
	return tag.RowsAffected() == 1, nil
}

// Person is a row of people.person.
type Person struct {
	Institution, ID, Kind, Department, Status string
	StaffToken                                []byte
}

// InsertPerson adds a person; ErrDuplicate if the id is taken.
func (s *Store) InsertPerson(ctx context.Context, tx pgx.Tx, p Person) error {
	_, err := tx.Exec(ctx, `insert into people.person (institution, id, kind, department, status, staff_bidx) values ($1, $2, $3, $4, $5, $6)`,
		p.Institution, p.ID, p.Kind, p.Department, p.Status, p.StaffToken)
	return Classify(err)
}

// SetPersonStatus changes a person's account state; ErrNotFound if unknown.
func (s *Store) SetPersonStatus(ctx context.Context, tx pgx.Tx, institution, id, status string) error {
	tag, err := tx.Exec(ctx, `update people.person set status = $3 where institution = $1 and id = $2`, institution, id, status)
	return missing(tag.RowsAffected(), err)
}

func missing(rows int64, err error) error {
	if err != nil {
		return Classify(err)
	}
	if rows == 0 {
		return ErrNotFound
	}
	return nil
}

// Duty is a row of people.duty.
type Duty struct {
	Institution, ID, Person, Role, Department, AppointedBy string
	Level                                                  uint8
	From, Until                                            time.Time
	ConfirmedBy                                            *string
	EndedAt                                                *time.Time
}

// InsertDuty stores an unconfirmed appointment.
func (s *Store) InsertDuty(ctx context.Context, tx pgx.Tx, d Duty) error {
	_, err := tx.Exec(ctx, `insert into people.duty (institution, id, person, role, level, department, valid_from, valid_until, appointed_by)
		values ($1, $2, $3, $4, $5, $6, $7, $8, $9)`,
		d.Institution, d.ID, d.Person, d.Role, int16(d.Level), d.Department, d.From, d.Until, d.AppointedBy)
	return Classify(err)
}

// LockDuty reads one appointment for change.
func (s *Store) LockDuty(ctx context.Context, tx pgx.Tx, institution, id string) (*Duty, error) {
	rows, err := tx.Query(ctx, selectDuty+` where institution = $1 and id = $2 for no key update`, institution, id)
	if err != nil {
		return nil, Classify(err)
	}
	duty, err := pgx.CollectExactlyOneRow(rows, scanDuty)
	return duty, Classify(err)
}

// Duties lists a person's appointments, newest first.
func (s *Store) Duties(ctx context.Context, institution, person string) ([]*Duty, error) {
	rows, err := s.pool.Query(ctx, selectDuty+` where institution = $1 and person = $2 order by valid_from desc, id`, institution, person)
	if err != nil {
		return nil, Classify(err)
	}
	list, err := pgx.CollectRows(rows, scanDuty)
	return list, Classify(err)
}

const selectDuty = `select institution, id, person, role, level, department, valid_from, valid_until, appointed_by, confirmed_by, ended_at from people.duty`

func scanDuty(row pgx.CollectableRow) (*Duty, error) {
	d := &Duty{}
	err := row.Scan(&d.Institution, &d.ID, &d.Person, &d.Role, &d.Level, &d.Department, &d.From, &d.Until, &d.AppointedBy, &d.ConfirmedBy, &d.EndedAt)
	return d, err
}

// ConfirmDuty puts an appointment in force.
func (s *Store) ConfirmDuty(ctx context.Context, tx pgx.Tx, institution, id, by string) error {
	tag, err := tx.Exec(ctx, `update people.duty set confirmed_by = $3 where institution = $1 and id = $2 and confirmed_by is null`, institution, id, by)
	return missing(tag.RowsAffected(), err)
}

// EndDuty ends an appointment at the time at.
func (s *Store) EndDuty(ctx context.Context, tx pgx.Tx, institution, id string, at time.Time) error {
	tag, err := tx.Exec(ctx, `update people.duty set ended_at = $3 where institution = $1 and id = $2 and ended_at is null`, institution, id, at)
	return missing(tag.RowsAffected(), err)
}

// InsertTraining stores a passed course.
func (s *Store) InsertTraining(ctx context.Context, tx pgx.Tx, institution, person, course, by string, passed, until time.Time, score int) error {
	_, err := tx.Exec(ctx, `insert into people.training (institution, person, course, passed_at, valid_until, score, recorded_by)
		values ($1, $2, $3, $4, $5, $6, $7)`, institution, person, course, passed, until, score, by)
	return Classify(err)
}

// InsertUndertaking stores a signed confidentiality undertaking.
func (s *Store) InsertUndertaking(ctx context.Context, tx pgx.Tx, institution, person, version string, at time.Time) error {
	_, err := tx.Exec(ctx, `insert into people.undertaking (institution, person, version, signed_at) values ($1, $2, $3, $4)`,
		institution, person, version, at)
	return Classify(err)
}

// Requirements reads the institution's own numbers by name.
func (s *Store) Requirements(ctx context.Context, institution string) (map[string]string, error) {
	rows, err := s.pool.Query(ctx, `select name, value from people.requirement where institution = $1`, institution)
	if err != nil {
		return nil, Classify(err)
	}
	found := map[string]string{}
	var name, value string
	_, err = pgx.ForEachRow(rows, []any{&name, &value}, func() error { found[name] = value; return nil })
	return found, Classify(err)
}

// AnyDuty reports whether anybody of the institution was ever appointed. It
// locks the register of duties against a second founder until tx ends.
func (s *Store) AnyDuty(ctx context.Context, tx pgx.Tx, institution string) (bool, error) {
	var any bool
	if _, err := tx.Exec(ctx, `select pg_advisory_xact_lock(hashtextextended('sealtrail.founding/' || $1, 0))`, institution); err != nil {
		return false, Classify(err)
	}
	err := tx.QueryRow(ctx, `select exists (select from people.duty where institution = $1)`, institution).Scan(&any)
	return any, Classify(err)
}

// SetRequirements writes an institution's own numbers with an operator's
// connection; the service itself may only read them. Names that exist are
// overwritten.
func SetRequirements(ctx context.Context, dsn, institution string, values map[string]string) error {
	conn, err := pgx.Connect(ctx, dsn)
	if err != nil {
		return Classify(err)
	}
	defer conn.Close(ctx)
	for name, value := range values {
		_, err := conn.Exec(ctx, `insert into people.requirement (institution, name, value) values ($1, $2, $3)
			on conflict (institution, name) do update set value = excluded.value`, institution, name, value)
		if err != nil {
			return Classify(err)
		}
	}
	return nil
}
