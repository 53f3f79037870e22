package audit

import (
	"encoding/hex"
	"fmt"
	"slices"
	"strconv"
	"time"
	"unicode/utf8"
)

// encoder writes canonical JSON. Members must be written in byte order of their names; the first error sticks.
type encoder struct {
	out []byte
	err error
}

func (e *encoder) fail(member, why string) {
	if e.err == nil {
		e.err = fmt.Errorf("%w: %s %s", ErrInvalid, member, why)
	}
}

// name writes a separating comma where one is due, and the member's name.
func (e *encoder) name(n string) {
	if c := e.out[len(e.out)-1]; c != '{' {
		e.out = append(e.out, ',')
	}
	e.out = append(e.out, '"')
	e.out = append(e.out, n...)
	e.out = append(e.out, '"', ':')
}

// token writes a member whose value is a token; an empty optional one is left out.
func (e *encoder) token(member, s string, required bool) {
	if s == "" && !required {
		return
	}
	if !isToken(s) {
		e.fail(member, "is not a token (printable ASCII without space, quote or backslash)")
		return
	}
	e.name(member)
	e.quoted(s)
}

// text writes a member whose value is free text; an empty one is left out.
func (e *encoder) text(member, s string) {
	if s == "" {
		return
	}
	if !utf8.ValidString(s) {
		e.fail(member, "is not valid UTF-8")
		return
	}
	e.name(member)
	e.out = appendString(e.out, s)
}

// quoted writes a string that needs no escapes.
func (e *encoder) quoted(s string) {
	e.out = append(e.out, '"')
	e.out = append(e.out, s...)
	e.out = append(e.out, '"')
}

func (e *encoder) tokens(member string, list []string) {
	if len(list) == 0 {
		return
	}
	e.name(member)
	e.out = append(e.out, '[')
	for i, s := range list {
		if !isToken(s) {
			e.fail(member, "has an item that is not a token")
		}
		if i > 0 {
			e.out = append(e.out, ',')
		}
		e.quoted(s)
	}
	e.out = append(e.out, ']')
}

func (e *encoder) count(member string, n uint64) {
	if n > 0 {
		e.name(member)
		e.out = appendCount(e.out, n)
	}
}

func (e *encoder) number(member string, n int64) {
	if n > MaxInt || n < -MaxInt {
		e.fail(member, "is beyond 2^53-1: write it as a string")
		return
	}
	e.name(member)
	e.out = strconv.AppendInt(e.out, n, 10)
}

func (e *encoder) body(b *Body) {
	e.out = append(e.out, '{')
	e.actor(b.Actor)
	e.time("at", b.At)
	e.commit(b.Commit)
	e.decision(b.Decision)
	e.facts(b.Facts)
	e.tokens("fields", b.Fields)
	e.token("institution", b.Institution, true)
	e.key(b.Key)
	if !isKind(b.Kind) {
		e.fail("kind", "is not lower-case letters, digits, '_' and '.'")
	}
	e.token("kind", b.Kind, true)
	e.text("net", b.Net)
	if b.Nonce == ([16]byte{}) {
		e.fail("nonce", "is zero")
	}
	e.name("nonce")
	e.quoted(hex.EncodeToString(b.Nonce[:]))
	e.token("purpose", b.Purpose, false)
	e.token("request", b.Request, false)
	e.count("revision", b.Revision)
	if b.Sim {
		e.name("sim")
		e.out = append(e.out, "true"...)
	}
	if !isStage(string(b.Stage)) {
		e.fail("stage", "is not intent, outcome or event")
	}
	e.token("stage", string(b.Stage), true)
	e.token("subject", b.Subject, true)
	if b.V != 0 && b.V != Version {
		e.fail("v", "is not a version this package writes")
	}
	e.number("v", Version)
	e.out = append(e.out, '}')
}

func (e *encoder) actor(a Actor) {
	e.name("actor")
	e.out = append(e.out, '{')
	e.token("auth", a.Auth, false)
	e.token("id", a.ID, true)
	e.token("on_behalf", a.OnBehalf, false)
	e.tokens("roles", a.Roles)
	e.out = append(e.out, '}')
}

func (e *encoder) time(member string, t time.Time) {
	t = t.UTC()
	if t.IsZero() || t.Year() < 1 || t.Year() > 9999 {
		e.fail(member, "is zero or not of years 1 to 9999")
		return
	}
	e.name(member)
	e.out = append(e.out, '"')
	e.out = t.AppendFormat(e.out, TimeLayout)
	e.out = append(e.out, '"')
}

