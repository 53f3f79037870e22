package doortest

import (
	"context"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/sealtrail/sealtrail/internal/complaint"
	"github.com/sealtrail/sealtrail/internal/custody"
	"github.com/sealtrail/sealtrail/internal/receipt"
)

// erasing is what the fake remembers of holds and erasures.
type erasing struct {
	holds    map[string]*custody.LegalHold
	erasures map[string]*custody.Erasure
	gone     map[string]custody.Erased // by complaint
}

func (e *erasing) init() {
	if e.holds == nil {
		e.holds, e.erasures, e.gone = map[string]*custody.LegalHold{}, map[string]*custody.Erasure{}, map[string]custody.Erased{}
	}
}

// when is the time of every act of the fake.
var when = time.Date(2026, 3, 2, 9, 0, 0, 0, time.UTC)

// enterRecord is enter for an act on one record, with its lookup.
func (d *Door) enterRecord(act string, c custody.Caller, id string) (*record, error) {
	if err := d.enter(act, c); err != nil {
		return nil, err
	}
	d.erasing.init()
	r, err := d.find(id)
	if err != nil {
		d.mu.Unlock()
		return nil, err
	}
	return r, nil
}

// PlaceHold implements httpapi.Door.
func (d *Door) PlaceHold(_ context.Context, c custody.Caller, h custody.LegalHold) (*custody.LegalHold, error) {
	if _, err := d.enterRecord("hold", c, h.Complaint); err != nil {
		return nil, err
	}
	defer d.mu.Unlock()
	h.ID, h.PlacedBy, h.PlacedAt, h.State, h.Audit = newID(), c.Person, when, "open", d.audit()
	d.erasing.holds[h.ID] = &h
	return &h, nil
}

// Holds implements httpapi.Door.
func (d *Door) Holds(_ context.Context, c custody.Caller, id, _ string) (*custody.LegalHolds, error) {
	if _, err := d.enterRecord("holds", c, id); err != nil {
		return nil, err
	}
	defer d.mu.Unlock()
	list := &custody.LegalHolds{Items: []custody.LegalHold{}, Audit: d.audit()}
	for _, h := range d.erasing.holds {
		if h.Complaint == id {
			list.Items = append(list.Items, *h)
		}
	}
	return list, nil
}

// AskHoldRelease implements httpapi.Door.
func (d *Door) AskHoldRelease(_ context.Context, c custody.Caller, id string) (*custody.LegalHold, error) {
	return d.changeHold("hold_ask", c, id, func(h *custody.LegalHold) error {
		h.ReleaseAskedBy, h.ReleaseAskedAt, h.State = c.Person, when, "release_asked"
		return nil
	})
}

// ReleaseHold implements httpapi.Door; who asked for it does not release it.
func (d *Door) ReleaseHold(_ context.Context, c custody.Caller, id string) (*custody.LegalHold, error) {
	return d.changeHold("hold_release", c, id, func(h *custody.LegalHold) error {
		switch {
		case h.State != "release_asked":
			return &custody.ConflictError{Code: "state_conflict", State: h.State, Allowed: []string{"ask_release"}}
		case h.ReleaseAskedBy == c.Person:
			return &custody.ConflictError{Code: "self_approval", State: h.State}
		}
		h.ReleasedBy, h.ReleasedAt, h.State = c.Person, when, "released"
		return nil
	})
}

func (d *Door) changeHold(act string, c custody.Caller, id string, change func(*custody.LegalHold) error) (*custody.LegalHold, error) {
	if err := d.enter(act, c); err != nil {
		return nil, err
	}
	defer d.mu.Unlock()
	d.erasing.init()
	h, ok := d.erasing.holds[id]
	if !ok {
		return nil, custody.ErrNotFound
	}
	if err := change(h); err != nil {
		return nil, err
	}
	h.Audit = d.audit()
	copied := *h
	return &copied, nil
}

// RequestErasure implements httpapi.Door: an open record is not asked about.
func (d *Door) RequestErasure(_ context.Context, c custody.Caller, q custody.ErasureRequest) (*custody.Erasure, error) {
	r, err := d.enterRecord("erase_request", c, q.Complaint)
	if err != nil {
		return nil, err
	}
	defer d.mu.Unlock()
	if complaint.StageOf(r.state) == complaint.StageOpen {
		return nil, &custody.ConflictError{Code: "case_open", State: r.state}
	}
	e := &custody.Erasure{ID: newID(), Scope: q.Scope, Complaint: q.Complaint, Groups: q.Groups, Basis: q.Basis, RequestedBy: c.Person, RequestedAt: when,
		State: "requested", Audit: d.audit()}
	d.erasing.erasures[e.ID] = e
	copied := *e
	return &copied, nil
}

