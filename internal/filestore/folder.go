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
	"path/filepath"
	"strings"
	"sync"
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
type Folder struct {
	dir string

	// flush makes a folder's entries durable.
	flush func(root *os.Root, dir string) error

	mu   sync.Mutex
	root *os.Root // nil until it was needed

	naming sync.Mutex // held while a blob gets its name, which is nobody's before
}

// NewFolder names the folder; it touches nothing, so that a command which needs
// no file makes no folder, which would then belong to whoever ran it. The folder
// is made with mode 0700 when it is first used. Close releases it.
func NewFolder(dir string) *Folder { return &Folder{dir: dir, flush: flush} }

// open returns the folder, which is made if absent.
func (f *Folder) open() (*os.Root, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.root != nil {
		return f.root, nil
	}
	if err := makeFolder(f.dir); err != nil {
		return nil, folderError(err)
	}
	root, err := os.OpenRoot(f.dir)
	if err != nil {
		return nil, folderError(err)
	}
	if err := root.Mkdir(partial, 0o700); err != nil && !errors.Is(err, fs.ErrExist) {
		return nil, errors.Join(folderError(err), root.Close())
	}
	f.root = root
	return root, nil
}

// makeFolder makes a folder and those above it that are missing, and makes their
// names durable: a crash must not take a blob away with the folder around it.
func makeFolder(dir string) error {
	var around []string
	for d := filepath.Clean(dir); ; d = filepath.Dir(d) {
		if _, err := os.Stat(d); err == nil || d == filepath.Dir(d) {
			break
		}
		around = append(around, filepath.Dir(d))
	}
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return err
	}
	for _, d := range around {
		opened, err := os.Open(d)
		if err != nil {
			return err
		}
		if err := errors.Join(opened.Sync(), opened.Close()); err != nil {
			return err
		}
	}
	return nil
}

// Close releases the folder. Blobs that are being read stay readable.
func (f *Folder) Close() error {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.root == nil {
		return nil
	}
	root := f.root
	f.root = nil
	return root.Close()
}

// Put implements Store: written aside, flushed to disk, renamed, and then the
// folders are flushed, too. crash before the rename: a file in .partial, removed
// by Tidy. crash after: a blob that no record names, removed by its owner.
func (f *Folder) Put(ctx context.Context, name string, r io.Reader) (int64, error) {
	if err := checkName(name); err != nil {
		return 0, err
	}
	root, err := f.open()
	if err != nil {
		return 0, err
	}
	if _, err := root.Lstat(name); err == nil {
		return 0, ErrExists
	}
	var random [16]byte
	rand.Read(random[:]) // never fails
	aside := path.Join(partial, hex.EncodeToString(random[:]))
	src := &source{ctx: ctx, r: r}
	if err = write(root, aside, src); err == nil {
		err = f.publish(root, aside, name)
	}
	if err != nil {
		return 0, errors.Join(src.failed(folderError(err)), discard(root, aside))
	}
	return src.n, nil
}

func discard(root *os.Root, aside string) error {
	if err := root.Remove(aside); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("removing an unfinished file: %w", err)
	}
	return nil
}

func write(root *os.Root, aside string, src io.Reader) (err error) {
	file, err := root.OpenFile(aside, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
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

func (f *Folder) publish(root *os.Root, aside, name string) error {
	dir := path.Dir(name)
	if err := root.MkdirAll(dir, 0o700); err != nil {
		return err
	}
	if err := f.name(root, aside, name); err != nil {
		return err
	}
	if err := f.settle(root, dir); err != nil {
		return errors.Join(err, discard(root, name)) // Put says no: then it is not there
	}
	return nil
}

// name gives a blob its name. A rename would replace another one without a word.
func (f *Folder) name(root *os.Root, aside, name string) error {
	f.naming.Lock()
	defer f.naming.Unlock()
	if _, err := root.Lstat(name); err == nil {
		return ErrExists
	}
	return root.Rename(aside, name)
}

// settle makes the names in a folder, and of those around it, durable.
func (f *Folder) settle(root *os.Root, dir string) error {
	for ; ; dir = path.Dir(dir) { // a new folder's own entry has to last, too
		if err := f.flush(root, dir); err != nil {
			return err
		}
		if dir == "." {
			return nil
		}
	}
}

func flush(root *os.Root, dir string) error {
	d, err := root.Open(dir)
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
	root, err := f.open()
	if err != nil {
		return nil, err
	}
	file, err := root.Open(name)
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
	root, err := f.open()
	if err != nil {
		return Info{}, err
	}
	info, err := root.Stat(name)
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
	root, err := f.open()
	if err != nil {
		return err
	}
	if err := root.Remove(name); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return folderError(err)
	}
	return nil
}

// List implements Store.
func (f *Folder) List(ctx context.Context, each func(Info) error) error {
	root, err := f.open()
	if err != nil {
		return err
	}
	err = fs.WalkDir(root.FS(), ".", func(name string, d fs.DirEntry, err error) error {
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
	root, err := f.open()
	if err != nil {
		return 0, err
	}
	entries, err := fs.ReadDir(root.FS(), partial)
	if err != nil {
		return 0, folderError(err)
	}
	removed := 0
	for _, e := range entries {
		info, err := e.Info()
		if err != nil || !info.ModTime().Before(before) {
			continue
		}
		if err := discard(root, path.Join(partial, e.Name())); err != nil {
			return removed, err
		}
		removed++
	}
	return removed, nil
}

// Check implements Store: it writes and removes an empty file.
func (f *Folder) Check(context.Context) error {
	probe := path.Join(partial, "probe-"+rand.Text())
	root, err := f.open()
	if err != nil {
		return err
	}
	file, err := root.OpenFile(probe, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return folderError(err)
	}
	return errors.Join(file.Close(), discard(root, probe))
}

// folderError names what callers branch on. The operating system's own text
// stays: it holds the path below the folder, which is ids.
func folderError(err error) error {
	switch {
	case errors.Is(err, errSource), errors.Is(err, ErrExists):
		return err
	case errors.Is(err, fs.ErrNotExist):
		return ErrNotFound
	case errors.Is(err, syscall.ENOSPC) || errors.Is(err, syscall.EDQUOT) || errors.Is(err, syscall.EFBIG):
		return fmt.Errorf("%w: %w", ErrFull, err)
	}
	return fmt.Errorf("%w: %w", ErrUnavailable, err)
}
