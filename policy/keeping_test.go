package policy

import "slices"

// ownObject lists the actions on what a person asked for: the one who asked never decides on it.
var ownObject = []string{
	"grant_review", "breakglass_review", "people", "keys", "hold_release", "erase_approve", "disclose_approve", "leave_approve",
	"investigate_approve",
}

// keeps says whether the point is one of the records officer's own steps: archive, restrict, lift the restriction.
func (a attributes) keeps() bool { return a.step > 0 && steps[a.step-1] == "records" }

// ofKeeping are the sentences about restriction, holds, erasure, disclosure, the service's own upkeep and reading the trail.
func ofKeeping() []property {
	return slices.Concat(restriction(), erasure(), disclosure(), upkeep(), overseeing())
}

func overseeing() []property {
	return []property{
		{"evidence is made by whoever oversees", func(_ *table, a attributes, c *cell) string {
			if !a.is("evidence") {
				return skip
			}
			return complain(c.allow && !a.only("auditor", "dpo", "compliance", "legal"), "allowed")
		}},
		{"who looked is said to the complainant, of his own complaint, and to the data protection officer", func(_ *table, a attributes, c *cell) string {
			if !a.is("looked") {
				return skip
			}
			own := a.only("portal") && a.facts&factAssigned != 0
			return complain(c.allow && !own && !a.only("dpo"), "allowed")
		}},
		{"a sealed investigation is the auditor's wish and another's assent", func(_ *table, a attributes, c *cell) string {
			switch {
			case a.is("investigate"):
				return complain(c.allow && !a.only("auditor"), "asked for")
			case a.is("investigate_approve"):
				return complain(c.allow && (!a.only("dpo", "compliance") || a.facts&factAssigned != 0), "approved")
			}
			return skip
		}},
	}
}

func restriction() []property {
	return []property{
		{"a restricted record is opened, found and listed for legal, audit and regulator only", func(_ *table, a attributes, c *cell) string {
			if stages[a.stage] != "restricted" || a.under("legal") || a.under("audit") || a.under("regulator_report") || a.keeps() {
				return skip
			}
			known := a.is("read") && (a.held("dpo") && a.under("approve") || a.held("portal"))
			return complain(len(c.content()) > 0 || c.allow && !known, "shows %v", c.content())
		}},
		{"whoever finds a restricted record by a search may search for legal matters", func(d *table, a attributes, c *cell) string {
			if stages[a.stage] != "restricted" || !a.is("read") || !c.allow {
				return skip
			}
			search := a
			search.action, search.stage, search.sens, search.facts = uint8(index(actions, "search")), 0, 0, factFit
			s, err := d.at(search)
			if err != nil {
				return err.Error()
			}
			return complain(s.allow && !a.under("legal"), "searches")
		}},
		{"a restricted record is not written, but by the records officer's steps", func(_ *table, a attributes, c *cell) string {
			if stages[a.stage] != "restricted" || !a.is("amend") && !a.is("transition") || a.keeps() {
				return skip
			}
			return complain(c.allow, "allowed")
		}},
		{"the records officer's steps are his alone and go on at every stage", func(_ *table, a attributes, c *cell) string {
			if !a.keeps() || a.facts&factFit == 0 || a.facts&factImplicated != 0 {
				return skip
			}
			may := a.held("records") && (a.under("legal") || a.under("subject_request"))
			return complain(c.allow != may, "allowed %v", c.allow)
		}},
	}
}

