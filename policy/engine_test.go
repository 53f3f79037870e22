package policy_test

import (
	"context"
	"errors"
	"sync"
	"testing"
	"testing/fstest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/sealtrail/sealtrail/policy"
	"github.com/sealtrail/sealtrail/policy/policytest"
)

// at is the clock of these tests.
var at = time.Date(2026, 3, 2, 9, 0, 0, 0, time.UTC)

// catalogue has some thirty fields over every group, as the service's own has, one of class C3 and one of an unheard-of group.
func catalogue() policy.Catalogue {
	var c policy.Catalogue
	add := func(group, class string, names ...string) {
		for _, n := range names {
			c.Fields = append(c.Fields, policy.Field{Name: n, Group: group, Class: class})
		}
	}
	add("meta", "C1", "complaint_no", "received_at", "channel", "stage", "level", "assignee", "department", "branch", "legal_hold")
	add("identity", "C2", "complainant_name", "representative_name", "id_number", "birth_date", "address")
	add("contact", "C2", "phone", "email")
	add("account", "C2", "bank_card", "account_no", "transactions")
	add("narrative", "C2", "narrative", "demand")
	add("respondent", "C2", "respondent_staff_id", "respondent_name")
	add("handling", "C2", "contact_notes", "findings", "plan")
	add("decision", "C2", "decision_text")
	add("amount", "C2", "amount_claimed", "amount_paid")
	add("feedback", "C2", "satisfaction_reason")
	add("whistle", "C2", "whistle_report")
	add("account", "C3", "cvn")
	add("unheard_of", "C2", "stray")
	return c
}

func newEngine(t testing.TB) *policy.Engine {
	t.Helper()
	e, err := policy.New(context.Background(), policy.Config{Catalogue: catalogue(), EvalTimeout: time.Minute})
	if err != nil {
		t.Fatal(err)
	}
	return e
}

// ask is the assigned, fit handler of a complaint of his own unit, changed as the case wants.
func ask(action, purpose string, changes ...func(*policy.Request)) policy.Request {
	r := policy.Request{
		Institution: "demo", Action: action, Purpose: purpose, At: at,
		Subject: policy.Subject{ID: "p-1", Kind: policy.KindHuman, Roles: []string{"handler"}, Department: "cards", Level: 2, StaffToken: []byte("token-1")},
		Record: policy.Record{
			ID: "c-1", Department: "cards", Assignee: "p-1", Level: "serious", Stage: "open", Sensitivity: "ordinary",
			RespondentTokens: [][]byte{[]byte("token-9")},
		},
	}
	for _, change := range changes {
		change(&r)
	}
	return r
}

func as(roles ...string) func(*policy.Request) {
	return func(r *policy.Request) { r.Subject.Roles = roles }
}

func stranger(r *policy.Request) {
	r.Subject.Department, r.Record.Assignee = "loans", "p-2"
}

func implicated(r *policy.Request) { r.Record.RespondentTokens = [][]byte{[]byte("token-1")} }

func granted(groups ...string) func(*policy.Request) {
	return func(r *policy.Request) {
		r.Subject.Grants = []policy.Grant{{Record: "c-1", Purpose: r.Purpose, Groups: groups, From: at, Until: at.Add(time.Hour)}}
	}
}

func brokenGlass(r *policy.Request) {
	r.Subject.BreakGlass = []policy.BreakGlass{{Record: "c-1", From: at, Until: at.Add(time.Hour)}}
}

func row(name string, r policy.Request, want policytest.Answer) policytest.Case {
	return policytest.Case{Name: name, Request: r, Want: want}
}

