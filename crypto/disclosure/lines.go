package disclosure

import (
	"encoding/base64"
	"encoding/hex"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"
)

// Format is the first member of every package's header.
const Format = "sealtrail-disclosure/1"

// Header says what a package is. It is the first line of the inner file.
type Header struct {
	// Disclosure is the id of the decision to disclose; Institution who discloses.
	Disclosure, Institution string
	// Scope, Basis and Purpose are codes of the sender.
	Scope, Basis, Purpose string
	// Groups lists what kinds of fields were asked for.
	Groups []string
	// RecipientName is who the package is for, as the sender calls them; the key
	// is the Writer's.
	RecipientName string
	// RecipientSHA256 is Recipient.Fingerprint; NewWriter fills it in.
	RecipientSHA256 [32]byte
	// Watermark names this copy and stands in every line.
	Watermark string
	// IssuedAt is when it was made, ExpiresAt until when it may be used.
	IssuedAt, ExpiresAt time.Time
	// LogEntry and LogSHA256 name the entry of the sender's log that stood
	// before the first byte left, and the SHA-256 of its body.
	LogEntry  uint64
	LogSHA256 string
}

// Field is a named value. The bytes stay the caller's, who clears them.
type Field struct {
	Name  string
	Value []byte
}

// Record is one record of a package. Attributes are its unclassified fields.
type Record struct {
	Type, ID   string
	Revision   uint64
	Attributes []Field
	Fields     []Field
	// Withheld lists fields that were asked for and not given, with a code.
	Withheld []Withheld
}

// Withheld is something that was asked for and is not in the package: a field
// of a record, or a whole record.
type Withheld struct{ Name, Code string }

// File describes a file that follows in chunks.
type File struct {
	Record, ID, Field, MediaType string
	// Name is what the file is called; it may be empty.
	Name string
	Size int64
}

// Trailer is the last line of the inner file.
type Trailer struct {
	Records, Files int64
	// Withheld counts whole records and files that were left out, by code.
	Withheld map[string]int64
	// Lines counts all lines before the trailer, the header included.
	Lines int64
	Chain [32]byte
}

// chunkSize is how much of a file stands in one line, in bytes: a multiple of 3,
// so that all lines but the last decode without padding.
const chunkSize = 48 << 10

func (h Header) check() error {
	for name, code := range map[string]string{"scope": h.Scope, "basis": h.Basis, "purpose": h.Purpose} {
		if err := checkName(code); err != nil {
			return fmt.Errorf("header, %s: %w", name, err)
		}
	}
	for _, group := range h.Groups {
		if err := checkName(group); err != nil {
			return fmt.Errorf("header, groups: %w", err)
		}
	}
	for name, id := range map[string]string{"disclosure": h.Disclosure, "institution": h.Institution, "watermark": h.Watermark} {
		if err := checkID(id); err != nil {
			return fmt.Errorf("header, %s: %w", name, err)
		}
	}
	if h.RecipientName == "" || h.IssuedAt.IsZero() || !h.ExpiresAt.Truncate(time.Second).After(h.IssuedAt.Truncate(time.Second)) {
		return errors.New("header: a recipient's name, a time of issue and a later expiry are required")
	}
	return nil
}

func (h Header) append(b []byte) ([]byte, error) {
	o := object{b: b}
	o.open()
	o.str("basis", h.Basis)
	o.str("disclosure", h.Disclosure)
	o.time("expires_at", h.ExpiresAt)
	o.str("format", Format)
	o.list("groups", h.Groups)
	o.str("institution", h.Institution)
	o.time("issued_at", h.IssuedAt)
	o.str("log_entry", fmt.Sprint(h.LogEntry))
	o.str("log_sha256", h.LogSHA256)
	o.str("purpose", h.Purpose)
	o.str("recipient", h.RecipientName)
	o.str("recipient_sha256", hex.EncodeToString(h.RecipientSHA256[:]))
	o.str("scope", h.Scope)
	o.str("watermark", h.Watermark)
	o.close()
	return o.b, o.err
}

// line is what all lines between header and trailer share.
type line struct {
	n         int64
	watermark string
}

func (l line) record(b []byte, r Record) ([]byte, error) {
	for _, err := range []error{checkName(r.Type), checkID(r.ID)} {
		if err != nil {
			return b, fmt.Errorf("record: %w", err)
		}
	}
	o := object{b: b}
	o.open()
	o.pairs("attributes", sorted(r.Attributes))
	o.pairs("fields", sorted(r.Fields))
	o.str("id", r.ID)
	o.str("kind", "record")
	o.num("n", l.n)
	o.str("revision", fmt.Sprint(r.Revision))
	o.str("type", r.Type)
	o.str("watermark", l.watermark)
	withheld := make([]Field, len(r.Withheld))
	for i, w := range r.Withheld {
		withheld[i] = Field{w.Name, []byte(w.Code)}
	}
	o.pairs("withheld", sorted(withheld))
	o.close()
	return o.b, o.err
}

func sorted(fields []Field) []Field {
	return slices.SortedStableFunc(slices.Values(fields), func(a, b Field) int { return strings.Compare(a.Name, b.Name) })
}

func (l line) withheld(b []byte, id, code string) ([]byte, error) {
	for _, err := range []error{checkID(id), checkName(code)} {
		if err != nil {
			return b, fmt.Errorf("withheld record: %w", err)
		}
	}
	o := object{b: b}
	o.open()
	o.str("code", code)
	o.str("id", id)
	o.str("kind", "withheld")
	o.num("n", l.n)
	o.str("watermark", l.watermark)
	o.close()
	return o.b, o.err
}

func (l line) file(b []byte, f File) ([]byte, error) {
	for _, err := range []error{checkID(f.Record), checkID(f.ID), checkName(f.Field)} {
		if err != nil {
			return b, fmt.Errorf("file: %w", err)
		}
	}
	if f.Size < 0 {
		return b, errors.New("file: a size below zero")
	}
	o := object{b: b}
	o.open()
	o.str("field", f.Field)
	o.str("id", f.ID)
	o.str("kind", "file")
	o.str("media_type", f.MediaType)
	o.num("n", l.n)
	o.str("name", f.Name)
	o.str("record", f.Record)
	o.num("size", f.Size)
	o.str("watermark", l.watermark)
	o.close()
	return o.b, o.err
}

func (l line) chunk(b []byte, data []byte) []byte {
	o := object{b: b}
	o.open()
	o.name("data")
	o.b = append(o.b, '"')
	o.b = base64.StdEncoding.AppendEncode(o.b, data)
	o.b = append(o.b, '"')
	o.str("kind", "chunk")
	o.num("n", l.n)
	o.str("watermark", l.watermark)
	o.close()
	return o.b
}

func (t Trailer) append(b []byte, watermark string) ([]byte, error) {
	o := object{b: b}
	o.open()
	o.str("chain", hex.EncodeToString(t.Chain[:]))
	o.num("files", t.Files)
	o.str("kind", "trailer")
	o.num("lines", t.Lines)
	o.num("records", t.Records)
	o.str("watermark", watermark)
	o.name("withheld")
	o.open()
	for _, code := range sortedKeys(t.Withheld) {
		if err := checkName(code); err != nil {
			o.err = err
		}
		o.num(code, t.Withheld[code])
	}
	o.close()
	o.close()
	return o.b, o.err
}

func sortedKeys(m map[string]int64) []string {
	keys := make([]string, 0, len(m))
	for k := range m {
		keys = append(keys, k)
	}
	slices.Sort(keys)
	return keys
}
