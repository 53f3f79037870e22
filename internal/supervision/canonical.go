package supervision

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"
	"strconv"
	"unicode/utf8"
)

// maxExact is the largest whole number that every JSON reader keeps exactly (2^53 - 1, RFC 8259 section 6).
const maxExact = 1<<53 - 1

// errNotRestricted refuses what the restricted form of RFC 8785 leaves out.
var errNotRestricted = errors.New("not in the restricted form: only strings, whole numbers below 2^53, booleans and null")

// canonical rewrites JSON in the restricted form of RFC 8785: members sorted, no white space, shortest escapes. Member
// names are ASCII here, where byte order and the RFC's UTF-16 order agree; other names are refused.
func canonical(data []byte) ([]byte, error) {
	v, err := decodeAny(data)
	if err != nil {
		return nil, err
	}
	return appendCanonical(make([]byte, 0, len(data)), v)
}

// decodeAny reads one JSON value and nothing after it, numbers kept as written.
func decodeAny(data []byte) (any, error) {
	dec := json.NewDecoder(bytes.NewReader(data))
	dec.UseNumber()
	var v any
	if err := dec.Decode(&v); err != nil {
		return nil, err
	}
	if _, err := dec.Token(); !errors.Is(err, io.EOF) {
		return nil, errors.New("bytes after the JSON value")
	}
	return v, nil
}

func appendCanonical(b []byte, v any) ([]byte, error) {
	switch v := v.(type) {
	case nil:
		return append(b, "null"...), nil
	case bool:
		return strconv.AppendBool(b, v), nil
	case string:
		return appendString(b, v), nil
	case json.Number:
		n, err := strconv.ParseInt(string(v), 10, 64)
		if err != nil || n > maxExact || n < -maxExact {
			return nil, errNotRestricted
		}
		return strconv.AppendInt(b, n, 10), nil
	case []any:
		return appendArray(b, v)
	case map[string]any:
		return appendObject(b, v)
	}
	return nil, fmt.Errorf("writing canonical JSON: %T: %w", v, errNotRestricted)
}

func appendArray(b []byte, v []any) ([]byte, error) {
	var err error
	b = append(b, '[')
	for i, e := range v {
		if i > 0 {
			b = append(b, ',')
		}
		if b, err = appendCanonical(b, e); err != nil {
			return nil, err
		}
	}
	return append(b, ']'), nil
}

func appendObject(b []byte, v map[string]any) ([]byte, error) {
	var err error
	b = append(b, '{')
	for i, k := range sortedKeys(v) {
		if i > 0 {
			b = append(b, ',')
		}
		for j := range len(k) {
			if k[j] >= utf8.RuneSelf {
				return nil, errNotRestricted
			}
		}
		b = append(appendString(b, k), ':')
		if b, err = appendCanonical(b, v[k]); err != nil {
			return nil, err
		}
	}
	return append(b, '}'), nil
}

// appendString writes a JSON string with the escapes RFC 8785 section 3.2.2.2 prescribes and no other.
func appendString(b []byte, s string) []byte {
	const hex = "0123456789abcdef"
	b = append(b, '"')
	for i := range len(s) {
		c := s[i]
		switch {
		case c == '"' || c == '\\':
			b = append(b, '\\', c)
		case c >= 0x20:
			b = append(b, c)
		default:
			if j := bytes.IndexByte([]byte("\b\t\n\f\r"), c); j >= 0 {
				b = append(b, '\\', "btnfr"[j])
				continue
			}
			b = append(b, '\\', 'u', '0', '0', hex[c>>4], hex[c&15])
		}
	}
	return append(b, '"')
}

// sortedKeys lists a map's keys in byte order: every walk over a map in this package goes through it, so that no report
// depends on the order of a map.
func sortedKeys[V any](m map[string]V) []string {
	out := make([]string, 0, len(m))
	for k := range m {
		out = append(out, k)
	}
	slices.Sort(out)
	return out
}
