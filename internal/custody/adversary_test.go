package custody_test

import (
	"errors"
	"maps"
	"strings"
	"testing"
	"time"

	"github.com/sealtrail/sealtrail/internal/custody"
	"github.com/sealtrail/sealtrail/internal/intake"
)

// entries counts the entries of a kind on a subject.
func (h *house) entries(subject, kind string) (n int) {
	h.t.Helper()
	must(h.t, h.admin.QueryRow(h.t.Context(), `select count(*) from audit.entry where institution = $1 and subject like $2
		and convert_from(body, 'utf8')::json->>'kind' = $3`, h.institution, subject, kind).Scan(&n))
	return n
}

func (h *house) sql(statement string, args ...any) {
	h.t.Helper()
	_, err := h.admin.Exec(h.t.Context(), statement, args...)
	must(h.t, err)
}

// A field that somebody emptied, or planted, in the database is a finding: it is
// never "nothing was ever stored".
func TestEmptiedAndPlantedFieldsAreFound(t *testing.T) {
	t.Parallel()
	h := open(t)
	n := 0
	for name, change := range map[string]string{
		"shown":  "id_number_sealed = null",
		"hidden": "demand_sealed = null, narrative_sealed = null",
		"all":    "complainant_name_sealed = null, id_number_sealed = null, phone_sealed = null, bank_card_sealed = null, narrative_sealed = null",
		"plant":  "plan_sealed = phone_sealed",
	} {
		n++
		created := h.file(n)
		h.walk(created, "accept", "classify", "assign")
		h.sql("update sealtrail.complaint set "+change+" where id = $1", created.ID)
		_, err := h.Read(t.Context(), h.as("han"), custody.ReadRequest{ID: created.ID, Purpose: "handle"})
		if !errors.Is(err, custody.ErrIntegrity) {
			t.Errorf("%s: read: got %v, want ErrIntegrity", name, err)
		}
		_, err = h.Reveal(t.Context(), h.as("han"), custody.RevealRequest{ID: created.ID, Purpose: "handle", Fields: []string{"id_number"}, Reason: "verify identity"})
		if !errors.Is(err, custody.ErrIntegrity) {
			t.Errorf("%s: reveal: got %v, want ErrIntegrity", name, err)
		}
		if n := h.entries("complaint:"+created.ID, "access.integrity"); n != 2 {
			t.Errorf("%s: got %d entries about it, want 2", name, n)
		}
	}
}

// Filing somebody else's source id again tells who may not see that complaint
// nothing of it, and stands in its trail.
func TestRepeatedFilingTellsNothingOfAHiddenComplaint(t *testing.T) {
	t.Parallel()
	h := open(t)
	d := draft(1)
	d.Fields["whistle_report"] = "柜员收受回扣,请查。"
	first, err := h.Create(t.Context(), h.as("ivy"), custody.CreateRequest{Purpose: "handle", Draft: d})
	must(t, err)
	again, err := h.Create(t.Context(), h.as("ivy"), custody.CreateRequest{Purpose: "handle", Draft: d})
	must(t, err)
	if again.ID != first.ID || !again.Existing || again.State != "" || again.Revision != 0 || again.ComplaintNo != "" || len(again.Due) > 0 {
		t.Errorf("a hidden complaint filed again: got %+v", again)
	}
	batch, err := h.CreateBatch(t.Context(), h.as("ivy"), "handle", []intake.Draft{d})
	must(t, err)
	if batch[0].Err != nil || !batch[0].Created.Existing { // an import that is run again must get past it
		t.Errorf("the same in a batch: got %+v", batch[0])
	}
	if n := h.entries("complaint:"+first.ID, "access.denied"); n != 2 {
		t.Errorf("got %d refusals in its trail, want 2", n)
	}
	plain := draft(2)
	plain.Fields = map[string]string{"narrative": "请退还年费"}
	_, err = h.Create(t.Context(), h.as("ivy"), custody.CreateRequest{Purpose: "handle", Draft: plain})
	must(t, err)
	shown, err := h.Create(t.Context(), h.as("ivy"), custody.CreateRequest{Purpose: "handle", Draft: plain})
	must(t, err)
	if shown.State != "recorded" || shown.Revision != 1 || h.entries("complaint:"+shown.ID, "access.list") != 1 {
		t.Errorf("a visible complaint filed again: got %+v", shown)
	}
}

