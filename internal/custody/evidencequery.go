package custody

import (
	"context"
	"fmt"
	"io"
	"slices"

	"github.com/sealtrail/sealtrail/audit"
	"github.com/sealtrail/sealtrail/audit/evidence"
	"github.com/sealtrail/sealtrail/audit/pglog"
	"github.com/sealtrail/sealtrail/audit/publish"
)

// maxEvidenceHits is the most entries that a query's bundle holds; beyond it the
// query must be narrowed.
var maxEvidenceHits = 2000 // a variable for tests

// queryEvidence gathers what a search of the log finds, with proofs. What it
// leaves out it cannot prove: that is said in the bundle's own check.
func (d *Door) queryEvidence(ctx context.Context, c Caller, r EvidenceRequest) (*Evidence, error) {
	search := LogSearch{Purpose: r.Purpose, Text: r.Query}
	s, err := d.askLog(ctx, c, search)
	if err != nil {
		return nil, err
	}
	s.query.Limit = maxEvidenceHits
	found, err := d.cfg.Log.Search(ctx, s.query)
	if err != nil {
		return nil, d.searchError(ctx, s.asked, err)
	}
	body, _ := s.entry(search, audit.Facts{"hits": len(found.Hits), "exported": !found.More})
	receipt, err := d.record(ctx, body)
	if err != nil {
		return nil, err
	}
	if found.More { // an answer too, which is why it comes behind the entry
		return nil, invalid("/query", "too_long")
	}
	veil, err := d.curtain(ctx, c.Person, s.subject.Roles)
	if err != nil {
		return nil, err
	}
	g := &gathering{door: d, readers: map[int]*publish.Reader{}, veil: veil, oversees: s.oversees(), searched: s.pinned.Log}
	hits := func(ctx context.Context) ([]*gathered, error) { return g.hits(ctx, found.Hits) }
	if err := g.collect(ctx, receipt.EntryID(), hits); err != nil {
		return nil, err
	}
	b := &evidence.Bundle{Query: &evidence.Query{Text: r.Query, Size: s.pinned.Size, Log: slices.Index(g.years(), s.pinned.Log)}}
	if b, err = g.bundle(ctx, b, r.Since); err != nil {
		return nil, err
	}
	return &Evidence{Name: fmt.Sprintf("evidence-query-%s.zip", s.at.UTC().Format("20060102T150405Z")), Entries: len(g.items),
		Audit: receiptRef(receipt), Write: func(w io.Writer) error { return evidence.Write(w, b) }}, nil
}

// hits gathers what a search found.
func (g *gathering) hits(ctx context.Context, found []pglog.Hit) (list []*gathered, err error) {
	for _, e := range found {
		i, err := g.take(ctx, e.EntryState, evidence.PartHit)
		if err != nil {
			return nil, err
		}
		list = append(list, i)
	}
	return list, nil
}
