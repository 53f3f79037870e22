package custody_test

import (
	"testing"

	"github.com/sealtrail/sealtrail/internal/custody"
)

// The trail says of every reason that was given whether it is still there. One
// that somebody deleted by SQL is missing, and is not taken for one that was
// erased or that nobody may see.
func TestTrailTellsAMissingReasonFromAWithheldOne(t *testing.T) {
	t.Parallel()
	h := open(t)
	created := h.file(1)
	h.walk(created, "accept", "classify", "assign")
	_, err := h.Reveal(t.Context(), h.as("han"), custody.RevealRequest{ID: created.ID, Purpose: "handle", Fields: []string{"phone"}, Reason: "call back"})
	must(t, err)
	state := func() string {
		t.Helper()
		trail, err := h.Trail(t.Context(), h.as("aud"), created.ID, "audit")
		must(t, err)
		for _, i := range trail.Items {
			if i.Kind == "access.reveal" {
				return i.Openings["reason"]
			}
		}
		t.Fatal("the trail has no reveal")
		return ""
	}
	h.answered()
	if got := state(); got != "withheld" {
		t.Errorf("a kept reason is %q", got)
	}
	_, err = h.admin.Exec(t.Context(), "delete from audit.opening where institution = $1", h.institution)
	must(t, err)
	if got := state(); got != "missing" {
		t.Errorf("a deleted reason is %q", got)
	}
}
