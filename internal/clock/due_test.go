package clock

import (
	"slices"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"
)

// at reads a time of China.
func at(t *testing.T, s string) time.Time {
	t.Helper()
	v, err := time.ParseInLocation("2006-01-02 15:04", s, Zone)
	if err != nil {
		t.Fatal(err)
	}
	return v
}

func both() Profile { return CNLaw().With(Norm(), time.Time{}) }

func find(t *testing.T, dues []Due, id string) Due {
	t.Helper()
	i := slices.IndexFunc(dues, func(d Due) bool { return d.Clock == id })
	if i < 0 {
		t.Fatalf("clock %s does not run", id)
	}
	return dues[i]
}

func received(t *testing.T, s string) Milestones {
	t.Helper()
	return Milestones{ReceivedAt: at(t, s), Events: map[string]time.Time{}}
}

// TestLawBindsBeforeTheNorm: received on Friday before the Spring Festival of
// 2026, fifteen calendar days end before seven working days.
func TestLawBindsBeforeTheNorm(t *testing.T) {
	t.Parallel()
	dues := DueDates(both(), China(), received(t, "2026-02-13 10:00"))
	law, norm := find(t, dues, "L-15"), find(t, dues, "C-FINAL")
	if want := at(t, "2026-03-01 00:00"); !law.DueAt.Equal(want) {
		t.Errorf("L-15: got %s, want 24:00 of 28 February", law.DueAt)
	}
	if want := at(t, "2026-03-03 00:00"); !norm.DueAt.Equal(want) {
		t.Errorf("C-FINAL: got %s, want 24:00 of 2 March", norm.DueAt)
	}
	got, ok := BindingFor(dues, "complaint.notified")
	if !ok || got.Clock != "L-15" || !got.Law || got.Basis != "CBIRC 2020 No. 3" {
		t.Errorf("binding: got %+v, want L-15 by law", got)
	}
	usual, ok := BindingFor(DueDates(both(), China(), received(t, "2026-04-13 10:00")), "complaint.notified")
	if !ok || usual.Clock != "C-FINAL" || usual.Law {
		t.Errorf("in a month without holidays: got %s, want the norm's C-FINAL", usual.Clock)
	}
}

// TestBothDatesOfTheRoll: the fifteenth day is a Sunday in the holiday of
// October 2026, so the limit of law ends on the next working day, but the alarm
// comes at the counted day.
func TestBothDatesOfTheRoll(t *testing.T) {
	t.Parallel()
	law := find(t, DueDates(CNLaw(), China(), received(t, "2026-09-19 09:00")), "L-15")
	if !law.DueAt.Equal(at(t, "2026-10-05 00:00")) || !law.RolledDueAt.Equal(at(t, "2026-10-09 00:00")) {
		t.Fatalf("got %s and %s, want 24:00 of 4 and of 8 October", law.DueAt, law.RolledDueAt)
	}
	between := at(t, "2026-10-06 12:00")
	if !law.Alarm(between) || law.Breached(between) {
		t.Errorf("between the two dates: alarm %v, breach %v", law.Alarm(between), law.Breached(between))
	}
	if !law.Breached(law.RolledDueAt.Add(time.Second)) || law.Breached(law.RolledDueAt) {
		t.Error("a breach is what lies behind the later date")
	}
}

func TestHoursRunThroughWeekends(t *testing.T) {
	t.Parallel()
	m := received(t, "2026-11-20 18:30") // a Friday
	m.Events["complaint.accepted"] = at(t, "2026-11-20 20:00")
	dues := DueDates(both(), China(), m)
	for id, want := range map[string]string{
		"C-RECORD": "2026-11-21 18:30", "C-CLASS-R": "2026-11-21 18:30", "C-CLASS-A": "2026-11-21 20:00", "C-DEPT": "2026-11-22 18:30",
		"C-ACK": "2026-11-25 00:00", "C-REVIEW": "2026-12-02 00:00", "C-FINAL": "2026-12-02 00:00", "L-15": "2026-12-06 00:00",
	} {
		if got := find(t, dues, id); !got.DueAt.Equal(at(t, want)) {
			t.Errorf("%s: got %s, want %s", id, got.DueAt.In(Zone), want)
		}
	}
	first, _ := Binding(dues)
	if first.Clock != "C-RECORD" {
		t.Errorf("the earliest of all is %s, want C-RECORD", first.Clock)
	}
}

