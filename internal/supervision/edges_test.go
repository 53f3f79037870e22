package supervision

import (
	"errors"
	"testing"
	"testing/fstest"
	"time"

	"github.com/sealtrail/sealtrail/audit"
)

// simple is a complaint that is recorded an hour after it came, and what happens to it then.
func (j *journal) simple(id, receivedAt string, facts audit.Facts, steps ...step) {
	j.t.Helper()
	recorded := at(j.t, receivedAt).Add(time.Hour).Format("2006-01-02 15:04")
	j.complaint(id, receivedAt, recorded, "", facts, steps...)
}

// The norm's figure wants the same business; the same person in another business stands in the details alone.
func TestRepeatMeansTheSameBusiness(t *testing.T) {
	t.Parallel()
	j := &journal{t: t}
	accepted := step{"complaint.accepted", "2026-01-06 10:00", nil}
	j.simple("other", "2026-01-05 10:00", audit.Facts{"repeat_180d": true, "same_business_180d": false}, accepted)
	j.simple("same", "2026-01-05 10:00", audit.Facts{"repeat_180d": true, "same_business_180d": true}, accepted)
	j.simple("older", "2026-01-05 10:00", audit.Facts{"repeat_180d": true}, accepted)
	j.simple("silent", "2026-01-05 10:00", nil, accepted)
	j.tick("2026-02-01 00:00")
	r := report(t, "2026-01", j.leaves)
	if f := r.Figure("M14"); nud(f.Value) != "2/3 1" || f.detail("same_person_any_business", "") != 3 {
		t.Errorf("got %s, %+v", nud(f.Value), f.Details)
	}
}

// What happens after the period changes no figure of it: an answer, a raised level, an act.
func TestAfterThePeriodIsNotInIt(t *testing.T) {
	t.Parallel()
	j := &journal{t: t}
	j.simple("a", "2026-01-05 10:00", nil, step{"complaint.accepted", "2026-01-05 12:00", nil},
		step{"complaint.classified", "2026-01-05 12:00", audit.Facts{"level": "general"}},
		step{"complaint.notified", "2026-01-06 10:00", nil}, step{"complaint.closed", "2026-01-30 10:00", nil})
	j.simple("b", "2026-02-01 10:00", nil, step{"complaint.first_response", "2026-02-02 10:00", nil})
	before := report(t, "2026-01", append(j.leaves, audit.Leaf{Body: audit.Body{Institution: "demo-bank", At: at(t, "2026-02-02 11:00"),
		Stage: audit.StageEvent, Kind: "service.started", Subject: "service"}, Position: audit.Position{SeqAt: at(t, "2026-02-02 11:00")}}))
	j.event("2026-02-03 10:00", "satisfaction.recorded", "complaint:a", "quality-1", audit.Facts{"score": 5})
	j.event("2026-02-04 10:00", "complaint.reclassified", "complaint:a", "head-1", audit.Facts{"level": "major", "level_from": "general"})
	j.event("2026-02-05 10:00", "complaint.review_started", "complaint:a", "handler-7", nil)
	after := report(t, "2026-01", j.leaves)
	for i := range before.Figures {
		d, same := Compare(figureBytes(t, before, i), figureBytes(t, after, i))
		if !same {
			t.Errorf("%s: %v", before.Figures[i].Definition.ID, d)
		}
	}
	if got := nud(after.Figure("M16").Value); got != "0/0 1" {
		t.Errorf("M16: got %s, want one undecided", got)
	}
	if got := nud(after.Figure("M24").Value); got != "0/1 0" {
		t.Errorf("M24: got %s, want the one complaint with an act in January", got)
	}
	if a := report(t, "2026-02", j.leaves); nud(a.Figure("M24").Value) != "0/2 0" {
		t.Errorf("M24 of February: got %s", nud(a.Figure("M24").Value))
	}
}

func figureBytes(t *testing.T, r Report, i int) []byte {
	t.Helper()
	r.Figures = r.Figures[i : i+1]
	r.Entries, r.Header = Entries{NotRead: []KindCount{}}, Header{Logs: []LogRef{}, Norms: []AdoptedNorm{}, Bundles: []string{}}
	return []byte(reportBytes(t, r))
}

// A complaint whose level was first given after the period is shown under that level, not under none.
func TestLevelGivenLateStillCounts(t *testing.T) {
	t.Parallel()
	j := &journal{t: t}
	j.simple("a", "2026-01-28 10:00", nil, step{"complaint.classified", "2026-02-05 10:00", audit.Facts{"level": "serious"}},
		step{"complaint.reclassified", "2026-02-08 10:00", audit.Facts{"level": "major", "level_from": "serious"}})
	r := report(t, "2026-01", j.leaves)
	for _, row := range r.Figure("M02").ByLevel {
		if want := map[string]string{"serious": "0/1 0"}[row.Key]; want != "" && nud(row.Value) != want {
			t.Errorf("%s: got %s, want %s", row.Key, nud(row.Value), want)
		}
	}
	if got := nud(r.Figure("M02").Value); got != "0/1 0" {
		t.Errorf("M02: got %s", got)
	}
}

