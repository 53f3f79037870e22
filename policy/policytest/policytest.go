// Package policytest lets a program test its policy: that a bundle is fit for activation, and that requests get the answers that a table
// says. It tests against the real engine; there is no stand-in for it.
package policytest

import (
	"io/fs"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/sealtrail/sealtrail/policy"
)

// Fit fails the test for every finding of policy.Check: format, strict compilation, schemas, words, register, tests, full coverage.
func Fit(t *testing.T, bundle fs.FS) {
	t.Helper()
	found, err := policy.Check(t.Context(), bundle)
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range found {
		t.Error(f)
	}
}

// Case is one row of a decision table.
type Case struct {
	Name    string
	Request policy.Request
	// Want is the expected answer.
	Want Answer
}

// Answer is what a table says about a decision. Groups lists the groups that are not denied, by name.
type Answer struct {
	Allowed bool
	// Reason is the public reason code; True the one for the log, when it differs.
	Reason, True string
	// Hidden says that the caller must be answered as for an unknown record.
	Hidden bool
	Groups map[string]string
}

// Table asks the engine every case and compares.
func Table(t *testing.T, e *policy.Engine, cases []Case) {
	t.Helper()
	for _, c := range cases {
		t.Run(c.Name, func(t *testing.T) {
			t.Parallel()
			d, err := e.Decide(t.Context(), c.Request)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(c.Want, AnswerOf(d)); diff != "" {
				t.Errorf("decision differs (-want +got):\n%s", diff)
			}
		})
	}
}

// AnswerOf reads a decision as a table would write it.
func AnswerOf(d policy.Decision) Answer {
	a := Answer{Allowed: d.Allowed(), Reason: d.Reason(), Hidden: d.MetaDenied(), Groups: map[string]string{}}
	if d.TrueReason() != d.Reason() {
		a.True = d.TrueReason()
	}
	for _, g := range policy.Groups() {
		if effect := d.Group(g); effect != policy.Deny {
			a.Groups[g] = effect.String()
		}
	}
	return a
}
