package custody

import (
	"context"
	"errors"
	"sync"

	"github.com/sealtrail/sealtrail/audit"
	"github.com/sealtrail/sealtrail/audit/pglog"
	"github.com/sealtrail/sealtrail/crypto/keyring"
)

// The keeper is the service's own upkeep: it reseals records, indexes them anew
// and probes them. It comes through the door like everybody, is decided on and
// recorded, and no group of fields is ever released to it: what it opens never
// leaves the packages that seal, index or verify it.
//
// A keeper is made in this file and nowhere else. No token and no row of the
// register can become one: the mark is a field that other packages cannot set.
const (
	keeperRole    = "keeper"
	keeperPurpose = "keeping"
	keeperAction  = "keep"
	// servicePerson is who the service is in its log. Nobody can be entered into
	// the register under it.
	servicePerson = "service"
)

// service is the kind of the service itself.
const service Kind = "service"

// keeperCaller is the service at work on one page of a job.
func (d *Door) keeperCaller(job string) Caller {
	return Caller{Institution: d.cfg.Institution, Person: servicePerson, Kind: service, Roles: []string{keeperRole}, Auth: "service",
		Request: job + "-" + shortID(newUUID()), keeper: true}
}

// indexes says that a caller may open a field for the index and for nothing
// else; see reindex.go.
func (c *Caller) indexes(action, name string) bool {
	return c.keeper && action == keeperAction && indexed(name)
}

// upkeep is one kind of work on records.
type upkeep struct {
	job string
	// intend says what is about to be done to a record; ok is false if there is
	// nothing to do.
	intend func(a *asked) (kind string, fields []string, facts audit.Facts, ok bool)
	// prepare asks for what a whole page needs, in one call; nil: nothing. What it
	// gave and act did not use, giveBack takes back.
	prepare func(ctx context.Context, work []*kept) (giveBack func())
	// act does it. Its errors concern this record only, but those of atOnce.
	act func(ctx context.Context, k *kept) error
}

// kept is one record in the keeper's hands.
type kept struct {
	id      string
	a       *asked // nil if it was refused
	receipt pglog.Receipt
	err     error // what came of it; nil: done, or nothing to do
	told    bool  // the log has heard of err already
	minted  *keyring.MintResult
}

// keepPage is how many records one append of intents, and one call to Vault,
// stand for.
const keepPage = 64

// keepers is how many records of a page are worked on at once: enough to share
// commits and calls to Vault, few beside the foreground.
const keepers = 8

// keep does one kind of work on a page of records: ask for each, record every
// intent in one append, borrow all keys in one call, then act on each by itself.
// An error is one that ends the page, because it would meet every record: the
// log, the database or Vault are away.
func (d *Door) keep(ctx context.Context, ids []string, u upkeep) ([]*kept, error) {
	page := make([]*kept, len(ids))
	caller := d.keeperCaller(u.job)
	// 1 ask
	d.each(len(ids), func(i int) {
		one, cancel := context.WithTimeout(ctx, deadline)
		defer cancel()
		k := &kept{id: ids[i]}
		k.a, k.err = d.askRecord(one, caller, question{action: keeperAction, purpose: keeperPurpose, id: ids[i]})
		page[i] = k
	})
	if err := ended(page); err != nil {
		return page, err
	}
	// 2 record
	work, err := d.intendAll(ctx, page, u)
	if err != nil || len(work) == 0 {
		return page, err
	}
	// 3 borrow
	giveBack := d.borrowKept(ctx, work)
	defer giveBack()
	if u.prepare != nil {
		defer u.prepare(ctx, work)()
	}
	// 4 act
	d.each(len(work), func(i int) {
		one, cancel := context.WithTimeout(ctx, deadline)
		defer cancel()
		work[i].err = u.act(one, work[i])
	})
	// 5 record what came of it
	d.settleKept(ctx, work)
	return page, ended(page)
}

// each runs f for 0..n-1, keepers at a time.
func (d *Door) each(n int, f func(i int)) {
	var group sync.WaitGroup
	slots := make(chan struct{}, keepers)
	for i := range n {
		slots <- struct{}{}
		group.Go(func() {
			defer func() { <-slots }()
			f(i)
		})
	}
	group.Wait()
}

