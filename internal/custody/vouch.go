package custody

import (
	"context"
	"fmt"
	"slices"

	"github.com/sealtrail/sealtrail/audit"
	"github.com/sealtrail/sealtrail/internal/store"
	"github.com/sealtrail/sealtrail/policy"
)

// vouched drops every grant and emergency access to this record that the log
// does not bear out: asked for by this person for this purpose, issued for these
// groups and times by an entry, and not ended by one. The register's rows carry
// no proof of their own, and whoever can write SQL could give himself one; then
// the finding is an entry and the decision goes without it.
func (d *Door) vouched(ctx context.Context, a *asked) error {
	if a.row == nil || a.facts == nil {
		return nil
	}
	id := a.row.ID
	grant := func(g store.GrantFact) bool { return g.Complaint == id }
	glass := func(b store.BreakGlassFact) bool { return b.Complaint == id }
	if !slices.ContainsFunc(a.facts.Grants, grant) && !slices.ContainsFunc(a.facts.BreakGlass, glass) {
		return nil
	}
	said, err := d.saidOf(ctx, id)
	if err != nil {
		return err
	}
	a.subject.Grants, a.subject.BreakGlass = nil, nil
	for _, g := range a.facts.Grants {
		if grant(g) && !said.grant(a.caller.Person, g) {
			if err := d.unlogged(ctx, a, "grant.unlogged", "people.access_grant"); err != nil {
				return err
			}
			continue
		}
		a.subject.Grants = append(a.subject.Grants, policyGrant(g))
	}
	for _, b := range a.facts.BreakGlass {
		if glass(b) && !said.breakGlass(a.caller.Person, b) {
			if err := d.unlogged(ctx, a, "breakglass.unlogged", "people.break_glass"); err != nil {
				return err
			}
			continue
		}
		a.subject.BreakGlass = append(a.subject.BreakGlass, policyBreakGlass(b))
	}
	return nil
}

func policyGrant(g store.GrantFact) policy.Grant {
	return policy.Grant{Record: g.Complaint, Purpose: g.Purpose, Groups: g.Groups, From: g.From, Until: g.Until}
}

func policyBreakGlass(b store.BreakGlassFact) policy.BreakGlass {
	return policy.BreakGlass{Record: b.Complaint, From: b.From, Until: b.Until}
}

// unlogged makes the finding an entry of the record's trail.
func (d *Door) unlogged(ctx context.Context, a *asked, what, table string) error {
	b := a.body(audit.StageEvent, "access.integrity", audit.Facts{"action": a.action, "what": what, "table": table})
	b.Decision = nil // nothing was decided yet
	_, err := d.record(ctx, b)
	return err
}

// said is what a record's trail says of grants and emergency accesses: the
// newest trailLimit entries, so that one older than those counts as not said.
type said struct {
	events []audit.Body
	actors []string // who did each, by name
}

func (d *Door) saidOf(ctx context.Context, id string) (*said, error) {
	entries, err := d.cfg.Log.Trail(ctx, subjectOf(id), trailLimit)
	if err != nil {
		return nil, logError(err)
	}
	s := &said{}
	for _, e := range entries {
		b, err := audit.ParseBody(e.Body)
		if err != nil {
			return nil, fmt.Errorf("%w: entry %d of the log", ErrIntegrity, e.ID)
		}
		if b.Stage != audit.StageEvent {
			continue
		}
		switch b.Kind {
		case "grant.requested", "grant.issued", "grant.revoked", "breakglass.opened", "breakglass.closed":
			actor, err := d.nameOf(ctx, b.Actor.ID)
			if err != nil {
				return nil, err
			}
			s.events, s.actors = append(s.events, b), append(s.actors, actor)
		}
	}
	return s, nil
}

// any reports whether an event of a kind about a code meets a condition.
func (s *said) any(kind, fact, code string, meets func(b *audit.Body, actor string) bool) bool {
	for i := range s.events {
		b := &s.events[i]
		if text, _ := b.Facts.Text(fact); b.Kind == kind && text == code && meets(b, s.actors[i]) {
			return true
		}
	}
	return false
}

func always(*audit.Body, string) bool { return true }

func (s *said) grant(person string, g store.GrantFact) bool {
	code := grantCode(g.ID)
	asked := s.any("grant.requested", "grant", code, func(b *audit.Body, actor string) bool { return actor == person && b.Purpose == g.Purpose })
	issued := s.any("grant.issued", "grant", code, func(b *audit.Body, actor string) bool {
		from, _ := b.Facts.Text("from")
		until, _ := b.Facts.Text("until")
		groups, _ := b.Facts.List("groups")
		return actor != person && from == stamp(g.From) && until == stamp(g.Until) && slices.Equal(groups, g.Groups)
	})
	return asked && issued && !s.any("grant.revoked", "grant", code, always)
}

func (s *said) breakGlass(person string, g store.BreakGlassFact) bool {
	code := caseCode(g.ID)
	opened := s.any("breakglass.opened", "case", code, func(b *audit.Body, actor string) bool {
		until, _ := b.Facts.Text("until")
		return actor == person && until == stamp(g.Until) && b.At.Equal(g.From)
	})
	return opened && !s.any("breakglass.closed", "case", code, always)
}
