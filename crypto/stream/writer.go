package stream

import (
	"crypto/cipher"
	"crypto/rand"
	"errors"
	"fmt"
	"io"

	"github.com/sealtrail/sealtrail/crypto/field"
)

// chunks seals one chunk after the other.
type chunks struct {
	aead  cipher.AEAD
	base  [nonceSize]byte
	nonce [nonceSize]byte
	next  int64
	head  [HeaderSize]byte
}

func newChunks(key *field.Key, p Place) (*chunks, error) {
	s, err := schemeOf(p.Suite)
	if err != nil {
		return nil, fmt.Errorf("sealing a file: %w", err)
	}
	input, err := inputKey(key, &p, p.Suite, s)
	if err != nil {
		return nil, fmt.Errorf("sealing a file: %w", err)
	}
	defer clear(input)
	var salt [saltSize]byte
	rand.Read(salt[:]) // never fails
	return rawChunks(s, input, salt[:], p.context())
}

func rawChunks(s scheme, input, salt, context []byte) (*chunks, error) {
	m, err := s.derive(input, salt, context)
	if err != nil {
		return nil, err
	}
	defer clear(m.key)
	c := &chunks{}
	if c.aead, err = s.sealer(m.key); err != nil {
		return nil, err
	}
	copy(c.base[:], m.nonce)
	copy(c.head[:], salt)
	copy(c.head[saltSize:], m.commitment[:])
	return c, nil
}

// seal appends the sealed chunk to dst. Which number a chunk has is counted
// here and nowhere else: a nonce is never used twice.
func (c *chunks) seal(dst, plain []byte) ([]byte, error) {
	if c.next >= maxChunks {
		return nil, fmt.Errorf("sealing a file: more than %d chunks", int64(maxChunks))
	}
	nonceAt(c.nonce[:], c.base[:], c.next)
	c.next++
	return c.aead.Seal(dst, c.nonce[:], plain, nil), nil
}

// Writer seals what is written to it. It is not safe for concurrent use. A file
// is whole only after Close returned nil: what was cut before never opens.
type Writer struct {
	w      io.Writer
	c      *chunks
	buf    [ChunkSize]byte
	n      int
	sealed [sealedSize]byte
	err    error
}

// NewWriter returns a Writer that seals under key at the place. It writes the
// head, salt and commitment, at once. The key may be released as soon as
// NewWriter returned. A key MUST be that file's own: [Place] separates files
// even under one key, but erasing one file means destroying its key.
func NewWriter(w io.Writer, key *field.Key, p Place) (*Writer, error) {
	c, err := newChunks(key, p)
	if err != nil {
		return nil, err
	}
	if _, err := w.Write(c.head[:]); err != nil {
		return nil, fmt.Errorf("sealing a file: %w", err)
	}
	return &Writer{w: w, c: c}, nil
}

// Write implements io.Writer.
func (w *Writer) Write(p []byte) (int, error) {
	written := 0
	for len(p) > 0 {
		if w.err != nil {
			return written, w.err
		}
		n := copy(w.buf[w.n:], p)
		w.n, p, written = w.n+n, p[n:], written+n
		if w.n == ChunkSize {
			w.err = w.flush()
		}
	}
	return written, w.err
}

// Close seals the last chunk, which is always shorter than the others and may
// be empty. It does not close the underlying writer.
func (w *Writer) Close() error {
	if w.err != nil {
		return w.err
	}
	err := w.flush()
	w.err = ErrClosed
	if err != nil {
		w.err = err
	}
	return err
}

func (w *Writer) flush() error {
	out, err := w.c.seal(w.sealed[:0], w.buf[:w.n])
	clear(w.buf[:w.n])
	w.n = 0
	if err != nil {
		return err
	}
	if _, err := w.w.Write(out); err != nil {
		return fmt.Errorf("sealing a file: %w", err)
	}
	return nil
}

// sealingReader gives the sealed form of what it reads.
type sealingReader struct {
	src    io.Reader
	c      *chunks
	plain  [ChunkSize]byte
	sealed [sealedSize]byte
	out    []byte // not yet read part of sealed, or of the head
	err    error  // after out
}

// NewSealingReader returns a reader of the sealed form of src, for stores that
// read rather than are written to. Like [Writer] it holds one chunk. An error
// of src is returned as it is, and then no last chunk: what was read until then
// never opens.
func NewSealingReader(src io.Reader, key *field.Key, p Place) (io.Reader, error) {
	c, err := newChunks(key, p)
	if err != nil {
		return nil, err
	}
	return &sealingReader{src: src, c: c, out: c.head[:]}, nil
}

// Read implements io.Reader.
func (r *sealingReader) Read(p []byte) (int, error) {
	total := 0
	for len(p) > 0 {
		if len(r.out) == 0 {
			if r.err == nil {
				r.fill()
				continue
			}
			if total > 0 {
				return total, nil
			}
			return 0, r.err
		}
		n := copy(p, r.out)
		r.out, p, total = r.out[n:], p[n:], total+n
	}
	return total, nil
}

// fill seals the next chunk; a short one is the last.
func (r *sealingReader) fill() {
	n, err := readFull(r.src, r.plain[:])
	last := errors.Is(err, io.EOF)
	if err != nil && !last {
		clear(r.plain[:n])
		r.err = err
		return
	}
	r.out, r.err = r.c.seal(r.sealed[:0], r.plain[:n])
	clear(r.plain[:n])
	if r.err == nil && last {
		r.err = io.EOF
	}
}

// readFull reads until p is full or src ends, which is io.EOF. Unlike
// io.ReadFull it keeps apart a source that ended and one that says that it broke
// off (io.ErrUnexpectedEOF: a caller who hung up, a store that went away): the
// one is a whole file, the other is not.
func readFull(src io.Reader, p []byte) (n int, err error) {
	for n < len(p) && err == nil {
		var m int
		m, err = src.Read(p[n:])
		n += m
	}
	if n == len(p) {
		return n, nil
	}
	return n, err
}
