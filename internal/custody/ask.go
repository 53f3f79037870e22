package custody

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/sealtrail/sealtrail/audit"
	"github.com/sealtrail/sealtrail/audit/pglog"
	"github.com/sealtrail/sealtrail/crypto/keyring"
	"github.com/sealtrail/sealtrail/internal/complaint"
	"github.com/sealtrail/sealtrail/internal/store"
	"github.com/sealtrail/sealtrail/policy"
)

// question is what a caller wants, before anything is looked up.
type question struct {
	action, purpose string
	id              string   // complaint id; empty for actions without a record
	transition      string   // name, for action transition
	requester       string   // whose request is decided on, for reviews
	involved        []string // who else acted on it before, for reviews
	seconded        bool     // of a disclosure, that the first of two assents is given
	fields          []string // fields that must all be allowed, by catalogue name
	groups          []string // field groups to erase; none: all of the record
	metaOnly        bool     // a read of clear attributes alone
}

// asked is an allowed question with the very facts that it was decided on.
type asked struct {
	question
	caller   Caller
	alias    string
	at       time.Time
	subject  policy.Subject
	facts    *store.Subject
	row      *store.Complaint // nil for actions without a record
	key      *store.Wrapped
	decision policy.Decision
	// lent is the record's key if its page has borrowed it; see borrowAll.
	lent *keyring.LendResult
	// erased: of a trail, that its record is (see gone).
	erased *Erased
	// stale: of a page's row, that it is older than the log (see fresh).
	stale bool
	// What a search looks for, normalised; empty for anything else.
	field string
	term  []byte
}

// nowhere is looked up for ids that are not UUIDs, so that a malformed id costs
// what an unknown one does.
const nowhere = "00000000-0000-0000-0000-000000000000"

// askRecord decides on one record. Refusals are durable before they are
// returned; an unknown id and a record whose metadata is denied are one answer.
func (d *Door) askRecord(ctx context.Context, c Caller, q question) (*asked, error) {
	a, err := d.meet(ctx, c, q)
	if err != nil || a.erased != nil {
		return a, err
	}
	return a, d.decide(ctx, a)
}

// meet gathers what a decision on one record needs. Of an erased record it has
// the last word: an error, or the question about its trail already decided.
func (d *Door) meet(ctx context.Context, c Caller, q question) (*asked, error) {
	a, err := d.begin(ctx, c, q)
	if err != nil {
		return nil, err
	}
	id := q.id
	if !isUUID(id) {
		id = nowhere
	}
	loadCtx, done := d.stage(ctx, stageLoad)
	loaded, err := d.cfg.Store.Load(loadCtx, d.cfg.Institution, id, c.Person, a.at)
	done(err)
	if err != nil {
		return nil, storeError(err)
	}
	if loaded.Subject, err = d.borne(ctx, a, loaded.Subject); err != nil {
		return nil, err
	}
	a.know(loaded.Subject)
	// A refusal that needs no record still belongs to the record's trail.
	a.row, a.key = loaded.Complaint, loaded.Key
	if err := d.vouched(ctx, a); err != nil {
		return nil, err
	}
	if err := d.admit(ctx, a); err != nil {
		return nil, err
	}
	if a.row == nil {
		return nil, d.notFound(ctx, a)
	}
	erased, err := d.gone(ctx, a)
	if err == nil && erased != nil {
		err = d.decideErased(ctx, a, erased)
	}
	if err != nil {
		return nil, err
	}
	return a, nil
}

// ask decides on an action without a record.
func (d *Door) ask(ctx context.Context, c Caller, q question) (*asked, error) {
	a, err := d.knock(ctx, c, q)
	if err != nil {
		return nil, err
	}
	return a, d.decide(ctx, a)
}

// askMany decides on an action over many records as far as that needs none;
// each record is decided on by itself later.
func (d *Door) askMany(ctx context.Context, c Caller, q question) (*asked, error) {
	a, err := d.knock(ctx, c, q)
	if err != nil {
		return nil, err
	}
	return a, d.admit(ctx, a)
}

// knock establishes who asks for what, without any record.
func (d *Door) knock(ctx context.Context, c Caller, q question) (*asked, error) {
	a, err := d.begin(ctx, c, q)
	if err != nil {
		return nil, err
	}
	facts, err := d.cfg.Store.Subject(ctx, d.cfg.Institution, c.Person, a.at)
	if err != nil {
		return nil, storeError(err)
	}
	if facts, err = d.borne(ctx, a, facts); err != nil {
		return nil, err
	}
	a.know(facts)
	return a, nil
}