// ReviewErasure implements httpapi.Door: a record under an open hold is kept.
func (d *Door) ReviewErasure(_ context.Context, c custody.Caller, id string, approve bool) (*custody.Erasure, error) {
	if err := d.enter("erase_approve", c); err != nil {
		return nil, err
	}
	defer d.mu.Unlock()
	d.erasing.init()
	e, ok := d.erasing.erasures[id]
	switch {
	case !ok:
		return nil, custody.ErrNotFound
	case e.RequestedBy == c.Person:
		return nil, &custody.ConflictError{Code: "self_approval", State: e.State}
	case e.State != "requested":
		return nil, &custody.ConflictError{Code: "already_decided", State: e.State}
	}
	e.DecidedBy, e.DecidedAt, e.State, e.Audit = c.Person, when, "refused", d.audit()
	if approve {
		e.State, e.Items = "executed", []custody.ErasureItem{d.erase(e)}
	}
	copied := *e
	return &copied, nil
}

func (d *Door) erase(e *custody.Erasure) custody.ErasureItem {
	for _, h := range d.erasing.holds {
		if h.Complaint == e.Complaint && h.State != "released" {
			return custody.ErasureItem{Complaint: e.Complaint, Result: "held", Hold: h.ID, Suggest: "restrict", At: when, Entry: 8}
		}
	}
	d.erasing.gone[e.Complaint] = custody.Erased{Erasure: e.ID, Entry: 9}
	return custody.ErasureItem{Complaint: e.Complaint, Result: "shredded", KeyVersion: 1, At: when, Entry: 9}
}

// Erasure implements httpapi.Door.
func (d *Door) Erasure(_ context.Context, c custody.Caller, id, _ string) (*custody.Erasure, error) {
	if err := d.enter("erasure", c); err != nil {
		return nil, err
	}
	defer d.mu.Unlock()
	if e, ok := d.erasing.erasures[id]; ok {
		copied := *e
		return &copied, nil
	}
	return nil, custody.ErrNotFound
}

// Erasures implements httpapi.Door.
func (d *Door) Erasures(_ context.Context, c custody.Caller, state, _ string) (*custody.Erasures, error) {
	if err := d.enter("erasures", c); err != nil {
		return nil, err
	}
	defer d.mu.Unlock()
	list := &custody.Erasures{Items: []custody.Erasure{}, Audit: d.audit()}
	for _, e := range d.erasing.erasures {
		if e.State == state {
			list.Items = append(list.Items, *e)
		}
	}
	slices.SortFunc(list.Items, func(a, b custody.Erasure) int { return strings.Compare(a.ID, b.ID) })
	return list, nil
}

// DueForErasure implements httpapi.Door: every record that is not open is due.
func (d *Door) DueForErasure(_ context.Context, c custody.Caller, _ custody.ListRequest) (*custody.Page, error) {
	if err := d.enter("due", c); err != nil {
		return nil, err
	}
	defer d.mu.Unlock()
	d.erasing.init()
	page := &custody.Page{Items: []custody.View{}, Audit: d.audit()}
	for _, id := range d.order {
		_, gone := d.erasing.gone[id]
		asked := slices.ContainsFunc(slices.Collect(maps.Values(d.erasing.erasures)), func(e *custody.Erasure) bool { return e.Complaint == id && e.State == "requested" })
		if !gone && !asked && complaint.StageOf(d.records[id].state) != complaint.StageOpen {
			v := d.view(d.records[id], custody.StateMasked, nil)
			v.Fields, v.Meta["retention_until"] = nil, "2026-03-01T16:00:00Z"
			page.Items = append(page.Items, *v)
		}
	}
	return page, nil
}

// ErasureReceipt implements httpapi.Door; the fake proves nothing.
func (d *Door) ErasureReceipt(_ context.Context, c custody.Caller, id, _ string) (*receipt.Receipt, custody.AuditRef, error) {
	if err := d.enter("receipt", c); err != nil {
		return nil, custody.AuditRef{}, err
	}
	defer d.mu.Unlock()
	e, ok := d.erasing.erasures[id]
	switch {
	case !ok:
		return nil, custody.AuditRef{}, custody.ErrNotFound
	case e.State != "executed":
		return nil, custody.AuditRef{}, &custody.ConflictError{Code: "state_conflict", State: e.State}
	}
	r := &receipt.Receipt{Format: receipt.Format, Institution: c.Institution, Erasure: e.ID}
	for _, i := range e.Items {
		r.Items = append(r.Items, receipt.Item{Complaint: i.Complaint, Result: i.Result, Stage1: &receipt.Proof{Entry: i.Entry, Leaf: []byte("leaf"), Path: [][]byte{}, Checkpoint: "note\n"}})
	}
	return r, d.audit(), nil
}
