package policy

import (
	"fmt"
	"slices"
	"strings"
	"testing"
)

// property is a sentence about one point of the domain and its answer; it gives back what is wrong, or "".
type property struct {
	name  string
	holds func(d *table, a attributes, c *cell) string
}

// TestWholeDomain asks OPA about every request that can ever be made, then checks every property over every answer.
func TestWholeDomain(t *testing.T) {
	t.Parallel()
	d := wholeDomain(t)
	for _, p := range slices.Concat(universal(), byRole(), byFact(), ofKeeping()) {
		t.Run(p.name, func(t *testing.T) {
			t.Parallel()
			bad, applied := 0, 0
			for k, c := range d.cells {
				a := unpack(k)
				problem := p.holds(d, a, c)
				if problem == skip {
					continue
				}
				applied++
				if problem != "" {
					if bad++; bad <= 5 {
						t.Errorf("%s: %s", a.describe(), problem)
					}
				}
			}
			if applied == 0 {
				t.Error("the property applies to nothing")
			}
		})
	}
}

// skip says that the property does not speak about this point.
const skip = "-"

// describe writes a point as an officer would.
func (a attributes) describe() string {
	var held, known []string
	for i, r := range roles {
		if a.roles&(1<<i) != 0 {
			held = append(held, r)
		}
	}
	for i, f := range facts {
		if a.facts&(1<<i) != 0 {
			known = append(known, f)
		}
	}
	step := stepNone
	if a.step > 0 {
		step = steps[a.step-1]
	}
	return fmt.Sprintf("%s %s for %s (%s, %s, step %s; %s)", strings.Join(held, "+"), actions[a.action], purposes[a.purpose],
		stages[a.stage], sensitivities[a.sens], step, strings.Join(known, " "))
}

func (a attributes) is(action string) bool     { return actions[a.action] == action }
func (a attributes) under(purpose string) bool { return purposes[a.purpose] == purpose }

// held says whether the role is among those of the point.
func (a attributes) held(role ...string) bool {
	for _, r := range role {
		if a.roles&(1<<index(roles, r)) != 0 {
			return true
		}
	}
	return false
}

// only says whether every role of the point is among these.
func (a attributes) only(role ...string) bool {
	var mask uint32
	for _, r := range role {
		mask |= 1 << index(roles, r)
	}
	return a.roles&^mask == 0
}

func (c *cell) group(name string) Effect { return c.groups[index(groups, name)] }

// content lists the groups beyond meta that are not denied.
func (c *cell) content() []string {
	var out []string
	for i, g := range groups {
		if i != groupMeta && c.groups[i] != Deny {
			out = append(out, g)
		}
	}
	return out
}

func (c *cell) opened() bool { return slices.Contains(c.groups[groupMeta+1:], Reveal) }

// nothing says whether a cell shows and allows nothing.
func (c *cell) nothing() bool { return !c.allow && c.groups == [16]Effect{} }

// complain gives the sentence when bad, else "".
func complain(bad bool, sentence string, args ...any) string {
	if !bad {
		return ""
	}
	return fmt.Sprintf(sentence, args...)
}

func universal() []property {
	return []property{
		{"C3 is never shown", func(d *table, _ attributes, c *cell) string {
			return complain(c.fields[d.s.fieldIndex["cvn"]] != Deny, "C3 field is %s", c.fields[d.s.fieldIndex["cvn"]])
		}},
		{"fields follow their groups", func(d *table, a attributes, c *cell) string {
			for i, g := range d.s.fieldGroup {
				if g >= 0 && c.fields[i] != c.groups[g] {
					return d.s.catalogue.Fields[i].Name + " differs from its group"
				}
			}
			return ""
		}},
		{"every refusal has rule, article and reason", func(d *table, _ attributes, c *cell) string {
			r := d.s.reasons[c.reason]
			if c.allow {
				return complain(!strings.HasPrefix(c.reason, "released"), "allowed because of %q", c.reason)
			}
			return complain(r.Rule == "" || r.Article == "" || r.Chinese == "" || strings.HasPrefix(c.reason, "released"), "refused because of %q", c.reason)
		}},
		{"every decision is recorded first", func(_ *table, _ attributes, c *cell) string {
			has := slices.ContainsFunc(c.obligations, func(o Obligation) bool { return o.Do == "record_before_release" })
			return complain(!has, "no obligation to record")
		}},
		{"what is allowed on a record shows that it exists", func(_ *table, _ attributes, c *cell) string {
			return complain(c.record && c.allow && c.groups[groupMeta] == Deny, "allowed, but meta is denied")
		}},
		{"only reveal and amend open content, and packages hold it", func(_ *table, a attributes, c *cell) string {
			if a.is("reveal") || a.is("amend") || a.is("disclose") || a.is("leave") {
				return skip
			}
			return complain(c.opened(), "opens %v", c.content())
		}},
		{"actions without a record show nothing", func(_ *table, _ attributes, c *cell) string {
			if c.record {
				return skip
			}
			return complain(c.groups != [16]Effect{}, "shows %v", c.groups)
		}},
		{"a reveal is never beyond a read", func(d *table, a attributes, c *cell) string {
			if !a.is("reveal") {
				return skip
			}
			read := a
			read.action = uint8(index(actions, "read"))
			r, ok := d.cells[read.pack()]
			if !ok {
				return "no read beside it"
			}
			for i := range groups {
				if c.groups[i] != Deny && r.groups[i] == Deny {
					return groups[i] + " is revealed but not read"
				}
			}
			return ""
		}},
		{"purposes of other roles refuse", func(d *table, a attributes, c *cell) string {
			if hasPurpose(a.roles, d.matrix, purposes[a.purpose]) {
				return skip
			}
			return complain(!c.nothing(), "allowed")
		}},
		{"a second role never takes away, excluded duties aside", func(d *table, a attributes, c *cell) string {
			return d.joins(a, c)
		}},
	}
}

