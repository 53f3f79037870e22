package erasures_test

import (
	"context"
	"strings"
	"testing"
	"time"

	"github.com/sealtrail/sealtrail/audit"
	"github.com/sealtrail/sealtrail/audit/audittest"
	"github.com/sealtrail/sealtrail/audit/verify"
	"github.com/sealtrail/sealtrail/internal/complaint"
	"github.com/sealtrail/sealtrail/internal/erasures"
)

const (
	one     = "complaint:11111111-8b86-4011-b42d-00c04fc964ff"
	two     = "complaint:22222222-8b86-4011-b42d-00c04fc964ff"
	erasure = "6f9619ff-8b86-4011-b42d-00c04fc964ff"
	custody = "7f9619ff-8b86-4011-b42d-00c04fc964ff" // a hold
)

// day is so many days after the complaints were closed.
func day(n int) time.Time { return time.Date(2021, 3, 4, 5, 6, 7, 0, time.UTC).AddDate(0, 0, n) }

// step is one entry of a scene.
type step struct {
	name string
	body audit.Body
}

func event(name, kind, subject, actor string, at time.Time, facts audit.Facts) step {
	return step{name, audit.Body{Institution: "demo", At: at, Stage: audit.StageEvent, Kind: kind, Subject: subject, Request: "r-" + strings.ReplaceAll(name, " ", "-"),
		Actor: audit.Actor{ID: actor}, Facts: facts, Nonce: [16]byte{1}}}
}

func shredded(name, subject, by, approver string, at time.Time) step {
	return event(name, "erasure.shredded", subject, approver, at, audit.Facts{"erasure": erasure, "basis": "retention_ended", "requested_by": by,
		"approved_by": approver, "generation": 1, "commitment": strings.Repeat("ab", 32), "wrapped_sha256": strings.Repeat("cd", 32), "key_version": 3})
}

// scene is a whole and honest erasure: two complaints closed, a hold placed and
// released, retention over, erasure by two persons, a refused reading after it,
// the epoch closed by two custodians, the second stage.
func scene() []step {
	after := day(3*365 + 10)
	refs := audit.Facts{"erasure": erasure}
	key := func(more audit.Facts) audit.Facts {
		facts := audit.Facts{"key": "demo-record", "version": 4}
		for k, v := range more {
			facts[k] = v
		}
		return facts
	}
	read := event("read", "access.reveal", one, "h-1", after.Add(time.Hour), nil)
	read.body.Stage, read.body.Fields = audit.StageIntent, []string{"narrative"}
	lost := event("lost", "access.integrity", one, "h-1", after.Add(time.Hour), audit.Facts{"what": "key.missing"})
	lost.body.Request = "r-read"
	return []step{
		event("recorded", "service.started", "service", "s-1", day(-9), nil),
		event("closed 1", "complaint.closed", one, "h-1", day(0), audit.Facts{"close_reason": "review_final"}),
		event("closed 2", "complaint.closed", two, "h-1", day(0), audit.Facts{"close_reason": "review_final"}),
		event("hold", "hold.placed", one, "l-1", day(20), audit.Facts{"hold": custody, "hold_reason": "litigation"}),
		event("asked", "hold.release_asked", one, "l-1", day(30), audit.Facts{"hold": custody}),
		event("released", "hold.released", one, "l-2", day(31), audit.Facts{"hold": custody}),
		event("requested", "erasure.requested", one, "r-1", after, audit.Facts{"erasure": erasure, "scope": "subject", "basis": "retention_ended"}),
		event("approved", "erasure.approved", one, "d-1", after, refs),
		shredded("shredded 1", one, "r-1", "d-1", after),
		shredded("shredded 2", two, "r-1", "d-1", after),
		read, lost,
		{"outcome", audit.Body{Institution: "demo", At: after.Add(time.Hour), Stage: audit.StageOutcome, Kind: "access.result", Subject: "request:r-read",
			Request: "r-read", Actor: audit.Actor{ID: "h-1"}, Facts: audit.Facts{"outcome": "answered", "intents": []string{"e11"}}, Nonce: [16]byte{1}}},
		event("proposed", "key.epoch_proposed", "key:demo-record", "c-1", after, key(nil)),
		event("confirmed", "key.epoch_confirmed", "key:demo-record", "c-2", after, key(audit.Facts{"not_before": stamp(after.AddDate(0, 0, 7))})),
		event("epoch", "key.epoch_closed", "key:demo-record", "s-1", after.AddDate(0, 0, 8), key(audit.Facts{"min_decryption": 4, "min_available": 4, "restore_tested": strings.Repeat("ef", 32)})),
		event("final", "erasure.irrecoverable", one, "s-1", after.AddDate(0, 0, 8),
			audit.Facts{"erasure": erasure, "key": "demo-record", "key_version": 3, "min_available": 4, "epoch_entry": 16}),
	}
}

