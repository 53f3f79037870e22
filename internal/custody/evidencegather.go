package custody

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/sealtrail/sealtrail/audit"
	"github.com/sealtrail/sealtrail/audit/pglog"
	"github.com/sealtrail/sealtrail/audit/publish"
	"github.com/sealtrail/sealtrail/internal/store"
)

// policySubject and headsSubject are the trails of the service itself that a
// bundle needs: which policy was in force, and where trails end.
const (
	policySubject = "charter:bundle"
	headsSubject  = "charter:heads"
)

// gathering collects the entries of one bundle, each with its proof, as of one
// checkpoint of each year's log.
type gathering struct {
	door     *Door
	readers  map[int]*publish.Reader
	veil     *curtain
	oversees bool
	notes    map[noteKey]openedNote
	subject  string // empty: the bundle shows what a search found
	searched int    // the newest year that was searched

	heads *CommittedHeads
	items []*gathered
}

// gathered is one entry with its proof.
type gathered struct {
	year     int
	index    uint64
	leaf     []byte
	hash     [32]byte
	path     [][]byte
	entry    audit.Leaf
	part     string
	withheld bool
}

// reader reads a year's log.
func (g *gathering) reader(ctx context.Context, year int) (*publish.Reader, error) {
	if r := g.readers[year]; r != nil {
		return r, nil
	}
	folder, err := g.door.cfg.Published.Store(year)
	if err != nil {
		return nil, fmt.Errorf("making evidence: %w", err)
	}
	r, err := publish.NewReader(ctx, folder)
	if err != nil {
		return nil, fmt.Errorf("making evidence: %w", err)
	}
	g.readers[year] = r
	return r, nil
}

// take reads one entry as it was published and compares it with what PostgreSQL
// says of it: a bundle shows what was signed, or nothing.
func (g *gathering) take(ctx context.Context, e pglog.TrailEntry, part string) (*gathered, error) {
	i, err := g.takeAt(ctx, e.Year, e.Index, part)
	if err == nil && i.hash != e.LeafHash {
		return nil, fmt.Errorf("%w: entry %d of the log", ErrIntegrity, e.ID)
	}
	return i, err
}

func (g *gathering) takeAt(ctx context.Context, year int, index uint64, part string) (*gathered, error) {
	for _, known := range g.items {
		if known.year == year && known.index == index {
			return known, nil
		}
	}
	r, err := g.reader(ctx, year)
	if err != nil {
		return nil, err
	}
	leaf, path, err := r.Entry(ctx, index)
	if errors.Is(err, publish.ErrNotPublished) {
		return nil, fmt.Errorf("%w: %w", ErrUnpublished, err)
	}
	if err != nil {
		return nil, fmt.Errorf("making evidence: %w", err)
	}
	i := &gathered{year: year, index: index, leaf: leaf, hash: audit.LeafHash(leaf), path: path, part: part}
	if i.entry, err = audit.ParseLeaf(leaf); err != nil {
		return nil, fmt.Errorf("%w: entry at %d of the log", ErrIntegrity, index)
	}
	g.items = append(g.items, i)
	return i, nil
}

// before says whether an entry was there when the trails ended as the heads say.
func (g *gathering) before(e pglog.TrailEntry) bool {
	return e.State == pglog.StateSequenced && (e.Year < g.heads.Of || e.Year == g.heads.Of && e.Index < g.heads.Size)
}

// collect gathers every part. last is the newest entry that the heads must
// speak of; first gathers what the bundle is about.
func (g *gathering) collect(ctx context.Context, last uint64, first func(context.Context) ([]*gathered, error)) error {
	var err error
	if g.heads, err = g.door.cfg.Published.CommitHeads(ctx, last); err != nil {
		return err
	}
	shown, err := first(ctx)
	if err != nil {
		return err
	}
	if _, err := g.trail(ctx, policySubject, "policy"); err != nil {
		return err
	}
	if _, err := g.takeAt(ctx, g.heads.Year, g.heads.Index, "heads"); err != nil {
		return err
	}
	if err := g.outcomes(ctx, shown); err != nil {
		return err
	}
	if err := g.support(ctx, shown); err != nil {
		return err
	}
	slices.SortFunc(g.items, func(a, b *gathered) int { return cmp.Or(cmp.Compare(a.year, b.year), cmp.Compare(a.index, b.index)) })
	return nil
}

// trail gathers a whole trail as of the heads, oldest first.
func (g *gathering) trail(ctx context.Context, subject, part string) ([]*gathered, error) {
	entries, err := g.door.cfg.Log.Trail(ctx, subject, maxEvidenceTrail+1)
	if err != nil {
		return nil, logError(err)
	}
	if len(entries) > maxEvidenceTrail {
		return nil, invalid("/complaint", "too_long")
	}
	var list []*gathered
	for _, e := range slices.Backward(entries) {
		if !g.before(e) {
			continue
		}
		i, err := g.take(ctx, e, part)
		if err != nil {
			return nil, err
		}
		if i.withheld, err = g.kept(ctx, i); err != nil {
			return nil, err
		}
		list = append(list, i)
	}
	return list, nil
}