func TestClocksStartWithTheirEvent(t *testing.T) {
	t.Parallel()
	m := received(t, "2026-11-02 09:00")
	var ids []string
	for _, d := range DueDates(both(), China(), m) {
		ids = append(ids, d.Clock)
	}
	if got := strings.Join(ids, " "); got != "L-15 C-RECORD C-CLASS-R C-DEPT C-ACK C-REVIEW C-FINAL" {
		t.Errorf("running from receipt: %s", got)
	}
	m.Events["complaint.notified"] = at(t, "2026-11-10 09:00")
	m.Events["complaint.review_requested"] = at(t, "2026-11-12 09:00")
	m.Events["transfer.received"] = at(t, "2026-11-03 09:00")
	m.Referral = "nfra"
	dues := DueDates(both(), China(), m)
	if got := find(t, dues, "L-REVIEW"); !got.DueAt.Equal(at(t, "2026-12-13 00:00")) || !got.RolledDueAt.Equal(at(t, "2026-12-15 00:00")) {
		t.Errorf("L-REVIEW: got %s and %s", got.DueAt, got.RolledDueAt)
	}
	if got := find(t, dues, "C-LETTER"); !got.DueAt.Equal(at(t, "2026-11-11 09:00")) {
		t.Errorf("C-LETTER: got %s", got.DueAt)
	}
	if slices.ContainsFunc(dues, func(d Due) bool { return d.Clock == "L-PBOC" }) {
		t.Error("the central bank's clock runs for another body's transfer")
	}
	m.Referral = "pboc"
	if got := find(t, DueDates(both(), China(), m), "L-PBOC"); !got.StartedAt.Equal(m.Events["transfer.received"]) {
		t.Error("the central bank's clock does not start with the transfer")
	}
	if got := DueDates(both(), China(), Milestones{}); len(got) != 0 {
		t.Errorf("without a receipt %d clocks run", len(got))
	}
}

func TestMetClocksKeepTheirBreach(t *testing.T) {
	t.Parallel()
	m := received(t, "2026-11-02 09:00")
	m.Events["complaint.recorded"] = at(t, "2026-11-03 08:00")
	m.Events["complaint.classified"] = at(t, "2026-11-04 12:00")
	m.Events["complaint.notified"] = at(t, "2026-12-20 12:00")
	dues := DueDates(both(), China(), m)
	now := at(t, "2027-01-10 00:00")
	for id, want := range map[string]bool{"C-RECORD": false, "C-CLASS-R": true, "L-15": true, "C-FINAL": true} {
		d := find(t, dues, id)
		if d.Met == nil || d.Open() || d.Breached(now) != want {
			t.Errorf("%s: met %v, breached %v, want %v", id, d.Met != nil, d.Breached(now), want)
		}
	}
	if ack := find(t, dues, "C-ACK"); !ack.Breached(now) || !ack.Open() {
		t.Error("a clock that nobody met is not a breach")
	}
}

