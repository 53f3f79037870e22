package custody

import (
	"context"
	"errors"
	"slices"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/sealtrail/sealtrail/audit"
	"github.com/sealtrail/sealtrail/audit/pglog"
	"github.com/sealtrail/sealtrail/crypto/field"
	"github.com/sealtrail/sealtrail/internal/complaint"
	"github.com/sealtrail/sealtrail/internal/intake"
	"github.com/sealtrail/sealtrail/internal/store"
)

// maxGrant is the longest access life that may be asked for: one working day.
const maxGrant = 8 * 60 // minutes

// RequestGrant asks for access to groups of one complaint. The reason is kept
// sealed under the complaint's own key.
func (d *Door) RequestGrant(ctx context.Context, c Caller, g Grant) (*Grant, error) {
	ctx, cancel := context.WithTimeout(ctx, deadline)
	defer cancel()
	if err := checkGrant(g); err != nil {
		return nil, err
	}
	a, err := d.askRecord(ctx, c, question{action: "grant_request", purpose: g.Purpose, id: g.Complaint})
	if err != nil {
		return nil, err
	}
	g.ID, g.Requester, g.State = newUUID(), c.Person, "requested"
	facts := audit.Facts{"grant": grantCode(g.ID), "groups": g.Groups}
	sealed, err := d.sealNote(ctx, a, "grant.requested", "grant_reason", g.Reason, facts)
	if err != nil {
		return nil, err
	}
	row := store.Grant{Institution: d.cfg.Institution, ID: g.ID, Complaint: g.Complaint, Requester: c.Person, Purpose: g.Purpose,
		Groups: g.Groups, Minutes: g.Minutes, ReasonSealed: sealed, RequestedAt: a.at}
	event := a.event("grant.requested", a.row, facts)
	g.Audit, err = d.changeRegister(ctx, event, func(tx pgx.Tx) error {
		if err := d.holdKey(ctx, tx, a.row); err != nil {
			return err
		}
		return d.cfg.Store.InsertGrant(ctx, tx, row)
	})
	g.Reason = ""
	return &g, err
}

// grantCode is how a grant is named in the log: an id, spelt as a code.
func grantCode(id string) string { return "g-" + shortID(id) }

// shortID is the first half of a UUID in letters only: a run of digits in a code
// could be taken for a personal number, and is refused as one.
func shortID(id string) string {
	return strings.Map(func(r rune) rune {
		if r >= '0' && r <= '9' {
			return r - '0' + 'g'
		}
		return r
	}, strings.ReplaceAll(id, "-", "")[:16])
}

func checkGrant(g Grant) error {
	var problems []intake.Problem
	if g.Minutes < 1 || g.Minutes > maxGrant {
		problems = append(problems, problemAt("/minutes", "out_of_range"))
	}
	if len(g.Groups) == 0 {
		problems = append(problems, problemAt("/groups", "required"))
	}
	if slices.ContainsFunc(g.Groups, func(group string) bool { return !complaint.Registry().Has("group", group) }) {
		problems = append(problems, problemAt("/groups", "unknown_value", members("group")...))
	}
	if len([]rune(strings.TrimSpace(g.Reason))) < minReason {
		problems = append(problems, problemAt("/reason", "required"))
	}
	if len(problems) > 0 {
		return &InvalidError{problems}
	}
	return nil
}

// sealNote records the intent of a request about a record, verifies the record
// and seals a text under its key.
func (d *Door) sealNote(ctx context.Context, a *asked, kind, path, text string, facts audit.Facts) ([]byte, error) {
	receipt, err := d.record(ctx, a.intent(kind, nil, facts))
	if err != nil {
		return nil, err
	}
	o, err := d.open(ctx, a, receipt, nil)
	if err != nil {
		return nil, err
	}
	defer o.close()
	sealed, err := field.Seal(o.lease.Key(), notePlace(o.row, path, receipt.EntryID()), []byte(text), field.Text)
	if err != nil {
		return nil, keyError(err)
	}
	d.outcome(ctx, a, []pglog.Receipt{receipt}, o, "answered")
	return sealed, nil
}