func stamp(t time.Time) string { return t.UTC().Format(audit.TimeLayout) }

// at finds the place of a step.
func at(t testing.TB, steps []step, name string) int {
	t.Helper()
	for i := range steps {
		if steps[i].name == name {
			return i
		}
	}
	t.Fatalf("no step %q", name)
	return 0
}

// judge publishes the scene as one log and folds it.
func judge(t testing.TB, steps []step) verify.Step {
	t.Helper()
	l := audittest.New(audittest.Config{Start: day(4 * 365)})
	for _, s := range steps {
		if err := complaint.CheckFacts(s.body.Kind, s.body.Facts); err != nil && s.body.Stage == audit.StageEvent {
			t.Fatalf("%s: %v", s.name, err)
		}
		l.Append(s.body)
	}
	var f erasures.Fold
	report, err := verify.Verify(context.Background(), l.Folder(), verify.Options{VerifierKey: l.VerifierKey(), Entries: f.Take})
	if err != nil || !report.OK() {
		t.Fatalf("the log itself is bad: %v %+v", err, report)
	}
	return f.Step(10, l.Origin())
}

func TestAnHonestErasurePasses(t *testing.T) {
	t.Parallel()
	if s := judge(t, scene()); s.Status != verify.OK {
		t.Errorf("%s: %+v", s.Status, s.Findings)
	}
	if s := judge(t, scene()[:3]); s.Status != verify.NotChecked {
		t.Errorf("a log without erasures is %s", s.Status)
	}
}

