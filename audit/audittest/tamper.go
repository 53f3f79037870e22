package audittest

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing/fstest"

	"github.com/sealtrail/sealtrail/audit"
)

// CopyFolder returns a deep copy of a folder.
func CopyFolder(folder fstest.MapFS) fstest.MapFS {
	c := make(fstest.MapFS, len(folder))
	for name, f := range folder {
		g := *f
		g.Data = append([]byte(nil), f.Data...)
		c[name] = &g
	}
	return c
}

// Flip returns a copy of the folder in which one bit of one file is the other way round. bit counts from the lowest bit of the
// first byte.
func Flip(folder fstest.MapFS, name string, bit int) fstest.MapFS {
	c := make(fstest.MapFS, len(folder))
	for n, f := range folder {
		c[n] = f
	}
	data := append([]byte(nil), folder[name].Data...)
	data[bit/8] ^= 1 << (bit % 8)
	c[name] = &fstest.MapFile{Data: data, Mode: folder[name].Mode}
	return c
}

// Files returns the names of all files of a folder, sorted.
func Files(folder fstest.MapFS) []string {
	var names []string
	for n := range folder {
		names = append(names, n)
	}
	slices.Sort(names)
	return names
}

// WriteDir writes the folder below dir, as the publisher would.
func WriteDir(folder fstest.MapFS, dir string) error {
	for _, name := range Files(folder) {
		path := filepath.Join(dir, filepath.FromSlash(name))
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			return fmt.Errorf("writing %s: %w", name, err)
		}
		if err := os.WriteFile(path, folder[name].Data, 0o644); err != nil {
			return fmt.Errorf("writing %s: %w", name, err)
		}
	}
	return nil
}

// Rewrite returns the log as somebody with every right would forge it: change is applied to each body (false drops the entry),
// and bundles, tiles and every checkpoint are made and signed anew with the same key, though not with the witness's.
func (l *Log) Rewrite(change func(index uint64, b *audit.Body) bool) *Log {
	first, err := audit.ParseLeaf(l.leaves[0])
	if err != nil {
		panic(fmt.Sprintf("audittest: %v", err))
	}
	forged := New(Config{Origin: l.origin, Start: first.SeqAt, FirstID: first.ID})
	forged.key = l.key
	for name, f := range l.folder {
		if strings.HasPrefix(name, audit.BlobDir) {
			forged.put(name, f.Data)
		}
	}
	for i, raw := range l.leaves {
		leaf, err := audit.ParseLeaf(raw)
		if err != nil {
			panic(fmt.Sprintf("audittest: entry %d: %v", i, err))
		}
		if !change(uint64(i), &leaf.Body) {
			continue
		}
		body, err := leaf.Body.Canonical()
		if err != nil {
			panic(fmt.Sprintf("audittest: entry %d: %v", i, err))
		}
		forged.AppendRaw(body, leaf.Body.Subject)
		if _, stored := l.folder[audit.CheckpointSizePath(forged.Size())]; stored {
			forged.Publish()
		}
	}
	forged.Publish()
	return forged
}
