package audit

import (
	"bytes"
	"iter"
	"strings"
	"time"
)

// Fact is one value of an entry's facts, checked but not decoded.
type Fact struct{ raw []byte }

// Raw returns the JSON bytes of the value, without copying.
func (f Fact) Raw() []byte { return f.raw }

// Value decodes the fact: string, bool, []string or int64; nil for the zero Fact.
func (f Fact) Value() any {
	if len(f.raw) == 0 {
		return nil
	}
	switch f.raw[0] {
	case '"':
		return unquote(f.raw[1 : len(f.raw)-1])
	case 't':
		return true
	case 'f':
		return false
	case '[':
		list := unquoteList(f.raw[1 : len(f.raw)-1])
		if list == nil {
			list = []string{}
		}
		return list
	}
	s := scanner{b: f.raw}
	return s.integer()
}

// Facts iterates over the facts in the order of their names, without copying.
func (v *BodyView) Facts() iter.Seq2[[]byte, Fact] {
	return func(yield func([]byte, Fact) bool) {
		s := scanner{b: v.facts}
		for s.i < len(s.b) {
			name := s.member(nil, className)
			from := s.i
			s.fact()
			if s.err != nil || !yield(name, Fact{s.b[from:s.i]}) || s.i == len(s.b) {
				return
			}
			s.expect(',')
		}
	}
}

// Fact returns the fact of that name; ok is false if there is none.
func (v *BodyView) Fact(name string) (f Fact, ok bool) {
	for n, f := range v.Facts() {
		if string(n) == name {
			return f, true
		}
	}
	return Fact{}, false
}

// Commits iterates over the commitments (path, 64 hex digits) in the order of their paths, without copying.
func (v *BodyView) Commits() iter.Seq2[[]byte, []byte] {
	return func(yield func([]byte, []byte) bool) {
		s := scanner{b: v.commit}
		for s.i < len(s.b) {
			path := s.member(nil, classPath)
			hex := s.hex(64)
			if s.err != nil || !yield(path, hex) || s.i == len(s.b) {
				return
			}
			s.expect(',')
		}
	}
}

// unquote decodes what stood between the quotes of a checked string.
func unquote(raw []byte) string {
	escaped := false
	for _, c := range raw {
		if c == '\\' {
			escaped = true
			break
		}
	}
	if !escaped {
		return string(raw)
	}
	var out strings.Builder
	out.Grow(len(raw))
	for i := 0; i < len(raw); i++ {
		if raw[i] != '\\' {
			out.WriteByte(raw[i])
			continue
		}
		i++
		switch raw[i] {
		case 'b':
			out.WriteByte('\b')
		case 't':
			out.WriteByte('\t')
		case 'n':
			out.WriteByte('\n')
		case 'f':
			out.WriteByte('\f')
		case 'r':
			out.WriteByte('\r')
		case 'u': // \u00XX: the scan let no other through
			out.WriteByte(unhex(raw[i+3])<<4 | unhex(raw[i+4]))
			i += 4
		default:
			out.WriteByte(raw[i])
		}
	}
	return out.String()
}

// unquoteList decodes what stood between the brackets of a checked list of strings; nil for nothing.
func unquoteList(raw []byte) (list []string) {
	s := scanner{b: raw}
	for s.i < len(s.b) {
		list = append(list, unquote(s.str()))
		if s.i < len(s.b) {
			s.expect(',')
		}
	}
	return list
}

// parseTime decodes a checked time.
func parseTime(t []byte) time.Time {
	if len(t) != len(TimeLayout) {
		return time.Time{}
	}
	return time.Date(decimal(t[0:4]), time.Month(decimal(t[5:7])), decimal(t[8:10]),
		decimal(t[11:13]), decimal(t[14:16]), decimal(t[17:19]), decimal(t[20:26])*1000, time.UTC)
}

// MayHaveFact is a cheap first look: false means that no fact has that name, true that [BodyView.Fact] must say.
func (v *BodyView) MayHaveFact(name string) bool {
	return len(v.facts) > len(name)+2 && containsName(v.facts, name)
}

// containsName looks for name":, which a string value cannot hold since its quotes are escaped.
func containsName(facts []byte, name string) bool {
	for rest := facts; ; {
		i := bytes.IndexByte(rest, '"')
		if i < 0 {
			return false
		}
		rest = rest[i+1:]
		if len(rest) > len(name)+1 && rest[len(name)] == '"' && rest[len(name)+1] == ':' && string(rest[:len(name)]) == name {
			return true
		}
	}
}