// kept says whether an entry is not for the caller: of a sealed investigation, or
// one that tells a colleague whom the complaint is about.
func (g *gathering) kept(ctx context.Context, i *gathered) (bool, error) {
	b := &i.entry.Body
	if b.Decision != nil && b.Decision.Reason == recusedReason && !g.oversees {
		return true, nil
	}
	return g.veil.hides(ctx, b)
}

// outcomes gathers what came of the trail's intents: entries of the requests,
// which name the intents.
func (g *gathering) outcomes(ctx context.Context, trail []*gathered) error {
	asked, intents := map[string]bool{}, map[string]bool{}
	for _, i := range trail {
		if !i.withheld {
			intents[fmt.Sprintf("e%d", i.entry.ID)] = true
		}
	}
	for _, i := range trail {
		request := i.entry.Body.Request
		if i.withheld || i.entry.Body.Stage != audit.StageIntent || request == "" || asked[request] {
			continue
		}
		asked[request] = true
		entries, err := g.door.cfg.Log.Trail(ctx, "request:"+request, trailLimit)
		if err != nil {
			return logError(err)
		}
		for _, e := range entries {
			if !g.before(e) || !namesOneOf(e.Body, intents) {
				continue
			}
			if _, err := g.take(ctx, e, "outcome"); err != nil {
				return err
			}
		}
	}
	return nil
}

// namesOneOf says whether an outcome names an intent that is shown.
func namesOneOf(raw []byte, shown map[string]bool) bool {
	b, err := audit.ParseBody(raw)
	if err != nil || b.Stage != audit.StageOutcome {
		return false
	}
	intents, _ := b.Facts.List("intents")
	return slices.ContainsFunc(intents, func(name string) bool { return shown[name] })
}

// support gathers what shows that an erasure was approved: of a hit, the erasure
// of its record; and the request and the approval, where they stand in the trail
// of another record.
func (g *gathering) support(ctx context.Context, shown []*gathered) error {
	asked := map[string]bool{}
	for _, i := range shown {
		subject := i.entry.Body.Subject
		if _, hasNote := i.entry.Body.Commit[keptPath]; i.part == "hit" && hasNote && !asked[subject] {
			asked[subject] = true
			if err := g.erasureOf(ctx, subject); err != nil {
				return err
			}
		}
	}
	for _, i := range slices.Clone(g.items) {
		erasure, _ := i.entry.Body.Facts.Text("erasure")
		if i.entry.Body.Kind != "erasure.shredded" || erasure == "" {
			continue
		}
		e, err := g.door.cfg.Store.Erasure(ctx, g.door.cfg.Institution, erasure)
		if errors.Is(err, store.ErrNotFound) {
			continue // the bundle then says that nothing proves it
		}
		if err != nil {
			return storeError(err)
		}
		if err := g.pick(ctx, subjectOf(e.Complaint), func(b *audit.Body) bool {
			about, _ := b.Facts.Text("erasure")
			return about == erasure && (b.Kind == "erasure.requested" || b.Kind == "erasure.approved")
		}); err != nil {
			return err
		}
	}
	return nil
}

// erasureOf gathers the entry that erased a record, if it was erased.
func (g *gathering) erasureOf(ctx context.Context, subject string) error {
	return g.pick(ctx, subject, func(b *audit.Body) bool { return b.Kind == "erasure.shredded" && b.Stage == audit.StageEvent })
}

// pick gathers some entries of a trail as support; those that are shown already
// stay what they are.
func (g *gathering) pick(ctx context.Context, subject string, wanted func(*audit.Body) bool) error {
	entries, err := g.door.cfg.Log.Trail(ctx, subject, maxEvidenceTrail)
	if err != nil {
		return logError(err)
	}
	for _, e := range entries {
		b, err := audit.ParseBody(e.Body)
		if err != nil || !g.before(e) || !wanted(&b) {
			continue
		}
		if _, err := g.take(ctx, e, "support"); err != nil {
			return err
		}
	}
	return nil
}

// commitments calls f for every commitment of every shown entry that needs a
// word: all but digests of a record's state.
func (g *gathering) commitments(f func(i *gathered, path string) error) error {
	for _, i := range g.items {
		if i.withheld || i.part != "trail" && i.part != "hit" && i.part != "outcome" {
			continue
		}
		for path := range i.entry.Body.Commit {
			if path == "manifest" {
				continue
			}
			if err := f(i, path); err != nil {
				return err
			}
		}
	}
	return nil
}

// answered says whether what an intent asked for was given.
func (g *gathering) answered(intent *gathered) bool {
	name := fmt.Sprintf("e%d", intent.entry.ID)
	return slices.ContainsFunc(g.items, func(i *gathered) bool {
		intents, _ := i.entry.Body.Facts.List("intents")
		outcome, _ := i.entry.Body.Facts.Text("outcome")
		return i.part == "outcome" && slices.Contains(intents, name) && strings.HasPrefix(outcome, "answered")
	})
}
