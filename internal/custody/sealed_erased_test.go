package custody_test

import (
	"errors"
	"testing"
	"time"

	"github.com/sealtrail/sealtrail/internal/custody"
)

// TestAnErasedRecordIsNotBroughtBack: neither by its sealed envelope, nor by its
// source filing it anew, nor into a package that was approved before.
func TestAnErasedRecordIsNotBroughtBack(t *testing.T) {
	t.Parallel()
	h := openArchive(t)
	ctx := t.Context()
	d := draft(1)
	delete(d.Fields, "respondent_staff_id")
	envelope := sealDraft(t, h.intakeKey(false), d, time.Now())
	item := h.ingest(envelope)[0]
	must(t, item.Err)
	c := item.Created
	h.refuse(c)
	h.later(11, 0)
	if got := results(h.approve(h.request(c.ID, "record"))); got[c.ID] != "shredded" {
		t.Fatalf("erased: %v", got)
	}
	before := h.count("select count(*) from sealtrail.complaint where institution = $1", h.institution)
	again := h.ingest(envelope)[0]
	if again.Created != nil && (again.Created.ID != c.ID || !again.Created.Existing) {
		t.Errorf("brought back as %+v", again.Created)
	}
	if n := h.count("select count(*) from sealtrail.complaint where institution = $1", h.institution); n != before {
		t.Errorf("%d complaints, %d before", n, before)
	}
	if n := h.count("select count(*) from keys.wrapped where institution = $1 and complaint = $2", h.institution, c.ID); n != 0 {
		t.Error("the erased record has a key again")
	}
	t.Logf("answered with %v and %v", again.Created != nil, again.Err)
	_, key := recipient(t)
	r := h.asking(c.ID, key)
	r.ExpiresAt = h.at.Add(time.Hour)
	if _, err := h.RequestDisclosure(ctx, h.keeper("lea"), legally(r)); !errors.Is(err, custody.ErrShredded) && !errors.Is(err, custody.ErrNotFound) {
		t.Errorf("a package of an erased record was asked for: %v", err)
	}
}

func legally(r custody.Disclosure) custody.Disclosure {
	r.Purpose = "legal"
	return r
}
