package custody

import (
	"context"
	"slices"
	"time"

	"github.com/sealtrail/sealtrail/internal/complaint"
	"github.com/sealtrail/sealtrail/internal/store"
)

// amlRecord is the requirement by which an institution declares that the
// complaint's copy of identity and transaction evidence is its own record under
// the anti-money-laundering law ("true"). Else the core system's is.
const amlRecord = "complaint_is_aml_record"

// retain stores in a closed record until when it must be kept and by which rule:
// the longest that applies to what it will hold. An end once set only moves
// later.
func (d *Door) retain(ctx context.Context, next *store.Complaint, values sealing) error {
	attrs := attrsOf(next)
	closed := attrs.ClosedAt()
	if closed.IsZero() {
		return nil
	}
	requirements, err := d.cfg.Store.Requirements(ctx, d.cfg.Institution)
	if err != nil {
		return storeError(err)
	}
	var stored []string
	for _, name := range store.SealedFields {
		value, changed := values[name]
		envelope, _ := next.Field(name)
		if changed && value != nil || !changed && envelope != nil {
			stored = append(stored, name)
		}
	}
	until, rule := complaint.Retention(closed, stored, requirements[amlRecord] == "true")
	if next.RetentionUntil == nil || until.After(*next.RetentionUntil) {
		next.RetentionUntil, next.RetentionReason = &until, rule
	}
	return nil
}

// retainedUntil is the end of the statutory retention of groups of a record, or
// of all of it. Zero: it has not begun to run, or is not known.
func retainedUntil(row *store.Complaint, groups []string) time.Time {
	attrs := attrsOf(row)
	return complaint.RetentionEnd(&attrs, groups)
}

// held reports whether the record's own list, which the manifest covers, has a
// hold.
func held(row *store.Complaint) bool { return len(row.Holds) > 0 }

// takesAway reports whether an action would take away from what a legal hold
// preserves: an erasure always, an amendment of what is stored.
func (a *asked) takesAway(row *store.Complaint) bool {
	switch a.action {
	case "erase_approve":
		return held(row)
	case "amend":
		return held(row) && slices.ContainsFunc(a.fields, func(name string) bool {
			envelope, _ := row.Field(name)
			return envelope != nil
		})
	}
	return false
}

// overwrites reports whether values would replace or empty something stored. A
// legal hold forbids that (R25) and nothing else: the law's time limits run on,
// so the complaint is still worked on, and adding takes nothing away.
func overwrites(row *store.Complaint, values sealing) bool {
	for name := range values {
		if envelope, _ := row.Field(name); envelope != nil {
			return true
		}
	}
	return false
}
