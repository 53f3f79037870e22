package custody

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"slices"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/sealtrail/sealtrail/audit"
	"github.com/sealtrail/sealtrail/crypto/disclosure"
	"github.com/sealtrail/sealtrail/internal/complaint"
	"github.com/sealtrail/sealtrail/internal/store"
	"github.com/sealtrail/sealtrail/policy"
)

// Codes under which something asked for is not in a package.
const (
	withheldRefused   = "refused"   // by policy; no more is said, or recusal would show
	withheldIntegrity = "integrity" // stored data fails its integrity check
	withheldErased    = "erased"    // the record, or the field's group, was erased
)

// produceTries is how often a page is tried again while log, database or Vault
// are away, each time waiting a second longer: a leaving institution's hours of
// streaming should survive a restart of one of them.
const produceTries = 5

// Produced says what a package holds.
type Produced struct {
	Disclosure    string
	PackageSHA256 [32]byte
	Records       int
	Withheld      int
	Bytes         int64
	Audit         AuditRef
}

// Package is an approved package that can be produced. Stream opens and writes
// it; nothing is opened before.
type Package interface {
	Stream(ctx context.Context, dst io.Writer) (*Produced, error)
}

// production is a package on its way.
type production struct {
	door   *Door
	caller Caller
	row    *store.Disclosure
	said   *saidDisclosure
	to     disclosure.Recipient
	action string
	asked  *asked // the first decision: who takes the package away
	wait   func(ctx context.Context, d time.Duration) error
}

// Produce prepares a package that was approved and confirmed. Whoever asks must
// be allowed to disclose; each record is decided on by itself while it streams.
func (d *Door) Produce(ctx context.Context, c Caller, id string) (Package, error) {
	ctx, cancel := context.WithTimeout(ctx, deadline)
	defer cancel()
	x, err := d.disclosureRow(ctx, id)
	if err != nil {
		return nil, err
	}
	p := &production{door: d, caller: c, row: x, action: "disclose", wait: pause}
	if x.Scope == scopeOfInstitution {
		p.action = "leave"
	}
	if p.asked, err = d.askProduce(ctx, c, x, p.action); err != nil {
		return nil, err
	}
	if p.said, err = d.saidOfDisclosure(ctx, x); err != nil {
		return nil, err
	}
	if err := d.told(ctx, p.asked, p.ready(d.now())); err != nil {
		return nil, err
	}
	if err := d.vouchDisclosure(ctx, p.asked, x, p.said); err != nil {
		return nil, err
	}
	if p.to, err = disclosure.ParseRecipient(x.Recipient); err != nil {
		return nil, err
	}
	if p.asked.row != nil {
		// Whoever may not disclose the named record hears it now: a package
		// without it would use the approval up.
		p.asked.subject.Grants = append(slices.Clone(p.asked.subject.Grants), disclosed(x, p.asked.row.ID))
		if err := d.decide(ctx, p.asked); err != nil {
			return nil, err
		}
	}
	return p, nil
}

// askProduce decides who may take packages away, before any record is looked at.
// A package of one record is decided on that record.
func (d *Door) askProduce(ctx context.Context, c Caller, x *store.Disclosure, action string) (*asked, error) {
	q := question{action: action, purpose: x.Purpose}
	if x.Scope == scopeOfInstitution {
		return d.askMany(ctx, c, q)
	}
	q.id = *x.Complaint
	return d.meet(ctx, c, q)
}

// ready says whether a request may be produced now.
func (p *production) ready(now time.Time) error {
	switch {
	case p.row.State == store.DisclosureProduced || p.row.State == store.DisclosureRefused:
		return &ConflictError{Code: "already_decided", State: p.row.State}
	case p.row.State != store.DisclosureConfirmed:
		return &ConflictError{Code: "state_conflict", State: p.row.State, Allowed: []string{"approve", "confirm", "refuse"}}
	case !p.row.ExpiresAt.After(now):
		return &ConflictError{Code: "disclosure_expired", State: p.row.State}
	}
	return nil
}

