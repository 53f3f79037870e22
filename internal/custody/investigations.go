package custody

import (
	"bytes"
	"context"
	"encoding/hex"
	"errors"
	"log/slog"
	"slices"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/sealtrail/sealtrail/audit"
	"github.com/sealtrail/sealtrail/audit/pglog"
	"github.com/sealtrail/sealtrail/internal/complaint"
	"github.com/sealtrail/sealtrail/internal/intake"
	"github.com/sealtrail/sealtrail/internal/store"
)

// Limits of an investigation.
const (
	maxInvestigation = 180 * 24 * time.Hour
	maxSubjects      = 50
	maxReason        = 500 // runes
)

// expiryEvery is how often investigations whose time is over are ended. Nothing
// is hidden past the end in the meantime.
const expiryEvery = time.Minute

// subjectsPath is the commitment to whom an investigation is about.
const subjectsPath = "subjects"

// Investigation is sealed while it runs: what the auditor who asked reads about
// its subjects, for purpose audit, stays out of other people's views.
type Investigation struct {
	ID         string    `json:"id"`
	Code       string    `json:"code" doc:"How the log names it"`
	Persons    []string  `json:"persons,omitempty"`
	Complaints []string  `json:"complaints,omitempty"`
	Reason     string    `json:"reason"`
	Until      time.Time `json:"until"`
	State      string    `json:"state" enum:"requested,approved,refused,closed"`

	RequestedBy string    `json:"requested_by"`
	RequestedAt time.Time `json:"requested_at"`
	DecidedBy   string    `json:"decided_by,omitempty"`
	DecidedAt   time.Time `json:"decided_at,omitzero"`
	ClosedAt    time.Time `json:"closed_at,omitzero"`
	// Entry committed to the subjects; Opening opens that, once it is over.
	Entry   uint64   `json:"entry,string" doc:"Entry of the request, which commits to the subjects"`
	Opening string   `json:"opening,omitempty" doc:"Salt of the commitment, hex; only when it has ended"`
	Audit   AuditRef `json:"audit"`
}

// Investigations is a list.
type Investigations struct {
	Items []Investigation `json:"items"`
	Audit AuditRef        `json:"audit"`
}

// subjectsText is what the commitment of a request is about: one subject to a
// line, sorted.
func subjectsText(row *store.Investigation) string {
	var lines []string
	for _, p := range row.Persons {
		lines = append(lines, "person:"+p)
	}
	for _, c := range row.Complaints {
		lines = append(lines, subjectOf(c))
	}
	slices.Sort(lines)
	return strings.Join(lines, "\n")
}

func subjectsCommit(row *store.Investigation) string {
	if len(row.Salt) != 16 {
		return ""
	}
	return audit.Commit(subjectsPath, [16]byte(row.Salt), []byte(subjectsText(row)))
}

// RequestInvestigation asks for a sealed investigation. Nothing is hidden before
// somebody else assents, but the request itself.
func (d *Door) RequestInvestigation(ctx context.Context, c Caller, r Investigation) (*Investigation, error) {
	ctx, cancel := context.WithTimeout(ctx, deadline)
	defer cancel()
	a, err := d.ask(ctx, c, question{action: "investigate", purpose: auditPurpose})
	if err != nil {
		return nil, err
	}
	if err := d.checkInvestigation(ctx, c, r, a.at); err != nil {
		return nil, err
	}
	salt := audit.NewNonce()
	row := &store.Investigation{Institution: d.cfg.Institution, ID: newUUID(), Persons: slices.Compact(slices.Sorted(slices.Values(r.Persons))),
		Complaints: slices.Compact(slices.Sorted(slices.Values(r.Complaints))), Salt: salt[:], Reason: strings.TrimSpace(r.Reason), RequestedBy: c.Person,
		RequestedAt: a.at, Until: r.Until.UTC().Truncate(time.Second), State: store.InvestigationRequested}
	if row.Persons == nil {
		row.Persons = []string{}
	}
	if row.Complaints == nil {
		row.Complaints = []string{}
	}
	event := a.about("investigation.requested", investigationTrail(row.ID), audit.Facts{"investigation": investigationCode(row.ID), "until": stamp(row.Until)})
	event.Commit = map[string]string{subjectsPath: subjectsCommit(row)}
	if err := complaint.CheckFacts(event.Kind, event.Facts); err != nil {
		return nil, err
	}
	var pending []pglog.Pending
	err = d.cfg.Store.Tx(ctx, func(tx pgx.Tx) (err error) {
		if pending, err = d.cfg.Log.AppendTx(ctx, tx, event); err != nil {
			return err
		}
		row.Entry = pending[0].EntryID()
		return d.cfg.Store.InsertInvestigation(ctx, tx, row)
	})
	if err != nil {
		return nil, txError(err)
	}
	return investigationView(row, auditRef(pending[0])), nil
}

