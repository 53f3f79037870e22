package pglog

import (
	"context"
	"errors"
	"fmt"
	"math/bits"
	"slices"

	"github.com/jackc/pgx/v5"

	"github.com/sealtrail/sealtrail/audit"
)

// Limits of one search.
const (
	maxTail      = 20_000 // leaves that are looked at one by one because the index has not come to them yet
	maxExamined  = 20_000 // entries that are read for one page
	firstBlocks  = 16     // blocks of the first round; each round has four times as many
	mostBlocks   = 512
	examineBatch = 256
)

// Place is a point in the logs of an institution: everything before it is the leaves of the log of Year before Index, and all
// earlier logs.
type Place struct {
	Year  int
	Index uint64
}

// Query says which leaves are looked for. A leaf is found if each group of All has one of its terms ([Terms]) and None has none.
type Query struct {
	All    [][]string
	None   []string
	Before Place // the newest leaf is the one before it; see [Log.SearchFrom]
	Limit  int   // most hits, at least 1
	// Keep has the last word about an entry, by its own bytes; nil keeps all. It is asked in the order of the hits.
	Keep func(*EntryState, *audit.Body) (bool, error)
}

// Hit is one found entry with its body as read from its verified bytes.
type Hit struct {
	EntryState
	Origin string // name of its log
	Parsed audit.Body
}

// Hits is one page.
type Hits struct {
	Hits []Hit
	// Next is where the next page begins; More is false where there is none. A page that had to read too much ends early: it may
	// have fewer hits than the limit, or none, and More is true.
	Next Place
	More bool
}

// SearchFrom is the place that a new search begins at: the head of the newest log, or as far as the index has come if that is
// far behind (while it is made anew). Searches from the same place give the same answer however much the log grows.
func (l *Log) SearchFrom(ctx context.Context) (Place, error) {
	ctx, cancel := context.WithTimeout(ctx, l.cfg.Deadline)
	defer cancel()
	list, err := lags(ctx, l.cfg.Pool, selectLags+" order by l.year desc limit 1", l.cfg.Institution)
	if err != nil || len(list) == 0 {
		return Place{}, err
	}
	g := list[0]
	return Place{Year: g.shard.Year, Index: min(g.size, g.indexed+maxTail)}, nil
}

// Search finds entries, the newest first, back across years. The index only proposes: each hit is read again, put together as a
// leaf and hashed, and its own terms are compared, so that whoever changes the index can hide entries and show none. Entries
// whose partition is no longer in PostgreSQL are not found. Pending entries are not, either. The error wraps [ErrUnavailable],
// or [ErrTampered] where a stored entry is not what was sequenced.
func (l *Log) Search(ctx context.Context, q Query) (*Hits, error) {
	list, err := lags(ctx, l.cfg.Pool, selectLags+" and l.year <= $2 order by l.year desc", l.cfg.Institution, q.Before.Year)
	if err != nil {
		return nil, err
	}
	s := &search{Query: q, log: l, out: &Hits{}, terms: map[int64]struct{}{}}
	for _, group := range append(slices.Clone(q.All), q.None) {
		for _, term := range group {
			s.terms[termID(term)] = struct{}{}
		}
	}
	for _, g := range list {
		before := g.size
		if g.shard.Year == q.Before.Year {
			before = min(before, q.Before.Index)
		}
		if done, err := s.year(ctx, g, before); err != nil || done {
			return s.out, err
		}
	}
	return s.out, nil
}

// search is one run of Search.
type search struct {
	Query
	log      *Log
	terms    map[int64]struct{}
	out      *Hits
	examined int
}

// year searches one log below an index.
func (s *search) year(ctx context.Context, g lag, before uint64) (done bool, err error) {
	for n := uint64(firstBlocks); before > 0; n = min(4*n, mostBlocks) {
		last := (before - 1) / blockSize
		first := last - min(last, n-1)
		found, err := s.blocks(ctx, g, first, last)
		if err != nil {
			return true, err
		}
		for block := last + 1; block > first; block-- {
			if done, err := s.examine(ctx, g, block-1, found[block-1-first], before); err != nil || done {
				return true, err
			}
		}
		before = first * blockSize
	}
	return false, nil
}

