package custody

import (
	"context"
	"errors"
	"fmt"
	"strconv"

	"github.com/jackc/pgx/v5"

	"github.com/sealtrail/sealtrail/audit"
	"github.com/sealtrail/sealtrail/audit/pglog"
	"github.com/sealtrail/sealtrail/crypto/field"
	"github.com/sealtrail/sealtrail/internal/store"
)

// indexedOf lists the stored fields of a row that the index holds: what a
// keeper's intent names, and so the most that it opens.
func indexedOf(row *store.Complaint) []string {
	var names []string
	for _, name := range row.Stored() {
		if indexed(name) {
			names = append(names, name)
		}
	}
	return names
}

// Reindexing writes the tokens of the generation that is being built for every
// record that lacks one. Searches and changes go on meanwhile, in the current
// generation; both are written from the moment on at which one is opened. tell
// hears of the progress after each page; it may be nil. It can be killed
// anywhere and called again. ErrBusy: another process does it.
func (d *Door) Reindexing(ctx context.Context, tell func(Progress)) (Progress, error) {
	g, err := d.building(ctx)
	if err != nil {
		return Progress{}, err
	}
	return d.run(ctx, d.reindexing(g), tell)
}

// building are the generations while one is being built.
func (d *Door) building(ctx context.Context) (generations, error) {
	d.index.known.Store(nil)
	g, err := d.index.get(ctx, d)
	if err != nil {
		return nil, err
	}
	if len(g) < 2 {
		return nil, &ConflictError{Code: "state_conflict", State: "no index is being built: sealtraild key index-open"}
	}
	return g, nil
}

func (d *Door) reindexing(g generations) sweep {
	epoch := g[len(g)-1]
	return sweep{target: "index-" + strconv.Itoa(int(epoch)),
		next: func(ctx context.Context, after string, limit int) ([]string, error) {
			return d.cfg.Store.Unindexed(ctx, d.cfg.Institution, epoch, after, limit)
		},
		left: func(ctx context.Context) (int64, error) {
			return d.cfg.Store.CountUnindexed(ctx, d.cfg.Institution, epoch)
		},
		upkeep: upkeep{job: "reindex",
			intend: func(a *asked) (string, []string, audit.Facts, bool) {
				fields := indexedOf(a.row)
				return "record.reindexed", fields, audit.Facts{"epoch": int(epoch), "tokens": len(fields)}, len(fields) > 0
			},
			act: func(ctx context.Context, k *kept) error { return d.reindex(ctx, k, g) }}}
}

// reindex opens exactly the indexed fields of a record, has Vault compute their
// tokens and writes those. What was opened is cleared when it returns, and goes
// nowhere but to Vault.
func (d *Door) reindex(ctx context.Context, k *kept, g generations) error {
	built := g[len(g)-1:]
	tokens, err := d.tokensOf(ctx, k, built)
	if err != nil {
		return err
	}
	tokens = built.searched(tokens)
	err = d.cfg.Store.Tx(ctx, func(tx pgx.Tx) error { return d.cfg.Store.AddTokens(ctx, tx, k.a.row, tokens, g) })
	return txError(err)
}

// tokensOf computes the tokens of a record's indexed fields, as they are
// stored, for some generations.
func (d *Door) tokensOf(ctx context.Context, k *kept, epochs generations) ([]store.Token, error) {
	o, err := d.openKept(ctx, k, indexedOf(k.a.row))
	if err != nil {
		return nil, err
	}
	defer o.close()
	return d.tokensIn(ctx, k, o, epochs)
}

func (d *Door) tokensIn(ctx context.Context, k *kept, o *opened, epochs generations) ([]store.Token, error) {
	items, err := o.indexItems(k.receipt)
	if err != nil {
		return nil, d.broken(ctx, k.a, k.receipt, err)
	}
	defer func() {
		for _, item := range items {
			clear(item.Normalised)
		}
	}()
	if len(items) == 0 {
		return nil, nil
	}
	items = epochs.expand(items)
	macs, err := d.tokensFor(ctx, items)
	if err != nil {
		return nil, keyError(err)
	}
	return pair(items, macs), nil
}

