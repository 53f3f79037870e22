package supervision

import "slices"

// plain is a figure without a breakdown by complaint.
func plain(def Definition, c count) Figure {
	return Figure{Definition: def, Value: c.ratio(), ByLevel: []Row{}, ByDepartment: []Row{}, Weeks: []Row{}, Details: []Detail{}}
}

// sortedDetails writes details out by name and key.
func sortedDetails(m map[Detail]int64) []Detail {
	out := make([]Detail, 0, len(m))
	for d, n := range m {
		d.Value = n
		out = append(out, d)
	}
	slices.SortFunc(out, func(a, b Detail) int {
		if a.Name != b.Name {
			return compare(a.Name, b.Name)
		}
		return compare(a.Key, b.Key)
	})
	return out
}

func compare(a, b string) int {
	switch {
	case a < b:
		return -1
	case a > b:
		return 1
	}
	return 0
}

// denied: refused accesses among reads, reveals and refusals of the period, by week, role, reason and action.
func denied(s *summing, def Definition) Figure {
	a := &s.fold.access
	var all accessCount
	weeks := []Row{}
	for i, w := range s.weeks {
		c := a.weeks[i]
		all = accessCount{all.reads + c.reads, all.reveals + c.reveals, all.denied + c.denied}
		weeks = append(weeks, Row{Key: w.name, Value: ratio(c.denied, c.all(), 0)})
	}
	f := plain(def, count{n: all.denied, d: all.all()})
	f.Weeks = weeks
	d := map[Detail]int64{
		{Name: "reads", Unit: "accesses"}:                 all.reads,
		{Name: "reveals", Unit: "accesses"}:               all.reveals,
		{Name: "fields_read", Unit: "fields"}:             a.fieldsRead,
		{Name: "fields_revealed", Unit: "fields"}:         a.fieldsRevealed,
		{Name: "searches", Unit: "accesses"}:              a.searches,
		{Name: "searches_without_hits", Unit: "accesses"}: a.searchesWithoutHits,
	}
	for reason, n := range a.byReason {
		d[Detail{Name: "denied_by_reason", Key: reason, Unit: "accesses"}] = n
	}
	for action, n := range a.byAction {
		d[Detail{Name: "denied_by_action", Key: action, Unit: "accesses"}] = n
	}
	for role, c := range a.byRole {
		d[Detail{Name: "accesses_by_role", Key: role, Unit: "accesses"}] = c.all()
		d[Detail{Name: "denied_by_role", Key: role, Unit: "accesses"}] = c.denied
	}
	f.Details = sortedDetails(d)
	return f
}

// revealIntensity: reveals per complaint handled in the period, with the spread over persons of each role. A person's own
// rate is her reveals over the complaints she acted on; she is an outlier above the 99th percentile (nearest rank) of her
// role, which takes at least 100 persons to exist. Persons are never named.
func revealIntensity(s *summing, def Definition) Figure {
	var total, handled int64
	perPerson := map[int32]int64{}
	for _, c := range s.fold.complaints {
		if len(c.handlers) > 0 {
			handled++
		}
		for _, p := range c.handlers {
			perPerson[p]++
		}
	}
	rates := map[string][]int64{}
	d := map[Detail]int64{}
	for who, n := range s.fold.access.reveals {
		total += *n
		d[Detail{Name: "reveals_by_role", Key: who.role, Unit: "accesses"}] += *n
		if mine := perPerson[who.person]; mine > 0 {
			rates[who.role] = append(rates[who.role], *ratio(*n, mine, 0).BasisPoints)
		} else {
			d[Detail{Name: "persons_without_handling", Key: who.role, Unit: "persons"}]++
		}
	}
	for role, list := range rates {
		slices.Sort(list)
		p99 := percentile(list, 99)
		d[Detail{Name: "persons", Key: role, Unit: "persons"}] = int64(len(list))
		d[Detail{Name: "rate_median", Key: role, Unit: "bp"}] = percentile(list, 50)
		d[Detail{Name: "rate_p90", Key: role, Unit: "bp"}] = percentile(list, 90)
		d[Detail{Name: "rate_p99", Key: role, Unit: "bp"}] = p99
		above, _ := slices.BinarySearch(list, p99+1)
		d[Detail{Name: "persons_above_p99", Key: role, Unit: "persons"}] = int64(len(list) - above)
	}
	f := plain(def, count{n: total, d: handled})
	f.Details = sortedDetails(d)
	return f
}

