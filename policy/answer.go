package policy

import (
	"fmt"
	"slices"
	"strings"

	"github.com/open-policy-agent/opa/v1/ast"
)

// Reason codes that the engine itself gives; reasons.yaml must hold them.
const (
	reasonNotFound        = "not_found"
	reasonNotEvaluated    = "not_evaluated"
	reasonUnfit           = "unfit"
	reasonField           = "field_not_released"
	reasonReleased        = "released"
	reasonPurposeRequired = "purpose_required"
	reasonPurposeUnknown  = "purpose_unknown"
	reasonC3              = "c3_never"
	reasonNoRole          = "no_role"
)

// inputTerms are the terms of every possible input and the keys of every answer, made once.
type inputTerms struct {
	keys                                             map[string]*ast.Term
	roles, actions, purposes, stages, senses, stepsT []*ast.Term
	facts                                            []*ast.Term
}

func newInputTerms() inputTerms {
	terms := func(names []string) []*ast.Term {
		out := make([]*ast.Term, len(names))
		for i, n := range names {
			out[i] = ast.InternedTerm(n)
		}
		return out
	}
	t := inputTerms{
		roles: terms(roles), actions: terms(actions), purposes: terms(purposes), stages: terms(stages), senses: terms(sensitivities),
		stepsT: terms(append([]string{stepNone}, steps...)), facts: terms(facts), keys: map[string]*ast.Term{},
	}
	words := []string{
		"role", "roles", "action", "purpose", "stage", "sensitivity", "step", "facts",
		"allow", "groups", "hidden", "obligations", "reason", "reasons", "do", "article",
	}
	for _, k := range append(words, groups...) {
		t.keys[k] = ast.StringTerm(k)
	}
	return t
}

// input is what OPA sees: finite attributes only.
func (t inputTerms) input(a attributes, role int) ast.Value {
	held := make([]*ast.Term, 0, 2)
	for i, r := range t.roles {
		if a.roles&(1<<i) != 0 {
			held = append(held, r)
		}
	}
	fs := make([][2]*ast.Term, len(t.facts))
	for i, f := range t.facts {
		fs[i] = [2]*ast.Term{f, ast.InternedTerm(a.facts&(1<<i) != 0)}
	}
	return ast.NewObject(
		[2]*ast.Term{t.keys["role"], t.roles[role]},
		[2]*ast.Term{t.keys["roles"], ast.ArrayTerm(held...)},
		[2]*ast.Term{t.keys["action"], t.actions[a.action]},
		[2]*ast.Term{t.keys["purpose"], t.purposes[a.purpose]},
		[2]*ast.Term{t.keys["stage"], t.stages[a.stage]},
		[2]*ast.Term{t.keys["sensitivity"], t.senses[a.sens]},
		[2]*ast.Term{t.keys["step"], t.stepsT[a.step]},
		[2]*ast.Term{t.keys["facts"], ast.ObjectTerm(fs...)},
	)
}

// decode reads OPA's answer {allow, groups, hidden, obligations, reason, reasons} and spreads groups over fields.
func (s *Snapshot) decode(obj ast.Object) (*cell, error) {
	c := &cell{}
	allow, ok := s.terms.member(obj, "allow").(ast.Boolean)
	if !ok {
		return nil, fmt.Errorf("allow is no boolean")
	}
	c.allow = bool(allow)
	if err := c.readGroups(s.terms, obj); err != nil {
		return nil, err
	}
	reason, ok := s.terms.member(obj, "reason").(ast.String)
	if !ok {
		return nil, fmt.Errorf("reason is no string")
	}
	c.reason = string(reason)
	var err error
	if c.reasons, err = stringSet(s.terms.member(obj, "reasons")); err != nil {
		return nil, fmt.Errorf("reasons: %w", err)
	}
	for _, code := range append([]string{c.reason}, c.reasons...) {
		if _, known := s.reasons[code]; !known {
			return nil, fmt.Errorf("unknown reason code %q", code)
		}
	}
	slices.SortFunc(c.reasons, s.byRank)
	if c.obligations, err = obligations(s.terms, s.terms.member(obj, "obligations")); err != nil {
		return nil, err
	}
	hidden, err := stringSet(s.terms.member(obj, "hidden"))
	if err != nil {
		return nil, fmt.Errorf("hidden: %w", err)
	}
	c.fields = s.spread(&c.groups, hidden)
	return c, nil
}

