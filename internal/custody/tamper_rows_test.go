package custody_test

import (
	"errors"
	"testing"

	"github.com/sealtrail/sealtrail/internal/custody"
	"github.com/sealtrail/sealtrail/internal/pgtest"
	"github.com/sealtrail/sealtrail/internal/store"
	"github.com/sealtrail/sealtrail/internal/vaulttest"
)

// TestWrappedKeysAreBoundToTheirRecord exchanges, empties, moves and removes
// wrapped keys.
func TestWrappedKeysAreBoundToTheirRecord(t *testing.T) {
	t.Parallel()
	h := open(t)
	h.unlimited()
	one := h.fileFull(1).ID
	h.fileFull(2)
	restore := h.keep("kept")
	for what, sql := range map[string]string{
		"keys swapped":                    "update keys.wrapped w set wrapped = o.wrapped, commitment = o.commitment from keys.wrapped o where o.complaint <> w.complaint",
		"wrapped texts swapped":           "update keys.wrapped w set wrapped = o.wrapped from keys.wrapped o where o.complaint <> w.complaint",
		"commitments swapped":             "update keys.wrapped w set commitment = o.commitment from keys.wrapped o where o.complaint <> w.complaint",
		"wrapped text emptied":            "update keys.wrapped set wrapped = ''",
		"wrapped text nonsense":           "update keys.wrapped set wrapped = 'vault:v1:AAAA'",
		"commitment emptied":              "update keys.wrapped set commitment = ''",
		"commitment cut":                  "update keys.wrapped set commitment = substr(commitment, 1, 31)",
		"another generation":              "update keys.wrapped set generation = generation + 1",
		"another generation on both ends": "with k as (update keys.wrapped set generation = 2) update sealtrail.complaint set generation = 2",
	} {
		h.sql(sql)
		h.refuses(what, one, "phone")
		restore()
	}
	h.sound("after all", one)
	h.sql("delete from keys.wrapped where complaint = $1", one)
	h.refuses("key removed", one, "phone")
}

// TestAnOlderEnvelopeIsDetected puts the envelope of a former revision back.
func TestAnOlderEnvelopeIsDetected(t *testing.T) {
	t.Parallel()
	h := open(t)
	h.unlimited()
	c := h.fileFull(1)
	h.keep("older")
	number := "13900139000"
	_, err := h.Amend(t.Context(), h.as("han"), custody.AmendRequest{ID: c.ID, Purpose: "handle", Revision: c.Revision, Fields: map[string]*string{"phone": &number}})
	must(t, err)
	h.sound("amended", c.ID)
	restore := h.keep("newer")
	for what, columns := range map[string]string{"envelope": "phone_sealed", "manifest": "manifest", "both": "phone_sealed, manifest", "revision": "revision", "manifest and revision": "manifest, revision"} {
		h.sql("update sealtrail.complaint c set ("+columns+") = (select "+columns+" from public.older_complaint k where k.id = c.id) where id = $1", c.ID)
		h.refuses("older "+what, c.ID, "phone")
		restore()
	}
	h.sound("after all", c.ID)
}

// TestARecordIsBoundToItsInstitution moves a whole record, key and tokens
// included, to another institution on the same database.
func TestARecordIsBoundToItsInstitution(t *testing.T) {
	t.Parallel()
	db, vault := pgtest.New(t, "custody", migrate), vaulttest.New(t)
	mine, theirs := openOn(t, db, vault, taps{}), openOn(t, db, vault, taps{})
	theirs.unlimited()
	c := mine.fileFull(1)
	for _, table := range []string{"sealtrail.complaint", "keys.wrapped", "sealtrail.blind_index"} {
		mine.sql("create temporary table moved as select * from " + table + "; update moved set institution = '" + theirs.institution +
			"'; insert into " + table + " select * from moved; drop table moved")
	}
	theirs.refuses("moved from another institution", c.ID, "phone")
	mine.sound("the original", c.ID)
}

// TestInstitutionsCannotReadEachOther: two doors on one database. Neither
// finds, reads or is told of the other's records, and neither key opens them.
func TestInstitutionsCannotReadEachOther(t *testing.T) {
	t.Parallel()
	db, vault := pgtest.New(t, "custody", migrate), vaulttest.New(t)
	mine, theirs := openOn(t, db, vault, taps{}), openOn(t, db, vault, taps{})
	c := mine.fileFull(1)
	ctx := t.Context()
	for what, act := range map[string]func() error{
		"read": func() error {
			_, err := theirs.Read(ctx, theirs.as("ivy"), custody.ReadRequest{ID: c.ID, Purpose: "handle"})
			return err
		},
		"read metadata": func() error {
			_, err := theirs.Read(ctx, theirs.as("aud"), custody.ReadRequest{ID: c.ID, Purpose: "audit", MetaOnly: true})
			return err
		},
		"reveal": func() error {
			_, err := theirs.Reveal(ctx, theirs.as("han"), custody.RevealRequest{ID: c.ID, Purpose: "handle", Fields: []string{"phone"}, Reason: "call back"})
			return err
		},
		"trail": func() error { _, err := theirs.Trail(ctx, theirs.as("han"), c.ID, "handle"); return err },
		"amend": func() error {
			text := "x"
			_, err := theirs.Amend(ctx, theirs.as("han"), custody.AmendRequest{ID: c.ID, Purpose: "handle", Revision: c.Revision, Fields: map[string]*string{"demand": &text}})
			return err
		},
		"my caller at their door": func() error {
			_, err := theirs.Read(ctx, mine.as("ivy"), custody.ReadRequest{ID: c.ID, Purpose: "handle"})
			return err
		},
		"entry": func() error { _, err := theirs.Entry(ctx, theirs.as("aud"), c.Audit.Entry); return err },
	} {
		if err := act(); !errors.Is(err, custody.ErrNotFound) {
			t.Errorf("%s: got %v, want ErrNotFound", what, err)
		}
	}
	page, err := theirs.Search(ctx, theirs.as("ivy"), custody.SearchRequest{Purpose: "handle", Field: "phone", Value: full()["phone"]})
	must(t, err)
	list, err := theirs.List(ctx, theirs.as("ivy"), custody.ListRequest{Purpose: "handle"})
	must(t, err)
	if len(page.Items) != 0 || len(list.Items) != 0 {
		t.Errorf("got %d hits and %d listed, want none", len(page.Items), len(list.Items))
	}
	// The same number of the same customer has other tokens in either.
	theirs.fileFull(1)
	var tokens, institutions int
	must(t, mine.admin.QueryRow(ctx, "select count(distinct token), count(distinct institution) from sealtrail.blind_index where field = 'phone'").Scan(&tokens, &institutions))
	if tokens != 2 || institutions != 2 {
		t.Errorf("one phone number in %d institutions has %d tokens, want one each", institutions, tokens)
	}
}