// joins compares the answer for two roles with those for each.
func (d *table) joins(a attributes, c *cell) string {
	first, second := lowestRole(a.roles), a.roles&(a.roles-1)
	if second == 0 {
		return skip
	}
	if d.excluded(first, second) {
		return complain(!c.nothing() || c.reason != "duty_conflict", "excluded duties are not refused: %s", c.reason)
	}
	a.roles = first
	x, err := d.at(a)
	if err != nil {
		return err.Error()
	}
	a.roles = second
	y, err := d.at(a)
	if err != nil {
		return err.Error()
	}
	for i := range groups {
		if c.groups[i] != max(x.groups[i], y.groups[i]) {
			return groups[i] + " is not the wider of both"
		}
	}
	return complain(c.allow != (x.allow || y.allow), "allowed %v, but %v and %v alone", c.allow, x.allow, y.allow)
}

// at gives the answer for a point, asking OPA when the point is a foreign purpose's, of which the table holds one only.
func (d *table) at(a attributes) (*cell, error) {
	if c, ok := d.cells[a.pack()]; ok {
		return c, nil
	}
	return d.s.evaluate(bg, a)
}

func lowestRole(bits uint32) uint32 { return bits & -bits }

// excluded is the list of duties that exclude one another, written a second time, independently of the chapter.
func (d *table) excluded(one, other uint32) bool {
	has := func(x, y string) bool {
		return one|other == uint32(1)<<index(roles, x)|uint32(1)<<index(roles, y)
	}
	for _, admin := range administrators {
		if (one|other)&(1<<index(roles, admin)) != 0 {
			return true
		}
	}
	if (one|other)&roleKeeper != 0 {
		return true
	}
	for _, r := range []string{"intake", "handler", "head", "approver", "compliance", "records", "dpo"} {
		if has("auditor", r) {
			return true
		}
	}
	for _, r := range []string{"handler", "head", "approver", "compliance", "legal", "dpo", "liaison"} {
		if has("records", r) {
			return true
		}
	}
	return has("quality", "handler") || has("quality", "head") || has("quality", "approver") || has("handler", "approver")
}

var administrators = []string{"sysadmin", "secadmin", "auditadmin", "custodian"}

func byRole() []property {
	return []property{
		{"administrators see no complaint", func(_ *table, a attributes, c *cell) string {
			if !a.only(administrators...) {
				return skip
			}
			return complain(len(c.content()) > 0 || c.groups[groupMeta] != Deny || c.record && c.allow, "shows %v", c.content())
		}},
		{"quality sees the redacted narrative only", func(_ *table, a attributes, c *cell) string {
			if !a.only("quality") {
				return skip
			}
			return complain(c.opened() || len(c.content()) > 1 || len(c.content()) == 1 && c.content()[0] != "narrative", "shows %v", c.content())
		}},
		{"the auditor sees content with a case only", func(_ *table, a attributes, c *cell) string {
			if !a.only("auditor") || a.facts&factGranted != 0 {
				return skip
			}
			return complain(len(c.content()) > 0, "shows %v", c.content())
		}},
		{"the analyst gets figures only", func(_ *table, a attributes, c *cell) string {
			if !a.only("analyst") {
				return skip
			}
			return complain(c.allow && !a.is("report") || len(c.content()) > 0, "allowed")
		}},
		{"the portal shows one's own complaint, without staff", func(_ *table, a attributes, c *cell) string {
			if !a.only("portal") {
				return skip
			}
			staff := c.group("respondent") != Deny || c.group("handling") != Deny || c.group("whistle") != Deny
			return complain(staff || c.record && a.facts&factAssigned == 0 && !c.nothing(), "shows %v", c.content())
		}},
		{"an application gets intake and metadata", func(_ *table, a attributes, c *cell) string {
			if !a.only("application") {
				return skip
			}
			return complain(len(c.content()) > 0 || c.allow && !a.is("create") && !a.is("read") && !a.is("list"), "shows %v", c.content())
		}},
		{"the liaison sees masked for the regulator's report, and discloses what was approved", func(_ *table, a attributes, c *cell) string {
			if !a.only("liaison") {
				return skip
			}
			return complain(c.opened() && !a.is("disclose") || c.allow && !a.under("regulator_report"), "opens %v", c.content())
		}},
		{"reports of staff crime are for compliance", func(_ *table, a attributes, c *cell) string {
			if sensitivities[a.sens] != "whistle" || a.held("compliance", "portal") || a.is("leave") || a.keeps() {
				return skip
			}
			return complain(len(c.content()) > 0 || a.is("amend") && c.allow || a.is("transition") && c.allow, "shows %v", c.content())
		}},
		{"the whistle group is for compliance", func(_ *table, a attributes, c *cell) string {
			if a.held("compliance") || a.is("leave") {
				return skip
			}
			return complain(c.group("whistle") != Deny, "shown")
		}},
		{"privileged handling is for legal", func(_ *table, a attributes, c *cell) string {
			if sensitivities[a.sens] != "privileged" || a.held("legal") {
				return skip
			}
			return complain(c.group("handling") != Deny, "shown")
		}},
	}
}

