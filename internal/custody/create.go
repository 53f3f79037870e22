package custody

import (
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/jackc/pgx/v5"
	"golang.org/x/sync/errgroup"

	"github.com/sealtrail/sealtrail/audit"
	"github.com/sealtrail/sealtrail/audit/pglog"
	"github.com/sealtrail/sealtrail/crypto/field"
	"github.com/sealtrail/sealtrail/crypto/keyring"
	"github.com/sealtrail/sealtrail/internal/complaint"
	"github.com/sealtrail/sealtrail/internal/intake"
	"github.com/sealtrail/sealtrail/internal/store"
)

// MaxBatch is the most complaints that one CreateBatch takes.
const MaxBatch = 500

// repeatWithin is the window of the repeat figure (M14): 180 days.
const repeatWithin = 180 * 24 * time.Hour

// Create stores one complaint. Filing the same (source, source id) or the same
// idempotency key again answers with the complaint that is already there.
func (d *Door) Create(ctx context.Context, c Caller, r CreateRequest) (*Created, error) {
	ctx, cancel := context.WithTimeout(ctx, deadline)
	defer cancel()
	a, err := d.ask(ctx, c, question{action: "create", purpose: r.Purpose})
	if err != nil {
		return nil, err
	}
	use, err := d.idempotent(ctx, a, r)
	if err != nil {
		return nil, err
	}
	if use != nil && use.Resource != "" {
		return d.existing(ctx, a, use.Resource)
	}
	item := d.store(ctx, a, []intake.Draft{r.Draft}, use)[0]
	if errors.Is(item.Err, store.ErrDuplicate) {
		// The same key was faster: with this request, or with another one.
		use, err := d.idempotent(ctx, a, r)
		if err != nil {
			return nil, err
		}
		if use != nil && use.Resource != "" {
			return d.existing(ctx, a, use.Resource)
		}
	}
	return item.Created, item.Err
}

// CreateBatch stores up to MaxBatch complaints in one transaction. Each draft
// has its own outcome: a bad one does not hinder its neighbours.
func (d *Door) CreateBatch(ctx context.Context, c Caller, purpose string, drafts []intake.Draft) ([]BatchItem, error) {
	ctx, cancel := context.WithTimeout(ctx, batchDeadline)
	defer cancel()
	if len(drafts) == 0 || len(drafts) > MaxBatch {
		return nil, invalid("/drafts", "out_of_range")
	}
	short, cancelShort := context.WithTimeout(ctx, deadline)
	defer cancelShort()
	a, err := d.ask(short, c, question{action: "create", purpose: purpose})
	if err != nil {
		return nil, err
	}
	return d.store(ctx, a, drafts, nil), nil
}

// batchDeadline bounds a batch: MaxBatch complaints are two Vault batches and
// one transaction. That a server is away is said within the shorter deadline by
// the first question.
const batchDeadline = 10 * time.Second

// filing is one draft on its way into the store.
type filing struct {
	at     int // position in the answer
	draft  intake.Draft
	values sealing
	items  []IndexItem // normalised
	wanted []IndexItem // the same for each generation
	tokens []store.Token
	row    *store.NewComplaint
	// Joins over the complainant, made here so that the log needs no pseudonym
	// of her: an earlier complaint of hers, and one about the same matter.
	earlier, repeat bool
	// What was asked of Vault for it, in every attempt; and whether its event
	// says so.
	uses     []keyUsed
	recorded bool
	// The envelope that it was sealed in; nil if it came in clear.
	envelope *envelope
}

// store validates, seals and stores drafts. The answer has one item per draft.
func (d *Door) store(ctx context.Context, a *asked, drafts []intake.Draft, use *store.Idempotency) []BatchItem {
	out := make([]BatchItem, len(drafts))
	d.fileAll(ctx, a, d.accept(ctx, a, drafts, out), use, out)
	return out
}

