package audit

import (
	"fmt"

	"github.com/transparency-dev/merkle/compact"
	"github.com/transparency-dev/merkle/proof"
	"github.com/transparency-dev/merkle/rfc6962"
)

// InclusionProof returns the RFC 6962 audit path of the leaf at index in the tree of the given size, from its tiles.
func InclusionProof(index, size uint64, read TileReader) ([][]byte, error) {
	nodes, err := proof.Inclusion(index, size)
	if err != nil {
		return nil, fmt.Errorf("inclusion of %d in %d: %w", index, size, err)
	}
	return fill(nodes, size, read)
}

// ConsistencyProof returns the RFC 6962 proof that the tree of size from is a prefix of the tree of size to, from the tiles of
// the latter.
func ConsistencyProof(from, to uint64, read TileReader) ([][]byte, error) {
	nodes, err := proof.Consistency(from, to)
	if err != nil {
		return nil, fmt.Errorf("consistency of %d and %d: %w", from, to, err)
	}
	return fill(nodes, to, read)
}

// VerifyInclusion returns nil if the path shows that the leaf with that hash stands at index in the tree of that size and root.
func VerifyInclusion(index, size uint64, leafHash [32]byte, path [][]byte, root [32]byte) error {
	return proof.VerifyInclusion(rfc6962.DefaultHasher, index, size, leafHash[:], path, root[:])
}

// VerifyConsistency returns nil if the proof shows that the tree (from, fromRoot) is a prefix of the tree (to, toRoot).
func VerifyConsistency(from, to uint64, fromRoot, toRoot [32]byte, path [][]byte) error {
	return proof.VerifyConsistency(rfc6962.DefaultHasher, from, to, path, fromRoot[:], toRoot[:])
}

// fill fetches the nodes that a proof needs and rehashes those that are no complete subtrees.
func fill(nodes proof.Nodes, size uint64, read TileReader) ([][]byte, error) {
	hashes := make([][]byte, 0, len(nodes.IDs))
	for _, id := range nodes.IDs {
		h, err := node(id, size, read)
		if err != nil {
			return nil, err
		}
		hashes = append(hashes, h[:])
	}
	return nodes.Rehash(hashes, rfc6962.DefaultHasher.HashChildren)
}

// node returns the hash of a complete subtree, from the tile whose hashes lie under it.
func node(id compact.NodeID, size uint64, read TileReader) ([32]byte, error) {
	level, height := int(id.Level/TileHeight), id.Level%TileHeight
	first := id.Index << height // position of the subtree's first hash in the row of the tile level
	index := first / TileWidth
	width := TileWidth
	if full, partial := TileCount(size, level); index == full {
		width = partial
	}
	data, err := read(level, index, width)
	if err != nil {
		return [32]byte{}, fmt.Errorf("reading tile %d/%d: %w", level, index, err)
	}
	from := int(first%TileWidth) * HashSize
	to := from + HashSize<<height
	if to > len(data) {
		return [32]byte{}, fmt.Errorf("reading tile %d/%d: %d bytes, want %d", level, index, len(data), to)
	}
	return subtree(data[from:to]), nil
}

// RootAt returns the root that the first size leaves of a tree of total leaves have, from the tiles of that tree. It believes the
// tiles.
func RootAt(size, total uint64, read TileReader) ([32]byte, error) {
	if size == 0 {
		return EmptyRoot(), nil
	}
	if size > total {
		return [32]byte{}, fmt.Errorf("root at %d of %d leaves: beyond the end", size, total)
	}
	var peaks [][32]byte
	for height, left := uint(63), uint64(0); left < size; height-- {
		if size>>height&1 == 0 {
			continue
		}
		h, err := node(compact.NodeID{Level: height, Index: left >> height}, total, read)
		if err != nil {
			return [32]byte{}, err
		}
		peaks, left = append(peaks, h), left+1<<height
	}
	root := peaks[len(peaks)-1]
	for i := len(peaks) - 2; i >= 0; i-- {
		root = NodeHash(peaks[i], root)
	}
	return root, nil
}
