// Package doortest is a door in memory, for tests of the faces: it answers like
// internal/custody in shape only, decides by two plain rules, and can be told
// to fail.
//
// The one idea: tests of HTTP and of the command line need errors on demand, not
// sealing. Whatever these tests prove about the faces holds for the real door;
// nothing here says anything about the real door. The package must never be
// imported outside of tests.
package doortest

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/sealtrail/sealtrail/internal/complaint"
	"github.com/sealtrail/sealtrail/internal/custody"
	"github.com/sealtrail/sealtrail/internal/intake"
	"github.com/sealtrail/sealtrail/internal/supervision"
)

// Door holds complaints in memory. The zero value is ready. Safe for
// concurrent use.
type Door struct {
	mu      sync.Mutex
	records map[string]*record
	order   []string
	keys    map[string]string // idempotency key -> id
	entries uint64
	fail    error
	// Seen is called with the name of each act, if set before the first one.
	Seen func(act string, c custody.Caller)
	// Figures is what Report answers.
	Figures *supervision.Report
	// Intake is what IntakeKey answers.
	Intake     *custody.IntakeKey
	disclosing disclosing
	grants     map[string]*custody.Grant
	breaks     map[string]*custody.BreakGlass
	people     map[string]*custody.Person
	epochs     []*custody.KeyEpoch
	erasing    erasing
	files      files
	reading    reading
}

type record struct {
	id, no   string
	revision uint64
	state    string
	draft    intake.Draft
}

// Fail makes every act answer err until it is called with nil.
func (d *Door) Fail(err error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.fail = err
}

// Len is how many complaints are held.
func (d *Door) Len() int {
	d.mu.Lock()
	defer d.mu.Unlock()
	return len(d.records)
}

// enter starts an act: the caller MUST unlock d.mu when err is nil.
func (d *Door) enter(act string, c custody.Caller) error {
	if d.Seen != nil {
		d.Seen(act, c)
	}
	d.mu.Lock()
	if d.fail != nil {
		defer d.mu.Unlock()
		return d.fail
	}
	if d.records == nil {
		d.records, d.keys = map[string]*record{}, map[string]string{}
		d.grants, d.breaks, d.people = map[string]*custody.Grant{}, map[string]*custody.BreakGlass{}, map[string]*custody.Person{}
	}
	return nil
}

func (d *Door) audit() custody.AuditRef {
	d.entries++
	return custody.AuditRef{Entry: 1000 + d.entries, BodySHA256: strings.Repeat("ab", 32)}
}

func newID() string {
	var b [16]byte
	rand.Read(b[:])
	h := hex.EncodeToString(b[:])
	return h[:8] + "-" + h[8:12] + "-" + h[12:16] + "-" + h[16:20] + "-" + h[20:]
}

// Refusal is the refusal that the fake gives a quality reviewer who reveals.
func Refusal() *custody.RefusedError {
	return &custody.RefusedError{
		Decision: custody.DecisionView{ID: "d1", Rule: "R8", Article: "6.2.1", Reason: "quality_masked_only", Next: "ask_handler", Bundle: strings.Repeat("0", 64)},
		Audit:    custody.AuditRef{Entry: 77, BodySHA256: strings.Repeat("cd", 32)}, Fields: []string{"id_number"},
	}
}

// Create implements httpapi.Door. A field that says "CVN" is refused as C3.
func (d *Door) Create(_ context.Context, c custody.Caller, r custody.CreateRequest) (*custody.Created, error) {
	if err := d.enter("create", c); err != nil {
		return nil, err
	}
	defer d.mu.Unlock()
	if r.IdempotencyKey != "" {
		if source, used := d.keys[r.IdempotencyKey]; used && source != r.Draft.SourceID {
			return nil, custody.ErrIdempotencyReused
		}
		d.keys[r.IdempotencyKey] = r.Draft.SourceID
	}
	return d.create(r.Draft)
}

func (d *Door) create(draft intake.Draft) (*custody.Created, error) {
	for name, value := range draft.Fields {
		if strings.Contains(value, "CVN") {
			return nil, &custody.InvalidError{Problems: []intake.Problem{{Pointer: "/fields/" + name, Code: "c3_cvn", ZH: "含卡片验证码", EN: "holds a card verification number"}}}
		}
	}
	for _, rec := range d.records {
		if rec.draft.Source == draft.Source && rec.draft.SourceID == draft.SourceID {
			return d.created(rec, true), nil
		}
	}
	rec := &record{id: newID(), no: fmt.Sprintf("TS-%06d", len(d.records)+1), revision: 1, state: "recorded", draft: draft}
	d.records[rec.id] = rec
	d.order = append(d.order, rec.id)
	return d.created(rec, false), nil
}

