package custody

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync/atomic"

	"github.com/sealtrail/sealtrail/audit"
	"github.com/sealtrail/sealtrail/internal/complaint"
	"github.com/sealtrail/sealtrail/internal/store"
)

// firstEpoch is the generation of the tokens that are compared for ever and so
// cannot be replaced: the staff id of a person of the register (which is not
// kept in clear), those that a complaint's row carries for recusal and for its
// data subject, and idempotency keys. docs/decisions/0017-first-index-epoch.md
// says what that costs.
const firstEpoch = 1

// generations are the epochs of the blind index that are written: the current
// one, which searches read, and behind it the one that is being built, if any.
type generations []uint32

func (g generations) current() uint32 { return g[0] }

// expand asks for every value in each generation that is written, the current
// one first, and for the first one of what a row itself carries. With that
// generation alone it fills in items and allocates nothing.
func (g generations) expand(items []IndexItem) []IndexItem {
	if len(g) == 1 && g[0] == firstEpoch {
		for i := range items {
			items[i].Epoch = firstEpoch
		}
		return items
	}
	all := make([]IndexItem, 0, len(items)*(len(g)+1))
	for _, item := range items {
		for _, epoch := range g {
			item.Epoch = epoch
			all = append(all, item)
		}
		if carried(item.Field) && !slices.Contains(g, firstEpoch) {
			item.Epoch = firstEpoch
			all = append(all, item)
		}
	}
	return all
}

// carried says whether a row itself carries the token of a field.
func carried(name string) bool { return name == "respondent_staff_id" || name == "id_number" }

// searched leaves out the tokens that only rows carry.
func (g generations) searched(tokens []store.Token) []store.Token {
	if len(g) == 1 && g[0] == firstEpoch || slices.Contains(g, firstEpoch) {
		return tokens
	}
	return slices.DeleteFunc(slices.Clone(tokens), func(t store.Token) bool { return !slices.Contains(g, t.Epoch) })
}

// index remembers the generations. It may be wrong at any moment: whoever
// writes or searches by it is told so by the database (store.ErrIndexMoved),
// and looks again.
type index struct{ known atomic.Pointer[generations] }

func (x *index) get(ctx context.Context, d *Door) (generations, error) {
	if g := x.known.Load(); g != nil {
		return *g, nil
	}
	g, said, err := d.readGenerations(ctx)
	if err == nil && said != g.current() {
		// Somebody may have switched between the reading of the table and of the log.
		g, said, err = d.readGenerations(ctx)
	}
	if err != nil {
		return nil, err
	}
	if said != g.current() {
		return nil, d.unswitched(ctx, g.current())
	}
	x.known.Store(&g)
	return g, nil
}

// readGenerations reads them from the table, and from the log which one was
// switched to last: in one that nobody finished building, or that is not written
// any more, searches would miss complaints without a word.
func (d *Door) readGenerations(ctx context.Context) (g generations, said uint32, err error) {
	epochs, err := d.cfg.Store.IndexEpochs(ctx, d.cfg.Institution, "")
	if err != nil {
		return nil, 0, storeError(err)
	}
	for _, e := range epochs {
		switch e.State {
		case store.IndexCurrent:
			g = slices.Insert(g, 0, uint32(e.Epoch))
		case store.IndexBuilding:
			g = append(g, uint32(e.Epoch))
		}
	}
	said = firstEpoch
	for n := firstEpoch + 1; n <= epochs[len(epochs)-1].Epoch+1; n++ { // and the one that the table may have lost
		switched, err := d.says(ctx, keySubject(d.indexKey(n)), "index.epoch_switched", func(b *audit.Body) bool {
			epoch, _ := b.Facts.Int("epoch")
			return epoch == int64(n)
		})
		if err != nil {
			return nil, 0, err
		}
		if switched {
			said = uint32(n)
		}
	}
	if len(g) == 0 {
		return nil, 0, errors.New("reading the index's generations: none is current")
	}
	return g, said, nil
}

// unswitched makes it an entry that the table calls a generation current that
// the log's last switch is not to.
func (d *Door) unswitched(ctx context.Context, current uint32) error {
	b, err := d.serviceEvent(ctx, "access.integrity", keySubject(d.indexKey(int(current))), audit.Facts{"what": "index.unlogged", "table": "keys.index_epoch"})
	if err != nil {
		return err
	}
	if _, err := d.record(ctx, b); err != nil {
		return err
	}
	return fmt.Errorf("%w: index.unlogged", ErrIntegrity)
}

// moved reports whether err says that the generations are others by now, and
// forgets those that were known.
func (x *index) moved(err error) bool {
	if !errors.Is(err, store.ErrIndexMoved) {
		return false
	}
	x.known.Store(nil)
	return true
}

// find looks a value up in the current generation of the index.
func (d *Door) find(ctx context.Context, item IndexItem, limit int) ([]store.Found, error) {
	for attempt := 0; ; attempt++ {
		g, err := d.index.get(ctx, d)
		if err != nil {
			return nil, err
		}
		item.Epoch = g.current()
		tokens, err := d.tokensFor(ctx, []IndexItem{item})
		if err != nil {
			return nil, keyError(err)
		}
		found, err := d.cfg.Store.FindByToken(ctx, d.cfg.Institution, store.Token{Field: item.Field, Epoch: item.Epoch, Token: tokens[0]}, limit)
		if !d.index.moved(err) || attempt == 2 {
			return found, storeError(err)
		}
	}
}

// indexed says whether the catalogue wants a field in the blind index.
func indexed(name string) bool {
	f, ok := complaint.FieldByName(name)
	return ok && f.Index != ""
}