func TestDecisionTable(t *testing.T) {
	t.Parallel()
	hidden := func(why string) policytest.Answer {
		return policytest.Answer{Reason: "not_found", True: why, Hidden: true, Groups: map[string]string{}}
	}
	metaOnly := map[string]string{"meta": "reveal"}
	policytest.Table(t, newEngine(t), []policytest.Case{
		row("a stranger finds nothing", ask("read", "handle", stranger), hidden("no_need_to_know")),
		row("the implicated handler finds nothing", ask("read", "handle", implicated), hidden("recused")),
		row("an unknown staff token counts as implicated", ask("read", "handle", func(r *policy.Request) { r.Subject.StaffToken = nil }), hidden("recused")),
		row("quality reads the redacted narrative", ask("read", "quality", as("quality")),
			policytest.Answer{Allowed: true, Reason: "released", Groups: map[string]string{"meta": "reveal", "narrative": "mask"}}),
		row("quality never reveals", ask("reveal", "quality", as("quality"), granted("identity", "narrative")),
			policytest.Answer{Reason: "quality_redacted_only", Groups: metaOnly}),
		row("a grant opens its own groups only", ask("reveal", "handle", stranger, granted("contact")),
			policytest.Answer{Allowed: true, Reason: "released_grant", Groups: map[string]string{"meta": "reveal", "contact": "reveal"}}),
		row("a grant for another purpose opens nothing", ask("reveal", "handle", stranger, func(r *policy.Request) {
			r.Subject.Grants = []policy.Grant{{Record: "c-1", Purpose: "breakglass", Groups: []string{"contact"}, From: at, Until: at.Add(time.Hour)}}
		}), hidden("no_need_to_know")),
		row("a grant of groups that the role lacks opens nothing", ask("reveal", "handle", stranger, granted("whistle")),
			policytest.Answer{Reason: "field_not_released", Groups: metaOnly}),
		row("break-glass opens to a stranger", ask("reveal", "breakglass", stranger, brokenGlass),
			policytest.Answer{Allowed: true, Reason: "released_breakglass", Groups: map[string]string{
				"meta": "reveal", "identity": "reveal", "contact": "reveal", "account": "reveal", "narrative": "reveal", "handling": "reveal",
				"decision": "reveal", "amount": "reveal",
			}}),
		row("break-glass never lifts recusal", ask("reveal", "breakglass", brokenGlass, implicated), hidden("recused")),
		row("the auditor sees metadata", ask("read", "audit", as("auditor")), policytest.Answer{Allowed: true, Reason: "released", Groups: metaOnly}),
		row("an administrator sees nothing", ask("read", "incident", as("sysadmin")), hidden("admin_no_content")),
		row("a human does not act as an application", ask("create", "handle", as("application")),
			policytest.Answer{Reason: "no_role", Groups: map[string]string{}}),
	})
}

// TestNoTipOff compares all that a caller can see of two refusals: of the recused handler and of a stranger.
func TestNoTipOff(t *testing.T) {
	t.Parallel()
	e := newEngine(t)
	for _, action := range []string{"read", "list", "reveal", "amend", "trail"} {
		a := decide(t, e, ask(action, "handle", implicated))
		b := decide(t, e, ask(action, "handle", stranger))
		type seen struct {
			Answer                    policytest.Answer
			Rule, Article, Next, Why  string
			Obligations               []policy.Obligation
			TrueDiffers, FieldEffects bool
		}
		view := func(d policy.Decision) seen {
			ans := policytest.AnswerOf(d)
			ans.True = ""
			fields := false
			for _, effect := range d.Fields() {
				fields = fields || effect != policy.Deny
			}
			return seen{ans, d.Rule(), d.Article(), d.Next(), d.Why("phone"), d.Obligations(), d.TrueReason() != d.Reason(), fields}
		}
		if diff := cmp.Diff(view(a), view(b)); diff != "" {
			t.Errorf("%s tells the recused from the stranger:\n%s", action, diff)
		}
		if a.TrueReason() != "recused" || a.TrueRule() != "R5" || a.TrueArticle() != "6.1.5" {
			t.Errorf("%s: the log would not learn the true reason: %s", action, a.TrueReason())
		}
	}
}

func decide(t testing.TB, e *policy.Engine, r policy.Request) policy.Decision {
	t.Helper()
	d, err := e.Decide(context.Background(), r)
	if err != nil {
		t.Fatal(err)
	}
	return d
}

func TestUnfitReasons(t *testing.T) {
	t.Parallel()
	e := newEngine(t)
	for _, c := range []struct {
		unfit []string
		want  string
	}{
		{[]string{"training_expired"}, "training_expired"},
		{[]string{"budget_spent", "undertaking_missing"}, "undertaking_missing"},
		{[]string{"breakglass_unreviewed"}, "breakglass_unreviewed"},
		{[]string{"sunspots"}, "unfit"},
		{[]string{"released"}, "unfit"}, // a code that is no refusal explains nothing
	} {
		d := decide(t, e, ask("create", "handle", as("intake"), func(r *policy.Request) { r.Subject.Unfit = c.unfit }))
		if d.Allowed() || d.Reason() != c.want {
			t.Errorf("%v: allowed %v because of %q, want %q", c.unfit, d.Allowed(), d.Reason(), c.want)
		}
		r, ok := e.Reason(d.Reason())
		if !ok || r.Chinese == "" || r.English == "" || r.NextChinese == "" || r.NextEnglish == "" {
			t.Errorf("%s is not explained: %+v", d.Reason(), r)
		}
	}
}

