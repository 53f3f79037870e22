package custody_test

import (
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/sealtrail/sealtrail/internal/complaint"
	"github.com/sealtrail/sealtrail/policy"
)

// TestPolicyAndRegistryUseTheSameWords: neither may know the other, so the
// comparison stands where both are known.
func TestPolicyAndRegistryUseTheSameWords(t *testing.T) {
	t.Parallel()
	for set, words := range map[string][]string{"role": policy.Roles(), "purpose": policy.Purposes(), "action": policy.Actions(), "group": policy.Groups(),
		"stage": policy.Stages(), "sensitivity": policy.Sensitivities(), "fact": policy.Facts()} {
		want := complaint.Registry().Allowed(set)
		slices.Sort(want)
		slices.Sort(words)
		if diff := cmp.Diff(want, words); diff != "" {
			t.Errorf("%s (-registry +policy):\n%s", set, diff)
		}
	}
}

// TestTransitionsAreDoneByTheRolesOfTheRegistry asks the embedded chapter, for
// each role and transition, whether the most favoured person may ever do it.
func TestTransitionsAreDoneByTheRolesOfTheRegistry(t *testing.T) {
	t.Parallel()
	e := engine(t)
	for _, act := range complaint.Registry().Transitions {
		var may []string
		for _, role := range policy.Roles() {
			if everAllowed(t, e, role, act.Name) {
				may = append(may, role)
			}
		}
		want := slices.Sorted(slices.Values(act.Roles))
		slices.Sort(may)
		if diff := cmp.Diff(want, may); diff != "" {
			t.Errorf("%s (-registry +policy):\n%s", act.Name, diff)
		}
	}
}

func everAllowed(t *testing.T, e *policy.Engine, role, transition string) bool {
	t.Helper()
	kind := policy.KindHuman
	switch role {
	case "portal":
		kind = policy.KindPortal
	case "application":
		kind = policy.KindApplication
	case "keeper":
		kind = policy.KindService
	}
	for _, purpose := range policy.Purposes() {
		for _, sensitivity := range policy.Sensitivities() {
			for _, assignee := range []string{"p", "somebody else"} { // nobody approves her own work
				d, err := e.Decide(t.Context(), policy.Request{Institution: "bank", Action: "transition", Purpose: purpose, Transition: transition, At: time.Now(),
					Subject: policy.Subject{ID: "p", Kind: kind, Roles: []string{role}, Department: "d", Level: 3, DataSubjectToken: []byte("own")},
					Record:  policy.Record{ID: "r", Department: "d", Assignee: assignee, Level: "general", Stage: "open", Sensitivity: sensitivity, DataSubjectToken: []byte("own")}})
				if err != nil {
					t.Fatalf("%s by %s: %v", transition, role, err)
				}
				if d.Allowed() {
					return true
				}
			}
		}
	}
	return false
}
