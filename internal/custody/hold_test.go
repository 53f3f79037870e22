package custody_test

import (
	"context"
	"errors"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/sealtrail/sealtrail/internal/custody"
)

func TestAHoldIsReleasedByTwoPersons(t *testing.T) {
	t.Parallel()
	h := openArchive(t)
	c := h.refused(1)
	hold := h.place(c.ID)
	if hold.State != "open" || hold.Revision != c.Revision+1 {
		t.Fatalf("got %+v", hold)
	}
	var conflict *custody.ConflictError
	if _, err := h.ReleaseHold(t.Context(), h.keeper("leo"), hold.ID); !errors.As(err, &conflict) || conflict.Code != "state_conflict" {
		t.Errorf("releasing what nobody asked for: %v", err)
	}
	_, err := h.AskHoldRelease(t.Context(), h.keeper("lea"), hold.ID)
	must(t, err)
	if _, err := h.ReleaseHold(t.Context(), h.keeper("lea"), hold.ID); err == nil {
		t.Error("who asked released it herself")
	}
	// Whoever writes SQL cannot make it another person's request.
	_, err = h.admin.Exec(t.Context(), `update sealtrail.legal_hold set release_asked_by = 'nora' where id = $1`, hold.ID)
	must(t, err)
	if _, err := h.ReleaseHold(t.Context(), h.keeper("lea"), hold.ID); !errors.Is(err, custody.ErrIntegrity) {
		t.Errorf("a request for release that the log does not know: %v", err)
	}
	_, err = h.admin.Exec(t.Context(), `update sealtrail.legal_hold set release_asked_by = 'lea' where id = $1`, hold.ID)
	must(t, err)
	released, err := h.ReleaseHold(t.Context(), h.keeper("leo"), hold.ID)
	must(t, err)
	if released.State != "released" || released.ReleasedBy != "leo" {
		t.Errorf("got %+v", released)
	}
	for name, again := range map[string]func() (*custody.LegalHold, error){
		"ask":     func() (*custody.LegalHold, error) { return h.AskHoldRelease(t.Context(), h.keeper("lea"), hold.ID) },
		"release": func() (*custody.LegalHold, error) { return h.ReleaseHold(t.Context(), h.keeper("leo"), hold.ID) },
	} {
		if _, err := again(); !errors.As(err, &conflict) || conflict.Code != "already_decided" {
			t.Errorf("%s of a released hold: %v", name, err)
		}
	}
	list, err := h.Holds(t.Context(), h.keeper("lea"), c.ID, "legal")
	must(t, err)
	if len(list.Items) != 1 || list.Items[0].State != "released" {
		t.Errorf("holds: %+v", list.Items)
	}
	kinds := h.kinds(c.ID)
	for _, kind := range []string{"hold.placed", "hold.release_asked", "hold.released"} {
		if !slices.Contains(kinds, kind) {
			t.Errorf("the trail has no %s: %v", kind, kinds)
		}
	}
	for _, caller := range []custody.Caller{h.as("han"), h.keeper("rex"), h.keeper("dan")} {
		if _, err := h.PlaceHold(t.Context(), caller, custody.LegalHold{Complaint: c.ID, Reason: "litigation", Reference: "x"}); err == nil {
			t.Errorf("%s placed a hold", caller.Person)
		}
	}
}