func (d *Door) begin(ctx context.Context, c Caller, q question) (*asked, error) {
	if c.Institution != d.cfg.Institution {
		return nil, ErrNotFound
	}
	if q.purpose == "" {
		return nil, ErrPurposeRequired
	}
	if !complaint.Registry().Has("purpose", q.purpose) {
		return nil, invalid("/purpose", "unknown_value", members("purpose")...)
	}
	if err := d.inForce(ctx); err != nil {
		return nil, err
	}
	alias, err := d.cfg.Log.Alias(ctx, c.Person)
	if err != nil {
		return nil, logError(err)
	}
	return &asked{question: q, caller: c, alias: alias, at: d.now()}, nil
}

// know turns what the register holds into the policy's subject. Effective roles
// are the token's AND the register's: neither the identity provider's
// administrator nor a stale token can appoint anybody.
func (a *asked) know(s *store.Subject) {
	a.facts = s
	a.subject = policy.Subject{ID: a.caller.Person, Kind: string(a.caller.Kind)}
	if a.caller.keeper {
		a.subject.Roles = []string{keeperRole}
		return
	}
	if a.caller.Kind == Portal {
		a.subject.Roles = intersect(a.caller.Roles, []string{"portal"})
		a.subject.DataSubjectToken = []byte(a.caller.Subject)
		return
	}
	if s == nil || s.Kind != string(a.caller.Kind) {
		a.subject.Unfit = []string{"account_inactive"}
		return
	}
	a.subject.Department, a.subject.StaffToken = s.Department, s.StaffToken
	a.subject.Roles, a.subject.Level = effective(s.Duties, a.caller.Roles)
	a.subject.Unfit = unfit(s, a.action, a.at)
	for _, g := range s.Grants {
		a.subject.Grants = append(a.subject.Grants, policyGrant(g))
	}
	for _, b := range s.BreakGlass {
		a.subject.BreakGlass = append(a.subject.BreakGlass, policyBreakGlass(b))
	}
}

// effective gives the roles that both token and register hold, and the level
// that all of them reach: a level is a duty's own and lends nothing to another
// role of the same person.
func effective(duties []store.DutyFact, token []string) (roles []string, level uint8) {
	levels := map[string]uint8{}
	for _, duty := range duties {
		if !slices.Contains(token, duty.Role) {
			continue
		}
		if !slices.Contains(roles, duty.Role) {
			roles = append(roles, duty.Role)
		}
		levels[duty.Role] = max(levels[duty.Role], duty.Level)
	}
	for i, role := range roles {
		if i == 0 || levels[role] < level {
			level = levels[role]
		}
	}
	return roles, level
}

// unfit lists the reasons why a person may not act at all now: R6 training, R7
// undertaking, R8 account, R10 budget, R22 overdue review.
func unfit(s *store.Subject, action string, at time.Time) []string {
	var codes []string
	if s.Status != "active" {
		codes = append(codes, "account_inactive")
	}
	if s.Kind != string(Human) {
		return codes
	}
	if s.TrainedUntil == nil || !s.TrainedUntil.After(at) {
		codes = append(codes, "training_expired")
	}
	if !s.Undertaken {
		codes = append(codes, "undertaking_missing")
	}
	if s.ReviewOverdue {
		codes = append(codes, "breakglass_unreviewed")
	}
	if (action == "reveal" || action == "search") && s.RevealsThisHour >= s.RevealsPerHour {
		codes = append(codes, "budget_spent")
	}
	return codes
}

func intersect(a, b []string) []string {
	var both []string
	for _, s := range a {
		if slices.Contains(b, s) && !slices.Contains(both, s) {
			both = append(both, s)
		}
	}
	return both
}

