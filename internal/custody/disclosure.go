package custody

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base32"
	"encoding/hex"
	"errors"
	"slices"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/sealtrail/sealtrail/audit"
	"github.com/sealtrail/sealtrail/audit/pglog"
	"github.com/sealtrail/sealtrail/crypto/disclosure"
	"github.com/sealtrail/sealtrail/internal/complaint"
	"github.com/sealtrail/sealtrail/internal/intake"
	"github.com/sealtrail/sealtrail/internal/store"
	"github.com/sealtrail/sealtrail/policy"
)

// Scopes of a disclosure.
const (
	scopeOfRecord      = "record"
	scopeOfSubject     = "subject"
	scopeOfInstitution = "institution"
)

// basisSubjectAccess is the only basis whose recipient is the complainant: her
// name is protected, and stands nowhere in a request.
const (
	basisSubjectAccess = "subject_access"
	subjectRecipient   = "个人信息主体 / data subject"
)

// maxDisclosureLife is the longest that a request for a package may be valid: a
// quarter, so that an approval is about what was known when it was given.
const maxDisclosureLife = 92 * 24 * time.Hour

// Disclosure is a request for a package for a recipient's public key.
type Disclosure struct {
	ID        string   `json:"id"`
	Scope     string   `json:"scope" enum:"record,subject,institution"`
	Complaint string   `json:"complaint,omitempty" doc:"The record, or a record of the data subject; absent for scope institution"`
	Groups    []string `json:"groups"`
	// Recipient is write only; answers have its fingerprint.
	Recipient       string    `json:"-"`
	RecipientName   string    `json:"recipient_name"`
	RecipientSHA256 string    `json:"recipient_sha256" doc:"SHA-256 of the public key's text: compare it with what the recipient told you by another way"`
	PostQuantum     bool      `json:"post_quantum" doc:"Whether the key also withstands a quantum computer"`
	Basis           string    `json:"basis"`
	Purpose         string    `json:"purpose"`
	Watermark       string    `json:"watermark" doc:"Stands in every line of the package"`
	ExpiresAt       time.Time `json:"expires_at" doc:"Until when it can be produced, and may be used: the latter cannot be enforced"`
	RequestedBy     string    `json:"requested_by"`
	RequestedAt     time.Time `json:"requested_at"`
	ApprovedBy      string    `json:"approved_by,omitempty"`
	ConfirmedBy     string    `json:"confirmed_by,omitempty"`
	State           string    `json:"state" enum:"requested,approved,refused,confirmed,produced"`
	ProducedAt      time.Time `json:"produced_at,omitzero"`
	PackageSHA256   string    `json:"package_sha256,omitempty"`
	Records         int       `json:"records,omitempty"`
	Audit           AuditRef  `json:"audit"`
}

// RequestDisclosure asks for a package of one record, of all records of its
// complainant, or of everything. It opens nothing.
func (d *Door) RequestDisclosure(ctx context.Context, c Caller, r Disclosure) (*Disclosure, error) {
	ctx, cancel := context.WithTimeout(ctx, deadline)
	defer cancel()
	to, err := d.checkDisclosure(&r)
	if err != nil {
		return nil, err
	}
	q := question{action: "disclose_request", purpose: r.Purpose, id: r.Complaint}
	var a *asked
	if r.Scope == scopeOfInstitution {
		q.action = "leave_request"
		a, err = d.ask(ctx, c, q)
	} else {
		a, err = d.askRecord(ctx, c, q)
	}
	if err != nil {
		return nil, err
	}
	x := &store.Disclosure{Institution: d.cfg.Institution, ID: newUUID(), Scope: r.Scope, Groups: slices.Sorted(slices.Values(r.Groups)),
		Recipient: to.String(), RecipientName: r.RecipientName, Basis: r.Basis, Purpose: r.Purpose, Watermark: watermark(),
		ExpiresAt: r.ExpiresAt.UTC().Truncate(time.Second), RequestedBy: c.Person, RequestedAt: a.at, State: store.DisclosureRequested}
	if a.row != nil {
		x.Complaint = &a.row.ID
	}
	event, err := d.disclosureEvent(a, x, "disclosure.requested", requestedDisclosure(x, to))
	if err != nil {
		return nil, err
	}
	event.Commit = map[string]string{recipientName: nameCommit(x)}
	ref, err := d.changeRegister(ctx, event, func(tx pgx.Tx) error { return d.cfg.Store.InsertDisclosure(ctx, tx, x) })
	if err != nil {
		return nil, err
	}
	return disclosureView(x, ref), nil
}