func TestAdmitNeedsNoRecord(t *testing.T) {
	t.Parallel()
	e := newEngine(t)
	for _, c := range []struct {
		name string
		r    policy.Request
		want string // reason of the refusal, "" = admitted
	}{
		{"handler", ask("read", "handle"), ""},
		{"implicated handler is the record's affair", ask("read", "handle", implicated), ""},
		{"stranger is the record's affair", ask("reveal", "handle", stranger), ""},
		{"reviewer is the record's affair", ask("grant_review", "approve", as("head")), ""},
		{"list", ask("list", "handle"), ""},
		{"untrained", ask("read", "handle", func(r *policy.Request) { r.Subject.Unfit = []string{"training_expired"} }), "training_expired"},
		{"administrator", ask("reveal", "incident", as("secadmin")), "admin_no_content"},
		{"quality", ask("reveal", "quality", as("quality")), "quality_redacted_only"},
		{"foreign purpose", ask("read", "audit"), "purpose_not_for_role"},
		{"head who is a handler too", ask("transition", "approve", as("handler", "head"), func(r *policy.Request) { r.Transition = "approve" }), ""},
		{"excluded duties", ask("read", "handle", as("handler", "approver")), "duty_conflict"},
		{"no role", ask("read", "handle", as()), "no_role"},
	} {
		d, err := e.Admit(t.Context(), c.r)
		if err != nil {
			t.Fatalf("%s: %v", c.name, err)
		}
		if d.Allowed() != (c.want == "") || c.want != "" && d.Reason() != c.want {
			t.Errorf("%s: allowed %v because of %q, want %q", c.name, d.Allowed(), d.Reason(), c.want)
		}
		if d.MetaDenied() {
			t.Errorf("%s: an admission cannot hide a record", c.name)
		}
		for f, effect := range d.Fields() {
			if effect != policy.Deny {
				t.Errorf("%s: an admission opens %s", c.name, f)
			}
		}
	}
}

// TestAdmitAndDecideAgree: whoever is not admitted is refused on every record.
func TestAdmitAndDecideAgree(t *testing.T) {
	t.Parallel()
	if testing.Short() {
		t.Skip("asks OPA some five thousand times")
	}
	e := newEngine(t)
	for _, role := range policy.Roles() {
		for _, action := range policy.Actions() {
			for _, purpose := range policy.Purposes() {
				r := ask(action, purpose, as(role), granted(policy.Groups()...), brokenGlass, func(r *policy.Request) {
					r.Transition, r.Requester, r.Subject.Kind = "accept", "p-2", kindOf(role)
				})
				admitted, err := e.Admit(t.Context(), r)
				if err != nil {
					t.Fatal(err)
				}
				if d := decide(t, e, r); d.Allowed() && !admitted.Allowed() {
					t.Errorf("%s %s for %s is allowed but not admitted (%s)", role, action, purpose, admitted.Reason())
				}
			}
		}
	}
}

func kindOf(role string) string {
	switch role {
	case policy.KindPortal, policy.KindApplication:
		return role
	case "keeper":
		return policy.KindService
	}
	return policy.KindHuman
}

func TestBadRequestsRefuse(t *testing.T) {
	t.Parallel()
	e := newEngine(t)
	for _, c := range []struct {
		name   string
		change func(*policy.Request)
		want   error
		reason string
	}{
		{"no purpose", func(r *policy.Request) { r.Purpose = "" }, policy.ErrPurposeRequired, "purpose_required"},
		{"unknown purpose", func(r *policy.Request) { r.Purpose = "curiosity" }, policy.ErrUnknownPurpose, "purpose_unknown"},
		{"unknown action", func(r *policy.Request) { r.Action = "erase" }, policy.ErrUnknownAction, "not_evaluated"},
		{"unknown role", as("handler", "gardener"), policy.ErrUnknownAttribute, "not_evaluated"},
		{"unknown kind", func(r *policy.Request) { r.Subject.Kind = "ghost" }, policy.ErrUnknownAttribute, "not_evaluated"},
		{"unknown level", func(r *policy.Request) { r.Record.Level = "majr" }, policy.ErrUnknownAttribute, "not_evaluated"},
		{"unknown stage", func(r *policy.Request) { r.Record.Stage = "" }, policy.ErrUnknownAttribute, "not_evaluated"},
		{"unknown sensitivity", func(r *policy.Request) { r.Record.Sensitivity = "secret" }, policy.ErrUnknownAttribute, "not_evaluated"},
		{"no record", func(r *policy.Request) { r.Record = policy.Record{} }, policy.ErrRecordRequired, "not_evaluated"},
		{"unknown transition", func(r *policy.Request) { r.Action, r.Transition = "transition", "vanish" }, policy.ErrUnknownTransition, "not_evaluated"},
	} {
		d, err := e.Decide(t.Context(), ask("read", "handle", c.change))
		if !errors.Is(err, c.want) {
			t.Errorf("%s: error %v, want %v", c.name, err, c.want)
		}
		if d.Allowed() || d.Effect("channel") != policy.Deny || d.Reason() != c.reason || d.ID() == "" || !d.MetaDenied() {
			t.Errorf("%s: does not refuse cleanly: %q", c.name, d.Reason())
		}
	}
}

