package custody_test

import (
	"errors"
	"testing"

	"github.com/sealtrail/sealtrail/internal/custody"
)

// TestTooManyHitsAreAnEntryToo: that a search finds more than a file holds is an
// answer, so that the question stands in the log before it is given.
func TestTooManyHitsAreAnEntryToo(t *testing.T) { //nolint:paralleltest // sets limits of the package
	custody.SetLimits(t, 1)
	h := openTapped(t, taps{config: func(c *custody.Config) { c.Published = noFolder{} }})
	one := h.file(1)
	h.walk(one, "accept", "classify", "assign")
	h.answered()
	h.searchable()
	var wrong *custody.InvalidError
	_, err := h.Evidence(t.Context(), h.as("aud"), custody.EvidenceRequest{Purpose: "audit", Query: "subject:" + one.ID})
	if !errors.As(err, &wrong) || wrong.Problems[0].Code != "too_long" {
		t.Fatalf("a bundle: %v", err)
	}
	encode := func([]custody.LogEntry) ([]byte, error) { return nil, errors.New("nothing is given") }
	_, _, err = h.ExportLog(t.Context(), h.as("aud"), custody.LogSearch{Purpose: "audit", Text: "subject:" + one.ID}, 0, encode)
	if !errors.As(err, &wrong) || wrong.Problems[0].Code != "query_too_large" {
		t.Fatalf("an export: %v", err)
	}
	h.answered()
	h.searchable()
	if n := len(h.searchLog("aud", "action:access.log").Items); n != 2 {
		t.Errorf("%d entries of 2 questions", n)
	}
	if _, err := h.Evidence(t.Context(), h.as("aud"), custody.EvidenceRequest{Purpose: "audit", Complaint: one.ID, Since: make([]uint64, 101)}); !errors.As(err, &wrong) {
		t.Errorf("101 sizes: %v", err)
	}
}

// noFolder is a published log that nobody gets to.
type noFolder struct{ custody.Published }