func (d *Door) checkInvestigation(ctx context.Context, c Caller, r Investigation, now time.Time) error {
	var problems []intake.Problem
	add := func(pointer, code string) { problems = append(problems, problemAt(pointer, code)) }
	n := len(r.Persons) + len(r.Complaints)
	if n == 0 {
		add("/persons", "required")
	}
	if n > maxSubjects {
		add("/persons", "out_of_range")
	}
	for _, p := range r.Persons {
		known, err := d.isKnown(ctx, p, now)
		if err != nil {
			return err
		}
		if !known {
			add("/persons", "unknown_value")
			break
		}
	}
	if slices.Contains(r.Persons, c.Person) {
		add("/persons", "four_eyes")
	}
	if slices.ContainsFunc(r.Complaints, func(id string) bool { return !isUUID(id) }) {
		add("/complaints", "malformed")
	}
	reason := strings.TrimSpace(r.Reason)
	switch length := len([]rune(reason)); {
	case length < minReason:
		add("/reason", "required")
	case length > maxReason:
		add("/reason", "too_long")
	case personal(reason):
		add("/reason", "malformed")
	}
	if !r.Until.After(now) || r.Until.After(now.Add(maxInvestigation)) {
		add("/until", "out_of_range")
	}
	if len(problems) > 0 {
		return &InvalidError{problems}
	}
	return nil
}

func (d *Door) isKnown(ctx context.Context, person string, at time.Time) (bool, error) {
	if !validID(person) {
		return false, nil
	}
	facts, err := d.cfg.Store.Subject(ctx, d.cfg.Institution, person, at)
	return facts != nil, storeError(err)
}

// SettleInvestigation approves, refuses or closes. Whom it is about finds none
// of that id.
func (d *Door) SettleInvestigation(ctx context.Context, c Caller, id, verdict string) (*Investigation, error) {
	ctx, cancel := context.WithTimeout(ctx, deadline)
	defer cancel()
	a, row, err := d.askInvestigation(ctx, c, id, verdict)
	if err != nil {
		return nil, err
	}
	var ref AuditRef
	var pending []pglog.Pending
	err = d.cfg.Store.Tx(ctx, func(tx pgx.Tx) error {
		if row, err = d.cfg.Store.LockInvestigation(ctx, tx, d.cfg.Institution, row.ID); err != nil {
			return err
		}
		kind, err := settle(row, c.Person, verdict, a.at)
		if err != nil {
			return err
		}
		if err := d.cfg.Store.SetInvestigation(ctx, tx, row); err != nil {
			return err
		}
		event := a.about(kind, investigationTrail(row.ID), settledFacts(row, kind, "closed"))
		if err := complaint.CheckFacts(event.Kind, event.Facts); err != nil {
			return err
		}
		pending, err = d.cfg.Log.AppendTx(ctx, tx, event)
		return err
	})
	if err != nil {
		return nil, txError(err)
	}
	ref = auditRef(pending[0])
	return investigationView(row, ref), nil
}

// settle moves a row and names the event.
func settle(row *store.Investigation, person, verdict string, at time.Time) (kind string, err error) {
	switch {
	case verdict == "close" && row.State == store.InvestigationApproved, verdict == "close" && row.State == store.InvestigationRequested:
		row.State, row.ClosedAt = store.InvestigationClosed, &at
		return "investigation.closed", nil
	case row.State != store.InvestigationRequested:
		return "", &ConflictError{Code: "already_decided", State: row.State}
	case !at.Before(row.Until):
		return "", &ConflictError{Code: "state_conflict", State: row.State}
	}
	row.DecidedBy, row.DecidedAt = &person, &at
	if verdict == "approve" {
		row.State = store.InvestigationApproved
		return "investigation.approved", nil
	}
	row.State, row.ClosedAt = store.InvestigationRefused, &at
	return "investigation.refused", nil
}

