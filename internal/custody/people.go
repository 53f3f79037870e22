package custody

import (
	"context"
	"errors"
	"strconv"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/sealtrail/sealtrail/audit"
	"github.com/sealtrail/sealtrail/audit/pglog"
	"github.com/sealtrail/sealtrail/crypto/blindindex"
	"github.com/sealtrail/sealtrail/internal/complaint"
	"github.com/sealtrail/sealtrail/internal/intake"
	"github.com/sealtrail/sealtrail/internal/scrub"
	"github.com/sealtrail/sealtrail/internal/store"
)

// confidentialityCourse is the course without which no access is fit (R6).
const confidentialityCourse = "confidentiality"

// levels names the ranks of duties; complaint.LevelRank is its inverse.
var levels = [...]string{1: complaint.LevelGeneral, 2: complaint.LevelSerious, 3: complaint.LevelMajor}

// askPeople decides on an act on the register row of somebody who is in it.
// Whatever else is sent for an id, an identity number by mistake, is recorded
// as a commitment only: it gets no alias.
func (d *Door) askPeople(ctx context.Context, c Caller, person string) (*asked, string, error) {
	a, err := d.ask(ctx, c, question{action: "people", purpose: peoplePurpose, requester: person})
	if err != nil {
		return nil, "", err
	}
	facts, err := d.cfg.Store.Subject(ctx, d.cfg.Institution, person, a.at)
	if err != nil {
		return nil, "", storeError(err)
	}
	if facts == nil {
		a.id = person
		return nil, "", d.notFound(ctx, a)
	}
	return d.aliased(ctx, a, person)
}

// aliased adds the name under which the log knows a person.
func (d *Door) aliased(ctx context.Context, a *asked, person string) (*asked, string, error) {
	alias, err := d.cfg.Log.Alias(ctx, person)
	if err != nil {
		return nil, "", logError(err)
	}
	return a, alias, nil
}

// peoplePurpose is the purpose of keeping the register: appointments are
// approvals, by two persons.
const peoplePurpose = "approve"

// change runs one alteration of the register with its event, both or neither.
func (d *Door) changeRegister(ctx context.Context, event audit.Body, alter func(pgx.Tx) error) (AuditRef, error) {
	if err := complaint.CheckFacts(event.Kind, event.Facts); err != nil {
		return AuditRef{}, err
	}
	var pending []pglog.Pending
	err := d.cfg.Store.Tx(ctx, func(tx pgx.Tx) (err error) {
		if err = alter(tx); err != nil {
			return err
		}
		pending, err = d.cfg.Log.AppendTx(ctx, tx, event)
		return err
	})
	if err != nil {
		return AuditRef{}, txError(err)
	}
	return auditRef(pending[0]), nil
}

func (a *asked) about(kind, subject string, facts audit.Facts) audit.Body {
	b := a.body(audit.StageEvent, kind, facts)
	b.Subject, b.Revision = subject, 0
	return b
}

// AddPerson enters somebody into the register, without any duty.
func (d *Door) AddPerson(ctx context.Context, c Caller, p Person) (*Person, error) {
	ctx, cancel := context.WithTimeout(ctx, deadline)
	defer cancel()
	if p.Status == "" {
		p.Status = "active"
	}
	if err := checkPerson(p); err != nil {
		return nil, err
	}
	a, err := d.ask(ctx, c, question{action: "people", purpose: peoplePurpose, requester: p.ID})
	if err != nil {
		return nil, err
	}
	a, alias, err := d.aliased(ctx, a, p.ID)
	if err != nil {
		return nil, err
	}
	row, uses, err := d.personRow(ctx, p)
	if err != nil {
		return nil, err
	}
	event := a.about("person.added", "person:"+alias, audit.Facts{"person": alias, "department": p.Department})
	nameKeys(event.Facts, uses)
	event.Commit = staffCommit(row.StaffToken)
	p.Audit, err = d.changeRegister(ctx, event, func(tx pgx.Tx) error { return d.cfg.Store.InsertPerson(ctx, tx, row) })
	if errors.Is(err, store.ErrDuplicate) {
		return nil, &ConflictError{Code: "duplicate"}
	}
	p.StaffID = ""
	return &p, err
}

func checkPerson(p Person) error {
	var problems []intake.Problem
	if !validID(p.ID) || personal(p.ID) || p.ID == servicePerson {
		problems = append(problems, problemAt("/id", "malformed"))
	}
	if p.Kind != Human && p.Kind != Application {
		problems = append(problems, problemAt("/kind", "unknown_value", string(Human), string(Application)))
	}
	if !complaint.Registry().FactFits("person.added", "department", p.Department) {
		problems = append(problems, problemAt("/department", "malformed"))
	}
	if p.Status != "active" && p.Status != "leave" {
		problems = append(problems, problemAt("/status", "unknown_value", "active", "leave"))
	}
	if len(problems) > 0 {
		return &InvalidError{problems}
	}
	return nil
}

