package custody

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/sealtrail/sealtrail/audit"
	"github.com/sealtrail/sealtrail/audit/pglog"
	"github.com/sealtrail/sealtrail/crypto/field"
	"github.com/sealtrail/sealtrail/crypto/keyring"
	"github.com/sealtrail/sealtrail/internal/complaint"
	"github.com/sealtrail/sealtrail/internal/store"
	"github.com/sealtrail/sealtrail/policy"
)

// recordType is the type of record in every place that custody seals.
const recordType = "complaint"

// opened is a record whose key is borrowed and whose manifest is verified.
// It opens exactly the fields that its receipt names.
type opened struct {
	row      *store.Complaint
	lease    *keyring.Lease
	opener   *field.Opener
	manifest *field.Manifest
	values   map[string]field.Plain
}

// close clears every value and returns the key. Nothing opened may be used
// after it.
func (o *opened) close() {
	if o.lease == nil {
		return
	}
	o.opener.Close()
	o.opener.Wipe()
	o.lease.Release()
	o.lease = nil
}

// keyUse names the call to Vault, or the lease, that the opening rests on.
func (o *opened) keyUse() *audit.KeyUse {
	if o.lease == nil {
		return nil
	}
	if o.lease.Use() == 1 {
		return &audit.KeyUse{Version: o.lease.KeyVersion(), Batch: o.lease.Batch(), Item: o.lease.Item()}
	}
	return &audit.KeyUse{Version: o.lease.KeyVersion(), Lease: o.lease.Batch(), Use: o.lease.Use()}
}

// open is the only place in Sealtrail where a sealed field of a complaint is
// opened. It takes the decision (in a) and the receipt of its durable intent
// and refuses a pair that does not belong together: another record, revision,
// decision or set of fields, or no receipt at all. It verifies the manifest
// against the very attributes that were decided on before it opens anything.
func (d *Door) open(ctx context.Context, a *asked, receipt pglog.Receipt, fields []string) (*opened, error) {
	if err := d.bound(a, receipt, fields); err != nil {
		return nil, err
	}
	if len(fields) == 0 && a.metadataOnly() {
		return &opened{row: a.row}, nil // no key is needed
	}
	o, err := d.lend(ctx, a, receipt)
	if err != nil {
		return nil, d.broken(ctx, a, receipt, err)
	}
	for _, name := range fields {
		if o.values[name], err = o.one(name); err != nil {
			o.close()
			return nil, d.broken(ctx, a, receipt, err)
		}
	}
	return o, nil
}

// bound checks that the receipt stands for this very opening.
func (d *Door) bound(a *asked, receipt pglog.Receipt, fields []string) error {
	if !receipt.Valid() || receipt.Stage() != audit.StageIntent || !a.decision.Allowed() {
		return errors.New("opening a record: no receipt of an allowed intent")
	}
	if receipt.Binding() != pglog.BindingOf(d.cfg.Institution, subjectOf(a.row.ID), a.row.Revision, a.decision.ID(), fields) {
		return errors.New("opening a record: the receipt is for another opening")
	}
	for _, name := range fields {
		if a.caller.indexes(a.action, name) {
			continue // for the index alone: reindex.go
		}
		if effect := a.decision.Effect(name); effect == policy.Deny || inClear(a.action) && effect != policy.Reveal {
			return fmt.Errorf("opening a record: field %s is denied", name)
		}
	}
	return nil
}

// inClear says that an action gives fields away in clear, not masked or altered.
func inClear(action string) bool {
	return action == "reveal" || action == "disclose" || action == "leave"
}

// lend borrows the record's key and verifies its manifest.
func (d *Door) lend(ctx context.Context, a *asked, receipt pglog.Receipt) (*opened, error) {
	lease, err := d.borrow(ctx, a, receipt)
	if err != nil {
		return nil, err
	}
	opener, err := field.NewOpener(lease.Key())
	if err != nil {
		lease.Release()
		return nil, err
	}
	o := &opened{row: a.row, lease: lease, opener: opener, values: map[string]field.Plain{}}
	o.manifest, err = opener.VerifyManifest(manifestInput(a.row), a.row.Manifest)
	if err == nil {
		// What was emptied or planted in the database is not "never stored".
		err = o.manifest.CheckSet(a.row.Stored())
	}
	if err != nil {
		o.close()
		return nil, err
	}
	return o, nil
}

// metadataOnly reports whether the answer says nothing of any sealed field, not
// even that it is empty.
func (a *asked) metadataOnly() bool {
	if a.metaOnly || a.action == "list" {
		return true
	}
	return a.action == "read" && !slices.ContainsFunc(store.SealedFields, func(name string) bool { return a.decision.Effect(name) != policy.Deny })
}

