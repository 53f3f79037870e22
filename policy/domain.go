package policy

import (
	"fmt"
	"slices"
)

// actionRow says what the decision on one action may read. Whatever is not listed is fixed before OPA is asked, so that a decision
// cannot depend on it.
type actionRow struct {
	Record bool     `json:"record"`
	Needs  string   `json:"needs"`
	Reach  string   `json:"reach"`
	Reads  []string `json:"reads"`
	Facts  []string `json:"facts"`
}

// domain is domain.json: the closed lists and, per action, the facts that it reads.
type domain struct {
	Limit         int                  `json:"limit"`
	Roles         []string             `json:"roles"`
	Purposes      []string             `json:"purposes"`
	Groups        []string             `json:"groups"`
	Stages        []string             `json:"stages"`
	Sensitivities []string             `json:"sensitivities"`
	Steps         []string             `json:"steps"`
	Facts         []string             `json:"facts"`
	Actions       map[string]actionRow `json:"actions"`
	// FactsOnlyFor names facts that are read for one purpose only: break-glass works under the purpose breakglass.
	FactsOnlyFor map[string]string `json:"facts_only_for"`
	// Pairs are the pairs of roles over which the join is checked; conflicts are checked over all pairs.
	Pairs [][]string `json:"pairs"`
}

// maxFacts is how many facts one action may read (contracts.md 8).
const maxFacts = 7

// check compares the closed lists with those compiled into this program, and the rows with what keeps the domain finite and safe. An
// archived bundle may be older than the program: lists only ever grow at their end, so its own are beginnings of the program's.
func (d *domain) check(archived bool) error {
	for _, l := range []struct {
		name       string
		have, want []string
	}{
		{"roles", d.Roles, roles},
		{"purposes", d.Purposes, purposes},
		{"groups", d.Groups, groups},
		{"stages", d.Stages, stages},
		{"sensitivities", d.Sensitivities, sensitivities},
		{"steps", d.Steps, steps},
		{"facts", d.Facts, facts},
	} {
		if archived && len(l.have) <= len(l.want) {
			l.want = l.want[:len(l.have)]
		}
		if !slices.Equal(l.have, l.want) {
			return fmt.Errorf("domain.%s differs from the program's list", l.name)
		}
	}
	if len(d.Actions) != len(actions) && (!archived || len(d.Actions) > len(actions)) {
		return fmt.Errorf("domain.actions has %d rows for %d actions", len(d.Actions), len(actions))
	}
	for f, p := range d.FactsOnlyFor {
		if index(facts, f) < 0 || index(purposes, p) < 0 {
			return fmt.Errorf("domain.facts_only_for: unknown fact or purpose")
		}
	}
	for _, a := range actions {
		row, there := d.Actions[a]
		if archived && !there {
			continue
		}
		if err := row.check(); err != nil {
			return fmt.Errorf("domain.actions.%s: %w", a, err)
		}
	}
	return nil
}

func (r actionRow) check() error {
	if len(r.Facts) > maxFacts {
		return fmt.Errorf("%d facts, at most %d", len(r.Facts), maxFacts)
	}
	for _, f := range r.Facts {
		if !slices.Contains(facts, f) {
			return fmt.Errorf("unknown fact %q", f)
		}
	}
	for _, a := range r.Reads {
		if !slices.Contains([]string{"stage", "sensitivity", "step"}, a) {
			return fmt.Errorf("unknown attribute %q", a)
		}
	}
	if !slices.Contains(r.Facts, "fit") {
		return fmt.Errorf("does not read fit")
	}
	if r.Record && (!slices.Contains(r.Facts, "implicated") || !slices.Contains(r.Reads, "sensitivity")) {
		return fmt.Errorf("is about a record but does not read implicated and sensitivity")
	}
	if !slices.Contains([]string{"act", "meta", "content"}, r.Needs) {
		return fmt.Errorf("unknown need %q", r.Needs)
	}
	return nil
}

// plan is an actionRow prepared for packing.
type plan struct {
	record            bool
	needs             string
	facts             []uint16 // by purpose: mask of facts read
	stage, sens, step bool
}

func (d *domain) plan(r actionRow) plan {
	p := plan{
		record: r.Record, needs: r.Needs, facts: make([]uint16, len(purposes)),
		stage: slices.Contains(r.Reads, "stage"), sens: slices.Contains(r.Reads, "sensitivity"), step: slices.Contains(r.Reads, "step"),
	}
	for i, purpose := range purposes {
		for _, f := range r.Facts {
			if only, bound := d.FactsOnlyFor[f]; !bound || only == purpose {
				p.facts[i] |= 1 << index(facts, f)
			}
		}
	}
	return p
}
