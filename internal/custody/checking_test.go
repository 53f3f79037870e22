package custody_test

import (
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/sealtrail/sealtrail/internal/custody"
)

const noSuchComplaint = "7d0c1b52-5a7e-4b0c-9a3f-0b6b0e7a1c11"

// A dry check says what the act would have said, and no more: what it allows
// works, what it refuses is refused, and a record that is hidden looks like one
// that does not exist.
func TestDryCheckAgreesWithTheAct(t *testing.T) {
	t.Parallel()
	h := open(t)
	created := h.file(1)
	h.walk(created, "accept", "classify", "assign")
	for _, person := range []string{"ivy", "han", "hugo", "quinn", "aud"} {
		c := h.as(person)
		for _, purpose := range []string{"handle", "quality", "audit"} {
			list, err := h.CheckDecisions(t.Context(), c, purpose, []custody.Check{
				{Action: "read", Complaint: created.ID}, {Action: "reveal", Complaint: created.ID, Fields: []string{"phone"}},
				{Action: "trail", Complaint: created.ID}, {Action: "read", Complaint: noSuchComplaint}})
			if err != nil {
				t.Fatal(err)
			}
			_, readErr := h.Read(t.Context(), c, custody.ReadRequest{ID: created.ID, Purpose: purpose})
			_, revealErr := h.Reveal(t.Context(), c, custody.RevealRequest{ID: created.ID, Purpose: purpose, Fields: []string{"phone"}, Reason: "as checked"})
			_, trailErr := h.Trail(t.Context(), c, created.ID, purpose)
			got := []bool{list[0].Allowed, list[1].Allowed, list[2].Allowed, list[3].Allowed}
			if want := []bool{readErr == nil, revealErr == nil, trailErr == nil, false}; !slices.Equal(got, want) {
				t.Errorf("%s for %s: checked %v, did %v (%v, %v, %v)", person, purpose, got, want, readErr, revealErr, trailErr)
			}
			for i, e := range list {
				if e.Audit.Entry == 0 {
					t.Errorf("%s for %s: question %d is no entry", person, purpose, i)
				}
			}
		}
	}
}

func TestDryCheckHidesWhatTheActHides(t *testing.T) {
	t.Parallel()
	h := open(t)
	created, err := h.Create(t.Context(), h.as("ivy"), custody.CreateRequest{Purpose: "handle", Draft: draft(1)}) // about hugo
	must(t, err)
	list, err := h.CheckDecisions(t.Context(), h.as("hugo"), "handle", []custody.Check{
		{Action: "read", Complaint: created.ID}, {Action: "read", Complaint: noSuchComplaint}})
	must(t, err)
	hidden, none := list[0], list[1]
	hidden.Complaint, none.Complaint, hidden.Audit, none.Audit = "", "", custody.AuditRef{}, custody.AuditRef{}
	if diff := cmp.Diff(none, hidden); diff != "" || hidden.Allowed {
		t.Errorf("a hidden record and none differ (-none +hidden):\n%s", diff)
	}
}

func TestDryCheckRefusesBadQuestions(t *testing.T) {
	t.Parallel()
	h := open(t)
	for name, list := range map[string][]custody.Check{
		"none": nil, "too many": make([]custody.Check, custody.MaxChecks+1), "no such action": {{Action: "fly"}},
		"no such field": {{Action: "read", Fields: []string{"shoe_size"}}}, "a transition of a reading": {{Action: "read", Transition: "accept"}},
	} {
		if _, err := h.CheckDecisions(t.Context(), h.as("ivy"), "handle", list); err == nil {
			t.Errorf("%s: accepted", name)
		}
	}
}

// However many questions somebody asks about a record, its trail holds what was
// done on it.
func TestDryChecksStayOutOfTheTrail(t *testing.T) {
	t.Parallel()
	h := open(t)
	created := h.file(1)
	length := func() int {
		t.Helper()
		trail, err := h.Trail(t.Context(), h.as("aud"), created.ID, "audit")
		must(t, err)
		return len(trail.Items)
	}
	before := length()
	questions := slices.Repeat([]custody.Check{{Action: "read", Complaint: created.ID}}, custody.MaxChecks)
	_, err := h.CheckDecisions(t.Context(), h.as("han"), "handle", questions)
	must(t, err)
	if after := length(); after != before+1 { // the trail that was read before
		t.Errorf("the trail grew from %d to %d", before, after)
	}
}