func TestHoldsSayWhatIsWrong(t *testing.T) {
	t.Parallel()
	h := openArchive(t)
	for name, hold := range map[string]custody.LegalHold{
		"reason": {Reason: "curiosity", Reference: "x"}, "no reference": {Reason: "litigation"}, "long": {Reason: "litigation", Reference: strings.Repeat("法", 65)},
		"telephone": {Reason: "litigation", Reference: "call 13800138000"}, "control": {Reason: "litigation", Reference: "a\x00b"},
	} {
		if _, err := h.PlaceHold(t.Context(), h.keeper("lea"), hold); err == nil || strings.Contains(err.Error(), "13800138000") {
			t.Errorf("%s: %v", name, err)
		}
	}
	if _, err := h.PlaceHold(t.Context(), h.keeper("lea"), custody.LegalHold{Complaint: "no-uuid", Reason: "litigation", Reference: "x"}); !errors.Is(err, custody.ErrNotFound) {
		t.Errorf("unknown complaint: %v", err)
	}
	for _, id := range []string{"no-uuid", "00000000-0000-4000-8000-000000000000"} {
		if _, err := h.ReleaseHold(t.Context(), h.keeper("lea"), id); !errors.Is(err, custody.ErrNotFound) {
			t.Errorf("unknown hold: %v", err)
		}
	}
}

// TestAHoldForbidsOverwritingAndNothingElse (R25): time limits run on, so the
// complaint is worked on; what is stored stays as it is.
func TestAHoldForbidsOverwritingAndNothingElse(t *testing.T) {
	t.Parallel()
	h := openArchive(t)
	c := h.file(1)
	h.walk(c, "assign")
	h.place(c.ID)
	c.Revision++
	phone, email := "13900139000", "a@example.com"
	if _, err := h.Amend(t.Context(), h.as("han"), custody.AmendRequest{ID: c.ID, Purpose: "handle", Revision: c.Revision, Fields: map[string]*string{"phone": &phone}}); err == nil {
		t.Error("a stored value was overwritten under a hold")
	}
	if _, err := h.Amend(t.Context(), h.as("han"), custody.AmendRequest{ID: c.ID, Purpose: "handle", Revision: c.Revision, Fields: map[string]*string{"phone": nil}}); err == nil {
		t.Error("a stored value was emptied under a hold")
	}
	view, err := h.Amend(t.Context(), h.as("han"), custody.AmendRequest{ID: c.ID, Purpose: "handle", Revision: c.Revision, Fields: map[string]*string{"email": &email}})
	must(t, err)
	c.Revision = view.Revision
	contact := func(text string) error {
		view, err := h.Transition(t.Context(), h.as("han"), custody.TransitionRequest{ID: c.ID, Purpose: "handle", Revision: c.Revision, Name: "log_contact",
			Inputs: map[string]string{"contact_notes": text, "next_action": "call_back", "next_due": h.at.Add(time.Hour).Format(time.RFC3339)}})
		if err == nil {
			c.Revision = view.Revision
		}
		return err
	}
	must(t, contact("第一次回电"))
	var conflict *custody.ConflictError
	if err := contact("改写"); !errors.As(err, &conflict) || conflict.Code != "legal_hold" {
		t.Errorf("a text was overwritten by a transition: %v", err)
	}
	h.walk(c, "accept", "classify")
}

// interloper runs a function once, at the first statement that begins a
// transaction while it is armed.
type interloper struct {
	armed atomic.Bool
	run   func()
}

func (i *interloper) TraceQueryStart(ctx context.Context, _ *pgx.Conn, data pgx.TraceQueryStartData) context.Context {
	if strings.HasPrefix(data.SQL, "begin") && i.armed.CompareAndSwap(true, false) {
		i.run()
	}
	return ctx
}

func (i *interloper) TraceQueryEnd(context.Context, *pgx.Conn, pgx.TraceQueryEndData) {}