// A list is no oracle: rows that the caller may not see leave no empty page and
// no page token behind.
func TestListHidesWhatItHides(t *testing.T) {
	t.Parallel()
	h := open(t)
	for n := range 4 {
		d := draft(n)
		d.Department = "loans" // of which han knows nothing
		_, err := h.Create(t.Context(), h.as("ivy"), custody.CreateRequest{Purpose: "handle", Draft: d})
		must(t, err)
	}
	page, err := h.List(t.Context(), h.as("han"), custody.ListRequest{Purpose: "handle", PageSize: 1})
	must(t, err)
	if len(page.Items) != 0 || page.Next != "" {
		t.Errorf("four hidden rows: got %d items and token %q", len(page.Items), page.Next)
	}
	seen := map[string]bool{}
	for n := 10; n < 13; n++ {
		seen[h.file(n).ID] = false
	}
	req := custody.ListRequest{Purpose: "handle", PageSize: 1}
	for range 3 {
		page, err = h.List(t.Context(), h.as("hugo"), req)
		must(t, err)
		if len(page.Items) != 1 {
			t.Fatalf("got %d items, want 1", len(page.Items))
		}
		seen[page.Items[0].ID] = true
		req.After = page.Next
	}
	if page.Next != "" || len(seen) != 3 {
		t.Errorf("after the last visible row: token %q, seen %v", page.Next, seen)
	}
	for id, was := range seen {
		if !was {
			t.Errorf("%s was never listed", id)
		}
	}
}

// One row with a value outside its closed list hides no other.
func TestAnUnknownLevelBreaksOneRowOnly(t *testing.T) {
	t.Parallel()
	h := open(t)
	bad, good := h.file(1), h.file(2)
	h.sql("update sealtrail.complaint set level = 'xx' where id = $1", bad.ID)
	page, err := h.List(t.Context(), h.as("ivy"), custody.ListRequest{Purpose: "handle"})
	must(t, err)
	if len(page.Items) != 1 || page.Items[0].ID != good.ID {
		t.Errorf("got %d items, want the sound one", len(page.Items))
	}
	if _, err = h.Read(t.Context(), h.as("ivy"), custody.ReadRequest{ID: bad.ID, Purpose: "handle"}); !errors.Is(err, custody.ErrIntegrity) {
		t.Errorf("reading it: got %v, want ErrIntegrity", err)
	}
	if n := h.entries("complaint:"+bad.ID, "access.integrity"); n != 2 {
		t.Errorf("got %d entries about it, want 2", n)
	}
}

// A change to a record with a tampered field that the change does not touch is
// an integrity error with its entry, and nothing is sealed anew.
func TestAmendBesideATamperedField(t *testing.T) {
	t.Parallel()
	h := open(t)
	created := h.file(1)
	revision := h.walk(created, "accept", "classify", "assign")
	h.sql("update sealtrail.complaint set narrative_sealed = set_byte(narrative_sealed, 60, get_byte(narrative_sealed, 60) # 1) where id = $1", created.ID)
	text := "退还年费"
	_, err := h.Amend(t.Context(), h.as("han"), custody.AmendRequest{ID: created.ID, Purpose: "handle", Revision: revision, Fields: map[string]*string{"plan": &text}})
	if !errors.Is(err, custody.ErrIntegrity) {
		t.Errorf("got %v, want ErrIntegrity", err)
	}
	if n := h.entries("complaint:"+created.ID, "access.integrity"); n != 1 {
		t.Errorf("got %d entries about it, want 1", n)
	}
}

