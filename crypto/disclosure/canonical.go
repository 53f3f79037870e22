package disclosure

import (
	"errors"
	"fmt"
	"strconv"
	"time"
	"unicode/utf8"
)

// timeLayout is how times stand in a package: UTC, whole seconds.
const timeLayout = "2006-01-02T15:04:05Z"

// object appends the members of one JSON object. Members MUST be given in the
// order of their names, so that the bytes are those of RFC 8785.
type object struct {
	b   []byte
	any bool
	err error
}

func (o *object) open()  { o.b, o.any = append(o.b, '{'), false }
func (o *object) close() { o.b, o.any = append(o.b, '}'), true }

func (o *object) name(name string) {
	if o.any {
		o.b = append(o.b, ',')
	}
	o.any = true
	o.text([]byte(name))
	o.b = append(o.b, ':')
}

func (o *object) str(name, value string) { o.name(name); o.text([]byte(value)) }

func (o *object) time(name string, t time.Time) { o.str(name, t.UTC().Format(timeLayout)) }

func (o *object) num(name string, n int64) { o.name(name); o.b = strconv.AppendInt(o.b, n, 10) }

func (o *object) list(name string, values []string) {
	o.name(name)
	o.b = append(o.b, '[')
	for i, v := range values {
		if i > 0 {
			o.b = append(o.b, ',')
		}
		o.text([]byte(v))
	}
	o.b = append(o.b, ']')
}

// pairs appends an object of strings; names MUST be sorted and are checked.
func (o *object) pairs(name string, values []Field) {
	o.name(name)
	o.open()
	for i, f := range values {
		if err := checkName(f.Name); err != nil {
			o.err = err
		}
		if i > 0 && values[i-1].Name >= f.Name {
			o.err = fmt.Errorf("field %s stands twice", f.Name)
		}
		o.name(f.Name)
		o.text(f.Value)
	}
	o.close()
}

// text appends a JSON string as RFC 8785 writes it.
func (o *object) text(s []byte) {
	if !utf8.Valid(s) {
		o.err = errNotUTF8
		s = nil
	}
	o.b = append(o.b, '"')
	for _, c := range s {
		switch {
		case c == '"' || c == '\\':
			o.b = append(o.b, '\\', c)
		case c >= 0x20:
			o.b = append(o.b, c)
		default:
			o.control(c)
		}
	}
	o.b = append(o.b, '"')
}

func (o *object) control(c byte) {
	switch c {
	case '\b':
		o.b = append(o.b, `\b`...)
	case '\t':
		o.b = append(o.b, `\t`...)
	case '\n':
		o.b = append(o.b, `\n`...)
	case '\f':
		o.b = append(o.b, `\f`...)
	case '\r':
		o.b = append(o.b, `\r`...)
	default:
		const hex = "0123456789abcdef"
		o.b = append(o.b, '\\', 'u', '0', '0', hex[c>>4], hex[c&15])
	}
}

var errNotUTF8 = errors.New("a text is not UTF-8")

// maxName is the longest name of a field or a code, in bytes.
const maxName = 64

// checkName takes names and codes: lower-case letters, digits, dot, underscore
// and hyphen, beginning with a letter.
func checkName(s string) error {
	if s == "" || len(s) > maxName || s[0] < 'a' || s[0] > 'z' {
		return errors.New("a name is not of the form a-z, 0-9, dot, underscore, hyphen")
	}
	for _, c := range []byte(s) {
		if (c < 'a' || c > 'z') && (c < '0' || c > '9') && c != '.' && c != '_' && c != '-' {
			return errors.New("a name is not of the form a-z, 0-9, dot, underscore, hyphen")
		}
	}
	return nil
}

// checkID takes identifiers: printable ASCII without spaces, at most 128 bytes.
func checkID(s string) error {
	if s == "" || len(s) > 128 {
		return errors.New("an id is empty or longer than 128 bytes")
	}
	for _, c := range []byte(s) {
		if c <= ' ' || c > '~' {
			return errors.New("an id is not printable ASCII")
		}
	}
	return nil
}