// Seven days after the day of receipt is still in the first band; the as_of instant 24:00 belongs to the day it ends.
func TestAgeCountsCalendarDays(t *testing.T) {
	t.Parallel()
	j := &journal{t: t}
	j.simple("seven", "2026-01-24 23:00", nil)
	j.simple("eight", "2026-01-23 01:00", nil)
	j.simple("closed only", "2026-01-23 01:00", nil, step{"complaint.closed", "2026-01-25 10:00", nil})
	j.tick("2026-02-01 00:00")
	r := report(t, "2026-01", j.leaves)
	if a, b := r.Stock.sum("0-7").Open, r.Stock.sum("8-15").Open; a != 1 || b != 1 {
		t.Errorf("0-7 holds %d, 8-15 %d, want one each", a, b)
	}
}

func TestRefusedThenWithdrawnIsRefused(t *testing.T) {
	t.Parallel()
	j := &journal{t: t}
	j.simple("a", "2026-01-05 10:00", nil, step{"complaint.refused", "2026-01-06 10:00", nil}, step{"complaint.withdrawn", "2026-01-07 10:00", nil})
	j.tick("2026-02-01 00:00")
	r := report(t, "2026-01", j.leaves)
	if f := r.Figure("M06"); f.Apart != (Apart{Refused: 1}) {
		t.Errorf("apart %+v", f.Apart)
	}
}

// A complaint that was told and withdrawn afterwards was completed.
func TestWithdrawnAfterBeingToldIsCompleted(t *testing.T) {
	t.Parallel()
	j := &journal{t: t}
	j.simple("a", "2026-01-05 10:00", nil, step{"complaint.accepted", "2026-01-05 12:00", nil},
		step{"complaint.notified", "2026-01-06 10:00", nil}, step{"complaint.withdrawn", "2026-01-07 10:00", nil})
	j.tick("2026-02-01 00:00")
	r := report(t, "2026-01", j.leaves)
	if f := r.Figure("M08"); nud(f.Value) != "1/1 0" || f.Apart.Withdrawn != 0 {
		t.Errorf("got %s apart %+v", nud(f.Value), f.Apart)
	}
}

// The first level is no raise, nor is a lowered one.
func TestFirstLevelIsNoRaise(t *testing.T) {
	t.Parallel()
	j := &journal{t: t}
	j.simple("first", "2026-01-05 10:00", nil, step{"complaint.classified", "2026-01-05 12:00", audit.Facts{"level": "unclassified"}},
		step{"complaint.reclassified", "2026-01-06 10:00", audit.Facts{"level": "major", "level_from": "unclassified"}})
	j.simple("down", "2026-01-05 10:00", nil, step{"complaint.classified", "2026-01-05 12:00", audit.Facts{"level": "major"}},
		step{"complaint.reclassified", "2026-01-06 10:00", audit.Facts{"level": "general"}})
	j.simple("up", "2026-01-05 10:00", nil, step{"complaint.classified", "2026-01-05 12:00", audit.Facts{"level": "general"}},
		step{"complaint.reclassified", "2026-01-06 10:00", audit.Facts{"level": "serious"}})
	j.tick("2026-02-01 00:00")
	if got := value(t, "2026-01", "M13", j); got != "1/3 0" {
		t.Errorf("got %s, want 1/3 0", got)
	}
}

func TestAssertedHistoryIsExcluded(t *testing.T) {
	t.Parallel()
	j := &journal{t: t}
	j.simple("old", "2026-01-05 10:00", audit.Facts{"asserted_at": "2026-01-05T02:00:00.000000Z"})
	j.event("2026-01-06 10:00", "complaint.first_response", "complaint:unknown", "handler-1", nil)
	j.tick("2026-02-01 00:00")
	if r := report(t, "2026-01", j.leaves); r.Excluded != (Excluded{Imported: 1, ReceiptUnknown: 1}) {
		t.Errorf("excluded %+v", r.Excluded)
	}
}

// One disclosure is one intent, however its outcome is recorded.
func TestOutcomeOfAnAccessIsNotAnAccess(t *testing.T) {
	t.Parallel()
	j := &journal{t: t}
	j.access("2026-01-05 10:00", "access.read", "handler-1", "handler", nil, nil)
	outcome := j.leaves[0].Body
	outcome.Stage = audit.StageOutcome
	j.add(outcome)
	if got := value(t, "2026-01", "M23", j); got != "0/1 0" {
		t.Errorf("got %s, want 0/1 0", got)
	}
}

