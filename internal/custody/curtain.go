package custody

import (
	"context"
	"errors"
	"log/slog"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/sealtrail/sealtrail/audit"
	"github.com/sealtrail/sealtrail/audit/pglog"
	"github.com/sealtrail/sealtrail/internal/store"
)

// curtain is what sealed investigations keep from one caller for the time being.
// Nothing of it is a stored mark on an entry: what is hidden follows from who
// acted, for what purpose, when and about what, and from a request and an assent
// that the log bears out. Whoever can write SQL hides nothing by it.
type curtain struct {
	door  *Door
	cases []*sealedCase
}

// sealedCase is one investigation that is asked for or runs.
type sealedCase struct {
	trail        string // its own entries
	runs         bool
	from, until  time.Time
	investigator []string // aliases, of every year
	persons      []string // aliases of the investigated
	complaints   []string // subjects of entries
	// What was found out about complaints, by subject.
	concerned map[string]bool
	grants    map[string][]string
}

// investigationTrail is the subject of an investigation's own entries.
func investigationTrail(id string) string { return "investigation:" + investigationCode(id) }

// investigationCode is how an investigation is named in the log.
func investigationCode(id string) string { return "i-" + shortID(id) }

// curtain lists what is kept from a caller with these roles. An investigator
// and whoever assented see everything, and so do other auditors, unless the
// investigation is about them.
func (d *Door) curtain(ctx context.Context, person string, roles []string) (*curtain, error) {
	s := &curtain{door: d}
	now := d.now()
	for _, state := range []string{store.InvestigationRequested, store.InvestigationApproved} {
		rows, err := d.cfg.Store.Investigations(ctx, d.cfg.Institution, state)
		if err != nil {
			return nil, storeError(err)
		}
		for _, row := range rows {
			if !now.Before(row.Until) || knowsOf(row, person, roles) {
				continue
			}
			one, err := d.sealedCase(ctx, row)
			if err != nil {
				return nil, err
			}
			if one != nil {
				s.cases = append(s.cases, one)
			}
		}
	}
	return s, nil
}

// knowsOf says whether somebody sees what an investigation hides.
func knowsOf(row *store.Investigation, person string, roles []string) bool {
	if slices.Contains(row.Persons, person) {
		return false
	}
	return person == row.RequestedBy || row.DecidedBy != nil && person == *row.DecidedBy || slices.Contains(roles, "auditor")
}

// sealedCase gathers what an investigation hides; nil if the log does not bear
// the row out.
func (d *Door) sealedCase(ctx context.Context, row *store.Investigation) (*sealedCase, error) {
	born, err := d.investigationBorne(ctx, row)
	if err != nil {
		return nil, err
	}
	if !born {
		d.cfg.Logger.WarnContext(ctx, "an investigation is not borne out by the log", slog.String("table", "people.investigation"), slog.Uint64("entry", row.Entry))
		return nil, nil
	}
	one := &sealedCase{trail: investigationTrail(row.ID), until: row.Until, concerned: map[string]bool{}, grants: map[string][]string{}}
	if row.State == store.InvestigationApproved && row.DecidedAt != nil {
		one.runs, one.from = true, *row.DecidedAt
	}
	if one.investigator, err = d.cfg.Log.Aliases(ctx, row.RequestedBy); err != nil {
		return nil, logError(err)
	}
	for _, person := range row.Persons {
		aliases, err := d.cfg.Log.Aliases(ctx, person)
		if err != nil {
			return nil, logError(err)
		}
		one.persons = append(one.persons, aliases...)
	}
	for _, id := range row.Complaints {
		one.complaints = append(one.complaints, subjectOf(id))
	}
	return one, nil
}

// investigationBorne compares a row with the log: asked for by this person about
// these subjects until then, assented to by that other person, and not ended.
func (d *Door) investigationBorne(ctx context.Context, row *store.Investigation) (bool, error) {
	entries, err := d.cfg.Log.Trail(ctx, investigationTrail(row.ID), registerTrail)
	if err != nil {
		return false, logError(err)
	}
	requested, approved := false, false
	for _, e := range entries {
		b, err := audit.ParseBody(e.Body)
		if err != nil {
			return false, nil
		}
		actor, err := d.nameOf(ctx, b.Actor.ID)
		if err != nil {
			return false, err
		}
		until, _ := b.Facts.Text("until")
		switch b.Kind {
		case "investigation.requested":
			requested = requested || actor == row.RequestedBy && until == stamp(row.Until) && b.Commit[subjectsPath] == subjectsCommit(row)
		case "investigation.approved":
			approved = approved || row.DecidedBy != nil && row.DecidedAt != nil && actor == *row.DecidedBy && actor != row.RequestedBy &&
				until == stamp(row.Until) && b.At.Equal(*row.DecidedAt)
		case "investigation.refused", "investigation.closed":
			return false, nil
		}
	}
	return requested && (approved || row.State == store.InvestigationRequested), nil
}