// one opens one field, if its envelope is the one that the manifest lists.
func (o *opened) one(name string) (field.Plain, error) {
	envelope, _ := o.row.Field(name)
	if err := o.manifest.Check(name, envelope); err != nil {
		return field.Plain{}, err
	}
	digest, _ := o.manifest.Field(name)
	return o.opener.Open(place(o.row, name, digest.Revision), envelope)
}

// broken turns an error of opening into the door's own, and makes a finding of
// integrity an entry: that a stored record is not what was sealed is news for
// the trail, whoever asked.
func (d *Door) broken(ctx context.Context, a *asked, receipt pglog.Receipt, err error) error {
	if errors.Is(err, field.ErrIntegrity) || errors.Is(err, keyring.ErrRetired) {
		what, path := "key", ""
		if finding, ok := errors.AsType[*field.IntegrityError](err); ok {
			what, path = finding.What, finding.Path
		}
		facts := audit.Facts{"action": a.action, "what": what, "table": "sealtrail.complaint"}
		if path != "" {
			facts["field"] = path
		}
		b := a.body(audit.StageEvent, "access.integrity", facts)
		if _, err := d.record(ctx, b); err != nil {
			return err
		}
		d.outcome(ctx, a, []pglog.Receipt{receipt}, nil, "integrity")
		return fmt.Errorf("%w: %s", ErrIntegrity, what)
	}
	d.outcome(ctx, a, []pglog.Receipt{receipt}, nil, "unavailable")
	return keyError(err)
}

func keyError(err error) error {
	if errors.Is(err, keyring.ErrUnavailable) || errors.Is(err, context.DeadlineExceeded) || errors.Is(err, field.ErrDestroyed) || errors.Is(err, keyring.ErrSuperseded) {
		return fmt.Errorf("%w: %s", ErrKeysUnavailable, keyCause(err))
	}
	return err
}

// keyCause says why in one word.
func keyCause(err error) string {
	if errors.Is(err, keyring.ErrSuperseded) {
		return "superseded" // the policy was replaced between decision and opening: decide again
	}
	return string(keyring.CauseOf(err))
}

func keyID(row *store.Complaint) keyring.RecordID {
	return keyring.RecordID{Institution: row.Institution, Record: row.ID, Generation: row.Generation}
}

func place(row *store.Complaint, path string, revision uint64) field.Place {
	return field.Place{Institution: row.Institution, Record: row.ID, RecordType: recordType, Path: path,
		SchemaVersion: row.SchemaVersion, Generation: row.Generation, Revision: revision, Suite: row.Suite}
}

func manifestInput(row *store.Complaint) field.ManifestInput {
	attrs := attrsOf(row)
	return field.ManifestInput{Institution: row.Institution, Record: row.ID, Revision: row.Revision,
		SchemaVersion: row.SchemaVersion, Suite: row.Suite, Attrs: attrs.Canonical()}
}

// attrsOf gathers the clear attributes of a row that its manifest covers.
func attrsOf(row *store.Complaint) complaint.Attrs {
	a := complaint.Attrs{
		SchemaVersion: row.SchemaVersion, ComplaintNo: row.ComplaintNo, Source: row.Source, SourceID: row.SourceID,
		State: row.State, Stage: row.Stage, Level: row.Level, Sensitivity: row.Sensitivity,
		Type: row.Type, Channel: row.Channel, Business: row.BusinessCode, Product: row.ProductCode, Reason: row.ReasonCode,
		Assignee: row.Assignee, Department: row.Department, Branch: row.Branch,
		Referral: row.Referral, RegulatorRef: row.RegulatorRef, ThirdParty: row.ThirdParty,
		PartyType: row.PartyType, IDType: row.IDType, AmountBand: row.AmountBand,
		GroupFlag: row.GroupFlag, UnderReview: row.UnderReview, ReceivedAt: row.ReceivedAt, ReceivedEvidence: row.ReceivedEvidence,
		Milestones: row.Milestones, Holds: row.Holds, RespondentTokens: row.RespondentTokens, DataSubjectToken: row.DataSubjectToken,
		EarlierHandlers: row.EarlierHandlers, Actors: row.Performers, ExtensionDays: row.ExtensionDays,
		Files: row.Files, ErasedGroups: row.ErasedGroups, RestrictedFrom: row.RestrictedFrom, RetentionReason: row.RetentionReason,
	}
	if row.RetentionUntil != nil {
		a.RetentionUntil = *row.RetentionUntil
	}
	return a
}