// Stream writes the package to dst. Each record's intent is durable before its
// bytes leave, and the entry disclosure.produced before the last ones do: what
// was cut off before is refused by age and by every reader, and may be produced
// again; a whole package exists at most once.
func (p *production) Stream(ctx context.Context, dst io.Writer) (*Produced, error) {
	d, x := p.door, p.row
	out := &holdback{dst: dst}
	w, err := disclosure.NewWriter(out, p.to, disclosure.Header{Disclosure: x.ID, Institution: d.cfg.Institution, Scope: x.Scope, Basis: x.Basis,
		Purpose: x.Purpose, Groups: x.Groups, RecipientName: x.RecipientName, Watermark: x.Watermark, IssuedAt: d.now(), ExpiresAt: x.ExpiresAt,
		LogEntry: p.said.entry, LogSHA256: p.said.sha256})
	if err != nil {
		return nil, err
	}
	defer w.Abort()
	withheld := 0
	for ids, err := range p.pages(ctx) {
		if err != nil {
			return nil, err
		}
		n, err := p.page(ctx, w, ids)
		if err != nil {
			return nil, err
		}
		withheld += n
	}
	out.hold = true
	sum, err := w.Close()
	if err != nil {
		return nil, err
	}
	made := &Produced{Disclosure: x.ID, PackageSHA256: sum.SHA256, Records: int(sum.Records), Withheld: withheld, Bytes: sum.Bytes}
	if made.Audit, err = p.close(ctx, made); err != nil {
		return nil, err
	}
	return made, out.release()
}

// holdback keeps what is written while it holds: the last bytes of a package.
type holdback struct {
	dst  io.Writer
	hold bool
	kept bytes.Buffer
}

func (h *holdback) Write(b []byte) (int, error) {
	if h.hold {
		return h.kept.Write(b)
	}
	return h.dst.Write(b)
}

func (h *holdback) release() error {
	_, err := h.kept.WriteTo(h.dst)
	return err
}

// close makes the end of the package an entry. Whoever comes second to it, and
// whoever comes after its time, leaves an unfinished package behind.
func (p *production) close(ctx context.Context, made *Produced) (AuditRef, error) {
	d, x := p.door, p.row
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), deadline)
	defer cancel()
	at, sum := d.now(), p.to.Fingerprint()
	facts := audit.Facts{"disclosure": disclosureCode(x.ID), "records": made.Records, "withheld": made.Withheld,
		"package_sha256": fmt.Sprintf("%x", made.PackageSHA256), "recipient_sha256": fmt.Sprintf("%x", sum)}
	one := *p.asked
	one.at = at
	event, err := d.disclosureEvent(&one, x, "disclosure.produced", facts)
	if err != nil {
		return AuditRef{}, err
	}
	return d.changeRegister(ctx, event, func(tx pgx.Tx) error {
		locked, err := d.cfg.Store.LockDisclosure(ctx, tx, d.cfg.Institution, x.ID)
		if err != nil {
			return err
		}
		if locked.State != store.DisclosureConfirmed || !locked.ExpiresAt.After(at) {
			return &ConflictError{Code: "already_decided", State: locked.State}
		}
		locked.State, locked.ProducedAt, locked.PackageSHA256, locked.Records = store.DisclosureProduced, &at, made.PackageSHA256[:], &made.Records
		return d.cfg.Store.SetDisclosure(ctx, tx, locked)
	})
}

// pages goes through the ids of the records that were asked for.
func (p *production) pages(ctx context.Context) func(func([]string, error) bool) {
	x := p.row
	return func(yield func([]string, error) bool) {
		switch x.Scope {
		case scopeOfRecord:
			yield([]string{*x.Complaint}, nil)
		case scopeOfSubject:
			var ids []string
			err := p.again(ctx, func(ctx context.Context) (err error) {
				ids, err = p.ofSubject(ctx)
				return err
			})
			if err == nil && len(ids) > maxSubjectRecords {
				err = invalid("/scope", "out_of_range")
			}
			for page := range slices.Chunk(ids, keepPage) {
				if !yield(page, nil) {
					return
				}
			}
			if err != nil {
				yield(nil, err)
			}
		default:
			p.everything(ctx, yield)
		}
	}
}

