package custody

import (
	"context"
	"errors"
	"fmt"

	"github.com/sealtrail/sealtrail/audit"
	"github.com/sealtrail/sealtrail/internal/complaint"
	"github.com/sealtrail/sealtrail/internal/store"
)

// ErrShredded says that the record was erased: 410, for whoever may see its
// metadata.
var ErrShredded = errors.New("the record was erased")

// ShreddedError names the erasure; it wraps ErrShredded.
type ShreddedError struct {
	Erased
	Audit AuditRef
}

// Error names the erasure only.
func (e *ShreddedError) Error() string { return ErrShredded.Error() + ": erasure " + e.Erasure }

// Unwrap makes errors.Is find ErrShredded.
func (e *ShreddedError) Unwrap() error { return ErrShredded }

// gone looks whether a record without a key was erased: keys.destroyed says so,
// which travels with the keys and so knows also beside an older copy of the
// data; or the row says so and the log bears it out. Nil means that it was not:
// then a missing key is a loss, and opening finds it.
func (d *Door) gone(ctx context.Context, a *asked) (*Erased, error) {
	if a.row == nil || a.key != nil {
		return nil, nil
	}
	shredded, err := d.cfg.Store.WasShredded(ctx, d.cfg.Institution, a.row.ID)
	if err != nil {
		return nil, storeError(err)
	}
	if !shredded && a.row.State != complaint.StateErased {
		return nil, nil
	}
	said, err := d.erasureOf(ctx, a.row.ID)
	if err != nil {
		return nil, err
	}
	if said == nil && shredded {
		// The log is older than the keys, or somebody took the key away by hand.
		return &Erased{}, d.unlogged(ctx, a, "erasure.unlogged", "keys.destroyed")
	}
	return said, nil
}

// erasureOf finds the entry that says that a record was erased; nil: none says.
func (d *Door) erasureOf(ctx context.Context, id string) (*Erased, error) {
	entries, err := d.cfg.Log.Trail(ctx, subjectOf(id), registerTrail)
	if err != nil {
		return nil, logError(err)
	}
	for _, e := range entries {
		b, err := audit.ParseBody(e.Body)
		if err != nil {
			return nil, fmt.Errorf("%w: entry %d of the log", ErrIntegrity, e.ID)
		}
		if b.Stage == audit.StageEvent && b.Kind == "erasure.shredded" {
			erasure, _ := b.Facts.Text("erasure")
			return &Erased{Erasure: erasure, Entry: e.ID}, nil
		}
	}
	return nil, nil
}

// decideErased answers for a record that was erased. Whoever may see that the
// record is there hears that it is erased, others that there is none. Its trail
// alone stays readable, decided as that of a restricted record.
func (d *Door) decideErased(ctx context.Context, a *asked, e *Erased) error {
	row := *a.row // of an older copy of the data it may say anything
	row.State, row.Stage = complaint.StateErased, complaint.StageRestricted
	a.row, a.erased = &row, e
	var err error
	a.decision, err = d.cfg.Policy.Decide(ctx, a.request(d.cfg.Institution, a.row))
	d.decided(ctx, a.action, a.decision)
	if err != nil {
		return d.undecidable(ctx, a, err)
	}
	if !a.decision.Allowed() && a.decision.MetaDenied() {
		return d.notFound(ctx, a)
	}
	if a.action == "trail" || a.action == "looked" || a.action == "evidence" {
		if !a.decision.Allowed() {
			return d.refuse(ctx, a)
		}
		return nil
	}
	told := a.body(audit.StageEvent, "access.read", audit.Facts{"masked": 0})
	if !a.decision.Allowed() {
		told = a.denial(false)
	}
	receipt, err := d.record(ctx, told)
	if err != nil {
		return err
	}
	return &ShreddedError{Erased: *e, Audit: receiptRef(receipt)}
}

// erasedField reports whether a field's group was erased from the record.
func erasedField(row *store.Complaint, f complaint.Field) bool {
	for _, group := range row.ErasedGroups {
		if group == f.Group {
			return true
		}
	}
	return false
}