func TestZeroDecisionRefuses(t *testing.T) {
	t.Parallel()
	var d policy.Decision
	if d.Allowed() || !d.MetaDenied() || d.Effect("channel") != policy.Deny || d.Group("meta") != policy.Deny || d.Reason() != "not_evaluated" ||
		d.ID() != "" || d.Bundle() != "" || d.InputCommitment() != "" || d.Obligations() != nil || d.Sequence() != 0 {
		t.Error("the zero decision gives something away")
	}
	for f := range d.Fields() {
		t.Errorf("the zero decision has field %s", f)
	}
}

func TestFieldsFollowTheCatalogue(t *testing.T) {
	t.Parallel()
	d := decide(t, newEngine(t), ask("reveal", "handle"))
	for field, want := range map[string]policy.Effect{
		"phone": policy.Reveal, "respondent_name": policy.Mask, "whistle_report": policy.Deny, "cvn": policy.Deny, "stray": policy.Deny, "nowhere": policy.Deny,
	} {
		if got := d.Effect(field); got != want {
			t.Errorf("%s is %s, want %s", field, got, want)
		}
	}
	for field, want := range map[string]string{"cvn": "c3_never", "respondent_name": "field_not_released", "phone": "released"} {
		if got := d.Why(field); got != want {
			t.Errorf("%s because of %s, want %s", field, got, want)
		}
	}
	n := 0
	for range d.Fields() {
		n++
	}
	if n != len(catalogue().Fields) || !d.Obliged("state_reason") || d.Obliged("alarm") {
		t.Errorf("%d fields, obligations %v", n, d.Obligations())
	}
}

// TestKeeperIsTheServiceAlone: no token's kind can act as the service's own upkeep, and the service as nothing else.
func TestKeeperIsTheServiceAlone(t *testing.T) {
	t.Parallel()
	e := newEngine(t)
	for _, kind := range []string{policy.KindHuman, policy.KindApplication, policy.KindPortal, policy.KindService} {
		for _, role := range policy.Roles() {
			d := decide(t, e, ask("keep", "keeping", as(role), func(r *policy.Request) {
				r.Subject.Kind, r.Record.Sensitivity = kind, "whistle"
			}))
			if want := kind == policy.KindService && role == "keeper"; d.Allowed() != want {
				t.Errorf("%s as %s: allowed %v because of %s", kind, role, d.Allowed(), d.TrueReason())
			}
			for f, effect := range d.Fields() {
				if f == "phone" && effect != policy.Deny {
					t.Errorf("%s as %s is shown %s", kind, role, f)
				}
			}
		}
	}
}

