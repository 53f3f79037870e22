package custody_test

import (
	"encoding/hex"
	"encoding/json"
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/sealtrail/sealtrail/audit"
	"github.com/sealtrail/sealtrail/internal/custody"
)

// investigate asks for an investigation as aud and lets dora assent.
func (h *house) investigate(i custody.Investigation) *custody.Investigation {
	h.t.Helper()
	i.Reason, i.Until = "a tip about refunds", h.now().Add(24*time.Hour)
	asked, err := h.RequestInvestigation(h.t.Context(), h.as("aud"), i)
	must(h.t, err)
	approved, err := h.SettleInvestigation(h.t.Context(), h.as("dora"), asked.ID, "approve")
	must(h.t, err)
	return approved
}

// views is all that the investigated and their line can see, without what each
// look itself adds: the items as bytes.
func (h *house) views(id string) map[string][]string {
	h.t.Helper()
	ctx := h.t.Context()
	views := map[string][]string{}
	add := func(name string, item any) {
		raw, err := json.Marshal(item)
		must(h.t, err)
		views[name] = append(views[name], string(raw))
	}
	h.answered()
	h.searchable()
	for _, person := range []string{"han", "hedda"} {
		trail, err := h.Trail(ctx, h.as(person), id, "handle")
		must(h.t, err)
		for _, item := range trail.Items {
			if item.Kind != "access.trail" && item.Kind != "access.looked" {
				add("trail of "+person, item)
			}
		}
	}
	looked, err := h.Looked(ctx, h.portal(id), id, "subject_request", false)
	must(h.t, err)
	for _, item := range looked.Items {
		if item.What != "trail" {
			add("looked", item)
		}
	}
	h.answered()
	h.searchable()
	for _, person := range []string{"han", "hedda"} {
		page, err := h.Own(ctx, h.as(person), custody.OwnRequest{PageSize: 200})
		must(h.t, err)
		for _, item := range page.Items {
			if item.Kind != "access.trail" && item.Kind != "access.log" && item.Kind != "access.result" {
				add("own of "+person, item)
			}
		}
	}
	// Of the outcomes only those that answer a look of these views differ.
	for _, item := range h.searchLog("cora", "-action:access.trail,access.looked,access.log").Items {
		if item.Kind != "access.result" || !strings.Contains(item.Roles, "handler") && !strings.Contains(item.Roles, "head") {
			add("log as compliance sees it", item)
		}
	}
	return views
}

// What an investigator reads about a complaint, or about a person by complaints
// that she had to do with, leaves every view of the others byte for byte as it
// was, until the investigation ends; then it is there.
func TestInvestigationsAreSealed(t *testing.T) {
	t.Parallel()
	for name, subjects := range map[string]func(complaint string) custody.Investigation{
		"of a complaint": func(id string) custody.Investigation { return custody.Investigation{Complaints: []string{id}} },
		"of a person":    func(string) custody.Investigation { return custody.Investigation{Persons: []string{"han"}} },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			h := open(t)
			c := h.file(1)
			h.walk(c, "accept", "classify", "assign")
			h.read("han", c.ID, "handle")
			before := h.views(c.ID)
			i := h.investigate(subjects(c.ID))
			h.snoop(c.ID)
			during := h.views(c.ID)
			if diff := cmp.Diff(before, during); diff != "" {
				t.Fatalf("the investigation shows (-before +during):\n%s", diff)
			}
			if n := kinds(h.searchLog("aud", "actor:aud action:access.*")); n["access.read"] != 2 || n["access.trail"] != 1 {
				t.Errorf("the investigator sees of her own: %v", n)
			}
			if _, err := h.SettleInvestigation(t.Context(), h.as("aud"), i.ID, "close"); err != nil {
				t.Fatal(err)
			}
			after := h.views(c.ID)
			for _, view := range []string{"trail of han", "looked", "log as compliance sees it"} {
				if len(after[view]) <= len(during[view]) {
					t.Errorf("%s: as long after the end as before", view)
				}
			}
		})
	}
}

