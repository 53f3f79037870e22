package verify

import (
	"bytes"

	"github.com/sealtrail/sealtrail/audit"
)

// olderPartials compares the partial bundles and tiles that earlier, smaller checkpoints left behind with the beginning of the
// larger ones. They need not exist; where they do, somebody may still be reading them.
func (w *walker) olderPartials(index uint64, width int, bundle, tile []byte) error {
	base := audit.EntriesPath(index, 0)
	err := w.eachPartial(base, width, func(n int, path string) error {
		data, missing, err := readFile(w.fsys, path, w.partial, maxBundle)
		w.partial = data
		if err != nil || missing {
			return err
		}
		if want := bundle[:w.ends[n-1]]; !bytes.Equal(data, want) {
			w.partialDiffers(path, index*audit.TileWidth+uint64(w.entryAt(firstDifference(data, want), n)))
		}
		return nil
	})
	if err != nil || len(tile) < width*audit.HashSize {
		return err
	}
	return w.eachPartial(audit.TilePath(0, index, 0), width, func(n int, path string) error {
		data, missing, err := readFile(w.fsys, path, w.partial, maxTile)
		w.partial = data
		if err != nil || missing {
			return err
		}
		if want := tile[:n*audit.HashSize]; !bytes.Equal(data, want) {
			w.partialDiffers(path, index*audit.TileWidth+uint64(min(firstDifference(data, want)/audit.HashSize, n-1)))
		}
		return nil
	})
}

// olderTiles does the same for the partial tiles of the upper levels.
func (w *walker) olderTiles(l *line, level int, index uint64, width int, data []byte) error {
	return w.eachPartial(audit.TilePath(level, index, 0), width, func(n int, path string) error {
		stored, missing, err := readFile(w.fsys, path, w.partial, maxTile)
		w.partial = stored
		if err != nil || missing {
			return err
		}
		if want := data[:n*audit.HashSize]; !bytes.Equal(stored, want) {
			hash := min(firstDifference(stored, want)/audit.HashSize, n-1)
			from, to := covered(level, index, hash, 1)
			l.find(StepTree, Finding{Code: "partial_altered", Path: path, From: at(from), To: at(to),
				Text: say("differs from the tree over entries %d to %d", "与第 %d 至 %d 条记录的重算结果不符", from, to)})
		}
		return nil
	})
}

// eachPartial calls f for every partial file narrower than width.
func (w *walker) eachPartial(base string, width int, f func(n int, path string) error) error {
	widths, _, err := numbers(w.fsys, base+".p")
	if err != nil {
		return err
	}
	for _, n := range widths {
		if n == 0 || n >= uint64(width) {
			continue
		}
		if err := f(int(n), partialPath(base, n)); err != nil {
			return err
		}
	}
	return nil
}

// partialDiffers is kept with the trees, so that it is reported after what is wrong with the full files.
func (w *walker) partialDiffers(path string, index uint64) {
	for _, l := range w.lines() {
		l.find(StepTree, Finding{Code: "partial_altered", Path: path, From: at(index), To: at(index),
			Text: say("differs from the full file at entry %d", "自第 %d 条记录起与完整文件不符", index)})
	}
}

// entryAt returns which entry of the bundle the byte at offset belongs to, at most n-1.
func (w *walker) entryAt(offset, n int) int {
	for i := range n {
		if offset < w.ends[i] {
			return i
		}
	}
	return n - 1
}

// firstDifference returns the offset of the first byte in which a and b differ.
func firstDifference(a, b []byte) int {
	n := min(len(a), len(b))
	for i := range n {
		if a[i] != b[i] {
			return i
		}
	}
	return n
}