func settledFacts(row *store.Investigation, kind, why string) audit.Facts {
	facts := audit.Facts{"investigation": investigationCode(row.ID)}
	switch kind {
	case "investigation.approved":
		facts["until"] = stamp(row.Until)
	case "investigation.closed":
		facts["why"] = why
	}
	return facts
}

// askInvestigation decides on an act about an investigation. One that the caller
// must not know of is answered, and recorded, like one that does not exist; a
// missing requester would refuse, and so tell the two apart.
func (d *Door) askInvestigation(ctx context.Context, c Caller, id, verdict string) (*asked, *store.Investigation, error) {
	row, err := d.findInvestigation(ctx, c, id)
	if err != nil {
		return nil, nil, err
	}
	q := question{action: "investigate_approve", purpose: "approve", requester: nobody}
	if row != nil {
		q.requester = row.RequestedBy
	}
	own := verdict == "close" || verdict == "show"
	if own && (slices.Contains(c.Roles, "auditor") || row != nil && row.RequestedBy == c.Person) {
		q = question{action: "investigate", purpose: auditPurpose}
	}
	a, err := d.ask(ctx, c, q)
	if err != nil {
		return nil, nil, err
	}
	if row == nil || verdict == "close" && q.action == "investigate" && row.RequestedBy != c.Person {
		a.id = id
		return nil, nil, d.notFound(ctx, a)
	}
	return a, row, nil
}

// findInvestigation reads a row; nil if there is none for this caller.
func (d *Door) findInvestigation(ctx context.Context, c Caller, id string) (*store.Investigation, error) {
	if c.Institution != d.cfg.Institution {
		return nil, ErrNotFound
	}
	if !isUUID(id) {
		id = nowhere
	}
	row, err := d.cfg.Store.Investigation(ctx, d.cfg.Institution, id)
	if errors.Is(err, store.ErrNotFound) {
		return nil, nil
	}
	if err != nil {
		return nil, storeError(err)
	}
	hidden, err := d.hiddenFrom(ctx, row, c)
	if err != nil || hidden {
		return nil, err
	}
	return row, nil
}

// hiddenFrom says whether somebody must not learn of an investigation while it
// runs: she is its subject, or a complaint of it names her as respondent.
func (d *Door) hiddenFrom(ctx context.Context, row *store.Investigation, c Caller) (bool, error) {
	if row.State == store.InvestigationRefused || row.State == store.InvestigationClosed {
		return false, nil
	}
	if slices.Contains(row.Persons, c.Person) {
		return true, nil
	}
	for _, id := range row.Complaints {
		loaded, err := d.cfg.Store.Load(ctx, d.cfg.Institution, id, c.Person, d.now())
		if err != nil {
			return true, storeError(err)
		}
		if loaded.Complaint == nil || loaded.Subject == nil {
			continue
		}
		if slices.ContainsFunc(loaded.Complaint.RespondentTokens, func(token []byte) bool { return bytes.Equal(token, loaded.Subject.StaffToken) }) {
			return true, nil
		}
	}
	return false, nil
}

// Investigation shows one.
func (d *Door) Investigation(ctx context.Context, c Caller, id string) (*Investigation, error) {
	ctx, cancel := context.WithTimeout(ctx, deadline)
	defer cancel()
	a, row, err := d.askInvestigation(ctx, c, id, "show")
	if err != nil {
		return nil, err
	}
	receipt, err := d.recordInvestigationRead(ctx, a, 1)
	if err != nil {
		return nil, err
	}
	return investigationView(row, receiptRef(receipt)), nil
}