// TestEveryBrokenPromiseIsNamed breaks the honest scene in one place at a time.
func TestEveryBrokenPromiseIsNamed(t *testing.T) {
	t.Parallel()
	late := day(3*365 + 30)
	for name, lie := range map[string]struct {
		code, where string // the finding, and the step that it names
		change      func(t *testing.T, s []step) []step
	}{
		"nobody asked":                {"erasure_unrequested", "approved", drop("requested")},
		"nobody approved":             {"erasure_unapproved", "shredded 1", drop("approved")},
		"refused":                     {"erasure_unapproved", "shredded 1", kind("approved", "erasure.refused")},
		"approved by the requester":   {"erasure_same_person", "approved", actor("approved", "r-1")},
		"approved by itself":          {"erasure_same_person", "shredded 1", fact("shredded 1", "approved_by", "r-1")},
		"another approver":            {"erasure_approver", "shredded 1", fact("shredded 1", "approved_by", "d-2")},
		"another requester":           {"erasure_requester", "shredded 1", fact("shredded 1", "requested_by", "r-2")},
		"another record":              {"erasure_other_record", "shredded 2", fact("requested", "scope", "record")},
		"another basis":               {"erasure_basis", "shredded 1", fact("shredded 1", "basis", "unlawful")},
		"decided twice":               {"erasure_decided_twice", "again", insert("approved", event("again", "erasure.approved", one, "d-2", late, audit.Facts{"erasure": erasure}))},
		"hold still open":             {"erasure_held", "shredded 1", drop("released")},
		"hold placed meanwhile":       {"erasure_held", "shredded 1", insert("approved", event("new hold", "hold.placed", one, "l-1", late, audit.Facts{"hold": "8f9619ff", "hold_reason": "litigation"}))},
		"hold released by one":        {"hold_same_person", "released", actor("released", "l-1")},
		"hold released unasked":       {"hold_released_alone", "released", drop("asked")},
		"hold that nobody placed":     {"hold_unknown", "asked", drop("hold")},
		"retention not over":          {"erasure_retained", "shredded 1", when("shredded 1", day(3*365-10))},
		"kept until later":            {"erasure_retained", "shredded 2", insert("approved", event("kept", "erasure.kept", two, "d-1", late, audit.Facts{"erasure": "9f", "result": "retained", "until": stamp(late.AddDate(1, 0, 0))}))},
		"never closed":                {"erasure_open_case", "shredded 2", drop("closed 2")},
		"amended after":               {"erased_changed", "amended", insert("shredded 2", event("amended", "complaint.amended", one, "h-1", late, nil))},
		"moved on after":              {"erased_changed", "lifted", insert("shredded 2", event("lifted", "complaint.restriction_lifted", one, "r-1", late, nil))},
		"resealed after":              {"erased_changed", "resealed", insert("shredded 2", event("resealed", "record.resealed", one, "k-1", late, audit.Facts{"suite_from": 1, "suite_to": 2, "generation_from": 1, "generation_to": 2, "why": "suite"}))},
		"erased twice":                {"erased_changed", "twice", insert("shredded 2", shredded("twice", one, "r-1", "d-1", late))},
		"opened after":                {"erased_opened", "read", drop("lost")},
		"final without a shredding":   {"irrecoverable_unknown", "final", drop("shredded 1")},
		"final of another erasure":    {"irrecoverable_unknown", "final", fact("final", "erasure", "9f9619ff")},
		"final of another version":    {"irrecoverable_version", "final", fact("final", "key_version", 2)},
		"final and still there":       {"irrecoverable_available", "final", fact("final", "key_version", 4)},
		"final without an epoch":      {"irrecoverable_epoch", "final", fact("final", "epoch_entry", 3)},
		"final of another epoch":      {"irrecoverable_epoch", "final", fact("final", "min_available", 9)},
		"final of another key":        {"irrecoverable_epoch", "final", fact("final", "key", "other-record")},
		"snapshots that nobody named": {"irrecoverable_epoch", "final", fact("final", "snapshots_destroyed_before", stamp(late))},
		"final twice":                 {"irrecoverable_twice", "again", insert("final", again())},
		"epoch before the delay":      {"epoch_early", "epoch", when("epoch", day(3*365+12))},
		"epoch of one custodian":      {"epoch_same_person", "confirmed", actor("confirmed", "c-1")},
		"epoch that nobody confirmed": {"epoch_unconfirmed", "epoch", drop("confirmed")},
		"epoch that nobody proposed":  {"epoch_unproposed", "confirmed", drop("proposed")},
		"epoch that was withdrawn":    {"epoch_unconfirmed", "epoch", insert("confirmed", event("withdrawn", "key.epoch_withdrawn", "key:demo-record", "c-1", late, audit.Facts{"key": "demo-record", "version": 4}))},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			steps := renumber(t, lie.change(t, scene()))
			s := judge(t, steps)
			want := uint64(at(t, steps, lie.where))
			for _, f := range s.Findings {
				if f.Code == lie.code && *f.From == want {
					if s.Status != verify.Failed || f.Text.ZH == "" || f.Text.EN == "" {
						t.Errorf("%s: %+v", s.Status, f)
					}
					return
				}
			}
			t.Errorf("no %s at entry %d: %+v", lie.code, want, s.Findings)
		})
	}
}

// renumber puts entry ids right that a change has moved, so that each scene
// breaks in one place only.
func renumber(t testing.TB, steps []step) []step {
	for i := range steps {
		f := steps[i].body.Facts
		switch {
		case steps[i].name == "outcome":
			f["intents"] = []string{"e" + itoa(at(t, steps, "read")+1)}
		case steps[i].body.Kind == "erasure.irrecoverable" && f["epoch_entry"] == 16:
			f["epoch_entry"] = at(t, steps, "epoch") + 1
		}
	}
	return steps
}

func itoa(n int) string {
	if n < 10 {
		return string(rune('0' + n))
	}
	return itoa(n/10) + string(rune('0'+n%10))
}