func TestWorstOfTheLogsHealthIsKept(t *testing.T) {
	t.Parallel()
	j := &journal{t: t}
	for _, gaps := range []int{2, 0} {
		j.event("2026-01-05 10:00", "trail.health", "service", "service-1", audit.Facts{"max_lag_ms": 10 * gaps, "verified_to": 5, "gaps": gaps})
	}
	j.event("2026-01-05 11:00", "trail.verified", "service", "service-1", audit.Facts{"size": 9})
	j.event("2026-01-05 11:00", "trail.violation", "service", "service-1", audit.Facts{"table": "entry"})
	j.event("2026-01-05 11:00", "clock.skew", "service", "service-1", audit.Facts{"skew_ms": 9000})
	j.leaves[0].SeqAt = j.leaves[0].Body.At.Add(5001 * time.Millisecond)
	j.leaves[1].SeqAt = j.leaves[1].Body.At.Add(-5001 * time.Millisecond)
	j.leaves[2].SeqAt = j.leaves[2].Body.At.Add(5 * time.Second)
	r := report(t, "2026-01", j.leaves)
	f := r.Figure("M41")
	if nud(f.Value) != "0/0 1" {
		t.Errorf("a run that states no findings: got %s", nud(f.Value))
	}
	for name, want := range map[string]int64{"gaps": 2, "max_lag": 20, "verified_to": 9, "violations": 1, "clock_skew_entries": 1, "entries_skewed_5s": 2} {
		if got := f.detail(name, ""); got != want {
			t.Errorf("%s: got %d, want %d", name, got, want)
		}
	}
}

// A break-glass that nobody closed ends when it runs out, and its review is due from then.
func TestBreakGlassRunsOut(t *testing.T) {
	t.Parallel()
	j := &journal{t: t}
	until := audit.Facts{"case": "bg", "until": utc(at(t, "2026-01-30 11:00"))}
	j.event("2026-01-30 10:00", "breakglass.opened", "complaint:a", "handler-1", until)
	j.event("2026-02-02 10:00", "breakglass.reviewed", "complaint:a", "head-1", audit.Facts{"case": "bg", "verdict": "unjustified"})
	r, feb := report(t, "2026-01", j.leaves), report(t, "2026-02", j.leaves)
	f := r.Figure("M28")
	if nud(f.Value) != "0/1 0" || f.detail("median_minutes", "") != 60 || f.detail("open_at_end", "") != 0 {
		t.Errorf("M28: got %s, %+v", nud(f.Value), f.Details)
	}
	if got := nud(r.Figure("M28b").Value) + " " + nud(feb.Figure("M28b").Value); got != "0/0 1 1/1 0" {
		t.Errorf("M28b of January and February: got %s", got)
	}
}

func TestBlobMustBeItsDigest(t *testing.T) {
	t.Parallel()
	digest := digestOf([]byte("true"))
	folder := []Source{{Folder: fstest.MapFS{audit.BlobPath(digest): {Data: []byte("false")}}}}
	if _, err := blob(folder, digest); !errors.Is(err, ErrNotVerified) {
		t.Errorf("other bytes: got %v", err)
	}
	if _, err := blob(folder, digestOf([]byte("absent"))); !errors.Is(err, ErrNotNamed) {
		t.Errorf("absent: got %v", err)
	}
	if _, err := blob(folder, "../../etc/passwd"); !errors.Is(err, ErrNotNamed) {
		t.Errorf("no digest: got %v", err)
	}
}

// Persons are spread by role; an outlier needs a hundred colleagues.
func TestRevealSpreadOverAHundredPersons(t *testing.T) {
	t.Parallel()
	j := &journal{t: t}
	for i := range 101 {
		who := "handler-" + string(rune('a'+i/26)) + string(rune('a'+i%26))
		j.event("2026-01-05 10:00", "complaint.first_response", "complaint:c", who, nil)
		for range 1 + i/100*8 {
			j.access("2026-01-05 11:00", "access.reveal", who, "handler", []string{"phone"}, nil)
		}
	}
	r := report(t, "2026-01", j.leaves)
	f := r.Figure("M24")
	for name, want := range map[string]int64{"persons": 101, "rate_median": 10000, "rate_p99": 10000, "persons_above_p99": 1, "reveals_by_role": 109} {
		if got := f.detail(name, "handler"); got != want {
			t.Errorf("%s: got %d, want %d", name, got, want)
		}
	}
}