// fileAll seals and stores accepted drafts and fills in their answers.
func (d *Door) fileAll(ctx context.Context, a *asked, filings []*filing, use *store.Idempotency, out []BatchItem) {
	all := filings
	defer func() { d.spent(ctx, a, all) }()
	for attempt := 0; len(filings) > 0; attempt++ {
		var err error
		if filings, err = d.dropExisting(ctx, a, filings, out); err != nil || len(filings) == 0 {
			failAll(out, filings, err)
			return
		}
		if err = d.prepare(ctx, a, filings); err != nil {
			failAll(out, filings, err)
			return
		}
		err = d.insert(ctx, a, filings, use, out)
		// Somebody else stored one of them meanwhile, or moved the index: look
		// again, once or twice.
		moved := d.index.moved(err)
		if err == nil || !moved && !errors.Is(err, store.ErrDuplicate) || attempt == 2 {
			failAll(out, filings, err)
			return
		}
	}
}

func failAll(out []BatchItem, filings []*filing, err error) {
	for _, f := range filings {
		if err != nil {
			out[f.at] = BatchItem{Err: txError(err)}
		}
	}
}

// accept validates drafts; what must never be stored (C3) is refused with an
// entry that names the field.
func (d *Door) accept(ctx context.Context, a *asked, drafts []intake.Draft, out []BatchItem) []*filing {
	var filings []*filing
	for i, draft := range drafts {
		draft = intake.Clean(draft)
		problems := intake.Validate(draft, a.at)
		f := &filing{at: i, draft: draft, values: sealing{}}
		for name, value := range draft.Fields {
			f.values[name] = &value
		}
		if len(problems) == 0 {
			items, err := f.values.indexItems(a.decision.ID())
			if wrong, ok := errors.AsType[*InvalidError](err); ok {
				problems = wrong.Problems
			}
			f.items = items
		}
		if len(problems) > 0 {
			out[i].Err = d.rejected(ctx, a, draft, problems)
			continue
		}
		filings = append(filings, f)
	}
	return filings
}

// rejected records what a refused draft tried to store, by name, and returns
// its problems.
func (d *Door) rejected(ctx context.Context, a *asked, draft intake.Draft, problems []intake.Problem) error {
	for _, p := range problems {
		kind, ok := p.C3()
		if !ok {
			continue
		}
		facts := audit.Facts{"field": p.Field(), "c3_kind": kind}
		if complaint.Registry().Has("channel", draft.Channel) {
			facts["channel"] = draft.Channel
		}
		if _, err := d.record(ctx, a.body(audit.StageEvent, "intake.c3_refused", facts)); err != nil {
			return err
		}
	}
	return &InvalidError{problems}
}

// dropExisting answers drafts that are stored already and keeps the others. Two
// drafts of the same source id within the batch are one complaint.
func (d *Door) dropExisting(ctx context.Context, a *asked, filings []*filing, out []BatchItem) ([]*filing, error) {
	bySource := map[string][]string{}
	for _, f := range filings {
		bySource[f.draft.Source] = append(bySource[f.draft.Source], f.draft.SourceID)
	}
	fresh := filings[:0:0]
	for source, ids := range bySource {
		found, err := d.cfg.Store.BySource(ctx, d.cfg.Institution, source, ids)
		if err != nil {
			return filings, err
		}
		taken := map[string]bool{}
		for _, f := range filings {
			if f.draft.Source != source {
				continue
			}
			switch id := found[f.draft.SourceID]; {
			case id != "":
				out[f.at].Created, out[f.at].Err = d.existing(ctx, a, id)
			case taken[f.draft.SourceID]:
				out[f.at].Err = invalid("/source_id", "duplicate")
			default:
				taken[f.draft.SourceID] = true
				fresh = append(fresh, f)
			}
		}
	}
	slices.SortFunc(fresh, func(x, y *filing) int { return x.at - y.at })
	return fresh, nil
}

