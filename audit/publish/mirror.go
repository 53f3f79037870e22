package publish

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"slices"
	"sync"
	"time"

	"golang.org/x/mod/sumdb/note"

	"github.com/sealtrail/sealtrail/audit"
)

// MirrorConfig configures a Mirror.
type MirrorConfig struct {
	From        *Folder // where the log is published; required
	To          Store   // where every published file is put as well; required
	Origin      string  // of the log; required
	VerifierKey string  // the log's; required
	// Sizes returns the sizes above from at which checkpoints were signed, ascending; nil: only the newest is copied.
	Sizes func(ctx context.Context, from uint64) ([]uint64, error)
}

// MirrorStatus is how far a Mirror is.
type MirrorStatus struct {
	Size   uint64    // of the newest checkpoint that is in the store with all that it names
	Behind time.Time // since when the folder has had a newer one; zero: it has none
	Err    error     // of the last Sync
}

// Mirror copies a published folder to another store, file by file, each read back and compared. It copies what a signed checkpoint
// names and nothing beyond, and the checkpoint last: what the store's checkpoint names is in the store. Methods are safe for
// concurrent use.
type Mirror struct {
	cfg      MirrorConfig
	verifier note.Verifier

	sync   sync.Mutex
	loaded bool
	last   audit.Checkpoint // in the store
	others map[string]bool  // blobs, evidence and stamps that are in the store

	mu     sync.Mutex
	status MirrorStatus
}

// NewMirror returns a Mirror. It touches neither folder nor store.
func NewMirror(cfg MirrorConfig) (*Mirror, error) {
	if cfg.From == nil || cfg.To == nil || cfg.Origin == "" {
		return nil, errors.New("publish: From, To and Origin are required")
	}
	v, err := note.NewVerifier(cfg.VerifierKey)
	if err != nil {
		return nil, fmt.Errorf("reading the log's verifier key: %w", err)
	}
	return &Mirror{cfg: cfg, verifier: v, others: map[string]bool{}}, nil
}

// Status is safe to call at any time.
func (m *Mirror) Status() MirrorStatus {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.status
}

// mirrorTries is how often Sync begins again when the publisher replaced a partial file under it.
const mirrorTries = 3

