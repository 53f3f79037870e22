package custody

import (
	"context"
	"errors"
	"slices"
	"strings"
	"unicode"

	"github.com/jackc/pgx/v5"

	"github.com/sealtrail/sealtrail/audit"
	"github.com/sealtrail/sealtrail/audit/pglog"
	"github.com/sealtrail/sealtrail/internal/complaint"
	"github.com/sealtrail/sealtrail/internal/intake"
	"github.com/sealtrail/sealtrail/internal/store"
)

// holdPurpose is the one purpose of holds.
const holdPurpose = "legal"

// nobody stands for a requester who is not there, so that the decision is not
// taken as one on the subject's own request.
const nobody = "nobody"

// maxHolds is the most holds that one answer lists; a record has few.
const maxHolds = 200

// PlaceHold puts a record under a legal hold: from now on nothing of it is
// erased and nothing stored is overwritten. One person is enough, because a hold
// that was wrong is undone, and an erasure is not.
func (d *Door) PlaceHold(ctx context.Context, c Caller, h LegalHold) (*LegalHold, error) {
	ctx, cancel := context.WithTimeout(ctx, deadline)
	defer cancel()
	if err := checkHold(h); err != nil {
		return nil, err
	}
	a, err := d.askRecord(ctx, c, question{action: "hold", purpose: holdPurpose, id: h.Complaint})
	if err != nil {
		return nil, err
	}
	row := store.Hold{Institution: d.cfg.Institution, ID: newUUID(), Complaint: a.row.ID, Reason: h.Reason, Reference: strings.TrimSpace(h.Reference),
		PlacedBy: c.Person, PlacedAt: a.at}
	next := *a.row
	next.Holds = append(slices.Clone(next.Holds), row.ID)
	ref, err := d.alterClear(ctx, a, &next, deed{kind: "hold.placed", facts: audit.Facts{"hold": row.ID, "hold_reason": row.Reason},
		also: func(ctx context.Context, tx pgx.Tx) error { return d.cfg.Store.InsertHold(ctx, tx, row) }})
	if err != nil {
		return nil, err
	}
	view := holdView(&row)
	view.Revision, view.Audit = next.Revision, ref
	return &view, nil
}

func checkHold(h LegalHold) error {
	var problems []intake.Problem
	if !complaint.Registry().Has("hold_reason", h.Reason) {
		problems = append(problems, problemAt("/reason", "unknown_value", members("hold_reason")...))
	}
	reference := strings.TrimSpace(h.Reference)
	switch {
	case reference == "":
		problems = append(problems, problemAt("/reference", "required"))
	case len([]rune(reference)) > 64:
		problems = append(problems, problemAt("/reference", "too_long"))
	case strings.ContainsFunc(reference, unicode.IsControl):
		problems = append(problems, problemAt("/reference", "control_character"))
	case longDigits(reference):
		// Eleven digits in a row are a telephone, card or identity number.
		problems = append(problems, problemAt("/reference", "malformed"))
	}
	if len(problems) > 0 {
		return &InvalidError{problems}
	}
	return nil
}

func longDigits(s string) bool {
	run := 0
	for _, r := range s {
		if !unicode.IsDigit(r) {
			run = 0
			continue
		}
		if run++; run > 10 {
			return true
		}
	}
	return false
}

// Holds lists the holds of a record, open and released.
func (d *Door) Holds(ctx context.Context, c Caller, id, purpose string) (*LegalHolds, error) {
	ctx, cancel := context.WithTimeout(ctx, deadline)
	defer cancel()
	a, err := d.askRecord(ctx, c, question{action: "trail", purpose: purpose, id: id})
	if err != nil {
		return nil, err
	}
	rows, err := d.cfg.Store.Holds(ctx, d.cfg.Institution, a.row.ID, maxHolds)
	if err != nil {
		return nil, storeError(err)
	}
	receipt, err := d.record(ctx, a.intent("access.trail", nil, audit.Facts{"entries": len(rows)}))
	if err != nil {
		return nil, err
	}
	list := &LegalHolds{Items: make([]LegalHold, len(rows)), Audit: receiptRef(receipt)}
	for i, h := range rows {
		list.Items[i] = holdView(h)
	}
	d.outcome(ctx, a, []pglog.Receipt{receipt}, nil, "answered")
	return list, nil
}

