package policy

import (
	"context"
	"testing"

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
