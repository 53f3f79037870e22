package custody

import (
	"context"
	"errors"
	"log/slog"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/sealtrail/sealtrail/audit"
	"github.com/sealtrail/sealtrail/audit/pglog"
	"github.com/sealtrail/sealtrail/internal/intake"
	"github.com/sealtrail/sealtrail/internal/store"
)

const (
	// breakGlassLife is the longest emergency access. R22: 60 minutes.
	breakGlassLife = 60 * time.Minute
	// reviewWithin is how soon somebody else must review it. Clock G-BREAK: 24 h.
	reviewWithin = 24 * time.Hour
)

// OpenBreakGlass opens an emergency access to one record. It alarms at once.
func (d *Door) OpenBreakGlass(ctx context.Context, c Caller, b BreakGlass) (*BreakGlass, error) {
	ctx, cancel := context.WithTimeout(ctx, deadline)
	defer cancel()
	if err := checkBreakGlass(b); err != nil {
		return nil, err
	}
	a, err := d.askRecord(ctx, c, question{action: "breakglass_open", purpose: "breakglass", id: b.Complaint})
	if err != nil {
		return nil, err
	}
	until := a.at.Add(breakGlassLife)
	if !b.Until.IsZero() && b.Until.After(a.at) && b.Until.Before(until) {
		until = b.Until.UTC().Truncate(time.Microsecond)
	}
	b.ID = newUUID()
	facts := audit.Facts{"case": caseCode(b.ID), "until": stamp(until), "minutes": int(until.Sub(a.at).Minutes()), "reason_given": true}
	sealed, err := d.sealNote(ctx, a, "breakglass.opened", "breakglass_reason", b.Reason, facts)
	if err != nil {
		return nil, err
	}
	row := store.BreakGlass{Institution: d.cfg.Institution, ID: b.ID, Complaint: b.Complaint, Person: c.Person, Ticket: b.Ticket,
		ReasonSealed: sealed, OpenedAt: a.at, Until: until}
	event := a.event("breakglass.opened", a.row, facts)
	ref, err := d.changeRegister(ctx, event, func(tx pgx.Tx) error {
		if err := d.holdKey(ctx, tx, a.row); err != nil {
			return err
		}
		return d.cfg.Store.InsertBreakGlass(ctx, tx, row)
	})
	if err != nil {
		return nil, err
	}
	d.cfg.Logger.WarnContext(ctx, "break-glass opened", slog.String("kind", "breakglass.opened"), slog.Uint64("entry", ref.Entry))
	view := breakGlassView(&row)
	view.Audit = ref
	return view, nil
}

func caseCode(id string) string { return "b-" + shortID(id) }

func checkBreakGlass(b BreakGlass) error {
	var problems []intake.Problem
	if len([]rune(strings.TrimSpace(b.Reason))) < minReason {
		problems = append(problems, problemAt("/reason", "required"))
	}
	if !validID(b.Ticket) || personal(b.Ticket) {
		problems = append(problems, problemAt("/ticket", "required"))
	}
	if len(problems) > 0 {
		return &InvalidError{problems}
	}
	return nil
}

// usedBreakGlass records that a reveal went through an emergency access.
func (d *Door) usedBreakGlass(ctx context.Context, a *asked) error {
	if a.purpose != "breakglass" || a.facts == nil {
		return nil
	}
	for _, b := range a.facts.BreakGlass {
		if b.Complaint != a.row.ID {
			continue
		}
		_, err := d.record(ctx, a.body(audit.StageEvent, "breakglass.used", audit.Facts{"case": caseCode(b.ID), "action": a.action}))
		return err
	}
	return nil
}

// CloseBreakGlass ends an emergency access before its time.
func (d *Door) CloseBreakGlass(ctx context.Context, c Caller, id string) (*BreakGlass, error) {
	return d.settleBreakGlass(ctx, c, id, "breakglass_open", func(a *asked, b *store.BreakGlass) (string, audit.Facts, error) {
		switch {
		case b.Person != c.Person:
			return "", nil, store.ErrNotFound
		case b.ClosedAt != nil:
			return "", nil, &ConflictError{Code: "already_decided", State: "closed"}
		}
		b.ClosedAt = &a.at
		return "breakglass.closed", audit.Facts{"minutes": int(a.at.Sub(b.OpenedAt).Minutes())}, nil
	})
}

