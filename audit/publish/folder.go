package publish

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
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
}

// NewFolder returns the Folder at root, making it (mode 0755) where it is not there.
func NewFolder(root string) (*Folder, error) {
	if err := mkdirDurable(root); err != nil {
		return nil, fmt.Errorf("opening the published folder: %w", err)
	}
	return &Folder{root: root}, nil
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

// Put writes contents to a temporary file beside path, flushes it, renames it and flushes the folder.
// crash here: before the rename a file "*.tmp-*" is left over, which no reader asks for; repaired by nobody, harmless. After the
// rename and before the flush of the folder the name may be lost; repaired by the publisher, which writes again whatever it did
// not finish.
func (f *Folder) Put(_ context.Context, path string, contents []byte) error {
	name, err := f.name(path)
	if err != nil {
		return fmt.Errorf("publishing: %w", err)
	}
	if err := mkdirDurable(filepath.Dir(name)); err != nil {
		return fmt.Errorf("publishing %s: %w", path, err)
	}
	if err := writeDurable(name, contents, 0o644); err != nil {
		return fmt.Errorf("publishing %s: %w", path, err)
	}
	return nil
}

// Get reads a file.
func (f *Folder) Get(_ context.Context, path string) ([]byte, error) {
	name, err := f.name(path)
	if err != nil {
		return nil, fmt.Errorf("reading published: %w", err)
	}
	contents, err := os.ReadFile(name)
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
	if err := os.RemoveAll(name); err != nil {
		return fmt.Errorf("removing published %s: %w", path, withoutPath(err))
	}
	return nil
}

// withoutPath drops the absolute path from an error of package os.
func withoutPath(err error) error {
	var p *fs.PathError
	if errors.As(err, &p) {
		return p.Err
	}
	return err
}

// writeDurable replaces name with contents, atomically and durably.
func writeDurable(name string, contents []byte, mode fs.FileMode) (err error) {
	dir := filepath.Dir(name)
	tmp, err := os.CreateTemp(dir, strings.TrimPrefix(filepath.Base(name), ".")+".tmp-*")
	if err != nil {
		return withoutPath(err)
	}
	defer func() {
		if err != nil {
			_ = tmp.Close()
			_ = os.Remove(tmp.Name())
		}
	}()
	if _, err = tmp.Write(contents); err != nil {
		return withoutPath(err)
	}
	if err = tmp.Chmod(mode); err != nil {
		return withoutPath(err)
	}
	if err = tmp.Sync(); err != nil {
		return withoutPath(err)
	}
	if err = tmp.Close(); err != nil {
		return withoutPath(err)
	}
	if err = os.Rename(tmp.Name(), name); err != nil {
		return err
	}
	return syncDir(dir)
}

// mkdirDurable makes dir and its parents and flushes the name of each that it made.
func mkdirDurable(dir string) error {
	if info, err := os.Stat(dir); err == nil && info.IsDir() {
		return nil
	}
	parent := filepath.Dir(dir)
	if parent != dir {
		if err := mkdirDurable(parent); err != nil {
			return err
		}
	}
	if err := os.Mkdir(dir, 0o755); err != nil && !errors.Is(err, fs.ErrExist) {
		return withoutPath(err)
	}
	return syncDir(parent)
}

func syncDir(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return withoutPath(err)
	}
	if err := d.Sync(); err != nil {
		_ = d.Close()
		return withoutPath(err)
	}
	return d.Close()
}
