package custody_test

import (
	"testing"
	"time"

	"github.com/sealtrail/sealtrail/audit"
	"github.com/sealtrail/sealtrail/audit/verify"
	"github.com/sealtrail/sealtrail/internal/erasures"
)

// follow gives every entry of the institution to what auditors follow erasures
// with, in the order of the log.
func (h *house) follow() (verify.Step, erasures.Counts) {
	h.t.Helper()
	const origin = "sealtrail.test/follow"
	rows, err := h.admin.Query(h.t.Context(), `select id, body, inserted_at from audit.entry where institution = $1 order by id`, h.institution)
	must(h.t, err)
	defer rows.Close()
	var f erasures.Fold
	trails := map[string]uint64{}
	for index := uint64(0); rows.Next(); index++ {
		var p audit.Position
		var body []byte
		must(h.t, rows.Scan(&p.ID, &body, &p.SeqAt))
		b, err := audit.ParseBody(body)
		must(h.t, err)
		trails[b.Subject]++
		p.Index, p.Log, p.TrailN, p.SeqAt = index, origin, trails[b.Subject], p.SeqAt.UTC().Truncate(time.Microsecond)
		if p.TrailN > 1 {
			p.TrailPrev = [32]byte{1} // only its form is looked at here
		}
		var v audit.LeafView
		must(h.t, audit.ScanLeaf(audit.AssembleLeaf(body, p), &v))
		must(h.t, f.Take(&v))
	}
	must(h.t, rows.Err())
	return f.Step(10, origin), f.Counts(origin)
}

// TestAuditorsFindNothingWrongWithWhatTheDoorDoes: the door's own log of holds,
// erasures of every scope and readings before and after keeps every rule that
// trailcheck looks for; and it is the rules that hold, not the looking that is
// blind: one entry by hand is found.
func TestAuditorsFindNothingWrongWithWhatTheDoorDoes(t *testing.T) {
	t.Parallel()
	h := openArchive(t)
	one, two := h.refused(1), h.refused(2)
	hold := h.place(one.ID)
	h.approve(h.request(one.ID, "record")) // kept: held, and retained
	h.release(hold)
	h.approve(h.request(two.ID, "record")) // kept: retained
	h.later(12, 1)
	h.approve(h.request(two.ID, "groups", "contact"))
	h.approve(h.request(one.ID, "record"))
	h.approve(h.request(two.ID, "record"))
	s, counts := h.follow()
	if s.Status != verify.OK || len(s.Notes) != 1 {
		t.Errorf("%s %v %+v", s.Status, s.Notes, s.Findings)
	}
	if want := (erasures.Counts{Shredded: 2, Reduced: 1, Kept: 2, Holds: 1, Releases: 1}); counts != want {
		t.Errorf("got %+v, want %+v", counts, want)
	}
	late := audit.Body{Institution: h.institution, At: h.at, Stage: audit.StageEvent, Kind: "complaint.amended", Subject: "complaint:" + one.ID, Actor: audit.Actor{ID: "x"}}
	_, err := h.log.Append(t.Context(), late)
	must(t, err)
	if s, _ := h.follow(); s.Status != verify.Failed || len(s.Findings) != 1 || s.Findings[0].Code != "erased_changed" {
		t.Errorf("an amendment by hand: %s %+v", s.Status, s.Findings)
	}
}