// existing answers a repeated filing. It discloses metadata of a record that is
// there, so it is decided and recorded as such; whoever may not see the record
// hears its id and that the filing is no new one, so that an import that is run
// again comes to its end.
func (d *Door) existing(ctx context.Context, a *asked, id string) (*Created, error) {
	loaded, err := d.cfg.Store.Load(ctx, d.cfg.Institution, id, a.caller.Person, a.at)
	if err != nil {
		return nil, storeError(err)
	}
	if loaded.Complaint == nil {
		return nil, ErrNotFound
	}
	one := *a
	one.action, one.row, one.key = "list", loaded.Complaint, loaded.Key
	gone, err := d.gone(ctx, &one)
	switch {
	case err != nil:
		return nil, err
	case gone != nil:
		err = d.decideErased(ctx, &one, gone)
	default:
		err = d.decide(ctx, &one)
	}
	if erased, ok := errors.AsType[*ShreddedError](err); ok {
		// An import that is run again does not bring back what was erased.
		return &Created{ID: id, Due: []Due{}, Existing: true, Audit: erased.Audit}, nil
	}
	refused, _ := errors.AsType[*RefusedError](err)
	if refused != nil || errors.Is(err, ErrNotFound) { // recorded
		hidden := &Created{ID: id, Due: []Due{}, Existing: true}
		if refused != nil {
			hidden.Audit = refused.Audit
		}
		return hidden, nil
	}
	if err != nil {
		return nil, err
	}
	receipt, err := d.record(ctx, one.intent("access.list", nil, audit.Facts{"hits": 1}))
	if err != nil {
		return nil, err
	}
	d.outcome(ctx, &one, []pglog.Receipt{receipt}, nil, "answered")
	created := d.created(one.row, receiptRef(receipt))
	created.Existing = true
	return created, nil
}

func (d *Door) created(row *store.Complaint, ref AuditRef) *Created {
	return &Created{ID: row.ID, ComplaintNo: row.ComplaintNo, Revision: row.Revision, State: row.State, Due: d.dues(row), Audit: ref}
}

// prepare mints keys and asks for tokens, at the same time and each in as few
// Vault calls as possible, and then seals.
func (d *Door) prepare(ctx context.Context, a *asked, filings []*filing) error {
	suite, err := d.chosenSuite(ctx)
	if err != nil {
		return err
	}
	index, err := d.index.get(ctx, d)
	if err != nil {
		return err
	}
	mints := make([]keyring.MintRequest, len(filings))
	var items []IndexItem
	for i, f := range filings {
		f.row = d.newRow(a, f)
		f.row.Suite = suite
		mints[i] = keyring.MintRequest{ID: keyID(&f.row.Complaint), Reference: f.row.ID}
		f.wanted = index.expand(f.items)
		items = append(items, f.wanted...)
	}
	var minted []keyring.MintResult
	var tokens [][]byte
	var calls []string
	group, gctx := errgroup.WithContext(ctx)
	group.Go(func() error { minted = d.cfg.Keys.MintBatch(gctx, mints); return nil })
	group.Go(func() (err error) {
		if len(items) > 0 {
			tokens, calls, err = d.cfg.Index.TokensIn(context.WithoutCancel(ctx), items)
		}
		return err
	})
	err = group.Wait()
	noteUses(filings, minted, calls)
	defer func() {
		for i, m := range minted {
			m.Lease.Release()
			// Nobody reads a batch back at once: its keys would push out those in use.
			if len(minted) > 1 {
				d.cfg.Keys.Void(mints[i].ID)
			}
		}
	}()
	if err != nil {
		return keyError(err)
	}
	for i, f := range filings {
		n := len(f.wanted)
		f.tokens, tokens = pair(f.wanted, tokens[:n]), tokens[n:]
		f.row.Tokens = index.searched(f.tokens)
		if err := sealNew(f, minted[i]); err != nil {
			return keyError(err)
		}
	}
	return d.markRepeats(ctx, a, filings, index.current())
}

// noteUses keeps what was asked of Vault for each filing.
func noteUses(filings []*filing, minted []keyring.MintResult, calls []string) {
	for i, f := range filings {
		if m := minted[i]; m.Err == nil {
			f.uses = append(f.uses, minted1(m.Lease))
		}
		if n := len(f.wanted); n <= len(calls) {
			f.uses, calls = append(f.uses, indexUses(calls[:n])...), calls[n:]
		}
	}
}

// spent tells the log which keys were used for complaints that were not stored.
func (d *Door) spent(ctx context.Context, a *asked, filings []*filing) {
	var uses []keyUsed
	for _, f := range filings {
		if !f.recorded {
			uses = append(uses, f.uses...)
		}
	}
	if len(uses) == 0 {
		return
	}
	facts := audit.Facts{"outcome": "unavailable"}
	nameKeys(facts, uses)
	b := a.body(audit.StageOutcome, "access.result", facts)
	b.Subject, b.Revision = "request:"+a.caller.Request, 0
	d.queue(ctx, answer{body: b})
}

