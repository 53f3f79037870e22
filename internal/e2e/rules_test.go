package e2e

import (
	"net/http"
	"sync"
	"testing"
	"time"

	"github.com/sealtrail/sealtrail/internal/authn"
	"github.com/sealtrail/sealtrail/internal/custody"
)

// TestFitnessIsChecked: who lacks training, undertaking or an active account is
// refused (R6, R7, R8), whatever her token says.
func TestFitnessIsChecked(t *testing.T) {
	t.Parallel()
	in := common(t)
	c := in.assigned(t, draft(nil))
	read := call{method: "GET", path: complaintPath(c.ID)}
	in.denied(t, "training_expired", in.hire(t, hire{duties: []string{"intake"}, untrained: true}).as(read))
	in.denied(t, "undertaking_missing", in.hire(t, hire{duties: []string{"intake"}, unsigned: true}).as(read))
	away := in.hire(t, hire{duties: []string{"intake"}})
	ok[custody.View](t, in, away.as(read))
	ok[custody.Person](t, in, call{who: "sec-wu", method: "POST", path: "/v1/people/" + away.id + "/status", purpose: "approve", body: map[string]string{"status": "leave"}})
	in.denied(t, "account_inactive", away.as(read))
}

// TestEffectiveRolesNeedTokenAndRegister: neither the identity provider's
// administrator nor a stale token can appoint anybody.
func TestEffectiveRolesNeedTokenAndRegister(t *testing.T) {
	t.Parallel()
	in := common(t)
	c := in.assigned(t, draft(nil))
	read := call{method: "GET", path: complaintPath(c.ID)}
	for what, w := range map[string]hire{
		"token claims, register has none":      {claims: []string{"intake"}},
		"register has, token claims another":   {claims: []string{"analyst"}, duties: []string{"intake"}},
		"token claims another than registered": {claims: []string{"intake"}, duties: []string{"analyst"}},
	} {
		if a := in.answered(t, in.hire(t, w).as(read)); a.Status != http.StatusForbidden {
			t.Errorf("%s: got %d %s, want 403", what, a.Status, a.Body)
		}
	}
	both := in.hire(t, hire{claims: []string{"intake", "secadmin", "auditor"}, duties: []string{"intake"}})
	ok[custody.View](t, in, both.as(read))
	if a := in.answered(t, both.as(call{method: "GET", path: "/v1/people/intake-li", purpose: "approve"})); a.Status != http.StatusForbidden {
		t.Errorf("a claimed role that nobody gave: got %d, want 403", a.Status)
	}
	// A person's id in a token of another kind is not that person.
	posing, err := in.Issuer().Mint(authn.Persona{Person: "intake-li", Institution: "demo-bank", Kind: authn.KindApplication, Roles: []string{"intake"}}, time.Hour)
	must(t, err)
	if a := in.answered(t, call{who: "posing application", token: posing, method: "GET", path: complaintPath(c.ID)}); a.Status != http.StatusForbidden {
		t.Errorf("an application with a person's id: got %d, want 403", a.Status)
	}
}

// TestDutyNeedsTwoPersons: an appointment is in force once somebody else than
// the proposer and the appointed confirmed it, and ends at once.
func TestDutyNeedsTwoPersons(t *testing.T) {
	t.Parallel()
	in := common(t)
	c := in.assigned(t, draft(nil))
	p := in.hire(t, hire{claims: []string{"intake", "secadmin"}})
	read := p.as(call{method: "GET", path: complaintPath(c.ID)})
	d := in.propose(t, p.id, "intake", "cards")
	confirm := call{method: "POST", path: "/v1/people/" + p.id + "/duties/" + d.ID + "/confirm", purpose: "approve"}
	if a := in.answered(t, read); a.Status != http.StatusForbidden {
		t.Errorf("a proposed duty is in force: got %d", a.Status)
	}
	in.refused(t, 403, "self_approval", confirm.by("sec-lin"))
	in.refused(t, 403, "policy_denied", p.as(confirm))
	ok[custody.Duty](t, in, confirm.by("sec-wu"))
	ok[custody.View](t, in, read)
	in.refused(t, 409, "already_decided", confirm.by("sec-wu"))
	// One's own duty: sec-wu may confirm duties, but not her own.
	own := in.propose(t, "sec-wu", "auditadmin", "security")
	a := in.answered(t, call{who: "sec-wu", method: "POST", path: "/v1/people/sec-wu/duties/" + own.ID + "/confirm", purpose: "approve"})
	if a.Status != http.StatusForbidden {
		t.Errorf("confirming one's own duty: got %d %s, want 403", a.Status, a.Body)
	}
	ok[custody.Duty](t, in, call{who: "sec-wu", method: "POST", path: "/v1/people/" + p.id + "/duties/" + d.ID + "/end", purpose: "approve"})
	if a := in.answered(t, read); a.Status != http.StatusForbidden {
		t.Errorf("an ended duty is in force: got %d", a.Status)
	}
}

