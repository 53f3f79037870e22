package supervision

import (
	"errors"
	"testing"

	"github.com/sealtrail/sealtrail/audit"
)

// value folds one journal and gives a figure's value.
func value(t *testing.T, month, id string, j *journal) string {
	t.Helper()
	r := report(t, month, j.leaves)
	return nud(r.Figure(id).Value)
}

// tick extends the log, so that what was due before is decided.
func (j *journal) tick(when string) {
	j.t.Helper()
	j.event(when, "service.started", "service", "service-1", nil)
}

func TestNothingOfNothingIsNotAHundredPercent(t *testing.T) {
	t.Parallel()
	j := &journal{t: t}
	j.tick("2026-01-15 12:00")
	r := report(t, "2026-01", j.leaves)
	for _, f := range r.Figures {
		if f.Value.BasisPoints != nil || nud(f.Value) != "0/0 0" {
			t.Errorf("%s of an empty log: %+v", f.Definition.ID, f.Value)
		}
		if got := valueText(&f, EN); got != "n/a" {
			t.Errorf("%s of an empty log reads %q", f.Definition.ID, got)
		}
	}
}

func TestLateOpenCaseCountsAsLate(t *testing.T) {
	t.Parallel()
	j := &journal{t: t}
	j.complaint("open", "2026-01-05 09:00", "2026-01-05 10:00", "", nil)
	j.tick("2026-01-14 23:59")
	if got := value(t, "2026-01", "M06", j); got != "0/0 1" {
		t.Errorf("before the limit has passed: got %s, want undecided", got)
	}
	j.tick("2026-01-15 00:00")
	if got := value(t, "2026-01", "M06", j); got != "0/1 0" {
		t.Errorf("after the limit: got %s, want late", got)
	}
}

// Closed cases alone would give 100 % here.
func TestTimelinessIsNotTakenOverClosedCasesOnly(t *testing.T) {
	t.Parallel()
	j := &journal{t: t}
	j.complaint("told", "2026-01-05 09:00", "2026-01-05 10:00", "", nil, step{"complaint.notified", "2026-01-06 10:00", nil})
	j.complaint("open", "2026-01-05 09:00", "2026-01-05 10:00", "", nil)
	j.tick("2026-01-31 00:00")
	if got := value(t, "2026-01", "M06", j); got != "1/2 0" {
		t.Errorf("got %s, want 1/2 0", got)
	}
}

// A limit at 24:00 on the last day of a month is the first instant of the next; it belongs to its own day.
func TestMidnightBelongsToTheDayItEnds(t *testing.T) {
	t.Parallel()
	j := &journal{t: t}
	j.complaint("a", "2026-01-21 09:00", "2026-01-21 10:00", "", nil) // 22 23 26-30 January: due on the 30th at 24:00
	j.complaint("b", "2026-03-20 09:00", "2026-03-20 10:00", "", nil) // 23-27 30 31 March: due on the 31st at 24:00
	j.tick("2026-05-01 00:00")
	for _, c := range []struct{ month, want string }{{"2026-01", "0/1 0"}, {"2026-03", "0/1 0"}, {"2026-04", "0/0 0"}} {
		if got := value(t, c.month, "M06", j); got != c.want {
			t.Errorf("%s: got %s, want %s", c.month, got, c.want)
		}
	}
	// Told in the very last microsecond before, and at, midnight.
	j = &journal{t: t}
	j.complaint("b", "2026-03-20 09:00", "2026-03-20 10:00", "", nil, step{"complaint.notified", "2026-04-01 00:00", nil})
	if got := value(t, "2026-03", "M06", j); got != "1/1 0" {
		t.Errorf("told at 24:00: got %s, want in time", got)
	}
}

// Received on Friday 13 February 2026: seven working days end on 2 March, fifteen calendar days on 28 February. Told on 1
// March it keeps the norm and breaks the law.
func TestLawBindsBeforeTheNormAtSpringFestival(t *testing.T) {
	t.Parallel()
	j := &journal{t: t}
	j.complaint("spring", "2026-02-13 10:00", "2026-02-13 11:00", "", nil, step{"complaint.notified", "2026-03-01 10:00", nil})
	j.tick("2026-04-01 00:00")
	feb, mar := report(t, "2026-02", j.leaves), report(t, "2026-03", j.leaves)
	if got := nud(feb.Figure("M07").Value); got != "0/1 0" {
		t.Errorf("law in February: got %s, want late", got)
	}
	if got := nud(mar.Figure("M06").Value); got != "1/1 0" {
		t.Errorf("norm in March: got %s, want in time", got)
	}
	if feb.Binding != (Binding{LawFirst: 1}) || mar.Binding != (Binding{}) {
		t.Errorf("binding: February %+v, March %+v", feb.Binding, mar.Binding)
	}
}