func (p *production) everything(ctx context.Context, yield func([]string, error) bool) {
	d := p.door
	for after := nowhere; ; {
		var ids []string
		err := p.again(ctx, func(ctx context.Context) (err error) {
			ids, err = d.cfg.Store.LiveAfter(ctx, d.cfg.Institution, after, keepPage)
			return storeError(err)
		})
		if err != nil || len(ids) == 0 {
			if err != nil {
				yield(nil, err)
			}
			return
		}
		after = ids[len(ids)-1]
		if !yield(ids, nil) {
			return
		}
	}
}

// again repeats f while something that every record needs is away.
func (p *production) again(ctx context.Context, f func(context.Context) error) error {
	for try := 1; ; try++ {
		one, cancel := context.WithTimeout(ctx, deadline)
		err := f(one)
		cancel()
		if !away(err) && !errors.Is(err, ErrFilesUnavailable) || try == produceTries || ctx.Err() != nil {
			return err
		}
		p.door.cfg.Logger.WarnContext(ctx, "producing a package waits", slog.Int("try", try))
		if err := p.wait(ctx, time.Duration(try)*time.Second); err != nil {
			return err
		}
	}
}

// page discloses a page of records and returns how many were withheld.
func (p *production) page(ctx context.Context, w *disclosure.Writer, ids []string) (withheld int, err error) {
	page := make([]*kept, len(ids))
	if err := p.again(ctx, func(ctx context.Context) error { return p.decidePage(ctx, ids, page) }); err != nil {
		return 0, err
	}
	// The policy, the duties and the time may have changed since the last page.
	if err := p.ready(p.door.now()); err != nil {
		return 0, err
	}
	var work []*kept
	if err := p.again(ctx, func(ctx context.Context) (err error) { work, err = p.intend(ctx, page); return err }); err != nil {
		return 0, err
	}
	if len(work) > 0 {
		giveBack := p.door.borrowKept(ctx, work)
		defer giveBack()
	}
	defer p.door.settlePage(ctx, work)
	for _, k := range page {
		if k.err == nil {
			k.err = p.askAgain(ctx, k)
		}
		if k.err == nil {
			k.err = p.discloseAgain(ctx, w, k)
		}
		if k.err == nil {
			n, err := p.files(ctx, w, k)
			if withheld += n; err != nil {
				return withheld, err
			}
			continue
		}
		code := withheldCode(k.err)
		if code == "" {
			return withheld, k.err
		}
		withheld++
		if err := w.Withheld(k.id, code); err != nil {
			return withheld, err
		}
	}
	return withheld, w.Flush()
}

// settlePage records what came of the intents of a page that had some.
func (d *Door) settlePage(ctx context.Context, work []*kept) {
	if len(work) > 0 {
		d.settleKept(ctx, work)
	}
}

// withheldCode says under which code an error leaves its record out; empty if
// it ends the package.
func withheldCode(err error) string {
	refused, _ := errors.AsType[*RefusedError](err)
	switch {
	case errors.Is(err, ErrIntegrity), errors.Is(err, disclosure.ErrUnfit):
		return withheldIntegrity
	case errors.Is(err, ErrShredded):
		return withheldErased
	case refused != nil || errors.Is(err, ErrNotFound):
		return withheldRefused
	}
	return ""
}

// decidePage asks about each record by itself, as the person who takes the
// package away, with the approved request as her grant.
func (p *production) decidePage(ctx context.Context, ids []string, page []*kept) error {
	d := p.door
	d.each(len(ids), func(i int) {
		if page[i] != nil && !away(page[i].err) {
			return
		}
		one, cancel := context.WithTimeout(ctx, deadline)
		defer cancel()
		k := &kept{id: ids[i]}
		k.a, k.err = d.askDisclosed(one, p, ids[i])
		page[i] = k
	})
	return ended(page)
}

