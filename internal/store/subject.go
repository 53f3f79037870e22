package store

import (
	"context"
	"errors"
	"sync"
	"time"

	"github.com/jackc/pgx/v5"
)

// selectSubject reads the facts of one person at one instant, the epoch of the
// register that they belong to, and the first instant at which time alone
// changes them.
const selectSubject = `select p.kind, p.department, p.status, p.staff_bidx,
	(select coalesce(jsonb_agg(jsonb_build_object('id', d.id, 'role', d.role, 'level', d.level, 'department', d.department,
		'until', d.valid_until)), '[]')
		from people.duty d where d.institution = $1 and d.person = $2 and d.confirmed_by is not null
		and d.ended_at is null and d.valid_from <= $3 and d.valid_until > $3),
	(select max(t.valid_until) from people.training t where t.institution = $1 and t.person = $2 and t.course = 'confidentiality'),
	exists (select from people.undertaking u join people.requirement r on r.institution = u.institution
		and r.name = 'undertaking_version' and r.value = u.version where u.institution = $1 and u.person = $2),
	coalesce((select b.reveals from people.budget b where b.institution = $1 and b.person = $2 and b.hour = date_trunc('hour', $3::timestamptz)), 0),
	coalesce((select r.value::int from people.requirement r where r.institution = $1 and r.name = 'reveals_per_hour'), 0),
	(select coalesce(jsonb_agg(jsonb_build_object('id', g.id, 'complaint', g.complaint, 'purpose', g.purpose, 'groups', g.groups,
		'from', g.valid_from, 'until', g.valid_until)), '[]')
		from people.access_grant g where g.institution = $1 and g.requester = $2 and g.state = 'issued' and g.valid_until > $3),
	(select coalesce(jsonb_agg(jsonb_build_object('id', g.id, 'complaint', g.complaint, 'from', g.opened_at, 'until', g.valid_until)), '[]')
		from people.break_glass g where g.institution = $1 and g.person = $2 and g.closed_at is null and g.valid_until > $3),
	exists (select from people.break_glass g where g.institution = $1 and g.person = $2 and g.reviewed_at is null
		and coalesce(g.closed_at, g.valid_until) < $3::timestamptz - interval '` + reviewWithin + `')
	, coalesce((select e.n from people.epoch e where e.institution = $1), 0),
	least(date_trunc('hour', $3::timestamptz) + interval '1 hour',
		(select min(d.valid_from) from people.duty d where d.institution = $1 and d.person = $2 and d.valid_from > $3),
		(select min(d.valid_until) from people.duty d where d.institution = $1 and d.person = $2 and d.valid_until > $3),
		(select min(g.valid_until) from people.access_grant g where g.institution = $1 and g.requester = $2 and g.valid_until > $3),
		(select min(g.valid_until) from people.break_glass g where g.institution = $1 and g.person = $2 and g.valid_until > $3),
		(select min(coalesce(g.closed_at, g.valid_until) + interval '` + reviewWithin + `') from people.break_glass g
			where g.institution = $1 and g.person = $2 and coalesce(g.closed_at, g.valid_until) + interval '` + reviewWithin + `' >= $3))
	from people.person p where p.institution = $1 and p.id = $2`

// selectEpoch is the register's present epoch.
const selectEpoch = "select coalesce((select e.n from people.epoch e where e.institution = $1), 0)"

// remembered is a person's facts with what they are true by: the register's
// epoch and the time until which no instant passes that changes them.
type remembered struct {
	subject     *Subject
	epoch       int64
	from, until time.Time
}

// at reports whether the facts hold at an instant in an epoch.
func (r *remembered) at(epoch int64, t time.Time) bool {
	return r.epoch == epoch && !t.Before(r.from) && t.Before(r.until)
}

const (
	// maxRemembered bounds the facts kept: about 5 MB at 500 bytes each.
	maxRemembered = 10_000
	// rememberFor bounds how long facts are believed even if the epoch stands
	// still: somebody who writes past the triggers is noticed after it.
	rememberFor = 5 * time.Second
)

// subjectKey is one person of one institution.
type subjectKey struct{ institution, person string }

// subjects remembers the facts of persons who act again and again. Nothing in
// it can be stale: it is used only under the epoch that the database names in
// the same request. The zero value is ready; safe for concurrent use.
type subjects struct {
	mu sync.RWMutex
	m  map[subjectKey]*remembered
}

func (c *subjects) get(k subjectKey) *remembered {
	c.mu.RLock()
	defer c.mu.RUnlock()
	return c.m[k]
}

func (c *subjects) put(k subjectKey, r *remembered) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.m == nil {
		c.m = map[subjectKey]*remembered{}
	}
	if _, known := c.m[k]; !known && len(c.m) >= maxRemembered {
		for other := range c.m { // any one: map order is random
			delete(c.m, other)
			break
		}
	}
	c.m[k] = r
}

// queueSubject reads a person's facts as a statement of batch and remembers
// them.
func (s *Store) queueSubject(batch *pgx.Batch, k subjectKey, at time.Time, into **Subject) {
	batch.Queue(selectSubject, k.institution, k.person, at).QueryRow(func(row pgx.Row) error {
		r := &remembered{subject: &Subject{}, from: at}
		f := r.subject
		err := row.Scan(&f.Kind, &f.Department, &f.Status, &f.StaffToken, &f.Duties, &f.TrainedUntil, &f.Undertaken,
			&f.RevealsThisHour, &f.RevealsPerHour, &f.Grants, &f.BreakGlass, &f.ReviewOverdue, &r.epoch, &r.until)
		if err != nil {
			return ignoreMissing(err)
		}
		if last := at.Add(rememberFor); last.Before(r.until) {
			r.until = last
		}
		*into = f
		s.subjects.put(k, r)
		return nil
	})
}

// readSubject reads a person's facts in a round trip of its own.
func (s *Store) readSubject(ctx context.Context, k subjectKey, at time.Time) (*Subject, error) {
	batch := &pgx.Batch{}
	var subject *Subject
	s.queueSubject(batch, k, at, &subject)
	return subject, Classify(s.pool.SendBatch(ctx, batch).Close())
}

// Subject reads the facts of one person; nil if the register does not know her.
// The result is shared between callers and MUST NOT be altered. Its count of
// reveals may lag behind: SpendReveal has the last word.
func (s *Store) Subject(ctx context.Context, institution, person string, at time.Time) (*Subject, error) {
	k := subjectKey{institution, person}
	r := s.subjects.get(k)
	if r == nil || !r.at(r.epoch, at) {
		return s.readSubject(ctx, k, at)
	}
	var epoch int64
	if err := s.pool.QueryRow(ctx, selectEpoch, institution).Scan(&epoch); err != nil {
		return nil, Classify(err)
	}
	if r.at(epoch, at) {
		return r.subject, nil
	}
	return s.readSubject(ctx, k, at)
}

// ignoreMissing makes no row no error.
func ignoreMissing(err error) error {
	if errors.Is(err, pgx.ErrNoRows) {
		return nil
	}
	return err
}