// watermark names one package. It is random: it says nothing about whom the
// package is for, and the log says whose it is.
func watermark() string {
	var b [10]byte
	_, _ = rand.Read(b[:]) // never fails
	return "wm-" + strings.ToLower(base32.StdEncoding.EncodeToString(b[:]))
}

// disclosureCode is how a request is named in the log.
func disclosureCode(id string) string { return "d-" + shortID(id) }

func requestedDisclosure(x *store.Disclosure, to disclosure.Recipient) audit.Facts {
	sum := to.Fingerprint()
	return audit.Facts{"disclosure": disclosureCode(x.ID), "scope": x.Scope, "basis": x.Basis, "groups": x.Groups,
		"recipient_sha256": hex.EncodeToString(sum[:]), "expires": stamp(x.ExpiresAt), "watermark": x.Watermark}
}

// recipientName is the commitment to whom a request names: those who assent read
// the name, and the log has the key's fingerprint only.
const recipientName = "recipient_name"

// nameCommit is salted with the request's id, of which the log has the beginning.
func nameCommit(x *store.Disclosure) string {
	sum := sha256.Sum256([]byte(x.ID))
	return audit.Commit(recipientName, [16]byte(sum[:16]), []byte(x.RecipientName))
}

// disclosureEvent is an entry about a request, in the trail of its record; one
// about everything has a trail of its own.
func (d *Door) disclosureEvent(a *asked, x *store.Disclosure, kind string, facts audit.Facts) (audit.Body, error) {
	b := a.body(audit.StageEvent, kind, facts)
	b.Subject = disclosureTrail(x)
	if x.Complaint == nil {
		b.Revision = 0
	}
	return b, complaint.CheckFacts(kind, facts)
}

func disclosureTrail(x *store.Disclosure) string {
	if x.Complaint != nil {
		return subjectOf(*x.Complaint)
	}
	return "disclosure:" + x.ID
}

// checkDisclosure says all that is wrong with a request at once.
func (d *Door) checkDisclosure(r *Disclosure) (disclosure.Recipient, error) {
	var problems []intake.Problem
	add := func(pointer, code string, allowed ...string) {
		problems = append(problems, problemAt(pointer, code, allowed...))
	}
	registry := complaint.Registry()
	if !registry.Has("disclosure_scope", r.Scope) {
		add("/scope", "unknown_value", members("disclosure_scope")...)
	}
	if !registry.Has("disclosure_basis", r.Basis) {
		add("/basis", "unknown_value", members("disclosure_basis")...)
	}
	if (r.Scope == scopeOfInstitution) != (r.Basis == "migration") {
		add("/basis", "unknown_value")
	}
	if r.Scope == scopeOfInstitution && r.Complaint != "" {
		add("/complaint", "read_only")
	}
	if r.Scope != scopeOfInstitution && r.Complaint == "" {
		add("/complaint", "required")
	}
	if len(r.Groups) == 0 {
		add("/groups", "required")
	}
	for i, group := range r.Groups {
		if !slices.Contains(sealedGroups(), group) {
			add("/groups", "unknown_value", sealedGroups()...)
			break
		}
		if slices.Contains(r.Groups[:i], group) {
			add("/groups", "duplicate")
			break
		}
	}
	now := d.now()
	if !r.ExpiresAt.After(now) || r.ExpiresAt.After(now.Add(maxDisclosureLife)) {
		add("/expires_at", "out_of_range")
	}
	problems = append(problems, checkRecipientName(r)...)
	to, err := disclosure.ParseRecipient(r.Recipient)
	if refused, ok := errors.AsType[*disclosure.RecipientError](err); ok {
		add("/recipient", "recipient_"+refused.Code)
	} else if err != nil {
		return to, err
	}
	if len(problems) > 0 {
		return to, &InvalidError{problems}
	}
	return to, nil
}

