// Package filestore keeps sealed files: in a folder, or in any store that speaks
// S3. It is given ciphertext and gives it back.
//
// The one idea: a blob is written once, under a name nobody had before, and is
// either there as a whole or not at all. So there is nothing to lock, nothing to
// overwrite, and what a crash leaves behind is a blob that no record names.
//
// It must never know a key, a record, or what a blob holds, and no credential
// of the store ever stands in an error.
package filestore

import (
	"context"
	"errors"
	"fmt"
	"io"
	"regexp"
	"time"
)

var (
	// ErrNotFound means: there is no blob of this name.
	ErrNotFound = errors.New("no such blob")
	// ErrExists means: there is a blob of this name already.
	ErrExists = errors.New("a blob of this name exists")
	// ErrFull means: the store has no room. Nothing of the blob was kept.
	ErrFull = errors.New("the file store is full")
	// ErrUnavailable means: the store cannot be reached or refuses to serve us.
	ErrUnavailable = errors.New("the file store is not available")
	// ErrName means: no blob can have this name.
	ErrName = errors.New("not a name of a blob")
)

// Store is where blobs lie. Implementations are safe for concurrent use, and
// their errors wrap one of the errors of this package, or the error that the
// reader given to Put returned, or that of ctx.
type Store interface {
	// Put stores what r gives until io.EOF and returns how many bytes that were.
	// It is durable when Put returns nil. On any error, also one of r, no blob
	// of this name is ever visible.
	Put(ctx context.Context, name string, r io.Reader) (int64, error)
	// Get returns a reader of length bytes from offset; the caller closes it. A
	// blob that ends before is found out when the reader ends early.
	Get(ctx context.Context, name string, offset, length int64) (io.ReadCloser, error)
	// Stat describes a blob.
	Stat(ctx context.Context, name string) (Info, error)
	// Delete removes a blob; one that is not there is no error.
	Delete(ctx context.Context, name string) error
	// List calls f for every blob, in no order, until f returns an error.
	List(ctx context.Context, f func(Info) error) error
	// Tidy removes what uploads that broke off before the given time left
	// behind, and says how many there were.
	Tidy(ctx context.Context, before time.Time) (int, error)
	// Check says whether the store can be reached and written to.
	Check(ctx context.Context) error
}

// Info describes a blob.
type Info struct {
	Name     string
	Size     int64 // bytes
	Modified time.Time
}

// names are up to four segments of letters, digits and dashes: what folders and
// object stores agree on, and nothing that could leave the folder.
var names = regexp.MustCompile(`^[a-z0-9][a-z0-9-]{0,63}(/[a-z0-9][a-z0-9-]{0,63}){0,3}$`)

func checkName(name string) error {
	if !names.MatchString(name) {
		return ErrName
	}
	return nil
}

// source reads for Put: it ends when ctx does, and remembers the reader's own
// error, which stores wrap, replace, or take for the end.
type source struct {
	ctx context.Context
	r   io.Reader
	n   int64
	err error
}

// errSource is what a store sees in place of the reader's error: never one that
// could mean the end of the content.
var errSource = errors.New("the content broke off")

func (s *source) Read(p []byte) (int, error) {
	if s.err == nil {
		s.err = s.ctx.Err()
	}
	if s.err != nil {
		return 0, errSource
	}
	n, err := s.r.Read(p)
	s.n += int64(n)
	if err != nil && err != io.EOF {
		s.err = err
		err = errSource
	}
	return n, err
}

// failed says why a Put failed: the content's own fault goes first.
func (s *source) failed(err error) error {
	if s.err != nil {
		return fmt.Errorf("storing a file: %w", s.err)
	}
	return fmt.Errorf("storing a file: %w", err)
}
