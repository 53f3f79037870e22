package publish

import (
	"context"
	"errors"
	"fmt"
	"io/fs"

	"github.com/sealtrail/sealtrail/audit"
	"github.com/sealtrail/sealtrail/audit/pglog"
)

// edge is the right edge of what is published: enough to go on from there without reading anything again.
type edge struct {
	tree      *audit.Tree
	bundle    []byte           // entries of the last, partial bundle
	published audit.Checkpoint // zero Size: nothing yet
}

// reader reads tiles of the publisher's store.
func (p *Publisher) reader(ctx context.Context) audit.TileReader { return tiles(ctx, p.cfg.Store) }

// tiles reads tiles of a store; where a partial tile is gone, the full one that replaced it.
func tiles(ctx context.Context, store Store) audit.TileReader {
	return func(level int, index uint64, width int) ([]byte, error) {
		data, err := store.Get(ctx, audit.TilePath(level, index, width))
		if errors.Is(err, fs.ErrNotExist) && width < audit.TileWidth {
			data, err = store.Get(ctx, audit.TilePath(level, index, audit.TileWidth))
		}
		if err != nil {
			return nil, err
		}
		if len(data) < width*audit.HashSize {
			return nil, fmt.Errorf("tile %d/%d has %d bytes", level, index, len(data))
		}
		return data[:width*audit.HashSize], nil
	}
}

// load reads the published checkpoint and the edge that it commits to, and compares the database with both. Published tiles
// that are missing or damaged are written again from the database, if the database still has the published root.
func (p *Publisher) load(ctx context.Context, head pglog.Head) (*edge, error) {
	e := &edge{tree: &audit.Tree{}, published: audit.Checkpoint{Origin: p.shard.Origin, Root: audit.EmptyRoot()}}
	raw, err := p.cfg.Store.Get(ctx, audit.CheckpointPath)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, err
	}
	if err == nil {
		if e.published, err = openCheckpoint(raw, p.verifier, p.shard.Origin); err != nil {
			return nil, fmt.Errorf("%w: %w", ErrForeign, err)
		}
	}
	if head.Size < e.published.Size {
		return nil, behind(head.Size, e.published.Size)
	}
	if !p.compared { // once: later rounds only extend what this compared
		c := &comparing{cfg: CompareConfig{Source: p.cfg.Source, Store: p.cfg.Store, Witnesses: p.cfg.Witnesses, Deadline: p.cfg.WitnessDeadline},
			shard: p.shard, verifier: p.verifier}
		if _, err := c.compare(ctx); err != nil {
			return nil, err
		}
		p.compared = true
	}
	if err := p.loadTiles(ctx, e); err != nil {
		p.alarm(ctx, Alarm{Kind: AlarmRebuilt, Err: err})
		return p.rebuild(ctx, e.published)
	}
	return e, nil
}

// loadTiles reads the edge of the tree and the partial bundle and re-hashes both.
func (p *Publisher) loadTiles(ctx context.Context, e *edge) (err error) {
	size := e.published.Size
	if e.tree, err = audit.LoadTree(size, p.reader(ctx)); err != nil {
		return err
	}
	if e.tree.Root() != e.published.Root {
		return errors.New("published tiles do not have the published root")
	}
	index, width := audit.TileCount(size, 0)
	if width == 0 {
		return nil
	}
	if e.bundle, err = p.cfg.Store.Get(ctx, audit.EntriesPath(index, width)); err != nil {
		return err
	}
	entries, err := audit.DecodeBundle(e.bundle)
	if err != nil {
		return err
	}
	_, hashes := e.tree.Partial(0)
	if len(entries) != width {
		return fmt.Errorf("published bundle %d has %d entries, want %d", index, len(entries), width)
	}
	for i, entry := range entries {
		if audit.LeafHash(entry) != [32]byte(hashes[i*audit.HashSize:]) {
			return fmt.Errorf("published bundle %d: entry %d is not the one in the tile", index, i)
		}
	}
	return nil
}

// rebuild returns an empty edge at the start of the log; the next grow writes every tile again. published stays what the next
// checkpoint must extend, and the comparison has shown that the database still has its root.
func (p *Publisher) rebuild(_ context.Context, published audit.Checkpoint) (*edge, error) {
	return &edge{tree: &audit.Tree{}, published: published}, nil
}

