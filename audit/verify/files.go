package verify

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"strconv"

	"github.com/sealtrail/sealtrail/audit"
)

// Limits on what is read, in bytes: a bundle of 256 of the longest entries, a tile, a note.
const (
	maxBundle = audit.TileWidth * (audit.MaxLeaf + 2)
	maxTile   = audit.TileWidth * audit.HashSize
	maxNote   = 1_000_000
)

// readFile reads a file into buf, which it grows as needed; at most limit bytes and one more, so that a longer file shows.
// A missing file is reported by missing, not by an error.
func readFile(fsys fs.FS, name string, buf []byte, limit int) (data []byte, missing bool, err error) {
	f, err := fsys.Open(name)
	if errors.Is(err, fs.ErrNotExist) {
		return buf[:0], true, nil
	}
	if err != nil {
		return buf[:0], false, fmt.Errorf("opening %s: %w", name, err)
	}
	defer func() { _ = f.Close() }()
	data = buf[:0]
	for {
		if len(data) == cap(data) {
			data = append(data, make([]byte, max(4096, cap(data)))...)[:len(data)]
		}
		n, err := f.Read(data[len(data):cap(data)])
		data = data[:len(data)+n]
		if errors.Is(err, io.EOF) || len(data) > limit {
			return data, false, nil
		}
		if err != nil {
			return data, false, fmt.Errorf("reading %s: %w", name, err)
		}
	}
}

// numbers lists the names of a folder that are numbers in their usual spelling, unordered; the others are counted. A missing
// folder is empty.
func numbers(fsys fs.FS, dir string) (list []uint64, others int, err error) {
	entries, err := fs.ReadDir(fsys, dir)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, 0, nil
	}
	if err != nil {
		return nil, 0, fmt.Errorf("listing %s: %w", dir, err)
	}
	for _, e := range entries {
		n, err := strconv.ParseUint(e.Name(), 10, 64)
		if err != nil || strconv.FormatUint(n, 10) != e.Name() || e.IsDir() {
			others++
			continue
		}
		list = append(list, n)
	}
	return list, others, nil
}