// AskHoldRelease asks for the release of a hold, which another person decides.
func (d *Door) AskHoldRelease(ctx context.Context, c Caller, id string) (*LegalHold, error) {
	ctx, cancel := context.WithTimeout(ctx, deadline)
	defer cancel()
	h, err := d.hold(ctx, id)
	if err != nil {
		return nil, err
	}
	a, err := d.askRecord(ctx, c, question{action: "hold", purpose: holdPurpose, id: h.Complaint})
	if err != nil {
		return nil, err
	}
	if h.ReleasedAt != nil {
		return nil, d.told(ctx, a, &ConflictError{Code: "already_decided", State: holdState(h)})
	}
	event := a.event("hold.release_asked", a.row, audit.Facts{"hold": h.ID})
	h.ReleaseAskedBy, h.ReleaseAskedAt = &c.Person, &a.at
	ref, err := d.changeRegister(ctx, event, func(tx pgx.Tx) error {
		return d.cfg.Store.AskRelease(ctx, tx, d.cfg.Institution, h.ID, c.Person, a.at)
	})
	if errors.Is(err, ErrNotFound) {
		return nil, d.told(ctx, a, &ConflictError{Code: "already_decided", State: "released"})
	}
	if err != nil {
		return nil, err
	}
	view := holdView(h)
	view.Audit = ref
	return &view, nil
}

// ReleaseHold ends a hold that another person asked to have released.
func (d *Door) ReleaseHold(ctx context.Context, c Caller, id string) (*LegalHold, error) {
	ctx, cancel := context.WithTimeout(ctx, deadline)
	defer cancel()
	h, err := d.hold(ctx, id)
	if err != nil {
		return nil, err
	}
	requester := nobody
	if h.ReleaseAskedBy != nil {
		requester = *h.ReleaseAskedBy
	}
	if requester == c.Person {
		// Decided all the same, so that the refusal is one of the policy's.
		if _, err := d.askRecord(ctx, c, question{action: "hold_release", purpose: holdPurpose, id: h.Complaint, requester: requester}); err != nil {
			return nil, err
		}
		return nil, &ConflictError{Code: "self_approval", State: holdState(h)}
	}
	a, err := d.askRecord(ctx, c, question{action: "hold_release", purpose: holdPurpose, id: h.Complaint, requester: requester})
	if err != nil {
		return nil, err
	}
	if err := d.releasable(ctx, a, h); err != nil {
		return nil, d.told(ctx, a, err)
	}
	next := *a.row
	next.Holds = slices.DeleteFunc(slices.Clone(next.Holds), func(open string) bool { return open == h.ID })
	ref, err := d.alterClear(ctx, a, &next, deed{kind: "hold.released", facts: audit.Facts{"hold": h.ID},
		also: func(ctx context.Context, tx pgx.Tx) error {
			return d.cfg.Store.ReleaseHold(ctx, tx, d.cfg.Institution, h.ID, c.Person, a.at)
		}})
	if err != nil {
		return nil, err
	}
	h.ReleasedBy, h.ReleasedAt = &c.Person, &a.at
	view := holdView(h)
	view.Revision, view.Audit = next.Revision, ref
	return &view, nil
}

