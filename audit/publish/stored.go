package publish

import (
	"bytes"
	"context"
	"errors"
	"fmt"

	"golang.org/x/mod/sumdb/note"

	"github.com/sealtrail/sealtrail/audit"
)

// ErrStored means: a store does not hold what was published.
var ErrStored = errors.New("the stored copy is not what was published")

// StoredConfig says what is verified of a stored copy.
type StoredConfig struct {
	Store       Store
	Origin      string
	VerifierKey string // the log's
	From, To    uint64 // entries [From, To); From must be a multiple of 256 and have been verified before, or be 0
}

// VerifyStored reads every bundle and full hash tile of entries [From, To) back from a store, hashes the entries again, and proves
// that their tree is a prefix of the signed checkpoint that the store holds. The error wraps [ErrStored] when it is not: then
// nothing may be removed elsewhere in the belief that it is. To is rounded down to whole bundles; the answer is how far it went.
func VerifyStored(ctx context.Context, cfg StoredConfig) (to uint64, err error) {
	v, err := note.NewVerifier(cfg.VerifierKey)
	if err != nil {
		return 0, fmt.Errorf("reading the log's verifier key: %w", err)
	}
	raw, err := cfg.Store.Get(ctx, audit.CheckpointPath)
	if err != nil {
		return 0, fmt.Errorf("%w: %w", ErrStored, err)
	}
	c, err := openCheckpoint(raw, v, cfg.Origin)
	if err != nil {
		return 0, fmt.Errorf("%w: %w", ErrStored, err)
	}
	to = cfg.To - cfg.To%audit.TileWidth
	if to > c.Size || cfg.From%audit.TileWidth != 0 || cfg.From > to {
		return 0, fmt.Errorf("%w: asked for entries %d to %d, the stored checkpoint has %d", ErrStored, cfg.From, cfg.To, c.Size)
	}
	read := tilesAt(ctx, cfg.Store, c.Size)
	tree, err := rehash(ctx, cfg, to, read)
	if err != nil {
		return 0, err
	}
	if to == 0 {
		return 0, nil
	}
	proof, err := audit.ConsistencyProof(to, c.Size, read)
	if err == nil {
		err = audit.VerifyConsistency(to, c.Size, tree.Root(), c.Root, proof)
	}
	if err != nil {
		return 0, fmt.Errorf("%w: the entries are not those of the checkpoint: %w", ErrStored, err)
	}
	return to, nil
}

// rehash builds the tree of the stored entries and compares every full tile with it.
func rehash(ctx context.Context, cfg StoredConfig, to uint64, read audit.TileReader) (*audit.Tree, error) {
	tree, err := audit.LoadTree(cfg.From, read)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrStored, err)
	}
	tree.Full = func(level int, index uint64, data []byte) error {
		stored, err := cfg.Store.Get(ctx, audit.TilePath(level, index, 0))
		if err == nil && !bytes.Equal(stored, data) {
			err = errors.New("not the hashes of the entries")
		}
		if err != nil {
			return fmt.Errorf("%w: tile %d/%d: %w", ErrStored, level, index, err)
		}
		return nil
	}
	for index := cfg.From / audit.TileWidth; index < to/audit.TileWidth; index++ {
		raw, err := cfg.Store.Get(ctx, audit.EntriesPath(index, 0))
		if err != nil {
			return nil, fmt.Errorf("%w: %w", ErrStored, err)
		}
		entries, err := audit.DecodeBundle(raw)
		if err != nil || len(entries) != audit.TileWidth {
			return nil, fmt.Errorf("%w: bundle %d is not %d entries", ErrStored, index, audit.TileWidth)
		}
		for _, entry := range entries {
			if err := tree.Append(audit.LeafHash(entry)); err != nil {
				return nil, err
			}
		}
	}
	return tree, nil
}

// tilesAt reads the tiles of a tree of any size up to size from a store that has those of size: a tile that was partial may be
// wider now, or full.
func tilesAt(ctx context.Context, store Store, size uint64) audit.TileReader {
	return func(level int, index uint64, width int) ([]byte, error) {
		stored := 0
		if full, edge := audit.TileCount(size, level); index >= full {
			stored = edge
		}
		data, err := store.Get(ctx, audit.TilePath(level, index, stored))
		if err == nil && len(data) < width*audit.HashSize {
			err = fmt.Errorf("tile %d/%d has %d bytes", level, index, len(data))
		}
		if err != nil {
			return nil, err
		}
		return data[:width*audit.HashSize], nil
	}
}
