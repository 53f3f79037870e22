package audit_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/gowebpki/jcs"

	"github.com/sealtrail/sealtrail/audit"
)

func TestScanCanonical(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name, in string
		ok       bool
	}{
		{"empty object", `{}`, true},
		{"every kind of value", `{"a":"x","b":-1,"c":true,"d":["",0,[],{}],"e":{"f":false}}`, true},
		{"largest number", `{"a":9007199254740991,"b":-9007199254740991}`, true},
		{"mandatory escapes", `{"a":"\"\\\b\t\n\f\r\u0000\u001f"}`, true},
		{"characters as themselves", "{\"a\":\"\x7f/é投诉\U0001f600\u2028\"}", true},
		{"paths as names", `{"a.b/c:d-e":1}`, true},
		{"array", `[]`, false},
		{"nothing", ``, false},
		{"trailing newline", "{}\n", false},
		{"space", `{"a": 1}`, false},
		{"order", `{"b":1,"a":1}`, false},
		{"twice", `{"a":1,"a":1}`, false},
		{"null", `{"a":null}`, false},
		{"upper-case name", `{"A":1}`, false},
		{"empty name", `{"":1}`, false},
		{"escape in name", `{"\u0061":1}`, false},
		{"float", `{"a":1.5}`, false},
		{"exponent", `{"a":1e3}`, false},
		{"minus zero", `{"a":-0}`, false},
		{"leading zero", `{"a":01}`, false},
		{"number too large", `{"a":9007199254740992}`, false},
		{"number far too large", `{"a":99999999999999999999999}`, false},
		{"lone minus", `{"a":-}`, false},
		{"escape of a plain character", `{"a":"\u0041"}`, false},
		{"escaped slash", `{"a":"\/"}`, false},
		{"long escape for newline", `{"a":"\u000a"}`, false},
		{"upper-case hex", `{"a":"\u001F"}`, false},
		{"surrogate escape", `{"a":"\ud83d\ude00"}`, false},
		{"lone surrogate in UTF-8", "{\"a\":\"\xed\xa0\x80\"}", false},
		{"invalid UTF-8", "{\"a\":\"\xff\"}", false},
		{"overlong UTF-8", "{\"a\":\"\xc0\xaf\"}", false},
		{"raw control character", "{\"a\":\"\n\"}", false},
		{"trailing comma", `{"a":1,}`, false},
		{"second value", `{}{}`, false},
		{"cut", `{"a":"`, false},
		{"cut in escape", `{"a":"\`, false},
		{"too deep", `{"a":` + strings.Repeat("[", 20) + strings.Repeat("]", 20) + `}`, false},
	} {
		err := audit.ScanCanonical([]byte(c.in))
		if (err == nil) != c.ok {
			t.Errorf("%s: ScanCanonical(%q) = %v, want ok=%v", c.name, c.in, err, c.ok)
		}
		if err != nil && !errors.Is(err, audit.ErrNotCanonical) {
			t.Errorf("%s: error does not wrap ErrNotCanonical: %v", c.name, err)
		}
	}
}

// FuzzScanCanonical compares with gowebpki/jcs in both directions: what the scan accepts jcs leaves as it is, and what jcs leaves
// as it is and lies in the restricted form the scan accepts.
func FuzzScanCanonical(f *testing.F) {
	for _, seed := range []string{`{}`, `{"a":"x","b":-1,"c":true,"d":["",0,[],{}]}`, `{"a":"\"\\\b\t\n\f\r\u0000"}`, `{"b":1,"a":2}`, `{"a":1e3}`,
		`{"a":9007199254740991}`, "{\"a\":\"\u2028投\"}", `{"a":[null]}`, `{ }`} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		accepted := audit.ScanCanonical(b) == nil
		canonical, err := jcs.Transform(b)
		same := err == nil && bytes.Equal(canonical, b)
		if accepted && !same {
			t.Fatalf("accepted %q, which jcs spells %q (%v)", b, canonical, err)
		}
		if !accepted && same && restricted(b) {
			t.Fatalf("refused %q: %v", b, audit.ScanCanonical(b))
		}
	})
}

var plainName = regexp.MustCompile(`^[a-z0-9_./:-]+$`)

// restricted reports, by means of encoding/json, whether b is valid UTF-8 and one object of the restricted form.
func restricted(b []byte) bool {
	if !utf8.Valid(b) || !bytes.HasPrefix(b, []byte("{")) {
		return false
	}
	dec := json.NewDecoder(bytes.NewReader(b))
	dec.UseNumber()
	var stack []bool // for each open container: whether it is an object
	name := false    // the next token is a name
	for {
		tok, err := dec.Token()
		if errors.Is(err, io.EOF) {
			return true
		}
		if err != nil || len(stack) > 15 {
			return false
		}
		if len(stack) > 0 && stack[len(stack)-1] && name {
			if s, ok := tok.(string); ok {
				if !plainName.MatchString(s) {
					return false
				}
				name = false
				continue
			}
		}
		switch v := tok.(type) {
		case nil:
			return false
		case json.Number:
			n, err := strconv.ParseInt(v.String(), 10, 64)
			if err != nil || n > audit.MaxInt || n < -audit.MaxInt {
				return false
			}
		case json.Delim:
			if v == '{' || v == '[' {
				stack = append(stack, v == '{')
			} else {
				stack = stack[:len(stack)-1]
			}
		}
		name = len(stack) > 0 && stack[len(stack)-1]
	}
}
