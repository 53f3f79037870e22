package policy_test

import (
	"context"
	"testing"
	"time"

	"github.com/sealtrail/sealtrail/policy"
)

// at is the clock of these tests.
var at = time.Date(2026, 3, 2, 9, 0, 0, 0, time.UTC)

// catalogue has a few fields of every group, 32 in all, as the service's own has.
func catalogue() policy.Catalogue {
	var c policy.Catalogue
	for group, names := range map[string][]string{
		"meta":     {"complaint_no", "received_at", "channel", "stage", "level", "assignee", "department", "branch", "legal_hold"},
		"identity": {"complainant_name", "representative_name", "id_number", "birth_date", "address"}, "contact": {"phone", "email"},
		"account": {"bank_card", "account_no", "transactions"}, "narrative": {"narrative", "demand"},
		"respondent": {"respondent_staff_id", "respondent_name"}, "handling": {"contact_notes", "findings", "plan"},
		"decision": {"decision_text"}, "amount": {"amount_claimed", "amount_paid"}, "feedback": {"satisfaction_reason"}, "whistle": {"whistle_report"},
	} {
		for _, n := range names {
			class := "C2"
			if group == "meta" {
				class = "C1"
			}
			c.Fields = append(c.Fields, policy.Field{Name: n, Group: group, Class: class})
		}
	}
	c.Fields = append(c.Fields, policy.Field{Name: "cvn", Group: "account", Class: "C3"}, policy.Field{Name: "stray", Group: "unheard_of", Class: "C2"})
	return c
}

func newEngine(t testing.TB) *policy.Engine {
	t.Helper()
	e, err := policy.New(context.Background(), policy.Config{Catalogue: catalogue()})
	if err != nil {
		t.Fatal(err)
	}
	return e
}

// handlerRequest is the assigned, fit handler who reads a complaint of his own unit.
func handlerRequest(action string) policy.Request {
	return policy.Request{
		Institution: "demo", Action: action, Purpose: "handle", At: at,
		Subject: policy.Subject{ID: "p-1", Kind: policy.KindHuman, Roles: []string{"handler"}, Department: "cards", Level: 2, StaffToken: []byte("token-1")},
		Record: policy.Record{
			ID: "c-1", Department: "cards", Assignee: "p-1", Level: "serious", Stage: "open", Sensitivity: "ordinary",
			RespondentTokens: [][]byte{[]byte("token-9")},
		},
	}
}

func TestDecide(t *testing.T) {
	t.Parallel()
	e := newEngine(t)
	d, err := e.Decide(t.Context(), handlerRequest("reveal"))
	if err != nil {
		t.Fatal(err)
	}
	t.Log(d.Allowed(), d.Reason(), d.Rule(), d.Group("identity"), d.Effect("phone"), d.Effect("respondent_name"), d.Obligations(), d.InputCommitment())
}

func BenchmarkDecideWarm(b *testing.B) {
	e := newEngine(b)
	r := handlerRequest("reveal")
	b.ReportAllocs()
	for b.Loop() {
		d, err := e.Decide(b.Context(), r)
		if err != nil || !d.Allowed() {
			b.Fatal(err, d.Reason())
		}
	}
}
