package filestore

import (
	"bufio"
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"strings"
	"syscall"
	"time"
)

// partial is the folder of blobs that are still being written. No name of a
// blob starts with a dot.
const partial = ".partial"

// folderBuffer is how much is written to a file at once, in bytes.
const folderBuffer = 256 << 10

// Folder keeps blobs as files of mode 0600. The folder must be on one file
// system, because a blob becomes visible by a rename.
type Folder struct{ root *os.Root }

// NewFolder opens the folder, which is made with mode 0700 if absent. Close
// releases it.
func NewFolder(dir string) (*Folder, error) {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, fmt.Errorf("making the folder of files: %w", err)
	}
	root, err := os.OpenRoot(dir)
	if err != nil {
		return nil, fmt.Errorf("opening the folder of files: %w", err)
	}
	if err := root.Mkdir(partial, 0o700); err != nil && !errors.Is(err, fs.ErrExist) {
		return nil, errors.Join(fmt.Errorf("making the folder of files: %w", err), root.Close())
	}
	return &Folder{root}, nil
}

// Close releases the folder. Blobs that are being read stay readable.
func (f *Folder) Close() error { return f.root.Close() }

// Put implements Store: written aside, flushed to disk, renamed, and then the
// folders are flushed, too. crash before the rename: a file in .partial, removed
// by Tidy. crash after: a blob that no record names, removed by its owner.
func (f *Folder) Put(ctx context.Context, name string, r io.Reader) (n int64, err error) {
	if err := checkName(name); err != nil {
		return 0, err
	}
	if _, err := f.root.Lstat(name); err == nil {
		return 0, ErrExists
	}
	var random [16]byte
	rand.Read(random[:]) // never fails
	aside := path.Join(partial, hex.EncodeToString(random[:]))
	src := &source{ctx: ctx, r: r}
	if err := f.write(aside, src); err != nil {
		return 0, errors.Join(src.failed(folderError(err)), f.discard(aside))
	}
	if err := f.publish(aside, name); err != nil {
		return 0, errors.Join(src.failed(folderError(err)), f.discard(aside))
	}
	return src.n, nil
}

func (f *Folder) discard(aside string) error {
	if err := f.root.Remove(aside); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("removing an unfinished file: %w", err)
	}
	return nil
}

func (f *Folder) write(aside string, src io.Reader) (err error) {
	file, err := f.root.OpenFile(aside, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, file.Close()) }()
	w := bufio.NewWriterSize(file, folderBuffer)
	// Only the Writer of bufio: the file's own ReadFrom would read past src.
	if _, err := io.Copy(struct{ io.Writer }{w}, src); err != nil {
		return err
	}
	if err := w.Flush(); err != nil {
		return err
	}
	return file.Sync()
}

func (f *Folder) publish(aside, name string) error {
	dir := path.Dir(name)
	if err := f.root.MkdirAll(dir, 0o700); err != nil {
		return err
	}
	if err := f.root.Rename(aside, name); err != nil {
		return err
	}
	for ; ; dir = path.Dir(dir) { // a new folder's own entry has to last, too
		if err := f.flush(dir); err != nil {
			return err
		}
		if dir == "." {
			return nil
		}
	}
}

func (f *Folder) flush(dir string) error {
	d, err := f.root.Open(dir)
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}

// Get implements Store.
func (f *Folder) Get(_ context.Context, name string, offset, length int64) (io.ReadCloser, error) {
	if err := checkName(name); err != nil {
		return nil, err
	}
	file, err := f.root.Open(name)
	if err != nil {
		return nil, folderError(err)
	}
	return section{io.NewSectionReader(file, offset, length), file}, nil
}

type section struct {
	io.Reader
	io.Closer
}

// Stat implements Store.
func (f *Folder) Stat(_ context.Context, name string) (Info, error) {
	if err := checkName(name); err != nil {
		return Info{}, err
	}
	info, err := f.root.Stat(name)
	if err != nil {
		return Info{}, folderError(err)
	}
	return Info{Name: name, Size: info.Size(), Modified: info.ModTime()}, nil
}

// Delete implements Store. The folders of a blob stay.
func (f *Folder) Delete(_ context.Context, name string) error {
	if err := checkName(name); err != nil {
		return err
	}
	if err := f.root.Remove(name); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return folderError(err)
	}
	return nil
}

// List implements Store.
func (f *Folder) List(ctx context.Context, each func(Info) error) error {
	err := fs.WalkDir(f.root.FS(), ".", func(name string, d fs.DirEntry, err error) error {
		if err == nil {
			err = ctx.Err()
		}
		switch {
		case err != nil:
			return err
		case d.IsDir() && strings.HasPrefix(name, ".") && name != ".":
			return fs.SkipDir
		case d.IsDir() || checkName(name) != nil:
			return nil
		}
		info, err := d.Info()
		if errors.Is(err, fs.ErrNotExist) {
			return nil // deleted meanwhile
		}
		if err != nil {
			return err
		}
		return each(Info{Name: name, Size: info.Size(), Modified: info.ModTime()})
	})
	if err != nil {
		return fmt.Errorf("listing the files: %w", err)
	}
	return nil
}

// Tidy implements Store.
func (f *Folder) Tidy(_ context.Context, before time.Time) (int, error) {
	entries, err := fs.ReadDir(f.root.FS(), partial)
	if err != nil {
		return 0, folderError(err)
	}
	removed := 0
	for _, e := range entries {
		info, err := e.Info()
		if err != nil || !info.ModTime().Before(before) {
			continue
		}
		if err := f.discard(path.Join(partial, e.Name())); err != nil {
			return removed, err
		}
		removed++
	}
	return removed, nil
}

// Check implements Store: it writes and removes an empty file.
func (f *Folder) Check(context.Context) error {
	probe := path.Join(partial, "probe-"+rand.Text())
	file, err := f.root.OpenFile(probe, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return folderError(err)
	}
	return errors.Join(file.Close(), f.discard(probe))
}

// folderError names what callers branch on. The operating system's own text
// stays: it holds the path below the folder, which is ids.
func folderError(err error) error {
	switch {
	case errors.Is(err, errSource):
		return err
	case errors.Is(err, fs.ErrNotExist):
		return ErrNotFound
	case errors.Is(err, syscall.ENOSPC) || errors.Is(err, syscall.EDQUOT) || errors.Is(err, syscall.EFBIG):
		return fmt.Errorf("%w: %w", ErrFull, err)
	}
	return fmt.Errorf("%w: %w", ErrUnavailable, err)
}
