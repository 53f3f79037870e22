package custody

import (
	"context"
	"errors"
	"slices"

	"github.com/jackc/pgx/v5"

	"github.com/sealtrail/sealtrail/audit"
	"github.com/sealtrail/sealtrail/audit/pglog"
	"github.com/sealtrail/sealtrail/internal/complaint"
	"github.com/sealtrail/sealtrail/internal/store"
)

// reduce erases groups of fields: the record gets a new data key without them,
// and the old one, which alone opened them, is destroyed. Until the epoch of the
// master key closes, an older backup of the keys still has it.
func (d *Door) reduce(ctx context.Context, a *asked, e *store.Erasure, i *store.ErasureItem) error {
	if a.key == nil {
		return d.lost(ctx, a)
	}
	facts := audit.Facts{"erasure": e.ID, "basis": e.Basis, "groups": e.Groups, "generation_from": int(a.row.Generation),
		"generation_to": int(a.row.Generation) + 1}
	keyFacts(facts, ofWrapped(a.key))
	receipt, err := d.record(ctx, a.intent("erasure.reduced", nil, facts))
	if err != nil {
		return err
	}
	d.unlend(a)
	o, err := d.open(ctx, a, receipt, nil)
	if err != nil {
		return err
	}
	defer o.close()
	next, gone := without(a.row, e.Groups)
	item := *i
	within := func(ctx context.Context, tx pgx.Tx, old store.DestroyedKey) error {
		r := reducing{Door: d, tx: tx, a: a, next: next, item: &item, files: gone}
		return r.run(ctx, e, facts, old)
	}
	_, err = d.regenerate(ctx, a, receipt, o, next, regen{why: becauseRetention, drop: fieldsOf(e.Groups), within: within})
	if err != nil {
		d.outcome(ctx, a, []pglog.Receipt{receipt}, o, cancelled(err))
		return err
	}
	d.dropFiles(ctx, a.row.ID, gone)
	d.outcome(ctx, a, []pglog.Receipt{receipt}, o, "answered")
	return nil
}

// without is a row without some groups, and the files that go with them.
func without(row *store.Complaint, groups []string) (*store.Complaint, []complaint.File) {
	next := *row
	copyMaps(&next)
	next.ErasedGroups = slices.Compact(slices.Sorted(slices.Values(slices.Concat(row.ErasedGroups, groups))))
	var gone []complaint.File
	next.Files = nil
	for _, file := range row.Files {
		if f, ok := complaint.FieldByName(file.Field); ok && slices.Contains(groups, f.Group) {
			gone = append(gone, file)
			continue
		}
		next.Files = append(next.Files, file)
	}
	return &next, gone
}

// fieldsOf names the sealed fields of groups.
func fieldsOf(groups []string) []string {
	var names []string
	for _, f := range complaint.SealedFields() {
		if slices.Contains(groups, f.Group) {
			names = append(names, f.Name)
		}
	}
	return names
}

// reducing is what an erasure of groups adds to the transaction of a new
// generation, which has locked the row and compared its revision.
type reducing struct {
	*Door
	tx    pgx.Tx
	a     *asked
	next  *store.Complaint
	item  *store.ErasureItem
	files []complaint.File
}

func (r *reducing) run(ctx context.Context, e *store.Erasure, facts audit.Facts, old store.DestroyedKey) error {
	if !sameKey(old, r.a.key) {
		return store.ErrStale // rewrapped meanwhile
	}
	hold, err := r.cfg.Store.OpenHold(ctx, r.tx, r.cfg.Institution, r.next.ID)
	if err != nil {
		return err
	}
	if hold != "" || held(r.a.row) || r.retained(r.a.row, e.Groups) {
		return errKept
	}
	for _, f := range r.files {
		key := store.KeyRef{Kind: store.KeyOfFile, Complaint: r.next.ID, File: f.ID, Generation: int(f.Generation)}
		was, err := r.cfg.Store.DestroyKey(ctx, r.tx, r.cfg.Institution, key, store.DestroyedByShred, r.a.at)
		if err != nil {
			return err
		}
		if !was {
			return store.ErrStale
		}
	}
	keyFacts(facts, old)
	if err := complaint.CheckFacts("erasure.reduced", facts); err != nil {
		return err
	}
	pending, err := r.cfg.Log.AppendTx(ctx, r.tx, r.a.event("erasure.reduced", r.next, facts))
	if err != nil {
		return err
	}
	entry := int64(pending[0].EntryID())
	r.item.Result, r.item.Commitment, r.item.WrappedSHA256, r.item.KeyVersion = "reduced", old.Commitment, old.WrappedSHA256, &old.Version
	r.item.SettledAt, r.item.SettledEntry = &r.a.at, &entry
	return r.cfg.Store.SettleItem(ctx, r.tx, r.item)
}

// lost records that a record's key is not there although nobody destroyed it.
func (d *Door) lost(ctx context.Context, a *asked) error {
	b := a.body(audit.StageEvent, "access.integrity", audit.Facts{"action": a.action, "what": "key.missing", "table": "keys.wrapped"})
	if _, err := d.record(ctx, b); err != nil {
		return err
	}
	return errors.Join(ErrIntegrity, errors.New("key.missing"))
}