// ended is the first error of a page that no record is to blame for.
func ended(page []*kept) error {
	for _, k := range page {
		if away(k.err) {
			return k.err
		}
	}
	return nil
}

// away says that an error would meet every record at the moment.
func away(err error) bool {
	return errors.Is(err, ErrUnrecorded) || errors.Is(err, ErrKeysUnavailable) || errors.Is(err, ErrStoreUnavailable) ||
		errors.Is(err, context.Canceled) || errors.Is(err, context.DeadlineExceeded)
}

// intendAll makes the intents durable in one append.
func (d *Door) intendAll(ctx context.Context, page []*kept, u upkeep) ([]*kept, error) {
	ctx, cancel := context.WithTimeout(ctx, deadline)
	defer cancel()
	var work []*kept
	var bodies []audit.Body
	for _, k := range page {
		if k.err != nil {
			continue
		}
		kind, fields, facts, ok := u.intend(k.a)
		if !ok {
			continue
		}
		work, bodies = append(work, k), append(bodies, k.a.intent(kind, fields, facts))
	}
	if len(work) == 0 {
		return nil, nil
	}
	receipts, err := d.recordAll(ctx, bodies)
	if err != nil {
		return nil, err
	}
	for i, k := range work {
		k.receipt = receipts[i]
	}
	return work, nil
}

// borrowKept borrows the keys of a page in one call to Vault. Keys that nobody
// else was using leave the cache with the page: a walk through all records
// would push out those in use.
func (d *Door) borrowKept(ctx context.Context, work []*kept) (giveBack func()) {
	var reqs []keyring.LendRequest
	var whose []*asked
	var cold []keyring.RecordID
	for _, k := range work {
		r, err := k.a.lendRequest(k.receipt)
		if err != nil {
			continue // open says so
		}
		if !d.cfg.Keys.HasLive(r.ID) {
			cold = append(cold, r.ID)
		}
		reqs, whose = append(reqs, r), append(whose, k.a)
	}
	results := d.lendBatch(ctx, reqs)
	for i := range results {
		whose[i].lent = &results[i]
	}
	return func() {
		for _, a := range whose {
			if a.lent != nil {
				a.lent.Lease.Release()
				a.lent = nil
			}
		}
		for _, id := range cold {
			d.cfg.Keys.Void(id)
		}
	}
}

// openKept opens some fields of a record in the keeper's hands.
func (d *Door) openKept(ctx context.Context, k *kept, fields []string) (*opened, error) {
	o, err := d.open(ctx, k.a, k.receipt, fields)
	k.told = err != nil
	return o, err
}

// mintKept asks for the next generation of each record's key, in one call to
// Vault.
func (d *Door) mintKept(ctx context.Context, work []*kept) (giveBack func()) {
	reqs := make([]keyring.MintRequest, len(work))
	for i, k := range work {
		next := keyID(k.a.row)
		next.Generation++
		reqs[i] = keyring.MintRequest{ID: next, Reference: reference(k.receipt)}
	}
	results := d.mintBatch(ctx, reqs)
	for i, k := range work {
		k.minted = &results[i]
	}
	return func() {
		for i := range results {
			results[i].Lease.Release() // does nothing where it was used
			d.cfg.Keys.Void(reqs[i].ID)
		}
	}
}

// settleKept writes one outcome for all records of a page to which the same
// happened. Findings have one of their own (broken).
func (d *Door) settleKept(ctx context.Context, work []*kept) {
	by := map[string][]pglog.Receipt{}
	for _, k := range work {
		if result := k.outcome(); result != "" {
			by[result] = append(by[result], k.receipt)
		}
	}
	for result, receipts := range by {
		d.outcome(ctx, work[0].a, receipts, nil, result)
	}
}

// outcome is what the log says of one record; empty if it was said already.
func (k *kept) outcome() string {
	switch {
	case k.err == nil:
		return "answered"
	case k.told || errors.Is(k.err, ErrIntegrity):
		return "" // broken has said so
	case errors.Is(k.err, ErrStale):
		return "cancelled"
	case errors.Is(k.err, errUnknown):
		return "unknown"
	}
	return "unavailable"
}

// errUnknown marks a change of which it is not known whether it was made: its
// event, or its absence, tells.
var errUnknown = errors.New("it is not known whether the change was made")
