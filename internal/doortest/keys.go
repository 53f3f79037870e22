package doortest

import (
	"context"
	"time"

	"github.com/sealtrail/sealtrail/internal/custody"
)

// Keys implements httpapi.MasterKeys.
func (d *Door) Keys(_ context.Context, c custody.Caller, _ string) (*custody.Keys, error) {
	if err := d.enter("keys", c); err != nil {
		return nil, err
	}
	defer d.mu.Unlock()
	return &custody.Keys{Keys: []custody.MasterKey{{Name: c.Institution + "-record", Use: "record", Type: "aes256-gcm96", Latest: 2, MinDecryption: 1, State: "current",
		Wrapped: []custody.KeyVersion{{Version: 1, Records: 3}, {Version: 2, Records: 4}}}}, Epochs: d.epochs, Jobs: []custody.KeyJob{}, Audit: d.audit()}, nil
}

// ProposeEpoch implements httpapi.MasterKeys.
func (d *Door) ProposeEpoch(_ context.Context, c custody.Caller, r custody.EpochRequest) (*custody.KeyEpoch, error) {
	if err := d.enter("propose_epoch", c); err != nil {
		return nil, err
	}
	defer d.mu.Unlock()
	e := &custody.KeyEpoch{Key: c.Institution + "-record", Version: r.Version, State: "proposed", ProposedBy: c.Person, ProposedAt: time.Now().UTC(), Audit: d.audit()}
	d.epochs = append(d.epochs, e)
	return e, nil
}

// ConfirmEpoch implements httpapi.MasterKeys.
func (d *Door) ConfirmEpoch(_ context.Context, c custody.Caller, r custody.EpochRequest) (*custody.KeyEpoch, error) {
	return d.settleEpoch("confirm_epoch", c, r, func(e *custody.KeyEpoch) error {
		if e.ProposedBy == c.Person {
			return &custody.ConflictError{Code: "self_approval", State: e.State}
		}
		e.State, e.ConfirmedBy = "confirmed", c.Person
		return nil
	})
}

// WithdrawEpoch implements httpapi.MasterKeys.
func (d *Door) WithdrawEpoch(_ context.Context, c custody.Caller, r custody.EpochRequest) (*custody.KeyEpoch, error) {
	return d.settleEpoch("withdraw_epoch", c, r, func(e *custody.KeyEpoch) error { e.State = "withdrawn"; return nil })
}

func (d *Door) settleEpoch(act string, c custody.Caller, r custody.EpochRequest, settle func(*custody.KeyEpoch) error) (*custody.KeyEpoch, error) {
	if err := d.enter(act, c); err != nil {
		return nil, err
	}
	defer d.mu.Unlock()
	for _, e := range d.epochs {
		if e.Version == r.Version {
			return e, settle(e)
		}
	}
	return nil, custody.ErrNotFound
}
