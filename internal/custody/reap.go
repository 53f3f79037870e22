package custody

import (
	"bytes"
	"cmp"
	"context"
	"encoding/hex"
	"errors"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/sealtrail/sealtrail/audit"
	"github.com/sealtrail/sealtrail/internal/complaint"
	"github.com/sealtrail/sealtrail/internal/store"
)

const (
	// silentFor is after how long without a beat a process is fenced, at most:
	// half of the age that is reaped. Whoever was only held up finds out when it
	// writes.
	silentFor = 30 * time.Second
	// reapPage is how many entries are read at once.
	reapPage = 4096
	// reapMost is how many intents one outcome names.
	reapMost = 500
)

// reaper is how far this process has read the log in search of intents without
// an outcome. Only Reap uses it.
type reaper struct {
	mu      sync.Mutex
	started bool
	alias   string // the service's own, of this year
	next    store.Place
	open    map[int64]openIntent
	queries map[string][]int64 // intents by request
}

// openIntent is an intent that the log has no outcome of.
type openIntent struct {
	at             store.Place
	seqAt          time.Time
	nonce, request string
	query          bool // of a search: the outcome of its request is its own
}

// Reap closes intents that are older than after and whose outcome nobody can
// write any more: their process died, or lost it. Each gets exactly one outcome,
// "unknown", whoever reaps and however often. It returns how many it closed; 0
// too when another process is at it. The error is one of the store or the log.
//
// crash here: anywhere, nothing is lost: what is closed, and the mark that it
// is, are one transaction; the place reached only saves reading.
func (d *Door) Reap(ctx context.Context, after time.Duration) (closed int, err error) {
	r := &d.reaper
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.alias, err = d.cfg.Log.Alias(ctx, servicePerson); err != nil {
		return 0, logError(err)
	}
	if _, err := d.cfg.Store.FenceSilent(ctx, d.cfg.Institution, d.debts.id(), min(silentFor, max(after/2, 2*beatEvery))); err != nil {
		return 0, storeError(err)
	}
	if !r.started {
		if r.next, err = d.cfg.Store.ReapedTo(ctx, d.cfg.Institution); err != nil {
			return 0, storeError(err)
		}
		r.open, r.queries, r.started = map[int64]openIntent{}, map[string][]int64{}, true
	}
	err = r.read(func(from store.Place) ([]store.Leaf, error) {
		return d.cfg.Store.Leaves(ctx, d.cfg.Institution, from, reapPage)
	})
	if err != nil {
		return 0, storeError(err)
	}
	err = d.cfg.Store.Reap(ctx, d.cfg.Institution, func(turn *store.Reaping) (err error) {
		closed, err = d.reap(ctx, turn, after)
		return err
	})
	if errors.Is(err, store.ErrStale) {
		return 0, nil
	}
	if err != nil {
		return 0, txError(err)
	}
	if closed > 0 {
		d.cfg.Logger.WarnContext(ctx, "requests without an outcome closed as unknown", slog.Int("count", closed))
		d.reaped.Add(ctx, int64(closed))
	}
	return closed, nil
}

// reap is one turn.
func (d *Door) reap(ctx context.Context, turn *store.Reaping, after time.Duration) (int, error) {
	r := &d.reaper
	err := r.read(func(from store.Place) ([]store.Leaf, error) { return turn.Leaves(ctx, from, reapPage) })
	if err != nil {
		return 0, err
	}
	list := r.lost(turn, turn.Now.Add(-after))
	taken, err := turn.Take(ctx, list)
	if err != nil {
		return 0, err
	}
	if len(taken) > 0 {
		bodies, err := d.unknown(taken)
		if err != nil {
			return 0, err
		}
		if _, err := d.cfg.Log.AppendTx(ctx, turn.Tx(), bodies...); err != nil {
			return 0, err
		}
	}
	return len(taken), turn.Move(ctx, r.place())
}

// read takes up entries until there are no more.
func (r *reaper) read(more func(store.Place) ([]store.Leaf, error)) error {
	var view audit.BodyView
	for {
		page, err := more(r.next)
		if err != nil {
			return err
		}
		for i := range page {
			r.take(&page[i], &view)
		}
		if len(page) < reapPage {
			return nil
		}
	}
}