// TestDisclosureOpensItsOwnGroups: the approved disclosure names groups; the package holds no other, and no reader gets them by it.
func TestDisclosureOpensItsOwnGroups(t *testing.T) {
	t.Parallel()
	e := newEngine(t)
	approved := func(r *policy.Request) {
		r.Subject.Grants = []policy.Grant{{Disclosure: true, Record: "c-1", Purpose: r.Purpose, Groups: []string{"narrative"}, From: at, Until: at.Add(time.Hour)}}
	}
	late := func(r *policy.Request) { r.At = at.Add(time.Hour) }
	policytest.Table(t, e, []policytest.Case{
		row("its own groups", ask("disclose", "legal", as("legal"), stranger, approved),
			policytest.Answer{Allowed: true, Reason: "released_grant", Groups: map[string]string{"meta": "reveal", "narrative": "reveal"}}),
		row("expired", ask("disclose", "legal", as("legal"), stranger, approved, late),
			policytest.Answer{Reason: "disclosure_not_approved", Groups: map[string]string{"meta": "reveal"}}),
		row("an access grant is none", ask("disclose", "legal", as("legal"), stranger, granted("narrative")),
			policytest.Answer{Reason: "disclosure_not_approved", Groups: map[string]string{"meta": "reveal"}}),
		row("it opens to no reader", ask("reveal", "legal", as("legal"), stranger, approved),
			policytest.Answer{Reason: "not_assigned", Groups: map[string]string{
				"meta": "reveal", "identity": "mask", "contact": "mask", "account": "mask", "narrative": "mask", "respondent": "mask",
				"handling": "mask", "decision": "mask", "amount": "mask", "feedback": "mask",
			}}),
	})
}

func TestPortalHidesStaff(t *testing.T) {
	t.Parallel()
	d := decide(t, newEngine(t), ask("read", "subject_request", as("portal"), func(r *policy.Request) {
		r.Subject.Kind, r.Subject.DataSubjectToken, r.Record.DataSubjectToken = policy.KindPortal, []byte("d-1"), []byte("d-1")
	}))
	if !d.Allowed() || d.Effect("assignee") != policy.Deny || d.Effect("complaint_no") != policy.Reveal {
		t.Errorf("allowed %v (%s), assignee %s", d.Allowed(), d.TrueReason(), d.Effect("assignee"))
	}
}

func TestDecisionNamesItsBundle(t *testing.T) {
	t.Parallel()
	e := newEngine(t)
	digest, archive := e.Bundle()
	a, b := decide(t, e, ask("read", "handle")), decide(t, e, ask("read", "handle"))
	if a.Bundle() != digest || len(archive) == 0 || a.Sequence() != 1 || e.Sequence() != 1 {
		t.Errorf("decision names %s/%d, engine %s/%d", a.Bundle(), a.Sequence(), digest, e.Sequence())
	}
	if a.ID() == b.ID() || len(a.ID()) != 24 {
		t.Errorf("ids %s and %s", a.ID(), b.ID())
	}
	if a.InputCommitment() != b.InputCommitment() || len(a.InputCommitment()) != 64 {
		t.Error("the same cell gives different commitments")
	}
	if c := decide(t, e, ask("read", "handle", stranger)); c.InputCommitment() == a.InputCommitment() {
		t.Error("different cells give the same commitment")
	}
	if a.Request().Record.ID != "c-1" {
		t.Error("the decision forgot its request")
	}
}

func TestActivateSwapsAside(t *testing.T) {
	t.Parallel()
	e := newEngine(t)
	before := decide(t, e, ask("read", "handle"))
	if err := e.Activate(t.Context(), fstest.MapFS{"a/x.rego": {Data: []byte("package sealtrail.x\n")}}); !errors.Is(err, policy.ErrBundle) {
		t.Errorf("a bundle without documents is activated: %v", err)
	}
	if e.Sequence() != 1 {
		t.Error("a failed activation counts")
	}
	if err := e.Activate(t.Context(), changed(t, "matrix.yaml", "mask: [narrative]", "mask: []")); err != nil {
		t.Fatal(err)
	}
	digest, _ := e.Bundle()
	if e.Sequence() != 2 || digest == before.Bundle() || before.Effect("phone") != policy.Mask {
		t.Error("the swap changed an older decision, or did not happen")
	}
	if d := decide(t, e, ask("read", "quality", as("quality"))); d.Group("narrative") != policy.Deny {
		t.Error("the new matrix is not in force")
	}
}

// TestConcurrentDecisions runs under the race detector too: one cache, many askers, a swap in between.
func TestConcurrentDecisions(t *testing.T) {
	t.Parallel()
	e := newEngine(t)
	var wg sync.WaitGroup
	for _, role := range []string{"intake", "handler", "head", "quality"} {
		wg.Go(func() {
			for _, action := range []string{"read", "reveal", "list", "read"} {
				if _, err := e.Decide(t.Context(), ask(action, "handle", as(role))); err != nil {
					t.Error(err)
				}
			}
		})
	}
	wg.Go(func() {
		if err := e.Activate(t.Context(), changed(t, "matrix.yaml", "mask: [narrative]", "mask: []")); err != nil {
			t.Error(err)
		}
	})
	wg.Wait()
}