func byFact() []property {
	return []property{
		{"the implicated and the unfit see nothing", func(_ *table, a attributes, c *cell) string {
			if a.facts&factImplicated == 0 && a.facts&factFit != 0 {
				return skip
			}
			return complain(!c.nothing(), "shows %v", c.content())
		}},
		{"nobody reviews his own request", func(_ *table, a attributes, c *cell) string {
			if a.facts&factAssigned == 0 || !slices.Contains(ownObject, actions[a.action]) {
				return skip
			}
			return complain(c.allow, "allowed")
		}},
		{"nobody approves his own work", func(_ *table, a attributes, c *cell) string {
			if a.facts&factAssigned == 0 || a.step == 0 || steps[a.step-1] != "approval" {
				return skip
			}
			return complain(c.allow, "allowed")
		}},
		{"an archived record is not written", func(_ *table, a attributes, c *cell) string {
			if stages[a.stage] != "archived" || !a.is("amend") && !a.is("transition") || a.keeps() {
				return skip
			}
			return complain(c.allow, "allowed")
		}},
		{"handlers open only what is theirs, granted or under break-glass", func(_ *table, a attributes, c *cell) string {
			if !a.only("handler") || a.facts&(factAssigned|factGranted|factBreakglass) != 0 {
				return skip
			}
			return complain(c.opened(), "opens %v", c.content())
		}},
		{"heads open in their unit, for approval", func(_ *table, a attributes, c *cell) string {
			if !a.only("head") || a.facts&factBreakglass != 0 {
				return skip
			}
			near := a.facts&(factUnit|factAssigned|factGranted) != 0
			return complain(c.opened() && (!near || !a.under("approve")), "opens %v", c.content())
		}},
		{"content needs the level, break-glass aside", func(_ *table, a attributes, c *cell) string {
			if !a.only("handler", "head", "approver") || a.facts&(factCleared|factBreakglass) != 0 {
				return skip
			}
			return complain(len(c.content()) > 0, "shows %v", c.content())
		}},
		{"a grant only adds", func(d *table, a attributes, c *cell) string { return d.adds(a, c, factGranted) }},
		{"break-glass only adds", func(d *table, a attributes, c *cell) string { return d.adds(a, c, factBreakglass) }},
		{"being in the unit only adds", func(d *table, a attributes, c *cell) string { return d.adds(a, c, factUnit) }},
		{"being cleared only adds", func(d *table, a attributes, c *cell) string { return d.adds(a, c, factCleared) }},
		{"break-glass lifts nothing but need-to-know and level", func(d *table, a attributes, c *cell) string {
			if a.facts&factBreakglass == 0 {
				return skip
			}
			// With need-to-know and level in order by themselves, and no break-glass asked for, nothing more may be open.
			plain := a
			plain.facts = a.facts&^factBreakglass | factAssigned | factUnit | factCleared
			plain.purpose = uint8(index(purposes, "handle"))
			approve := plain
			approve.purpose = uint8(index(purposes, "approve"))
			x, err := d.at(plain)
			if err != nil {
				return err.Error()
			}
			y, err := d.at(approve)
			if err != nil {
				return err.Error()
			}
			for i, g := range groups {
				if c.groups[i] > max(x.groups[i], y.groups[i]) {
					return g + " is wider than without break-glass"
				}
			}
			return ""
		}},
	}
}

// adds says that turning the fact on takes nothing away.
func (d *table) adds(a attributes, c *cell, fact uint16) string {
	if a.facts&fact == 0 {
		return skip
	}
	a.facts &^= fact
	without, ok := d.cells[a.pack()]
	if !ok {
		return skip
	}
	for i := range groups {
		if c.groups[i] < without.groups[i] {
			return groups[i] + " is narrower with it"
		}
	}
	return complain(without.allow && !c.allow, "refused with it")
}
