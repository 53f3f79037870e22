package supervision

// view is what a measure of complaints sees of one of them.
type view struct {
	*complaint
	window
	limits []limit
	def    *Definition
	defs   *Definitions
	tally  *tally
	over   func(from, to instant) bool // whether an outage touched the stretch
}

// measure computes one figure: by case for a figure of complaints, else whole.
type measure struct {
	byCase func(view) verdict
	whole  func(*summing, Definition) Figure
}

// measures maps the names definitions use to the code that computes them. The map is built anew for each use, so that
// nothing can change it.
func measures() map[string]measure {
	return map[string]measure{
		"timely":                 {byCase: timely},
		"completion":             {byCase: completion},
		"overdue":                {byCase: overdue},
		"raised":                 {byCase: raisedLevel},
		"regulator_arrivals":     {byCase: regulatorArrival},
		"repeat":                 {byCase: repeated},
		"satisfied":              {byCase: satisfied},
		"answered":               {byCase: answered},
		"denied":                 {whole: denied},
		"reveals":                {whole: revealIntensity},
		"breakglass_review":      {whole: breakGlassReview},
		"breakglass_unjustified": {whole: breakGlassUnjustified},
		"log_health":             {whole: logHealth},
	}
}

// timely: the step was taken by the binding one of the figure's limits. Cohort: due in the period, so that a case that is
// still open after its limit counts as late.
func timely(v view) verdict {
	l, ok := pick(v.limits, v.def.Clocks)
	if !ok {
		return verdict{}
	}
	out := v.judge(v.complaint, l)
	if out.kind != outside && l.provisional {
		v.tally.note("provisional_limits", "", "cases", 1)
	}
	if out.kind != outside && l.extended {
		v.tally.note("extended", "", "cases", 1)
	}
	if out.kind != outside && !l.extended && v.hasExtension(l.clock) {
		v.tally.note("extended_without_effect", "", "cases", 1)
	}
	if out.kind == miss && v.over(l.start, l.due) {
		v.tally.overlap++
	}
	return out
}

// inPeriod answers for the cohort received-in-period; withdrawals before as_of stand apart.
func (v view) inPeriod() (verdict, bool) {
	out := verdict{on: v.at[received]}
	if !v.happened(v.at[received]) {
		return out, false
	}
	done := earliest(v.at[notified], v.at[closed])
	if left, how := v.endedEarly(); how == withdrawn && left.by(v.asOf) && !done.by(left) {
		out.kind = leftWithdrawn
	}
	return out, true
}

// completion: accepted in the cohort received-in-period, told or closed by as_of.
func completion(v view) verdict {
	out, ok := v.inPeriod()
	if !ok || out.kind != outside {
		return out
	}
	switch {
	case v.at[refused].by(v.asOf):
		out.kind = leftRefused
	case !v.at[accepted].by(v.asOf):
		out.kind = undecided
	case earliest(v.at[notified], v.at[closed]).by(v.asOf):
		out.kind = hit
	default:
		out.kind = miss
	}
	return out
}

// overdue: of what is open at as_of, what is past the earliest of the figure's limits.
func overdue(v view) verdict {
	if !v.openAt(v.asOf) {
		return verdict{}
	}
	out := verdict{kind: miss, on: v.asOf - 1}
	for _, l := range v.limits {
		if _, wanted := pick([]limit{l}, v.def.Clocks); wanted && l.provisional {
			v.tally.note("provisional_limits", "", "cases", 1)
		}
	}
	l, ok := pick(v.limits, v.def.Clocks)
	if !ok || l.due > v.asOf {
		return out
	}
	out.kind = hit
	if v.over(v.at[received], l.due) {
		v.tally.overlap++
	}
	return out
}

// raisedLevel: of the classified ones received in the period, those raised at least once.
func raisedLevel(v view) verdict {
	out, ok := v.inPeriod()
	if !ok || out.kind != outside {
		return out
	}
	switch {
	case v.at[refused].by(v.asOf) && !v.at[classified].by(v.asOf):
		out.kind = leftRefused
	case !v.at[classified].by(v.asOf):
		out.kind = undecided
	case v.at[raised].by(v.asOf):
		out.kind = hit
	default:
		out.kind = miss
	}
	return out
}

// regulatorArrival: came through a regulator although no earlier own complaint of the person is known. Withdrawn and
// refused ones count: the way they came is the same.
func regulatorArrival(v view) verdict {
	if !v.happened(v.at[received]) {
		return verdict{}
	}
	out := verdict{kind: miss, on: v.at[received]}
	if v.referral != 0 {
		switch v.earlierOwn {
		case unstated:
			out.kind = undecided
		case no:
			out.kind = hit
		case yes:
		}
	}
	return out
}

// repeated: accepted ones of a person who had complained of the same business or product within 180 days. The join over
// persons was made at the door when the entry was written; the fold sees only its answer.
func repeated(v view) verdict {
	out, ok := v.inPeriod()
	if !ok || out.kind != outside {
		return out
	}
	answer := v.sameBusiness
	if answer == unstated {
		answer = v.repeat
	}
	switch {
	case v.at[refused].by(v.asOf):
		out.kind = leftRefused
		return out
	case !v.at[accepted].by(v.asOf), answer == unstated:
		out.kind = undecided
		return out
	case answer == yes:
		out.kind = hit
	default:
		out.kind = miss
	}
	if v.repeat == yes {
		v.tally.note("same_person_any_business", "", "cases", 1)
	}
	return out
}

// satisfied: of those closed in the period and asked by somebody else than the handler, score at or above the bar.
func satisfied(v view) verdict {
	if !v.happened(v.at[closed]) {
		return verdict{}
	}
	out := verdict{on: v.at[closed]}
	switch {
	case !v.scoreAt.by(v.asOf):
		out.kind = undecided
	case v.scoreByHandler:
		v.tally.note("asked_by_handler", "", "cases", 1)
	case int64(v.score) >= v.defs.Satisfied:
		out.kind = hit
	default:
		out.kind = miss
	}
	return out
}

// answered: of those closed in the period, those with an answer. The log has no entry for having asked, so the
// denominator is all of them and the rate a lower bound.
func answered(v view) verdict {
	if !v.happened(v.at[closed]) {
		return verdict{}
	}
	out := verdict{kind: miss, on: v.at[closed]}
	if v.scoreAt.by(v.asOf) {
		out.kind = hit
	}
	return out
}
