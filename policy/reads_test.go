package policy

import (
	"slices"
	"strings"
	"testing"

	"github.com/open-policy-agent/opa/v1/ast"
	"github.com/open-policy-agent/opa/v1/dependencies"

	"github.com/sealtrail/sealtrail/policy/confidentiality"
)

// TestAccessReadsTheListedAttributesOnly proves with OPA's own dependency analysis that the decision depends on the finite attributes and
// the bundle's data, and on nothing else. What an action does not read (domain.json) the engine fixes before it asks.
func TestAccessReadsTheListedAttributesOnly(t *testing.T) {
	t.Parallel()
	b, err := readBundle(confidentiality.Files())
	if err != nil {
		t.Fatal(err)
	}
	c, err := compile(b.modules)
	if err != nil {
		t.Fatal(err)
	}
	refs, err := dependencies.Base(c, ast.MustParseBody("data.sealtrail.access.decision"))
	if err != nil {
		t.Fatal(err)
	}
	listed := []string{"input.role", "input.roles", "input.action", "input.purpose", "input.stage", "input.sensitivity", "input.step"}
	for _, f := range facts {
		listed = append(listed, "input.facts."+f)
	}
	inputs := 0
	for _, r := range refs {
		name := r.GroundPrefix().String()
		switch {
		case strings.HasPrefix(name, "input"):
			inputs++
			if !slices.ContainsFunc(listed, func(l string) bool { return name == l || strings.HasPrefix(name, l+"[") }) {
				t.Errorf("the decision reads %s", r)
			}
		case strings.HasPrefix(name, "data."):
			if _, ok := b.data[strings.Split(name, ".")[1]]; !ok {
				t.Errorf("the decision reads %s, which is not in the bundle", r)
			}
		default:
			t.Errorf("the decision reads %s", r)
		}
	}
	if inputs < len(facts) {
		t.Errorf("only %d references to the input found in %v", inputs, refs)
	}
}

// TestOnlySeparationLooksAtOtherRoles is why the domain needs no more than one point per pair of roles: no other rule reads input.roles.
func TestOnlySeparationLooksAtOtherRoles(t *testing.T) {
	t.Parallel()
	b, err := readBundle(confidentiality.Files())
	if err != nil {
		t.Fatal(err)
	}
	var readers []string
	for name, m := range b.modules {
		for _, r := range m.Rules {
			uses := false
			ast.WalkRefs(r, func(ref ast.Ref) bool {
				uses = uses || strings.HasPrefix(ref.String(), "input.roles")
				return false
			})
			if uses {
				readers = append(readers, name+" "+r.Head.Ref().String())
			}
		}
	}
	slices.Sort(readers)
	want := []string{"access/access.rego each[role]", "r12_separation/rule.rego nothing"}
	if !slices.Equal(readers, want) {
		t.Errorf("input.roles is read by %v, expected %v", readers, want)
	}
}

// TestViewsInPlaceChangeNothing compares the engine, which evaluates the views once, with stock OPA, which evaluates them every time.
func TestViewsInPlaceChangeNothing(t *testing.T) {
	t.Parallel()
	fast := newTestSnapshot(t)
	b, err := readBundle(confidentiality.Files())
	if err != nil {
		t.Fatal(err)
	}
	slow, err := prepareStock(b)
	if err != nil {
		t.Fatal(err)
	}
	var matrix map[string]matrixRow
	if err := b.decode("matrix", &matrix); err != nil {
		t.Fatal(err)
	}
	n := 0
	for a := range fast.points(matrix) {
		if n++; n%4999 != 0 { // a prime step spreads the sample over all attributes
			continue
		}
		role := index(roles, firstRole(a.roles))
		want, err := stockDecision(slow, fast, a, role)
		if err != nil {
			t.Fatal(err)
		}
		got, err := fast.evaluateRole(bg, a, role)
		if err != nil {
			t.Fatal(err)
		}
		if got.fingerprint() != want.fingerprint() {
			t.Errorf("%s: %s with views in place, %s without", a.describe(), got.fingerprint(), want.fingerprint())
		}
	}
}

func firstRole(bits uint32) string {
	for i, r := range roles {
		if bits&(1<<i) != 0 {
			return r
		}
	}
	return ""
}