func (d *Door) created(r *record, existing bool) *custody.Created {
	return &custody.Created{ID: r.id, ComplaintNo: r.no, Revision: r.revision, State: r.state, Due: due(), Existing: existing, Audit: d.audit()}
}

func due() []custody.Due {
	at := time.Date(2026, 3, 3, 1, 0, 0, 0, time.UTC)
	return []custody.Due{{Clock: "C-CLASS-A", Basis: "2.2.1", DueAt: at, RolledDueAt: at, Binding: true}}
}

// CreateBatch implements httpapi.Door.
func (d *Door) CreateBatch(_ context.Context, c custody.Caller, _ string, drafts []intake.Draft) ([]custody.BatchItem, error) {
	if err := d.enter("batch", c); err != nil {
		return nil, err
	}
	defer d.mu.Unlock()
	items := make([]custody.BatchItem, len(drafts))
	for i, draft := range drafts {
		items[i].Created, items[i].Err = d.create(draft)
	}
	return items, nil
}

func (d *Door) view(r *record, state custody.FieldState, only []string) *custody.View {
	v := &custody.View{ID: r.id, ComplaintNo: r.no, Revision: r.revision, Due: due(),
		Meta:     map[string]string{"state": r.state, "channel": r.draft.Channel, "level": "unclassified"},
		Decision: custody.DecisionView{ID: "d2", Rule: "R3", Article: "6.1.3", Bundle: strings.Repeat("0", 64)}, Audit: d.audit()}
	for _, name := range slices.Sorted(slices.Values(keys(r.draft.Fields))) {
		if only != nil && !slices.Contains(only, name) {
			continue
		}
		f, _ := complaint.FieldByName(name)
		value := r.draft.Fields[name]
		if state == custody.StateMasked {
			value = "***"
		}
		v.Fields = append(v.Fields, custody.FieldView{Name: name, Group: f.Group, State: state, Value: value})
	}
	return v
}

func keys(m map[string]string) []string {
	var ks []string
	for k := range m {
		ks = append(ks, k)
	}
	return ks
}

func (d *Door) find(id string) (*record, error) {
	if gone, ok := d.erasing.gone[id]; ok {
		return nil, &custody.ShreddedError{Erased: gone, Audit: d.audit()}
	}
	if r, ok := d.records[id]; ok {
		return r, nil
	}
	return nil, custody.ErrNotFound
}

// Read implements httpapi.Door.
func (d *Door) Read(_ context.Context, c custody.Caller, q custody.ReadRequest) (*custody.View, error) {
	if err := d.enter("read", c); err != nil {
		return nil, err
	}
	defer d.mu.Unlock()
	r, err := d.find(q.ID)
	if err != nil {
		return nil, err
	}
	v := d.view(r, custody.StateMasked, nil)
	if q.MetaOnly {
		v.Fields = nil
	}
	return v, nil
}

// List implements httpapi.Door; its cursor is the last id.
func (d *Door) List(_ context.Context, c custody.Caller, q custody.ListRequest) (*custody.Page, error) {
	if err := d.enter("list", c); err != nil {
		return nil, err
	}
	defer d.mu.Unlock()
	start := 0
	if q.After != "" {
		start = slices.Index(d.order, q.After) + 1
	}
	page := &custody.Page{Items: []custody.View{}, Audit: d.audit()}
	for i, id := range d.order[start:] {
		if i == q.PageSize {
			page.Next = d.order[start+i-1]
			break
		}
		v := d.view(d.records[id], custody.StateMasked, nil)
		v.Fields = nil
		page.Items = append(page.Items, *v)
	}
	return page, nil
}

// Reveal implements httpapi.Door; a quality reviewer is refused.
func (d *Door) Reveal(_ context.Context, c custody.Caller, q custody.RevealRequest) (*custody.View, error) {
	if err := d.enter("reveal", c); err != nil {
		return nil, err
	}
	defer d.mu.Unlock()
	if slices.Contains(c.Roles, "quality") {
		return nil, Refusal()
	}
	r, err := d.find(q.ID)
	if err != nil {
		return nil, err
	}
	return d.view(r, custody.StateRevealed, q.Fields), nil
}

