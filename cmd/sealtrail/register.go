package main

import (
	"fmt"
	"io"
	"net/http"
	"net/url"
	"time"
)

// post sends a body and shows what came of it.
func (s *session) post(path string, body any) error {
	a, err := s.client.do(s, request{method: http.MethodPost, path: path, body: body, purpose: true})
	if err != nil {
		return err
	}
	return s.show(a, s.members(a))
}

func personPath(person, rest string) string { return "/v1/people/" + url.PathEscape(person) + rest }

// moment parses a date or a time.
func moment(value string) (time.Time, error) {
	for _, layout := range []string{time.RFC3339, time.DateOnly} {
		if t, err := time.Parse(layout, value); err == nil {
			return t, nil
		}
	}
	return time.Time{}, &usageError{"not a date (2026-03-02) or time (RFC 3339)", ""}
}

type personCmd struct {
	Add    personAddCmd    `cmd:"" help:"Add somebody to the register."`
	Get    personGetCmd    `cmd:"" help:"One person, her duties and training."`
	Status personStatusCmd `cmd:"" help:"Set whether an account may be used."`
}

type personAddCmd struct {
	ID         string `arg:"" help:"Id, as the identity provider's sub."`
	Kind       string `enum:"human,application,portal" default:"human" help:"${enum}"`
	Department string `help:"Unit code."`
	StaffID    string `help:"Staff id; kept as a blind index, for recusal." placeholder:"NO"`
}

// Run adds a person.
func (c *personAddCmd) Run(s *session) error {
	return s.post("/v1/people", map[string]string{"id": c.ID, "kind": c.Kind, "department": c.Department, "staff_id": c.StaffID})
}

type personGetCmd struct {
	ID string `arg:"" help:"Id of the person."`
}

// Run reads a person.
func (c *personGetCmd) Run(s *session) error {
	a, err := s.client.do(s, request{method: http.MethodGet, path: personPath(c.ID, ""), purpose: true})
	if err != nil {
		return err
	}
	return s.show(a, func(w io.Writer) error {
		if err := s.members(a)(w); err != nil {
			return err
		}
		var p struct {
			Duties []struct {
				ID, Role, Level, Department, From, Until string
				ConfirmedBy                              string `json:"confirmed_by"`
			} `json:"duties"`
		}
		if err := a.into(&p); err != nil || len(p.Duties) == 0 {
			return err
		}
		fmt.Fprintln(w, s.word("\f岗位\t等级\t部门\t起\t止\t确认人\tID", "\fDUTY\tLEVEL\tDEPARTMENT\tFROM\tUNTIL\tCONFIRMED BY\tID"))
		for _, d := range p.Duties {
			fmt.Fprintf(w, "%s\t%s\t%s\t%s\t%s\t%s\t%s\n", d.Role, d.Level, d.Department, toTheSecond(d.From), toTheSecond(d.Until), d.ConfirmedBy, d.ID)
		}
		return nil
	})
}

type personStatusCmd struct {
	ID     string `arg:"" help:"Id of the person."`
	Status string `arg:"" enum:"active,leave,left" help:"active, leave or left."`
}

// Run sets a status.
func (c *personStatusCmd) Run(s *session) error {
	return s.post(personPath(c.ID, "/status"), map[string]string{"status": c.Status})
}

type dutyCmd struct {
	Appoint appointCmd `cmd:"" help:"Appoint somebody to a role; a second person confirms."`
	Confirm confirmCmd `cmd:"" help:"Confirm an appointment that somebody else made."`
	End     endDutyCmd `cmd:"" help:"End a duty."`
}

type appointCmd struct {
	Person     string `arg:"" help:"Id of the person."`
	Role       string `required:"" help:"Role of the registry, e.g. handler." placeholder:"ROLE"`
	Level      string `enum:"general,serious,major" default:"general" help:"Highest level of complaints: ${enum}."`
	Department string `help:"Unit code."`
	From       string `required:"" help:"Date or time." placeholder:"DATE"`
	Until      string `required:"" help:"Date or time." placeholder:"DATE"`
}

// Run appoints.
func (c *appointCmd) Run(s *session) error {
	from, err := moment(c.From)
	if err != nil {
		return err
	}
	until, err := moment(c.Until)
	if err != nil {
		return err
	}
	return s.post(personPath(c.Person, "/duties"), map[string]any{"role": c.Role, "level": c.Level, "department": c.Department, "from": from, "until": until})
}

type confirmCmd struct {
	Person string `arg:"" help:"Id of the person."`
	Duty   string `arg:"" help:"Duty id."`
}

// Run confirms.
func (c *confirmCmd) Run(s *session) error {
	return s.post(personPath(c.Person, "/duties/"+url.PathEscape(c.Duty)+"/confirm"), nil)
}

type endDutyCmd struct {
	Person  string `arg:"" help:"Id of the person."`
	Duty    string `arg:"" help:"Duty id."`
	Confirm string `required:"" help:"The duty id again: ending a duty takes access away." placeholder:"DUTY"`
}