// Fifteen days from Saturday 17 January end on Sunday 1 February; Civil Code 203 rolls the limit to Monday the 2nd.
func TestLawIsBrokenOnlyAfterTheRolledDay(t *testing.T) {
	t.Parallel()
	j := &journal{t: t}
	j.complaint("sunday", "2026-01-17 10:00", "2026-01-17 11:00", "", nil, step{"complaint.notified", "2026-02-02 20:00", nil})
	j.tick("2026-04-01 00:00")
	if got := value(t, "2026-02", "M07", j); got != "1/1 0" {
		t.Errorf("told on the rolled day: got %s, want in time", got)
	}
}

func TestExtensionHoldsOnlyIfApprovedInTime(t *testing.T) {
	t.Parallel()
	extended := func(when string, days int) *journal {
		j := &journal{t: t}
		j.complaint("x", "2026-01-05 10:00", "2026-01-05 11:00", "", nil,
			step{"complaint.extended", when, audit.Facts{"clock": "L-15", "days": days, "complainant_told": true}},
			step{"complaint.notified", "2026-02-03 10:00", nil})
		j.tick("2026-04-01 00:00")
		return j
	}
	if got := value(t, "2026-02", "M07", extended("2026-01-19 10:00", 15)); got != "1/1 0" {
		t.Errorf("extended in time: got %s", got)
	}
	late := extended("2026-01-25 10:00", 15)
	r := report(t, "2026-01", late.leaves)
	f := r.Figure("M07")
	if nud(f.Value) != "0/1 0" || f.detail("extended_without_effect", "") != 1 {
		t.Errorf("extended after the limit: got %s, %+v", nud(f.Value), f.Details)
	}
}

// A withdrawal after the limit cures nothing; one before stands apart.
func TestBreachIsNotCuredByWithdrawal(t *testing.T) {
	t.Parallel()
	j := &journal{t: t}
	out := audit.Facts{"withdrawal_evidence": "written"}
	j.complaint("late", "2026-01-05 10:00", "2026-01-05 11:00", "", nil, step{"complaint.withdrawn", "2026-01-20 10:00", out})
	j.complaint("early", "2026-01-05 10:00", "2026-01-05 11:00", "", nil, step{"complaint.withdrawn", "2026-01-08 10:00", out})
	j.tick("2026-02-01 00:00")
	r := report(t, "2026-01", j.leaves)
	if f := r.Figure("M06"); nud(f.Value) != "0/1 0" || f.Apart.Withdrawn != 1 {
		t.Errorf("got %s apart %+v, want 0/1 0 and one apart", nud(f.Value), f.Apart)
	}
}

// A complaint recorded in February but received in January is late in January's report as soon as the log knows it.
func TestLateRecordingCountsWhereItWasReceived(t *testing.T) {
	t.Parallel()
	j := &journal{t: t}
	j.complaint("late", "2026-01-28 10:00", "2026-02-10 10:00", "", nil)
	if got := value(t, "2026-01", "M01", j); got != "0/1 0" {
		t.Errorf("got %s, want 0/1 0", got)
	}
}

func TestNormIsNoPromiseBeforeItsAdoption(t *testing.T) {
	t.Parallel()
	j := &journal{t: t}
	j.complaint("a", "2026-01-05 10:00", "2026-01-05 11:00", "", nil)
	j.tick("2026-02-01 00:00")
	in := inputs(t)
	in.Norms = nil
	r, err := foldOf(t, period(t, "2026-01"), j.leaves).Report(in)
	if err != nil {
		t.Fatal(err)
	}
	if f := r.Figure("M01"); f.Value.BasisPoints != nil || f.Note != "norm_not_adopted" {
		t.Errorf("M01 without the norm: %+v %q", f.Value, f.Note)
	}
	if got := nud(r.Figure("M07").Value); got != "0/1 0" {
		t.Errorf("the law binds all the same: got %s", got)
	}
}