// checkRecipientName takes the name of an authority or an institution, and none
// where the recipient is the data subject.
func checkRecipientName(r *Disclosure) []intake.Problem {
	name := strings.TrimSpace(r.RecipientName)
	switch {
	case r.Basis == basisSubjectAccess && name == "":
		r.RecipientName = subjectRecipient
		return nil
	case r.Basis == basisSubjectAccess:
		return []intake.Problem{problemAt("/recipient_name", "read_only")}
	case name == "":
		return []intake.Problem{problemAt("/recipient_name", "required")}
	case len([]rune(name)) > 128:
		return []intake.Problem{problemAt("/recipient_name", "too_long")}
	case strings.ContainsFunc(name, func(c rune) bool { return c < ' ' }) || personal(name):
		return []intake.Problem{problemAt("/recipient_name", "malformed")}
	}
	r.RecipientName = name
	return nil
}

// SettleDisclosure approves, confirms or refuses a request that somebody else
// made. Approve is the first assent (the head of the owning department), confirm
// the second one (the data protection officer); a request by the head herself
// needs only the second one.
func (d *Door) SettleDisclosure(ctx context.Context, c Caller, id, verdict string) (*Disclosure, error) {
	ctx, cancel := context.WithTimeout(ctx, deadline)
	defer cancel()
	x, err := d.disclosureRow(ctx, id)
	if err != nil {
		return nil, err
	}
	said, err := d.saidOfDisclosure(ctx, x)
	if err != nil {
		return nil, err
	}
	seconded := said.seconded(x)
	a, err := d.askSettle(ctx, c, x, question{seconded: seconded})
	if err != nil {
		return nil, err
	}
	if err := d.told(ctx, a, settleable(a, x, verdict, seconded)); err != nil {
		return nil, err
	}
	if err := d.vouchDisclosure(ctx, a, x, said); err != nil {
		return nil, err
	}
	kinds := map[string]string{"approve": "disclosure.approved", "confirm": "disclosure.confirmed", "refuse": "disclosure.refused"}
	event, err := d.disclosureEvent(a, x, kinds[verdict], audit.Facts{"disclosure": disclosureCode(x.ID)})
	if err != nil {
		return nil, err
	}
	ref, err := d.changeRegister(ctx, event, func(tx pgx.Tx) error {
		locked, err := d.cfg.Store.LockDisclosure(ctx, tx, d.cfg.Institution, x.ID)
		if err != nil {
			return err
		}
		if locked.State != x.State {
			return &ConflictError{Code: "already_decided", State: locked.State}
		}
		switch verdict {
		case "approve":
			x.State, x.ApprovedBy, x.ApprovedAt = store.DisclosureApproved, &c.Person, &a.at
		case "confirm":
			x.State, x.ConfirmedBy, x.ConfirmedAt = store.DisclosureConfirmed, &c.Person, &a.at
		default:
			x.State = store.DisclosureRefused
		}
		return d.cfg.Store.SetDisclosure(ctx, tx, x)
	})
	if err != nil {
		return nil, err
	}
	return disclosureView(x, ref), nil
}

// settleable says whether the request waits for this verdict.
func settleable(a *asked, x *store.Disclosure, verdict string, seconded bool) error {
	switch {
	case x.State != store.DisclosureRequested && x.State != store.DisclosureApproved:
		return &ConflictError{Code: "already_decided", State: x.State}
	case !x.ExpiresAt.After(a.at):
		return &ConflictError{Code: "disclosure_expired", State: x.State}
	case verdict == "approve" && seconded:
		return &ConflictError{Code: "state_conflict", State: x.State, Allowed: []string{"confirm", "refuse"}}
	case verdict == "confirm" && !seconded:
		return &ConflictError{Code: "state_conflict", State: x.State, Allowed: []string{"approve", "refuse"}}
	}
	return nil
}

// askSettle decides whether the caller may assent to a request.
func (d *Door) askSettle(ctx context.Context, c Caller, x *store.Disclosure, q question) (*asked, error) {
	q.action, q.purpose, q.requester = "disclose_approve", "approve", x.RequestedBy
	if x.ApprovedBy != nil {
		q.involved = []string{*x.ApprovedBy}
	}
	if x.Scope == scopeOfInstitution {
		q.action = "leave_approve"
		return d.ask(ctx, c, q)
	}
	q.id = nowhere
	if x.Complaint != nil {
		q.id = *x.Complaint
	}
	return d.askRecord(ctx, c, q)
}