func TestWithdrawalEndsTheClocks(t *testing.T) {
	t.Parallel()
	m := received(t, "2026-11-02 09:00")
	m.Events["complaint.recorded"] = at(t, "2026-11-02 10:00")
	m.Events["complaint.withdrawn"] = at(t, "2026-11-05 10:00")
	dues := DueDates(both(), China(), m)
	if _, open := Binding(dues); open {
		t.Error("a withdrawn complaint has a binding limit")
	}
	now := at(t, "2026-12-31 00:00")
	if d := find(t, dues, "L-15"); d.Ended == nil || d.Breached(now) {
		t.Error("a complaint withdrawn in time is a breach of law")
	}
	if d := find(t, dues, "C-DEPT"); !d.Breached(now) {
		t.Error("a breach before the withdrawal was cured by it")
	}
	if d := find(t, dues, "C-RECORD"); d.Met == nil || d.Ended != nil {
		t.Error("a clock that was met before the withdrawal lost its end")
	}
}

func TestExtensions(t *testing.T) {
	t.Parallel()
	const start = "2026-03-02 09:00"
	early, late := at(t, "2026-03-10 09:00"), at(t, "2026-03-25 09:00")
	for _, tc := range []struct {
		name string
		list []Extension
		want int // units added
	}{
		{"none", nil, 0},
		{"complex: to thirty days", []Extension{{"L-15", 15, early, false}}, 15},
		{"not beyond thirty in one step", []Extension{{"L-15", 45, early, true}}, 15},
		{"especially complex, told", []Extension{{"L-15", 15, early, false}, {"L-15", 30, late, true}}, 45},
		{"especially complex, not told", []Extension{{"L-15", 15, early, false}, {"L-15", 30, late, false}}, 15},
		{"never beyond sixty", []Extension{{"L-15", 15, early, true}, {"L-15", 30, late, true}, {"L-15", 30, late, true}}, 45},
		{"approved after the limit", []Extension{{"L-15", 15, late, true}}, 0},
		{"another clock's", []Extension{{"C-FINAL", 15, early, true}}, 0},
		{"backwards", []Extension{{"L-15", -5, early, true}}, 0},
	} {
		m := received(t, start)
		m.Extensions = tc.list
		dues := DueDates(both(), China(), m)
		law := find(t, dues, "L-15")
		if law.Extended != tc.want {
			t.Errorf("%s: extended by %d, want %d", tc.name, law.Extended, tc.want)
		}
		if want := (DayOf(m.ReceivedAt) + 15 + Day(tc.want)).End(); !law.DueAt.Equal(want) {
			t.Errorf("%s: due %s, want %s", tc.name, law.DueAt, want)
		}
		if norm := find(t, dues, "C-FINAL"); norm.Extended != 0 {
			t.Errorf("%s: the norm's limit has no extension", tc.name)
		}
	}
}

func TestTheNormHasNoForceBeforeItsAdoption(t *testing.T) {
	t.Parallel()
	p := CNLaw().With(Norm(), at(t, "2026-06-01 00:00"))
	before := DueDates(p, China(), received(t, "2026-05-31 23:59"))
	after := DueDates(p, China(), received(t, "2026-06-01 00:00"))
	if len(before) != 1 || before[0].Clock != "L-15" || len(after) != 7 {
		t.Errorf("%d clocks before the adoption and %d after, want 1 and 7", len(before), len(after))
	}
	if got := len(CNLaw().Clocks); got != 3 {
		t.Errorf("the law profile has %d clocks after an overlay, want 3", got)
	}
}

func TestProvisionalDates(t *testing.T) {
	t.Parallel()
	dues := DueDates(both(), China(), received(t, "2026-12-14 09:00"))
	for id, want := range map[string]bool{"C-RECORD": false, "C-ACK": false, "L-15": true} {
		if got := find(t, dues, id).Provisional; got != want {
			t.Errorf("%s: provisional %v, want %v", id, got, want)
		}
	}
}

