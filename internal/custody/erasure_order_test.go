package custody_test

import (
	"errors"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/sealtrail/sealtrail/audit/verify"
	"github.com/sealtrail/sealtrail/internal/custody"
)

// model is what must be true of one closed record, kept by the test: a record is
// erased by an approval if and only if no hold is open and retention has ended.
type model struct {
	h       *archive
	c       *custody.Created
	ends    time.Time // of retention
	open    []*custody.LegalHold
	asked   map[string]bool
	waiting *custody.Erasure
	erased  bool
}

// step is one act that somebody may do at any time.
func (m *model) step(t *rapid.T, act string) {
	switch act {
	case "place":
		hold, err := m.h.PlaceHold(m.h.t.Context(), m.h.keeper("lea"), custody.LegalHold{Complaint: m.c.ID, Reason: "supervision", Reference: "no 1"})
		m.gone(t, act, err)
		if err == nil {
			m.open = append(m.open, hold)
		}
	case "ask":
		if len(m.open) > 0 {
			_, err := m.h.AskHoldRelease(m.h.t.Context(), m.h.keeper("lea"), m.open[0].ID)
			if err != nil {
				t.Fatalf("asking for a release: %v", err)
			}
			m.asked[m.open[0].ID] = true
		}
	case "release":
		m.release(t)
	case "years":
		m.h.later(1, 1)
	case "request":
		e, err := m.h.RequestErasure(m.h.t.Context(), m.h.keeper("rex"), custody.ErasureRequest{Purpose: "legal", Scope: "record", Complaint: m.c.ID, Basis: "court_order"})
		if m.waiting != nil && err == nil {
			t.Fatal("two requests wait at once")
		}
		if m.waiting == nil {
			m.gone(t, act, err)
		}
		if err == nil {
			m.waiting = e
		}
	case "refuse":
		m.review(t, false)
	case "approve":
		m.review(t, true)
	}
}

// gone: after the erasure every act says so, before it none fails.
func (m *model) gone(t *rapid.T, act string, err error) {
	if m.erased != errors.Is(err, custody.ErrShredded) || !m.erased && err != nil {
		t.Fatalf("%s with erased=%t: %v", act, m.erased, err)
	}
}

func (m *model) release(t *rapid.T) {
	if len(m.open) == 0 {
		return
	}
	hold := m.open[0]
	_, err := m.h.ReleaseHold(m.h.t.Context(), m.h.keeper("leo"), hold.ID)
	if m.asked[hold.ID] != (err == nil) {
		t.Fatalf("release with asked=%t: %v", m.asked[hold.ID], err)
	}
	if err == nil {
		m.open = m.open[1:]
	}
}

func (m *model) review(t *rapid.T, approve bool) {
	if m.waiting == nil {
		return
	}
	e, err := m.h.ReviewErasure(m.h.t.Context(), m.h.keeper("dan"), m.waiting.ID, approve)
	if err != nil {
		t.Fatalf("review: %v", err)
	}
	m.waiting = nil
	if !approve {
		if e.State != "refused" {
			t.Fatalf("refused: %s", e.State)
		}
		return
	}
	want := "shredded"
	switch {
	case len(m.open) > 0:
		want = "held"
	case m.h.at.Before(m.ends):
		want = "retained"
	}
	if got := e.Items[0].Result; got != want {
		t.Fatalf("at %s, retention until %s, %d holds: %s, want %s", m.h.at, m.ends, len(m.open), got, want)
	}
	m.erased = want == "shredded"
}

// agrees compares the database with the model.
func (m *model) agrees(t *rapid.T) {
	keys := m.h.count(`select count(*) from keys.wrapped where institution = $1 and complaint = $2`, m.h.institution, m.c.ID)
	if (keys == 0) != m.erased {
		t.Fatalf("%d keys with erased=%t", keys, m.erased)
	}
	if holds := m.h.count(`select cardinality(holds) from sealtrail.complaint where institution = $1 and id = $2`, m.h.institution, m.c.ID); holds != len(m.open) {
		t.Fatalf("the record has %d holds, %d are open", holds, len(m.open))
	}
	_, err := m.h.Read(m.h.t.Context(), m.h.keeper("lea"), custody.ReadRequest{ID: m.c.ID, Purpose: "legal"})
	m.gone(t, "read", err)
}

// TestHoldAndRetentionWinInEveryOrder walks one record through holds, releases,
// the passing of years, requests, refusals and approvals in any order.
func TestHoldAndRetentionWinInEveryOrder(t *testing.T) {
	t.Parallel()
	h := openArchive(t)
	began, n := h.at, 100
	acts := []string{"place", "ask", "release", "release", "years", "years", "request", "request", "approve", "approve", "refuse"}
	rapid.Check(t, func(t *rapid.T) {
		n++
		h.at = began
		m := &model{h: h, c: h.refused(n), asked: map[string]bool{}}
		view, err := h.Read(h.t.Context(), h.keeper("rex"), custody.ReadRequest{ID: m.c.ID, Purpose: "legal", MetaOnly: true})
		if err != nil {
			t.Fatal(err)
		}
		if m.ends, err = time.Parse(time.RFC3339, view.Meta["retention_until"]); err != nil || m.ends.Before(began.AddDate(3, 0, 0)) {
			t.Fatalf("retained until %s: %v", view.Meta["retention_until"], err)
		}
		if rapid.Bool().Draw(t, "retention is about to end") { // else few walks would ever come to an erasure
			h.later(3, -1)
		}
		for _, act := range rapid.SliceOfN(rapid.SampledFrom(acts), 1, 14).Draw(t, "acts") {
			m.step(t, act)
		}
		m.agrees(t)
	})
	// Chance may keep every walk from one of the two ends: these two come to them.
	for _, years := range []int{0, 4} {
		n++
		h.at = began
		c := h.refused(n)
		h.later(years, 0)
		h.approve(h.request(c.ID, "record"))
	}
	if s, counts := h.follow(); s.Status != verify.OK || counts.Shredded == 0 || counts.Kept == 0 {
		t.Errorf("whoever has only the log: %s %+v %+v", s.Status, counts, s.Findings)
	}
}