// An answer that tells a state or that a revision is old is an access.
func TestConflictsAreEntries(t *testing.T) {
	t.Parallel()
	h := open(t)
	created := h.file(1)
	revision := h.walk(created, "accept", "classify", "assign")
	before := h.entries("complaint:"+created.ID, "access.read")
	text := "退还年费"
	_, err := h.Amend(t.Context(), h.as("han"), custody.AmendRequest{ID: created.ID, Purpose: "handle", Revision: revision - 1, Fields: map[string]*string{"plan": &text}})
	if !errors.Is(err, custody.ErrStale) {
		t.Fatalf("got %v, want ErrStale", err)
	}
	_, err = h.Transition(t.Context(), h.as("han"), custody.TransitionRequest{ID: created.ID, Purpose: "handle", Revision: revision, Name: "decide"})
	if conflict := (*custody.ConflictError)(nil); !errors.As(err, &conflict) {
		t.Fatalf("got %v, want a conflict", err)
	}
	if n := h.entries("complaint:"+created.ID, "access.read") - before; n != 2 {
		t.Errorf("got %d entries, want 2", n)
	}
}

// A search can guess, so it spends the budget that a reveal spends (R10).
func TestSearchSpendsTheBudget(t *testing.T) {
	t.Parallel()
	h := open(t)
	search := func() error {
		_, err := h.Search(t.Context(), h.as("ivy"), custody.SearchRequest{Purpose: "handle", Field: "phone", Value: "13800138000"})
		return err
	}
	for range 5 {
		must(t, search())
	}
	var refused *custody.RefusedError
	if err := search(); !errors.As(err, &refused) || refused.Decision.Reason != "budget_spent" {
		t.Errorf("the sixth search of an hour of five: got %v", err)
	}
}

// A duty's level counts for no other role: the lowest of them binds.
func TestLevelsOfTwoDutiesDoNotAddUp(t *testing.T) {
	t.Parallel()
	h := open(t)
	created := h.file(1)
	revision := h.walk(created, "accept")
	inputs := maps.Clone(moves["classify"].inputs)
	inputs["level"] = "major"
	view, err := h.Transition(t.Context(), h.as("ivy"), custody.TransitionRequest{ID: created.ID, Purpose: "handle", Revision: revision, Name: "classify", Inputs: inputs})
	must(t, err)
	_, err = h.Transition(t.Context(), h.as("hedda"), custody.TransitionRequest{ID: created.ID, Purpose: "handle", Revision: view.Revision, Name: "assign", Inputs: moves["assign"].inputs})
	must(t, err)
	h.sql("update people.duty set level = 1 where institution = $1 and person = 'han'", h.institution)
	h.duty("han", "intake", "major", "cards")
	caller := h.as("han")
	caller.Roles = []string{"intake", "handler"}
	_, err = h.Reveal(t.Context(), caller, custody.RevealRequest{ID: view.ID, Purpose: "handle", Fields: []string{"phone"}, Reason: "verify identity"})
	var refused *custody.RefusedError
	if !errors.As(err, &refused) {
		t.Errorf("a general handler with a major intake duty: got %v, want a refusal", err)
	}
}

// A complaint that the log knows and the table has lost is a finding.
func TestALostRecordIsFound(t *testing.T) {
	t.Parallel()
	h := open(t)
	created := h.file(1)
	h.sql("delete from sealtrail.blind_index where complaint = $1", created.ID)
	h.sql("delete from sealtrail.complaint where id = $1", created.ID)
	if _, err := h.Read(t.Context(), h.as("ivy"), custody.ReadRequest{ID: created.ID, Purpose: "handle"}); !errors.Is(err, custody.ErrNotFound) {
		t.Errorf("got %v, want ErrNotFound", err)
	}
	if n := h.entries("complaint:"+created.ID, "access.integrity"); n != 1 {
		t.Errorf("got %d entries about it, want 1", n)
	}
	unknown := strings.Repeat("0", 8) + "-0000-4000-8000-000000000001"
	if _, err := h.Read(t.Context(), h.as("ivy"), custody.ReadRequest{ID: unknown, Purpose: "handle"}); !errors.Is(err, custody.ErrNotFound) {
		t.Errorf("got %v, want ErrNotFound", err)
	}
	if n := h.entries("complaint:"+unknown, "%"); n != 0 {
		t.Errorf("an unknown id got a trail")
	}
}