// Run ends a duty.
func (c *endDutyCmd) Run(s *session) error {
	if c.Confirm != c.Duty {
		return s.notRepeated("岗位任命编号", "the duty id")
	}
	return s.post(personPath(c.Person, "/duties/"+url.PathEscape(c.Duty)+"/end"), nil)
}

type trainingCmd struct {
	Record trainingRecordCmd `cmd:"" help:"Record a passed course."`
}

type trainingRecordCmd struct {
	Person string `arg:"" help:"Id of the person."`
	Course string `required:"" help:"Course code." placeholder:"CODE"`
	Score  int    `required:"" help:"0 to 100." placeholder:"N"`
	Passed string `required:"" help:"Date or time." placeholder:"DATE"`
	Until  string `required:"" help:"Date or time until which it is valid." placeholder:"DATE"`
}

// Run records a training.
func (c *trainingRecordCmd) Run(s *session) error {
	passed, err := moment(c.Passed)
	if err != nil {
		return err
	}
	until, err := moment(c.Until)
	if err != nil {
		return err
	}
	return s.post(personPath(c.Person, "/trainings"), map[string]any{"course": c.Course, "score": c.Score, "passed_at": passed, "valid_until": until})
}

type undertakingCmd struct {
	Sign signCmd `cmd:"" help:"Sign for oneself."`
}

type signCmd struct {
	Person  string `arg:"" help:"Your own id."`
	Version string `required:"" help:"Version of the text." placeholder:"VERSION"`
}

// Run signs.
func (c *signCmd) Run(s *session) error {
	return s.post(personPath(c.Person, "/undertakings"), map[string]string{"version": c.Version})
}

type accessCmd struct {
	Request accessRequestCmd `cmd:"" help:"Ask for access to some groups of fields of one complaint."`
	Review  accessReviewCmd  `cmd:"" help:"Approve or refuse a request that somebody else made."`
	Revoke  accessRevokeCmd  `cmd:"" help:"End a grant at once."`
}

type accessRequestCmd struct {
	Complaint  string   `arg:"" help:"Complaint id."`
	ForPurpose string   `required:"" help:"Purpose that the grant is for." placeholder:"PURPOSE"`
	Group      []string `required:"" help:"Field group, e.g. contact; may be repeated." placeholder:"GROUP"`
	Reason     string   `required:"" help:"Why; sealed, the reviewer reads it." placeholder:"TEXT"`
	Minutes    int      `default:"60" help:"Access life, counted from approval."`
}

// Run asks.
func (c *accessRequestCmd) Run(s *session) error {
	return s.post("/v1/access-requests", map[string]any{"complaint": c.Complaint, "purpose": c.ForPurpose, "groups": c.Group, "reason": c.Reason, "minutes": c.Minutes})
}

type accessReviewCmd struct {
	ID      string `arg:"" help:"Request id."`
	Verdict string `arg:"" enum:"approve,refuse" help:"approve or refuse."`
}

// Run reviews.
func (c *accessReviewCmd) Run(s *session) error {
	return s.post("/v1/access-requests/"+url.PathEscape(c.ID)+"/reviews", map[string]string{"verdict": c.Verdict})
}

type accessRevokeCmd struct {
	ID string `arg:"" help:"Grant id."`
}

// Run revokes.
func (c *accessRevokeCmd) Run(s *session) error {
	return s.post("/v1/access-requests/"+url.PathEscape(c.ID)+"/revoke", nil)
}

type breakGlassCmd struct {
	Open   glassOpenCmd   `cmd:"" help:"Open one record in an emergency."`
	Close  glassCloseCmd  `cmd:"" help:"Close it again."`
	Review glassReviewCmd `cmd:"" help:"Judge it afterwards."`
}

type glassOpenCmd struct {
	Complaint string `arg:"" help:"Complaint id."`
	Ticket    string `required:"" help:"Ticket or case number." placeholder:"NO"`
	Reason    string `required:"" help:"Why; sealed, the reviewer reads it." placeholder:"TEXT"`
	Confirm   string `required:"" help:"The complaint id again: this is loud and will be reviewed." placeholder:"ID"`
}

// Run breaks the glass.
func (c *glassOpenCmd) Run(s *session) error {
	if c.Confirm != c.Complaint {
		return s.notRepeated("投诉编号", "the complaint id")
	}
	return s.post("/v1/break-glass", map[string]string{"complaint": c.Complaint, "ticket": c.Ticket, "reason": c.Reason})
}

type glassCloseCmd struct {
	ID string `arg:"" help:"Break-glass id."`
}

// Run closes.
func (c *glassCloseCmd) Run(s *session) error {
	return s.post("/v1/break-glass/"+url.PathEscape(c.ID)+"/close", nil)
}

type glassReviewCmd struct {
	ID      string `arg:"" help:"Break-glass id."`
	Verdict string `arg:"" enum:"justified,unjustified" help:"justified or unjustified."`
}

// Run reviews.
func (c *glassReviewCmd) Run(s *session) error {
	return s.post("/v1/break-glass/"+url.PathEscape(c.ID)+"/review", map[string]bool{"justified": c.Verdict == "justified"})
}