// indexItems normalises what was opened. A stored value that is no identifier of
// its kind was not written by this service.
func (o *opened) indexItems(receipt pglog.Receipt) ([]IndexItem, error) {
	var items []IndexItem
	for name, plain := range o.values {
		if !indexed(name) || plain.Len() == 0 {
			continue
		}
		normalised, err := normalise(name, string(plain.Expose()))
		if err != nil {
			return nil, &field.IntegrityError{Path: name, What: "index.value"}
		}
		items = append(items, IndexItem{Field: name, Normalised: normalised, Reference: reference(receipt)})
	}
	return items, nil
}

// SwitchIndex makes the generation that was built the one that searches read. It
// is refused while any record lacks a token of it. Both generations were written
// since this one was opened, so none can come to lack one afterwards.
func (d *Door) SwitchIndex(ctx context.Context, epoch int) (AuditRef, error) {
	g, err := d.building(ctx)
	if err != nil {
		return AuditRef{}, err
	}
	if int(g[len(g)-1]) != epoch {
		return AuditRef{}, &ConflictError{Code: "state_conflict", State: fmt.Sprintf("index %d is not being built", epoch)}
	}
	left, err := d.cfg.Store.CountUnindexed(ctx, d.cfg.Institution, uint32(epoch))
	if err != nil {
		return AuditRef{}, storeError(err)
	}
	if left > 0 {
		return AuditRef{}, &ConflictError{Code: "state_conflict", State: fmt.Sprintf("%d records are not in index %d yet: sealtraild key reindex", left, epoch)}
	}
	counts, err := d.cfg.Store.CountSuites(ctx, d.cfg.Institution)
	if err != nil {
		return AuditRef{}, storeError(err)
	}
	records := int64(0)
	for _, n := range counts {
		records += n
	}
	return d.moveIndex(ctx, epoch, "index.epoch_switched", audit.Facts{"epoch": epoch, "records": int(records)}, func(tx pgx.Tx) error {
		return d.cfg.Store.SwitchIndexEpoch(ctx, tx, d.cfg.Institution, epoch, d.now())
	})
}

// dropPage is how many tokens one statement deletes.
const dropPage = 5000

// DropIndex deletes the tokens of a retired generation. Killed, it goes on when
// it is called again. It returns how many tokens it deleted.
func (d *Door) DropIndex(ctx context.Context, epoch int) (AuditRef, int64, error) {
	deleted := int64(0)
	for {
		n, err := d.cfg.Store.DeleteIndexTokens(ctx, d.cfg.Institution, epoch, dropPage)
		if err != nil {
			return AuditRef{}, deleted, storeError(err)
		}
		if deleted += n; n == 0 {
			break
		}
	}
	ref, err := d.moveIndex(ctx, epoch, "index.epoch_dropped", audit.Facts{"epoch": epoch}, func(tx pgx.Tx) error {
		return d.cfg.Store.DropIndexEpoch(ctx, tx, d.cfg.Institution, epoch)
	})
	return ref, deleted, err
}

// moveIndex changes the generations and says so, both or neither.
func (d *Door) moveIndex(ctx context.Context, epoch int, kind string, facts audit.Facts, move func(pgx.Tx) error) (AuditRef, error) {
	event, err := d.operatorBody(ctx, keySubject(d.indexKey(epoch)), kind, facts)
	if err != nil {
		return AuditRef{}, err
	}
	ref, err := d.changeRegister(ctx, event, move)
	d.index.known.Store(nil)
	if errors.Is(err, ErrStale) {
		err = &ConflictError{Code: "state_conflict", State: "the index is not in the state for this step: sealtraild key status"}
	}
	return ref, err
}
