package custody

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/jackc/pgx/v5"

	"github.com/sealtrail/sealtrail/audit"
	"github.com/sealtrail/sealtrail/internal/complaint"
	"github.com/sealtrail/sealtrail/internal/intake"
	"github.com/sealtrail/sealtrail/internal/store"
)

// erasePurpose is the purpose of deciding on a request.
const erasePurpose = "approve"

// Scopes of an erasure.
const (
	scopeRecord  = "record"
	scopeGroups  = "groups"
	scopeSubject = "subject"
)

// maxSubjectRecords bounds the records of one complainant that one request takes.
const maxSubjectRecords = 1000

// RequestErasure asks for an erasure. Nothing is erased before the data
// protection officer approves it; an open complaint is not even asked about.
func (d *Door) RequestErasure(ctx context.Context, c Caller, r ErasureRequest) (*Erasure, error) {
	ctx, cancel := context.WithTimeout(ctx, deadline)
	defer cancel()
	if err := checkErasure(r); err != nil {
		return nil, err
	}
	a, err := d.askRecord(ctx, c, question{action: "erase_request", purpose: r.Purpose, id: r.Complaint})
	if err != nil {
		return nil, err
	}
	// Of several records of one person each is looked at when it is decided on.
	if a.row.Stage == complaint.StageOpen && r.Scope != scopeSubject {
		return nil, d.told(ctx, a, &ConflictError{Code: "case_open", State: a.row.State})
	}
	e := store.Erasure{Institution: d.cfg.Institution, ID: newUUID(), Scope: r.Scope, Complaint: a.row.ID, Groups: slices.Clone(r.Groups),
		Basis: r.Basis, RequestedBy: c.Person, RequestedAt: a.at, State: store.ErasureRequested}
	facts := audit.Facts{"erasure": e.ID, "scope": e.Scope, "basis": e.Basis}
	if len(e.Groups) > 0 {
		facts["groups"] = e.Groups
	}
	ref, err := d.changeRegister(ctx, a.event("erasure.requested", a.row, facts), func(tx pgx.Tx) error {
		return d.cfg.Store.InsertErasure(ctx, tx, e)
	})
	if errors.Is(err, store.ErrDuplicate) {
		return nil, d.told(ctx, a, &ConflictError{Code: "erasure_open", State: a.row.State})
	}
	if err != nil {
		return nil, err
	}
	view := erasureView(&e, nil)
	view.Audit = ref
	return &view, nil
}

func checkErasure(r ErasureRequest) error {
	var problems []intake.Problem
	if !complaint.Registry().Has("erasure_scope", r.Scope) {
		problems = append(problems, problemAt("/scope", "unknown_value", members("erasure_scope")...))
	}
	if !complaint.Registry().Has("erasure_basis", r.Basis) {
		problems = append(problems, problemAt("/basis", "unknown_value", members("erasure_basis")...))
	}
	switch {
	case r.Scope == scopeGroups && len(r.Groups) == 0:
		problems = append(problems, problemAt("/groups", "required"))
	case r.Scope != scopeGroups && len(r.Groups) > 0:
		problems = append(problems, problemAt("/groups", "read_only"))
	case slices.ContainsFunc(r.Groups, func(g string) bool { return !slices.Contains(sealedGroups(), g) }):
		problems = append(problems, problemAt("/groups", "unknown_value", sealedGroups()...))
	}
	if len(problems) > 0 {
		return &InvalidError{problems}
	}
	return nil
}

// sealedGroups are the groups that can be erased by themselves.
func sealedGroups() []string {
	var groups []string
	for _, f := range complaint.SealedFields() {
		if !slices.Contains(groups, f.Group) {
			groups = append(groups, f.Group)
		}
	}
	return groups
}

// ReviewErasure approves or refuses a request that somebody else made. What is
// approved is carried out at once, record by record: legal hold and unexpired
// retention win, always, and the answer says what was kept and why. Approving
// again goes on with records that are still pending.
func (d *Door) ReviewErasure(ctx context.Context, c Caller, id string, approve bool) (*Erasure, error) {
	e, ref, err := d.decideErasure(ctx, c, id, approve)
	if err != nil {
		return nil, err
	}
	if e.State == store.ErasureApproved {
		if err := d.execute(ctx, c, e); err != nil {
			return nil, err
		}
	}
	view, err := d.erasureNow(ctx, e.ID)
	if err != nil {
		return nil, err
	}
	view.Audit = ref
	return view, nil
}