// TestAHoldPlacedWhileAShredRuns gets in between the decision and the
// transaction that destroys the key: the hold wins, whichever kind of erasure.
func TestAHoldPlacedWhileAShredRuns(t *testing.T) {
	t.Parallel()
	between := &interloper{}
	h := openArchiveOn(t, taps{pool: func(cfg *pgxpool.Config) { cfg.ConnConfig.Tracer = between }})
	for n, scope := range []string{"record", "groups", "subject"} {
		c := h.refused(n)
		h.later(3, 1)
		var groups []string
		if scope == "groups" {
			groups = []string{"contact"}
		}
		e := h.request(c.ID, scope, groups...)
		placed := make(chan *custody.LegalHold, 1)
		between.run = func() {
			// The first transaction of an approval is the approval itself; the
			// next one is the erasure.
			between.run = func() { placed <- h.place(c.ID) }
			between.armed.Store(true)
		}
		between.armed.Store(true)
		e = h.approve(e)
		select {
		case hold := <-placed:
			if i := e.Items[0]; results(e)[c.ID] != "held" || scope != "subject" && i.Hold != hold.ID {
				t.Errorf("%s: a hold placed meanwhile lost: %+v", scope, e.Items)
			}
		default:
			t.Fatalf("%s: nothing came in between", scope)
		}
		if n := h.count(`select count(*) from keys.wrapped where institution = $1 and complaint = $2`, h.institution, c.ID); n != 1 {
			t.Errorf("%s: the key is gone", scope)
		}
		if kinds := h.kinds(c.ID); slices.Contains(kinds, "erasure.shredded") || slices.Contains(kinds, "erasure.reduced") {
			t.Errorf("%s: the trail says erased: %v", scope, kinds)
		}
	}
}

// TestRestrictionIsTheUsualAnswer: a restricted record is in no list and no
// search but those of legal matters, and lifting returns to where it was.
func TestRestrictionIsTheUsualAnswer(t *testing.T) {
	t.Parallel()
	h := openArchive(t)
	c, other := h.refused(1), h.refused(2)
	act := func(who, name string, inputs map[string]string) error {
		view, err := h.Transition(t.Context(), h.keeper(who), custody.TransitionRequest{ID: c.ID, Purpose: "legal", Revision: c.Revision, Name: name, Inputs: inputs})
		if err == nil {
			c.Revision = view.Revision
		}
		return err
	}
	for _, from := range []string{"refused", "archived"} {
		if err := act("rex", "restrict", nil); err == nil {
			t.Error("restricted without a reason")
		}
		must(t, act("rex", "restrict", map[string]string{"restriction_reason": "deletion_request"}))
		page, err := h.List(t.Context(), h.as("ivy"), custody.ListRequest{Purpose: "handle"})
		must(t, err)
		for _, v := range page.Items {
			if v.ID == c.ID {
				t.Error("a restricted record is in a list of handling")
			}
		}
		found, err := h.Search(t.Context(), h.as("ivy"), custody.SearchRequest{Purpose: "handle", Field: "phone", Value: "13800138000"})
		must(t, err)
		if len(found.Items) != 1 || found.Items[0].ID != other.ID {
			t.Errorf("the search of handling shows %d records", len(found.Items))
		}
		if _, err := h.Read(t.Context(), h.as("ivy"), custody.ReadRequest{ID: c.ID, Purpose: "handle"}); !errors.Is(err, custody.ErrNotFound) {
			t.Errorf("reading it for handling: %v", err)
		}
		if _, err := h.Read(t.Context(), h.keeper("lea"), custody.ReadRequest{ID: c.ID, Purpose: "legal"}); err != nil {
			t.Errorf("reading it for a legal matter: %v", err)
		}
		if err := act("rex", "lift_restriction", nil); err == nil {
			t.Error("who restricted it lifted it herself")
		}
		must(t, act("rita", "lift_restriction", nil))
		view, err := h.Read(t.Context(), h.keeper("rex"), custody.ReadRequest{ID: c.ID, Purpose: "legal", MetaOnly: true})
		must(t, err)
		if view.Meta["state"] != from {
			t.Errorf("lifting returns to %s, want %s", view.Meta["state"], from)
		}
		if from == "refused" {
			must(t, act("rex", "archive", nil))
		}
	}
	entries, err := h.Trail(t.Context(), h.keeper("rex"), c.ID, "legal")
	must(t, err)
	if !slices.ContainsFunc(entries.Items, func(i custody.TrailItem) bool {
		return i.Kind == "complaint.restricted" && i.Stage == "event" && i.Facts["restriction_reason"] == "deletion_request"
	}) {
		t.Error("the trail does not say why it was restricted")
	}
}