// What is sent wrongly is the sender's error, not ours.
func TestWrongRegisterInputIsNoFault(t *testing.T) {
	t.Parallel()
	h := open(t)
	year := time.Now().AddDate(1, 0, 0)
	for _, department := range []string{"", "a b", "110105194912310021"} {
		var invalid *custody.InvalidError
		_, err := h.Appoint(t.Context(), h.as("sec-a"), "han", custody.Duty{Role: "handler", Level: "major", Department: department, Until: year})
		if !errors.As(err, &invalid) {
			t.Errorf("department %q: got %v, want an InvalidError", department, err)
		}
	}
	training := custody.Training{Person: "han", Course: "confidentiality", Score: 90, PassedAt: time.Now().Add(-time.Minute), ValidUntil: year}
	_, err := h.RecordTraining(t.Context(), h.as("sec-a"), training)
	must(t, err)
	_, err = h.RecordTraining(t.Context(), h.as("sec-a"), training)
	if conflict := (*custody.ConflictError)(nil); !errors.As(err, &conflict) {
		t.Errorf("the same training twice: got %v, want a conflict", err)
	}
	created := h.file(1)
	revision := h.walk(created, "accept", "classify")
	var invalid *custody.InvalidError
	_, err = h.Transition(t.Context(), h.as("hedda"), custody.TransitionRequest{ID: created.ID, Purpose: "handle", Revision: revision, Name: "assign", Inputs: map[string]string{"assignee": "h\x00n"}})
	if !errors.As(err, &invalid) {
		t.Errorf("an assignee that is no id: got %v, want an InvalidError", err)
	}
}

// An application has the role of applications and no other, whatever it is
// appointed to: nobody trained it, and no complaint can be about it.
func TestAnApplicationIsNoClerk(t *testing.T) {
	t.Parallel()
	h := open(t)
	created := h.file(1)
	_, err := h.AddPerson(t.Context(), h.as("sec-a"), custody.Person{ID: "core", Kind: custody.Application, Department: "front"})
	must(t, err)
	if _, err = h.Appoint(t.Context(), h.as("sec-a"), "core", custody.Duty{Role: "intake", Level: "major", Department: "front", Until: time.Now().AddDate(1, 0, 0)}); err == nil {
		t.Error("an application was appointed as a clerk")
	}
	h.duty("core", "application", "general", "front")
	h.sql("update people.duty set role = 'intake' where institution = $1 and person = 'core'", h.institution)
	caller := h.as("core")
	caller.Kind, caller.Roles = custody.Application, []string{"intake", "application"}
	if view, err := h.Read(t.Context(), caller, custody.ReadRequest{ID: created.ID, Purpose: "handle"}); err == nil {
		t.Errorf("an application with a clerk's duty read %d fields", len(view.Fields))
	}
}

// The trail tells a colleague nothing of whom a complaint is about: a refusal
// for recusal is for those who oversee.
func TestTrailDoesNotTellWhoIsRecused(t *testing.T) {
	t.Parallel()
	h := open(t)
	created, err := h.Create(t.Context(), h.as("ivy"), custody.CreateRequest{Purpose: "handle", Draft: draft(1)}) // about hugo
	must(t, err)
	if _, err := h.Read(t.Context(), h.as("hugo"), custody.ReadRequest{ID: created.ID, Purpose: "handle"}); !errors.Is(err, custody.ErrNotFound) {
		t.Fatalf("reading by the one complained about: got %v", err)
	}
	for who, want := range map[string]struct {
		purpose string
		tells   bool
	}{"han": {"handle", false}, "hedda": {"handle", false}, "aud": {"audit", true}, "dora": {"incident", true}} {
		trail, err := h.Trail(t.Context(), h.as(who), created.ID, want.purpose)
		must(t, err)
		told := false
		for _, item := range trail.Items {
			told = told || item.Actor == "hugo" || item.Rule == "R5"
		}
		if told != want.tells {
			t.Errorf("%s: told %t, want %t", who, told, want.tells)
		}
	}
}

