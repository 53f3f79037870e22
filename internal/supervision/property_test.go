package supervision

import (
	"slices"
	"testing"

	"pgregory.net/rapid"

	"github.com/sealtrail/sealtrail/audit"
)

// Entries of different subjects may change places, within one subject none.
func TestOrderOfUnrelatedEntriesDoesNotMatter(t *testing.T) {
	t.Parallel()
	leaves := synthetic(t, 40, 2)
	want := reportBytes(t, report(t, "2026-01", leaves))
	rapid.Check(t, func(rt *rapid.T) {
		got := reportBytes(t, report(t, "2026-01", interleave(rt, leaves)))
		if d, same := Compare([]byte(want), []byte(got)); !same {
			rt.Fatal(d)
		}
	})
}

// interleave shuffles the subjects' trails into each other, each trail in its own order.
func interleave(rt *rapid.T, leaves []audit.Leaf) []audit.Leaf {
	trails := map[string][]audit.Leaf{}
	var order []string
	for _, l := range leaves {
		order = append(order, l.Body.Subject)
		trails[l.Body.Subject] = append(trails[l.Body.Subject], l)
	}
	order = rapid.Permutation(order).Draw(rt, "order")
	out := make([]audit.Leaf, 0, len(leaves))
	for _, s := range order {
		out = append(out, trails[s][0])
		trails[s] = trails[s][1:]
	}
	return out
}

// A report in the middle changes nothing, and a view folds as its leaf does.
func TestFoldingOnIsFoldingAll(t *testing.T) {
	t.Parallel()
	leaves := synthetic(t, 60, 1)
	want := reportBytes(t, report(t, "2026-01", leaves))
	rapid.Check(t, func(rt *rapid.T) {
		f, err := New(period(t, "2026-01"))
		if err != nil {
			rt.Fatal(err)
		}
		stop := rapid.IntRange(0, len(leaves)).Draw(rt, "stop")
		for i, l := range leaves {
			if i == stop {
				if _, err := f.Report(inputs(t)); err != nil {
					rt.Fatal(err)
				}
			}
			if i%2 == 0 {
				err = f.Add(l)
			} else {
				err = f.AddView(viewOf(t, l))
			}
			if err != nil {
				rt.Fatal(err)
			}
		}
		r, err := f.Report(inputs(t))
		if err != nil {
			rt.Fatal(err)
		}
		if d, same := Compare([]byte(want), []byte(reportBytes(t, r))); !same {
			rt.Fatal(d)
		}
	})
}

// viewOf scans a leaf's own bytes.
func viewOf(t testing.TB, l audit.Leaf) *audit.LeafView {
	t.Helper()
	raw, err := l.Body.Canonical()
	if err != nil {
		t.Fatal(err)
	}
	var v audit.LeafView
	if err := audit.ScanLeaf(audit.AssembleLeaf(raw, l.Position), &v); err != nil {
		t.Fatal(err)
	}
	return &v
}

// Each figure's parts add up, whatever the log: levels, departments and weeks are the same cases cut three ways.
func TestBreakdownsAddUp(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(rt *rapid.T) {
		leaves := synthetic(t, rapid.IntRange(0, 80).Draw(rt, "complaints"), rapid.IntRange(1, 4).Draw(rt, "months"))
		r := report(t, rapid.SampledFrom([]string{"2026-01", "2026-02", "2026-Q1", "2026"}).Draw(rt, "period"), leaves)
		for _, f := range r.Figures {
			for what, rows := range map[string][]Row{"level": f.ByLevel, "department": f.ByDepartment, "week": f.Weeks} {
				if len(rows) > 0 && sum(rows) != nud(f.Value) {
					rt.Fatalf("%s: total %s, by %s %s", f.Definition.ID, nud(f.Value), what, sum(rows))
				}
			}
			if f.Definition.Measure != "reveals" && f.Value.Numerator > f.Value.Denominator {
				rt.Fatalf("%s: %s", f.Definition.ID, nud(f.Value))
			}
		}
		if f := r.Figure("M09"); r.Stock.sum("").Open != f.Value.Denominator {
			rt.Fatalf("stock holds %d, M09 %s", r.Stock.sum("").Open, nud(f.Value))
		}
	})
}

func sum(rows []Row) string {
	var c count
	for _, r := range rows {
		c.n, c.d, c.u = c.n+r.Value.Numerator, c.d+r.Value.Denominator, c.u+r.Value.Undecided
	}
	return nud(c.ratio())
}

// A report names no person: no alias of the log stands in it.
func TestReportNamesNobody(t *testing.T) {
	t.Parallel()
	leaves := synthetic(t, 50, 1)
	got := reportBytes(t, report(t, "2026-01", leaves))
	for _, l := range leaves {
		if id := l.Body.Actor.ID; slices.Contains([]string{"service-1", "head-1"}, id) == false && len(id) > 0 {
			if indexQuoted(got, id) {
				t.Fatalf("alias %s stands in the report", id)
			}
		}
		if indexQuoted(got, l.Body.Subject) {
			t.Fatalf("subject %s stands in the report", l.Body.Subject)
		}
	}
}
