package supervision

import (
	"testing"

	"github.com/sealtrail/sealtrail/audit"
)

// january is the small log that every expected figure below was counted from by hand. January 2026: New Year 1-3 off, 4 is a
// worked Sunday, so the month's working days are 4-9, 12-16, 19-23, 26-30.
//
//	A  received Mon 5th 09:00, everything in time, told on the 13th, closed, scored 5; general, department cards
//	B  received Tue 6th 10:00, recorded after 26 h, classified serious after 30 h, taken after 3 days, no first response, told
//	   on the 30th (law: due 21st 24:00), raised to major on the 20th; department cards
//	C  received Wed 7th, in time so far, open, never reviewed or told: both completion limits broken
//	D  received Thu 8th, withdrawn on the 9th before anything was due but recording
//	E  received Wed 28th, recorded, accepted, classified; nothing else by the 31st; a repeat complaint
//	F  received Mon 12th, refused the same day
//	G  imported history: in no figure
//	H  received through the central bank on the 14th without an earlier own complaint, extended in time, told on the 14th of
//	   February
//	I  received 31 December, told on 9 January, closed on the 15th, scored 2; not of January's received, but due in it
func january(t testing.TB) []audit.Leaf {
	t.Helper()
	j := &journal{t: t}
	j.adopt("2026-01-01 00:00")
	general := audit.Facts{"type": "service", "level": "general", "business": "loan", "reason_class": "pricing"}
	serious := audit.Facts{"type": "service", "level": "serious", "business": "loan", "reason_class": "pricing"}
	j.complaint("i", "2025-12-31 10:00", "2025-12-31 11:00", "loans", nil,
		step{"complaint.accepted", "2025-12-31 11:10", nil}, step{"complaint.classified", "2025-12-31 11:20", general},
		step{"complaint.dept_received", "2025-12-31 14:00", nil}, step{"complaint.first_response", "2025-12-31 15:00", nil},
		step{"complaint.review_done", "2026-01-05 15:00", nil}, step{"complaint.notified", "2026-01-09 15:00", nil},
		step{"complaint.closed", "2026-01-15 15:00", audit.Facts{"close_reason": "complainant_agreed"}},
		step{"satisfaction.recorded", "2026-01-16 15:00", audit.Facts{"score": 2}})
	j.complaint("a", "2026-01-05 09:00", "2026-01-05 09:30", "cards", audit.Facts{"repeat_180d": false},
		step{"complaint.accepted", "2026-01-05 10:00", nil}, step{"complaint.classified", "2026-01-05 10:30", general},
		step{"complaint.dept_received", "2026-01-05 16:00", nil}, step{"complaint.first_response", "2026-01-06 09:00", nil},
		step{"complaint.review_done", "2026-01-08 09:00", nil}, step{"complaint.notified", "2026-01-13 09:00", nil},
		step{"confirmation_letter.sent", "2026-01-13 10:00", nil},
		step{"complaint.closed", "2026-01-20 09:00", audit.Facts{"close_reason": "complainant_agreed"}},
		step{"satisfaction.recorded", "2026-01-21 09:00", audit.Facts{"score": 5}})
	j.complaint("b", "2026-01-06 10:00", "2026-01-07 12:00", "cards", audit.Facts{"repeat_180d": false},
		step{"complaint.accepted", "2026-01-07 12:10", nil}, step{"complaint.classified", "2026-01-07 16:00", serious},
		step{"complaint.dept_received", "2026-01-09 10:00", nil}, step{"complaint.review_done", "2026-01-15 10:00", nil},
		step{"complaint.reclassified", "2026-01-20 10:00", audit.Facts{"level": "major", "level_from": "serious", "level_reason": "media"}},
		step{"complaint.notified", "2026-01-30 10:00", nil})
	j.complaint("c", "2026-01-07 10:00", "2026-01-07 11:00", "loans", audit.Facts{"repeat_180d": false},
		step{"complaint.accepted", "2026-01-07 11:10", nil}, step{"complaint.classified", "2026-01-07 12:00", general},
		step{"complaint.dept_received", "2026-01-08 10:00", nil}, step{"complaint.first_response", "2026-01-08 10:00", nil})
	j.complaint("d", "2026-01-08 10:00", "2026-01-08 10:10", "", nil,
		step{"complaint.withdrawn", "2026-01-09 09:00", audit.Facts{"withdrawal_evidence": "written"}})
	j.complaint("e", "2026-01-28 10:00", "2026-01-28 10:10", "loans", audit.Facts{"repeat_180d": true, "same_business_180d": true},
		step{"complaint.accepted", "2026-01-28 11:10", nil}, step{"complaint.classified", "2026-01-28 12:00", general})
	j.complaint("f", "2026-01-12 10:00", "2026-01-12 10:10", "", nil,
		step{"complaint.refused", "2026-01-12 11:10", audit.Facts{"refusal_code": "impersonation"}})
	j.complaint("g", "2019-01-12 10:00", "2026-01-12 10:10", "", audit.Facts{"imported": true})
	j.complaint("h", "2026-01-14 10:00", "2026-01-14 10:10", "loans", audit.Facts{"referral": "pboc", "earlier_own_complaint": false, "repeat_180d": false},
		step{"complaint.accepted", "2026-01-14 11:10", nil}, step{"complaint.classified", "2026-01-14 12:00", serious},
		step{"complaint.dept_received", "2026-01-15 10:00", nil}, step{"complaint.first_response", "2026-01-15 10:00", nil},
		step{"complaint.review_done", "2026-01-20 10:00", nil},
		step{"complaint.extended", "2026-01-28 10:00", audit.Facts{"clock": "L-15", "days": 15, "complainant_told": true}})
	accesses(j)
	j.event("2026-02-01 00:30", "service.started", "service", "service-1", nil)
	return j.leaves
}

