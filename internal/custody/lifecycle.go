package custody

import (
	"context"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/sealtrail/sealtrail/audit"
	"github.com/sealtrail/sealtrail/internal/clock"
	"github.com/sealtrail/sealtrail/internal/complaint"
	"github.com/sealtrail/sealtrail/internal/intake"
	"github.com/sealtrail/sealtrail/internal/store"
)

// sealedInputs lists the sealed fields among a transition's inputs.
func sealedInputs(act complaint.Transition, inputs map[string]string) []string {
	var names []string
	for _, name := range slices.Sorted(maps.Keys(inputs)) {
		if f, ok := complaint.FieldByName(name); ok && f.Sealed && slices.Contains(act.Fields, name) {
			names = append(names, name)
		}
	}
	return names
}

// move checks a transition against the record's present state and applies it to
// next. It returns what alter has to seal and to log.
func (d *Door) move(ctx context.Context, a *asked, next *store.Complaint, act complaint.Transition, inputs map[string]string) (change, error) {
	state, kind, err := complaint.NextState(a.row.State, act.Name)
	if err != nil && act.Name == "restrict" && a.row.Stage == complaint.StageOpen {
		return change{}, &ConflictError{Code: "case_open", State: a.row.State, Allowed: complaint.TransitionsFrom(a.row.State)}
	}
	if err != nil {
		return change{}, &ConflictError{Code: "state_conflict", State: a.row.State, Allowed: complaint.TransitionsFrom(a.row.State)}
	}
	if act.FourEyes != "" && a.row.Performers[act.FourEyes] == a.caller.Person {
		return change{}, &ConflictError{Code: "four_eyes", State: a.row.State}
	}
	facts, values, err := readInputs(act, inputs)
	if err != nil {
		return change{}, err
	}
	if err := requireFields(act, a.row, values); err != nil {
		return change{}, err
	}
	if held(a.row) && overwrites(a.row, values) {
		return change{}, &ConflictError{Code: "legal_hold", State: a.row.State}
	}
	state = complaint.ReturnState(act.Name, state, a.row.RestrictedFrom)
	copyMaps(next)
	next.State, next.Stage, next.RestrictedFrom = state, complaint.StageOf(state), ""
	next.Performers[act.Name] = a.caller.Person
	if _, done := next.Milestones[kind]; !done {
		next.Milestones[kind] = a.at
	}
	if err := d.apply(ctx, a, next, act, inputs, facts); err != nil {
		return change{}, err
	}
	if state != a.row.State {
		facts["from"], facts["to"] = a.row.State, state
	}
	if next.Stage == complaint.StageClosed && next.RetentionUntil == nil {
		if err := d.retain(ctx, next, values); err != nil {
			return change{}, err
		}
	}
	facts["occurred_at"] = stamp(a.at)
	facts["level"] = next.Level
	if next.Department != "" {
		facts["department"] = next.Department
	}
	d.setDue(next)
	return change{kind: kind, facts: facts, values: values}, nil
}

// copyMaps gives next maps of its own: a is still read while next is written.
func copyMaps(next *store.Complaint) {
	next.Milestones, next.Performers, next.ExtensionDays = maps.Clone(next.Milestones), maps.Clone(next.Performers), maps.Clone(next.ExtensionDays)
	if next.Milestones == nil {
		next.Milestones = map[string]time.Time{}
	}
	if next.Performers == nil {
		next.Performers = map[string]string{}
	}
	if next.ExtensionDays == nil {
		next.ExtensionDays = map[string]int{}
	}
}

// apply carries a transition's own effect beyond state and milestone.
func (d *Door) apply(ctx context.Context, a *asked, next *store.Complaint, act complaint.Transition, inputs map[string]string, facts audit.Facts) error {
	switch act.Name {
	case "classify", "reclassify":
		classify(a.row, next, inputs, facts)
	case "take":
		if next.Assignee == "" && slices.Contains(a.subject.Roles, "handler") {
			next.Assignee = a.caller.Person
		}
	case "assign":
		return d.assign(ctx, a, next, inputs["assignee"], facts)
	case "extend":
		return d.extend(a, next, inputs, facts)
	case "restrict":
		next.RestrictedFrom = a.row.State
	case "request_review":
		next.UnderReview = true
	case "decide_review":
		next.UnderReview = false
		facts["handler_differs"] = a.row.Assignee != a.caller.Person
	case "notify":
		facts["after_review"] = a.row.State == "review_decided"
	case "receive_transfer":
		next.Referral = inputs["referral"]
	case "record_satisfaction":
		facts["asked_by_handler"] = a.row.Assignee == a.caller.Person
	case "approve":
		facts["proposer_differs"] = true
	}
	return nil
}

func classify(was, next *store.Complaint, inputs map[string]string, facts audit.Facts) {
	facts["level_from"] = was.Level
	set := func(column *string, name string) {
		if value := inputs[name]; value != "" {
			*column = value
		}
	}
	set(&next.Level, "level")
	set(&next.Type, "type")
	set(&next.BusinessCode, "business")
	set(&next.ProductCode, "product")
	set(&next.ReasonCode, "reason_class")
}

