package disclosure

import (
	"bufio"
	"bytes"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strconv"
	"time"

	"filippo.io/age"
)

// ErrBroken is wrapped by every error about an inner file that is not, byte for
// byte, what a Writer wrote: cut short, reordered, or changed.
var ErrBroken = errors.New("the package is not whole")

// maxLine bounds a line in bytes, above any record of a sensible table.
const maxLine = 64 << 20

// Item is one line between header and trailer; exactly one member is set.
type Item struct {
	Record   *Record
	Withheld *Withheld // Name is the id that was given to Writer.Withheld
	File     *File
	Chunk    []byte // of the File before it
}

// Reader reads the inner file and checks it on the way. It is not safe for
// concurrent use.
type Reader struct {
	in      *bufio.Reader
	header  Header
	chain   [32]byte
	trailer Trailer // counted so far; complete when done
	left    int64   // bytes of a file still to come
	done    bool
}

// Open opens a sealed package with an age identity and reads its header.
func Open(sealed io.Reader, identities ...age.Identity) (*Reader, error) {
	if err := Available(); err != nil {
		return nil, err
	}
	inner, err := age.Decrypt(sealed, identities...)
	if err != nil {
		return nil, fmt.Errorf("opening a package: %w", err)
	}
	return NewReader(inner)
}

// NewReader reads an inner file that was opened by other means, such as the age
// tool. What it returns is not vouched for before Next answered io.EOF.
func NewReader(inner io.Reader) (*Reader, error) {
	r := &Reader{in: bufio.NewReaderSize(inner, 64<<10), trailer: Trailer{Withheld: map[string]int64{}}}
	r.chain = link0()
	raw, err := r.line()
	if err != nil {
		return nil, err
	}
	if r.header, err = parseHeader(raw); err != nil {
		return nil, err
	}
	again, err := r.header.append(nil)
	if err != nil || !bytes.Equal(again, raw) {
		return nil, broken("the header is not canonical")
	}
	r.follow(raw)
	return r, nil
}

// Header is the package's first line.
func (r *Reader) Header() Header { return r.header }

// Trailer is the last line; it is complete once Next has answered io.EOF.
func (r *Reader) Trailer() Trailer { return r.trailer }

// Next returns the next line. io.EOF means that the trailer was there, that its
// chain and counts are right, and that nothing follows it.
func (r *Reader) Next() (Item, error) {
	if r.done {
		return Item{}, io.EOF
	}
	raw, err := r.line()
	if err != nil {
		return Item{}, err
	}
	var kind struct {
		Kind string `json:"kind"`
	}
	if json.Unmarshal(raw, &kind) != nil {
		return Item{}, broken("line %d is not JSON", r.trailer.Lines)
	}
	if r.left > 0 && kind.Kind != "chunk" {
		return Item{}, broken("line %d: a file is shorter than was said", r.trailer.Lines)
	}
	switch kind.Kind {
	case "record":
		return r.record(raw)
	case "withheld":
		return r.withheld(raw)
	case "file":
		return r.file(raw)
	case "chunk":
		return r.chunk(raw)
	case "trailer":
		return Item{}, r.end(raw)
	}
	return Item{}, broken("line %d is of an unknown kind", r.trailer.Lines)
}

func broken(format string, args ...any) error {
	return fmt.Errorf("%w: %s", ErrBroken, fmt.Sprintf(format, args...))
}

func (r *Reader) line() ([]byte, error) {
	var raw []byte
	for {
		part, err := r.in.ReadSlice('\n')
		raw = append(raw, part...)
		switch {
		case err == nil:
			return raw[:len(raw)-1], nil
		case errors.Is(err, bufio.ErrBufferFull) && len(raw) <= maxLine:
			continue
		case errors.Is(err, io.EOF):
			return nil, broken("it ends in line %d, before its trailer", r.trailer.Lines)
		case errors.Is(err, bufio.ErrBufferFull):
			return nil, broken("line %d is longer than %d bytes", r.trailer.Lines, maxLine)
		}
		return nil, fmt.Errorf("reading a package: %w", err)
	}
}

func (r *Reader) follow(raw []byte) {
	r.chain = link(r.chain, raw)
	r.trailer.Lines++
}

func (r *Reader) place() line { return line{n: r.trailer.Lines, watermark: r.header.Watermark} }

// same checks that a line is what the Writer would have written for what was
// read from it: number, watermark and spelling included.
func (r *Reader) same(raw, again []byte, err error) error {
	if err != nil || !bytes.Equal(raw, again) {
		return broken("line %d is not what was written there", r.trailer.Lines)
	}
	r.follow(raw)
	return nil
}