// snoop is what an investigator does with a complaint.
func (h *house) snoop(id string) {
	h.t.Helper()
	h.read("aud", id, "audit")
	h.read("aud", id, "audit")
	_, err := h.Trail(h.t.Context(), h.as("aud"), id, "audit")
	must(h.t, err)
	_, err = h.List(h.t.Context(), h.as("aud"), custody.ListRequest{Purpose: "audit"})
	must(h.t, err)
	if _, err := h.Reveal(h.t.Context(), h.as("aud"), custody.RevealRequest{ID: id, Purpose: "audit", Fields: []string{"phone"}, Reason: "no case yet"}); err == nil {
		h.t.Fatal("an auditor without a case reveals")
	}
	grant, err := h.RequestGrant(h.t.Context(), h.as("aud"), custody.Grant{Complaint: id, Purpose: "audit", Groups: []string{"contact"}, Reason: "audit case 7", Minutes: 60})
	must(h.t, err)
	_, err = h.ReviewGrant(h.t.Context(), h.as("dora"), grant.ID, true)
	must(h.t, err)
	_, err = h.Reveal(h.t.Context(), h.as("aud"), custody.RevealRequest{ID: id, Purpose: "audit", Fields: []string{"phone"}, Reason: "audit case 7"})
	must(h.t, err)
}

// Only the investigator's reading for audit, about the subjects, within the time
// is kept back: everything else stays where it was.
func TestInvestigationsHideNothingElse(t *testing.T) {
	t.Parallel()
	h := open(t)
	c, other := h.file(1), h.file(2)
	for _, x := range []*custody.Created{c, other} {
		h.walk(x, "accept", "classify", "assign")
	}
	h.read("aud", c.ID, "audit") // before
	h.investigate(custody.Investigation{Complaints: []string{c.ID}})
	h.read("aud", other.ID, "audit")   // another complaint
	h.read("dora", c.ID, "incident")   // another person
	h.read("cora", other.ID, "handle") // neither
	h.read("hedda", c.ID, "handle")    // the line's own
	h.read("aud", c.ID, "audit")       // the one that is sealed
	count := func(id string) int {
		trail, err := h.Trail(t.Context(), h.as("hedda"), id, "handle")
		must(t, err)
		n := 0
		for _, item := range trail.Items {
			if item.Kind == "access.read" {
				n++
			}
		}
		return n
	}
	if n := count(c.ID); n != 3 {
		t.Errorf("%d reads of the investigated complaint are shown, want 3", n)
	}
	if n := count(other.ID); n != 2 {
		t.Errorf("%d reads of the other complaint are shown, want 2", n)
	}
}

// Time ends an investigation, whether anybody closes it or not.
func TestInvestigationsEnd(t *testing.T) {
	t.Parallel()
	h := open(t)
	c := h.file(1)
	h.walk(c, "accept", "classify", "assign")
	i := h.investigate(custody.Investigation{Complaints: []string{c.ID}})
	h.read("aud", c.ID, "audit")
	reads := func() (n int) {
		trail, err := h.Trail(t.Context(), h.as("han"), c.ID, "handle")
		must(t, err)
		for _, item := range trail.Items {
			if item.Kind == "access.read" && item.Actor == "aud" {
				n++
			}
		}
		return n
	}
	if reads() != 0 {
		t.Error("the reading is shown while it is sealed")
	}
	real := h.now
	h.now = func() time.Time { return real().Add(25 * time.Hour) }
	if reads() != 1 {
		t.Error("the reading is kept back past the end")
	}
	must(t, h.EndInvestigations(t.Context()))
	must(t, h.EndInvestigations(t.Context())) // twice does no harm
	ended, err := h.Investigation(t.Context(), h.as("aud"), i.ID)
	must(t, err)
	if ended.State != "closed" || ended.ClosedAt.IsZero() {
		t.Errorf("state %s after its time", ended.State)
	}
	h.opens(ended)
	var conflict *custody.ConflictError
	if _, err := h.SettleInvestigation(t.Context(), h.as("dora"), i.ID, "approve"); !errors.As(err, &conflict) {
		t.Errorf("assent after the end: %v", err)
	}
	var wrong *custody.InvalidError
	if _, err := h.RequestInvestigation(t.Context(), h.as("aud"), custody.Investigation{Complaints: []string{c.ID}, Reason: "too long", Until: h.now().AddDate(0, 0, 181)}); !errors.As(err, &wrong) {
		t.Errorf("half a year and more: %v", err)
	}
}

// opens checks that an ended investigation opens the commitment of its request.
func (h *house) opens(i *custody.Investigation) {
	h.t.Helper()
	state, err := h.log.Entry(h.t.Context(), i.Entry)
	must(h.t, err)
	b, err := audit.ParseBody(state.Body)
	must(h.t, err)
	salt, err := hex.DecodeString(i.Opening)
	must(h.t, err)
	var lines []string
	for _, p := range i.Persons {
		lines = append(lines, "person:"+p)
	}
	for _, id := range i.Complaints {
		lines = append(lines, "complaint:"+id)
	}
	slices.Sort(lines)
	if len(salt) != 16 || b.Commit["subjects"] != audit.Commit("subjects", [16]byte(salt), []byte(strings.Join(lines, "\n"))) {
		h.t.Error("the opening does not open the commitment of the request")
	}
	for _, line := range lines {
		if strings.Contains(string(state.Body), line) {
			h.t.Error("the request's entry names a subject")
		}
	}
}

