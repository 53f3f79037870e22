package stream

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
)

// maxFile is the size in bytes at which a file is put aside as <file>.1 and a
// new one begun: a forwarder that follows the file has long read that much.
const maxFile = 256 << 20

// File appends events to a file, one a line, durably.
type File struct {
	path string
	max  int64
}

// NewFile returns a File at path, whose folder exists.
func NewFile(path string) (*File, error) {
	if path == "" || !filepath.IsAbs(path) {
		return nil, fmt.Errorf("%w: a file needs an absolute path", ErrConfig)
	}
	return &File{path: path, max: maxFile}, nil
}

// Send appends and flushes.
// crash here, behind the write: the lines are there and are written again, with
// the same log and index.
func (f *File) Send(_ context.Context, b Batch) (err error) {
	if info, err := os.Stat(f.path); err == nil && info.Size() >= f.max {
		if err := os.Rename(f.path, f.path+".1"); err != nil {
			return fileError("putting a full file aside", err)
		}
	}
	file, err := os.OpenFile(f.path, os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o640)
	if err != nil {
		return fileError("opening the file", err)
	}
	defer func() { err = errors.Join(err, fileError("closing the file", file.Close())) }()
	if _, err := file.Write(append(bytes.Join(b.Events, []byte("\n")), '\n')); err != nil {
		return fileError("writing events", err)
	}
	return fileError("flushing events", file.Sync())
}

// fileError drops the path: a place of the machine is not for every log.
func fileError(doing string, err error) error {
	if err == nil {
		return nil
	}
	if p, ok := errors.AsType[*fs.PathError](err); ok {
		err = p.Err
	}
	return fmt.Errorf("%s: %w", doing, err)
}

// Close has nothing to close.
func (f *File) Close() error { return nil }
