package clock

import (
	"slices"
	"time"
)

// Extension is one extension of a clock as an event of the log records it.
type Extension struct {
	// Clock is the id of the extended clock.
	Clock string
	// Days are added to the limit.
	Days int
	// ApprovedAt is when it was approved; approval after the limit is no
	// extension.
	ApprovedAt time.Time
	// Told: the complainant was told at the same time.
	Told bool
}

// Milestones are the facts of one complaint that its clocks read.
type Milestones struct {
	// ReceivedAt is the time of receipt; the zero time starts no clock.
	ReceivedAt time.Time
	// Events maps an event kind to its first occurrence. For an event that may
	// recur (a notice after a review) the first is what a limit is about.
	Events map[string]time.Time
	// Extensions in the order of approval.
	Extensions []Extension
	// Referral is who referred the complaint, a member of the set referral.
	Referral string
}

// Due is one running, met or ended clock of a complaint.
type Due struct {
	// Clock is the clock's id, Basis the article, Stop the event that meets it.
	Clock string
	Basis string
	Stop  string
	// Law tells a limit of law from an own promise.
	Law       bool
	StartedAt time.Time
	// DueAt is the end of the limit as counted; alarms use it. RolledDueAt is
	// the end after the roll of Civil Code 203, never earlier; a limit of law
	// is broken only after it. For hours and working days both are equal.
	DueAt       time.Time
	RolledDueAt time.Time
	// Provisional: the dates rest on days of a year whose holiday notice is
	// not loaded and may change.
	Provisional bool
	// Extended is how many units were validly added.
	Extended int
	// Met is when the stop event happened, nil while it has not.
	Met *time.Time
	// Ended is when the complaint ended otherwise (withdrawn, refused) before
	// the clock was met, nil if it has not.
	Ended *time.Time
}

// Open reports whether the clock still runs.
func (d Due) Open() bool { return d.Met == nil && d.Ended == nil }

// Breached reports whether the limit is broken at now: stopped, ended or still
// open after RolledDueAt. A breach cannot be cured by a later event.
func (d Due) Breached(now time.Time) bool {
	at := now
	if d.Ended != nil && d.Ended.Before(at) {
		at = *d.Ended
	}
	if d.Met != nil && d.Met.Before(at) {
		at = *d.Met
	}
	return at.After(d.RolledDueAt)
}

// Alarm reports whether an open clock has passed DueAt, the earlier of its two
// dates.
func (d Due) Alarm(now time.Time) bool { return d.Open() && now.After(d.DueAt) }

// DueDates returns the clocks of the profile that have started, in the
// profile's order.
func DueDates(p Profile, c *Calendar, m Milestones) []Due {
	var out []Due
	ended, hasEnded := m.firstOf(p.Ends)
	for _, def := range p.Clocks {
		due, ok := def.due(c, m)
		if !ok {
			continue
		}
		if hasEnded && (due.Met == nil || due.Met.After(ended)) {
			due.Met, due.Ended = nil, &ended
		}
		out = append(out, due)
	}
	return out
}

// Binding returns the open clock with the earliest DueAt and whether there is
// one. Law wins a tie, then the profile's order.
func Binding(dues []Due) (Due, bool) {
	var best Due
	found := false
	for _, d := range dues {
		if d.Open() && (!found || d.DueAt.Before(best.DueAt) || d.DueAt.Equal(best.DueAt) && d.Law && !best.Law) {
			best, found = d, true
		}
	}
	return best, found
}

// BindingFor is Binding among the clocks that the same event meets: for
// "complaint.notified" it says whether law or norm sets the date by which the
// decision must be told.
func BindingFor(dues []Due, stop string) (Due, bool) {
	return Binding(slices.DeleteFunc(slices.Clone(dues), func(d Due) bool { return d.Stop != stop }))
}

func (m Milestones) firstOf(events []string) (time.Time, bool) {
	var first time.Time
	found := false
	for _, e := range events {
		if t, ok := m.Events[e]; ok && (!found || t.Before(first)) {
			first, found = t, true
		}
	}
	return first, found
}

func (m Milestones) start(def Definition) (time.Time, bool) {
	if def.Start == StartReceived {
		return m.ReceivedAt, !m.ReceivedAt.IsZero()
	}
	t, ok := m.Events[def.Start]
	return t, ok
}

func (def Definition) due(c *Calendar, m Milestones) (Due, bool) {
	start, ok := m.start(def)
	if !ok || m.ReceivedAt.Before(def.From) {
		return Due{}, false
	}
	if len(def.Referral) > 0 && !slices.Contains(def.Referral, m.Referral) {
		return Due{}, false
	}
	due := Due{Clock: def.ID, Basis: def.Article, Stop: def.Stop, Law: def.Law, StartedAt: start}
	amount := def.Amount
	def.count(c, &due, amount)
	for _, e := range m.Extensions {
		if e.Clock != def.ID || e.Days <= 0 || e.ApprovedAt.After(due.RolledDueAt) {
			continue
		}
		amount = min(amount+e.Days, def.ceiling(amount, e.Told))
		def.count(c, &due, amount)
	}
	due.Extended = amount - def.Amount
	if met, ok := m.Events[def.Stop]; ok && !met.Before(start) {
		due.Met = &met
	}
	return due, true
}

// ceiling is the highest amount to which one extension may raise a limit that
// stands at amount now: the next step, if its condition is fulfilled.
func (def Definition) ceiling(amount int, told bool) int {
	for _, s := range def.Steps {
		if s.To > amount {
			if s.Notice && !told {
				return amount
			}
			return s.To
		}
	}
	return amount
}

// count sets the due dates for a limit of amount units. Civil Code 201: the
// day of the start is not counted; 203: the limit ends at 24:00 of its last
// day, and a last day that is no working day moves to the next one.
func (def Definition) count(c *Calendar, due *Due, amount int) {
	switch def.Unit {
	case UnitHour:
		due.DueAt = due.StartedAt.Add(time.Duration(amount) * time.Hour)
		due.RolledDueAt = due.DueAt
	case UnitWorkday:
		last, provisional := c.AddWorkdays(DayOf(due.StartedAt), amount)
		due.DueAt, due.RolledDueAt, due.Provisional = last.End(), last.End(), provisional
	case UnitCalDay:
		last := DayOf(due.StartedAt) + Day(amount)
		rolled, provisional := c.Roll(last)
		due.DueAt, due.RolledDueAt, due.Provisional = last.End(), rolled.End(), provisional
	}
}