// Whom an investigation is about finds none of its id, assents to none and is
// shown none; nor does anybody assent to her own.
func TestInvestigationsAreUnknownToTheirSubjects(t *testing.T) {
	t.Parallel()
	h := open(t)
	about := h.accusing(1) // names hugo
	i, err := h.RequestInvestigation(t.Context(), h.as("aud"), custody.Investigation{Persons: []string{"cora"}, Complaints: []string{about.ID}, Reason: "a tip", Until: h.now().Add(time.Hour)})
	must(t, err)
	if i.Opening != "" {
		t.Error("a request shows its opening")
	}
	const unknown = "11111111-2222-4333-8444-555555555555"
	for _, id := range []string{i.ID, unknown} {
		for _, verdict := range []string{"approve", "refuse", "close"} {
			if _, err := h.SettleInvestigation(t.Context(), h.as("cora"), id, verdict); !errors.Is(err, custody.ErrNotFound) {
				t.Errorf("%s by its subject: %v", verdict, err)
			}
		}
		if _, err := h.Investigation(t.Context(), h.as("cora"), id); !errors.Is(err, custody.ErrNotFound) {
			t.Errorf("shown to its subject: %v", err)
		}
	}
	list, err := h.Investigations(t.Context(), h.as("cora"), "")
	must(t, err)
	seen, err := h.Investigations(t.Context(), h.as("dora"), "requested")
	must(t, err)
	if len(list.Items) != 0 || len(seen.Items) != 1 {
		t.Errorf("its subject is shown %d, the data protection officer %d", len(list.Items), len(seen.Items))
	}
	var refused *custody.RefusedError
	if _, err := h.SettleInvestigation(t.Context(), h.as("aud"), i.ID, "approve"); !errors.As(err, &refused) {
		t.Errorf("assent by the one who asked: %v", err)
	}
	if _, err := h.RequestInvestigation(t.Context(), h.as("hedda"), custody.Investigation{Persons: []string{"han"}, Reason: "curious", Until: h.now().Add(time.Hour)}); !errors.As(err, &refused) {
		t.Errorf("asked for by a head: %v", err)
	}
	h.answered()
	h.searchable()
	if n := kinds(h.searchLog("cora", "action:investigation.*")); len(n) != 0 {
		t.Errorf("its subject finds %v in the log", n)
	}
}

// A row that SQL alone made or altered hides nothing: the log does not bear it
// out.
func TestInvestigationsBySQLHideNothing(t *testing.T) {
	t.Parallel()
	h := open(t)
	c, other := h.file(1), h.file(2)
	for _, x := range []*custody.Created{c, other} {
		h.walk(x, "accept", "classify", "assign")
	}
	h.investigate(custody.Investigation{Complaints: []string{other.ID}})
	h.read("aud", c.ID, "audit")
	h.read("ivy", c.ID, "handle")
	sql := func(statement string) {
		t.Helper()
		_, err := h.admin.Exec(t.Context(), statement)
		must(t, err)
	}
	sql("alter table people.investigation drop constraint investigation_two_persons_check")
	sql("create table people.saved as select * from people.investigation")
	for name, statement := range map[string]string{
		"other subjects":        "update people.investigation set complaints = array(select id from sealtrail.complaint), persons = '{}'",
		"later end":             "update people.investigation set until = until + interval '1 year', complaints = array(select id from sealtrail.complaint)",
		"other auditor":         "update people.investigation set requested_by = 'ivy', complaints = array(select id from sealtrail.complaint)",
		"own assent, and early": "update people.investigation set decided_by = 'aud', decided_at = decided_at - interval '1 day', complaints = array(select id from sealtrail.complaint)",
		"made up":               "update people.investigation set id = gen_random_uuid(), complaints = array(select id from sealtrail.complaint)",
	} {
		sql(statement)
		trail, err := h.Trail(t.Context(), h.as("hedda"), c.ID, "handle")
		must(t, err)
		n := 0
		for _, item := range trail.Items {
			if item.Kind == "access.read" {
				n++
			}
		}
		if n != 2 {
			t.Errorf("%s: %d of 2 reads are shown", name, n)
		}
		sql("delete from people.investigation")
		sql("insert into people.investigation select * from people.saved")
	}
}