func (c *cell) readGroups(terms inputTerms, obj ast.Object) error {
	gs, ok := terms.member(obj, "groups").(ast.Object)
	if !ok {
		return fmt.Errorf("groups is no object")
	}
	if gs.Len() == 0 {
		return nil // no view at all: every group stays denied
	}
	if gs.Len() != len(groups) {
		return fmt.Errorf("groups names %d of %d groups", gs.Len(), len(groups))
	}
	for i, g := range groups {
		switch v, _ := terms.member(gs, g).(ast.String); v {
		case "deny":
			c.groups[i] = Deny
		case "mask":
			c.groups[i] = Mask
		case "reveal":
			c.groups[i] = Reveal
		default:
			return fmt.Errorf("group %s has no effect", g)
		}
	}
	return nil
}

// spread gives every field of the catalogue the effect of its group.
func (s *Snapshot) spread(g *[16]Effect, hidden []string) []Effect {
	out := make([]Effect, len(s.fieldGroup))
	for i, group := range s.fieldGroup {
		if group >= 0 && !slices.Contains(hidden, s.catalogue.Fields[i].Name) {
			out[i] = g[group]
		}
	}
	return out
}

// member is one value of an object; nil when it is not there.
func (t inputTerms) member(o ast.Object, key string) ast.Value {
	v := o.Get(t.keys[key])
	if v == nil {
		return nil
	}
	return v.Value
}

func stringSet(v ast.Value) ([]string, error) {
	set, ok := v.(ast.Set)
	if !ok {
		return nil, fmt.Errorf("no set")
	}
	var out []string
	for _, t := range set.Slice() {
		str, ok := t.Value.(ast.String)
		if !ok {
			return nil, fmt.Errorf("member is no string")
		}
		out = append(out, string(str))
	}
	return out, nil
}

func obligations(terms inputTerms, v ast.Value) ([]Obligation, error) {
	list, ok := v.(*ast.Array)
	if !ok {
		return nil, fmt.Errorf("obligations is no array")
	}
	out := make([]Obligation, 0, list.Len())
	for i := range list.Len() {
		o, ok := list.Elem(i).Value.(ast.Object)
		if !ok {
			return nil, fmt.Errorf("obligation is no object")
		}
		do, ok1 := terms.member(o, "do").(ast.String)
		art, ok2 := terms.member(o, "article").(ast.String)
		if !ok1 || !ok2 {
			return nil, fmt.Errorf("obligation lacks do or article")
		}
		out = append(out, Obligation{Do: string(do), Article: string(art)})
	}
	slices.SortFunc(out, compareObligations)
	return out, nil
}

func compareObligations(a, b Obligation) int { return strings.Compare(a.Do, b.Do) }

// join adds another role's answer: the widest effect wins, so a second role never takes away. The reason is that of the widest answer:
// of two allows the first, of two refusals the one of the smaller rank.
func (s *Snapshot) join(a, b *cell) *cell {
	if a == nil {
		return b
	}
	c := &cell{allow: a.allow || b.allow, record: a.record, fields: make([]Effect, len(a.fields))}
	for i := range c.groups {
		c.groups[i] = max(a.groups[i], b.groups[i])
	}
	for i := range c.fields {
		c.fields[i] = max(a.fields[i], b.fields[i])
	}
	first, second := a, b
	if b.allow && !a.allow || b.allow == a.allow && s.ranks[b.reason] < s.ranks[a.reason] {
		first, second = b, a
	}
	c.reason, c.reasons = first.reason, first.reasons
	if first.allow == second.allow {
		c.reasons = slices.Concat(first.reasons, second.reasons)
		slices.SortStableFunc(c.reasons, s.byRank)
		c.reasons = slices.Compact(c.reasons)
	}
	c.obligations = slices.Concat(a.obligations, b.obligations)
	slices.SortFunc(c.obligations, compareObligations)
	c.obligations = slices.Compact(c.obligations)
	return c
}

func (s *Snapshot) byRank(a, b string) int { return s.ranks[a] - s.ranks[b] }