// TestMovedTokensAreDetected moves, plants and swaps the rows of the blind
// index: a search never passes somebody else's complaint off as a hit.
func TestMovedTokensAreDetected(t *testing.T) {
	t.Parallel()
	h := open(t)
	h.unlimited()
	one := h.fileFull(1)
	d := draft(2)
	d.Fields = full()
	d.Fields["phone"], d.Fields["email"], d.Fields["bank_card"], d.Fields["account_no"], d.Fields["id_number"] =
		"13900139000", "li.si@example.com", "6222020200112230012", "310066600018800654321", "110105199001011232"
	two, err := h.Create(t.Context(), h.as("ivy"), custody.CreateRequest{Purpose: "handle", Draft: d})
	must(t, err)
	for _, field := range []string{"phone", "email", "bank_card", "account_no", "id_number"} {
		look := func() []custody.View {
			t.Helper()
			page, err := h.Search(t.Context(), h.as("ivy"), custody.SearchRequest{Purpose: "handle", Field: field, Value: d.Fields[field]})
			must(t, err)
			return page.Items
		}
		if hits := look(); len(hits) != 1 || hits[0].ID != two.ID || hits[0].Broken {
			t.Fatalf("%s: before: got %d hits", field, len(hits))
		}
		before := h.entries("complaint:"+one.ID, "access.integrity")
		h.sql("insert into sealtrail.blind_index select institution, field, epoch, token, $2 from sealtrail.blind_index where complaint = $1 and field = $3", two.ID, one.ID, field)
		for _, hit := range look() {
			if hit.ID == one.ID && (!hit.Broken || len(hit.Fields) > 0) {
				t.Errorf("%s: a planted token shows %d fields of another complaint", field, len(hit.Fields))
			}
		}
		if n := h.entries("complaint:"+one.ID, "access.integrity") - before; n != 1 {
			t.Errorf("%s: got %d entries about the planted token, want 1", field, n)
		}
		h.sql("delete from sealtrail.blind_index b using sealtrail.blind_index o where b.complaint = $1 and o.complaint = $2 and b.field = o.field and b.token = o.token", one.ID, two.ID)
	}
}

// TestARowRolledBackAsAWhole puts a whole row back to an older state that was
// sealed validly. Such a row verifies by itself and can be read; the log knows
// better, and the comparison of both names it, also after somebody changed the
// complaint from there.
func TestARowRolledBackAsAWhole(t *testing.T) {
	t.Parallel()
	h := open(t)
	h.unlimited()
	ctx := t.Context()
	c, untouched := h.fileFull(1), h.fileFull(2)
	restore := h.keep("kept")
	compare := func() []store.Stale {
		t.Helper()
		found, err := store.CheckRevisions(ctx, h.admin, h.institution)
		must(t, err)
		return found
	}
	amend := func(revision uint64) *custody.View {
		t.Helper()
		number := "13900139000"
		view, err := h.Amend(ctx, h.as("han"), custody.AmendRequest{ID: c.ID, Purpose: "handle", Revision: revision, Fields: map[string]*string{"phone": &number}})
		must(t, err)
		return view
	}
	entry := amend(c.Revision).Audit.Entry
	if found := compare(); len(found) != 0 {
		t.Fatalf("before: found %v", found)
	}
	restore()
	h.sound("rolled back: readable, for it was sealed so once", c.ID)
	want := store.Stale{Complaint: c.ID, Revision: c.Revision, Logged: c.Revision + 1, Entry: entry}
	if found := compare(); len(found) != 1 || found[0] != want {
		t.Errorf("rolled back: found %v, want %v", found, want)
	}
	amend(c.Revision)
	if found := compare(); len(found) != 1 || found[0].Complaint != c.ID {
		t.Errorf("changed from the older state: found %v, want the one complaint", found)
	}
	h.sql("delete from sealtrail.blind_index where complaint = $1", untouched.ID)
	h.sql("delete from sealtrail.complaint where id = $1", untouched.ID)
	if found := compare(); len(found) != 2 {
		t.Errorf("a row that was removed: found %v, want two complaints", found)
	}
}
