package custody

import (
	"strconv"
	"time"

	"github.com/sealtrail/sealtrail/audit/pglog"
	"github.com/sealtrail/sealtrail/crypto/field"
	"github.com/sealtrail/sealtrail/internal/clock"
	"github.com/sealtrail/sealtrail/internal/complaint"
	"github.com/sealtrail/sealtrail/internal/scrub"
	"github.com/sealtrail/sealtrail/internal/store"
	"github.com/sealtrail/sealtrail/policy"
)

// hiddenMask is the profile that shows nothing at all: such a field is never
// opened for a masked view.
const hiddenMask = "hidden"

// redactedMask is the profile of free text.
const redactedMask = "redacted"

// maskable lists the fields to open for a masked view: stored, not denied, and
// with something to show.
func (a *asked) maskable() []string {
	var names []string
	for i, name := range store.SealedFields {
		if a.row.Sealed[i] == nil || a.decision.Effect(name) == policy.Deny {
			continue
		}
		if f, ok := complaint.FieldByName(name); ok && f.Mask != hiddenMask {
			names = append(names, name)
		}
	}
	return names
}

// present keeps the requested fields that have a stored value.
func (a *asked) present(requested []string) []string {
	var names []string
	for _, name := range requested {
		if envelope, ok := a.row.Field(name); ok && envelope != nil {
			names = append(names, name)
		}
	}
	return names
}

// masked describes every sealed field for a masked view.
func (a *asked) masked(o *opened, withSealed bool) ([]FieldView, error) {
	if !withSealed {
		return nil, nil
	}
	views := make([]FieldView, 0, len(store.SealedFields))
	for i, name := range store.SealedFields {
		f, ok := complaint.FieldByName(name)
		if !ok {
			continue
		}
		view := FieldView{Name: name, Group: f.Group, State: StateMasked}
		switch {
		case a.decision.Effect(name) == policy.Deny:
			view.State = StateDenied
		case a.row.Sealed[i] == nil && erasedField(a.row, f):
			view.State = StateErased
		case a.row.Sealed[i] == nil:
			view.State = StateEmpty
		case f.Mask == hiddenMask:
			view.Value = complaint.Mask(hiddenMask, "")
		default:
			plain, ok := o.values[name]
			if !ok {
				return nil, &field.IntegrityError{Path: name, What: "manifest.missing"}
			}
			view.Value = o.mask(f.Mask, string(plain.Expose()))
		}
		views = append(views, view)
	}
	return views, nil
}

// mask shows a value as its profile says. A redacted text also loses the names
// that the same record holds in fields that are opened with it: no rule finds a
// name, but these are known.
func (o *opened) mask(profile, value string) string {
	if profile != redactedMask {
		return complaint.Mask(profile, value)
	}
	var names []string
	for _, name := range []string{"complainant_name", "representative_name", "respondent_name"} {
		if plain, ok := o.values[name]; ok && plain.Len() > 0 {
			names = append(names, string(plain.Expose()))
		}
	}
	return scrub.Redact(value, names...)
}

// revealed describes the requested fields in clear.
func (a *asked) revealed(o *opened, requested []string) ([]FieldView, error) {
	views := make([]FieldView, 0, len(requested))
	for _, name := range requested {
		f, _ := complaint.FieldByName(name)
		view := FieldView{Name: name, Group: f.Group, State: StateEmpty}
		if plain, ok := o.values[name]; ok && !plain.Null() {
			view.State, view.Value = StateRevealed, string(plain.Expose())
		} else if !ok && erasedField(a.row, f) {
			view.State = StateErased
		}
		views = append(views, view)
	}
	return views, nil
}

func (d *Door) view(a *asked, receipt pglog.Receipt) *View {
	v := d.metaView(a.row, a.decision)
	v.Audit = receiptRef(receipt)
	return v
}

// metaView shows the clear attributes; it needs no key.
func (d *Door) metaView(row *store.Complaint, decision policy.Decision) *View {
	return &View{ID: row.ID, ComplaintNo: row.ComplaintNo, Revision: row.Revision, Meta: meta(row), Due: d.dues(row),
		Fields: []FieldView{}, Files: fileViews(row, decision), Decision: decisionView(decision)}
}

func meta(row *store.Complaint) map[string]string {
	m := map[string]string{
		"received_at": stamp(row.ReceivedAt), "channel": row.Channel, "source": row.Source, "state": row.State, "stage": row.Stage,
		"level": row.Level, "type": row.Type, "business_code": row.BusinessCode, "product_code": row.ProductCode, "reason_code": row.ReasonCode,
		"branch": row.Branch, "department": row.Department, "assignee": row.Assignee, "third_party": row.ThirdParty,
		"regulator_ref": row.RegulatorRef, "referral": row.Referral, "party_type": row.PartyType, "id_type": row.IDType,
		"amount_band": row.AmountBand, "group_flag": strconv.FormatBool(row.GroupFlag), "legal_hold": strconv.FormatBool(len(row.Holds) > 0),
	}
	if row.RetentionUntil != nil {
		m["retention_until"] = stamp(*row.RetentionUntil)
	}
	for name, value := range m {
		if value == "" {
			delete(m, name)
		}
	}
	return m
}

func stamp(t time.Time) string { return t.UTC().Format(time.RFC3339Nano) }

// milestones are what the clocks read of a row. ExtensionDays holds what was
// validly granted, so each extension here is as good as approved at receipt.
func (d *Door) milestones(row *store.Complaint) clock.Milestones {
	m := clock.Milestones{ReceivedAt: row.ReceivedAt, Events: row.Milestones, Referral: row.Referral}
	for id, days := range row.ExtensionDays {
		def, ok := d.cfg.Profile.Clock(id)
		if !ok {
			continue
		}
		// One extension never passes more than one step of the law's ladder.
		amount := def.Amount
		for _, step := range def.Steps {
			if grant := min(days, step.To-amount); grant > 0 {
				m.Extensions = append(m.Extensions, clock.Extension{Clock: id, Days: grant, ApprovedAt: row.ReceivedAt, Told: true})
				amount, days = amount+grant, days-grant
			}
		}
	}
	return m
}

func (d *Door) dues(row *store.Complaint) []Due {
	list := clock.DueDates(d.cfg.Profile, d.cfg.Calendar, d.milestones(row))
	binding, any := clock.Binding(list)
	dues := make([]Due, len(list))
	for i, c := range list {
		dues[i] = Due{Clock: c.Clock, Basis: c.Basis, Law: c.Law, DueAt: c.DueAt.UTC(), RolledDueAt: c.RolledDueAt.UTC(),
			Provisional: c.Provisional, MetAt: c.Met, Binding: any && c.Clock == binding.Clock}
	}
	return dues
}

// setDue stores the binding limit in the row, for the due lists.
func (d *Door) setDue(row *store.Complaint) {
	row.DueAt, row.DueClock, row.DueProvisional = store.Never, "", false
	binding, ok := clock.Binding(clock.DueDates(d.cfg.Profile, d.cfg.Calendar, d.milestones(row)))
	if ok {
		row.DueAt, row.DueClock, row.DueProvisional = binding.DueAt.UTC(), binding.Clock, binding.Provisional
	}
}