// sealNew seals a new row's fields and signs its first manifest.
func sealNew(f *filing, m keyring.MintResult) error {
	if m.Err != nil {
		return m.Err
	}
	f.row.Key = store.Wrapped{Blob: m.Wrapped.Blob, Commitment: m.Wrapped.Commitment[:], Version: m.Wrapped.KeyVersion}
	sealer, err := field.NewSealer(m.Lease.Key())
	if err != nil {
		return err
	}
	defer sealer.Close()
	row := &f.row.Complaint
	setTokens(row, f.values, f.tokens)
	digests, err := seal(sealer, row, f.values)
	if err != nil {
		return err
	}
	input := manifestInput(row)
	input.Fields = digests
	row.Manifest, err = sealer.Manifest(input)
	return err
}

// newRow is the first revision of a complaint, recorded now.
func (d *Door) newRow(a *asked, f *filing) *store.NewComplaint {
	draft := f.draft
	received := draft.ReceivedAt.UTC().Truncate(time.Microsecond)
	row := store.Complaint{
		Institution: d.cfg.Institution, ID: newUUID(), Revision: 1, SchemaVersion: complaint.CatalogueVersion(), Generation: 1,
		ComplaintNo: complaint.ComplaintNo(), Source: draft.Source, SourceID: draft.SourceID, Channel: draft.Channel,
		ReceivedAt: received, ReceivedEvidence: draft.ReceivedEvidence, RecordedAt: a.at,
		State: complaint.StateRecorded, Stage: complaint.StageOf(complaint.StateRecorded), Sensitivity: "ordinary",
		Level: draft.Level, Type: draft.Type, BusinessCode: draft.BusinessCode, ProductCode: draft.ProductCode, ReasonCode: draft.ReasonCode,
		Branch: draft.Branch, Department: draft.Department, PartyType: draft.PartyType, IDType: draft.IDType,
		ThirdParty: draft.ThirdParty, RegulatorRef: draft.RegulatorRef, Referral: draft.Referral, GroupFlag: draft.GroupFlag,
		Milestones: map[string]time.Time{"complaint.recorded": a.at}, Performers: map[string]string{}, ExtensionDays: map[string]int{},
	}
	if amount := draft.Fields["amount_claimed"]; amount != "" {
		row.AmountBand = complaint.AmountBand(amount)
	}
	// A report of staff crime takes the stricter branch of the policy.
	if draft.Fields["whistle_report"] != "" {
		row.Sensitivity = "whistle"
	}
	d.setDue(&row)
	return &store.NewComplaint{Complaint: row}
}

// markRepeats finds complaints of the same person about the same business or
// product within the window, stored or earlier in this batch.
func (d *Door) markRepeats(ctx context.Context, a *asked, filings []*filing, epoch uint32) error {
	var tokens []store.Token
	for _, f := range filings {
		if t := f.person(epoch); t != nil {
			tokens = append(tokens, *t)
		}
	}
	earlier, err := d.cfg.Store.EarlierByToken(ctx, d.cfg.Institution, tokens, a.at.Add(-2*repeatWithin))
	if err != nil {
		return err
	}
	byToken := map[string][]store.Earlier{}
	for _, e := range earlier {
		byToken[e.Token] = append(byToken[e.Token], e)
	}
	for _, f := range filings {
		person := f.person(epoch)
		if person == nil {
			continue
		}
		token := string(person.Token)
		f.earlier = slices.ContainsFunc(byToken[token], func(e store.Earlier) bool { return !e.ReceivedAt.After(f.row.ReceivedAt) })
		f.repeat = slices.ContainsFunc(byToken[token], func(e store.Earlier) bool { return repeats(&f.row.Complaint, e) })
		byToken[token] = append(byToken[token], store.Earlier{ReceivedAt: f.row.ReceivedAt, BusinessCode: f.row.BusinessCode, ProductCode: f.row.ProductCode})
	}
	return nil
}

