package policy

import (
	"context"
	"testing"

	"github.com/open-policy-agent/opa/v1/ast"
	"github.com/open-policy-agent/opa/v1/rego"
	"github.com/open-policy-agent/opa/v1/storage/inmem"

	"github.com/sealtrail/sealtrail/policy/confidentiality"
)

// bg is the context of what no test's end should cancel.
var bg = context.Background()

// groupCatalogue has two fields per group and one of class C3.
func groupCatalogue() Catalogue {
	var c Catalogue
	for _, g := range groups {
		c.Fields = append(c.Fields, Field{Name: g + "_1", Group: g, Class: "C2"}, Field{Name: g + "_2", Group: g, Class: "C2"})
	}
	c.Fields = append(c.Fields, Field{Name: "cvn", Group: "account", Class: "C3"})
	return c
}

func newTestSnapshot(t testing.TB) *Snapshot {
	t.Helper()
	b, err := readBundle(confidentiality.Files())
	if err != nil {
		t.Fatal(err)
	}
	s, err := newSnapshot(bg, b, Config{Catalogue: groupCatalogue()}, 1)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// BenchmarkCold measures one decision through OPA, for one role and for two.
func BenchmarkCold(b *testing.B) {
	s := newTestSnapshot(b)
	one := attributes{roles: 1 << 1, action: 3, facts: factFit | factAssigned | factUnit | factCleared}
	for name, a := range map[string]attributes{
		"reveal":  one,
		"read":    {roles: 1 << 1, action: 1, facts: one.facts},
		"refused": {roles: 1 << 3, action: 3, purpose: 2, facts: one.facts},
		"pair":    {roles: 1<<1 | 1<<2, action: 1, facts: one.facts},
	} {
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				if _, err := s.evaluate(b.Context(), a); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

// BenchmarkSnapshot measures an activation: read, compile, lay out views, prepare.
func BenchmarkSnapshot(b *testing.B) {
	for b.Loop() {
		newTestSnapshot(b)
	}
}

// BenchmarkLookupAndSpread measures the cache alone, to the effect of every field. Goal: 200 ns, 0 allocations.
func BenchmarkLookupAndSpread(b *testing.B) {
	s := newTestSnapshot(b)
	a := attributes{roles: 1 << 1, action: 3, facts: factFit | factAssigned | factUnit | factCleared}
	b.ReportAllocs()
	for b.Loop() {
		c, err := s.lookup(bg, a, 0)
		if err != nil {
			b.Fatal(err)
		}
		var open int
		for _, e := range c.fields {
			if e == Reveal {
				open++
			}
		}
		if open == 0 {
			b.Fatal("nothing is open")
		}
	}
}

// prepareStock prepares the decision as stock OPA would: every package of the bundle as it is.
func prepareStock(b *bundle) (rego.PreparedEvalQuery, error) {
	c, err := compile(b.modules)
	if err != nil {
		return rego.PreparedEvalQuery{}, err
	}
	return rego.New(rego.Compiler(c), rego.Store(inmem.NewFromObject(b.data)), rego.StrictBuiltinErrors(true),
		rego.Query("data.sealtrail.access.decision"),
		rego.GenerateJSON(func(t *ast.Term, _ *rego.EvalContext) (any, error) { return t.Value, nil })).PrepareForEval(bg)
}

func stockDecision(q rego.PreparedEvalQuery, s *Snapshot, a attributes, role int) (*cell, error) {
	rs, err := q.Eval(bg, rego.EvalParsedInput(s.terms.input(a, role)))
	if err != nil {
		return nil, err
	}
	return s.decode(rs[0].Expressions[0].Value.(ast.Object))
}
