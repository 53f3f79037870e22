package custody

import (
	"context"
	"errors"

	"github.com/sealtrail/sealtrail/audit"
)

// ErrLost says that the log names the record and the tables have lost it: 410,
// for whoever may read the log; for others there is no such record.
var ErrLost = errors.New("the record is lost")

// LostError names the entry of the attempt; it wraps ErrLost.
type LostError struct{ Audit AuditRef }

// Error is that of ErrLost.
func (e *LostError) Error() string { return ErrLost.Error() }

// Unwrap makes errors.Is find ErrLost.
func (e *LostError) Unwrap() error { return ErrLost }

// seesLog reports whether the caller may read the log for the purpose named. Of
// a record that is lost the attributes are lost, too, so nothing else can decide
// who may hear of it.
func (d *Door) seesLog(ctx context.Context, a *asked) bool {
	b := *a
	b.question = question{action: "log", purpose: a.purpose}
	decision, err := d.cfg.Policy.Decide(ctx, b.request(d.cfg.Institution, nil))
	return err == nil && decision.Allowed()
}

// missing answers, to whoever may read the log, for a record that it names and
// the table lacks: erased, if it says so, else lost.
func (d *Door) missing(ctx context.Context, a *asked) error {
	said, err := d.erasureOf(ctx, a.id)
	if err != nil {
		return err
	}
	told := a.body(audit.StageEvent, "access.log", audit.Facts{})
	told.Subject = subjectOf(a.id)
	receipt, err := d.record(ctx, told)
	if err != nil {
		return err
	}
	if said != nil {
		return &ShreddedError{Erased: *said, Audit: receiptRef(receipt)}
	}
	return &LostError{Audit: receiptRef(receipt)}
}
