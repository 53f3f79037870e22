package custody

import (
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/sealtrail/sealtrail/audit"
	"github.com/sealtrail/sealtrail/audit/pglog"
	"github.com/sealtrail/sealtrail/internal/supervision"
)

// trailLimit is the most entries that one answer holds, the newest ones.
const trailLimit = 1000

// recusedReason is the policy's reason that names whom a complaint is about.
const recusedReason = "recused"

// overseers are the roles that may learn it from a trail. A colleague may not:
// the respondent's name is masked for her.
func overseers() []string { return []string{"auditor", "dpo", "compliance"} }

// Trail shows who saw or did what on a complaint, why, and by which article.
func (d *Door) Trail(ctx context.Context, c Caller, id, purpose string) (*Trail, error) {
	ctx, cancel := context.WithTimeout(ctx, deadline)
	defer cancel()
	a, err := d.askRecord(ctx, c, question{action: "trail", purpose: purpose, id: id})
	if err != nil {
		return nil, err
	}
	veil, err := d.curtain(ctx, c.Person, a.subject.Roles)
	if err != nil {
		return nil, err
	}
	entries, err := veil.trail(ctx, subjectOf(id), trailLimit)
	if err != nil {
		return nil, err
	}
	trail := &Trail{ID: id, Erased: a.erased, Items: make([]TrailItem, 0, len(entries)), Decision: decisionView(a.decision)}
	erased := false // by an entry behind this one: the newest come first
	for _, e := range entries {
		item, reason, err := d.trailItem(ctx, e)
		if err != nil {
			return nil, err
		}
		if reason == recusedReason && !a.oversees() {
			continue
		}
		if item.Openings, err = d.redactions(ctx, e, erased); err != nil {
			return nil, err
		}
		erased = erased || item.Kind == "erasure.shredded"
		trail.Items = append(trail.Items, item)
	}
	// The number is of those that are shown: the next reader sees it.
	receipt, err := d.record(ctx, a.intent("access.trail", nil, audit.Facts{"entries": len(trail.Items)}))
	if err != nil {
		return nil, err
	}
	trail.Audit = receiptRef(receipt)
	d.outcome(ctx, a, []pglog.Receipt{receipt}, nil, "answered")
	return trail, nil
}

// oversees says whether the caller may learn names and reasons that a colleague
// may not.
func (a *asked) oversees() bool {
	return slices.ContainsFunc(a.subject.Roles, func(role string) bool { return slices.Contains(overseers(), role) })
}

// trailItem shows one entry; reason is the true one of its decision.
func (d *Door) trailItem(ctx context.Context, e pglog.TrailEntry) (item TrailItem, reason string, err error) {
	b, err := audit.ParseBody(e.Body)
	if err != nil {
		return item, "", fmt.Errorf("%w: entry %d of the log", ErrIntegrity, e.ID)
	}
	item = TrailItem{Entry: e.ID, At: b.At, Stage: string(b.Stage), Kind: b.Kind, Roles: b.Actor.Roles, Purpose: b.Purpose,
		Fields: b.Fields, Facts: map[string]string{}}
	if item.Actor, err = d.nameOf(ctx, b.Actor.ID); err != nil {
		return item, reason, err
	}
	if e.State == pglog.StateSequenced {
		index := e.Index
		item.Index, item.LeafHash = &index, hex.EncodeToString(e.LeafHash[:])
	}
	if b.Decision != nil {
		item.Result, item.Rule, item.Article, reason = b.Decision.Result, b.Decision.Rule, b.Decision.Article, b.Decision.Reason
	}
	for name, value := range b.Facts {
		item.Facts[name] = fmt.Sprint(value)
	}
	for _, fact := range []string{"assignee", "previous", "person"} {
		if alias, ok := b.Facts.Text(fact); ok {
			if item.Facts[fact], err = d.nameOf(ctx, alias); err != nil {
				return item, reason, err
			}
		}
	}
	return item, reason, nil
}

// nameOf resolves an alias; one whose map was erased stays an alias.
func (d *Door) nameOf(ctx context.Context, alias string) (string, error) {
	name, err := d.cfg.Log.ActorOf(ctx, alias)
	if errors.Is(err, pglog.ErrNotFound) {
		return alias, nil
	}
	if err != nil {
		return "", logError(err)
	}
	return name, nil
}

// Entry says whether an entry of the log is sequenced, and where.
func (d *Door) Entry(ctx context.Context, c Caller, id uint64) (*EntryView, error) {
	ctx, cancel := context.WithTimeout(ctx, deadline)
	defer cancel()
	if c.Institution != d.cfg.Institution {
		return nil, ErrNotFound
	}
	state, err := d.cfg.Log.Entry(ctx, id)
	if errors.Is(err, pglog.ErrNotFound) {
		return nil, ErrNotFound
	}
	if err != nil {
		return nil, logError(err)
	}
	view := &EntryView{Entry: id, State: string(state.State)}
	if state.State == pglog.StateSequenced {
		index := state.Index
		view.Index, view.LeafHash, view.Log = &index, hex.EncodeToString(state.LeafHash[:]), strconv.Itoa(state.Year)
	}
	return view, nil
}

// Figures computes supervision reports from the published log, and from nothing
// else.
type Figures interface {
	Report(ctx context.Context, period string) (*supervision.Report, error)
}

// Report computes the supervision figures of a period. They need no access to
// any record. Folding a long log takes its time; asking and recording do not.
func (d *Door) Report(ctx context.Context, c Caller, purpose, period string) (*supervision.Report, AuditRef, error) {
	short, cancel := context.WithTimeout(ctx, deadline)
	defer cancel()
	a, err := d.ask(short, c, question{action: "report", purpose: purpose})
	if err != nil {
		return nil, AuditRef{}, err
	}
	if d.cfg.Figures == nil {
		return nil, AuditRef{}, errors.New("computing a report: no published log is configured")
	}
	code := strings.ReplaceAll(period, "..", "_")
	receipt, err := d.record(short, a.intent("access.report", nil, audit.Facts{"report": "supervision_" + code}))
	if err != nil {
		return nil, AuditRef{}, err
	}
	report, err := d.cfg.Figures.Report(ctx, period)
	if err != nil {
		return nil, AuditRef{}, err
	}
	d.outcome(ctx, a, []pglog.Receipt{receipt}, nil, "answered")
	return report, receiptRef(receipt), nil
}
