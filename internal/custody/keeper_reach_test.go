package custody_test

import (
	"testing"

	"github.com/sealtrail/sealtrail/internal/custody"
)

// TestTheKeeperReachesEveryRecord: reports of staff crime, closed, held and
// restricted records are kept like others. An erased one is left alone and is no
// finding, and the log's sums say so.
func TestTheKeeperReachesEveryRecord(t *testing.T) {
	t.Parallel()
	needSM(t)
	h := openArchive(t)
	ctx := t.Context()
	h.file(1)
	report := draft(2)
	report.Fields["whistle_report"] = "柜员挪用客户资金"
	_, err := h.Create(ctx, h.as("ivy"), custody.CreateRequest{Purpose: "handle", Draft: report})
	must(t, err)
	closed, held, restricted, erased := h.refused(3), h.refused(4), h.refused(5), h.refused(6)
	h.place(held.ID)
	_, err = h.Transition(ctx, h.keeper("rex"), custody.TransitionRequest{ID: restricted.ID, Purpose: "legal", Revision: restricted.Revision, Name: "restrict",
		Inputs: map[string]string{"restriction_reason": "deletion_request"}})
	must(t, err)
	h.later(3, 1)
	if got := results(h.approve(h.request(erased.ID, "record"))); got[erased.ID] != "shredded" {
		t.Fatalf("got %v", got)
	}
	_, err = h.ChooseSuite(ctx, custody.SuiteSM)
	must(t, err)
	p, err := h.Resealing(ctx, nil)
	must(t, err)
	if p.Done != 5 || p.Failed != 0 || p.Left != 0 {
		t.Errorf("got %+v", p)
	}
	for _, c := range []*custody.Created{closed, held, restricted} {
		if g := h.consistent(c.ID); g != 2 {
			t.Errorf("generation %d, want 2", g)
		}
	}
	s, err := h.Scrub(ctx, nil)
	must(t, err)
	if s.Records != 5 || len(s.Findings) != 0 {
		t.Errorf("got %+v", s)
	}
	sums, err := h.Suites(ctx)
	must(t, err)
	if !sums.Agree || sums.Logged[2] != 5 || sums.Logged[1] != 0 {
		t.Errorf("got %+v", sums)
	}
}