// percentile is the nearest-rank percentile of an ascending, non-empty list: a value that occurs in it.
func percentile(list []int64, p int) int64 {
	rank := (len(list)*p + 99) / 100
	return list[max(rank, 1)-1]
}

// breakGlassReview: reviewed by another person within the limit after closing; cohort: review due in the period.
func breakGlassReview(s *summing, def Definition) Figure {
	var c count
	within := instant(s.defs.ReviewHours) * 3600 * 1_000_000
	d := map[Detail]int64{}
	var minutes []int64
	opened, unreviewed := make([]int64, len(s.weeks)), make([]int64, len(s.weeks))
	var open, closedIn, own int64
	for _, b := range s.fold.cases {
		end := b.closing(s.asOf)
		other := b.reviewed.by(s.asOf) && b.reviewer != b.opener
		if s.happened(b.opened) {
			w := s.fold.period.weekOf(b.opened.time())
			opened[w]++
			if !other {
				unreviewed[w]++
			}
		}
		if b.opened.by(s.asOf) && end == 0 {
			open++
		}
		if s.happened(end) {
			closedIn++
			if b.opened != 0 {
				minutes = append(minutes, int64(end-b.opened)/60_000_000)
			}
		}
		if s.happened(b.reviewed) && b.reviewer == b.opener {
			own++
		}
		c.add(s.reviewVerdict(b, within))
	}
	d[Detail{Name: "open_at_end", Unit: "cases"}] = open
	d[Detail{Name: "closed", Unit: "cases"}] = closedIn
	d[Detail{Name: "reviewed_by_opener", Unit: "cases"}] = own
	var all int64
	for i, w := range s.weeks {
		all += opened[i]
		d[Detail{Name: "opened_in_week", Key: w.name, Unit: "cases"}] = opened[i]
		d[Detail{Name: "unreviewed_in_week", Key: w.name, Unit: "cases"}] = unreviewed[i]
	}
	d[Detail{Name: "opened", Unit: "cases"}] = all
	if len(minutes) > 0 {
		slices.Sort(minutes)
		d[Detail{Name: "median_minutes", Unit: "minutes"}] = percentile(minutes, 50)
	}
	f := plain(def, c)
	f.Details = sortedDetails(d)
	return f
}

// reviewVerdict judges one case's review against its limit.
func (s *summing) reviewVerdict(b *breakGlass, within instant) verdictKind {
	end := b.closing(s.last)
	if end == 0 || !s.due(end+within) {
		return outside
	}
	switch limit := end + within; {
	case b.reviewed.by(limit) && b.reviewer != b.opener:
		return hit
	case limit > s.last:
		return undecided
	}
	return miss
}

// breakGlassUnjustified: judged unjustified among those reviewed in the period; a review by the opener is none.
func breakGlassUnjustified(s *summing, def Definition) Figure {
	var c count
	for _, b := range s.fold.cases {
		valid := b.reviewed != 0 && b.reviewer != b.opener
		switch {
		case valid && s.happened(b.reviewed) && b.unjustified:
			c.add(hit)
		case valid && s.happened(b.reviewed):
			c.add(miss)
		case s.happened(b.closing(s.asOf)) && (!valid || b.reviewed > s.asOf):
			c.add(undecided)
		}
	}
	return plain(def, c)
}

// logHealth: verification runs without findings, beside the worst that the log says of itself.
func logHealth(s *summing, def Definition) Figure {
	h := &s.fold.health
	f := plain(def, count{n: h.clean, d: h.runs - h.unstated, u: h.unstated})
	d := map[Detail]int64{
		{Name: "findings", Unit: "findings"}:          h.findings,
		{Name: "violations", Unit: "entries"}:         h.violations,
		{Name: "clock_skew_entries", Unit: "entries"}: h.skewEntries,
		{Name: "entries_in_period", Unit: "entries"}:  h.judged,
		{Name: "entries_skewed_5s", Unit: "entries"}:  h.skewed,
		{Name: "health_reports", Unit: "entries"}:     h.reports,
	}
	if h.reports > 0 {
		d[Detail{Name: "gaps", Unit: "gaps"}] = h.gaps
		d[Detail{Name: "max_lag", Unit: "ms"}] = h.lag
	}
	if h.verified > 0 {
		d[Detail{Name: "verified_to", Unit: "entries"}] = h.verified
	}
	if h.lastRun != 0 {
		d[Detail{Name: "age_of_last_run", Unit: "minutes"}] = int64(s.asOf-h.lastRun) / 60_000_000
	}
	f.Details = sortedDetails(d)
	return f
}
