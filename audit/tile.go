package audit

import (
	"encoding/binary"
	"errors"
	"fmt"
	"strconv"
)

// The layout of C2SP tlog-tiles: TileWidth hashes of HashSize bytes to a tile, TileHeight tree levels to a tile level.
const (
	TileHeight = 8
	TileWidth  = 1 << TileHeight
	HashSize   = 32
)

// Paths in a published folder, relative to the log's own folder (docs/formats/published-folder.md).
const (
	CheckpointPath = "checkpoint"
	CheckpointsDir = "checkpoints"
	BlobDir        = "blob/sha256"
)

// TilePath returns where the tile of hashes lies: "tile/<level>/<index>", with ".p/<width>" for a partial tile. Width 0 and
// TileWidth both mean a full tile.
func TilePath(level int, index uint64, width int) string {
	return string(appendTile(strconv.AppendInt([]byte("tile/"), int64(level), 10), index, width))
}

// EntriesPath returns where the bundle of entries index*256 and following lies: "tile/entries/<index>", with ".p/<width>" for a
// partial one. Width 0 and TileWidth both mean a full bundle.
func EntriesPath(index uint64, width int) string {
	return string(appendTile([]byte("tile/entries"), index, width))
}

// BlobPath returns where the bytes with the given SHA-256 lie.
func BlobPath(sha256hex string) string { return BlobDir + "/" + sha256hex }

// CheckpointSizePath returns where the signed checkpoint of the given tree size is kept.
func CheckpointSizePath(size uint64) string {
	return CheckpointsDir + "/" + strconv.FormatUint(size, 10)
}

// appendTile writes the index in groups of three digits, all but the last marked with an x: 1234067 is x001/x234/067.
func appendTile(out []byte, index uint64, width int) []byte {
	digits := strconv.AppendUint(nil, index, 10)
	for len(digits)%3 != 0 {
		digits = append([]byte{'0'}, digits...)
	}
	for ; len(digits) > 3; digits = digits[3:] {
		out = append(out, '/', 'x')
		out = append(out, digits[:3]...)
	}
	out = append(out, '/')
	out = append(out, digits...)
	if width > 0 && width < TileWidth {
		out = strconv.AppendInt(append(out, ".p/"...), int64(width), 10)
	}
	return out
}

// TileCount returns, for a tree of the given size, how many full tiles the tile level has and how many hashes its partial tile
// holds (0 = none). Level 0 also counts entry bundles.
func TileCount(size uint64, level int) (full uint64, partial int) {
	if level*TileHeight >= 64 {
		return 0, 0
	}
	hashes := size >> (level * TileHeight)
	return hashes / TileWidth, int(hashes % TileWidth)
}

// ErrBundle is wrapped by every refusal of an entry bundle.
var ErrBundle = errors.New("malformed entry bundle")

// AppendEntry appends one entry to a bundle: its length as a big-endian uint16, then its bytes. The entry MUST have at most
// MaxLeaf bytes.
func AppendEntry(bundle, entry []byte) []byte {
	bundle = binary.BigEndian.AppendUint16(bundle, uint16(len(entry)))
	return append(bundle, entry...)
}

// EncodeBundle returns the bundle of the given entries, at most TileWidth of at most MaxLeaf bytes each.
func EncodeBundle(entries [][]byte) ([]byte, error) {
	if len(entries) > TileWidth {
		return nil, fmt.Errorf("%w: %d entries", ErrBundle, len(entries))
	}
	size := 0
	for i, e := range entries {
		if len(e) > MaxLeaf {
			return nil, fmt.Errorf("%w: entry %d has %d bytes", ErrBundle, i, len(e))
		}
		size += 2 + len(e)
	}
	out := make([]byte, 0, size)
	for _, e := range entries {
		out = AppendEntry(out, e)
	}
	return out, nil
}

// NextEntry splits the first entry off a bundle, without copying. The error wraps [ErrBundle].
func NextEntry(bundle []byte) (entry, rest []byte, err error) {
	if len(bundle) < 2 {
		return nil, nil, fmt.Errorf("%w: ends inside a length", ErrBundle)
	}
	n := int(binary.BigEndian.Uint16(bundle))
	if len(bundle)-2 < n {
		return nil, nil, fmt.Errorf("%w: ends inside an entry", ErrBundle)
	}
	return bundle[2 : 2+n], bundle[2+n:], nil
}

// DecodeBundle splits a bundle into its entries, without copying. The error wraps [ErrBundle].
func DecodeBundle(bundle []byte) (entries [][]byte, err error) {
	for len(bundle) > 0 {
		var entry []byte
		if entry, bundle, err = NextEntry(bundle); err != nil {
			return nil, err
		}
		if entries = append(entries, entry); len(entries) > TileWidth {
			return nil, fmt.Errorf("%w: more than %d entries", ErrBundle, TileWidth)
		}
	}
	return entries, nil
}
