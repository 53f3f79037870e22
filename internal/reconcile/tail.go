package reconcile

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"hash"
	"io"
	"io/fs"
	"os"
)

// maxLine bounds a line of an audit file: 256 items are some 120 KB.
const maxLine = 16 << 20

// Tail reads a growing file line by line and keeps the digest of every byte that
// it read since the last Segment. It follows a file that was renamed and made
// anew, as rotation does, and tells when one is gone or was cut short. It is not
// safe for concurrent use.
type Tail struct {
	path   string
	file   *os.File
	offset int64 // of the first byte that was not read
	rest   []byte
	digest hash.Hash
	bytes  int64
}

// Errors of a Tail.
var (
	// ErrGone means: there is no file of this name.
	ErrGone = errors.New("the audit file is not there")
	// ErrShrunk means: the file is shorter than what was read of it. It is read
	// on from its start.
	ErrShrunk = errors.New("the audit file is shorter than it was")
)

// NewTail returns a Tail that starts at an offset of the file. It opens nothing.
func NewTail(path string, offset int64) *Tail {
	return &Tail{path: path, offset: offset, digest: sha256.New()}
}

// Offset is where the first line begins that was not given out yet.
func (t *Tail) Offset() int64 { return t.offset - int64(len(t.rest)) }

// Segment returns the digest and the length of everything read since the last
// Segment, and begins a new one.
func (t *Tail) Segment() (sha256hex string, n int64) {
	sha256hex, n = hex.EncodeToString(t.digest.Sum(nil)), t.bytes
	t.digest.Reset()
	t.bytes = 0
	return sha256hex, n
}

// Close gives the file back.
func (t *Tail) Close() error {
	if t.file == nil {
		return nil
	}
	err := t.file.Close()
	t.file = nil
	return err
}

// Read calls fn for each whole line that has come, without its line end. It
// returns how many bytes there were, whole lines or not. fn MUST NOT keep the line. Errors: ErrGone,
// ErrShrunk, or one of reading.
func (t *Tail) Read(fn func(line []byte)) (n int64, err error) {
	info, statErr := os.Stat(t.path)
	if t.file == nil {
		if errors.Is(statErr, fs.ErrNotExist) {
			return 0, ErrGone
		}
		if err := t.open(); err != nil {
			return 0, err
		}
	}
	own, err := t.file.Stat()
	if err != nil {
		return 0, fmt.Errorf("reading the audit file: %w", err)
	}
	if own.Size() < t.offset {
		t.offset, t.rest = 0, nil
		return 0, ErrShrunk
	}
	if n, err = t.drain(fn); err != nil {
		return n, err
	}
	if statErr == nil && os.SameFile(info, own) {
		return n, nil
	}
	// Renamed or removed; what was in it has been read.
	if err := t.Close(); err != nil {
		return n, fmt.Errorf("reading the audit file: %w", err)
	}
	t.offset, t.rest = 0, nil
	if statErr != nil {
		return n, ErrGone
	}
	more, err := t.Read(fn)
	return n + more, err
}

func (t *Tail) open() error {
	f, err := os.Open(t.path)
	if errors.Is(err, fs.ErrNotExist) {
		return ErrGone
	}
	if err != nil {
		return fmt.Errorf("opening the audit file: %w", err)
	}
	t.file = f
	return nil
}

func (t *Tail) drain(fn func([]byte)) (n int64, err error) {
	buf := make([]byte, 256<<10)
	for {
		k, err := t.file.ReadAt(buf, t.offset)
		if k > 0 {
			t.digest.Write(buf[:k])
			t.bytes, t.offset, n = t.bytes+int64(k), t.offset+int64(k), n+int64(k)
			t.rest = append(t.rest, buf[:k]...)
			t.lines(fn)
			if len(t.rest) > maxLine {
				return n, errors.New("reading the audit file: a line without end")
			}
		}
		if errors.Is(err, io.EOF) {
			return n, nil
		}
		if err != nil {
			return n, fmt.Errorf("reading the audit file: %w", err)
		}
	}
}

func (t *Tail) lines(fn func([]byte)) {
	rest := t.rest
	for {
		end := bytes.IndexByte(rest, '\n')
		if end < 0 {
			break
		}
		if end > 0 {
			fn(rest[:end])
		}
		rest = rest[end+1:]
	}
	t.rest = append(t.rest[:0], rest...)
}