// request is the policy's question about a row; a nil row asks without one.
func (a *asked) request(institution string, row *store.Complaint) policy.Request {
	r := policy.Request{Institution: institution, Action: a.action, Purpose: a.purpose, Transition: a.transition,
		Requester: a.requester, Involved: a.involved, Seconded: a.seconded, Subject: a.subject, At: a.at}
	if row == nil {
		return r
	}
	r.Record = policy.Record{ID: row.ID, Department: row.Department, Assignee: row.Assignee, Level: row.Level, Stage: row.Stage,
		Sensitivity: row.Sensitivity, RespondentTokens: row.RespondentTokens, EarlierHandlers: row.EarlierHandlers, UnderReview: row.UnderReview,
		Held: a.takesAway(row)}
	if a.action == "erase_approve" && row.Stage != complaint.StageOpen {
		r.Record.RetainedUntil = retainedUntil(row, a.groups)
	}
	if a.caller.Kind == Portal {
		r.Record.DataSubjectToken = []byte(row.ID)
	}
	// Adding takes nothing away from what a hold preserves.
	r.Record.Held = held(row) && (a.action != "amend" || a.replaces(row))
	if a.action == "erase_approve" && row.Stage != complaint.StageOpen {
		r.Record.RetainedUntil = retainedUntil(row, a.groups)
	}
	return r
}

// replaces reports whether one of the fields asked about has a stored value.
func (a *asked) replaces(row *store.Complaint) bool {
	return slices.ContainsFunc(a.fields, func(name string) bool {
		envelope, _ := row.Field(name)
		return envelope != nil
	})
}

// admit decides what needs no record, so that a role that may never do this
// hears it plainly and learns nothing about the id.
func (d *Door) admit(ctx context.Context, a *asked) error {
	var err error
	a.decision, err = d.cfg.Policy.Admit(ctx, a.request(d.cfg.Institution, nil))
	if err != nil {
		return policyError(err)
	}
	if !a.decision.Allowed() {
		d.decided(ctx, a.action, a.decision)
		return d.refuse(ctx, a)
	}
	return nil
}

func (d *Door) decide(ctx context.Context, a *asked) error {
	decideCtx, done := d.stage(ctx, stageDecide)
	var err error
	a.decision, err = d.cfg.Policy.Decide(decideCtx, a.request(d.cfg.Institution, a.row))
	done(err)
	d.decided(ctx, a.action, a.decision)
	if err != nil {
		return d.undecidable(ctx, a, err)
	}
	if !a.decision.Allowed() {
		if a.row != nil && a.decision.MetaDenied() {
			return d.notFound(ctx, a)
		}
		return d.refuse(ctx, a)
	}
	if denied := a.denied(a.fields); len(denied) > 0 && a.action != "transition" {
		return d.refuse(ctx, a)
	}
	return d.fresh(ctx, a)
}

// fresh refuses a record that was put back to an older state. As a whole it
// still verifies; only the log knows that there was a newer one. It is a
// finding, and an entry.
func (d *Door) fresh(ctx context.Context, a *asked) error {
	if a.row == nil || !a.row.Stale() {
		return nil
	}
	logged := a.row.Logged
	b := a.body(audit.StageEvent, "record.stale", audit.Facts{"revision": int(a.row.Revision), "logged": int(logged.Revision),
		"entry": int(logged.Entry), "what": staleRecord})
	b.Decision = decisionRef(a.decision, audit.ResultDeny)
	if _, err := d.record(ctx, b); err != nil {
		return err
	}
	return fmt.Errorf("%w: %s", ErrIntegrity, staleRecord)
}

// staleRecord names the finding in entries and errors.
const staleRecord = "record.stale"

// undecidable turns an error of the policy into the door's own. An attribute of
// a stored record that is in no closed list was not written by this service: a
// finding, and an entry.
func (d *Door) undecidable(ctx context.Context, a *asked, err error) error {
	if err == nil {
		return nil
	}
	if a.row == nil || !errors.Is(err, policy.ErrUnknownAttribute) {
		return policyError(err)
	}
	b := a.body(audit.StageEvent, "access.integrity", audit.Facts{"action": a.action, "what": "attribute.unknown", "table": "sealtrail.complaint"})
	b.Decision = decisionRef(a.decision, audit.ResultDeny)
	if _, err := d.record(ctx, b); err != nil {
		return err
	}
	return fmt.Errorf("%w: %s", ErrIntegrity, "attribute.unknown")
}

func (a *asked) denied(fields []string) []string {
	var denied []string
	for _, f := range fields {
		if a.decision.Effect(f) != policy.Reveal {
			denied = append(denied, f)
		}
	}
	return denied
}

// refuse makes the refusal durable and explains it.
func (d *Door) refuse(ctx context.Context, a *asked) error {
	receipt, err := d.record(ctx, a.denial(false))
	if err != nil {
		return err
	}
	return &RefusedError{Decision: decisionView(a.decision), Audit: receiptRef(receipt), Fields: a.denied(a.fields)}
}

