package custody_test

import (
	"errors"
	"slices"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/sealtrail/sealtrail/audit"
	"github.com/sealtrail/sealtrail/internal/complaint"
	"github.com/sealtrail/sealtrail/internal/custody"
	"github.com/sealtrail/sealtrail/internal/pgtest"
	"github.com/sealtrail/sealtrail/internal/vaulttest"
)

// archive is a house with the persons who keep, hold and erase, and a clock that
// stands where the test puts it.
type archive struct {
	*house
	at time.Time
}

// keepers are those persons.
var keepers = []struct{ id, role string }{{"rex", "records"}, {"rita", "records"}, {"lea", "legal"}, {"leo", "legal"}, {"dan", "dpo"}}

func openArchive(t *testing.T) *archive { return openArchiveOn(t, taps{}) }

func openArchiveOn(t *testing.T, tap taps) *archive {
	t.Helper()
	h := &archive{house: openTapped(t, tap)}
	until := time.Now().AddDate(40, 0, 0)
	for _, p := range keepers {
		_, err := h.AddPerson(t.Context(), h.as("sec-a"), custody.Person{ID: p.id, Kind: custody.Human, Department: p.role, Status: "active"})
		must(t, err)
		h.hire(p.id, p.role, p.role, until)
	}
	h.hire("ivy", "intake", "front", until)
	h.at = time.Now().UTC().Truncate(time.Second).Add(2 * time.Second) // after every appointment
	h.now = func() time.Time { return h.at }
	return h
}

func openTapped(t *testing.T, tap taps) *house {
	t.Helper()
	return openOn(t, pgtest.New(t, "custody", migrate), vaulttest.New(t), tap)
}

// hire appoints somebody for as long as retention lasts.
func (h *archive) hire(id, role, department string, until time.Time) {
	h.t.Helper()
	ctx := h.t.Context()
	d, err := h.Appoint(ctx, h.as("sec-a"), id, custody.Duty{Role: role, Level: "major", Department: department, Until: until})
	must(h.t, err)
	_, err = h.ConfirmDuty(ctx, h.as("sec-b"), id, d.ID)
	must(h.t, err)
	_, err = h.RecordTraining(ctx, h.as("sec-a"), custody.Training{Person: id, Course: "confidentiality", Score: 90,
		PassedAt: time.Now().Add(-time.Hour), ValidUntil: until})
	must(h.t, err)
	_, err = h.SignUndertaking(ctx, h.by(id, role), custody.Undertaking{Person: id, Version: "2026-1"})
	if _, signed := errors.AsType[*custody.ConflictError](err); !signed {
		must(h.t, err)
	}
}

// by is a caller whose token claims one role.
func (h *house) by(id, role string) custody.Caller {
	c := h.as(id)
	c.Roles = []string{role}
	return c
}

func (h *archive) keeper(id string) custody.Caller {
	for _, p := range keepers {
		if p.id == id {
			return h.by(id, p.role)
		}
	}
	return h.as(id)
}

// refused files a complaint and refuses it: the shortest way to a closed one.
func (h *archive) refused(n int) *custody.Created {
	h.t.Helper()
	c := h.file(n)
	h.refuse(c)
	return c
}

func (h *archive) refuse(c *custody.Created) {
	h.t.Helper()
	view, err := h.Transition(h.t.Context(), h.as("ivy"), custody.TransitionRequest{ID: c.ID, Purpose: "handle", Revision: c.Revision, Name: "refuse",
		Inputs: map[string]string{"refusal_code": "duplicate"}})
	must(h.t, err)
	c.Revision = view.Revision
}

func (h *archive) later(years, days int) { h.at = h.at.AddDate(years, 0, days) }

func (h *archive) request(id, scope string, groups ...string) *custody.Erasure {
	h.t.Helper()
	e, err := h.RequestErasure(h.t.Context(), h.keeper("rex"), custody.ErasureRequest{Purpose: "legal", Scope: scope, Complaint: id, Groups: groups, Basis: "retention_ended"})
	must(h.t, err)
	return e
}

func (h *archive) approve(e *custody.Erasure) *custody.Erasure {
	h.t.Helper()
	e, err := h.ReviewErasure(h.t.Context(), h.keeper("dan"), e.ID, true)
	must(h.t, err)
	return e
}

func (h *archive) place(id string) *custody.LegalHold {
	h.t.Helper()
	hold, err := h.PlaceHold(h.t.Context(), h.keeper("lea"), custody.LegalHold{Complaint: id, Reason: "litigation", Reference: "(2026)京0105民初1号"})
	must(h.t, err)
	return hold
}