// blocks proposes leaves of the blocks [first, last], by the index as far as it goes and every leaf beyond.
func (s *search) blocks(ctx context.Context, g lag, first, last uint64) ([]*places, error) {
	n := int(last - first + 1)
	rows, err := s.postings(ctx, g.shard, first, last)
	if err != nil {
		return nil, err
	}
	found := make([]*places, n)
	for i := range found {
		block := first + uint64(i)
		var indexed, tail places
		indexed.below(g.indexed - min(g.indexed, block*blockSize))
		tail.below(g.size - min(g.size, block*blockSize))
		tail.without(&indexed)
		for _, group := range s.All {
			var any places
			for _, term := range group {
				if p := rows[posting{int32(block), termID(term)}]; p != nil {
					any.or(p)
				}
			}
			indexed.and(&any)
		}
		for _, term := range s.None {
			if p := rows[posting{int32(block), termID(term)}]; p != nil {
				indexed.without(p)
			}
		}
		indexed.or(&tail)
		found[i] = &indexed
	}
	return found, nil
}

func (s *search) postings(ctx context.Context, shard Shard, first, last uint64) (map[posting]*places, error) {
	found := map[posting]*places{}
	if len(s.terms) == 0 {
		return found, nil
	}
	blocks, terms := make([]int32, 0, last-first+1), make([]int64, 0, len(s.terms))
	for block := first; block <= last; block++ {
		blocks = append(blocks, int32(block))
	}
	for term := range s.terms {
		terms = append(terms, term)
	}
	// One probe of the primary key for each pair, whatever the planner believes of the table: "offset 0" keeps it from joining
	// in another way.
	rows, err := s.log.cfg.Pool.Query(ctx, `
		select p.block, p.term, p.places
		from unnest($3::integer[]) b (block) cross join unnest($4::bigint[]) t (term)
		cross join lateral (
			select * from audit.posting p
			where p.institution = $1 and p.year = $2 and p.block = b.block and p.term = t.term offset 0
		) p`, shard.Institution, shard.Year, blocks, terms)
	if err != nil {
		return nil, unavailable("reading the search index", err)
	}
	var key posting
	var raw []byte
	_, err = pgx.ForEachRow(rows, []any{&key.block, &key.term, &raw}, func() error {
		p := &places{}
		p.read(raw)
		found[key] = p
		return nil
	})
	if err != nil {
		return nil, unavailable("reading the search index", err)
	}
	return found, nil
}

// examine reads the proposed leaves of a block, the newest first, and keeps those that are meant.
func (s *search) examine(ctx context.Context, g lag, block uint64, found *places, before uint64) (done bool, err error) {
	var indexes []int64
	for i := len(found) - 1; i >= 0; i-- {
		for w := found[i]; w != 0; {
			bit := 63 - bits.LeadingZeros64(w)
			w &^= 1 << bit
			if index := block*blockSize + uint64(i*64+bit); index < before {
				indexes = append(indexes, int64(index))
			}
		}
	}
	for batch := range slices.Chunk(indexes, max(min(examineBatch, 2*s.Limit), 16)) {
		hits, err := s.read(ctx, g.shard, batch)
		if err != nil {
			return true, err
		}
		for i := range hits {
			if done, err := s.take(&hits[i]); err != nil || done {
				return true, err
			}
		}
		if s.examined >= maxExamined {
			s.out.More, s.out.Next = true, Place{Year: g.shard.Year, Index: uint64(batch[len(batch)-1])}
			return true, nil
		}
	}
	return false, nil
}

// take decides about one entry. The page is full only when one more hit is known: then there is a next one.
func (s *search) take(h *Hit) (done bool, err error) {
	s.examined++
	if !s.meant(&h.Parsed) {
		return false, nil
	}
	if s.Keep != nil {
		if keep, err := s.Keep(&h.EntryState, &h.Parsed); err != nil || !keep {
			return false, err
		}
	}
	if len(s.out.Hits) == s.Limit {
		s.out.More, s.out.Next = true, Place{Year: h.Year, Index: h.Index + 1}
		return true, nil
	}
	s.out.Hits = append(s.out.Hits, *h)
	return false, nil
}