// Search implements httpapi.Door.
func (d *Door) Search(_ context.Context, c custody.Caller, q custody.SearchRequest) (*custody.Page, error) {
	if err := d.enter("search", c); err != nil {
		return nil, err
	}
	defer d.mu.Unlock()
	page := &custody.Page{Items: []custody.View{}, Audit: d.audit()}
	for _, id := range d.order {
		if d.records[id].draft.Fields[q.Field] == q.Value {
			page.Items = append(page.Items, *d.view(d.records[id], custody.StateMasked, nil))
		}
	}
	return page, nil
}

// Amend implements httpapi.Door.
func (d *Door) Amend(_ context.Context, c custody.Caller, q custody.AmendRequest) (*custody.View, error) {
	if err := d.enter("amend", c); err != nil {
		return nil, err
	}
	defer d.mu.Unlock()
	r, err := d.find(q.ID)
	if err != nil {
		return nil, err
	}
	if r.revision != q.Revision {
		return nil, custody.ErrStale
	}
	for name, value := range q.Fields {
		if value == nil {
			delete(r.draft.Fields, name)
			continue
		}
		r.draft.Fields[name] = *value
	}
	r.revision++
	return d.view(r, custody.StateMasked, []string{}), nil
}

// Transition implements httpapi.Door by the real lifecycle.
func (d *Door) Transition(_ context.Context, c custody.Caller, q custody.TransitionRequest) (*custody.View, error) {
	if err := d.enter("transition", c); err != nil {
		return nil, err
	}
	defer d.mu.Unlock()
	r, err := d.find(q.ID)
	if err != nil {
		return nil, err
	}
	if r.revision != q.Revision {
		return nil, custody.ErrStale
	}
	next, _, err := complaint.NextState(r.state, q.Name)
	if err != nil {
		return nil, &custody.ConflictError{Code: "state_conflict", State: r.state, Allowed: complaint.TransitionsFrom(r.state)}
	}
	r.state = next
	r.revision++
	return d.view(r, custody.StateMasked, []string{}), nil
}

// Trail implements httpapi.Door.
func (d *Door) Trail(_ context.Context, c custody.Caller, id, _ string) (*custody.Trail, error) {
	if err := d.enter("trail", c); err != nil {
		return nil, err
	}
	defer d.mu.Unlock()
	if _, err := d.find(id); err != nil {
		return nil, err
	}
	at := time.Date(2026, 3, 2, 9, 0, 0, 0, time.UTC)
	return &custody.Trail{ID: id, Audit: d.audit(), Items: []custody.TrailItem{
		{Entry: 7, At: at, Stage: "intent", Kind: "access.reveal", Actor: "a1b2", Roles: []string{"handler"}, Purpose: "handle", Fields: []string{"phone"}, Result: "allow", Rule: "R3", Article: "6.1.3"},
	}}, nil
}

// Entry implements httpapi.Door.
func (d *Door) Entry(_ context.Context, c custody.Caller, entry uint64) (*custody.EntryView, error) {
	if err := d.enter("entry", c); err != nil {
		return nil, err
	}
	defer d.mu.Unlock()
	if entry > 1000+d.entries {
		return nil, custody.ErrNotFound
	}
	index := entry - 1
	return &custody.EntryView{Entry: entry, State: "sequenced", Index: &index, Log: "demo-bank/2026", LeafHash: strings.Repeat("ef", 32)}, nil
}

// LogFile implements httpapi.Door: there are a checkpoint and one bundle.
func (d *Door) LogFile(_ context.Context, c custody.Caller, _ string, year int, path string) (*custody.LogFile, error) {
	if err := d.enter("log_file", c); err != nil {
		return nil, err
	}
	defer d.mu.Unlock()
	switch {
	case year == 2026 && path == "checkpoint":
		return &custody.LogFile{Contents: []byte("sealtrail.example/demo-bank/2026\n"), Text: true}, nil
	case year == 2026 && path == "tile/entries/x001/067.p/3":
		return &custody.LogFile{Contents: []byte{0, 1, 2}, Audit: d.audit()}, nil
	}
	return nil, custody.ErrNotFound
}

// Report implements httpapi.Door.
func (d *Door) Report(_ context.Context, c custody.Caller, _, _ string) (*supervision.Report, custody.AuditRef, error) {
	if err := d.enter("report", c); err != nil {
		return nil, custody.AuditRef{}, err
	}
	defer d.mu.Unlock()
	return d.Figures, d.audit(), nil
}