// ReviewBreakGlass judges a closed emergency access. Nobody reviews her own.
func (d *Door) ReviewBreakGlass(ctx context.Context, c Caller, id string, justified bool) (*BreakGlass, error) {
	return d.settleBreakGlass(ctx, c, id, "breakglass_review", func(a *asked, b *store.BreakGlass) (string, audit.Facts, error) {
		closed := b.ClosedAt
		if closed == nil && !b.Until.After(a.at) {
			closed = &b.Until
		}
		switch {
		case b.Person == c.Person:
			return "", nil, &ConflictError{Code: "self_approval"}
		case closed == nil:
			return "", nil, &ConflictError{Code: "state_conflict", State: "open", Allowed: []string{"close"}}
		case b.ReviewedAt != nil:
			return "", nil, &ConflictError{Code: "already_decided", State: "reviewed"}
		}
		b.ClosedAt, b.ReviewedAt, b.Reviewer, b.Justified = closed, &a.at, &c.Person, &justified
		verdict := "unjustified"
		if justified {
			verdict = "justified"
		}
		return "breakglass.reviewed", audit.Facts{"verdict": verdict, "within_24h": a.at.Sub(*closed) <= reviewWithin}, nil
	})
}

type settleBreakGlass func(*asked, *store.BreakGlass) (kind string, facts audit.Facts, err error)

func (d *Door) settleBreakGlass(ctx context.Context, c Caller, id, action string, settle settleBreakGlass) (*BreakGlass, error) {
	ctx, cancel := context.WithTimeout(ctx, deadline)
	defer cancel()
	if !isUUID(id) {
		id = nowhere
	}
	b, err := d.cfg.Store.BreakGlass(ctx, d.cfg.Institution, id)
	if errors.Is(err, store.ErrNotFound) {
		b, err = &store.BreakGlass{Complaint: nowhere}, nil
	}
	if err != nil {
		return nil, storeError(err)
	}
	purpose := "breakglass"
	if action == "breakglass_review" {
		purpose = "approve"
	}
	a, err := d.askRecord(ctx, c, question{action: action, purpose: purpose, id: b.Complaint, requester: b.Person})
	if err != nil {
		return nil, err
	}
	var pending []pglog.Pending
	err = d.cfg.Store.Tx(ctx, func(tx pgx.Tx) error {
		b, err = d.cfg.Store.LockBreakGlass(ctx, tx, d.cfg.Institution, id)
		if err != nil {
			return err
		}
		kind, facts, err := settle(a, b)
		if err != nil {
			return err
		}
		facts["case"] = caseCode(b.ID)
		if err := d.cfg.Store.SetBreakGlass(ctx, tx, b); err != nil {
			return err
		}
		pending, err = d.cfg.Log.AppendTx(ctx, tx, a.event(kind, a.row, facts))
		return err
	})
	if err != nil {
		return nil, txError(err)
	}
	d.voidKeys(a.row)
	view := breakGlassView(b)
	view.Audit = auditRef(pending[0])
	return view, nil
}

func breakGlassView(b *store.BreakGlass) *BreakGlass {
	v := &BreakGlass{ID: b.ID, Complaint: b.Complaint, Person: b.Person, Ticket: b.Ticket, OpenedAt: b.OpenedAt.UTC(), Until: b.Until.UTC(),
		State: "open", Justified: b.Justified, ReviewDue: b.Until.Add(reviewWithin).UTC()}
	if b.ClosedAt != nil {
		v.State, v.ClosedAt, v.ReviewDue = "closed", b.ClosedAt.UTC(), b.ClosedAt.Add(reviewWithin).UTC()
	}
	if b.ReviewedAt != nil {
		v.State, v.Reviewer = "reviewed", *b.Reviewer
	}
	return v
}

// ExpireBreakGlass closes every emergency access whose time is over, with its
// entry. The service calls it every few seconds.
func (d *Door) ExpireBreakGlass(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, deadline)
	defer cancel()
	at := d.now()
	alias, err := d.cfg.Log.Alias(ctx, "service")
	if err != nil {
		return logError(err)
	}
	err = d.cfg.Store.Tx(ctx, func(tx pgx.Tx) error {
		expired, err := d.cfg.Store.ExpireBreakGlass(ctx, tx, d.cfg.Institution, at)
		if err != nil || len(expired) == 0 {
			return err
		}
		events := make([]audit.Body, len(expired))
		for i, b := range expired {
			events[i] = audit.Body{At: at, Stage: audit.StageEvent, Kind: "breakglass.closed", Actor: audit.Actor{ID: alias},
				Subject: subjectOf(b.Complaint), Facts: audit.Facts{"case": caseCode(b.ID), "minutes": int(b.Until.Sub(b.OpenedAt).Minutes())}}
		}
		_, err = d.cfg.Log.AppendTx(ctx, tx, events...)
		return err
	})
	return txError(err)
}
