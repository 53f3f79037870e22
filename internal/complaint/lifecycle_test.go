package complaint

import (
	"errors"
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"
)

func TestTransitionsAreConsistent(t *testing.T) {
	t.Parallel()
	v := Registry()
	for _, tr := range v.Transitions {
		kind, ok := v.Event(tr.Event)
		if !ok {
			t.Errorf("%s: event %s is not in the registry", tr.Name, tr.Event)
			continue
		}
		for _, s := range tr.From {
			// What is closed moves only where keeping and erasing go.
			if StageOf(s) != StageOpen && tr.To != "" && !slices.Contains([]string{"archive", "restrict", "lift_restriction"}, tr.Name) {
				t.Errorf("%s moves on from %s, which is not open", tr.Name, s)
			}
			if s == "erased" {
				t.Errorf("%s starts from what is erased", tr.Name)
			}
			if !v.Has("state", s) {
				t.Errorf("%s starts from %q, which is no state", tr.Name, s)
			}
		}
		if tr.To != "" && !v.Has("state", tr.To) {
			t.Errorf("%s leads to %q, which is no state", tr.Name, tr.To)
		}
		for _, fact := range tr.Requires {
			if typ := kind.Facts[fact]; typ == "" || strings.HasSuffix(typ, "?") {
				t.Errorf("%s requires %s, which is no required fact of %s", tr.Name, fact, tr.Event)
			}
		}
		for fact, typ := range kind.Facts {
			if !strings.HasSuffix(typ, "?") && !slices.Contains(tr.Requires, fact) {
				t.Errorf("%s does not require %s, which %s does", tr.Name, fact, tr.Event)
			}
		}
		for _, name := range tr.Fields {
			if f, ok := FieldByName(name); !ok || !f.Sealed {
				t.Errorf("%s: %s is no sealed field", tr.Name, name)
			}
		}
		for _, r := range tr.Roles {
			if !v.Has("role", r) {
				t.Errorf("%s: %s is no role", tr.Name, r)
			}
		}
		if _, ok := v.Transition(tr.FourEyes); tr.FourEyes != "" && !ok {
			t.Errorf("%s: four eyes with an unknown transition", tr.Name)
		}
	}
}

// TestEventSchemasNameKnownTypes catches a misspelt type, which would refuse
// every value.
func TestEventSchemasNameKnownTypes(t *testing.T) {
	t.Parallel()
	v := Registry()
	plain := strings.Fields("bool int score time code codes unit ref refs alias hex text field")
	check := func(where string, facts map[string]string) {
		for fact, typ := range facts {
			typ = strings.TrimSuffix(typ, "?")
			if !slices.Contains(plain, typ) && len(v.Allowed(typ)) == 0 {
				t.Errorf("%s: %s has unknown type %q", where, fact, typ)
			}
		}
	}
	check("common facts", v.CommonFacts)
	for _, k := range v.Events {
		check(k.ID, k.Facts)
		if k.Version < 1 {
			t.Errorf("%s has no version", k.ID)
		}
	}
}

func TestTheWholeWayOfAComplaint(t *testing.T) {
	t.Parallel()
	state := StateRecorded
	for _, step := range []struct{ transition, state, event string }{
		{"assign", "recorded", "complaint.assigned"},
		{"accept", "accepted", "complaint.accepted"},
		{"classify", "classified", "complaint.classified"},
		{"take", "dept_received", "complaint.dept_received"},
		{"respond", "dept_received", "complaint.first_response"},
		{"review", "reviewing", "complaint.review_started"},
		{"complete_review", "investigating", "complaint.review_done"},
		{"extend", "investigating", "complaint.extended"},
		{"propose", "plan_proposed", "complaint.plan_proposed"},
		{"approve", "plan_approved", "complaint.plan_approved"},
		{"decide", "decided", "complaint.decided"},
		{"notify", "notified", "complaint.notified"},
		{"send_letter", "notified", "confirmation_letter.sent"},
		{"request_review", "review_requested", "complaint.review_requested"},
		{"decide_review", "review_decided", "complaint.review_decided"},
		{"notify", "notified", "complaint.notified"},
		{"record_satisfaction", "notified", "satisfaction.recorded"},
		{"close", "closed", "complaint.closed"},
	} {
		next, event, err := NextState(state, step.transition)
		if err != nil || next != step.state || event != step.event {
			t.Fatalf("%s from %s: got %s, %s, %v", step.transition, state, next, event, err)
		}
		state = next
	}
	if StageOf(state) != StageClosed {
		t.Errorf("a closed complaint is in stage %s", StageOf(state))
	}
}

func TestIllegalTransitionsAreRefused(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct {
		state, transition string
		want              error
	}{
		{"recorded", "close", ErrIllegalTransition},
		{"closed", "withdraw", ErrIllegalTransition},
		{"refused", "accept", ErrIllegalTransition},
		{"plan_proposed", "decide", ErrIllegalTransition},
		{"recorded", "canary7731", ErrUnknownTransition},
		{"canary7731", "accept", ErrUnknownState},
	} {
		_, _, err := NextState(tc.state, tc.transition)
		if !errors.Is(err, tc.want) || strings.Contains(err.Error(), "canary") {
			t.Errorf("%s from %s: got %v, want %v without the given words", tc.transition, tc.state, err, tc.want)
		}
	}
}

// TestOpenComplaintsCanEnd: from every open state that can be reached, some
// way leads out of the open stage.
func TestOpenComplaintsCanEnd(t *testing.T) {
	t.Parallel()
	for _, s := range Registry().States {
		if s.Stage != StageOpen {
			continue
		}
		if next, _, err := NextState(s.ID, "withdraw"); err != nil || next != StateWithdrawn {
			t.Errorf("an open complaint in %s cannot be withdrawn", s.ID)
		}
	}
}

func TestRandomWalksStayInTheRegistry(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		state := StateRecorded
		for range rapid.IntRange(0, 40).Draw(t, "steps") {
			names := TransitionsFrom(state)
			if len(names) == 0 {
				break
			}
			next, event, err := NextState(state, rapid.SampledFrom(names).Draw(t, "transition"))
			if err != nil || !Registry().Has("state", next) {
				t.Fatalf("from %s: %v", state, err)
			}
			if _, ok := Registry().Event(event); !ok {
				t.Fatalf("event %s is unknown", event)
			}
			state = next
		}
	})
}

func TestUnknownStateShowsLeast(t *testing.T) {
	t.Parallel()
	if got := StageOf("no such state"); got != StageRestricted {
		t.Errorf("got %s, want restricted", got)
	}
	for level, want := range map[string]uint8{"general": 1, "serious": 2, "major": 3, "unclassified": 3, "no such level": 3} {
		if got := LevelRank(level); got != want {
			t.Errorf("rank of %s: got %d, want %d", level, got, want)
		}
	}
}

func TestComplaintNo(t *testing.T) {
	t.Parallel()
	seen := map[string]bool{}
	for range 5000 {
		no := ComplaintNo()
		if !ValidComplaintNo(no) || seen[no] {
			t.Fatalf("%s is malformed or came twice", no)
		}
		seen[no] = true
	}
	for _, bad := range []string{"", "TS-", "TS-ABCDEFGHIJ", "TS-abcdefghjk", "TX-0123456789", "TS-0123456789A", "TS-01234 6789"} {
		if ValidComplaintNo(bad) {
			t.Errorf("%q passes as a complaint number", bad)
		}
	}
}
