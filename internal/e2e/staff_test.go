package e2e

import (
	"fmt"
	"testing"
	"time"

	"github.com/sealtrail/sealtrail/internal/authn"
	"github.com/sealtrail/sealtrail/internal/custody"
)

// hire is somebody new: which roles her token claims, and what the register
// holds of her.
type hire struct {
	claims     []string // roles of the token
	duties     []string // roles appointed and confirmed
	department string   // default cards
	staffID    string
	untrained  bool
	unsigned   bool
}

// hired is a person with a token of her own.
type hired struct {
	id, token string
}

// as makes a call hers.
func (h hired) as(c call) call { c.who, c.token = h.id, h.token; return c }

// hire enters somebody into the register the ordinary way.
func (in *installation) hire(t testing.TB, w hire) hired {
	t.Helper()
	if w.department == "" {
		w.department = "cards"
	}
	if w.claims == nil {
		w.claims = w.duties
	}
	h := hired{id: fmt.Sprint("person-", next())}
	body := map[string]string{"id": h.id, "kind": "human", "department": w.department}
	if w.staffID != "" {
		body["staff_id"] = w.staffID
	}
	people := func(path string, body any) call {
		return call{who: "sec-lin", method: "POST", path: "/v1/people" + path, purpose: "approve", body: body}
	}
	ok[custody.Person](t, in, people("", body))
	for _, role := range w.duties {
		in.appoint(t, h.id, role, w.department)
	}
	now := time.Now().UTC()
	if !w.untrained {
		ok[custody.Training](t, in, people("/"+h.id+"/trainings", map[string]any{"course": "confidentiality", "score": 90, "passed_at": now.Add(-time.Hour), "valid_until": now.AddDate(1, 0, 0)}))
	}
	var err error
	h.token, err = in.Issuer().Mint(authn.Persona{Person: h.id, Institution: "demo-bank", Kind: authn.KindHuman, Roles: w.claims}, time.Hour)
	must(t, err)
	if !w.unsigned {
		ok[custody.Undertaking](t, in, h.as(call{method: "POST", path: "/v1/people/" + h.id + "/undertakings", body: map[string]string{"version": "2026-1"}}))
	}
	return h
}

// propose proposes a duty; it is not in force yet.
func (in *installation) propose(t testing.TB, person, role, department string) *custody.Duty {
	t.Helper()
	now := time.Now().UTC()
	return ok[custody.Duty](t, in, call{who: "sec-lin", method: "POST", path: "/v1/people/" + person + "/duties", purpose: "approve",
		body: map[string]any{"role": role, "level": "major", "department": department, "from": now.Add(-time.Minute), "until": now.AddDate(1, 0, 0)}})
}

func (in *installation) appoint(t testing.TB, person, role, department string) *custody.Duty {
	t.Helper()
	d := in.propose(t, person, role, department)
	return ok[custody.Duty](t, in, call{who: "sec-wu", method: "POST", path: "/v1/people/" + person + "/duties/" + d.ID + "/confirm", purpose: "approve"})
}

// reveal is a reveal of one field for a purpose.
func reveal(id, purpose string, fields ...string) call {
	return call{method: "POST", path: complaintPath(id, "/reveals"), purpose: purpose, body: map[string]any{"fields": fields, "reason": "call the customer back"}}
}

func (c call) by(who string) call { c.who = who; return c }

// denied is a call that policy must refuse for this reason, with a durable
// entry that says so.
func (in *installation) denied(t testing.TB, reason string, c call) {
	t.Helper()
	p := in.refused(t, 403, "policy_denied", c)
	if p.Decision == nil || p.Decision.Reason != reason {
		t.Errorf("%s %s as %s: got decision %+v, want the reason %s", c.method, c.path, c.who, p.Decision, reason)
	}
	if p.Audit == nil {
		t.Fatalf("%s %s as %s: the refusal names no entry", c.method, c.path, c.who)
	}
	n := in.count(t, `select count(*) from audit.entry where id = $1::text::bigint and convert_from(body, 'UTF8') like '%"kind":"access.denied"%'`, p.Audit.Entry)
	if n != 1 {
		t.Errorf("%s %s as %s: entry %s is not the refusal", c.method, c.path, c.who, p.Audit.Entry)
	}
}