// decideErasure is the approval or the refusal itself.
func (d *Door) decideErasure(ctx context.Context, c Caller, id string, approve bool) (*store.Erasure, AuditRef, error) {
	ctx, cancel := context.WithTimeout(ctx, deadline)
	defer cancel()
	e, err := d.erasure(ctx, id)
	if err != nil {
		return nil, AuditRef{}, err
	}
	a, kept, err := d.askErase(ctx, c, e, e.Complaint)
	if err != nil {
		return nil, AuditRef{}, err
	}
	if approve {
		if err := d.requestedInLog(ctx, a, e); err != nil {
			return nil, AuditRef{}, err
		}
	}
	if e.State == store.ErasureApproved && approve {
		receipt, err := d.record(ctx, a.body(audit.StageEvent, "access.read", audit.Facts{"masked": 0}))
		return e, receiptRef(receipt), err
	}
	if e.State != store.ErasureRequested {
		return nil, AuditRef{}, d.told(ctx, a, &ConflictError{Code: "already_decided", State: e.State})
	}
	var records []string
	if approve {
		if records, err = d.recordsOf(ctx, e); err != nil {
			return nil, AuditRef{}, err
		}
	}
	kind, facts := "erasure.refused", audit.Facts{"erasure": e.ID}
	if approve {
		kind, facts["records"] = "erasure.approved", len(records)
	}
	event := a.event(kind, a.row, facts)
	if kept != "" {
		event.Decision = nil // of this record it is a refusal, which erasure.kept records
	}
	ref, err := d.changeRegister(ctx, event, func(tx pgx.Tx) error { return d.settleErasure(ctx, tx, a, e, records, approve) })
	return e, ref, err
}

// requestedInLog checks that the log bears a request out as it stands in the
// table, and what was decided on it: the row carries no proof of its own, and
// whoever can write SQL could ask or approve in somebody's name, ask for more
// than was asked, or take a refusal back.
func (d *Door) requestedInLog(ctx context.Context, a *asked, e *store.Erasure) error {
	entries, err := d.cfg.Log.Trail(ctx, subjectOf(e.Complaint), registerTrail)
	if err != nil {
		return logError(err)
	}
	asked, decided := false, store.ErasureRequested
	for _, entry := range entries {
		b, err := audit.ParseBody(entry.Body)
		if err != nil {
			return ErrIntegrity
		}
		if id, _ := b.Facts.Text("erasure"); b.Stage != audit.StageEvent || id != e.ID {
			continue
		}
		switch b.Kind {
		case "erasure.requested":
			actor, err := d.nameOf(ctx, b.Actor.ID)
			if err != nil {
				return err
			}
			asked = asked || actor == e.RequestedBy && actor != a.caller.Person && asksFor(&b, e)
		case "erasure.approved":
			if decided == store.ErasureRequested {
				decided = store.ErasureApproved
			}
		case "erasure.refused":
			decided = store.ErasureRefused
		}
	}
	if asked && (decided == e.State || decided == store.ErasureApproved && e.State == store.ErasureExecuted) {
		return nil
	}
	// Somebody may have decided between the reading of the row and of the log.
	now, err := d.erasure(ctx, e.ID)
	if err != nil {
		return err
	}
	if now.State != e.State {
		return d.told(ctx, a, &ConflictError{Code: "already_decided", State: now.State})
	}
	if err := d.unlogged(ctx, a, "erasure.unlogged", "sealtrail.erasure"); err != nil {
		return err
	}
	return fmt.Errorf("%w: %s", ErrIntegrity, "erasure.unlogged")
}

// asksFor says that an entry asks for what the row says was asked for.
func asksFor(b *audit.Body, e *store.Erasure) bool {
	scope, _ := b.Facts.Text("scope")
	basis, _ := b.Facts.Text("basis")
	groups, _ := b.Facts.List("groups")
	return scope == e.Scope && basis == e.Basis && slices.Equal(groups, e.Groups)
}