// notFound records an access to a record that does not exist for this caller.
// The entry says which; the answer does not. A complaint that the log knows and
// the table has lost is a finding: both cases look, so that both take as long.
func (d *Door) notFound(ctx context.Context, a *asked) error {
	known, err := d.cfg.Log.Trail(ctx, subjectOf(a.id), 1)
	if err != nil {
		return logError(err)
	}
	if a.row == nil && len(known) > 0 {
		lost := a.body(audit.StageEvent, "access.integrity", audit.Facts{"action": a.action, "what": "record.missing", "table": "sealtrail.complaint"})
		lost.Subject, lost.Decision = subjectOf(a.id), decisionRef(a.decision, audit.ResultDeny)
		if _, err := d.record(ctx, lost); err != nil {
			return err
		}
		if d.seesLog(ctx, a) {
			return d.missing(ctx, a)
		}
	}
	if _, err := d.record(ctx, a.denial(true)); err != nil {
		return err
	}
	return ErrNotFound
}

// record makes one entry durable. Without it nothing may follow.
func (d *Door) record(ctx context.Context, body audit.Body) (pglog.Receipt, error) {
	receipts, err := d.recordAll(ctx, []audit.Body{body})
	if err != nil {
		return pglog.Receipt{}, err
	}
	return receipts[0], nil
}

func (d *Door) recordAll(ctx context.Context, bodies []audit.Body) ([]pglog.Receipt, error) {
	for i := range bodies {
		if err := complaint.CheckFacts(bodies[i].Kind, bodies[i].Facts); err != nil {
			return nil, fmt.Errorf("recording %s: %w", bodies[i].Kind, err)
		}
	}
	begun := d.debts.begin(bodies, time.Now())
	ctx, done := d.stage(ctx, stageAppend)
	receipts, err := d.cfg.Log.Append(ctx, bodies...)
	done(err)
	d.debts.began(begun, receipts)
	if err != nil {
		return nil, logError(err)
	}
	return receipts, nil
}

// told makes a conflict or a stale revision an entry before it is answered: it
// says something of the record's present state.
func (d *Door) told(ctx context.Context, a *asked, err error) error {
	if _, conflict := errors.AsType[*ConflictError](err); !conflict && !errors.Is(err, ErrStale) {
		return err
	}
	if _, unrecorded := d.record(ctx, a.body(audit.StageEvent, "access.read", audit.Facts{"masked": 0})); unrecorded != nil {
		return unrecorded
	}
	return err
}

// spend takes one reveal from the budget, atomically; whoever comes second to
// the last one is refused as if it had been empty from the start.
func (d *Door) spend(ctx context.Context, a *asked) error {
	if a.caller.Kind == Portal {
		return nil
	}
	ok, err := d.cfg.Store.SpendReveal(ctx, d.cfg.Institution, a.caller.Person, a.at, a.facts.RevealsPerHour)
	if err != nil {
		return storeError(err)
	}
	if ok {
		return nil
	}
	a.subject.Unfit = append(a.subject.Unfit, "budget_spent")
	if err := d.admit(ctx, a); err != nil {
		return err
	}
	return errors.New("deciding on a spent budget: the policy does not refuse it")
}

func policyError(err error) error {
	switch {
	case errors.Is(err, policy.ErrPurposeRequired):
		return ErrPurposeRequired
	case errors.Is(err, policy.ErrUnknownPurpose):
		return invalid("/purpose", "unknown_value", members("purpose")...)
	}
	return fmt.Errorf("deciding: %w", err)
}

func storeError(err error) error {
	switch {
	case errors.Is(err, store.ErrUnavailable):
		return fmt.Errorf("%w: %w", ErrStoreUnavailable, err)
	case errors.Is(err, store.ErrNotFound):
		return ErrNotFound
	case errors.Is(err, store.ErrStale):
		return ErrStale
	case errors.Is(err, store.ErrIndexMoved):
		return fmt.Errorf("%w: %w", ErrStoreUnavailable, err)
	}
	return err
}

func logError(err error) error {
	if errors.Is(err, pglog.ErrUnavailable) {
		return fmt.Errorf("%w: %w", ErrUnrecorded, err)
	}
	return fmt.Errorf("writing the log: %w", err)
}