// Investigations lists what the caller may know of, the newest first. state may
// be empty.
func (d *Door) Investigations(ctx context.Context, c Caller, state string) (*Investigations, error) {
	ctx, cancel := context.WithTimeout(ctx, deadline)
	defer cancel()
	states := []string{store.InvestigationRequested, store.InvestigationApproved, store.InvestigationRefused, store.InvestigationClosed}
	if state != "" && !slices.Contains(states, state) {
		return nil, invalid("/state", "unknown_value", states...)
	}
	q := question{action: "investigate_approve", purpose: "approve", requester: nobody}
	if slices.Contains(c.Roles, "auditor") {
		q = question{action: "investigate", purpose: auditPurpose}
	}
	a, err := d.ask(ctx, c, q)
	if err != nil {
		return nil, err
	}
	rows, err := d.cfg.Store.Investigations(ctx, d.cfg.Institution, state)
	if err != nil {
		return nil, storeError(err)
	}
	list := &Investigations{Items: []Investigation{}}
	for _, row := range rows {
		hidden, err := d.hiddenFrom(ctx, row, c)
		if err != nil {
			return nil, err
		}
		if !hidden {
			list.Items = append(list.Items, *investigationView(row, AuditRef{}))
		}
	}
	receipt, err := d.recordInvestigationRead(ctx, a, len(list.Items))
	if err != nil {
		return nil, err
	}
	list.Audit = receiptRef(receipt)
	return list, nil
}

// recordInvestigationRead names no investigation: the entry would tell of it.
func (d *Door) recordInvestigationRead(ctx context.Context, a *asked, hits int) (pglog.Receipt, error) {
	b := a.body(audit.StageEvent, "access.log", audit.Facts{"filters": []string{"investigation"}, "hits": hits})
	b.Subject = "query:" + a.caller.Request
	return d.record(ctx, b)
}

// watchInvestigations ends those whose time is over, until ctx ends.
func (d *Door) watchInvestigations(ctx context.Context) {
	tick := time.NewTicker(expiryEvery)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
			if err := d.endInvestigations(ctx); err != nil && ctx.Err() == nil {
				d.cfg.Logger.WarnContext(ctx, "investigations not ended", slog.Any("error", err))
			}
		}
	}
}

// endInvestigations closes each investigation whose time is over, with an entry
// of the service.
func (d *Door) endInvestigations(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, batchDeadline)
	defer cancel()
	now := d.now()
	for _, state := range []string{store.InvestigationRequested, store.InvestigationApproved} {
		rows, err := d.cfg.Store.Investigations(ctx, d.cfg.Institution, state)
		if err != nil {
			return storeError(err)
		}
		for _, row := range rows {
			if now.Before(row.Until) {
				continue
			}
			if err := d.expire(ctx, row.ID, now); err != nil {
				return err
			}
		}
	}
	return nil
}

func (d *Door) expire(ctx context.Context, id string, now time.Time) error {
	alias, err := d.cfg.Log.Alias(ctx, servicePerson)
	if err != nil {
		return logError(err)
	}
	err = d.cfg.Store.Tx(ctx, func(tx pgx.Tx) error {
		row, err := d.cfg.Store.LockInvestigation(ctx, tx, d.cfg.Institution, id)
		if err != nil {
			return err
		}
		kind, err := settle(row, servicePerson, "close", now)
		if err != nil {
			return nil // another replica was faster
		}
		if err := d.cfg.Store.SetInvestigation(ctx, tx, row); err != nil {
			return err
		}
		event := audit.Body{At: now, Stage: audit.StageEvent, Kind: kind, Actor: audit.Actor{ID: alias}, Subject: investigationTrail(row.ID),
			Facts: settledFacts(row, kind, "expired")}
		if err := complaint.CheckFacts(event.Kind, event.Facts); err != nil {
			return err
		}
		_, err = d.cfg.Log.AppendTx(ctx, tx, event)
		return err
	})
	return txError(err)
}

func investigationView(row *store.Investigation, ref AuditRef) *Investigation {
	v := &Investigation{ID: row.ID, Code: investigationCode(row.ID), Persons: row.Persons, Complaints: row.Complaints, Reason: row.Reason, Until: row.Until.UTC(),
		State: row.State, RequestedBy: row.RequestedBy, RequestedAt: row.RequestedAt.UTC(), Entry: row.Entry, Audit: ref}
	if row.DecidedBy != nil {
		v.DecidedBy = *row.DecidedBy
	}
	if row.DecidedAt != nil {
		v.DecidedAt = row.DecidedAt.UTC()
	}
	if row.ClosedAt != nil {
		v.ClosedAt, v.Opening = row.ClosedAt.UTC(), hex.EncodeToString(row.Salt)
	}
	return v
}
