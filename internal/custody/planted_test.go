package custody_test

import (
	"bytes"
	"errors"
	"slices"
	"testing"

	"github.com/sealtrail/sealtrail/internal/custody"
)

// stranger files a complaint of another complainant.
func (h *house) stranger(n int) *custody.Created {
	h.t.Helper()
	d := draft(n)
	delete(d.Fields, "respondent_staff_id")
	d.Fields["id_number"], d.Fields["phone"] = "110101199003072316", "13900139000"
	c, err := h.Create(h.t.Context(), h.as("ivy"), custody.CreateRequest{Purpose: "handle", Draft: d})
	must(h.t, err)
	return c
}

// lends gives one record another's search token of the identity number.
func (h *house) lends(from, to string) {
	h.t.Helper()
	h.sql(`insert into sealtrail.blind_index (institution, field, epoch, token, complaint)
		select institution, field, epoch, token, $2::uuid from sealtrail.blind_index where complaint = $1::uuid and field = 'id_number'`, from, to)
}

// ofSubject is a confirmed request for all that concerns one complainant.
func (h *house) ofSubject(id, key string) *custody.Disclosure {
	h.t.Helper()
	r := h.asking(id, key)
	r.Scope, r.Basis, r.RecipientName = "subject", "subject_access", ""
	asked, err := h.RequestDisclosure(h.t.Context(), h.as("hedda"), r)
	must(h.t, err)
	_, err = h.SettleDisclosure(h.t.Context(), h.as("dora"), asked.ID, "confirm")
	must(h.t, err)
	return asked
}

// TestAPlantedTokenPutsNobodyIntoAPackage: whose complaints a package of one
// complainant holds, the sealed records say and no table beside them.
func TestAPlantedTokenPutsNobodyIntoAPackage(t *testing.T) {
	t.Parallel()
	for name, plant := range map[string]func(h *house, mine, other string){
		"token moved": func(h *house, mine, other string) { h.lends(mine, other) },
		"complainant of the named record changed": func(h *house, mine, other string) {
			h.lends(mine, other)
			h.sql(`update sealtrail.complaint c set data_subject_bidx = o.data_subject_bidx from sealtrail.complaint o where c.id = $1 and o.id = $2`, mine, other)
		},
		"complainant of the other record changed": func(h *house, mine, other string) {
			h.lends(mine, other)
			h.sql(`update sealtrail.complaint c set data_subject_bidx = o.data_subject_bidx from sealtrail.complaint o where c.id = $2 and o.id = $1`, mine, other)
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			h := open(t)
			mine, also, other := h.file(1), h.file(2), h.stranger(3)
			id, key := recipient(t)
			asked := h.ofSubject(mine.ID, key)
			plant(h, mine.ID, other.ID)
			pack, err := h.Produce(t.Context(), h.as("hedda"), asked.ID)
			must(t, err)
			var sealed bytes.Buffer
			_, err = pack.Stream(t.Context(), &sealed)
			if err != nil && !errors.Is(err, custody.ErrIntegrity) {
				t.Fatal(err)
			}
			// The last one looks like hers until its manifest is verified.
			if name != "complainant of the other record changed" && slices.Contains(h.stagesOf(other.ID), "intent access.disclosed") {
				t.Error("somebody else's record was opened for the package")
			}
			if name == "complainant of the named record changed" {
				if err == nil {
					t.Error("a package of a forged record was made")
				}
				return
			}
			must(t, err)
			items, _, err := openedPackage(t, sealed.Bytes(), id)
			must(t, err)
			var got []string
			for _, item := range items {
				if item.Record != nil {
					got = append(got, item.Record.ID)
				}
			}
			slices.Sort(got)
			if want := slices.Sorted(slices.Values([]string{mine.ID, also.ID})); !slices.Equal(got, want) {
				t.Errorf("packed %v, want %v", got, want)
			}
		})
	}
}

// TestAForgedComplainantErasesNobody: the record that a request names decides
// whose records go, and it must be what was sealed before any of them goes.
func TestAForgedComplainantErasesNobody(t *testing.T) {
	t.Parallel()
	h := openArchive(t)
	mine, other := h.refused(1), h.stranger(2)
	h.refuse(other)
	h.later(3, 1)
	e := h.request(mine.ID, "subject")
	h.lends(mine.ID, other.ID)
	h.sql(`update sealtrail.complaint c set data_subject_bidx = o.data_subject_bidx from sealtrail.complaint o where c.id = $1 and o.id = $2`, mine.ID, other.ID)
	if _, err := h.ReviewErasure(t.Context(), h.keeper("dan"), e.ID, true); !errors.Is(err, custody.ErrIntegrity) {
		t.Errorf("approving: %v", err)
	}
	if n := h.count(`select count(*) from keys.wrapped where institution = $1 and complaint = $2`, h.institution, other.ID); n != 1 {
		t.Error("somebody else's record was erased")
	}
}