// ReviewGrant issues or refuses a requested grant. The access life starts now;
// nobody reviews a request of her own.
func (d *Door) ReviewGrant(ctx context.Context, c Caller, id string, approve bool) (*Grant, error) {
	return d.settleGrant(ctx, c, id, func(a *asked, g *store.Grant) (string, error) {
		switch {
		case g.Requester == c.Person:
			return "", &ConflictError{Code: "self_approval", State: g.State}
		case g.State != "requested":
			return "", &ConflictError{Code: "already_decided", State: g.State}
		}
		g.Reviewer = &c.Person
		if !approve {
			g.State = "refused"
			return "grant.refused", nil
		}
		until := a.at.Add(time.Duration(g.Minutes) * time.Minute)
		g.State, g.From, g.Until = "issued", &a.at, &until
		return "grant.issued", nil
	})
}

// RevokeGrant ends a grant and, once that is committed, withdraws the record's
// key: whoever borrows it next was decided on without the grant.
func (d *Door) RevokeGrant(ctx context.Context, c Caller, id string) (*Grant, error) {
	var row *store.Complaint
	view, err := d.settleGrant(ctx, c, id, func(a *asked, g *store.Grant) (string, error) {
		row = a.row
		if g.State != "issued" && g.State != "requested" {
			return "", &ConflictError{Code: "already_decided", State: g.State}
		}
		g.State = "revoked"
		if g.Until != nil {
			g.Until = &a.at
		}
		return "grant.revoked", nil
	})
	if err == nil {
		d.voidKeys(row)
	}
	return view, err
}

func (d *Door) settleGrant(ctx context.Context, c Caller, id string, settle func(*asked, *store.Grant) (string, error)) (*Grant, error) {
	ctx, cancel := context.WithTimeout(ctx, deadline)
	defer cancel()
	if !isUUID(id) {
		id = nowhere
	}
	g, err := d.cfg.Store.Grant(ctx, d.cfg.Institution, id)
	if errors.Is(err, store.ErrNotFound) {
		// Decide as on a grant of a complaint that is not there.
		g, err = &store.Grant{Complaint: nowhere}, nil
	}
	if err != nil {
		return nil, storeError(err)
	}
	a, err := d.askRecord(ctx, c, question{action: "grant_review", purpose: "approve", id: g.Complaint, requester: g.Requester})
	if err != nil {
		return nil, err
	}
	var pending []pglog.Pending
	var settled *store.Grant
	err = d.cfg.Store.Tx(ctx, func(tx pgx.Tx) error {
		settled, err = d.cfg.Store.LockGrant(ctx, tx, d.cfg.Institution, id)
		if err != nil {
			return err
		}
		kind, err := settle(a, settled)
		if err != nil {
			return err
		}
		if err := d.cfg.Store.SetGrant(ctx, tx, settled); err != nil {
			return err
		}
		pending, err = d.cfg.Log.AppendTx(ctx, tx, a.event(kind, a.row, grantFacts(kind, settled)))
		return err
	})
	if err != nil {
		return nil, txError(err)
	}
	view := grantView(settled)
	view.Audit = auditRef(pending[0])
	return view, nil
}

func grantFacts(kind string, g *store.Grant) audit.Facts {
	facts := audit.Facts{"grant": grantCode(g.ID)}
	if kind == "grant.issued" {
		facts["groups"], facts["from"], facts["until"] = g.Groups, stamp(*g.From), stamp(*g.Until)
	}
	return facts
}

func grantView(g *store.Grant) *Grant {
	v := &Grant{ID: g.ID, Complaint: g.Complaint, Requester: g.Requester, Purpose: g.Purpose, Groups: g.Groups, State: g.State, Minutes: g.Minutes}
	if g.From != nil {
		v.From, v.Until = g.From.UTC(), g.Until.UTC()
	}
	if g.Reviewer != nil {
		v.Reviewer = *g.Reviewer
	}
	return v
}
