package policytest_test

import (
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/sealtrail/sealtrail/policy"
	"github.com/sealtrail/sealtrail/policy/policytest"
)

func TestTableAndAnswers(t *testing.T) {
	t.Parallel()
	e, err := policy.New(t.Context(), policy.Config{Catalogue: policy.Catalogue{Fields: []policy.Field{{Name: "phone", Group: "contact", Class: "C2"}}}})
	if err != nil {
		t.Fatal(err)
	}
	request := policy.Request{
		Action: "read", Purpose: "handle", Subject: policy.Subject{ID: "a-1", Kind: policy.KindApplication, Roles: []string{"application"}},
		Record: policy.Record{ID: "c-1", Level: "general", Stage: "open", Sensitivity: "ordinary"},
	}
	policytest.Table(t, e, []policytest.Case{{
		Name: "an application sees metadata", Request: request,
		Want: policytest.Answer{Allowed: true, Reason: "released", Groups: map[string]string{"meta": "reveal"}},
	}})
	request.Record.Sensitivity = "whistle"
	d, err := e.Decide(t.Context(), request)
	if err != nil {
		t.Fatal(err)
	}
	want := policytest.Answer{Reason: "not_found", True: "whistle_compliance_only", Hidden: true, Groups: map[string]string{}}
	if diff := cmp.Diff(want, policytest.AnswerOf(d)); diff != "" {
		t.Errorf("answer differs (-want +got):\n%s", diff)
	}
}