func (h *archive) release(hold *custody.LegalHold) {
	h.t.Helper()
	_, err := h.AskHoldRelease(h.t.Context(), h.keeper("lea"), hold.ID)
	must(h.t, err)
	_, err = h.ReleaseHold(h.t.Context(), h.keeper("leo"), hold.ID)
	must(h.t, err)
}

// results are what became of the records of an erasure.
func results(e *custody.Erasure) map[string]string {
	m := map[string]string{}
	for _, i := range e.Items {
		m[i.Complaint] = i.Result
	}
	return m
}

// kinds lists the kinds of a record's entries, events only, oldest first.
func (h *house) kinds(id string) []string {
	h.t.Helper()
	entries, err := h.log.Trail(h.t.Context(), "complaint:"+id, 1000)
	must(h.t, err)
	var list []string
	for _, e := range slices.Backward(entries) {
		b, err := audit.ParseBody(e.Body)
		must(h.t, err)
		if b.Stage == audit.StageEvent {
			list = append(list, b.Kind)
		}
	}
	return list
}

func (h *house) count(sql string, args ...any) (n int) {
	h.t.Helper()
	must(h.t, h.admin.QueryRow(h.t.Context(), sql, args...).Scan(&n))
	return n
}

// TestShredLeavesNothingButTheTrail is an erasure from request to what is left.
func TestShredLeavesNothingButTheTrail(t *testing.T) {
	t.Parallel()
	h := openArchive(t)
	c := h.file(1)
	h.walk(c, "assign")
	_, err := h.Reveal(t.Context(), h.as("han"), custody.RevealRequest{ID: c.ID, Purpose: "handle", Fields: []string{"narrative"}, Reason: "核对投诉内容"})
	must(t, err)
	_, err = h.RequestGrant(t.Context(), h.as("aud"), custody.Grant{Complaint: c.ID, Purpose: "audit", Groups: []string{"narrative"}, Reason: "年度审计", Minutes: 30})
	must(t, err)
	h.refuse(c)
	left := map[string]string{
		"wrapped keys":    `select count(*) from keys.wrapped where institution = $1 and complaint = $2`,
		"tokens":          `select count(*) from sealtrail.blind_index where institution = $1 and complaint = $2`,
		"sealed columns":  `select count(*) from sealtrail.complaint c, jsonb_each_text(to_jsonb(c)) f where institution = $1 and id = $2 and f.key like '%\_sealed' and f.value is not null`,
		"subject's token": `select count(data_subject_bidx) from sealtrail.complaint where institution = $1 and id = $2`,
		"openings": `select count(*) from audit.opening o join audit.entry e using (institution) where o.entry_id = e.id and o.institution = $1
			and e.subject = 'complaint:' || $2`,
		"reasons of grants": `select count(*) from people.access_grant where institution = $1 and complaint = $2 and length(reason_sealed) > 0`,
	}
	for what, sql := range left {
		if n := h.count(sql, h.institution, c.ID); n == 0 {
			t.Errorf("there were no %s to begin with", what)
		}
	}
	h.later(3, 1)
	e := h.request(c.ID, "record")
	e = h.approve(e)
	if e.State != "executed" || results(e)[c.ID] != "shredded" || e.Items[0].KeyVersion != 1 || e.Items[0].Entry == 0 {
		t.Fatalf("got %+v", e)
	}
	for what, sql := range left {
		if n := h.count(sql, h.institution, c.ID); n != 0 {
			t.Errorf("%d %s are left", n, what)
		}
	}
	if n := h.count(`select count(*) from keys.destroyed where institution = $1 and complaint = $2 and why = 'shred'`, h.institution, c.ID); n != 1 {
		t.Errorf("%d rows say that the key was destroyed", n)
	}
	var gone *custody.ShreddedError
	for name, ask := range map[string]func() error{
		"read": func() error {
			_, err := h.Read(t.Context(), h.keeper("lea"), custody.ReadRequest{ID: c.ID, Purpose: "legal"})
			return err
		},
		"read of metadata": func() error {
			_, err := h.Read(t.Context(), h.keeper("rex"), custody.ReadRequest{ID: c.ID, Purpose: "legal", MetaOnly: true})
			return err
		},
		"reveal": func() error {
			_, err := h.Reveal(t.Context(), h.keeper("lea"), custody.RevealRequest{ID: c.ID, Purpose: "legal", Fields: []string{"phone"}, Reason: "法院调取"})
			return err
		},
		"hold": func() error {
			_, err := h.PlaceHold(t.Context(), h.keeper("lea"), custody.LegalHold{Complaint: c.ID, Reason: "litigation", Reference: "x"})
			return err
		},
		"request": func() error {
			_, err := h.RequestErasure(t.Context(), h.keeper("rex"), custody.ErasureRequest{Purpose: "legal", Scope: "record", Complaint: c.ID, Basis: "unlawful"})
			return err
		},
	} {
		if err := ask(); !errors.As(err, &gone) || gone.Erasure != e.ID || gone.Entry != e.Items[0].Entry {
			t.Errorf("%s: %v, want the erasure %s", name, err, e.ID)
		}
	}
	if _, err := h.Read(t.Context(), h.as("ivy"), custody.ReadRequest{ID: c.ID, Purpose: "handle"}); !errors.Is(err, custody.ErrNotFound) {
		t.Errorf("who may not see a restricted record hears %v", err)
	}
	trail, err := h.Trail(t.Context(), h.keeper("rex"), c.ID, "legal")
	must(t, err)
	if trail.Erased == nil || trail.Erased.Erasure != e.ID || len(trail.Items) < 4 {
		t.Errorf("the trail does not say erased: %+v", trail.Erased)
	}
	if kinds := h.kinds(c.ID); !slices.Contains(kinds, "erasure.requested") || !slices.Contains(kinds, "erasure.approved") || !slices.Contains(kinds, "erasure.shredded") ||
		slices.Contains(kinds, "access.integrity") {
		t.Errorf("the trail has %v", kinds)
	}
}