// meant compares an entry's own terms with the query.
func (s *search) meant(b *audit.Body) bool {
	if len(s.All) == 0 && len(s.None) == 0 {
		return true
	}
	own := Terms(b)
	has := func(term string) bool { return slices.Contains(own, term) }
	for _, group := range s.All {
		if !slices.ContainsFunc(group, has) {
			return false
		}
	}
	return !slices.ContainsFunc(s.None, has)
}

// read gives the entries at these indexes, in their order, verified. What is no longer stored is left out.
func (s *search) read(ctx context.Context, shard Shard, indexes []int64) ([]Hit, error) {
	rows, err := s.log.cfg.Pool.Query(ctx, `
		select `+entryColumns+`
		from unnest($3::bigint[]) i (idx)
		cross join lateral (select * from audit.leaf l where l.institution = $1 and l.year = $2 and l.idx = i.idx offset 0) l
		cross join lateral (select * from audit.entry e where e.institution = $1 and e.id = l.entry_id offset 0) e
		order by l.idx desc`, shard.Institution, shard.Year, indexes)
	if err != nil {
		return nil, unavailable("reading found entries", err)
	}
	list, err := pgx.CollectRows(rows, scanEntry)
	if err != nil {
		return nil, unavailable("reading found entries", err)
	}
	hits := make([]Hit, len(list))
	for i, e := range list {
		if hits[i], err = verified(e, shard.Origin); err != nil {
			return nil, err
		}
	}
	return hits, nil
}

// verified parses a sequenced entry and compares it with its leaf.
func verified(e EntryState, origin string) (Hit, error) {
	h := Hit{EntryState: e, Origin: origin}
	leaf := audit.AssembleLeaf(e.Body, e.Position(origin))
	b, err := audit.ParseBody(e.Body)
	if err != nil || audit.LeafHash(leaf) != e.LeafHash {
		return h, fmt.Errorf("reading entry %d at index %d: %w", e.ID, e.Index, ErrTampered)
	}
	h.Parsed = b
	return h, nil
}

// Position is the place of a sequenced entry in the log of that origin.
func (e *EntryState) Position(origin string) audit.Position {
	return audit.Position{ID: e.ID, Index: e.Index, Log: origin, SeqAt: e.SeqAt, TrailN: e.TrailN, TrailPrev: e.TrailPrev}
}

// RootAt is the Merkle root of a log at a size that it has reached: the head's, a checkpoint's, or computed from the leaf hashes,
// which takes about a second a million.
func (l *Log) RootAt(ctx context.Context, at Place) (root [32]byte, err error) {
	var raw []byte
	err = l.cfg.Pool.QueryRow(ctx, `
		select root from audit.tree where institution = $1 and year = $2 and size = $3
		union all
		select root from audit.checkpoint where institution = $1 and year = $2 and size = $3 limit 1`,
		l.cfg.Institution, at.Year, int64(at.Index)).Scan(&raw)
	if err == nil {
		copy(root[:], raw)
		return root, nil
	}
	if !errors.Is(err, pgx.ErrNoRows) {
		return root, unavailable("reading a root", err)
	}
	rows, err := l.cfg.Pool.Query(ctx, "select hash from audit.leaf where institution = $1 and year = $2 and idx < $3 order by idx",
		l.cfg.Institution, at.Year, int64(at.Index))
	if err != nil {
		return root, unavailable("reading leaf hashes", err)
	}
	var tree audit.Tree
	if _, err = pgx.ForEachRow(rows, []any{&raw}, func() error { return tree.Append([32]byte(raw)) }); err != nil {
		return root, unavailable("reading leaf hashes", err)
	}
	if tree.Size() != at.Index {
		return root, fmt.Errorf("computing a root: %w", ErrTampered)
	}
	return tree.Root(), nil
}
