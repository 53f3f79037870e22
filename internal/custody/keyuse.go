package custody

import (
	"context"

	"github.com/sealtrail/sealtrail/audit"
	"github.com/sealtrail/sealtrail/crypto/keyring"
)

// This file is where data keys and index tokens are asked for. Whatever is asked
// for on behalf of an intent is noted with it, so that its outcome names every
// use of a key, and Vault's own record can be compared with the log item by item
// (internal/reconcile). What is asked for without an intent, in a create, is
// named by the event of the record that it made.

func opened1(l *keyring.Lease) keyUsed {
	return keyUsed{how: usedOpened, batch: l.Batch(), item: l.Item(), use: l.Use()}
}

func (d *Door) lendOne(ctx context.Context, r keyring.LendRequest) (*keyring.Lease, error) {
	lease, err := d.cfg.Keys.LendOne(ctx, r)
	if err == nil {
		d.debts.use(r.Reference, opened1(lease))
	}
	return lease, err
}

func (d *Door) lendBatch(ctx context.Context, reqs []keyring.LendRequest) []keyring.LendResult {
	results := d.cfg.Keys.LendBatch(ctx, reqs)
	for i, r := range results {
		if r.Err == nil {
			d.debts.use(reqs[i].Reference, opened1(r.Lease))
		}
	}
	return results
}

func minted1(l *keyring.Lease) keyUsed {
	u := opened1(l)
	u.how = usedMinted
	return u
}

func (d *Door) mintBatch(ctx context.Context, reqs []keyring.MintRequest) []keyring.MintResult {
	results := d.cfg.Keys.MintBatch(ctx, reqs)
	for i, r := range results {
		if r.Err == nil {
			d.debts.use(reqs[i].Reference, minted1(r.Lease))
		}
	}
	return results
}

func (d *Door) mint(ctx context.Context, id keyring.RecordID, reference string) (*keyring.Lease, keyring.Wrapped, error) {
	r := d.mintBatch(ctx, []keyring.MintRequest{{ID: id, Reference: reference}})[0]
	return r.Lease, r.Wrapped, r.Err
}

// tokensFor computes index tokens for intents.
func (d *Door) tokensFor(ctx context.Context, items []IndexItem) ([][]byte, error) {
	// Not cancelled: a call whose id nobody heard would be one without an account.
	tokens, calls, err := d.cfg.Index.TokensIn(context.WithoutCancel(ctx), items)
	for i, n := 0, 0; i < len(calls); i += n {
		n = 1 // items of one reference and one call are one use
		for i+n < len(calls) && calls[i+n] == calls[i] && items[i+n].Reference == items[i].Reference {
			n++
		}
		if calls[i] != "" {
			d.debts.use(items[i].Reference, keyUsed{how: usedIndexed, batch: calls[i], item: n})
		}
	}
	return tokens, err
}

// indexUses are the uses that some items of a call to TokensIn were.
func indexUses(calls []string) (uses []keyUsed) {
	for i, n := 0, 0; i < len(calls); i += n {
		n = 1
		for i+n < len(calls) && calls[i+n] == calls[i] {
			n++
		}
		if calls[i] != "" {
			uses = append(uses, keyUsed{how: usedIndexed, batch: calls[i], item: n})
		}
	}
	return uses
}

// nameKeys adds uses of keys to the facts of an entry that stands for them itself.
func nameKeys(facts audit.Facts, uses []keyUsed) {
	if len(uses) > 0 {
		facts["keys"] = keysFact([][]keyUsed{uses})
	}
}
