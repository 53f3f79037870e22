// Package custody is the door: the one way to a complaint record. Every method
// asks the policy, writes the trail, and only then opens or alters, in that
// order, and this file is where the order can be read.
//
// The one idea: policy.Decision and pglog.Receipt can be made by nobody else,
// and the opener (open.go) takes both and refuses a pair that does not belong
// together. So a path that skips a step does not compile, or opens nothing.
//
// It must never know HTTP, and it holds no SQL. Jobs, importer and demo come
// through it too, each as a caller of its own.
package custody

import (
	"context"
	"errors"
	"log/slog"
	"sync/atomic"
	"time"

	"go.opentelemetry.io/otel/metric"
	"go.opentelemetry.io/otel/trace"

	"github.com/sealtrail/sealtrail/audit"
	"github.com/sealtrail/sealtrail/audit/pglog"
	"github.com/sealtrail/sealtrail/crypto/keyring"
	"github.com/sealtrail/sealtrail/internal/clock"
	"github.com/sealtrail/sealtrail/internal/complaint"
	"github.com/sealtrail/sealtrail/internal/filestore"
	"github.com/sealtrail/sealtrail/internal/store"
	"github.com/sealtrail/sealtrail/policy"
)

// deadline bounds every call through the door: audit.md, promise 2.
const deadline = 2 * time.Second

// Config is what a Door stands on. All fields but Now and Logger are required.
type Config struct {
	// Institution is the only one this door serves: one process, one Vault role.
	Institution string
	Store       *store.Store
	Log         *pglog.Log
	Policy      *policy.Engine
	Keys        *keyring.Keyring
	Index       Indexer
	// Master rewraps keys and tells of their configuration. Nil: no rewrap, no
	// closing of epochs.
	Master Master
	// Calendar and Profile set the due dates: law, and the norm if adopted.
	Calendar *clock.Calendar
	Profile  clock.Profile
	// LogFiles reads what is published. Nil: it is not served.
	LogFiles LogFiles
	// Figures answers supervision reports from the published log.
	Figures Figures
	// Files keeps attachments and recordings, sealed. Nil: none are taken.
	Files filestore.Store
	// MaxFile is the longest file that is taken, in bytes; 0 means 2 GiB.
	MaxFile int64
	// Proofs proves entries from the published log, for receipts of erasures.
	// Nil: no receipts.
	Proofs Proofs
	// Published is what evidence is made from. Nil: none is made.
	Published Published
	Now       func() time.Time     // default time.Now; judges deadlines and duties
	Logger    *slog.Logger         // default slog.Default
	Tracer    trace.TracerProvider // default none
	Meter     metric.MeterProvider // default none
}

// Door is the custody of one institution's complaints. It is safe for
// concurrent use. Run must run for outcomes to reach the log.
type Door struct {
	cfg       Config
	outcomes  chan answer
	debts     debts
	covers    atomic.Pointer[covered]
	late      late
	reaper    reaper
	active    atomic.Pointer[string] // the bundle that the log was seen to name as the active one
	transfers transfers
	idem      idempotencyKey
	register  register
	index     index
	choice    choice
	intake    vouchedIntake
	*instruments
}

// New returns a Door; it starts nothing.
func New(_ context.Context, cfg Config) (*Door, error) {
	if cfg.Institution == "" || cfg.Store == nil || cfg.Log == nil || cfg.Policy == nil || cfg.Keys == nil || cfg.Index == nil || cfg.Calendar == nil {
		return nil, errors.New("opening the door: every field of Config but Figures, Now and Logger is required")
	}
	if cfg.Now == nil {
		cfg.Now = time.Now
	}
	if cfg.Logger == nil {
		cfg.Logger = slog.Default()
	}
	measured, err := newInstruments(cfg.Tracer, cfg.Meter)
	if err != nil {
		return nil, err
	}
	return &Door{cfg: cfg, outcomes: make(chan answer, outcomeQueue), instruments: measured}, nil
}

// now is the service clock, in the resolution that is stored and signed.
func (d *Door) now() time.Time { return d.cfg.Now().UTC().Truncate(time.Microsecond) }

// Read shows a complaint with every classified field masked or withheld.
func (d *Door) Read(ctx context.Context, c Caller, r ReadRequest) (*View, error) {
	ctx, cancel := context.WithTimeout(ctx, deadline)
	defer cancel()
	// 1 ask
	a, err := d.askRecord(ctx, c, question{action: "read", purpose: r.Purpose, id: r.ID, metaOnly: r.MetaOnly})
	if err != nil {
		return nil, err
	}
	fields := a.maskable()
	if r.MetaOnly {
		fields = nil
	}
	// 2 record
	receipt, err := d.record(ctx, a.intent("access.read", fields, audit.Facts{"masked": len(fields)}))
	if err != nil {
		return nil, err
	}
	// 3 open: only the fields that the receipt names
	opened, err := d.open(ctx, a, receipt, fields)
	if err != nil {
		return nil, err
	}
	defer opened.close()
	// 4 mask
	view := d.view(a, receipt)
	view.Fields, err = a.masked(opened, !r.MetaOnly)
	if err != nil {
		return nil, d.broken(ctx, a, receipt, err)
	}
	// 5 record what came of it
	d.outcome(ctx, a, []pglog.Receipt{receipt}, opened, "answered")
	return view, nil
}

