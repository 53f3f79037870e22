package custody_test

import (
	"errors"
	"slices"
	"sync"
	"testing"

	"github.com/sealtrail/sealtrail/internal/custody"
)

// TestAForgedRequestErasesNothing: whoever writes SQL can neither ask in a
// records officer's name, nor ask for more than was asked, nor slip a record
// into somebody else's erasure.
func TestAForgedRequestErasesNothing(t *testing.T) {
	t.Parallel()
	h := openArchive(t)
	c, victim := h.refused(1), h.refused(2)
	h.later(3, 1)
	var forged string
	must(t, h.admin.QueryRow(t.Context(), `insert into sealtrail.erasure (institution, id, scope, complaint, groups, basis, requested_by, requested_at, state)
		values ($1, gen_random_uuid(), 'record', $2, '{}', 'unlawful', 'rex', now(), 'requested') returning id`, h.institution, victim.ID).Scan(&forged))
	if _, err := h.ReviewErasure(t.Context(), h.keeper("dan"), forged, true); !errors.Is(err, custody.ErrIntegrity) {
		t.Errorf("a request that nobody made: %v", err)
	}
	wider := h.request(c.ID, "groups", "contact")
	h.sql(`update sealtrail.erasure set scope = 'record', groups = '{}' where id = $1`, wider.ID)
	if _, err := h.ReviewErasure(t.Context(), h.keeper("dan"), wider.ID, true); !errors.Is(err, custody.ErrIntegrity) {
		t.Errorf("a request made wider: %v", err)
	}
	h.sql(`update sealtrail.erasure set scope = 'groups', groups = '{contact}' where id = $1`, wider.ID)
	_, err := h.ReviewErasure(t.Context(), h.keeper("dan"), wider.ID, false)
	must(t, err)
	if n := h.count(`select count(*) from keys.wrapped where institution = $1 and complaint = $2`, h.institution, victim.ID); n != 1 {
		t.Error("the victim of the forged request was erased")
	}
	for n, scope := range []string{"record", "subject"} {
		one := h.refused(10 + n)
		h.later(3, 1)
		planted := draft(20 + n)
		planted.Fields["id_number"] = "440308199901010012"
		delete(planted.Fields, "respondent_staff_id")
		stranger, err := h.Create(t.Context(), h.as("ivy"), custody.CreateRequest{Purpose: "handle", Draft: planted})
		must(t, err)
		h.refuse(stranger)
		h.later(3, 1)
		e := h.request(one.ID, scope)
		h.sql(`insert into sealtrail.erasure_item (institution, erasure, complaint, result) select institution, id, $2, 'pending' from sealtrail.erasure where id = $1`, e.ID, stranger.ID)
		if _, err := h.ReviewErasure(t.Context(), h.keeper("dan"), e.ID, true); !errors.Is(err, custody.ErrIntegrity) {
			t.Errorf("%s with a planted record: %v", scope, err)
		}
		if n := h.count(`select count(*) from keys.wrapped where institution = $1 and complaint = $2`, h.institution, stranger.ID); n != 1 {
			t.Errorf("%s: the planted record was erased", scope)
		}
		if !slices.Contains(h.kinds(stranger.ID), "access.integrity") {
			t.Errorf("%s: the planted record's trail says nothing", scope)
		}
	}
}

// TestAForgedTokenErasesNobodyElse: the named record's token is believed only
// after its manifest was verified.
func TestAForgedTokenErasesNobodyElse(t *testing.T) {
	t.Parallel()
	h := openArchive(t)
	c := h.refused(1)
	other := draft(2)
	other.Fields["id_number"] = "440308199901010012"
	delete(other.Fields, "respondent_staff_id")
	stranger, err := h.Create(t.Context(), h.as("ivy"), custody.CreateRequest{Purpose: "handle", Draft: other})
	must(t, err)
	h.refuse(stranger)
	h.later(3, 1)
	e := h.request(c.ID, "subject")
	h.sql(`update sealtrail.complaint set data_subject_bidx = (select data_subject_bidx from sealtrail.complaint where id = $2) where id = $1`, c.ID, stranger.ID)
	h.sql(`insert into sealtrail.blind_index select institution, field, epoch, token, $1 from sealtrail.blind_index where complaint = $2 and field = 'id_number'`, c.ID, stranger.ID)
	if _, err := h.ReviewErasure(t.Context(), h.keeper("dan"), e.ID, true); !errors.Is(err, custody.ErrIntegrity) {
		t.Errorf("a forged token of the complainant: %v", err)
	}
	if n := h.count(`select count(*) from keys.wrapped where institution = $1`, h.institution); n != 2 {
		t.Errorf("%d keys are left, want 2", n)
	}
}

// TestTwoApprovalsAtOnce erase once, and both hear the same.
func TestTwoApprovalsAtOnce(t *testing.T) {
	t.Parallel()
	h := openArchive(t)
	c := h.refused(1)
	h.later(3, 1)
	e := h.request(c.ID, "record")
	callers := []custody.Caller{h.keeper("dan"), h.keeper("dan"), h.keeper("dan")}
	var wait sync.WaitGroup
	for _, caller := range callers {
		wait.Go(func() {
			done, err := h.ReviewErasure(t.Context(), caller, e.ID, true)
			var conflict *custody.ConflictError
			switch {
			case err == nil && results(done)[c.ID] == "shredded":
			case errors.As(err, &conflict), errors.Is(err, custody.ErrShredded), errors.Is(err, custody.ErrStale):
			default:
				t.Errorf("got %+v, %v", done, err)
			}
		})
	}
	wait.Wait()
	shredded := 0
	for _, kind := range h.kinds(c.ID) {
		if kind == "erasure.shredded" {
			shredded++
		}
	}
	if shredded != 1 {
		t.Errorf("%d entries say shredded, want 1", shredded)
	}
	if n := h.count(`select count(*) from keys.destroyed where institution = $1 and complaint = $2`, h.institution, c.ID); n != 1 {
		t.Errorf("%d keys were destroyed, want 1", n)
	}
}
