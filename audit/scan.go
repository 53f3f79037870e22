package audit

import (
	"bytes"
	"errors"
	"fmt"
	"unicode/utf8"
)

// ErrNotCanonical is wrapped by every refusal of bytes that are not the one spelling of an entry.
var ErrNotCanonical = errors.New("not canonical")

// CanonicalError says where and why bytes were refused. It wraps [ErrNotCanonical] and carries no value of the input.
type CanonicalError struct {
	Offset int // bytes from the start of the input
	Reason string
}

// Error names the offset and the reason.
func (e *CanonicalError) Error() string {
	return fmt.Sprintf("%v at byte %d: %s", ErrNotCanonical, e.Offset, e.Reason)
}

// Unwrap returns ErrNotCanonical.
func (e *CanonicalError) Unwrap() error { return ErrNotCanonical }

// maxDepth bounds the nesting that ScanCanonical follows; an entry needs 4.
const maxDepth = 16

// ScanCanonical checks in one pass that b is one JSON object in the restricted canonical form of this package: RFC 8785, and
// names of lower-case letters, digits and _ . / : - only, integers of magnitude at most 2^53-1 only, no null, nesting at most
// 16. It allocates nothing unless it refuses. It does not check the schema of an entry; [ScanBody] and [ScanLeaf] do.
func ScanCanonical(b []byte) error {
	s := scanner{b: b}
	if len(b) == 0 || b[0] != '{' {
		s.fail("not an object")
		return s.err
	}
	s.value(0)
	return s.end()
}

// scanner reads canonical JSON. The first error sticks and moves the position to the end, so that callers may go on and look
// at err once.
type scanner struct {
	b   []byte
	i   int
	err error
}

func (s *scanner) fail(reason string) {
	if s.err == nil {
		s.err = &CanonicalError{Offset: s.i, Reason: reason}
	}
	s.i = len(s.b)
}

func (s *scanner) end() error {
	if s.err == nil && s.i != len(s.b) {
		s.fail("bytes after the value")
	}
	return s.err
}

// peek returns the next byte, 0 at the end (0 is never valid JSON).
func (s *scanner) peek() byte {
	if s.i < len(s.b) {
		return s.b[s.i]
	}
	return 0
}

func (s *scanner) expect(c byte) {
	if s.peek() != c {
		s.fail("unexpected byte or end")
		return
	}
	s.i++
}

// literal consumes the given text.
func (s *scanner) literal(text string) {
	if len(s.b)-s.i < len(text) || string(s.b[s.i:s.i+len(text)]) != text {
		s.fail("unexpected byte or end")
		return
	}
	s.i += len(text)
}

func (s *scanner) value(depth int) {
	if depth >= maxDepth {
		s.fail("nested too deep")
		return
	}
	switch c := s.peek(); c {
	case '"':
		s.str()
	case '{':
		s.object(depth)
	case '[':
		s.array(depth)
	case 't':
		s.literal("true")
	case 'f':
		s.literal("false")
	default:
		s.integer()
	}
}

func (s *scanner) object(depth int) {
	s.expect('{')
	if s.peek() == '}' {
		s.i++
		return
	}
	for prev := []byte(nil); s.err == nil; {
		name := s.member(prev, classPath)
		s.value(depth + 1)
		if !s.more('}') {
			return
		}
		prev = name
	}
}

func (s *scanner) array(depth int) {
	s.expect('[')
	if s.peek() == ']' {
		s.i++
		return
	}
	for s.err == nil {
		s.value(depth + 1)
		if !s.more(']') {
			return
		}
	}
}

// more consumes a comma and returns true, or the closing byte and returns false; anything else is an error.
func (s *scanner) more(closing byte) bool {
	switch s.peek() {
	case ',':
		s.i++
		return true
	case closing:
		s.i++
	default:
		s.fail("neither a comma nor the end of the list")
	}
	return false
}

// member reads a name and its colon. Names are ASCII, so that their order by UTF-16 code units (RFC 8785, 3.2.3) is their
// order by bytes.
func (s *scanner) member(prev []byte, bits uint8) []byte {
	b, i := s.b, s.i+1
	if i > len(b) || b[i-1] != '"' {
		s.fail("unexpected byte or end")
		return nil
	}
	for i < len(b) && class[b[i]]&bits != 0 {
		i++
	}
	name := b[s.i+1 : i]
	if len(name) == 0 || len(b)-i < 2 || b[i] != '"' || b[i+1] != ':' {
		s.i = i
		s.fail("empty name, or a byte that names may not have")
		return nil
	}
	if prev != nil && !before(prev, name) {
		s.fail("names out of order or twice")
		return nil
	}
	s.i = i + 2
	return name
}

// before reports whether name a stands before name b. Most names differ in their first byte.
func before(a, b []byte) bool {
	if a[0] != b[0] {
		return a[0] < b[0]
	}
	return bytes.Compare(a, b) < 0
}

// str reads a string and returns what stands between its quotes, escapes and all.
func (s *scanner) str() []byte {
	s.expect('"')
	from := s.i
	for s.i < len(s.b) {
		b, i := s.b, s.i
		for i < len(b) && class[b[i]]&classPlain != 0 {
			i++
		}
		if s.i = i; i == len(b) {
			break
		}
		switch c := b[i]; {
		case c == '"':
			s.i++
			return b[from:i]
		case c == '\\':
			s.escape()
		case c < 0x20:
			s.fail("control character not escaped")
		default:
			s.rune()
		}
	}
	s.fail("string without end")
	return nil
}

