package policy_test

import (
	"context"
	"fmt"
	"time"

	"github.com/sealtrail/sealtrail/policy"
	"github.com/sealtrail/sealtrail/policy/confidentiality"
)

// A quality reviewer asks for an ID number: refused, with rule, article and what to do instead.
func ExampleEngine_Decide() {
	engine, err := policy.New(context.Background(), policy.Config{Catalogue: policy.Catalogue{Fields: []policy.Field{
		{Name: "id_number", Group: "identity", Class: "C2"}, {Name: "narrative", Group: "narrative", Class: "C2"},
	}}})
	if err != nil {
		fmt.Println(err)
		return
	}
	d, err := engine.Decide(context.Background(), policy.Request{
		Institution: "demo", Action: "reveal", Purpose: "quality", At: time.Date(2026, 3, 2, 9, 0, 0, 0, time.UTC),
		Subject: policy.Subject{ID: "p-7", Kind: policy.KindHuman, Roles: []string{"quality"}, StaffToken: []byte("t-7")},
		Record:  policy.Record{ID: "c-1", Department: "cards", Level: "general", Stage: "open", Sensitivity: "ordinary"},
	})
	if err != nil {
		fmt.Println(err)
		return
	}
	reason, _ := engine.Reason(d.Reason())
	fmt.Println(d.Allowed(), d.Effect("id_number"), d.Effect("narrative"))
	fmt.Println(d.Rule(), d.Article(), d.Reason())
	fmt.Println(reason.English, reason.NextEnglish)
	// Output:
	// false deny deny
	// R14 6.1.14 quality_redacted_only
	// A quality reviewer sees the redacted narrative only. Ask the handler for redacted material.
}

// The zero decision refuses: code that forgets to ask opens nothing.
func ExampleDecision() {
	var d policy.Decision
	fmt.Println(d.Allowed(), d.Effect("phone"), d.Reason())
	// Output: false deny not_evaluated
}

// Check is what sealtraild policy check runs before a bundle may be activated.
func ExampleCheck() {
	found, err := policy.Check(context.Background(), confidentiality.Files())
	fmt.Println(len(found), err)
	// Output: 0 <nil>
}