func TestProfilesAreWhatTheyCite(t *testing.T) {
	t.Parallel()
	for _, d := range CNLaw().Clocks {
		if !d.Law || d.StatusCheckedAt == "" || d.Status == "" || strings.Contains(d.Article, "norm") {
			t.Errorf("%s: a limit of law names its source and when it was checked", d.ID)
		}
	}
	for _, d := range Norm().Clocks {
		if d.Law || !strings.HasPrefix(d.Article, "norm ") {
			t.Errorf("%s: a limit of the norm is cited as the norm", d.ID)
		}
	}
	if d, ok := both().Clock("C-ACK"); !ok || d.Amount != 2 || d.Unit != UnitWorkday {
		t.Errorf("C-ACK: got %+v", d)
	}
	if len(ProfilesDigest()) != 64 {
		t.Error("the profiles have no digest")
	}
}

func TestParseProfilesRefuses(t *testing.T) {
	t.Parallel()
	clock := func(s string) string {
		return `{"version":1,"profiles":[{"id":"x","clocks":[` + s + `]}]}`
	}
	for _, text := range []string{
		``, `{"profils":[]}`, clock(`{"id":"a","start":"received","stop":"x","unit":"week","amount":1}`),
		clock(`{"id":"a","start":"received","stop":"x","unit":"hour","amount":0}`), clock(`{"id":"a","start":"received","stop":"x","unit":"workday","amount":3661}`),
		clock(`{"id":"a","stop":"x","unit":"hour","amount":1}`),
		clock(`{"id":"a","start":"received","stop":"x","unit":"calday","amount":15,"steps":[{"to":15}]}`),
	} {
		if _, err := ParseProfiles([]byte(text)); err == nil {
			t.Errorf("%s was taken", text)
		}
	}
}

func TestDueProperties(t *testing.T) {
	t.Parallel()
	first, last := Date(2024, 1, 1).Start().Unix(), Date(2027, 6, 1).Start().Unix()
	p := both()
	rapid.Check(t, func(t *rapid.T) {
		start := time.Unix(rapid.Int64Range(first, last).Draw(t, "received"), 0)
		step := time.Duration(rapid.Int64Range(0, 1<<20).Draw(t, "later")) * time.Second
		m := Milestones{ReceivedAt: start, Events: map[string]time.Time{}}
		for _, e := range []string{"complaint.accepted", "complaint.recorded", "complaint.classified", "complaint.notified", "complaint.withdrawn"} {
			if rapid.Bool().Draw(t, e) {
				m.Events[e] = start.Add(time.Duration(rapid.Int64Range(0, 60*24).Draw(t, e+" after")) * time.Hour)
			}
		}
		dues := DueDates(p, China(), m)
		best, found := Binding(dues)
		for _, d := range dues {
			if d.DueAt.Before(d.StartedAt) || d.RolledDueAt.Before(d.DueAt) {
				t.Fatalf("%s: due %s and %s, started %s", d.Clock, d.DueAt, d.RolledDueAt, d.StartedAt)
			}
			if d.Open() && (!found || d.DueAt.Before(best.DueAt)) {
				t.Fatalf("%s is due before the binding %s", d.Clock, best.Clock)
			}
			if d.Met != nil && d.Ended != nil {
				t.Fatalf("%s is both met and ended", d.Clock)
			}
			if late := d.RolledDueAt.Add(time.Hour); d.Breached(late) && !d.Breached(late.Add(step)) {
				t.Fatalf("%s: a breach was cured by time", d.Clock)
			}
		}
		later := DueDates(p, China(), Milestones{ReceivedAt: start.Add(step)})
		for i, d := range DueDates(p, China(), Milestones{ReceivedAt: start}) {
			if later[i].DueAt.Before(d.DueAt) || later[i].RolledDueAt.Before(d.RolledDueAt) {
				t.Fatalf("%s: a later receipt is due earlier", d.Clock)
			}
		}
	})
}

func FuzzParseProfiles(f *testing.F) {
	f.Add(ProfilesJSON())
	f.Fuzz(func(t *testing.T, data []byte) {
		profiles, err := ParseProfiles(data)
		if err != nil {
			return
		}
		for _, p := range profiles {
			DueDates(p, China(), Milestones{ReceivedAt: time.Unix(1764547200, 0)})
		}
	})
}