// TestBudgetOfRevealsIsExact: the last reveal of the hour goes to one of many
// who ask at once (R10).
func TestBudgetOfRevealsIsExact(t *testing.T) {
	t.Parallel()
	in := common(t)
	p := in.hire(t, hire{duties: []string{"handler"}})
	c := in.create(t, draft(nil))
	in.move(t, c, "intake-li", "accept", accepted)
	in.move(t, c, "intake-li", "classify", classified)
	in.move(t, c, "head-wang", "assign", map[string]string{"assignee": p.id})
	// Two reveals are left, in this hour and, if it ends now, in the next.
	in.sql(t, `insert into people.budget (institution, person, hour, reveals)
		select 'demo-bank', $1, date_trunc('hour', now()) + h * interval '1 hour', value::int - 2 from people.requirement, generate_series(0, 1) h where name = 'reveals_per_hour'`, p.id)
	statuses := at(8, func() int { return in.answered(t, p.as(reveal(c.ID, "handle", "phone"))).Status })
	if statuses[http.StatusOK] != 2 || statuses[http.StatusTooManyRequests] != 6 {
		t.Errorf("got %v, want 2 times 200 and 6 times 429", statuses)
	}
	in.refused(t, 429, "reveal_budget_exhausted", p.as(reveal(c.ID, "handle", "phone")))
	ok[custody.View](t, in, p.as(call{method: "GET", path: complaintPath(c.ID)}))
}

// at does something n times at once and counts what came of it.
func at(n int, act func() int) map[int]int {
	var mu sync.Mutex
	var group sync.WaitGroup
	counts := map[int]int{}
	for range n {
		group.Go(func() {
			status := act()
			mu.Lock()
			defer mu.Unlock()
			counts[status]++
		})
	}
	group.Wait()
	return counts
}

// TestBreakGlass walks an emergency access from before it to its review (R22).
func TestBreakGlass(t *testing.T) {
	t.Parallel()
	in := common(t)
	c, other := in.assigned(t, draft(nil)), in.assigned(t, draft(nil))
	p := in.hire(t, hire{duties: []string{"handler"}})
	in.denied(t, "breakglass_not_open", p.as(reveal(c.ID, "breakglass", "phone")))
	open := call{method: "POST", path: "/v1/break-glass", body: map[string]any{"complaint": c.ID, "ticket": "INC-7", "reason": "customer in danger"}}
	b := ok[custody.BreakGlass](t, in, p.as(open))
	v := ok[custody.View](t, in, p.as(reveal(c.ID, "breakglass", "phone")))
	if len(v.Fields) != 1 || v.Fields[0].Value != "13800138000" {
		t.Errorf("break-glass: got %+v", v.Fields)
	}
	in.denied(t, "breakglass_not_open", p.as(reveal(other.ID, "breakglass", "phone")))
	if a := in.answered(t, p.as(reveal(c.ID, "handle", "phone"))); a.Status != http.StatusForbidden {
		t.Errorf("break-glass under another purpose: got %d, want 403", a.Status)
	}
	closing := call{method: "POST", path: "/v1/break-glass/" + b.ID + "/close"}
	review := call{method: "POST", path: "/v1/break-glass/" + b.ID + "/review", body: map[string]bool{"justified": true}}
	in.refused(t, 409, "state_conflict", review.by("dpo-xu"))
	if a := in.answered(t, closing.by("handler-chen")); a.Status != http.StatusNotFound {
		t.Errorf("closing somebody else's: got %d, want 404", a.Status)
	}
	ok[custody.BreakGlass](t, in, p.as(closing))
	in.denied(t, "breakglass_not_open", p.as(reveal(c.ID, "breakglass", "phone")))
	in.refused(t, 403, "policy_denied", p.as(review)) // a handler reviews nothing
	ok[custody.BreakGlass](t, in, review.by("dpo-xu"))
	in.refused(t, 409, "already_decided", review.by("dpo-xu"))
	for _, kind := range []string{"opened", "used", "closed", "reviewed"} {
		if n := in.count(t, `select count(*) from audit.entry where subject = $1 and convert_from(body, 'UTF8') like $2`, "complaint:"+c.ID, `%"kind":"breakglass.`+kind+`"%`); n == 0 {
			t.Errorf("the trail holds no breakglass.%s", kind)
		}
	}
}

