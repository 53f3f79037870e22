package httpapi

import (
	"context"
	"net/http"
	"time"

	"github.com/danielgtaylor/huma/v2"

	"github.com/sealtrail/sealtrail/internal/custody"
)

// PersonInput adds a person, an application or a portal to the register.
type PersonInput struct {
	ID         string `json:"id" maxLength:"64"`
	Kind       string `json:"kind" enum:"human,application,portal"`
	Department string `json:"department,omitempty"`
	StaffID    string `json:"staff_id,omitempty" doc:"Kept as a blind index only, for recusal"`
}

// StatusInput sets whether an account may be used.
type StatusInput struct {
	Status string `json:"status" enum:"active,leave,left"`
}

// DutyInput appoints somebody; a second person confirms it.
type DutyInput struct {
	Role       string    `json:"role"`
	Level      string    `json:"level" enum:"general,serious,major"`
	Department string    `json:"department,omitempty"`
	From       time.Time `json:"from"`
	Until      time.Time `json:"until"`
}

// TrainingInput records a passed course.
type TrainingInput struct {
	Course     string    `json:"course"`
	Score      int       `json:"score" minimum:"0" maximum:"100"`
	PassedAt   time.Time `json:"passed_at"`
	ValidUntil time.Time `json:"valid_until"`
}

// UndertakingInput signs the confidentiality undertaking, for oneself only.
type UndertakingInput struct {
	Version string `json:"version"`
}

// PersonParam is a person's id in a path.
type PersonParam struct {
	Person string `path:"person" doc:"Id of the person in the duty register"`
}

type dutyParam struct {
	PersonParam
	Duty string `path:"duty" doc:"Duty id"`
}

// named checks an id that is not a UUID: printable ASCII, at most 64 bytes.
// Whatever else is sent is unknown, not malformed.
func (x *exchange) named(id string) error {
	if !isToken(id, 64) {
		return x.newProblem(codeNotFound)
	}
	return nil
}

// answered turns a door's answer into a reply with its log entry.
func answered[T any](v *T, audit func(*T) custody.AuditRef, err error) (*reply[*T], error) {
	if err != nil {
		return nil, err
	}
	return newReply(v, 0, audit(v)), nil
}

func auditOfPerson(p *custody.Person) custody.AuditRef           { return p.Audit }
func auditOfDuty(d *custody.Duty) custody.AuditRef               { return d.Audit }
func auditOfTraining(t *custody.Training) custody.AuditRef       { return t.Audit }
func auditOfUndertaking(u *custody.Undertaking) custody.AuditRef { return u.Audit }

func (s *service) people() {
	door := s.cfg.Door
	command(s, operation{id: "addPerson", path: "/v1/people", summary: "Add somebody to the duty register", status: http.StatusCreated},
		func(ctx context.Context, x *exchange, _ *struct{}, b *PersonInput) (*reply[*custody.Person], error) {
			p, err := door.AddPerson(ctx, x.caller, custody.Person{ID: b.ID, Kind: custody.Kind(b.Kind), Department: b.Department, StaffID: b.StaffID})
			return answered(p, auditOfPerson, err)
		})
	add(s, operation{id: "getPerson", method: http.MethodGet, path: "/v1/people/{person}", tag: "people", summary: "One person, her duties, training and undertaking"},
		func(ctx context.Context, x *exchange, in *PersonParam) (*reply[*custody.Person], error) {
			if err := x.named(in.Person); err != nil {
				return nil, err
			}
			p, err := door.Person(ctx, x.caller, in.Person)
			return answered(p, auditOfPerson, err)
		})
	command(s, operation{id: "setPersonStatus", path: "/v1/people/{person}/status", summary: "Set whether an account may be used"},
		func(ctx context.Context, x *exchange, in *PersonParam, b *StatusInput) (*reply[*custody.Person], error) {
			p, err := door.SetStatus(ctx, x.caller, in.Person, b.Status)
			return answered(p, auditOfPerson, err)
		})
	command(s, operation{id: "recordTraining", path: "/v1/people/{person}/trainings", summary: "Record a passed course", status: http.StatusCreated},
		func(ctx context.Context, x *exchange, in *PersonParam, b *TrainingInput) (*reply[*custody.Training], error) {
			t, err := door.RecordTraining(ctx, x.caller, custody.Training{Person: in.Person, Course: b.Course, Score: b.Score, PassedAt: b.PassedAt, ValidUntil: b.ValidUntil})
			return answered(t, auditOfTraining, err)
		})
	command(s, operation{id: "signUndertaking", path: "/v1/people/{person}/undertakings", summary: "Sign the confidentiality undertaking, for oneself", status: http.StatusCreated},
		func(ctx context.Context, x *exchange, in *PersonParam, b *UndertakingInput) (*reply[*custody.Undertaking], error) {
			u, err := door.SignUndertaking(ctx, x.caller, custody.Undertaking{Person: in.Person, Version: b.Version})
			return answered(u, auditOfUndertaking, err)
		})
	s.duties()
}

func (s *service) duties() {
	door := s.cfg.Door
	command(s, operation{id: "appoint", path: "/v1/people/{person}/duties", summary: "Appoint somebody to a role", status: http.StatusCreated,
		description: "Not in force until a second person confirmed it."},
		func(ctx context.Context, x *exchange, in *PersonParam, b *DutyInput) (*reply[*custody.Duty], error) {
			d, err := door.Appoint(ctx, x.caller, in.Person, custody.Duty{Role: b.Role, Level: b.Level, Department: b.Department, From: b.From, Until: b.Until})
			return answered(d, auditOfDuty, err)
		})
	for verb, act := range map[string]struct {
		summary string
		do      func(ctx context.Context, c custody.Caller, person, duty string) (*custody.Duty, error)
	}{
		"confirm": {"Confirm an appointment that somebody else made", door.ConfirmDuty},
		"end":     {"End a duty", door.EndDuty},
	} {
		add(s, operation{id: verb + "Duty", method: http.MethodPost, path: "/v1/people/{person}/duties/{duty}/" + verb, tag: "people", summary: act.summary},
			func(ctx context.Context, x *exchange, in *dutyParam) (*reply[*custody.Duty], error) {
				if err := x.named(in.Person); err != nil {
					return nil, err
				}
				if err := x.named(in.Duty); err != nil {
					return nil, err
				}
				d, err := act.do(ctx, x.caller, in.Person, in.Duty)
				return answered(d, auditOfDuty, err)
			})
	}
}

// pathIDs is implemented by parameters that have an id to check.
type pathIDs interface{ ids() []string }

func (p PersonParam) ids() []string { return []string{p.Person} }

// command registers a POST with a body of type B in the part "people", or in
// the operation's own.
func command[I, B, O any](s *service, o operation, h func(context.Context, *exchange, *I, *B) (*reply[*O], error)) {
	o.method, o.body = http.MethodPost, requestBody[B](s)
	if o.tag == "" {
		o.tag = "people"
	}
	body := newBody[B](nil)
	add(s, o, func(ctx context.Context, x *exchange, in *I) (*reply[*O], error) {
		if p, ok := any(in).(pathIDs); ok {
			for _, id := range p.ids() {
				if err := x.named(id); err != nil {
					return nil, err
				}
			}
		}
		b, err := body.read(x)
		if err != nil {
			return nil, err
		}
		return h(ctx, x, in, b)
	})
}

var _ huma.StatusError = (*Problem)(nil)
