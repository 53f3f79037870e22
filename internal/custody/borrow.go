package custody

import (
	"context"

	"github.com/sealtrail/sealtrail/audit/pglog"
	"github.com/sealtrail/sealtrail/crypto/field"
	"github.com/sealtrail/sealtrail/crypto/keyring"
	"github.com/sealtrail/sealtrail/internal/store"
)

// lendRequest asks for the key of the record of an intent, bound to the policy
// that the intent was decided under: the keyring lends nothing under a policy
// that has been replaced meanwhile.
func (a *asked) lendRequest(receipt pglog.Receipt) (keyring.LendRequest, error) {
	if a.key == nil {
		return keyring.LendRequest{}, &field.IntegrityError{What: "key.missing"}
	}
	r := keyring.LendRequest{ID: keyID(a.row), Wrapped: keyring.Wrapped{Blob: a.key.Blob, KeyVersion: a.key.Version},
		Reference: reference(receipt), Policy: a.decision.Sequence()}
	if copy(r.Wrapped.Commitment[:], a.key.Commitment) != len(r.Wrapped.Commitment) {
		return keyring.LendRequest{}, &field.IntegrityError{What: "key.commitment"}
	}
	return r, nil
}

// borrow returns the record's key: the one that its page has borrowed already,
// or one that it asks for now.
func (d *Door) borrow(ctx context.Context, a *asked, receipt pglog.Receipt) (*keyring.Lease, error) {
	if lent := a.lent; lent != nil {
		a.lent = nil
		return lent.Lease, lent.Err
	}
	r, err := a.lendRequest(receipt)
	if err != nil {
		return nil, err
	}
	lendCtx, done := d.stage(ctx, stageLend)
	lease, err := d.lendOne(lendCtx, r)
	done(err)
	return lease, err
}

// borrowAll borrows the keys of a page's records in one call to Vault, each for
// the receipt of its own intent. Every record is still opened by itself, by
// open, which checks everything again; an error is kept for the record that it
// concerns. giveBack returns what was not opened.
func (d *Door) borrowAll(ctx context.Context, shown []*asked, receipts []pglog.Receipt) (giveBack func()) {
	var reqs []keyring.LendRequest
	var whose []*asked
	for i, a := range shown {
		fields := a.maskable()
		if a.stale || d.bound(a, receipts[i], fields) != nil || len(fields) == 0 && a.metadataOnly() {
			continue // open refuses it, or needs no key
		}
		if r, err := a.lendRequest(receipts[i]); err == nil {
			reqs, whose = append(reqs, r), append(whose, a)
		}
	}
	if len(reqs) > 0 {
		lendCtx, done := d.stage(ctx, stageLend)
		results := d.lendBatch(lendCtx, reqs)
		done(nil)
		for i := range results {
			whose[i].lent = &results[i]
		}
	}
	return func() {
		for _, a := range whose {
			if a.lent != nil {
				a.lent.Lease.Release()
				a.lent = nil
			}
		}
	}
}

// voidKeys withdraws the keys of a record and of its files: nothing that was
// lent before is lent again without asking Vault anew.
func (d *Door) voidKeys(row *store.Complaint) {
	d.cfg.Keys.Void(keyID(row))
	for _, f := range row.Files {
		d.cfg.Keys.Void(fileKeyID(row.Institution, store.FileRef{Complaint: row.ID, File: f.ID, Generation: f.Generation}))
	}
}