func (r *Reader) record(raw []byte) (Item, error) {
	var v struct {
		Attributes map[string]string `json:"attributes"`
		Fields     map[string]string `json:"fields"`
		ID         string            `json:"id"`
		Revision   string            `json:"revision"`
		Type       string            `json:"type"`
		Withheld   map[string]string `json:"withheld"`
	}
	if json.Unmarshal(raw, &v) != nil {
		return Item{}, broken("line %d is no record", r.trailer.Lines)
	}
	revision, err := strconv.ParseUint(v.Revision, 10, 64)
	if err != nil {
		return Item{}, broken("line %d is no record", r.trailer.Lines)
	}
	rec := &Record{Type: v.Type, ID: v.ID, Revision: revision, Attributes: fieldsOf(v.Attributes), Fields: fieldsOf(v.Fields)}
	for _, f := range fieldsOf(v.Withheld) {
		rec.Withheld = append(rec.Withheld, Withheld{f.Name, string(f.Value)})
	}
	again, err := r.place().record(nil, *rec)
	if err := r.same(raw, again, err); err != nil {
		return Item{}, err
	}
	r.trailer.Records++
	return Item{Record: rec}, nil
}

func fieldsOf(m map[string]string) []Field {
	fields := make([]Field, 0, len(m))
	for name, value := range m {
		fields = append(fields, Field{name, []byte(value)})
	}
	return sorted(fields)
}

func (r *Reader) withheld(raw []byte) (Item, error) {
	var v struct{ ID, Code string }
	if json.Unmarshal(raw, &v) != nil {
		return Item{}, broken("line %d says nothing withheld", r.trailer.Lines)
	}
	again, err := r.place().withheld(nil, v.ID, v.Code)
	if err := r.same(raw, again, err); err != nil {
		return Item{}, err
	}
	r.trailer.Withheld[v.Code]++
	return Item{Withheld: &Withheld{v.ID, v.Code}}, nil
}

func (r *Reader) file(raw []byte) (Item, error) {
	var v struct {
		Record, ID, Field, Name string
		MediaType               string `json:"media_type"`
		Size                    int64
	}
	if json.Unmarshal(raw, &v) != nil || v.Size < 0 {
		return Item{}, broken("line %d is no file", r.trailer.Lines)
	}
	f := &File{Record: v.Record, ID: v.ID, Field: v.Field, MediaType: v.MediaType, Name: v.Name, Size: v.Size}
	again, err := r.place().file(nil, *f)
	if err := r.same(raw, again, err); err != nil {
		return Item{}, err
	}
	r.trailer.Files++
	r.left = f.Size
	return Item{File: f}, nil
}

func (r *Reader) chunk(raw []byte) (Item, error) {
	var v struct{ Data string }
	if json.Unmarshal(raw, &v) != nil {
		return Item{}, broken("line %d is no part of a file", r.trailer.Lines)
	}
	data, err := base64.StdEncoding.DecodeString(v.Data)
	if err != nil || int64(len(data)) != min(r.left, chunkSize) || len(data) == 0 {
		return Item{}, broken("line %d is no part of the file before it", r.trailer.Lines)
	}
	if err := r.same(raw, r.place().chunk(nil, data), nil); err != nil {
		return Item{}, err
	}
	r.left -= int64(len(data))
	return Item{Chunk: data}, nil
}

// end compares the trailer with what was read and makes sure that it is the
// last line.
func (r *Reader) end(raw []byte) error {
	r.trailer.Chain = r.chain
	again, err := r.trailer.append(nil, r.header.Watermark)
	if err != nil || !bytes.Equal(again, raw) {
		return broken("the trailer is about another content")
	}
	if _, err := r.in.ReadByte(); !errors.Is(err, io.EOF) {
		if err != nil {
			return fmt.Errorf("reading a package: %w", err)
		}
		return broken("something follows the trailer")
	}
	r.done = true
	return io.EOF
}

func parseHeader(raw []byte) (Header, error) {
	var v struct {
		Basis, Disclosure, Format, Institution, Purpose, Recipient, Scope, Watermark string
		Expires                                                                      string `json:"expires_at"`
		Issued                                                                       string `json:"issued_at"`
		Groups                                                                       []string
		LogEntry                                                                     string `json:"log_entry"`
		LogSHA256                                                                    string `json:"log_sha256"`
		Key                                                                          string `json:"recipient_sha256"`
	}
	if json.Unmarshal(raw, &v) != nil || v.Format != Format {
		return Header{}, broken("the first line is no header of %s", Format)
	}
	h := Header{Disclosure: v.Disclosure, Institution: v.Institution, Scope: v.Scope, Basis: v.Basis, Purpose: v.Purpose, Groups: v.Groups,
		RecipientName: v.Recipient, Watermark: v.Watermark, LogSHA256: v.LogSHA256}
	var err1, err2, err3 error
	h.IssuedAt, err1 = time.Parse(timeLayout, v.Issued)
	h.ExpiresAt, err2 = time.Parse(timeLayout, v.Expires)
	h.LogEntry, err3 = strconv.ParseUint(v.LogEntry, 10, 64)
	key, err4 := hex.DecodeString(v.Key)
	if errors.Join(err1, err2, err3, err4) != nil || copy(h.RecipientSHA256[:], key) != 32 || len(key) != 32 {
		return Header{}, broken("the header cannot be read")
	}
	if err := h.check(); err != nil {
		return Header{}, broken("%s", err)
	}
	return h, nil
}
