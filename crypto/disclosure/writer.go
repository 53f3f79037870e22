package disclosure

import (
	"bufio"
	"crypto/sha256"
	"errors"
	"fmt"
	"hash"
	"io"

	"filippo.io/age"
)

// chainLabel begins the chain, so that no other hash of ours is one.
const chainLabel = "sealtrail-disclosure/1 chain\n"

// ErrUnfit is wrapped by the error about a record that cannot be written as it
// should be, such as a text that is not UTF-8. The Writer is still usable.
var ErrUnfit = errors.New("unfit for a package")

// Summary says what a finished package holds.
type Summary struct {
	Trailer
	// SHA256 and Bytes are of the sealed file, as it left.
	SHA256 [32]byte
	Bytes  int64
}

// Writer writes one package. It is not safe for concurrent use. Either Close or
// Abort MUST be called; a package without Close is refused by age as cut short,
// and by Reader, too.
type Writer struct {
	out       *counter
	sealed    io.WriteCloser
	buffered  *bufio.Writer
	chain     [32]byte
	trailer   Trailer
	watermark string
	line      []byte
	err       error // the first error; everything after it answers the same
}

// NewWriter begins a package for one recipient and writes its header. Nothing
// is sealed to anybody else: there is no second key.
func NewWriter(dst io.Writer, to Recipient, h Header) (*Writer, error) {
	if err := Available(); err != nil {
		return nil, err
	}
	if to.key == nil {
		return nil, errors.New("sealing a package: no recipient")
	}
	h.RecipientSHA256 = to.Fingerprint()
	if err := h.check(); err != nil {
		return nil, fmt.Errorf("sealing a package: %w", err)
	}
	w := &Writer{out: &counter{dst: dst, sum: sha256.New()}, watermark: h.Watermark, chain: link0(),
		trailer: Trailer{Withheld: map[string]int64{}}}
	var err error
	if w.sealed, err = age.Encrypt(w.out, to.key); err != nil {
		return nil, fmt.Errorf("sealing a package: %w", err)
	}
	// age seals 64 KiB at a time whatever it is given: the buffer only saves calls.
	w.buffered = bufio.NewWriterSize(w.sealed, 16<<10)
	if w.line, err = h.append(w.line[:0]); err != nil {
		return nil, fmt.Errorf("sealing a package: header: %w", err)
	}
	return w, w.put()
}

// Record adds a record. Its line is overwritten before Record returns. Parts of
// it stay in memory for longer: up to 16 KiB that the Writer buffers and up to
// 64 KiB that age holds back, and what was outgrown while the line was put
// together, which the garbage collector takes.
func (w *Writer) Record(r Record) error {
	return w.add(func(l line) ([]byte, error) { return l.record(w.line[:0], r) }, func() { w.trailer.Records++ })
}

// Withheld adds the statement that a record, or a file (record/file), was asked
// for and is left out.
func (w *Writer) Withheld(id, code string) error {
	return w.add(func(l line) ([]byte, error) { return l.withheld(w.line[:0], id, code) }, func() { w.trailer.Withheld[code]++ })
}

// File adds a file of exactly f.Size bytes, in constant memory. A file that is
// shorter or longer than that leaves the package unfinished.
func (w *Writer) File(f File, contents io.Reader) error {
	if err := w.add(func(l line) ([]byte, error) { return l.file(w.line[:0], f) }, func() { w.trailer.Files++ }); err != nil {
		return err
	}
	chunk := make([]byte, chunkSize)
	defer clear(chunk)
	left := f.Size
	for left > 0 {
		part := chunk[:min(left, chunkSize)]
		if _, err := io.ReadFull(contents, part); err != nil {
			return w.fail(fmt.Errorf("reading a file: %w", err))
		}
		left -= int64(len(part))
		if err := w.add(func(l line) ([]byte, error) { return l.chunk(w.line[:0], part), nil }, nil); err != nil {
			return err
		}
	}
	if n, err := io.ReadFull(contents, chunk[:1]); n > 0 || !errors.Is(err, io.EOF) {
		return w.fail(errors.New("reading a file: it is longer than was said"))
	}
	return nil
}

// add writes one line. A record that cannot be written as it should be leaves
// nothing of itself behind and the Writer usable; an error of dst ends it.
func (w *Writer) add(write func(line) ([]byte, error), counted func()) error {
	if w.err != nil {
		return w.err
	}
	b, err := write(line{n: w.trailer.Lines, watermark: w.watermark})
	w.line = b
	if err == nil && len(b) > maxLine {
		err = fmt.Errorf("a line is longer than %d bytes", maxLine) // no Reader takes it
	}
	if err != nil {
		clear(w.line[:cap(w.line)])
		return fmt.Errorf("adding to a package: %w: %w", ErrUnfit, err)
	}
	if err := w.put(); err != nil {
		return err
	}
	if counted != nil {
		counted()
	}
	return nil
}

// put chains and writes the line, and overwrites it.
func (w *Writer) put() error {
	w.chain = link(w.chain, w.line)
	w.trailer.Lines++
	w.line = append(w.line, '\n')
	_, err := w.buffered.Write(w.line)
	clear(w.line[:cap(w.line)])
	if err != nil {
		return w.fail(fmt.Errorf("writing a package: %w", err))
	}
	return nil
}

// link is one step of the chain.
func link(chain [32]byte, line []byte) [32]byte {
	h := sha256.New()
	h.Write(chain[:])
	h.Write(line)
	return [32]byte(h.Sum(nil))
}

func (w *Writer) fail(err error) error {
	if w.err == nil {
		w.err = err
	}
	return w.err
}

// Flush hands on what is buffered before age: after it, at most 64 KiB of lines
// are held back by age itself.
func (w *Writer) Flush() error {
	if w.err != nil {
		return w.err
	}
	if err := w.buffered.Flush(); err != nil {
		return w.fail(fmt.Errorf("writing a package: %w", err))
	}
	return nil
}

// Close writes the trailer and ends the sealed file. Only its Summary says that
// the package is whole.
func (w *Writer) Close() (Summary, error) {
	if w.err != nil {
		return Summary{}, w.err
	}
	w.trailer.Chain = w.chain
	b, err := w.trailer.append(w.line[:0], w.watermark)
	if err != nil {
		return Summary{}, w.fail(fmt.Errorf("closing a package: %w", err))
	}
	if _, err := w.buffered.Write(append(b, '\n')); err != nil {
		return Summary{}, w.fail(fmt.Errorf("closing a package: %w", err))
	}
	if err := errors.Join(w.buffered.Flush(), w.sealed.Close()); err != nil {
		return Summary{}, w.fail(fmt.Errorf("closing a package: %w", err))
	}
	_ = w.fail(errors.New("writing a package: it is closed")) // for whoever goes on writing
	return Summary{Trailer: w.trailer, SHA256: [32]byte(w.out.sum.Sum(nil)), Bytes: w.out.n}, nil
}

// Abort gives a package up: what left of it is refused by every reader. After
// Close it does nothing.
func (w *Writer) Abort() { _ = w.fail(errors.New("writing a package: it was given up")) }

// counter counts and hashes what leaves.
type counter struct {
	dst io.Writer
	sum hash.Hash
	n   int64
}

func (c *counter) Write(p []byte) (int, error) {
	n, err := c.dst.Write(p)
	c.sum.Write(p[:n])
	c.n += int64(n)
	return n, err
}

// link0 is the chain before the first line.
func link0() [32]byte { return sha256.Sum256([]byte(chainLabel)) }