// TestErasedRecordsAreNotFound: in no list, no search and no retention run, also
// where the data is an older copy beside the newest keys.
func TestErasedRecordsAreNotFound(t *testing.T) {
	t.Parallel()
	h := openArchive(t)
	c, other := h.refused(1), h.refused(2)
	backup := h.rowOf(c.ID)
	h.later(3, 1)
	h.approve(h.request(c.ID, "record"))
	look := func(when string) {
		t.Helper()
		page, err := h.List(t.Context(), h.keeper("rex"), custody.ListRequest{Purpose: "legal"})
		must(t, err)
		if len(page.Items) != 1 || page.Items[0].ID != other.ID {
			t.Errorf("%s: the list shows %d records", when, len(page.Items))
		}
		if page, err = h.Search(t.Context(), h.keeper("lea"), custody.SearchRequest{Purpose: "legal", Field: "phone", Value: "13800138000"}); err != nil || len(page.Items) != 1 {
			t.Errorf("%s: the search shows %d records: %v", when, len(page.Items), err)
		}
		due, err := h.DueForErasure(t.Context(), h.keeper("rex"), custody.ListRequest{Purpose: "legal"})
		must(t, err)
		if len(due.Items) != 1 || due.Items[0].ID != other.ID {
			t.Errorf("%s: due are %d records", when, len(due.Items))
		}
		if _, err := h.Read(t.Context(), h.keeper("lea"), custody.ReadRequest{ID: c.ID, Purpose: "legal"}); !errors.Is(err, custody.ErrShredded) {
			t.Errorf("%s: reading says %v", when, err)
		}
		if trail, err := h.Trail(t.Context(), h.keeper("rex"), c.ID, "legal"); err != nil || trail.Erased == nil {
			t.Errorf("%s: the trail says %v", when, err)
		}
	}
	again := draft(1)
	delete(again.Fields, "respondent_staff_id")
	refile := func(when string) {
		t.Helper()
		created, err := h.Create(t.Context(), h.as("ivy"), custody.CreateRequest{Purpose: "handle", Draft: again})
		if err != nil || !created.Existing || created.ID != c.ID || created.State != "" {
			t.Errorf("%s: filing it again: %+v, %v", when, created, err)
		}
	}
	look("after the erasure")
	refile("after the erasure")
	h.putBack(backup)
	look("with older data")
	refile("with older data")
	if kinds := h.kinds(c.ID); slices.Contains(kinds, "access.integrity") || slices.Contains(kinds, "record.stale") {
		t.Errorf("an erased record beside older data is called a finding: %v", kinds)
	}
}

// backupOf is a complaint's row and tokens as a backup of the data has them.
type backupOf struct {
	id          string
	row, tokens []byte
}

func (h *house) rowOf(id string) backupOf {
	h.t.Helper()
	b := backupOf{id: id}
	must(h.t, h.admin.QueryRow(h.t.Context(), `select to_jsonb(c) from sealtrail.complaint c where institution = $1 and id = $2`, h.institution, id).Scan(&b.row))
	must(h.t, h.admin.QueryRow(h.t.Context(), `select coalesce(jsonb_agg(to_jsonb(b)), '[]') from sealtrail.blind_index b where institution = $1 and complaint = $2`,
		h.institution, id).Scan(&b.tokens))
	return b
}