func drop(name string) func(*testing.T, []step) []step {
	return func(t *testing.T, s []step) []step {
		i := at(t, s, name)
		return append(s[:i:i], s[i+1:]...)
	}
}

func insert(behind string, more step) func(*testing.T, []step) []step {
	return func(t *testing.T, s []step) []step {
		i := at(t, s, behind) + 1
		return append(s[:i:i], append([]step{more}, s[i:]...)...)
	}
}

func change(name string, with func(*audit.Body)) func(*testing.T, []step) []step {
	return func(t *testing.T, s []step) []step {
		with(&s[at(t, s, name)].body)
		return s
	}
}

func fact(name, of string, value any) func(*testing.T, []step) []step {
	return change(name, func(b *audit.Body) { b.Facts[of] = value })
}

func kind(name, to string) func(*testing.T, []step) []step {
	return change(name, func(b *audit.Body) { b.Kind = to })
}

func actor(name, alias string) func(*testing.T, []step) []step {
	return change(name, func(b *audit.Body) { b.Actor.ID = alias })
}

func when(name string, at time.Time) func(*testing.T, []step) []step {
	return change(name, func(b *audit.Body) { b.At = at })
}

func again() step {
	s := scene()
	last := s[len(s)-1]
	last.name = "again"
	return last
}

// TestReferencesToEarlierLogs: a log that continues another says what it could
// not look up, and with the earlier one it can.
func TestReferencesToEarlierLogs(t *testing.T) {
	t.Parallel()
	steps := scene()
	cut := at(t, steps, "shredded 1")
	first := audittest.New(audittest.Config{Origin: "sealtrail.example/demo/2023"})
	for _, s := range steps[:cut] {
		first.Append(s.body)
	}
	second := audittest.New(audittest.Config{Origin: "sealtrail.example/demo/2024", FirstID: uint64(cut) + 1, Trails: first.Trails()})
	opened := audit.Body{Institution: "demo", At: day(4 * 365), Stage: audit.StageEvent, Kind: "log.opened", Subject: "log", Actor: audit.Actor{ID: "s-1"},
		Facts: audit.Facts{"origin": "sealtrail.example/demo/2024"}, Nonce: [16]byte{1}}
	second.Append(opened)
	for _, s := range renumber(t, steps)[cut:] {
		if s.name == "final" {
			s.body.Facts["epoch_entry"] = 17 // one behind, for the opening
		}
		s.body.Facts = clone(s.body.Facts)
		// A person's alias is another one each year.
		if s.body.Kind == "erasure.shredded" {
			s.body.Actor.ID, s.body.Facts["approved_by"], s.body.Facts["requested_by"] = "d-9", "d-9", "r-9"
		}
		if s.name == "outcome" {
			s.body.Facts["intents"] = []string{"e12"}
		}
		second.Append(s.body)
	}
	var alone, both erasures.Fold
	for _, l := range []*audittest.Log{first, second} {
		if _, err := verify.Verify(t.Context(), l.Folder(), verify.Options{VerifierKey: l.VerifierKey(), Entries: both.Take, Trails: &verify.Trails{}}); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := verify.Verify(t.Context(), second.Folder(), verify.Options{VerifierKey: second.VerifierKey(), Entries: alone.Take}); err != nil {
		t.Fatal(err)
	}
	if s := both.Step(10, second.Origin()); s.Status != verify.OK || len(s.Notes) != 1 {
		t.Errorf("with the earlier log: %s %v %+v", s.Status, s.Notes, s.Findings)
	}
	if s := alone.Step(10, second.Origin()); s.Status != verify.OK || len(s.Notes) != 2 {
		t.Errorf("without the earlier log: %s %v %+v", s.Status, s.Notes, s.Findings)
	}
	if key, n, ok := both.Closed("demo", 17); key != "demo-record" || n != 4 || !ok {
		t.Errorf("the epoch of entry 17: %s %d %v", key, n, ok)
	}
}

func clone(f audit.Facts) audit.Facts {
	out := audit.Facts{}
	for k, v := range f {
		out[k] = v
	}
	return out
}