// A grant or an emergency access that somebody wrote into the register by SQL
// opens nothing: the log does not know it. Nor does one that was widened.
func TestGrantsBySQLOpenNothing(t *testing.T) {
	t.Parallel()
	h := open(t)
	h.sql("update people.requirement set value = '100' where name = 'reveals_per_hour'")
	d := draft(1)
	d.Department = "loans" // han is of cards
	delete(d.Fields, "respondent_staff_id")
	created, err := h.Create(t.Context(), h.as("ivy"), custody.CreateRequest{Purpose: "handle", Draft: d})
	must(t, err)
	reveal := func(purpose, field string) error {
		_, err := h.Reveal(t.Context(), h.as("han"), custody.RevealRequest{ID: created.ID, Purpose: purpose, Fields: []string{field}, Reason: "verify identity"})
		return err
	}
	closed := func(what string, err error) {
		t.Helper()
		var refused *custody.RefusedError
		if !errors.Is(err, custody.ErrNotFound) && !errors.As(err, &refused) {
			t.Errorf("%s: got %v, want nothing opened", what, err)
		}
	}
	h.sql(`insert into people.access_grant (institution, id, complaint, requester, purpose, groups, minutes, reason_sealed, state, requested_at, reviewer, valid_from, valid_until)
		values ($1, gen_random_uuid(), $2, 'han', 'handle', '{contact}', 60, '', 'issued', now(), 'dora', now() - interval '1 minute', now() + interval '1 hour')`, h.institution, created.ID)
	closed("a planted grant", reveal("handle", "phone"))
	if n := h.entries("complaint:"+created.ID, "access.integrity"); n != 1 {
		t.Errorf("got %d entries about it, want 1", n)
	}
	h.sql(`insert into people.break_glass (institution, id, complaint, person, ticket, reason_sealed, opened_at, valid_until)
		values ($1, gen_random_uuid(), $2, 'han', 'T', '', now() - interval '1 minute', now() + interval '1 hour')`, h.institution, created.ID)
	closed("a planted emergency", reveal("breakglass", "phone"))
	h.sql("delete from people.access_grant where institution = $1", h.institution)
	h.sql("delete from people.break_glass where institution = $1", h.institution)

	g, err := h.RequestGrant(t.Context(), h.as("han"), custody.Grant{Complaint: created.ID, Purpose: "handle", Groups: []string{"contact"}, Reason: "verify identity", Minutes: 60})
	must(t, err)
	h.sql("update people.access_grant set state = 'issued', reviewer = 'dora', valid_from = now() - interval '1 minute', valid_until = now() + interval '1 hour' where id = $1", g.ID)
	closed("issued by SQL", reveal("handle", "phone"))
	h.sql("update people.access_grant set state = 'requested', reviewer = null, valid_from = null, valid_until = null where id = $1", g.ID)
	_, err = h.ReviewGrant(t.Context(), h.as("dora"), g.ID, true)
	must(t, err)
	must(t, reveal("handle", "phone"))
	for what, change := range map[string][2]string{
		"widened":   {"groups = '{contact,identity}'", "groups = '{contact}'"},
		"prolonged": {"valid_until = valid_until + interval '1 day'", "valid_until = valid_until - interval '1 day'"},
		"purpose":   {"requester = 'hugo'", "requester = 'han'"},
	} {
		h.sql("update people.access_grant set "+change[0]+" where id = $1", g.ID)
		closed(what, reveal("handle", "phone"))
		h.sql("update people.access_grant set "+change[1]+" where id = $1", g.ID)
	}
	must(t, reveal("handle", "phone"))
	_, err = h.RevokeGrant(t.Context(), h.as("dora"), g.ID)
	must(t, err)
	h.sql("update people.access_grant set state = 'issued', valid_until = now() + interval '1 hour' where id = $1", g.ID)
	closed("revived", reveal("handle", "phone"))

	_, err = h.OpenBreakGlass(t.Context(), h.as("han"), custody.BreakGlass{Complaint: created.ID, Ticket: "T-1", Reason: "urgent need"})
	must(t, err)
	must(t, reveal("breakglass", "phone"))
}