func (h *house) putBack(b backupOf) {
	h.t.Helper()
	must(h.t, pgx.BeginFunc(h.t.Context(), h.admin, func(tx pgx.Tx) error {
		for _, sql := range []string{
			`set local session_replication_role = replica`,
			`delete from sealtrail.blind_index where institution = '` + h.institution + `' and complaint = '` + b.id + `'`,
			`delete from sealtrail.complaint where institution = '` + h.institution + `' and id = '` + b.id + `'`,
		} {
			if _, err := tx.Exec(h.t.Context(), sql); err != nil {
				return err
			}
		}
		if _, err := tx.Exec(h.t.Context(), `insert into sealtrail.complaint select * from jsonb_populate_record(null::sealtrail.complaint, $1)`, b.row); err != nil {
			return err
		}
		_, err := tx.Exec(h.t.Context(), `insert into sealtrail.blind_index select * from jsonb_populate_recordset(null::sealtrail.blind_index, $1)`, b.tokens)
		return err
	}))
}

// TestAMissingKeyIsALossUnlessItWasDestroyed: only what was erased is erased.
func TestAMissingKeyIsALossUnlessItWasDestroyed(t *testing.T) {
	t.Parallel()
	h := openArchive(t)
	c := h.refused(1)
	h.keys.VoidAll("test")
	_, err := h.admin.Exec(t.Context(), `delete from keys.wrapped where institution = $1 and complaint = $2`, h.institution, c.ID)
	must(t, err)
	if _, err := h.Read(t.Context(), h.as("ivy"), custody.ReadRequest{ID: c.ID, Purpose: "handle"}); !errors.Is(err, custody.ErrIntegrity) {
		t.Errorf("a key that was taken away: %v", err)
	}
	h.later(3, 1)
	e := h.request(c.ID, "record")
	if _, err := h.ReviewErasure(t.Context(), h.keeper("dan"), e.ID, true); !errors.Is(err, custody.ErrIntegrity) {
		t.Errorf("erasing a record whose key is gone: %v", err)
	}
	// A row that says erased by SQL is no erasure either.
	_, err = h.admin.Exec(t.Context(), `update sealtrail.complaint set state = 'erased', stage = 'restricted' where institution = $1 and id = $2`, h.institution, c.ID)
	must(t, err)
	if _, err := h.Read(t.Context(), h.keeper("lea"), custody.ReadRequest{ID: c.ID, Purpose: "legal"}); !errors.Is(err, custody.ErrIntegrity) {
		t.Errorf("a row that SQL calls erased: %v", err)
	}
}

// TestHoldAndRetentionWin, whatever the basis of the request.
func TestHoldAndRetentionWin(t *testing.T) {
	t.Parallel()
	h := openArchive(t)
	c := h.refused(1)
	for _, basis := range complaint.Registry().Allowed("erasure_basis") {
		e, err := h.RequestErasure(t.Context(), h.keeper("rex"), custody.ErasureRequest{Purpose: "legal", Scope: "record", Complaint: c.ID, Basis: basis})
		must(t, err)
		e = h.approve(e)
		if i := e.Items[0]; e.State != "executed" || i.Result != "retained" || i.Until.Before(h.at.AddDate(2, 11, 0)) || i.Suggest != "restrict" || i.Entry == 0 {
			t.Errorf("%s within retention: %+v", basis, i)
		}
	}
	h.later(3, 1)
	hold := h.place(c.ID)
	if i := h.approve(h.request(c.ID, "record")).Items[0]; i.Result != "held" || i.Hold != hold.ID || i.Suggest != "restrict" {
		t.Errorf("under a hold: %+v", i)
	}
	h.release(hold)
	if i := h.approve(h.request(c.ID, "record")).Items[0]; i.Result != "shredded" {
		t.Errorf("after hold and retention: %+v", i)
	}
}

// TestAHoldInTheTableAloneStopsAnErasure: a row of the table alone, without the
// record's own list, still stops an erasure.
func TestAHoldInTheTableAloneStopsAnErasure(t *testing.T) {
	t.Parallel()
	h := openArchive(t)
	c := h.refused(1)
	_, err := h.admin.Exec(t.Context(), `insert into sealtrail.legal_hold (institution, id, complaint, reason_code, reference, placed_by, placed_at)
		values ($1, gen_random_uuid(), $2, 'litigation', 'x', 'lea', now())`, h.institution, c.ID)
	must(t, err)
	h.later(3, 1)
	e := h.request(c.ID, "record")
	if i := h.approve(e).Items[0]; i.Result != "held" {
		t.Errorf("got %+v", i)
	}
	if n := h.count(`select count(*) from keys.wrapped where institution = $1 and complaint = $2`, h.institution, c.ID); n != 1 {
		t.Error("the key is gone")
	}
}