// rune reads one non-ASCII character. Lone surrogates have no UTF-8 form and are refused with all other invalid bytes.
func (s *scanner) rune() {
	r, n := utf8.DecodeRune(s.b[s.i:])
	if r == utf8.RuneError && n == 1 {
		s.fail("invalid UTF-8")
		return
	}
	s.i += n
}

// escape accepts the escapes that RFC 8785, 3.2.2.2 makes mandatory, spelled as it spells them.
func (s *scanner) escape() {
	rest := s.b[s.i:]
	if len(rest) < 2 {
		s.fail("string without end")
		return
	}
	switch rest[1] {
	case '"', '\\', 'b', 't', 'n', 'f', 'r':
		s.i += 2
	case 'u':
		if len(rest) < 6 || rest[2] != '0' || rest[3] != '0' || rest[4] != '0' && rest[4] != '1' || class[rest[5]]&classHex == 0 {
			s.fail("escape of a character that stands as itself")
			return
		}
		if shortEscape[(rest[4]-'0')<<4|unhex(rest[5])] != 0 {
			s.fail("long escape where a short one exists")
			return
		}
		s.i += 6
	default:
		s.fail("escape of a character that stands as itself")
	}
}

func unhex(c byte) byte {
	if c >= 'a' {
		return c - 'a' + 10
	}
	return c - '0'
}

// integer reads a number of magnitude at most MaxInt: no sign but '-', no leading zero, no fraction, no exponent, no -0.
func (s *scanner) integer() int64 {
	from := s.i
	if s.peek() == '-' {
		s.i++
	}
	digits := s.i
	var n int64
	for s.i < len(s.b) && class[s.b[s.i]]&classDigit != 0 && s.i-digits < 17 {
		n = n*10 + int64(s.b[s.i]-'0')
		s.i++
	}
	switch count := s.i - digits; {
	case count == 0:
		s.fail("not a value of the restricted form")
	case s.b[digits] == '0' && (count > 1 || digits > from):
		s.fail("leading zero or minus zero")
	case n > MaxInt:
		s.fail("number beyond 2^53-1")
	}
	if digits > from {
		return -n
	}
	return n
}

// token reads a non-empty string of printable ASCII without space, quote and backslash.
func (s *scanner) token() []byte { return s.run(classToken, "not a token") }

// run reads a non-empty string of the given character class.
func (s *scanner) run(bits uint8, reason string) []byte {
	b, i := s.b, s.i+1
	if i > len(b) || b[i-1] != '"' {
		s.fail("unexpected byte or end")
		return nil
	}
	for i < len(b) && class[b[i]]&bits != 0 {
		i++
	}
	from := s.i + 1
	if i == from || i == len(b) || b[i] != '"' {
		s.i = i
		s.fail(reason)
		return nil
	}
	s.i = i + 1
	return b[from:i]
}

// hex reads a string of exactly n lower-case hex digits.
func (s *scanner) hex(n int) []byte {
	h := s.run(classHex, "not lower-case hex")
	if len(h) != n {
		s.fail("hex digits of another length")
		return nil
	}
	return h
}

// count reads a 64-bit number written as a string, without leading zeros.
func (s *scanner) count() uint64 {
	d := s.run(classDigit, "not a number in quotes")
	if len(d) == 0 || len(d) > 20 || len(d) > 1 && d[0] == '0' {
		s.fail("number with leading zero or beyond 64 bits")
		return 0
	}
	var n uint64
	for _, c := range d {
		next := n*10 + uint64(c-'0')
		if n > (1<<64-1)/10 || next < n*10 {
			s.fail("number beyond 64 bits")
			return 0
		}
		n = next
	}
	return n
}

// time reads a time of TimeLayout and checks that it exists in the calendar.
func (s *scanner) time() []byte {
	if len(s.b)-s.i < len(TimeLayout)+2 {
		s.fail("not a time")
		return nil
	}
	t := s.b[s.i+1 : s.i+1+len(TimeLayout)]
	if s.b[s.i] != '"' || s.b[s.i+1+len(TimeLayout)] != '"' || !isTime(t) {
		s.fail("not a time in UTC with six decimals")
		return nil
	}
	s.i += len(TimeLayout) + 2
	return t
}

// isTime reports whether t is a real instant spelled in TimeLayout.
func isTime(t []byte) bool {
	for i, c := range []byte("dddd-dd-ddTdd:dd:dd.ddddddZ") {
		if c == 'd' {
			if class[t[i]]&classDigit == 0 {
				return false
			}
		} else if t[i] != c {
			return false
		}
	}
	year, month, day := decimal(t[0:4]), decimal(t[5:7]), decimal(t[8:10])
	return year >= 1 && month >= 1 && month <= 12 && day >= 1 && day <= daysIn(year, month) &&
		decimal(t[11:13]) < 24 && decimal(t[14:16]) < 60 && decimal(t[17:19]) < 60
}

func decimal(d []byte) (n int) {
	for _, c := range d {
		n = n*10 + int(c-'0')
	}
	return n
}

func daysIn(year, month int) int {
	switch month {
	case 4, 6, 9, 11:
		return 30
	case 2:
		if year%4 == 0 && (year%100 != 0 || year%400 == 0) {
			return 29
		}
		return 28
	}
	return 31
}
