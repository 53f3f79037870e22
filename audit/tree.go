package audit

import (
	"fmt"
	"math/bits"
)

// tileLevels is how many tile levels a tree of 2^64 leaves has.
const tileLevels = 64 / TileHeight

// Tree is an RFC 6962 Merkle tree that grows at its right edge and remembers only that edge: the roots of its complete
// subtrees, and the hashes of the last tile of each level. Its memory is constant (at most 64 KiB), Append hashes twice on
// average, Root at most 63 times.
//
// The zero value is the empty tree. Not safe for concurrent use.
type Tree struct {
	size  uint64
	peaks [64][32]byte // peaks[h] is the root of a complete subtree of 2^h leaves where bit h of size is set
	edge  [tileLevels][]byte

	// Full, if not nil, is called with each tile that Append completes. The data is valid during the call only. An error of
	// Full is returned by Append; the tree must not be used after that.
	Full func(level int, index uint64, data []byte) error
}

// Size returns the number of leaves.
func (t *Tree) Size() uint64 { return t.size }

// Append adds one leaf, given its [LeafHash].
func (t *Tree) Append(leaf [32]byte) error {
	if err := t.push(0, leaf); err != nil {
		return err
	}
	h, height := leaf, 0
	for ; t.size>>height&1 == 1; height++ {
		h = NodeHash(t.peaks[height], h)
		if (height+1)%TileHeight == 0 {
			if err := t.push((height+1)/TileHeight, h); err != nil {
				return err
			}
		}
	}
	t.peaks[height] = h
	t.size++
	return nil
}

// push adds a hash to the last tile of a level and hands the tile out when it is full.
func (t *Tree) push(level int, h [32]byte) error {
	if len(t.edge[level]) == TileWidth*HashSize {
		t.edge[level] = t.edge[level][:0]
	}
	t.edge[level] = append(t.edge[level], h[:]...)
	if t.Full == nil || len(t.edge[level]) < TileWidth*HashSize {
		return nil
	}
	index := t.size >> (TileHeight * (level + 1))
	if err := t.Full(level, index, t.edge[level]); err != nil {
		return fmt.Errorf("full tile %d/%d: %w", level, index, err)
	}
	return nil
}

// Root returns the root over all leaves so far; the hash of nothing for the empty tree.
func (t *Tree) Root() [32]byte {
	if t.size == 0 {
		return EmptyRoot()
	}
	height := bits.TrailingZeros64(t.size)
	root := t.peaks[height]
	for height++; height < 64; height++ {
		if t.size>>height&1 == 1 {
			root = NodeHash(t.peaks[height], root)
		}
	}
	return root
}

// Partial returns the hashes of the partial tile at the right edge of a level, nil if the level has none. The data is valid
// until the next Append.
func (t *Tree) Partial(level int) (index uint64, data []byte) {
	full, partial := TileCount(t.size, level)
	if partial == 0 {
		return full, nil
	}
	return full, t.edge[level][:partial*HashSize]
}

// TileReader returns the first width hashes (width*HashSize bytes) of a tile; width is TileWidth for a full tile.
type TileReader func(level int, index uint64, width int) ([]byte, error)

// LoadTree returns the tree of the given size from the tiles at its right edge. It believes the tiles: compare
// [Tree.Root] with a root that you trust.
func LoadTree(size uint64, read TileReader) (*Tree, error) {
	t := &Tree{size: size}
	for level := range tileLevels {
		index, width := TileCount(size, level)
		if width == 0 {
			continue
		}
		data, err := read(level, index, width)
		if err != nil {
			return nil, fmt.Errorf("reading tile %d/%d: %w", level, index, err)
		}
		if len(data) < width*HashSize {
			return nil, fmt.Errorf("reading tile %d/%d: %d bytes for %d hashes", level, index, len(data), width)
		}
		data = data[:width*HashSize]
		t.edge[level] = append([]byte(nil), data...)
		for height := TileHeight - 1; height >= 0; height-- {
			if n := 1 << height; width&n != 0 {
				t.peaks[level*TileHeight+height] = subtree(data[:n*HashSize])
				data = data[n*HashSize:]
			}
		}
	}
	return t, nil
}

// subtree returns the root over a power of two of hashes.
func subtree(hashes []byte) [32]byte {
	if len(hashes) == HashSize {
		return [32]byte(hashes)
	}
	half := len(hashes) / 2
	return NodeHash(subtree(hashes[:half]), subtree(hashes[half:]))
}

// Clone returns a tree that grows on its own from here. Full is not taken over.
func (t *Tree) Clone() Tree {
	c := *t
	c.Full = nil
	for i := range c.edge {
		c.edge[i] = append([]byte(nil), t.edge[i]...)
	}
	return c
}
