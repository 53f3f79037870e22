package custody

import (
	"context"
	"fmt"
	"slices"

	"github.com/sealtrail/sealtrail/audit"
	"github.com/sealtrail/sealtrail/internal/complaint"
)

// MaxChecks is how many questions one dry check may hold.
const MaxChecks = 100

// Check is one question of a dry check: may the caller do this?
type Check struct {
	Action     string   `json:"action"`
	Complaint  string   `json:"complaint,omitempty"`
	Transition string   `json:"transition,omitempty"` // for action transition
	Fields     []string `json:"fields,omitempty"`     // by catalogue name
}

// Checked is the answer to one question, in its place. What it says holds for
// this moment and opens nothing: the act itself is decided on anew.
type Checked struct {
	Action    string `json:"action"`
	Complaint string `json:"complaint,omitempty"`
	Allowed   bool   `json:"allowed"`
	// Decision is empty for a record that the caller may not know of, or that
	// does not exist: the two are one answer.
	Decision *DecisionView `json:"decision,omitempty"`
	// Fields says reveal, mask or deny of each field asked about.
	Fields map[string]string `json:"fields,omitempty"`
	Audit  AuditRef          `json:"audit"`
}

// CheckDecisions answers what the policy would say, without doing anything: for
// applications that grey a button out. Every question is an entry, marked as
// dry; a refusal of one is no refusal of the others. It tells nobody more than
// the refused act would have told.
func (d *Door) CheckDecisions(ctx context.Context, c Caller, purpose string, list []Check) ([]Checked, error) {
	ctx, cancel := context.WithTimeout(ctx, deadline)
	defer cancel()
	if err := checkChecks(list); err != nil {
		return nil, err
	}
	answers, bodies := make([]Checked, len(list)), make([]audit.Body, len(list))
	for i, q := range list {
		a, known, err := d.weigh(ctx, c, question{action: q.Action, purpose: purpose, id: q.Complaint, transition: q.Transition, fields: q.Fields})
		if err != nil {
			return nil, err
		}
		answers[i], bodies[i] = a.checked(q, known), a.dryBody(known)
	}
	receipts, err := d.recordAll(ctx, bodies)
	if err != nil {
		return nil, err
	}
	for i := range answers {
		answers[i].Audit = receiptRef(receipts[i])
	}
	return answers, nil
}

func checkChecks(list []Check) error {
	if len(list) == 0 {
		return invalid("/items", "required")
	}
	if len(list) > MaxChecks {
		return invalid("/items", "too_long")
	}
	for i, q := range list {
		at := fmt.Sprintf("/items/%d", i)
		if !complaint.Registry().Has("action", q.Action) {
			return invalid(at+"/action", "unknown_value", members("action")...)
		}
		if q.Transition != "" && q.Action != "transition" {
			return invalid(at+"/transition", "unknown_field")
		}
		for n, name := range q.Fields {
			if _, ok := complaint.FieldByName(name); !ok {
				return invalid(fmt.Sprintf("%s/fields/%d", at, n), "unknown_value")
			}
		}
	}
	return nil
}

// weigh decides as askRecord and ask do and leaves everything else out. known
// is false for a record that the caller may not know of.
func (d *Door) weigh(ctx context.Context, c Caller, q question) (a *asked, known bool, err error) {
	if q.id == "" {
		if a, err = d.knock(ctx, c, q); err != nil {
			return nil, false, err
		}
		a.decision, err = d.cfg.Policy.Decide(ctx, a.request(d.cfg.Institution, nil))
		return a, true, dryError(err)
	}
	if a, err = d.begin(ctx, c, q); err != nil {
		return nil, false, err
	}
	id := q.id
	if !isUUID(id) {
		id = nowhere
	}
	loaded, err := d.cfg.Store.Load(ctx, d.cfg.Institution, id, c.Person, a.at)
	if err != nil {
		return nil, false, storeError(err)
	}
	if loaded.Subject, err = d.borne(ctx, a, loaded.Subject); err != nil {
		return nil, false, err
	}
	a.know(loaded.Subject)
	a.row, a.key = loaded.Complaint, loaded.Key
	if err := d.vouched(ctx, a); err != nil {
		return nil, false, err
	}
	// What needs no record is said plainly, also of an id that is none.
	if a.decision, err = d.cfg.Policy.Admit(ctx, a.request(d.cfg.Institution, nil)); err != nil || !a.decision.Allowed() || a.row == nil {
		return a, a.row != nil || !a.decision.Allowed(), dryError(err)
	}
	a.decision, err = d.cfg.Policy.Decide(ctx, a.request(d.cfg.Institution, a.row))
	return a, a.decision.Allowed() || !a.decision.MetaDenied(), dryError(err)
}

func dryError(err error) error {
	if err == nil {
		return nil
	}
	return policyError(err)
}

// possible says whether the act would not be refused: by the decision, by a
// field, or because the record was erased.
func (a *asked) possible(known bool) bool {
	if !known || !a.decision.Allowed() || a.row != nil && (a.key == nil || a.row.Stale()) {
		return false
	}
	return a.action == "transition" || len(a.denied(a.fields)) == 0
}

func (a *asked) checked(q Check, known bool) Checked {
	out := Checked{Action: q.Action, Complaint: q.Complaint, Allowed: a.possible(known)}
	if !known {
		return out
	}
	view := decisionView(a.decision)
	out.Decision = &view
	if a.decision.Allowed() && len(q.Fields) > 0 {
		out.Fields = map[string]string{}
		for _, name := range q.Fields {
			out.Fields[name] = a.decision.Effect(name).String()
		}
	}
	return out
}

// dryBody is the entry of one question, with the true decision. It stands in no
// record's trail, which is for what was done: nobody can bury that under
// questions. Of which record it speaks is committed to.
func (a *asked) dryBody(known bool) audit.Body {
	facts := audit.Facts{"action": a.action, "dry_run": true}
	b := a.body(audit.StageEvent, "access.checked", facts)
	b.Fields = slices.Clone(a.fields)
	if !a.possible(known) {
		b.Decision = decisionRef(a.decision, audit.ResultDeny)
	}
	if a.id != "" {
		facts["unknown_record"] = a.row == nil
		b.Subject, b.Revision = "query:"+a.caller.Request, 0
		b.Commit = map[string]string{"id": audit.Commit("id", audit.NewNonce(), []byte(a.id))}
	}
	return b
}