func (d *Door) settleErasure(ctx context.Context, tx pgx.Tx, a *asked, e *store.Erasure, records []string, approve bool) error {
	locked, err := d.cfg.Store.LockErasure(ctx, tx, d.cfg.Institution, e.ID)
	if err != nil {
		return err
	}
	if locked.State != store.ErasureRequested {
		return &ConflictError{Code: "already_decided", State: locked.State}
	}
	e.State, e.DecidedBy, e.DecidedAt = store.ErasureRefused, &a.caller.Person, &a.at
	if approve {
		e.State = store.ErasureApproved
		if err := d.cfg.Store.InsertItems(ctx, tx, e, records); err != nil {
			return err
		}
	}
	return d.cfg.Store.SetErasure(ctx, tx, e)
}

// recordsOf lists the records that an erasure is about.
func (d *Door) recordsOf(ctx context.Context, e *store.Erasure) ([]string, error) {
	if e.Scope != scopeSubject {
		return []string{e.Complaint}, nil
	}
	ids, err := d.cfg.Store.OfSameSubject(ctx, d.cfg.Institution, e.Complaint, maxSubjectRecords+1)
	if err != nil {
		return nil, storeError(err)
	}
	if len(ids) > maxSubjectRecords {
		return nil, invalid("/scope", "out_of_range")
	}
	return ids, nil
}

// erasure reads a request. One that is not there is decided on as one about a
// complaint that is not there.
func (d *Door) erasure(ctx context.Context, id string) (*store.Erasure, error) {
	if !isUUID(id) {
		id = nowhere
	}
	e, err := d.cfg.Store.Erasure(ctx, d.cfg.Institution, id)
	if errors.Is(err, store.ErrNotFound) {
		return &store.Erasure{ID: id, Complaint: nowhere, RequestedBy: nobody}, nil
	}
	return e, storeError(err)
}

// Reasons of the policy for keeping a record in spite of an approval.
const (
	reasonHeld     = "legal_hold"
	reasonRetained = "retention_unexpired"
)

// askErase asks whether the caller may erase a record now. kept is not empty if
// only a hold or retention stands against it: then she may decide, and the
// record stays. Self-approval is refused whatever the policy says.
func (d *Door) askErase(ctx context.Context, c Caller, e *store.Erasure, id string) (a *asked, kept string, err error) {
	a, err = d.meet(ctx, c, question{action: "erase_approve", purpose: erasePurpose, id: id, requester: e.RequestedBy, groups: e.Groups})
	if err != nil {
		return nil, "", err
	}
	decideCtx, done := d.stage(ctx, stageDecide)
	a.decision, err = d.cfg.Policy.Decide(decideCtx, a.request(d.cfg.Institution, a.row))
	done(err)
	d.decided(ctx, a.action, a.decision)
	switch {
	case err != nil:
		return nil, "", d.undecidable(ctx, a, err)
	case e.RequestedBy == c.Person:
		return nil, "", d.told(ctx, a, &ConflictError{Code: "self_approval", State: e.State})
	case !a.decision.Allowed() && a.decision.MetaDenied():
		return nil, "", d.notFound(ctx, a)
	case !a.decision.Allowed() && !keepsIt(a.decision.TrueReason()):
		return nil, "", d.refuse(ctx, a)
	}
	if err := d.fresh(ctx, a); err != nil {
		return nil, "", err
	}
	// The door looks for itself: a policy may be replaced, this may not.
	open, err := d.openHold(ctx, a.row.ID)
	switch {
	case err != nil:
		return nil, "", err
	case open || held(a.row) || a.decision.TrueReason() == reasonHeld && !a.decision.Allowed():
		kept = reasonHeld
	case !a.decision.Allowed() || d.retained(a.row, e.Groups):
		kept = reasonRetained
	}
	return a, kept, nil
}

// openHold reports whether the table has an open hold of a record, also one that
// the record's own list lacks.
func (d *Door) openHold(ctx context.Context, id string) (bool, error) {
	holds, err := d.cfg.Store.Holds(ctx, d.cfg.Institution, id, maxHolds)
	if err != nil {
		return false, storeError(err)
	}
	return slices.ContainsFunc(holds, func(h *store.Hold) bool { return h.ReleasedAt == nil }), nil
}