// personal says whether a word that stays clear holds somebody's number: it
// would be an identity number, a card, a phone or an address in an index.
func personal(word string) bool { return len(scrub.Scan(word)) > 0 }

// validID accepts what identity providers use as a subject: printable ASCII
// without spaces, at most 128 bytes.
func validID(id string) bool {
	return id != "" && len(id) <= 128 && strings.IndexFunc(id, func(r rune) bool { return r <= ' ' || r > '~' || r == '"' || r == '\\' }) < 0
}

// personRow computes the blind index of the staff id, which recusal compares.
func (d *Door) personRow(ctx context.Context, p Person) (store.Person, []keyUsed, error) {
	row := store.Person{Institution: d.cfg.Institution, ID: p.ID, Kind: string(p.Kind), Department: p.Department, Status: p.Status}
	if p.StaffID == "" {
		return row, nil, nil
	}
	normalised, err := blindindex.Normalise(blindindex.StaffID, p.StaffID)
	if err != nil {
		return row, nil, invalid("/staff_id", "malformed")
	}
	// The same field as the complaint's, so that the tokens can be equal.
	tokens, calls, err := d.cfg.Index.TokensIn(context.WithoutCancel(ctx), []IndexItem{{Field: "respondent_staff_id", Epoch: firstEpoch, Normalised: normalised, Reference: "person"}})
	if err != nil {
		return row, nil, keyError(err)
	}
	row.StaffToken = tokens[0]
	return row, indexUses(calls), nil
}

// Person shows a register row.
func (d *Door) Person(ctx context.Context, c Caller, id string) (*Person, error) {
	ctx, cancel := context.WithTimeout(ctx, deadline)
	defer cancel()
	a, alias, err := d.askPeople(ctx, c, id)
	if err != nil {
		return nil, err
	}
	b := a.intent("access.read", nil, audit.Facts{})
	b.Subject = "person:" + alias
	receipt, err := d.record(ctx, b)
	if err != nil {
		return nil, err
	}
	facts, err := d.cfg.Store.Subject(ctx, d.cfg.Institution, id, a.at)
	if err != nil {
		return nil, storeError(err)
	}
	if facts == nil {
		return nil, ErrNotFound
	}
	p := &Person{ID: id, Kind: Kind(facts.Kind), Department: facts.Department, Status: facts.Status, Audit: receiptRef(receipt)}
	if facts.TrainedUntil != nil {
		p.TrainedTo = facts.TrainedUntil.Format(time.DateOnly)
	}
	if facts.Undertaken {
		p.Undertaken = "current"
	}
	duties, err := d.cfg.Store.Duties(ctx, d.cfg.Institution, id)
	if err != nil {
		return nil, storeError(err)
	}
	for _, duty := range duties {
		p.Duties = append(p.Duties, dutyView(duty))
	}
	d.outcome(ctx, a, []pglog.Receipt{receipt}, nil, "answered")
	return p, nil
}

func dutyView(row *store.Duty) Duty {
	v := Duty{ID: row.ID, Role: row.Role, Level: levels[row.Level], Department: row.Department, From: row.From.UTC(), Until: row.Until.UTC(),
		AppointedBy: row.AppointedBy, Ended: row.EndedAt != nil}
	if row.ConfirmedBy != nil {
		v.ConfirmedBy = *row.ConfirmedBy
	}
	return v
}

// SetStatus suspends, returns or releases a person. It takes effect on the next
// decision.
func (d *Door) SetStatus(ctx context.Context, c Caller, person, status string) (*Person, error) {
	ctx, cancel := context.WithTimeout(ctx, deadline)
	defer cancel()
	if status != "active" && status != "leave" && status != "left" {
		return nil, invalid("/status", "unknown_value", "active", "leave", "left")
	}
	a, alias, err := d.askPeople(ctx, c, person)
	if err != nil {
		return nil, err
	}
	event := a.about("person.changed", "person:"+alias, audit.Facts{"person": alias, "active": status == "active"})
	ref, err := d.changeRegister(ctx, event, func(tx pgx.Tx) error {
		return d.cfg.Store.SetPersonStatus(ctx, tx, d.cfg.Institution, person, status)
	})
	if err != nil {
		return nil, err
	}
	return &Person{ID: person, Status: status, Audit: ref}, nil
}