// person is the token of the complainant's identity number in a generation; nil
// if she gave none.
func (f *filing) person(epoch uint32) *store.Token {
	for i := range f.tokens {
		if t := &f.tokens[i]; t.Field == "id_number" && t.Epoch == epoch {
			return t
		}
	}
	return nil
}

func repeats(row *store.Complaint, e store.Earlier) bool {
	gap := row.ReceivedAt.Sub(e.ReceivedAt)
	sameMatter := row.BusinessCode != "" && row.BusinessCode == e.BusinessCode || row.ProductCode != "" && row.ProductCode == e.ProductCode
	return gap >= 0 && gap <= repeatWithin && sameMatter
}

// insert writes all filings, their events and the idempotency row in one
// transaction and fills in the answers.
func (d *Door) insert(ctx context.Context, a *asked, filings []*filing, use *store.Idempotency, out []BatchItem) error {
	rows, events := make([]*store.NewComplaint, len(filings)), make([]audit.Body, len(filings))
	for i, f := range filings {
		rows[i], events[i] = f.row, a.event("complaint.recorded", &f.row.Complaint, recordedFacts(f))
		if err := complaint.CheckFacts(events[i].Kind, events[i].Facts); err != nil {
			return fmt.Errorf("recording a complaint: %w", err)
		}
	}
	pending, err := d.write(ctx, rows, events, use, d.sealedRows(a, filings))
	if err != nil {
		return err
	}
	for i, f := range filings {
		f.recorded = true
		out[f.at].Created = d.created(&rows[i].Complaint, auditRef(pending[i]))
	}
	return nil
}

// write stores the rows with their events: all of it or nothing. A single one
// travels in one round trip.
func (d *Door) write(ctx context.Context, rows []*store.NewComplaint, events []audit.Body, use *store.Idempotency, sealed []store.SealedIntake) ([]pglog.Pending, error) {
	if len(rows) == 1 && len(sealed) == 0 {
		if use != nil {
			use.Resource = rows[0].ID
		}
		var queued *pglog.Queued
		err := d.cfg.Store.InsertOne(ctx, rows[0], use, func(b *pgx.Batch) (err error) {
			queued, err = d.cfg.Log.AppendBatch(b, events...)
			return err
		})
		if err != nil {
			return nil, err
		}
		return queued.Pending(), nil
	}
	var pending []pglog.Pending
	err := d.cfg.Store.Tx(ctx, func(tx pgx.Tx) (err error) {
		if err = d.cfg.Store.InsertMany(ctx, tx, rows); err != nil {
			return err
		}
		if err = d.cfg.Store.InsertSealed(ctx, tx, sealed); err != nil {
			return err
		}
		pending, err = d.cfg.Log.AppendTx(ctx, tx, events...)
		return err
	})
	return pending, err
}

func recordedFacts(f *filing) audit.Facts {
	row := f.row
	facts := audit.Facts{"received_at": stamp(row.ReceivedAt), "received_evidence": row.ReceivedEvidence, "channel": row.Channel,
		"source": row.Source, "level": row.Level, "occurred_at": stamp(row.RecordedAt), "suite": int(max(row.Suite, field.Suite1)), "repeat_180d": f.repeat, "same_business_180d": f.repeat, "earlier_own_complaint": f.earlier, "referral": row.Referral,
		"party_type": row.PartyType, "group": row.GroupFlag, "third_party": row.ThirdParty != ""}
	for name, value := range map[string]string{"type": row.Type, "business": row.BusinessCode, "product": row.ProductCode,
		"reason_class": row.ReasonCode, "department": row.Department, "branch": row.Branch, "amount_band": row.AmountBand} {
		if value != "" {
			facts[name] = value
		}
	}
	nameKeys(facts, f.uses)
	if f.envelope != nil {
		facts["late"], facts["sealed_at"], facts["envelope_sha256"] = true, stamp(f.envelope.at), hex.EncodeToString(f.envelope.sum[:])
	}
	if f.draft.AssertedAt != nil {
		facts["imported"], facts["asserted_at"] = true, stamp(*f.draft.AssertedAt)
	}
	return facts
}

// txError maps what a transaction of store and log may return.
func txError(err error) error {
	if errors.Is(err, pglog.ErrUnavailable) {
		return logError(err)
	}
	return storeError(err)
}