func keepsIt(reason string) bool { return reason == reasonHeld || reason == reasonRetained }

// retained reports whether statutory retention still covers groups of a record,
// or any of it. What has not begun to run, or is not known, has not ended.
func (d *Door) retained(row *store.Complaint, groups []string) bool {
	until := retainedUntil(row, groups)
	return row.Stage == complaint.StageOpen || until.IsZero() || d.now().Before(until)
}

// Erasure shows a request and what became of its records.
func (d *Door) Erasure(ctx context.Context, c Caller, id, purpose string) (*Erasure, error) {
	ctx, cancel := context.WithTimeout(ctx, deadline)
	defer cancel()
	return d.showErasure(ctx, c, id, purpose)
}

// showErasure decides on showing a request: what became of a record belongs to
// its trail, also after it was erased. Each record of the request is decided on
// and recorded by itself; those that she may not see are not shown.
func (d *Door) showErasure(ctx context.Context, c Caller, id, purpose string) (*Erasure, error) {
	e, err := d.erasure(ctx, id)
	if err != nil {
		return nil, err
	}
	a, err := d.askRecord(ctx, c, question{action: "trail", purpose: purpose, id: e.Complaint})
	if err != nil {
		return nil, err
	}
	items, err := d.cfg.Store.Items(ctx, d.cfg.Institution, e.ID)
	if err != nil {
		return nil, storeError(err)
	}
	view, bodies := erasureView(e, nil), []audit.Body{a.intent("access.trail", nil, audit.Facts{})}
	rows, err := d.rowsOf(ctx, items)
	if err != nil {
		return nil, err
	}
	for _, i := range items {
		if i.Complaint != e.Complaint {
			one := *a
			one.row = rows[i.Complaint]
			if one.decision, err = d.cfg.Policy.Decide(ctx, one.request(d.cfg.Institution, one.row)); err != nil {
				return nil, policyError(err)
			}
			if one.row == nil || !one.decision.Allowed() {
				continue
			}
			bodies = append(bodies, one.intent("access.trail", nil, audit.Facts{}))
		}
		view.Items = append(view.Items, itemView(i))
	}
	receipts, err := d.recordAll(ctx, bodies)
	if err != nil {
		return nil, err
	}
	d.outcome(ctx, a, receipts, nil, "answered")
	view.Audit = receiptRef(receipts[0])
	return &view, nil
}

// rowsOf reads the clear columns of the records of items, by id.
func (d *Door) rowsOf(ctx context.Context, items []*store.ErasureItem) (map[string]*store.Complaint, error) {
	ids := make([]string, len(items))
	for i, item := range items {
		ids[i] = item.Complaint
	}
	rows, err := d.cfg.Store.ByID(ctx, d.cfg.Institution, ids)
	if err != nil {
		return nil, storeError(err)
	}
	byID := map[string]*store.Complaint{}
	for _, row := range rows {
		byID[row.ID] = row
	}
	return byID, nil
}

// erasureNow reads a request and its items as they are.
func (d *Door) erasureNow(ctx context.Context, id string) (*Erasure, error) {
	e, err := d.cfg.Store.Erasure(ctx, d.cfg.Institution, id)
	if err != nil {
		return nil, storeError(err)
	}
	items, err := d.cfg.Store.Items(ctx, d.cfg.Institution, id)
	if err != nil {
		return nil, storeError(err)
	}
	view := erasureView(e, items)
	return &view, nil
}