// An intent or an outcome of a transition is not the transition.
func TestOnlyTheEventOfAChangeCounts(t *testing.T) {
	t.Parallel()
	j := &journal{t: t}
	j.complaint("a", "2026-01-05 10:00", "2026-01-05 11:00", "", nil)
	j.add(audit.Body{At: at(t, "2026-01-06 10:00"), Stage: audit.StageIntent, Kind: "complaint.notified", Subject: "complaint:a", Actor: audit.Actor{ID: "h"}})
	j.tick("2026-02-01 00:00")
	if got := value(t, "2026-01", "M06", j); got != "0/1 0" {
		t.Errorf("got %s, want 0/1 0", got)
	}
}

func TestSatisfactionAskedByTheHandlerDoesNotCount(t *testing.T) {
	t.Parallel()
	j := &journal{t: t}
	j.complaint("a", "2026-01-05 10:00", "2026-01-05 11:00", "", nil, step{"complaint.notified", "2026-01-06 10:00", nil},
		step{"complaint.closed", "2026-01-06 10:00", nil}, step{"satisfaction.recorded", "2026-01-07 10:00", audit.Facts{"score": 5, "asked_by_handler": true}})
	j.tick("2026-02-01 00:00")
	r := report(t, "2026-01", j.leaves)
	if f := r.Figure("M16"); nud(f.Value) != "0/0 0" || f.detail("asked_by_handler", "") != 1 {
		t.Errorf("got %s, %+v", nud(f.Value), f.Details)
	}
}

func TestMergedIsExcluded(t *testing.T) {
	t.Parallel()
	j := &journal{t: t}
	j.complaint("a", "2026-01-05 10:00", "2026-01-05 11:00", "", nil, step{"complaint.merged", "2026-01-06 10:00", nil})
	j.tick("2026-02-01 00:00")
	if r := report(t, "2026-01", j.leaves); r.Excluded.Merged != 1 || nud(r.Figure("M01").Value) != "0/0 0" {
		t.Errorf("excluded %+v, M01 %s", r.Excluded, nud(r.Figure("M01").Value))
	}
}

func TestRefusalsOfTheFold(t *testing.T) {
	t.Parallel()
	good := audit.Facts{"received_at": "2026-01-05T01:00:00.000000Z", "level": "general"}
	with := func(name string, v any) audit.Facts {
		f := audit.Facts{}
		for k, x := range good {
			f[k] = x
		}
		f[name] = v
		if v == nil {
			delete(f, name)
		}
		return f
	}
	for _, c := range []struct {
		name    string
		subject string
		facts   audit.Facts
		want    error
	}{
		{"good", "complaint:a", good, nil},
		{"receipt missing", "complaint:a", with("received_at", nil), ErrFacts},
		{"receipt no time", "complaint:a", with("received_at", "yesterday"), ErrFacts},
		{"receipt in year 1", "complaint:a", with("received_at", "0001-01-01T00:00:00Z"), ErrFacts},
		{"level unknown", "complaint:a", with("level", "tremendous"), ErrFacts},
		{"flag a text", "complaint:a", with("repeat_180d", "yes"), ErrFacts},
		{"subject no complaint", "query:1", good, ErrFacts},
		{"fact unknown to the fold", "complaint:a", with("colour", "red"), nil},
	} {
		j := &journal{t: t}
		j.event("2026-01-05 10:00", "complaint.recorded", c.subject, "intake-1", c.facts)
		f, err := New(period(t, "2026-01"))
		if err != nil {
			t.Fatal(err)
		}
		err = f.Add(j.leaves[0])
		if !errors.Is(err, c.want) {
			t.Errorf("%s: got %v, want %v", c.name, err, c.want)
		}
		var e *EntryError
		if c.want != nil && (!errors.As(err, &e) || e.Kind != "complaint.recorded" || e.Index != 0) {
			t.Errorf("%s: %v does not name the entry", c.name, err)
		}
	}
	j := &journal{t: t}
	j.tick("2026-01-05 10:00")
	j.add(audit.Body{Institution: "other-bank", At: at(t, "2026-01-05 10:00"), Stage: audit.StageEvent, Kind: "service.started", Subject: "service"})
	f, _ := New(period(t, "2026-01"))
	if err := errors.Join(f.Add(j.leaves[0]), f.Add(j.leaves[1])); !errors.Is(err, ErrInstitution) {
		t.Errorf("two institutions: got %v", err)
	}
}
