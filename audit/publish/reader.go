package publish

import (
	"context"
	"errors"
	"fmt"
	"io/fs"

	"github.com/sealtrail/sealtrail/audit"
)

// Reader reads the entries of one log, and proves them, as of one published checkpoint: what several entries of the log are shown
// with must be the same checkpoint. It keeps what it read, so it is for one task; not safe for concurrent use.
type Reader struct {
	store      Store
	checkpoint audit.Checkpoint
	signed     []byte
	bundles    map[uint64][][]byte
	tiles      map[tileID][]byte
}

// tileID names a tile.
type tileID struct {
	level int
	index uint64
}

// NewReader returns a Reader of the newest published checkpoint, whose signature is for whoever reads the result to check. It reads the right
// edge of the tree at once: that may be gone when the publisher has gone on twice, the rest stays for ever. The error wraps [ErrNotPublished]
// when there is no checkpoint.
func NewReader(ctx context.Context, store Store) (*Reader, error) {
	var last error
	for range proveTries {
		r, err := newReader(ctx, store)
		if err == nil || errors.Is(err, ErrNotPublished) || !errors.Is(err, fs.ErrNotExist) {
			return r, err
		}
		last = err // the checkpoint moved on between two reads
	}
	return nil, last
}

func newReader(ctx context.Context, store Store) (*Reader, error) {
	raw, err := store.Get(ctx, audit.CheckpointPath)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("reading the checkpoint: %w", ErrNotPublished)
	}
	if err != nil {
		return nil, fmt.Errorf("reading the checkpoint: %w", err)
	}
	signed, err := audit.SplitNote(raw)
	if err != nil {
		return nil, fmt.Errorf("reading the checkpoint: %w", err)
	}
	c, err := audit.ParseCheckpoint(signed.Text)
	if err != nil {
		return nil, fmt.Errorf("reading the checkpoint: %w", err)
	}
	r := &Reader{store: store, checkpoint: c, signed: raw, bundles: map[uint64][][]byte{}, tiles: map[tileID][]byte{}}
	return r, r.readEdge(ctx)
}

func (r *Reader) readEdge(ctx context.Context) error {
	for level := 0; ; level++ {
		full, partial := audit.TileCount(r.checkpoint.Size, level)
		if full == 0 && partial == 0 {
			return nil
		}
		if partial == 0 {
			continue
		}
		if _, err := r.tile(ctx)(level, full, partial); err != nil {
			return fmt.Errorf("reading the edge of the tree: %w", err)
		}
		if level > 0 {
			continue
		}
		if _, err := r.bundle(ctx, full); err != nil {
			return fmt.Errorf("reading the last bundle: %w", err)
		}
	}
}

// Checkpoint is what the Reader's checkpoint says.
func (r *Reader) Checkpoint() audit.Checkpoint { return r.checkpoint }

// Signed is the checkpoint as a signed note, with all its lines.
func (r *Reader) Signed() []byte { return r.signed }

// Entry returns the bytes of the leaf at index and the path that leads from it to the checkpoint's root, which it has followed. The error wraps
// [ErrNotPublished] when the checkpoint does not hold the leaf.
func (r *Reader) Entry(ctx context.Context, index uint64) (leaf []byte, path [][]byte, err error) {
	if index >= r.checkpoint.Size {
		return nil, nil, fmt.Errorf("reading leaf %d of %d: %w", index, r.checkpoint.Size, ErrNotPublished)
	}
	bundle, err := r.bundle(ctx, index/audit.TileWidth)
	if err != nil {
		return nil, nil, fmt.Errorf("reading leaf %d: %w", index, err)
	}
	at := index % audit.TileWidth
	if at >= uint64(len(bundle)) {
		return nil, nil, fmt.Errorf("reading leaf %d: its bundle has %d entries", index, len(bundle))
	}
	if path, err = audit.InclusionProof(index, r.checkpoint.Size, r.tile(ctx)); err != nil {
		return nil, nil, fmt.Errorf("proving leaf %d: %w", index, err)
	}
	if err := audit.VerifyInclusion(index, r.checkpoint.Size, audit.LeafHash(bundle[at]), path, r.checkpoint.Root); err != nil {
		return nil, nil, fmt.Errorf("proving leaf %d: what is published is not what was signed: %w", index, err)
	}
	return bundle[at], path, nil
}

// Extends returns the proof that the tree of size from is a prefix of the checkpoint's.
func (r *Reader) Extends(ctx context.Context, from uint64) ([][]byte, error) {
	if from == 0 || from >= r.checkpoint.Size {
		return nil, fmt.Errorf("proving that %d extends %d: %w", r.checkpoint.Size, from, ErrNotPublished)
	}
	return audit.ConsistencyProof(from, r.checkpoint.Size, r.tile(ctx))
}

// bundle reads the entries of a bundle; where a partial one is gone, the fuller one that replaced it.
func (r *Reader) bundle(ctx context.Context, index uint64) ([][]byte, error) {
	if known, ok := r.bundles[index]; ok {
		return known, nil
	}
	width := audit.TileWidth
	if full, partial := audit.TileCount(r.checkpoint.Size, 0); index == full {
		width = partial
	}
	raw, err := r.store.Get(ctx, audit.EntriesPath(index, width))
	if errors.Is(err, fs.ErrNotExist) && width < audit.TileWidth {
		raw, err = r.store.Get(ctx, audit.EntriesPath(index, audit.TileWidth))
	}
	if err != nil {
		return nil, err
	}
	entries, err := audit.DecodeBundle(raw)
	if err != nil {
		return nil, err
	}
	r.bundles[index] = entries
	return entries, nil
}

// tile reads tiles once.
func (r *Reader) tile(ctx context.Context) audit.TileReader {
	read := tiles(ctx, r.store)
	return func(level int, index uint64, width int) ([]byte, error) {
		id := tileID{level, index}
		if known := r.tiles[id]; len(known) >= width*audit.HashSize {
			return known[:width*audit.HashSize], nil
		}
		data, err := read(level, index, width)
		if err == nil {
			r.tiles[id] = data
		}
		return data, err
	}
}
