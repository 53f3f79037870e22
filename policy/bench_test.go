package policy_test

import (
	"testing"

	"github.com/sealtrail/sealtrail/policy"
)

// BenchmarkDecideWarm measures a request from relations to the effects of all fields. Goal: 2 us, 4 allocations.
func BenchmarkDecideWarm(b *testing.B) {
	e := newEngine(b)
	r := ask("reveal", "handle")
	b.ReportAllocs()
	for b.Loop() {
		d, err := e.Decide(b.Context(), r)
		if err != nil || !d.Allowed() {
			b.Fatal(err, d.Reason())
		}
		open := 0
		for _, effect := range d.Fields() {
			if effect == policy.Reveal {
				open++
			}
		}
		if open == 0 {
			b.Fatal("nothing is open")
		}
	}
}

// BenchmarkDecideWarmGranted is the same with a grant that narrows the groups.
func BenchmarkDecideWarmGranted(b *testing.B) {
	e := newEngine(b)
	r := ask("reveal", "handle", stranger, granted("contact"))
	b.ReportAllocs()
	for b.Loop() {
		d, err := e.Decide(b.Context(), r)
		if err != nil || !d.Allowed() {
			b.Fatal(err, d.Reason())
		}
	}
}