// accesses: 3 reads, 2 reveals (3 fields), 3 refusals (2 of reveal); one break-glass reviewed in time, one late, one by its
// opener, one still open; one outage on the 21st; two verification runs, one with a finding.
func accesses(j *journal) {
	for _, when := range []string{"2026-01-05 11:00", "2026-01-06 11:00", "2026-01-13 08:00"} {
		j.access(when, "access.read", "handler-1", "handler", []string{"narrative", "phone"}, nil)
	}
	j.access("2026-01-06 11:05", "access.reveal", "handler-1", "handler", []string{"phone", "id_number"}, nil)
	j.access("2026-01-13 08:05", "access.reveal", "quality-1", "quality", []string{"phone"}, nil)
	for _, d := range []struct{ when, role, action, reason string }{
		{"2026-01-07 09:00", "quality", "reveal", "purpose_not_of_role"},
		{"2026-01-13 09:00", "quality", "reveal", "purpose_not_of_role"},
		{"2026-01-14 09:00", "handler", "read", "not_assigned"},
	} {
		j.add(audit.Body{
			At: at(j.t, d.when), Stage: audit.StageEvent, Kind: "access.denied", Subject: "complaint:a",
			Actor: audit.Actor{ID: d.role + "-9", Roles: []string{d.role}}, Facts: audit.Facts{"action": d.action, "reason": d.reason},
			Decision: &audit.DecisionRef{Result: audit.ResultDeny, Reason: d.reason, Bundle: digestOf([]byte("bundle"))},
		})
	}
	j.access("2026-01-14 09:30", "access.search", "handler-1", "handler", nil, audit.Facts{"field": "phone", "hits": 0})
	for _, c := range []struct{ id, opened, closed, reviewed, reviewer, verdict string }{
		{"bg-1", "2026-01-10 22:00", "2026-01-10 22:30", "2026-01-11 09:00", "head-1", "justified"},
		{"bg-2", "2026-01-17 22:00", "2026-01-17 22:10", "2026-01-20 09:00", "head-1", "unjustified"},
		{"bg-3", "2026-01-18 22:00", "2026-01-18 22:50", "2026-01-18 23:00", "handler-1", "justified"},
		{"bg-4", "2026-01-31 23:30", "", "", "", ""},
	} {
		until := audit.Facts{"case": c.id, "until": utc(at(j.t, c.opened).Add(3600e9))}
		j.event(c.opened, "breakglass.opened", "complaint:a", "handler-1", until)
		if c.closed != "" {
			j.event(c.closed, "breakglass.closed", "complaint:a", "handler-1", audit.Facts{"case": c.id})
			j.event(c.reviewed, "breakglass.reviewed", "complaint:a", c.reviewer, audit.Facts{"case": c.id, "verdict": c.verdict})
		}
	}
	j.event("2026-01-21 20:00", "outage.began", "service", "service-1", audit.Facts{"what": "vault"})
	j.event("2026-01-21 20:30", "outage.ended", "service", "service-1", audit.Facts{"what": "vault"})
	j.event("2026-01-10 03:00", "trail.verified", "service", "service-1", audit.Facts{"size": 40, "findings": 0})
	j.event("2026-01-20 03:00", "trail.verified", "service", "service-1", audit.Facts{"size": 70, "findings": 2})
	j.event("2026-01-20 04:00", "trail.health", "service", "service-1", audit.Facts{"max_lag_ms": 900, "verified_to": 70, "gaps": 0})
}