// Reveal shows named fields in clear. It takes one from the person's hourly
// budget, and a reason, which is kept sealed.
func (d *Door) Reveal(ctx context.Context, c Caller, r RevealRequest) (*View, error) {
	ctx, cancel := context.WithTimeout(ctx, deadline)
	defer cancel()
	if err := checkReveal(r); err != nil {
		return nil, err
	}
	a, err := d.askRecord(ctx, c, question{action: "reveal", purpose: r.Purpose, id: r.ID, fields: r.Fields})
	if err != nil {
		return nil, err
	}
	if err := d.spend(ctx, a); err != nil {
		return nil, err
	}
	fields := a.present(r.Fields)
	body := a.intent("access.reveal", fields, audit.Facts{"reason_given": true, "handler": a.row.Assignee == c.Person})
	note := newNote("reason", r.Reason)
	body.Commit = note.commit()
	receipt, err := d.record(ctx, body)
	if err != nil {
		return nil, err
	}
	opened, err := d.open(ctx, a, receipt, fields)
	if err != nil {
		return nil, err
	}
	defer opened.close()
	if err := d.keepNote(ctx, a, opened, receipt, note); err != nil {
		return nil, err
	}
	view := d.view(a, receipt)
	view.Fields, err = a.revealed(opened, r.Fields)
	if err != nil {
		return nil, d.broken(ctx, a, receipt, err)
	}
	if err := d.usedBreakGlass(ctx, a); err != nil {
		return nil, err
	}
	d.outcome(ctx, a, []pglog.Receipt{receipt}, opened, "answered")
	return view, nil
}

// Amend replaces sealed fields of the revision that the caller saw.
func (d *Door) Amend(ctx context.Context, c Caller, r AmendRequest) (*View, error) {
	ctx, cancel := context.WithTimeout(ctx, deadline)
	defer cancel()
	values, err := checkAmend(r)
	if err != nil {
		return nil, err
	}
	a, err := d.askRecord(ctx, c, question{action: "amend", purpose: r.Purpose, id: r.ID, fields: values.names()})
	if err != nil {
		return nil, err
	}
	if a.row.Revision != r.Revision {
		return nil, d.told(ctx, a, ErrStale)
	}
	if held(a.row) && overwrites(a.row, values) {
		return nil, d.told(ctx, a, &ConflictError{Code: "legal_hold", State: a.row.State})
	}
	next := *a.row
	if err := d.retain(ctx, &next, values); err != nil {
		return nil, err
	}
	facts := audit.Facts{"fields_changed": len(r.Fields), "correction": true}
	return d.alter(ctx, a, &next, change{kind: "complaint.amended", facts: facts, values: values})
}

// Transition moves a complaint through its lifecycle.
func (d *Door) Transition(ctx context.Context, c Caller, r TransitionRequest) (*View, error) {
	ctx, cancel := context.WithTimeout(ctx, deadline)
	defer cancel()
	act, ok := complaint.Registry().Transition(r.Name)
	if !ok {
		return nil, invalid("/name", "unknown_transition", transitionNames()...)
	}
	a, err := d.askRecord(ctx, c, question{action: "transition", purpose: r.Purpose, id: r.ID, transition: r.Name, fields: sealedInputs(act, r.Inputs)})
	if err != nil {
		return nil, err
	}
	if a.row.Revision != r.Revision {
		return nil, d.told(ctx, a, ErrStale)
	}
	next := *a.row
	ch, err := d.move(ctx, a, &next, act, r.Inputs)
	if err != nil {
		return nil, d.told(ctx, a, err)
	}
	return d.alter(ctx, a, &next, ch)
}

// alter is the second half of Amend and Transition: record the intent, borrow
// the key, seal (rewrite), and then in one transaction lock the row, compare its
// revision, write it and append the event. Both are there, or neither.
func (d *Door) alter(ctx context.Context, a *asked, next *store.Complaint, ch change) (*View, error) {
	// 2 record. The intent names no field: altering discloses none.
	receipt, err := d.record(ctx, a.intent(ch.kind, nil, ch.facts))
	if err != nil {
		return nil, err
	}
	// 3 borrow the key and verify what is stored, so that no tampered row is
	// ever sealed anew.
	opened, err := d.open(ctx, a, receipt, nil)
	if err != nil {
		return nil, err
	}
	defer opened.close()
	// 4 seal, alter and record, in one transaction
	pending, err := d.rewrite(ctx, a, receipt, opened, next, ch)
	if err != nil {
		return nil, err
	}
	d.outcome(ctx, a, []pglog.Receipt{receipt}, opened, "answered")
	view := d.metaView(next, a.decision)
	view.Audit = auditRef(pending)
	return view, nil
}