// assign makes a person the handler of the record. She must hold the duty.
func (d *Door) assign(ctx context.Context, a *asked, next *store.Complaint, person string, facts audit.Facts) error {
	if !validID(person) {
		return invalid("/inputs/assignee", "unknown_value")
	}
	subject, err := d.cfg.Store.Subject(ctx, d.cfg.Institution, person, a.at)
	if err != nil {
		return storeError(err)
	}
	if subject == nil || subject.Status != "active" || !slices.ContainsFunc(subject.Duties, func(f store.DutyFact) bool { return f.Role == "handler" }) {
		return invalid("/inputs/assignee", "unknown_value")
	}
	alias, err := d.cfg.Log.Alias(ctx, person)
	if err != nil {
		return logError(err)
	}
	if was := a.row.Assignee; was != "" && was != person {
		if !slices.Contains(next.EarlierHandlers, was) {
			next.EarlierHandlers = append(slices.Clone(next.EarlierHandlers), was)
		}
		if facts["previous"], err = d.cfg.Log.Alias(ctx, was); err != nil {
			return logError(err)
		}
	}
	next.Assignee = person
	facts["assignee"] = alias
	return nil
}

// extend grants an extension. It counts only when it comes before the limit
// that it extends; a later one is still logged, as irregular.
func (d *Door) extend(a *asked, next *store.Complaint, inputs map[string]string, facts audit.Facts) error {
	days, _ := strconv.Atoi(inputs["days"])
	told := inputs["complainant_told"] == "true"
	id := inputs["clock"]
	def, known := d.cfg.Profile.Clock(id)
	if !known || len(def.Steps) == 0 || days < 1 {
		return invalid("/inputs/clock", "unknown_value")
	}
	before, running := d.clockOf(a.row, id, nil)
	inTime := running && before.Open() && !a.at.After(before.RolledDueAt)
	facts["before_due"] = inTime
	if inTime {
		after, _ := d.clockOf(a.row, id, &clock.Extension{Clock: id, Days: days, ApprovedAt: a.at, Told: told})
		next.ExtensionDays[id] = after.Extended
	}
	return nil
}

// clockOf finds one clock of a row, as it would be with one more extension.
func (d *Door) clockOf(row *store.Complaint, id string, more *clock.Extension) (clock.Due, bool) {
	m := d.milestones(row)
	if more != nil {
		m.Extensions = append(m.Extensions, *more)
	}
	for _, due := range clock.DueDates(d.cfg.Profile, d.cfg.Calendar, m) {
		if due.Clock == id {
			return due, true
		}
	}
	return clock.Due{}, false
}

// readInputs splits a transition's inputs into clear facts and sealed values
// and checks both: required, known, of their type. Facts of a closed schema are
// checked again when they are logged.
func readInputs(act complaint.Transition, inputs map[string]string) (audit.Facts, sealing, error) {
	facts, values := audit.Facts{}, sealing{}
	var problems []intake.Problem
	for _, name := range act.Requires {
		if strings.TrimSpace(inputs[name]) == "" {
			problems = append(problems, problemAt("/inputs/"+name, "missing_input", allowedFacts(act.Event, name)...))
		}
	}
	for _, name := range slices.Sorted(maps.Keys(inputs)) {
		value := strings.TrimSpace(inputs[name])
		if slices.Contains(act.Fields, name) {
			problems = append(problems, intake.CheckField(name, value)...)
			values[name] = &value
			continue
		}
		fact, ok := readFact(act.Event, name, value)
		switch {
		case ok:
			facts[name] = fact
		case name == "assignee" && act.Name == "assign":
			// A person's id, checked against the register by assign.
		default:
			if _, _, known := complaint.Registry().FactType(act.Event, name); known {
				problems = append(problems, problemAt("/inputs/"+name, "unknown_value", allowedFacts(act.Event, name)...))
			} else {
				problems = append(problems, problemAt("/inputs", "unknown_field"))
			}
		}
	}
	if len(problems) > 0 {
		return nil, nil, &InvalidError{problems}
	}
	return facts, values, nil
}

// readFact parses one fact by its type in the registry.
func readFact(event, name, value string) (any, bool) {
	typ, _, ok := complaint.Registry().FactType(event, name)
	if !ok || typ == "alias" {
		return nil, false
	}
	var fact any = value
	switch typ {
	case "bool":
		b, err := strconv.ParseBool(value)
		if err != nil {
			return nil, false
		}
		fact = b
	case "int", "score":
		n, err := strconv.Atoi(value)
		if err != nil {
			return nil, false
		}
		fact = n
	case "time":
		t, err := time.Parse(time.RFC3339, value)
		if err != nil {
			return nil, false
		}
		fact = stamp(t)
	}
	if !complaint.Registry().FactFits(event, name, fact) {
		return nil, false
	}
	return fact, true
}

// requireFields checks that the sealed texts that a transition needs come with
// it or are stored already.
func requireFields(act complaint.Transition, row *store.Complaint, values sealing) error {
	for _, name := range act.Fields {
		stored, _ := row.Field(name)
		if given, ok := values[name]; stored == nil && (!ok || given == nil || *given == "") {
			return invalid("/inputs/"+name, "missing_input")
		}
	}
	return nil
}

// allowedFacts says what a fact may be: the members of its set, or the name of
// its form.
func allowedFacts(event, name string) []string {
	typ, _, ok := complaint.Registry().FactType(event, name)
	if !ok {
		return nil
	}
	switch typ {
	case "bool":
		return []string{"true", "false"}
	case "score":
		return []string{"1", "2", "3", "4", "5"}
	case "time":
		return []string{"RFC 3339, e.g. 2026-01-02T15:04:05Z"}
	}
	return members(typ)
}

// transitionNames lists every act of the lifecycle.
func transitionNames() []string {
	var names []string
	for _, t := range complaint.Registry().Transitions {
		names = append(names, t.Name)
	}
	return names
}