func TestErasureNeedsTwoPersons(t *testing.T) {
	t.Parallel()
	h := openArchive(t)
	until := h.at.AddDate(40, 0, 0)
	h.hire("rex", "dpo", "records", until)
	c := h.refused(1)
	h.later(3, 1)
	e := h.request(c.ID, "record")
	for name, caller := range map[string]custody.Caller{
		"the requester as officer": h.by("rex", "dpo"), "another records officer": h.keeper("rita"), "a handler": h.as("han"), "legal": h.keeper("lea"),
	} {
		if _, err := h.ReviewErasure(t.Context(), caller, e.ID, true); err == nil {
			t.Errorf("%s approved", name)
		}
	}
	if _, err := h.RequestErasure(t.Context(), h.keeper("dan"), custody.ErasureRequest{Purpose: "approve", Scope: "record", Complaint: c.ID, Basis: "unlawful"}); err == nil {
		t.Error("who approves may ask, too")
	}
	var conflict *custody.ConflictError
	if _, err := h.RequestErasure(t.Context(), h.keeper("rita"), custody.ErasureRequest{Purpose: "legal", Scope: "record", Complaint: c.ID, Basis: "unlawful"}); !errors.As(err, &conflict) || conflict.Code != "erasure_open" {
		t.Errorf("a second request: %v", err)
	}
	refused, err := h.ReviewErasure(t.Context(), h.keeper("dan"), e.ID, false)
	must(t, err)
	if refused.State != "refused" || len(refused.Items) != 0 {
		t.Errorf("refused: %+v", refused)
	}
	if _, err := h.ReviewErasure(t.Context(), h.keeper("dan"), e.ID, true); !errors.As(err, &conflict) || conflict.Code != "already_decided" {
		t.Errorf("approving what was refused: %v", err)
	}
	if n := h.count(`select count(*) from keys.destroyed where institution = $1`, h.institution); n != 0 {
		t.Error("something was destroyed")
	}
}

func TestAnOpenComplaintIsNeitherErasedNorRestricted(t *testing.T) {
	t.Parallel()
	h := openArchive(t)
	c := h.file(1)
	var conflict *custody.ConflictError
	if _, err := h.RequestErasure(t.Context(), h.keeper("rex"), custody.ErasureRequest{Purpose: "legal", Scope: "record", Complaint: c.ID, Basis: "subject_request"}); !errors.As(err, &conflict) || conflict.Code != "case_open" {
		t.Errorf("request: %v", err)
	}
	_, err := h.Transition(t.Context(), h.keeper("rex"), custody.TransitionRequest{ID: c.ID, Purpose: "legal", Revision: c.Revision, Name: "restrict",
		Inputs: map[string]string{"restriction_reason": "deletion_request"}})
	if !errors.As(err, &conflict) || conflict.Code != "case_open" {
		t.Errorf("restrict: %v", err)
	}
}

// TestSubjectMeansEveryRecordByItself: one is erased, one held, one still open.
func TestSubjectMeansEveryRecordByItself(t *testing.T) {
	t.Parallel()
	h := openArchive(t)
	one, two := h.refused(1), h.refused(2)
	stranger := draft(4)
	stranger.Fields["id_number"] = "440308199901010012"
	delete(stranger.Fields, "respondent_staff_id")
	other, err := h.Create(t.Context(), h.as("ivy"), custody.CreateRequest{Purpose: "handle", Draft: stranger})
	must(t, err)
	h.later(3, 1)
	running := h.file(3)
	hold := h.place(two.ID)
	e := h.approve(h.request(one.ID, "subject"))
	want := map[string]string{one.ID: "shredded", two.ID: "held", running.ID: "retained"}
	if got := results(e); len(got) != 3 || got[one.ID] != want[one.ID] || got[two.ID] != want[two.ID] || got[running.ID] != want[running.ID] {
		t.Errorf("got %v, want %v", got, want)
	}
	if _, touched := results(e)[other.ID]; touched {
		t.Error("a stranger's complaint was touched")
	}
	h.release(hold)
	shown, err := h.Erasure(t.Context(), h.keeper("rex"), e.ID, "legal")
	must(t, err)
	if len(shown.Items) != 3 {
		t.Errorf("the records officer is shown %d records", len(shown.Items))
	}
}