func (d *Door) askDisclosed(ctx context.Context, p *production, id string) (*asked, error) {
	a, err := d.meet(ctx, p.caller, question{action: p.action, purpose: p.row.Purpose, id: id})
	if err != nil {
		return nil, err
	}
	if a.erased != nil {
		return nil, ErrShredded
	}
	a.subject.Grants = append(slices.Clone(a.subject.Grants), disclosed(p.row, a.row.ID))
	return a, d.decide(ctx, a)
}

// intend makes one intent per record durable, in one append.
func (p *production) intend(ctx context.Context, page []*kept) ([]*kept, error) {
	var work []*kept
	var bodies []audit.Body
	for _, k := range page {
		if k.err != nil {
			continue
		}
		fields, _ := p.fields(k.a)
		work, bodies = append(work, k), append(bodies, k.a.intent("access.disclosed", fields, p.facts(fields)))
	}
	if len(work) == 0 {
		return nil, nil
	}
	receipts, err := p.door.recordAll(ctx, bodies)
	if err != nil {
		return nil, err
	}
	for i, k := range work {
		k.receipt = receipts[i]
	}
	return work, nil
}

// fields lists what of the groups asked for is stored and revealed by the
// decision, and what is stored and not, or was.
func (p *production) fields(a *asked) (open []string, withheld []disclosure.Withheld) {
	for i, name := range store.SealedFields {
		f, ok := complaint.FieldByName(name)
		if !ok || !slices.Contains(p.row.Groups, f.Group) {
			continue
		}
		switch {
		case slices.Contains(a.row.ErasedGroups, f.Group):
			withheld = append(withheld, disclosure.Withheld{Name: name, Code: withheldErased})
		case a.row.Sealed[i] == nil:
		case a.decision.Effect(name) == policy.Reveal:
			open = append(open, name)
		default:
			withheld = append(withheld, disclosure.Withheld{Name: name, Code: withheldRefused})
		}
	}
	return open, withheld
}

// discloseAgain discloses one record, again under a new decision and intent while
// Vault or the log is away: the intent before has its outcome.
func (p *production) discloseAgain(ctx context.Context, w *disclosure.Writer, k *kept) error {
	first := true
	return p.again(ctx, func(one context.Context) error {
		if !first {
			if err := p.intendAgain(one, k); err != nil {
				return err
			}
		}
		first = false
		return p.discloseOne(one, w, k)
	})
}

func (p *production) facts(fields []string) audit.Facts {
	return audit.Facts{"disclosure": disclosureCode(p.row.ID), "fields_count": len(fields)}
}

// discloseOne opens one record and puts it into the package. Its values live
// until it is written, and are cleared then.
func (p *production) discloseOne(ctx context.Context, w *disclosure.Writer, k *kept) error {
	fields, withheld := p.fields(k.a)
	o, err := p.door.openKept(ctx, k, fields)
	if err != nil {
		return err
	}
	defer o.close()
	record := disclosure.Record{Type: recordType, ID: k.a.row.ID, Revision: k.a.row.Revision, Withheld: withheld}
	if k.a.decision.Group(complaint.GroupMeta) != policy.Deny {
		attributes := meta(k.a.row)
		attributes["complaint_no"] = k.a.row.ComplaintNo
		for name, value := range attributes {
			record.Attributes = append(record.Attributes, disclosure.Field{Name: name, Value: []byte(value)})
		}
	}
	for _, name := range fields {
		plain, ok := o.values[name]
		if !ok || plain.Null() {
			continue
		}
		record.Fields = append(record.Fields, disclosure.Field{Name: name, Value: plain.Expose()})
	}
	return w.Record(record)
}

// pause waits, or returns when ctx ends.
func pause(ctx context.Context, d time.Duration) error {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}
