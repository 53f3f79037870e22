package stream

import (
	"crypto/subtle"
	"errors"
	"fmt"
	"io"

	"github.com/sealtrail/sealtrail/crypto/field"
)

// SealedSize is how long the sealed form of size bytes is.
func SealedSize(size int64) int64 {
	return HeaderSize + size + (size/ChunkSize+1)*tagSize
}

// Opener opens chunks of one sealed file whose head was checked. It is safe for
// concurrent use, each Range by one goroutine.
type Opener struct {
	open  opener
	base  [nonceSize]byte
	size  int64 // of the plaintext
	suite byte
}

// NewOpener checks the head, the first [HeaderSize] bytes, and the length of a
// sealed file. sealed is the length of the whole. The key may be released as
// soon as NewOpener returned. With Suite 0 both suites are tried: the
// commitment tells which one it is.
//
// That the length is a possible one does not say that it is the right one: only
// opening the last chunk does, see [Opener.Last].
func NewOpener(head []byte, sealed int64, key *field.Key, p Place) (*Opener, error) {
	if p.Suite != 0 {
		return openerOf(p.Suite, head, sealed, key, p)
	}
	o, err := openerOf(field.Suite1, head, sealed, key, p)
	if errors.Is(err, ErrKey) {
		if other, otherErr := openerOf(field.Suite2, head, sealed, key, p); otherErr == nil {
			return other, nil
		}
	}
	return o, err
}

func openerOf(suite byte, head []byte, sealed int64, key *field.Key, p Place) (*Opener, error) {
	s, err := schemeOf(suite)
	if err != nil {
		return nil, fmt.Errorf("opening a file: %w", err)
	}
	input, err := inputKey(key, &p, suite, s)
	if err != nil {
		return nil, fmt.Errorf("opening a file: %w", err)
	}
	defer clear(input)
	o, err := rawOpener(s, input, head, sealed, p.context())
	if err != nil {
		return nil, err
	}
	o.suite = suite
	return o, nil
}

func rawOpener(s scheme, input, head []byte, sealed int64, context []byte) (*Opener, error) {
	if len(head) != HeaderSize {
		return nil, &Error{-1, ErrTruncated}
	}
	m, err := s.derive(input, head[:saltSize], context)
	if err != nil {
		return nil, err
	}
	defer clear(m.key)
	// Before any chunk is opened: AES-GCM alone does not commit to its key.
	if subtle.ConstantTimeCompare(m.commitment[:], head[saltSize:]) != 1 {
		return nil, &Error{-1, ErrKey}
	}
	body := sealed - HeaderSize
	full := body / sealedSize
	if last := body - full*sealedSize; last < tagSize || full >= maxChunks {
		return nil, &Error{-1, ErrTruncated} // also a last chunk that is full
	}
	o := &Opener{size: body - (full+1)*tagSize}
	copy(o.base[:], m.nonce)
	o.open, err = s.opener(m.key)
	return o, err
}

// Size is the length of the plaintext in bytes, as the length of the sealed
// form has it. It is authenticated once the last chunk was opened.
func (o *Opener) Size() int64 { return o.size }

// Suite is the suite that the file is sealed under.
func (o *Opener) Suite() byte { return o.suite }

// Span says which bytes of the sealed form hold the plaintext [offset,
// offset+length): whole chunks. It clips to the file; nothing to read gives
// length 0. A range that reaches the end has the last chunk with it, also where
// that one is empty: only it tells that the file ends there.
func (o *Opener) Span(offset, length int64) (at, n int64) {
	first, end := o.chunks(o.clip(offset, length))
	if first == end {
		return HeaderSize, 0
	}
	at = HeaderSize + first*sealedSize
	return at, min(HeaderSize+end*sealedSize, SealedSize(o.size)) - at
}

// chunks are the numbers [first, end) of the chunks of a clipped range.
func (o *Opener) chunks(offset, length int64) (first, end int64) {
	first = offset / ChunkSize
	switch {
	case offset+length == o.size:
		return first, o.size/ChunkSize + 1
	case length == 0:
		return first, first
	}
	return first, (offset+length-1)/ChunkSize + 1
}

// Last says which bytes of the sealed form are the last chunk. Passing them to
// Check proves that the file has the length it has.
func (o *Opener) Last() (at, n int64) {
	at = HeaderSize + o.size/ChunkSize*sealedSize
	return at, SealedSize(o.size) - at
}

// Check authenticates the last chunk and throws its content away.
func (o *Opener) Check(last []byte) error {
	number := o.size / ChunkSize
	if _, n := o.Last(); int64(len(last)) != n {
		return &Error{number, ErrTruncated}
	}
	in := make([]byte, nonceSize+len(last))
	nonceAt(in, o.base[:], number)
	copy(in[nonceSize:], last)
	plain, err := o.open(nil, in)
	clear(plain)
	if err != nil {
		return &Error{number, ErrChunk}
	}
	return nil
}