// TestBreakGlassIsReviewedByAnother: a department head may review, but never
// her own; and one that nobody reviewed in time narrows everything she does.
func TestBreakGlassIsReviewedByAnother(t *testing.T) {
	t.Parallel()
	in := common(t)
	c := in.assigned(t, draft(nil))
	head := in.hire(t, hire{duties: []string{"head"}})
	b := ok[custody.BreakGlass](t, in, head.as(call{method: "POST", path: "/v1/break-glass", body: map[string]any{"complaint": c.ID, "ticket": "INC-8", "reason": "customer in danger"}}))
	ok[custody.BreakGlass](t, in, head.as(call{method: "POST", path: "/v1/break-glass/" + b.ID + "/close"}))
	review := call{method: "POST", path: "/v1/break-glass/" + b.ID + "/review", body: map[string]bool{"justified": true}}
	if a := in.answered(t, head.as(review)); a.Status != http.StatusForbidden {
		t.Errorf("reviewing one's own: got %d %s, want 403", a.Status, a.Body)
	}
	in.sql(t, `update people.break_glass set closed_at = now() - interval '25 hours' where id = $1`, b.ID)
	in.denied(t, "breakglass_unreviewed", head.as(call{method: "GET", path: complaintPath(c.ID)}))
	ok[custody.BreakGlass](t, in, review.by("head-wang"))
	ok[custody.View](t, in, head.as(call{method: "GET", path: complaintPath(c.ID)}))
}

// TestGrants: requested by one, issued by another, for some groups and a time,
// and over the moment that it is revoked.
func TestGrants(t *testing.T) {
	t.Parallel()
	in := common(t)
	c := in.assigned(t, draft(nil))
	p := in.hire(t, hire{duties: []string{"auditor"}, department: "audit"})
	ask := func(minutes int) call {
		return call{method: "POST", path: "/v1/access-requests", body: map[string]any{"complaint": c.ID, "purpose": "audit", "groups": []string{"contact"}, "reason": "sampling", "minutes": minutes}}
	}
	open := p.as(reveal(c.ID, "audit", "phone"))
	forbidden := func(what string) {
		t.Helper()
		if a := in.answered(t, open); a.Status != http.StatusForbidden {
			t.Errorf("%s: got %d %s, want 403", what, a.Status, a.Body)
		}
	}
	forbidden("without a grant")
	g := ok[custody.Grant](t, in, p.as(ask(30)))
	forbidden("with a requested grant")
	review := func(g *custody.Grant, verdict string) call {
		return call{method: "POST", path: "/v1/access-requests/" + g.ID + "/reviews", body: map[string]string{"verdict": verdict}}
	}
	in.refused(t, 403, "policy_denied", p.as(review(g, "approve")))
	ok[custody.Grant](t, in, review(g, "approve").by("dpo-xu"))
	in.refused(t, 409, "already_decided", review(g, "refuse").by("dpo-xu"))
	ok[custody.View](t, in, open)
	if a := in.answered(t, p.as(reveal(c.ID, "audit", "phone", "complainant_name"))); a.Status != http.StatusForbidden {
		t.Errorf("a group that was not granted: got %d, want 403", a.Status)
	}
	ok[custody.Grant](t, in, call{who: "dpo-xu", method: "POST", path: "/v1/access-requests/" + g.ID + "/revoke"})
	forbidden("with a revoked grant")
	late := ok[custody.Grant](t, in, p.as(ask(1)))
	ok[custody.Grant](t, in, review(late, "approve").by("head-wang"))
	ok[custody.View](t, in, open)
	in.sql(t, `update people.access_grant set valid_until = now() - interval '1 second' where id = $1`, late.ID)
	forbidden("with an expired grant")
	// The data protection officer may review, but not what she asked for.
	mine := ok[custody.Grant](t, in, call{who: "dpo-xu", method: "POST", path: "/v1/access-requests", body: map[string]any{"complaint": c.ID, "purpose": "subject_request", "groups": []string{"contact"}, "reason": "a customer's request", "minutes": 10}})
	if a := in.answered(t, review(mine, "approve").by("dpo-xu")); a.Status != http.StatusForbidden {
		t.Errorf("reviewing one's own request: got %d %s, want 403", a.Status, a.Body)
	}
}

// TestOneReviewerWins: of two who decide at once, one does.
func TestOneReviewerWins(t *testing.T) {
	t.Parallel()
	in := common(t)
	c := in.assigned(t, draft(nil))
	g := ok[custody.Grant](t, in, call{who: "auditor-he", method: "POST", path: "/v1/access-requests", body: map[string]any{"complaint": c.ID, "purpose": "audit", "groups": []string{"contact"}, "reason": "sampling", "minutes": 5}})
	statuses := at(6, func() int {
		return in.answered(t, call{who: "dpo-xu", method: "POST", path: "/v1/access-requests/" + g.ID + "/reviews", body: map[string]string{"verdict": "refuse"}}).Status
	})
	if statuses[http.StatusOK] != 1 || statuses[http.StatusConflict] != 5 {
		t.Errorf("got %v, want one 200 and five 409", statuses)
	}
}