func (r *reaper) take(leaf *store.Leaf, view *audit.BodyView) {
	r.next = store.Place{Year: leaf.Year, Index: leaf.Index + 1}
	if leaf.Body == nil || !bytes.Contains(leaf.Body, []byte(`"request":`)) || audit.ScanBody(leaf.Body, view) != nil {
		return
	}
	switch view.Stage() {
	case audit.StageIntent:
		b := view.Body()
		o := openIntent{at: leaf.Place, seqAt: leaf.SeqAt, nonce: hex.EncodeToString(b.Nonce[:]), request: b.Request, query: strings.HasPrefix(b.Subject, "query:")}
		r.open[leaf.ID] = o
		if o.query {
			r.queries[o.request] = append(r.queries[o.request], leaf.ID)
		}
	case audit.StageOutcome:
		b := view.Body()
		for _, id := range r.answers(&b) {
			delete(r.open, id)
		}
		delete(r.queries, b.Request)
	case audit.StageEvent: // answers nothing
	}
}

// answers are the intents that an outcome answers: those that it names, and the
// query of its request. One that names none answers the query alone.
func (r *reaper) answers(b *audit.Body) []int64 {
	ids := slices.Clone(r.queries[b.Request])
	named, _ := b.Facts.List("intents")
	for _, s := range named {
		if entry, ok := intentOf(s); ok {
			ids = append(ids, int64(entry))
		}
	}
	return ids
}

// lost are the open intents sequenced before an instant that nobody answers for,
// in order.
func (r *reaper) lost(turn *store.Reaping, before time.Time) []int64 {
	var old []int64
	for id, o := range r.open {
		if o.seqAt.Before(before) && !slices.ContainsFunc(turn.Living, func(p store.Process) bool { return mayAnswer(p, o) }) {
			old = append(old, id)
		}
	}
	if len(old) == 0 {
		return nil
	}
	said := map[int64]bool{} // outcomes on their way into the log
	var view audit.BodyView
	for _, body := range turn.Pending {
		if audit.ScanBody(body, &view) == nil && view.Stage() == audit.StageOutcome {
			b := view.Body()
			for _, id := range r.answers(&b) {
				said[id] = true
			}
		}
	}
	old = slices.DeleteFunc(old, func(id int64) bool { return said[id] })
	slices.Sort(old)
	return old
}

// mayAnswer says that a living process may still write the outcome of an intent:
// it lists it, or has not said yet what it owes of that time.
func mayAnswer(p store.Process, o openIntent) bool {
	return p.Covers == nil || !p.Covers.After(o.seqAt) || p.Owes[o.nonce]
}

// place is the one before which every intent has an outcome.
func (r *reaper) place() store.Place {
	first := r.next
	for _, o := range r.open {
		if o.at.Year < first.Year || o.at.Year == first.Year && o.at.Index < first.Index {
			first = o.at
		}
	}
	return first
}

// unknown are the outcomes of intents, one for each request.
func (d *Door) unknown(taken []int64) ([]audit.Body, error) {
	by := map[string][]uint64{}
	for _, id := range taken {
		request := d.reaper.open[id].request
		by[request] = append(by[request], uint64(id))
	}
	var bodies []audit.Body
	for request, entries := range by {
		slices.Sort(entries)
		for part := range slices.Chunk(entries, reapMost) {
			b := audit.Body{At: d.now(), Stage: audit.StageOutcome, Kind: "access.result", Actor: audit.Actor{ID: d.reaper.alias, Auth: "service"},
				Subject: "request:" + request, Request: request, Facts: audit.Facts{"outcome": "unknown", "intents": intentsFact(part)}}
			if err := complaint.CheckFacts(b.Kind, b.Facts); err != nil {
				return nil, err
			}
			bodies = append(bodies, b)
		}
	}
	slices.SortFunc(bodies, func(a, b audit.Body) int { return cmp.Compare(a.Request, b.Request) })
	return bodies, nil
}