// disclosureRow reads a request. One that is not there is answered as a request
// about a record that is not there.
func (d *Door) disclosureRow(ctx context.Context, id string) (*store.Disclosure, error) {
	if !isUUID(id) {
		id = nowhere
	}
	x, err := d.cfg.Store.Disclosure(ctx, d.cfg.Institution, id)
	if errors.Is(err, store.ErrNotFound) {
		unknown := nowhere
		return &store.Disclosure{ID: id, Scope: scopeOfRecord, Complaint: &unknown, Purpose: "legal"}, nil
	}
	if err != nil {
		return nil, storeError(err)
	}
	return x, nil
}

// Disclosure shows a request to whoever made it and whoever may assent to such.
func (d *Door) Disclosure(ctx context.Context, c Caller, id string) (*Disclosure, error) {
	ctx, cancel := context.WithTimeout(ctx, deadline)
	defer cancel()
	x, err := d.disclosureRow(ctx, id)
	if err != nil {
		return nil, err
	}
	a, err := d.askShown(ctx, c, x)
	if err != nil {
		return nil, err
	}
	receipt, err := d.record(ctx, a.intent("access.list", nil, audit.Facts{"hits": 1}))
	if err != nil {
		return nil, err
	}
	d.outcome(ctx, a, []pglog.Receipt{receipt}, nil, "answered")
	return disclosureView(x, receiptRef(receipt)), nil
}

// askShown decides on looking at a request: as on asking for it, for who asked
// for it, else as on assenting to it, whether first or second.
func (d *Door) askShown(ctx context.Context, c Caller, x *store.Disclosure) (*asked, error) {
	asks, assents := "disclose_request", "disclose_approve"
	if x.Scope == scopeOfInstitution {
		asks, assents = "leave_request", "leave_approve"
	}
	q := question{action: asks, purpose: x.Purpose}
	if c.Person != x.RequestedBy {
		q = question{action: assents, purpose: "approve", requester: x.RequestedBy}
		q.seconded = slices.Contains(c.Roles, "dpo")
	}
	if x.Scope == scopeOfInstitution {
		return d.ask(ctx, c, q)
	}
	q.id = *x.Complaint
	return d.askRecord(ctx, c, q)
}

func disclosureView(x *store.Disclosure, ref AuditRef) *Disclosure {
	v := &Disclosure{ID: x.ID, Scope: x.Scope, Groups: x.Groups, RecipientName: x.RecipientName, Basis: x.Basis, Purpose: x.Purpose,
		Watermark: x.Watermark, ExpiresAt: x.ExpiresAt.UTC(), RequestedBy: x.RequestedBy, RequestedAt: x.RequestedAt.UTC(), State: x.State, Audit: ref}
	if to, err := disclosure.ParseRecipient(x.Recipient); err == nil {
		sum := to.Fingerprint()
		v.RecipientSHA256, v.PostQuantum = hex.EncodeToString(sum[:]), to.PostQuantum()
	}
	if x.Complaint != nil {
		v.Complaint = *x.Complaint
	}
	if x.ApprovedBy != nil {
		v.ApprovedBy = *x.ApprovedBy
	}
	if x.ConfirmedBy != nil {
		v.ConfirmedBy = *x.ConfirmedBy
	}
	if x.ProducedAt != nil && x.Records != nil {
		v.ProducedAt, v.PackageSHA256, v.Records = x.ProducedAt.UTC(), hex.EncodeToString(x.PackageSHA256), *x.Records
	}
	return v
}

// saidDisclosure is what the log says of one request.
type saidDisclosure struct {
	events map[string]audit.Body // by kind, the newest
	actors map[string]string
	entry  uint64 // of the confirmation
	sha256 string
}