// Erasures lists requests in a state whose records the caller may see listed.
func (d *Door) Erasures(ctx context.Context, c Caller, state, purpose string) (*Erasures, error) {
	ctx, cancel := context.WithTimeout(ctx, deadline)
	defer cancel()
	if !slices.Contains([]string{store.ErasureRequested, store.ErasureApproved, store.ErasureExecuted, store.ErasureRefused}, state) {
		return nil, invalid("/state", "unknown_value", store.ErasureRequested, store.ErasureApproved, store.ErasureExecuted, store.ErasureRefused)
	}
	a, err := d.askMany(ctx, c, question{action: "list", purpose: purpose})
	if err != nil {
		return nil, err
	}
	rows, err := d.cfg.Store.Erasures(ctx, d.cfg.Institution, state, MaxPageSize)
	if err != nil {
		return nil, storeError(err)
	}
	list := &Erasures{Items: []Erasure{}}
	page, err := d.listed(ctx, a, rows)
	if err != nil {
		return nil, err
	}
	list.Audit = page.Audit
	seen := map[string]bool{}
	for _, v := range page.Items {
		seen[v.ID] = true
	}
	for _, e := range rows {
		if seen[e.Complaint] {
			list.Items = append(list.Items, erasureView(e, nil))
		}
	}
	return list, nil
}

// listed decides on the records of requests as rows of a list.
func (d *Door) listed(ctx context.Context, a *asked, rows []*store.Erasure) (*Page, error) {
	ids := make([]string, len(rows))
	for i, e := range rows {
		ids[i] = e.Complaint
	}
	complaints, err := d.cfg.Store.ByID(ctx, d.cfg.Institution, ids)
	if err != nil {
		return nil, storeError(err)
	}
	found := make([]store.Found, len(complaints))
	for i, row := range complaints {
		found[i] = store.Found{Complaint: row}
	}
	shown, bodies, err := d.decideEach(ctx, a, found, false)
	if err != nil {
		return nil, err
	}
	return d.page(ctx, a, shown, bodies, false)
}

// DueForErasure lists complaints whose retention has ended, that are under no
// hold and about which no request waits: what a retention run proposes.
func (d *Door) DueForErasure(ctx context.Context, c Caller, r ListRequest) (*Page, error) {
	ctx, cancel := context.WithTimeout(ctx, deadline)
	defer cancel()
	filter, err := listFilter(ListRequest{PageSize: r.PageSize, After: r.After})
	if err != nil {
		return nil, err
	}
	a, err := d.askMany(ctx, c, question{action: "list", purpose: r.Purpose})
	if err != nil {
		return nil, err
	}
	rows, err := d.cfg.Store.PastRetention(ctx, d.cfg.Institution, a.at, store.Cursor{At: filter.AfterDue, ID: filter.AfterID}, filter.Limit)
	if err != nil {
		return nil, storeError(err)
	}
	found := make([]store.Found, len(rows))
	for i, row := range rows {
		found[i] = store.Found{Complaint: row}
	}
	shown, bodies, err := d.decideEach(ctx, a, found, false)
	if err != nil {
		return nil, err
	}
	page, err := d.page(ctx, a, shown, bodies, false)
	if err == nil && len(rows) == filter.Limit {
		last := rows[len(rows)-1]
		page.Next = encodeCursor(cursor{*last.RetentionUntil, last.ID})
	}
	return page, err
}

func erasureView(e *store.Erasure, items []*store.ErasureItem) Erasure {
	v := Erasure{ID: e.ID, Scope: e.Scope, Complaint: e.Complaint, Groups: e.Groups, Basis: e.Basis, RequestedBy: e.RequestedBy,
		RequestedAt: e.RequestedAt.UTC(), State: e.State}
	if e.DecidedBy != nil {
		v.DecidedBy, v.DecidedAt = *e.DecidedBy, e.DecidedAt.UTC()
	}
	for _, i := range items {
		v.Items = append(v.Items, itemView(i))
	}
	return v
}

func itemView(i *store.ErasureItem) ErasureItem {
	v := ErasureItem{Complaint: i.Complaint, Result: i.Result}
	if i.Hold != nil {
		v.Hold = *i.Hold
	}
	if i.Until != nil {
		v.Until = i.Until.UTC()
	}
	if i.Result == "held" || i.Result == "retained" {
		v.Suggest = "restrict"
	}
	if i.KeyVersion != nil {
		v.KeyVersion = *i.KeyVersion
	}
	if i.SettledAt != nil {
		v.At, v.Entry = i.SettledAt.UTC(), uint64(*i.SettledEntry)
	}
	if i.IrrecoverableAt != nil {
		v.FinalAt, v.FinalEntry = i.IrrecoverableAt.UTC(), uint64(*i.IrrecoverableEntry)
	}
	return v
}