func (o *Opener) clip(offset, length int64) (int64, int64) {
	if offset < 0 || offset >= o.size || length <= 0 {
		return 0, 0
	}
	return offset, min(length, o.size-offset)
}

// Range returns a reader of the plaintext [offset, offset+length), clipped to
// the file. src MUST give the bytes that Span names. A chunk that is not
// authentic, or a src that ends early, is an [Error], again at every further
// Read, and nothing of that chunk is returned. An error of src is returned as
// it is. Only io.EOF says that all of it is authentic: read up to it.
func (o *Opener) Range(src io.Reader, offset, length int64) io.Reader {
	offset, length = o.clip(offset, length)
	first, end := o.chunks(offset, length)
	return &ranger{o: o, src: src, chunk: first, end: end, skip: int(offset % ChunkSize), left: length}
}

// ranger reads a range. in has the nonce in front of the ciphertext, where the
// opener wants it.
type ranger struct {
	o     *Opener
	src   io.Reader
	chunk int64 // next to open
	end   int64 // one past the last to open
	skip  int   // plaintext bytes of the first chunk before the range
	left  int64 // plaintext bytes not yet opened
	in    [nonceSize + sealedSize]byte
	plain [ChunkSize]byte
	out   []byte
	err   error
}

// Read implements io.Reader.
func (r *ranger) Read(p []byte) (int, error) {
	total := 0
	for len(p) > 0 {
		if len(r.out) == 0 {
			if r.err == nil && r.chunk < r.end {
				r.err = r.fill()
				continue
			}
			if total > 0 {
				return total, nil
			}
			if r.err == nil {
				return 0, io.EOF
			}
			return 0, r.err
		}
		n := copy(p, r.out)
		clear(r.out[:n])
		r.out, p, total = r.out[n:], p[n:], total+n
	}
	return total, nil
}

// fill opens the next chunk. Nothing of it is in r.out before it is authentic.
func (r *ranger) fill() error {
	size := min(r.o.size-r.chunk*ChunkSize, ChunkSize) + tagSize
	in := r.in[:nonceSize+size]
	nonceAt(in, r.o.base[:], r.chunk)
	if _, err := readFull(r.src, in[nonceSize:]); err != nil {
		if errors.Is(err, io.EOF) {
			return &Error{r.chunk, ErrTruncated}
		}
		return err
	}
	plain, err := r.o.open(r.plain[:0], in)
	if err != nil {
		clear(r.plain[:])
		return &Error{r.chunk, ErrChunk}
	}
	r.out = plain[r.skip:]
	if int64(len(r.out)) > r.left {
		clear(r.out[r.left:])
		r.out = r.out[:r.left]
	}
	r.left -= int64(len(r.out))
	r.skip = 0
	r.chunk++
	return nil
}

// Reader reads a sealed file at random. It is safe for concurrent use.
type Reader struct {
	o   *Opener
	src io.ReaderAt
}

// NewReader checks head and length of a sealed file of so many bytes, and opens
// its last chunk, so that Size is authentic.
func NewReader(src io.ReaderAt, sealed int64, key *field.Key, p Place) (*Reader, error) {
	head, err := readAt(src, 0, HeaderSize)
	if err != nil {
		return nil, err
	}
	o, err := NewOpener(head, sealed, key, p)
	if err != nil {
		return nil, err
	}
	return readerOf(o, src)
}

func readerOf(o *Opener, src io.ReaderAt) (*Reader, error) {
	at, n := o.Last()
	last, err := readAt(src, at, n)
	if err == nil {
		err = o.Check(last)
	}
	if err != nil {
		return nil, err
	}
	return &Reader{o: o, src: src}, nil
}

func readAt(src io.ReaderAt, at, n int64) ([]byte, error) {
	b := make([]byte, n)
	got, err := src.ReadAt(b, at)
	switch {
	case int64(got) == n:
		return b, nil
	case err == io.EOF || err == nil:
		return nil, &Error{-1, ErrTruncated}
	}
	return nil, err
}

// Size is the length of the plaintext in bytes. It is authentic.
func (r *Reader) Size() int64 { return r.o.size }

// ReadAt implements io.ReaderAt. It reads and opens only the chunks that it
// needs.
func (r *Reader) ReadAt(p []byte, offset int64) (int, error) {
	if offset < 0 {
		return 0, errors.New("reading a sealed file: negative offset")
	}
	if offset >= r.o.size {
		if len(p) == 0 {
			return 0, nil
		}
		return 0, io.EOF
	}
	at, n := r.o.Span(offset, int64(len(p)))
	// Not io.ReadFull: its io.ErrUnexpectedEOF may also be a store that broke off,
	// which must not become the end of the file.
	return readFull(r.o.Range(io.NewSectionReader(r.src, at, n), offset, int64(len(p))), p)
}