// Appoint proposes a duty. It is in force once a second person confirmed it.
func (d *Door) Appoint(ctx context.Context, c Caller, person string, duty Duty) (*Duty, error) {
	ctx, cancel := context.WithTimeout(ctx, deadline)
	defer cancel()
	if !complaint.Registry().Has("role", duty.Role) || duty.Role == "portal" || duty.Role == keeperRole {
		return nil, invalid("/role", "unknown_value")
	}
	if duty.Level == complaint.LevelUnclassified || !complaint.Registry().Has("level", duty.Level) {
		return nil, invalid("/level", "unknown_value")
	}
	if !complaint.Registry().FactFits("duty.appointed", "department", duty.Department) {
		return nil, invalid("/department", "malformed")
	}
	a, alias, err := d.askPeople(ctx, c, person)
	if err != nil {
		return nil, err
	}
	facts, err := d.cfg.Store.Subject(ctx, d.cfg.Institution, person, a.at)
	if err != nil {
		return nil, storeError(err)
	}
	// The policy lets an application act in the role of applications only.
	if facts != nil && (Kind(facts.Kind) == Application) != (duty.Role == "application") {
		return nil, invalid("/role", "unknown_value")
	}
	if facts != nil && duty.Department != "" && duty.Department != facts.Department {
		return nil, invalid("/department", "unknown_value")
	}
	if duty.From.IsZero() {
		duty.From = a.at
	}
	duty.From, duty.Until = duty.From.UTC().Truncate(time.Microsecond), duty.Until.UTC().Truncate(time.Microsecond)
	if !duty.Until.After(duty.From) {
		return nil, invalid("/until", "out_of_range")
	}
	duty.ID, duty.AppointedBy = newUUID(), c.Person
	event := a.about("duty.appointed", "person:"+alias, audit.Facts{"person": alias, "duty": dutyCode(duty.ID), "role": duty.Role, "level": duty.Level,
		"from": stamp(duty.From), "until": stamp(duty.Until), "department": duty.Department, "confirmed": false})
	row := store.Duty{Institution: d.cfg.Institution, ID: duty.ID, Person: person, Role: duty.Role, Department: duty.Department,
		AppointedBy: c.Person, Level: complaint.LevelRank(duty.Level), From: duty.From, Until: duty.Until}
	duty.Audit, err = d.changeRegister(ctx, event, func(tx pgx.Tx) error { return d.cfg.Store.InsertDuty(ctx, tx, row) })
	if err != nil {
		return nil, err
	}
	return &duty, nil
}

// ConfirmDuty puts an appointment in force. Whoever proposed it, and whoever it
// is for, cannot confirm it.
func (d *Door) ConfirmDuty(ctx context.Context, c Caller, person, dutyID string) (*Duty, error) {
	return d.settleDuty(ctx, c, person, dutyID, "duty.appointed", func(tx pgx.Tx, row *store.Duty, at time.Time) error {
		switch {
		case row.ConfirmedBy != nil || row.EndedAt != nil:
			return &ConflictError{Code: "already_decided"}
		case row.AppointedBy == c.Person || row.Person == c.Person:
			return &ConflictError{Code: "self_approval"}
		}
		row.ConfirmedBy = &c.Person
		return d.cfg.Store.ConfirmDuty(ctx, tx, d.cfg.Institution, dutyID, c.Person)
	})
}

// EndDuty ends an appointment now.
func (d *Door) EndDuty(ctx context.Context, c Caller, person, dutyID string) (*Duty, error) {
	return d.settleDuty(ctx, c, person, dutyID, "duty.ended", func(tx pgx.Tx, row *store.Duty, at time.Time) error {
		if row.EndedAt != nil {
			return &ConflictError{Code: "already_decided"}
		}
		row.EndedAt = &at
		return d.cfg.Store.EndDuty(ctx, tx, d.cfg.Institution, dutyID, at)
	})
}

