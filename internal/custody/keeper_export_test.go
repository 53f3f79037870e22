package custody

import (
	"context"

	"github.com/jackc/pgx/v5"

	"github.com/sealtrail/sealtrail/crypto/field"
)

// KeepersReseal does on some records what the sweep does on a page, without the
// job that lets one sweep work at a time.
func (d *Door) KeepersReseal(ctx context.Context, suite uint8, ids ...string) ([]error, error) {
	page, err := d.keep(ctx, ids, d.resealing(suite).upkeep)
	errs := make([]error, len(page))
	for i, k := range page {
		errs[i] = k.err
	}
	return errs, err
}

// KeeperCaller is a caller as the keeper looks from outside, without its mark.
func (d *Door) KeeperCaller() Caller {
	c := d.keeperCaller("test")
	c.keeper = false
	return c
}

// KeeperSees is what the keeper's decision says of every field.
func (d *Door) KeeperSees(ctx context.Context, id string) (denied, other []string, err error) {
	a, err := d.askRecord(ctx, d.keeperCaller("test"), question{action: keeperAction, purpose: keeperPurpose, id: id})
	if err != nil {
		return nil, nil, err
	}
	for _, name := range a.row.Stored() {
		if len(a.denied([]string{name})) == 1 && a.decision.Effect(name) == 0 {
			denied = append(denied, name)
		} else {
			other = append(other, name)
		}
	}
	return denied, other, nil
}

// Texts opens every text that stands under a record's key beside its fields.
func (d *Door) Texts(ctx context.Context, id string) (texts []string, err error) {
	a, err := d.askRecord(ctx, d.keeperCaller("test"), question{action: keeperAction, purpose: keeperPurpose, id: id})
	if err != nil {
		return nil, err
	}
	receipt, err := d.record(ctx, a.intent("record.scrubbed", nil, nil))
	if err != nil {
		return nil, err
	}
	o, err := d.open(ctx, a, receipt, nil)
	if err != nil {
		return nil, err
	}
	defer o.close()
	err = d.cfg.Store.Tx(ctx, func(tx pgx.Tx) error {
		openings, err := d.cfg.Log.OpeningsOf(ctx, tx, subjectOf(id))
		if err != nil {
			return err
		}
		for _, n := range openings {
			plain, err := o.opener.Open(notePlace(o.row, n.Path, n.EntryID), n.ValueSealed)
			if err != nil {
				return err
			}
			texts = append(texts, n.Path+": "+string(plain.Expose()))
		}
		reasons, err := d.cfg.Store.Reasons(ctx, tx, d.cfg.Institution, id)
		if err != nil {
			return err
		}
		for _, r := range reasons {
			path := map[bool]string{true: "grant_reason", false: "breakglass_reason"}[r.Grant]
			plain, err := field.Open(o.lease.Key(), notePlace(o.row, path, entryOf(r.Sealed)), r.Sealed)
			if err != nil {
				return err
			}
			texts = append(texts, path+": "+string(plain.Expose()))
		}
		return nil
	})
	return texts, err
}