// hides says whether an entry is kept from the caller.
func (s *curtain) hides(ctx context.Context, b *audit.Body) (bool, error) {
	for _, one := range s.cases {
		hidden, err := s.hiddenBy(ctx, one, b)
		if hidden || err != nil {
			return hidden, err
		}
	}
	return false, nil
}

func (s *curtain) hiddenBy(ctx context.Context, one *sealedCase, b *audit.Body) (bool, error) {
	if b.Subject == one.trail {
		return true, nil
	}
	if !one.runs || b.At.Before(one.from) || !b.At.Before(one.until) {
		return false, nil
	}
	if b.Kind == "access.result" {
		return s.answers(ctx, one, b)
	}
	about, isComplaint := b.Subject, strings.HasPrefix(b.Subject, "complaint:")
	mine := slices.Contains(one.investigator, b.Actor.ID) && b.Purpose == auditPurpose
	grant, isGrant := b.Facts.Text("grant")
	switch {
	case !mine && !(isGrant && isComplaint):
		return false, nil
	case !isComplaint:
		alias, ok := strings.CutPrefix(about, "person:")
		return mine && ok && slices.Contains(one.persons, alias), nil
	}
	if err := s.learn(ctx, one, about); err != nil {
		return false, err
	}
	if !one.concerned[about] {
		return false, nil
	}
	return mine || slices.Contains(one.grants[about], grant), nil
}

// auditPurpose is the purpose under which an investigator's reading is hidden.
const auditPurpose = "audit"

// learn finds out whether a complaint is investigated, by itself or because one
// of the investigated persons had to do with it, and which grants on it the
// investigator asked for: their issue would tell of him.
func (s *curtain) learn(ctx context.Context, one *sealedCase, subject string) error {
	if _, known := one.concerned[subject]; known {
		return nil
	}
	entries, err := s.door.cfg.Log.Trail(ctx, subject, trailLimit)
	if err != nil {
		return logError(err)
	}
	concerned := slices.Contains(one.complaints, subject)
	for _, e := range entries {
		b, err := audit.ParseBody(e.Body)
		if err != nil {
			continue
		}
		concerned = concerned || slices.Contains(one.persons, b.Actor.ID)
		for _, fact := range []string{"assignee", "previous", "person"} {
			alias, _ := b.Facts.Text(fact)
			concerned = concerned || slices.Contains(one.persons, alias)
		}
		if grant, ok := b.Facts.Text("grant"); ok && b.Kind == "grant.requested" && slices.Contains(one.investigator, b.Actor.ID) && !b.At.Before(one.from) {
			one.grants[subject] = append(one.grants[subject], grant)
		}
	}
	one.concerned[subject] = concerned
	return nil
}

// answers says whether an outcome speaks of an intent that is hidden.
func (s *curtain) answers(ctx context.Context, one *sealedCase, b *audit.Body) (bool, error) {
	intents, _ := b.Facts.List("intents")
	for _, ref := range intents {
		id, err := strconv.ParseUint(strings.TrimPrefix(ref, "e"), 10, 64)
		if err != nil {
			continue
		}
		e, err := s.door.cfg.Log.Entry(ctx, id)
		if errors.Is(err, pglog.ErrNotFound) {
			continue
		}
		if err != nil {
			return false, logError(err)
		}
		intent, err := audit.ParseBody(e.Body)
		if err != nil || intent.Kind == "access.result" {
			continue
		}
		if hidden, err := s.hiddenBy(ctx, one, &intent); hidden || err != nil {
			return hidden, err
		}
	}
	return false, nil
}

// trail is the newest limit entries of a subject that are not hidden: as many as
// if the hidden ones were not there.
func (s *curtain) trail(ctx context.Context, subject string, limit int) ([]pglog.TrailEntry, error) {
	for fetch := limit; ; fetch *= 2 {
		entries, err := s.door.cfg.Log.Trail(ctx, subject, fetch)
		if err != nil {
			return nil, logError(err)
		}
		kept, err := s.unsealed(ctx, entries)
		if err != nil {
			return nil, err
		}
		if len(kept) >= limit || len(entries) < fetch {
			return kept[:min(len(kept), limit)], nil
		}
	}
}

// unsealed keeps the entries that are not hidden, in their order.
func (s *curtain) unsealed(ctx context.Context, entries []pglog.TrailEntry) ([]pglog.TrailEntry, error) {
	if len(s.cases) == 0 {
		return entries, nil
	}
	var kept []pglog.TrailEntry
	for _, e := range entries {
		b, err := audit.ParseBody(e.Body)
		if err != nil {
			kept = append(kept, e) // whoever shows it finds out
			continue
		}
		hidden, err := s.hides(ctx, &b)
		if err != nil {
			return nil, err
		}
		if !hidden {
			kept = append(kept, e)
		}
	}
	return kept, nil
}