// releasable checks that somebody else asked for the release, by the log: the
// row carries no proof of its own.
func (d *Door) releasable(ctx context.Context, a *asked, h *store.Hold) error {
	switch {
	case h.ReleasedAt != nil:
		return &ConflictError{Code: "already_decided", State: holdState(h)}
	case h.ReleaseAskedBy == nil:
		return &ConflictError{Code: "state_conflict", State: holdState(h), Allowed: []string{"ask_release"}}
	}
	entries, err := d.cfg.Log.Trail(ctx, subjectOf(a.row.ID), registerTrail)
	if err != nil {
		return logError(err)
	}
	for _, e := range entries {
		b, err := audit.ParseBody(e.Body)
		if err != nil {
			return ErrIntegrity
		}
		if hold, _ := b.Facts.Text("hold"); b.Stage != audit.StageEvent || b.Kind != "hold.release_asked" || hold != h.ID {
			continue
		}
		actor, err := d.nameOf(ctx, b.Actor.ID)
		if err != nil {
			return err
		}
		if actor == *h.ReleaseAskedBy && actor != a.caller.Person {
			return nil
		}
	}
	if err := d.unlogged(ctx, a, "hold.unlogged", "sealtrail.legal_hold"); err != nil {
		return err
	}
	return ErrIntegrity
}

// hold reads a hold. One that is not there is looked up as one of a complaint
// that is not there.
func (d *Door) hold(ctx context.Context, id string) (*store.Hold, error) {
	if !isUUID(id) {
		id = nowhere
	}
	h, err := d.cfg.Store.Hold(ctx, d.cfg.Institution, id)
	if errors.Is(err, store.ErrNotFound) {
		return &store.Hold{ID: id, Complaint: nowhere}, nil
	}
	return h, storeError(err)
}

func holdState(h *store.Hold) string {
	switch {
	case h.ReleasedAt != nil:
		return "released"
	case h.ReleaseAskedAt != nil:
		return "release_asked"
	}
	return "open"
}

func holdView(h *store.Hold) LegalHold {
	v := LegalHold{ID: h.ID, Complaint: h.Complaint, Reason: h.Reason, Reference: h.Reference, PlacedBy: h.PlacedBy, PlacedAt: h.PlacedAt.UTC(), State: holdState(h)}
	if h.ReleaseAskedBy != nil {
		v.ReleaseAskedBy, v.ReleaseAskedAt = *h.ReleaseAskedBy, h.ReleaseAskedAt.UTC()
	}
	if h.ReleasedBy != nil {
		v.ReleasedBy, v.ReleasedAt = *h.ReleasedBy, h.ReleasedAt.UTC()
	}
	return v
}

// deed is a change of clear attributes with what else its transaction writes.
type deed struct {
	kind  string
	facts audit.Facts
	also  func(context.Context, pgx.Tx) error
}

// alterClear changes clear attributes of a record: intent, the stored manifest
// verified, a new one signed, and in one transaction the row, its event and
// what else belongs to it.
func (d *Door) alterClear(ctx context.Context, a *asked, next *store.Complaint, do deed) (AuditRef, error) {
	receipt, err := d.record(ctx, a.intent(do.kind, nil, do.facts))
	if err != nil {
		return AuditRef{}, err
	}
	o, err := d.open(ctx, a, receipt, nil)
	if err != nil {
		return AuditRef{}, err
	}
	defer o.close()
	if err := d.reseal(o, a.row, next, nil, nil); err != nil {
		return AuditRef{}, d.broken(ctx, a, receipt, err)
	}
	event := a.event(do.kind, next, do.facts)
	ref, err := d.changeRegister(ctx, event, func(tx pgx.Tx) error {
		if err := d.cfg.Store.Update(ctx, tx, next, a.row.Revision, nil, nil); err != nil {
			return err
		}
		return do.also(ctx, tx)
	})
	if err != nil {
		result := "unknown"
		if errors.Is(err, ErrStale) || errors.Is(err, ErrNotFound) {
			result = "cancelled"
		}
		d.outcome(ctx, a, []pglog.Receipt{receipt}, o, result)
		return AuditRef{}, err
	}
	d.outcome(ctx, a, []pglog.Receipt{receipt}, o, "answered")
	return ref, nil
}
