package supervision

// limit is one due instant of one complaint.
type limit struct {
	clock string
	stop  string // the event kind that meets it
	law   bool
	start instant
	// due is the instant after which the step is late: for a limit of law the rolled one (Civil Code 203), for the norm the
	// plain one, since an own promise is not stretched by the Code.
	due         instant
	provisional bool
	extended    bool
	met         instant
}

// verdictKind is what a figure says of one case.
type verdictKind uint8

const (
	outside   verdictKind = iota // not of the cohort
	hit                          // counts in numerator and denominator
	miss                         // counts in the denominator
	undecided                    // counts in neither, shown apart
	leftWithdrawn
	leftRefused
)

// verdict is a figure's answer for one case and the instant that puts it on the weekly axis.
type verdict struct {
	kind verdictKind
	on   instant
}

// window is the frame all verdicts share. asOf is the end of the period or of the log, whichever comes first; last is the
// end of the log: what was due after it is not decided, however late it is today.
type window struct {
	from, end, asOf, last instant
}

// due says whether an instant falls due within the window. A limit at 24:00 of the last day is the first instant of the
// next month and still belongs to its own day, therefore (from, end].
func (w window) due(t instant) bool { return t > w.from && t <= w.end }

// happened says whether an instant lies in the window, [from, end).
func (w window) happened(t instant) bool { return t >= w.from && t < w.end }

// judge compares a step with its limit for the cohort due-in-period, in which a late open case counts as late. A case that
// was withdrawn or refused before the step was due stands apart; one that left later had already breached.
func (w window) judge(c *complaint, l limit) verdict {
	if !w.due(l.due) {
		return verdict{kind: outside}
	}
	v := verdict{on: l.due - 1}
	left, how := c.endedEarly()
	switch {
	case l.met.by(l.due):
		v.kind = hit
	case left.by(l.due) && how == withdrawn:
		v.kind = leftWithdrawn
	case left.by(l.due):
		v.kind = leftRefused
	case l.due > w.last:
		v.kind = undecided
	default:
		v.kind = miss
	}
	return v
}

// pick returns the earliest of the limits with one of the ids: the one that binds.
func pick(limits []limit, clocks []string) (limit, bool) {
	var best limit
	found := false
	for _, l := range limits {
		for _, id := range clocks {
			if l.clock == id && (!found || l.due < best.due) {
				best, found = l, true
			}
		}
	}
	return best, found
}