// What each figure of january must be, with the reasoning that a reader can check against the comment there.
func TestEveryFigureOfAHandCountedMonth(t *testing.T) {
	t.Parallel()
	r := report(t, "2026-01", january(t))
	for _, c := range []struct{ id, want, why string }{
		{"M01", "7/8 0", "due in January: I A B C D E F H; B late"},
		{"M02", "5/6 0", "I A C E H in time, B late (30 h); D withdrawn, F refused apart"},
		{"M03", "4/6 0", "I A C H in time; B late, E open past the 30th 10:00; D F apart"},
		{"M04", "4/6 0", "I A C H in time; B never, E never (due 30th 24:00); D F apart"},
		{"M05", "4/5 0", "I A B H in time (B due 15th 24:00), C never; E due in February; D F apart"},
		{"M06", "2/5 0", "I A in time; B C H late; E due in February"},
		{"M07", "2/4 0", "I A in time; B late, C open; H extended into February, E due in February; D F apart"},
		{"M08", "2/5 0", "received and accepted: A B C E H; told: A B; D withdrawn, F refused apart"},
		{"M09", "2/3 0", "open on the 31st 24:00: C E H; past the earliest limit: C and H (norm)"},
		{"M13", "1/5 0", "classified of those received: A B C E H; raised: B; D withdrawn, F refused apart"},
		{"M13b", "1/7 0", "received: A B C D E F H; by the central bank without an earlier own one: H"},
		{"M14", "1/5 0", "accepted of those received: A B C E H; repeat: E"},
		{"M16", "1/2 0", "closed in January: A I; 5 and 2"},
		{"M16b", "2/2 0", "both answered"},
		{"M23", "3/8 0", "3 refused of 3 reads, 2 reveals, 3 refusals"},
		{"M24", "2/8 0", "2 reveals; complaints with an act in January besides recording: A B C D E F H I"},
		{"M28", "1/3 0", "due: bg-1 in time, bg-2 late, bg-3 by its opener"},
		{"M28b", "1/2 1", "reviewed by another: bg-1, bg-2 (unjustified); bg-3 awaits one"},
		{"M41", "1/2 0", "two runs, one clean"},
	} {
		f := r.Figure(c.id)
		if f == nil {
			t.Errorf("%s: missing", c.id)
			continue
		}
		if got := nud(f.Value); got != c.want {
			t.Errorf("%s: got %s, want %s (%s)", c.id, got, c.want, c.why)
		}
	}
}