// behind says that the database has fewer leaves than somebody saw.
func behind(have, seen uint64) error {
	return fmt.Errorf("database has %d leaves, %d were signed: %w", have, seen, ErrBehind)
}

// grow appends the leaves up to next and writes every tile and bundle that became full. Leaf bytes are hashed again: a body that
// was altered after sequencing is not published.
func (p *Publisher) grow(ctx context.Context, next audit.Checkpoint) error {
	e := p.edge
	e.tree.Full = func(level int, index uint64, data []byte) error {
		return p.put(ctx, StepTile, audit.TilePath(level, index, 0), data)
	}
	err := p.cfg.Source.Leaves(ctx, e.tree.Size(), next.Size, func(row pglog.LeafRow) error { return p.add(ctx, row) })
	if err != nil {
		return err
	}
	if e.tree.Root() != next.Root {
		p.compared = false // perhaps another database took the place of ours: the next round compares from the start
		return fmt.Errorf("audit.tree at size %d has another root than its leaves: %w", next.Size, pglog.ErrTampered)
	}
	return nil
}

// putEdge writes the files at the right edge that are not full.
func (p *Publisher) putEdge(ctx context.Context, next audit.Checkpoint) error {
	e := p.edge
	if index, width := audit.TileCount(next.Size, 0); width > 0 {
		if err := p.put(ctx, StepEdgeBundle, audit.EntriesPath(index, width), e.bundle); err != nil {
			return err
		}
	}
	for level := range 64 / audit.TileHeight {
		index, data := e.tree.Partial(level)
		if data == nil {
			continue
		}
		if err := p.put(ctx, StepEdgeTile, audit.TilePath(level, index, len(data)/audit.HashSize), data); err != nil {
			return err
		}
	}
	return nil
}

// add appends one leaf to the tree and to its bundle, and writes the bundle when it is full.
func (p *Publisher) add(ctx context.Context, row pglog.LeafRow) error {
	e := p.edge
	if audit.LeafHash(row.Bytes) != row.Hash {
		return fmt.Errorf("audit.entry id %d, index %d: body is not the one that was sequenced: %w", row.ID, row.Index, pglog.ErrTampered)
	}
	e.bundle = audit.AppendEntry(e.bundle, row.Bytes)
	if (row.Index+1)%audit.TileWidth == 0 { // before the tile: a tile never names entries that cannot be read
		if err := p.put(ctx, StepBundle, audit.EntriesPath(row.Index/audit.TileWidth, 0), e.bundle); err != nil {
			return err
		}
		e.bundle = e.bundle[:0]
	}
	return e.tree.Append(row.Hash)
}

// consistent proves from the tiles just written that next extends last, and returns the proof for the witnesses.
func (p *Publisher) consistent(ctx context.Context, last, next audit.Checkpoint) ([][]byte, error) {
	if last.Size == 0 {
		return nil, nil
	}
	proof, err := audit.ConsistencyProof(last.Size, next.Size, p.reader(ctx))
	if err != nil {
		return nil, err
	}
	if err := audit.VerifyConsistency(last.Size, next.Size, last.Root, next.Root, proof); err != nil {
		return nil, p.fork(ctx, next)
	}
	return proof, nil
}

// partialTiles lists the folders of partial tiles and bundles of a tree of size from that are full in one of size to.
func partialTiles(from, to uint64) []string {
	var list []string
	for level := range 64 / audit.TileHeight {
		index, width := audit.TileCount(from, level)
		full, _ := audit.TileCount(to, level)
		if width == 0 || index >= full {
			continue
		}
		list = append(list, audit.TilePath(level, index, 0)+".p")
		if level == 0 {
			list = append(list, audit.EntriesPath(index, 0)+".p")
		}
	}
	return list
}

// fork keeps the evidence and returns an error that wraps [ErrFork]. other is what the database says.
func (p *Publisher) fork(ctx context.Context, other audit.Checkpoint) error {
	return forked{p.cfg.Store, p.cfg.Source, other, nil}.keep(ctx)
}
