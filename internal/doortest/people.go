package doortest

import (
	"context"
	"time"

	"github.com/sealtrail/sealtrail/internal/custody"
)

// AddPerson implements httpapi.Register.
func (d *Door) AddPerson(_ context.Context, c custody.Caller, p custody.Person) (*custody.Person, error) {
	if err := d.enter("add_person", c); err != nil {
		return nil, err
	}
	defer d.mu.Unlock()
	p.Status, p.StaffID, p.Audit = "active", "", d.audit()
	d.people[p.ID] = &p
	return &p, nil
}

// Person implements httpapi.Register.
func (d *Door) Person(_ context.Context, c custody.Caller, id string) (*custody.Person, error) {
	if err := d.enter("person", c); err != nil {
		return nil, err
	}
	defer d.mu.Unlock()
	p, ok := d.people[id]
	if !ok {
		return nil, custody.ErrNotFound
	}
	return p, nil
}

// SetStatus implements httpapi.Register.
func (d *Door) SetStatus(ctx context.Context, c custody.Caller, person, status string) (*custody.Person, error) {
	p, err := d.Person(ctx, c, person)
	if err != nil {
		return nil, err
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	p.Status = status
	return p, nil
}

// Appoint implements httpapi.Register.
func (d *Door) Appoint(_ context.Context, c custody.Caller, _ string, duty custody.Duty) (*custody.Duty, error) {
	if err := d.enter("appoint", c); err != nil {
		return nil, err
	}
	defer d.mu.Unlock()
	duty.ID, duty.AppointedBy, duty.Audit = "duty-1", c.Person, d.audit()
	return &duty, nil
}

// ConfirmDuty implements httpapi.Register.
func (d *Door) ConfirmDuty(_ context.Context, c custody.Caller, _, duty string) (*custody.Duty, error) {
	if err := d.enter("confirm", c); err != nil {
		return nil, err
	}
	defer d.mu.Unlock()
	return &custody.Duty{ID: duty, ConfirmedBy: c.Person, Audit: d.audit()}, nil
}

// EndDuty implements httpapi.Register.
func (d *Door) EndDuty(_ context.Context, c custody.Caller, _, duty string) (*custody.Duty, error) {
	if err := d.enter("end", c); err != nil {
		return nil, err
	}
	defer d.mu.Unlock()
	return &custody.Duty{ID: duty, Ended: true, Audit: d.audit()}, nil
}

// RecordTraining implements httpapi.Register.
func (d *Door) RecordTraining(_ context.Context, c custody.Caller, t custody.Training) (*custody.Training, error) {
	if err := d.enter("training", c); err != nil {
		return nil, err
	}
	defer d.mu.Unlock()
	t.Audit = d.audit()
	return &t, nil
}

// SignUndertaking implements httpapi.Register; only for oneself.
func (d *Door) SignUndertaking(_ context.Context, c custody.Caller, u custody.Undertaking) (*custody.Undertaking, error) {
	if err := d.enter("undertaking", c); err != nil {
		return nil, err
	}
	defer d.mu.Unlock()
	if u.Person != c.Person {
		return nil, Refusal()
	}
	u.Audit = d.audit()
	return &u, nil
}

// RequestGrant implements httpapi.Grants.
func (d *Door) RequestGrant(_ context.Context, c custody.Caller, g custody.Grant) (*custody.Grant, error) {
	if err := d.enter("request_grant", c); err != nil {
		return nil, err
	}
	defer d.mu.Unlock()
	if len(g.Complaint) != idLength {
		return nil, custody.ErrNotFound
	}
	g.ID, g.State, g.Requester, g.Reason, g.Audit = "grant-1", "requested", c.Person, "", d.audit()
	d.grants[g.ID] = &g
	return &g, nil
}

// idLength is the length of a complaint's id: nothing else names one.
const idLength = 36

// ReviewGrant implements httpapi.Grants; nobody reviews her own.
func (d *Door) ReviewGrant(_ context.Context, c custody.Caller, id string, approve bool) (*custody.Grant, error) {
	if err := d.enter("review_grant", c); err != nil {
		return nil, err
	}
	defer d.mu.Unlock()
	g, ok := d.grants[id]
	switch {
	case !ok:
		return nil, custody.ErrNotFound
	case g.Requester == c.Person:
		return nil, &custody.ConflictError{Code: "self_approval", State: g.State}
	case g.State != "requested":
		return nil, &custody.ConflictError{Code: "already_decided", State: g.State}
	}
	g.State, g.Reviewer, g.Audit = "refused", c.Person, d.audit()
	if approve {
		g.State, g.From = "issued", time.Date(2026, 3, 2, 9, 0, 0, 0, time.UTC)
		g.Until = g.From.Add(time.Duration(g.Minutes) * time.Minute)
	}
	return g, nil
}

// RevokeGrant implements httpapi.Grants.
func (d *Door) RevokeGrant(_ context.Context, c custody.Caller, id string) (*custody.Grant, error) {
	if err := d.enter("revoke_grant", c); err != nil {
		return nil, err
	}
	defer d.mu.Unlock()
	g, ok := d.grants[id]
	if !ok {
		return nil, custody.ErrNotFound
	}
	g.State = "revoked"
	return g, nil
}

// OpenBreakGlass implements httpapi.Grants.
func (d *Door) OpenBreakGlass(_ context.Context, c custody.Caller, b custody.BreakGlass) (*custody.BreakGlass, error) {
	if err := d.enter("open_break_glass", c); err != nil {
		return nil, err
	}
	defer d.mu.Unlock()
	if len(b.Complaint) != idLength {
		return nil, custody.ErrNotFound
	}
	b.ID, b.State, b.Person, b.Reason, b.Audit = "bg-1", "open", c.Person, "", d.audit()
	d.breaks[b.ID] = &b
	return &b, nil
}

// CloseBreakGlass implements httpapi.Grants.
func (d *Door) CloseBreakGlass(_ context.Context, c custody.Caller, id string) (*custody.BreakGlass, error) {
	return d.endBreakGlass(c, id, "closed", nil)
}

// ReviewBreakGlass implements httpapi.Grants.
func (d *Door) ReviewBreakGlass(_ context.Context, c custody.Caller, id string, justified bool) (*custody.BreakGlass, error) {
	return d.endBreakGlass(c, id, "reviewed", &justified)
}

func (d *Door) endBreakGlass(c custody.Caller, id, state string, justified *bool) (*custody.BreakGlass, error) {
	if err := d.enter(state+"_break_glass", c); err != nil {
		return nil, err
	}
	defer d.mu.Unlock()
	b, ok := d.breaks[id]
	if !ok {
		return nil, custody.ErrNotFound
	}
	b.State, b.Justified, b.Audit = state, justified, d.audit()
	return b, nil
}