func (d *Door) saidOfDisclosure(ctx context.Context, x *store.Disclosure) (*saidDisclosure, error) {
	entries, err := d.cfg.Log.Trail(ctx, disclosureTrail(x), trailLimit)
	if err != nil {
		return nil, logError(err)
	}
	s := &saidDisclosure{events: map[string]audit.Body{}, actors: map[string]string{}}
	for _, e := range entries {
		b, err := audit.ParseBody(e.Body)
		if err != nil {
			return nil, errors.Join(ErrIntegrity, err)
		}
		code, _ := b.Facts.Text("disclosure")
		if b.Stage != audit.StageEvent || !strings.HasPrefix(b.Kind, "disclosure.") || code != disclosureCode(x.ID) {
			continue
		}
		actor, err := d.nameOf(ctx, b.Actor.ID)
		if err != nil {
			return nil, err
		}
		s.events[b.Kind], s.actors[b.Kind] = b, actor
		if b.Kind == "disclosure.confirmed" {
			sum := sha256.Sum256(e.Body)
			s.entry, s.sha256 = e.ID, hex.EncodeToString(sum[:])
		}
	}
	return s, nil
}

// seconded says, by the log, that the first of two assents is given: by the
// head's own request under purpose approve, or by an approval.
func (s *saidDisclosure) seconded(x *store.Disclosure) bool {
	if _, approved := s.events["disclosure.approved"]; approved {
		return true
	}
	asked, ok := s.events["disclosure.requested"]
	return ok && x.Scope != scopeOfInstitution && asked.Purpose == "approve" && slices.Contains(asked.Actor.Roles, "head")
}

// vouchDisclosure refuses a row that the log does not bear out. The table has no
// proof of its own, and whoever can write SQL could ask, approve and change the
// recipient by himself: then the finding is an entry.
func (d *Door) vouchDisclosure(ctx context.Context, a *asked, x *store.Disclosure, said *saidDisclosure) error {
	_, err := disclosure.ParseRecipient(x.Recipient)
	if refused, ok := errors.AsType[*disclosure.RecipientError](err); ok && refused.Code == "fips_only" {
		return invalid("/recipient", "recipient_fips_only") // no finding: nothing can be sealed here
	}
	if said.bears(x) {
		return nil
	}
	// Somebody may have decided between the reading of the row and of the log.
	now, err := d.disclosureRow(ctx, x.ID)
	if err != nil {
		return err
	}
	if now.State != x.State {
		return d.told(ctx, a, &ConflictError{Code: "already_decided", State: now.State})
	}
	b := a.body(audit.StageEvent, "access.integrity", audit.Facts{"action": a.action, "what": "disclosure.unlogged", "table": "sealtrail.disclosure"})
	b.Subject = disclosureTrail(x)
	if _, err := d.record(ctx, b); err != nil {
		return err
	}
	return errors.Join(ErrIntegrity, errors.New("disclosure.unlogged"))
}

// bears compares the row with the log: who asked for what for whom, who
// assented, and that nobody refused and nothing was produced but as it says.
func (s *saidDisclosure) bears(x *store.Disclosure) bool {
	to, err := disclosure.ParseRecipient(x.Recipient)
	asked, ok := s.events["disclosure.requested"]
	if err != nil || !ok || s.actors["disclosure.requested"] != x.RequestedBy || asked.Purpose != x.Purpose || asked.Commit[recipientName] != nameCommit(x) {
		return false
	}
	want := requestedDisclosure(x, to)
	for name, value := range want {
		if list, ok := value.([]string); ok {
			got, _ := asked.Facts.List(name)
			if !slices.Equal(got, list) {
				return false
			}
			continue
		}
		if got, _ := asked.Facts.Text(name); got != value {
			return false
		}
	}
	return s.same("disclosure.approved", x.ApprovedBy) && s.same("disclosure.confirmed", x.ConfirmedBy) &&
		s.has("disclosure.refused") == (x.State == store.DisclosureRefused) && s.has("disclosure.produced") == (x.State == store.DisclosureProduced)
}

func (s *saidDisclosure) has(kind string) bool { _, ok := s.events[kind]; return ok }

func (s *saidDisclosure) same(kind string, who *string) bool {
	if who == nil {
		return !s.has(kind)
	}
	return s.has(kind) && s.actors[kind] == *who && *who != s.actors["disclosure.requested"]
}

// disclosed is the grant that an approved request is to the policy: for this
// record, these groups and no longer than it is valid.
func disclosed(x *store.Disclosure, record string) policy.Grant {
	return policy.Grant{Disclosure: true, Record: record, Purpose: x.Purpose, Groups: x.Groups, From: *x.ConfirmedAt, Until: x.ExpiresAt}
}
