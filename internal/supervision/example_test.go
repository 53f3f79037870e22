package supervision_test

import (
	"context"
	"fmt"
	"time"

	"github.com/sealtrail/sealtrail/audit"
	"github.com/sealtrail/sealtrail/audit/audittest"
	"github.com/sealtrail/sealtrail/internal/supervision"
)

// event is an entry of the demo's log, at nine in the morning of a day in January 2026.
func event(day int, kind, subject string, facts audit.Facts) audit.Body {
	return audit.Body{
		Institution: "demo-bank", At: time.Date(2026, 1, day, 1, 0, 0, 0, time.UTC), Stage: audit.StageEvent, Kind: kind,
		Actor: audit.Actor{ID: "p-1"}, Subject: subject, Nonce: [16]byte{1}, Facts: facts,
	}
}

// A service publishes what figures rest on; whoever has the folder and the key computes them.
func ExampleFromFolder() {
	log := audittest.New(audittest.Config{})
	for _, p := range supervision.Publications() {
		log.PutBlob(p.Data)
		facts := audit.Facts{"digest": p.Digest}
		if p.What != "" {
			facts["what"] = p.What
		}
		log.Append(event(1, p.Kind, "service", facts))
	}
	received := audit.Facts{"received_at": "2026-01-05T01:00:00.000000Z", "level": "general"}
	log.Append(event(5, "complaint.recorded", "complaint:a", received), event(20, "complaint.notified", "complaint:a", nil),
		event(31, "service.started", "service", nil))

	period, err := supervision.ParsePeriod("2026-01")
	if err != nil {
		fmt.Println(err)
		return
	}
	r, err := supervision.FromFolder(context.Background(), log.Folder(), log.VerifierKey(), period)
	if err != nil {
		fmt.Println(err)
		return
	}
	for _, id := range []string{"M06", "M07", "M16"} {
		f := r.Figure(id)
		fmt.Printf("%s %d/%d undecided %d, n/a %v %q\n", id, f.Value.Numerator, f.Value.Denominator, f.Value.Undecided, f.Value.BasisPoints == nil, f.Note)
	}
	// Output:
	// M06 0/0 undecided 0, n/a true "norm_not_adopted"
	// M07 1/1 undecided 0, n/a false ""
	// M16 0/0 undecided 0, n/a true ""
}

// The first place where two reports part is named by figure and JSON pointer.
func ExampleCompare() {
	d, same := supervision.Compare(
		[]byte(`{"figures":[{"definition":{"id":"M07"},"value":{"numerator":9}}]}`),
		[]byte(`{"figures":[{"definition":{"id":"M07"},"value":{"numerator":7}}]}`))
	fmt.Println(same, d)
	// Output: false M07 at /figures/0/value/numerator: report says 9, the log gives 7
}

func ExampleParsePeriod() {
	p, err := supervision.ParsePeriod("2026-Q1")
	fmt.Println(p.From.Format(time.RFC3339), p.To.Format(time.RFC3339), err)
	// Output: 2026-01-01T00:00:00+08:00 2026-04-01T00:00:00+08:00 <nil>
}