func (d *Door) settleDuty(ctx context.Context, c Caller, person, dutyID, kind string, settle func(pgx.Tx, *store.Duty, time.Time) error) (*Duty, error) {
	ctx, cancel := context.WithTimeout(ctx, deadline)
	defer cancel()
	if !isUUID(dutyID) {
		return nil, ErrNotFound
	}
	a, alias, err := d.askPeople(ctx, c, person)
	if err != nil {
		return nil, err
	}
	var view Duty
	var pending []pglog.Pending
	err = d.cfg.Store.Tx(ctx, func(tx pgx.Tx) error {
		row, err := d.cfg.Store.LockDuty(ctx, tx, d.cfg.Institution, dutyID)
		if err == nil && row.Person != person {
			err = store.ErrNotFound
		}
		if err != nil {
			return err
		}
		if err := settle(tx, row, a.at); err != nil {
			return err
		}
		view = dutyView(row)
		facts := audit.Facts{"person": alias, "duty": dutyCode(row.ID), "role": row.Role}
		if kind == "duty.appointed" {
			facts["level"], facts["confirmed"], facts["until"] = view.Level, true, stamp(row.Until)
		}
		pending, err = d.cfg.Log.AppendTx(ctx, tx, a.about(kind, "person:"+alias, facts))
		return err
	})
	if err != nil {
		return nil, txError(err)
	}
	view.Audit = auditRef(pending[0])
	return &view, nil
}

// RecordTraining records a course that a person passed. The pass mark is the
// institution's own requirement.
func (d *Door) RecordTraining(ctx context.Context, c Caller, t Training) (*Training, error) {
	ctx, cancel := context.WithTimeout(ctx, deadline)
	defer cancel()
	a, alias, err := d.askPeople(ctx, c, t.Person)
	if err != nil {
		return nil, err
	}
	requirements, err := d.cfg.Store.Requirements(ctx, d.cfg.Institution)
	if err != nil {
		return nil, storeError(err)
	}
	mark, err := strconv.Atoi(requirements["pass_mark"])
	if err != nil || t.Score < mark || t.Score > 100 {
		return nil, invalid("/score", "out_of_range")
	}
	if t.Person == c.Person {
		return nil, &ConflictError{Code: "self_approval"}
	}
	if t.Course != confidentialityCourse && !complaint.Registry().FactFits("training.passed", "course", t.Course) {
		return nil, invalid("/course", "malformed")
	}
	if t.PassedAt.After(a.at) || !t.ValidUntil.After(t.PassedAt) {
		return nil, invalid("/valid_until", "out_of_range")
	}
	t.PassedAt, t.ValidUntil = t.PassedAt.UTC().Truncate(time.Microsecond), t.ValidUntil.UTC().Truncate(time.Microsecond)
	event := a.about("training.passed", "person:"+alias, audit.Facts{"person": alias, "course": t.Course, "score": t.Score, "valid_until": stamp(t.ValidUntil)})
	t.Audit, err = d.changeRegister(ctx, event, func(tx pgx.Tx) error {
		return d.cfg.Store.InsertTraining(ctx, tx, d.cfg.Institution, t.Person, t.Course, c.Person, t.PassedAt, t.ValidUntil, t.Score)
	})
	if errors.Is(err, store.ErrDuplicate) {
		return nil, &ConflictError{Code: "duplicate"}
	}
	if err != nil {
		return nil, err
	}
	return &t, nil
}

// SignUndertaking signs the confidentiality undertaking in force, for oneself
// only. It is an act on no record and so needs no decision; it is an entry.
func (d *Door) SignUndertaking(ctx context.Context, c Caller, u Undertaking) (*Undertaking, error) {
	ctx, cancel := context.WithTimeout(ctx, deadline)
	defer cancel()
	if c.Institution != d.cfg.Institution || c.Kind != Human || u.Person != c.Person {
		return nil, ErrNotFound
	}
	at := d.now()
	subject, err := d.cfg.Store.Subject(ctx, d.cfg.Institution, c.Person, at)
	if err != nil {
		return nil, storeError(err)
	}
	if subject == nil || subject.Status != "active" {
		return nil, ErrNotFound
	}
	requirements, err := d.cfg.Store.Requirements(ctx, d.cfg.Institution)
	if err != nil {
		return nil, storeError(err)
	}
	if u.Version == "" || u.Version != requirements["undertaking_version"] {
		return nil, invalid("/version", "unknown_value")
	}
	alias, err := d.cfg.Log.Alias(ctx, c.Person)
	if err != nil {
		return nil, logError(err)
	}
	event := audit.Body{At: at, Stage: audit.StageEvent, Kind: "undertaking.signed", Actor: audit.Actor{ID: alias, Auth: c.Auth},
		Subject: "person:" + alias, Request: c.Request, Net: c.Net, Facts: audit.Facts{"undertaking": u.Version, "person": alias}}
	u.Audit, err = d.changeRegister(ctx, event, func(tx pgx.Tx) error {
		return d.cfg.Store.InsertUndertaking(ctx, tx, d.cfg.Institution, c.Person, u.Version, at)
	})
	if errors.Is(err, store.ErrDuplicate) {
		return nil, &ConflictError{Code: "already_decided"}
	}
	return &u, err
}
