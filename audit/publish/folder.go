package publish

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"sync"
)

// Store holds the published files of one log. Paths are slash-separated and relative, as package audit spells them.
//
//   - Put MUST be atomic (a reader sees the old bytes or the new) and durable on return, also the name.
//   - Get of a path that is not there MUST return an error that wraps fs.ErrNotExist.
//   - Remove removes a path and everything below it; a path that is not there is no error.
type Store interface {
	Put(ctx context.Context, path string, contents []byte) error
	Get(ctx context.Context, path string) ([]byte, error)
	Remove(ctx context.Context, path string) error
}

// Folder is a Store in a local folder. Safe for concurrent use by one process; two writers of the same path do not mix their
// bytes.
type Folder struct {
	root string
	disk disk

	mu    sync.Mutex
	known map[string]bool // folders whose names this process has flushed
}

// NewFolder returns the Folder at root, making it (mode 0755) where it is not there.
func NewFolder(root string) (*Folder, error) {
	if err := mkdirDurable(root); err != nil {
		return nil, fmt.Errorf("opening the published folder: %w", err)
	}
	return &Folder{root: root, known: map[string]bool{root: true}}, nil
}

// Root is where the folder lies.
func (f *Folder) Root() string { return f.root }

// FS reads the folder.
func (f *Folder) FS() fs.FS { return os.DirFS(f.root) }

func (f *Folder) name(path string) (string, error) {
	if !fs.ValidPath(path) || path == "." {
		return "", fmt.Errorf("path %q: %w", path, fs.ErrInvalid)
	}
	return filepath.Join(f.root, filepath.FromSlash(path)), nil
}

// Put writes contents to a temporary file beside path, flushes it, renames it and flushes the folder; see [FileOps].
func (f *Folder) Put(_ context.Context, path string, contents []byte) error {
	name, err := f.name(path)
	if err != nil {
		return fmt.Errorf("publishing: %w", err)
	}
	err = f.put(name, contents)
	if errors.Is(err, fs.ErrNotExist) { // somebody else removed a folder that this process knew
		err = f.put(name, contents)
	}
	if err != nil {
		return fmt.Errorf("publishing %s: %w", path, err)
	}
	return nil
}

func (f *Folder) put(name string, contents []byte) error {
	err := f.mkdir(filepath.Dir(name))
	if err == nil {
		err = f.disk.write(name, contents, 0o644)
	}
	if err != nil {
		f.forget(f.root)
	}
	return err
}

// mkdir makes dir and its parents below the root, and flushes the name of each that this process has not flushed yet.
func (f *Folder) mkdir(dir string) error {
	f.mu.Lock()
	known := f.known[dir]
	f.mu.Unlock()
	if known {
		return nil
	}
	if dir == f.root {
		if err := mkdirDurable(dir); err != nil {
			return err
		}
	} else if err := f.mkdir(filepath.Dir(dir)); err != nil {
		return err
	} else if err := f.disk.mkdir(dir); err != nil {
		return err
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	f.known[dir] = true
	return nil
}

// forget forgets that dir and the folders below it are there.
func (f *Folder) forget(dir string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	for name := range f.known {
		if name == dir || strings.HasPrefix(name, dir+string(filepath.Separator)) {
			delete(f.known, name)
		}
	}
}

// Get reads a file.
func (f *Folder) Get(_ context.Context, path string) ([]byte, error) {
	name, err := f.name(path)
	if err != nil {
		return nil, fmt.Errorf("reading published: %w", err)
	}
	var contents []byte
	err = f.disk.do(OpRead, name, func() (err error) {
		contents, err = os.ReadFile(name)
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("reading published %s: %w", path, withoutPath(err))
	}
	return contents, nil
}

// Remove removes path and what lies below it.
func (f *Folder) Remove(_ context.Context, path string) error {
	name, err := f.name(path)
	if err != nil {
		return fmt.Errorf("removing published: %w", err)
	}
	f.forget(name)
	if err := f.disk.do(OpRemove, name, func() error { return os.RemoveAll(name) }); err != nil {
		return fmt.Errorf("removing published %s: %w", path, withoutPath(err))
	}
	return nil
}