func erasure() []property {
	return []property{
		{"erasures are asked for by records and approved by the data protection officer", func(_ *table, a attributes, c *cell) string {
			switch {
			case a.is("erase_request"):
				return complain(c.allow && !a.only("records"), "allowed")
			case a.is("erase_approve"):
				return complain(c.allow && !a.only("dpo"), "allowed")
			}
			return skip
		}},
		{"a legal hold and unexpired retention beat every erasure", func(_ *table, a attributes, c *cell) string {
			if !a.is("erase_approve") || a.facts&(factHeld|factRetained) == 0 {
				return skip
			}
			return complain(c.allow, "allowed")
		}},
		{"nobody amends what is held, break-glass or not", func(_ *table, a attributes, c *cell) string {
			if !a.is("amend") || a.facts&factHeld == 0 {
				return skip
			}
			return complain(c.allow || c.opened(), "allowed")
		}},
		{"whoever asks for erasures opens no content, nor together with another duty", func(d *table, a attributes, c *cell) string {
			if !a.held("records") {
				return skip
			}
			other := a.roles &^ (1 << index(roles, "records"))
			opens := other != 0 && d.opens(other)
			return complain(c.opened() || opens && !c.nothing(), "opens %v", c.content())
		}},
		{"neither who asks for nor who approves erasures audits", func(_ *table, a attributes, c *cell) string {
			if !a.held("records", "dpo") || !a.held("auditor", "auditadmin") {
				return skip
			}
			return complain(!c.nothing(), "allowed")
		}},
		{"holds are legal's", func(_ *table, a attributes, c *cell) string {
			if !a.is("hold") && !a.is("hold_release") {
				return skip
			}
			return complain(c.allow && !a.only("legal"), "allowed")
		}},
	}
}

// opens says whether a role opens content of records at any point of the domain. The portal's own complaint is his own.
func (d *table) opens(role uint32) bool {
	d.once.Do(func() {
		for k, c := range d.cells {
			a := unpack(k)
			if a.roles&(a.roles-1) == 0 && c.opened() {
				d.openers |= a.roles &^ rolePortal
			}
		}
	})
	return d.openers&role != 0
}

func disclosure() []property {
	return []property{
		{"a package holds what an approved disclosure names, and nothing without one", func(_ *table, a attributes, c *cell) string {
			if !a.is("disclose") && !a.is("leave") {
				return skip
			}
			return complain(a.facts&factGranted == 0 && (c.allow || len(c.content()) > 0), "holds %v", c.content())
		}},
		{"a disclosure is never beyond what the role reads masked", func(d *table, a attributes, c *cell) string {
			if !a.is("disclose") || !c.allow {
				return skip
			}
			read := a
			read.action = uint8(index(actions, "read"))
			r, err := d.at(read)
			if err != nil {
				return err.Error()
			}
			for i := range groups {
				if c.groups[i] == Reveal && r.groups[i] == Deny {
					return groups[i] + " is disclosed but not read"
				}
			}
			return ""
		}},
		{"two assents in order, the second the data protection officer's", func(_ *table, a attributes, c *cell) string {
			if !a.is("disclose_approve") && !a.is("leave_approve") || !c.allow {
				return skip
			}
			more := slices.ContainsFunc(c.obligations, func(o Obligation) bool { return o.Do == "second_approval" })
			if a.facts&factSeconded != 0 {
				return complain(!a.only("dpo") || more, "final by another")
			}
			return complain(a.held("dpo") || !more, "final at once")
		}},
		{"a disclosure asked for under approve is the head's", func(_ *table, a attributes, c *cell) string {
			if !a.is("disclose_request") || !a.under("approve") {
				return skip
			}
			return complain(c.allow && (!a.only("head") || a.facts&(factUnit|factAssigned) == 0), "allowed")
		}},
		{"the institution leaves by legal's hand only", func(_ *table, a attributes, c *cell) string {
			if !a.is("leave") && !a.is("leave_request") {
				return skip
			}
			return complain(c.allow && !a.only("legal"), "allowed")
		}},
	}
}

func upkeep() []property {
	return []property{
		{"the keeper is shown no field and keeps only", func(_ *table, a attributes, c *cell) string {
			if !a.held("keeper") {
				return skip
			}
			return complain(len(c.content()) > 0 || c.allow && (!a.is("keep") || !a.only("keeper")), "shows %v", c.content())
		}},
		{"nobody else keeps", func(_ *table, a attributes, c *cell) string {
			if !a.is("keep") || a.held("keeper") {
				return skip
			}
			return complain(c.allow, "allowed")
		}},
		{"keys are turned by custodians, who see no record", func(_ *table, a attributes, c *cell) string {
			if a.is("keys") {
				return complain(c.allow && !a.only("custodian"), "allowed")
			}
			if !a.held("custodian") {
				return skip
			}
			return complain(c.record && !c.nothing(), "shows %v", c.content())
		}},
	}
}
