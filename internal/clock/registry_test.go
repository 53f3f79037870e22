package clock_test

import (
	"slices"
	"testing"

	"github.com/sealtrail/sealtrail/internal/clock"
	"github.com/sealtrail/sealtrail/internal/complaint"
)

// TestClocksAndTransitionsAgree: a clock starts and stops with the events of
// exactly those transitions that the registry says open and close it.
func TestClocksAndTransitionsAgree(t *testing.T) {
	t.Parallel()
	known := append(clock.CNLaw().Clocks, clock.Norm().Clocks...)
	for _, d := range known {
		for _, event := range []string{d.Start, d.Stop} {
			if _, ok := complaint.Registry().Event(event); !ok && event != clock.StartReceived {
				t.Errorf("%s: event %s is not in the registry", d.ID, event)
			}
		}
		for _, ref := range d.Referral {
			if err := complaint.CheckMember("referral", ref); err != nil {
				t.Errorf("%s: %v", d.ID, err)
			}
		}
	}
	for _, tr := range complaint.Registry().Transitions {
		for _, d := range known {
			if got, want := slices.Contains(tr.Opens, d.ID), d.Start == tr.Event; got != want {
				t.Errorf("%s opens %s: the registry says %v, the clock %v", tr.Name, d.ID, got, want)
			}
			if got, want := slices.Contains(tr.Closes, d.ID), d.Stop == tr.Event; got != want {
				t.Errorf("%s closes %s: the registry says %v, the clock %v", tr.Name, d.ID, got, want)
			}
		}
	}
}