func (e *encoder) commit(m map[string]string) {
	if len(m) == 0 {
		return
	}
	e.name("commit")
	e.out = append(e.out, '{')
	for _, path := range sortedKeys(m) {
		if !isPath(path) {
			e.fail("commit", "has a path that is not lower-case letters, digits and _ . / : -")
		}
		if !isHex(m[path], 64) {
			e.fail("commit", "has a value that is not 64 lower-case hex digits")
		}
		e.name(path)
		e.quoted(m[path])
	}
	e.out = append(e.out, '}')
}

func (e *encoder) decision(d *DecisionRef) {
	if d == nil {
		return
	}
	if d.Result != ResultAllow && d.Result != ResultDeny {
		e.fail("decision.result", "is not allow or deny")
	}
	if d.Bundle != "" && !isHex(d.Bundle, 64) {
		e.fail("decision.bundle", "is not 64 lower-case hex digits")
	}
	e.name("decision")
	e.out = append(e.out, '{')
	e.text("article", d.Article)
	e.token("bundle", d.Bundle, false)
	e.token("id", d.ID, false)
	e.token("input_commitment", d.InputCommitment, false)
	e.token("reason", d.Reason, false)
	e.token("result", d.Result, true)
	e.token("rule", d.Rule, false)
	e.out = append(e.out, '}')
}

func (e *encoder) key(k *KeyUse) {
	if k == nil || *k == (KeyUse{}) {
		return
	}
	if k.Batch == "" && k.Item != 0 || k.Lease == "" && k.Use != 0 {
		e.fail("key", "has an item without batch, or a use without lease")
	}
	if k.Item < 0 || k.Version < 0 {
		e.fail("key", "has a negative number")
	}
	e.name("key")
	e.out = append(e.out, '{')
	e.token("batch", k.Batch, false)
	if k.Batch != "" {
		e.number("item", int64(k.Item))
	}
	e.token("lease", k.Lease, false)
	e.token("name", k.Name, false)
	e.count("use", k.Use)
	if k.Version != 0 {
		e.number("version", int64(k.Version))
	}
	e.out = append(e.out, '}')
}

func (e *encoder) facts(f Facts) {
	if len(f) == 0 {
		return
	}
	e.name("facts")
	e.out = append(e.out, '{')
	for _, name := range sortedKeys(f) {
		if !isName(name) {
			e.fail("facts", "has a name that is not lower-case letters, digits and '_'")
		}
		e.fact(name, f[name])
	}
	e.out = append(e.out, '}')
}

// fact writes one fact. Unlike the members of the format an empty string, false and 0 are values here and are written.
func (e *encoder) fact(name string, v any) {
	switch x := v.(type) {
	case bool:
		e.name(name)
		e.out = strconv.AppendBool(e.out, x)
	case string:
		if !utf8.ValidString(x) {
			e.fail("facts."+name, "is not valid UTF-8")
		}
		e.name(name)
		e.out = appendString(e.out, x)
	case []string:
		e.name(name)
		e.out = append(e.out, '[')
		for i, s := range x {
			if !utf8.ValidString(s) {
				e.fail("facts."+name, "has an item that is not valid UTF-8")
			}
			if i > 0 {
				e.out = append(e.out, ',')
			}
			e.out = appendString(e.out, s)
		}
		e.out = append(e.out, ']')
	default:
		n, ok := integer(v)
		if !ok {
			e.fail("facts."+name, "is not a string, bool, []string or integer below 2^53")
			return
		}
		e.number(name, n)
	}
}

func sortedKeys[V any](m map[string]V) []string {
	keys := make([]string, 0, len(m))
	for k := range m {
		keys = append(keys, k)
	}
	slices.Sort(keys)
	return keys
}

// appendCount writes a 64-bit number as a JSON string (RFC 8785 numbers are doubles and lose bits beyond 2^53).
func appendCount(out []byte, n uint64) []byte {
	out = append(out, '"')
	out = strconv.AppendUint(out, n, 10)
	return append(out, '"')
}

const hexDigits = "0123456789abcdef"

// appendString writes s quoted with the escapes of RFC 8785, 3.2.2.2, and no others.
func appendString(out []byte, s string) []byte {
	out = append(out, '"')
	for i := 0; i < len(s); i++ {
		switch c := s[i]; {
		case c == '"' || c == '\\':
			out = append(out, '\\', c)
		case c >= 0x20:
			out = append(out, c)
		case shortEscape[c] != 0:
			out = append(out, '\\', shortEscape[c])
		default:
			out = append(out, '\\', 'u', '0', '0', hexDigits[c>>4], hexDigits[c&15])
		}
	}
	return append(out, '"')
}

// shortEscape holds the two-letter escapes of the control characters that have one.
var shortEscape = [0x20]byte{'\b': 'b', '\t': 't', '\n': 'n', '\f': 'f', '\r': 'r'}