// Sync copies what was published since the last Sync. After an error nothing counts but what the store's checkpoint names.
// crash here, anywhere: files in the store beyond its checkpoint, of the bytes that they must have; the next Sync goes on.
func (m *Mirror) Sync(ctx context.Context) error {
	m.sync.Lock()
	defer m.sync.Unlock()
	var err error
	for range mirrorTries {
		if err = m.once(ctx); !errors.Is(err, fs.ErrNotExist) {
			break
		}
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	m.status.Err = err
	if err == nil {
		m.status.Size, m.status.Behind = m.last.Size, time.Time{}
	} else if m.status.Behind.IsZero() {
		m.status.Behind = time.Now()
	}
	return err
}

func (m *Mirror) once(ctx context.Context) error {
	if err := m.load(ctx); err != nil {
		return err
	}
	raw, err := m.cfg.From.Get(ctx, audit.CheckpointPath)
	if errors.Is(err, fs.ErrNotExist) {
		return nil // nothing is published yet
	}
	if err != nil {
		return err
	}
	next, err := openCheckpoint(raw, m.verifier, m.cfg.Origin)
	if err != nil {
		return err
	}
	if err := m.copyOthers(ctx); err != nil {
		return err
	}
	if next.Size <= m.last.Size {
		return nil
	}
	if err := m.copyTiles(ctx, m.last.Size, next.Size); err != nil {
		return err
	}
	if err := m.copyCheckpoints(ctx, m.last.Size, next.Size); err != nil {
		return err
	}
	if err := m.put(ctx, audit.CheckpointPath, raw); err != nil {
		return err
	}
	for _, path := range partialTiles(m.last.Size, next.Size) {
		_ = m.cfg.To.Remove(ctx, path) // left over: harmless
	}
	m.last = next
	return nil
}

// load reads once how far the store is.
func (m *Mirror) load(ctx context.Context) error {
	if m.loaded {
		return nil
	}
	raw, err := m.cfg.To.Get(ctx, audit.CheckpointPath)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	if err == nil {
		if m.last, err = openCheckpoint(raw, m.verifier, m.cfg.Origin); err != nil {
			return fmt.Errorf("the store's checkpoint: %w: %w", ErrForeign, err)
		}
	}
	m.loaded = true
	return nil
}

// copyTiles copies bundles and tiles that a tree of size to has and one of size from has not, the bundles first.
func (m *Mirror) copyTiles(ctx context.Context, from, to uint64) error {
	paths := tilesBetween(from, to, 0, audit.EntriesPath)
	for level := range 64 / audit.TileHeight {
		paths = append(paths, tilesBetween(from, to, level, func(index uint64, width int) string { return audit.TilePath(level, index, width) })...)
	}
	for _, path := range paths {
		if err := m.copy(ctx, path); err != nil {
			return err
		}
	}
	return nil
}

// tilesBetween lists the full files of a level that became full between two sizes, and the partial one at the edge.
func tilesBetween(from, to uint64, level int, path func(index uint64, width int) string) (list []string) {
	first, _ := audit.TileCount(from, level)
	full, width := audit.TileCount(to, level)
	for index := first; index < full; index++ {
		list = append(list, path(index, 0))
	}
	if width > 0 {
		list = append(list, path(full, width))
	}
	return list
}

// copyCheckpoints copies checkpoints/<size> for every size in (from, to].
func (m *Mirror) copyCheckpoints(ctx context.Context, from, to uint64) error {
	sizes := []uint64{to}
	if m.cfg.Sizes != nil {
		var err error
		if sizes, err = m.cfg.Sizes(ctx, from); err != nil {
			return err
		}
	}
	for _, size := range sizes {
		if size <= from || size > to {
			continue
		}
		raw, err := m.cfg.From.Get(ctx, audit.CheckpointSizePath(size))
		if errors.Is(err, fs.ErrNotExist) && size < to {
			continue // signed, and not published before the process died
		}
		if err != nil {
			return err
		}
		if err := m.put(ctx, audit.CheckpointSizePath(size), raw); err != nil {
			return err
		}
	}
	return nil
}

// copyOthers copies what is not named by a tree: blobs, kept evidence, time stamps.
func (m *Mirror) copyOthers(ctx context.Context) error {
	for _, dir := range []string{audit.BlobDir, "evidence", "stamp"} {
		files, err := fs.ReadDir(m.cfg.From.FS(), dir)
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			return fmt.Errorf("listing published %s: %w", dir, withoutPath(err))
		}
		for _, f := range files {
			path := dir + "/" + f.Name()
			if f.IsDir() || m.others[path] || temporary(f.Name()) {
				continue
			}
			if err := m.copy(ctx, path); err != nil {
				return err
			}
			m.others[path] = true
		}
	}
	return nil
}

// temporary reports whether a name is one that Folder.Put gives a file before it is whole.
func temporary(name string) bool { return bytes.Contains([]byte(name), []byte(".tmp-")) }

func (m *Mirror) copy(ctx context.Context, path string) error {
	contents, err := m.cfg.From.Get(ctx, path)
	if err != nil {
		return err
	}
	return m.put(ctx, path, contents)
}

// put writes a file to the store and reads it back.
func (m *Mirror) put(ctx context.Context, path string, contents []byte) error {
	if err := m.cfg.To.Put(ctx, path, contents); err != nil {
		return err
	}
	back, err := m.cfg.To.Get(ctx, path)
	if err != nil {
		return fmt.Errorf("reading back: %w: %w", ErrStored, err)
	}
	if !slices.Equal(back, contents) {
		return fmt.Errorf("reading back %s: %w: other bytes", path, ErrStored)
	}
	return nil
}