// Breakdowns, details and tables of the same month.
func TestTablesOfAHandCountedMonth(t *testing.T) {
	t.Parallel()
	r := report(t, "2026-01", january(t))
	rows := func(list []Row, key string) string {
		for _, x := range list {
			if x.Key == key {
				return nud(x.Value)
			}
		}
		return "absent"
	}
	m := func(id string) *Figure { return r.Figure(id) }
	for _, c := range []struct{ what, got, want string }{
		{"M01 unclassified (D F)", rows(m("M01").ByLevel, "unclassified"), "2/2 0"},
		{"M01 major (B was raised)", rows(m("M01").ByLevel, "major"), "0/1 0"},
		{"M01 serious (H)", rows(m("M01").ByLevel, "serious"), "1/1 0"},
		{"M01 cards (A B)", rows(m("M01").ByDepartment, "cards"), "1/2 0"},
		{"M01 without department (D F)", rows(m("M01").ByDepartment, "none"), "2/2 0"},
		{"M07 week of the 21st and 22nd (B C)", rows(m("M07").Weeks, "2026-W04"), "1/3 0"},
		{"M23 second week (B C refusals)", rows(m("M23").Weeks, "2026-W02"), "1/4 0"},
	} {
		if c.got != c.want {
			t.Errorf("%s: got %s, want %s", c.what, c.got, c.want)
		}
	}
	for _, c := range []struct {
		id, name, key string
		want          int64
	}{
		{"M07", "extended", "", -1}, // H's extended limit falls in February
		{"M23", "denied_by_reason", "purpose_not_of_role", 2}, {"M23", "denied_by_action", "read", 1},
		{"M23", "denied_by_role", "quality", 2}, {"M23", "accesses_by_role", "handler", 5},
		{"M23", "fields_revealed", "", 3}, {"M23", "searches_without_hits", "", 1},
		{"M24", "persons_without_handling", "quality", 1}, {"M24", "rate_p99", "handler", 1429}, // 1 reveal; she acted on A B C D F H I
		{"M28", "opened", "", 4}, {"M28", "open_at_end", "", 1}, {"M28", "reviewed_by_opener", "", 1}, {"M28", "median_minutes", "", 30},
		{"M41", "findings", "", 2}, {"M41", "max_lag", "", 900}, {"M41", "verified_to", "", 70}, {"M41", "entries_skewed_5s", "", 0},
		{"M41", "age_of_last_run", "", 17100}, // 20 January 03:00 to 1 February 00:00: 285 hours
	} {
		if got := m(c.id).detail(c.name, c.key); got != c.want {
			t.Errorf("%s %s %s: got %d, want %d", c.id, c.name, c.key, got, c.want)
		}
	}
	if r.Excluded != (Excluded{Imported: 1}) {
		t.Errorf("excluded: %+v", r.Excluded)
	}
	if a := m("M06").Apart; a != (Apart{Withdrawn: 1, Refused: 1}) {
		t.Errorf("M06 apart: %+v", a)
	}
	// Due in January: of C-FINAL I(12th) A(14th) B(15th) C(16th) H(23rd). B is told on the 30th; the outage of the 21st touches
	// H's stretch alone. The law's stretch of B and C ran through it as well.
	want := []Breach{
		{Clock: "L-15", Basis: "law", Due: 4, Breached: 2, OutageOverlap: 2},
		{Clock: "C-FINAL", Basis: "norm", Due: 5, Breached: 3, OutageOverlap: 1},
	}
	for _, w := range want {
		for _, b := range r.Breaches {
			if b.Clock == w.Clock && b != w {
				t.Errorf("breach: got %+v, want %+v", b, w)
			}
		}
	}
	if r.Binding != (Binding{NormFirst: 7}) {
		t.Errorf("binding: %+v", r.Binding)
	}
	if c := r.Stock.cell("general", "0-7"); c != (StockRow{"general", "0-7", 1, 0, 0}) {
		t.Errorf("stock of E: %+v", c)
	}
	if c := r.Stock.cell("general", "16-30"); c != (StockRow{"general", "16-30", 1, 1, 1}) {
		t.Errorf("stock of C: %+v", c)
	}
	if c := r.Stock.cell("serious", "16-30"); c != (StockRow{"serious", "16-30", 1, 0, 1}) {
		t.Errorf("stock of H: %+v", c)
	}
	if len(r.Entries.NotRead) != 1 || r.Entries.NotRead[0] != (KindCount{"service.started", 1}) {
		t.Errorf("not read: %+v", r.Entries.NotRead)
	}
}
