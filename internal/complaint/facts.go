package complaint

import (
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"
)

// FactError says which fact of which event kind is wrong, and how. It never
// holds the value.
type FactError struct {
	Kind string
	// Fact is the name of the fact in the schema, empty when the kind itself
	// is unknown or when the fact is not in the schema.
	Fact string
	// Want is the type of the schema, or what is wrong.
	Want string
}

// Error names kind, fact and the expected type.
func (e *FactError) Error() string {
	if e.Fact == "" {
		return fmt.Sprintf("checking facts of %s: %s", e.Kind, e.Want)
	}
	return fmt.Sprintf("checking facts of %s: %s: want %s", e.Kind, e.Fact, e.Want)
}

// CheckFacts verifies that facts fit the closed schema of kind: every required
// fact is there, no other fact is, and each value has its type. The types:
//
//	bool   true or false
//	int    int, int64, uint64, json.Number or a decimal string (64-bit)
//	score  int from 1 to 5
//	time   RFC 3339 with Z, as string, or a time.Time in UTC
//	code   letter first, then [A-Za-z0-9_.:-], at most 64, no run of 11 digits
//	codes  a list of code
//	unit   [A-Za-z0-9_.-], at most 32, no run of 11 digits
//	ref    identifier [A-Za-z0-9_.:-], at most 64
//	refs   a list of ref
//	alias  a ref: a person as the log's alias
//	hex    lower-case hex, 1 to 128 digits
//	text   printable ASCII, at most 128, no run of 11 digits
//	field  the name of a field of the catalogue
//
// Any other type is the name of a set of the registry ("channel"). The digit
// limit keeps telephone, card and identity numbers out of words that would
// otherwise take them. Errors are *FactError.
func CheckFacts(kind string, facts map[string]any) error {
	v := Registry()
	k, ok := v.kinds[kind]
	if !ok {
		return &FactError{Kind: "event", Want: "unknown event kind"}
	}
	for _, name := range slices.Sorted(maps.Keys(k.Facts)) {
		typ := k.Facts[name]
		if _, given := facts[name]; !given && !strings.HasSuffix(typ, "?") {
			return &FactError{Kind: kind, Fact: name, Want: "a value: it is required"}
		}
	}
	for _, name := range slices.Sorted(maps.Keys(facts)) {
		typ, ok := k.Facts[name]
		if !ok {
			typ, ok = v.CommonFacts[name]
		}
		if !ok {
			return &FactError{Kind: kind, Want: "a fact is not in the schema; allowed: " + strings.Join(v.FactNames(kind), ", ")}
		}
		typ = strings.TrimSuffix(typ, "?")
		if !v.factFits(typ, facts[name]) {
			return &FactError{Kind: kind, Fact: name, Want: v.describe(typ)}
		}
	}
	return nil
}

// FactNames lists the facts that an event kind may carry, sorted.
func (v *Vocabulary) FactNames(kind string) []string {
	k, ok := v.kinds[kind]
	if !ok {
		return nil
	}
	all := maps.Clone(v.CommonFacts)
	maps.Copy(all, k.Facts)
	return slices.Sorted(maps.Keys(all))
}

// FactType returns the type of a fact without the mark of an optional one.
func (v *Vocabulary) FactType(kind, fact string) (typ string, required, ok bool) {
	k, known := v.kinds[kind]
	if !known {
		return "", false, false
	}
	typ, ok = k.Facts[fact]
	if !ok {
		typ, ok = v.CommonFacts[fact]
	}
	return strings.TrimSuffix(typ, "?"), ok && !strings.HasSuffix(typ, "?"), ok
}

func (v *Vocabulary) describe(typ string) string {
	if _, ok := v.members[typ]; ok {
		return "one of " + strings.Join(v.Allowed(typ), ", ")
	}
	return typ
}

func (v *Vocabulary) factFits(typ string, value any) bool {
	switch typ {
	case "bool":
		_, ok := value.(bool)
		return ok
	case "int":
		_, ok := wholeNumber(value)
		return ok
	case "score":
		n, ok := wholeNumber(value)
		return ok && n >= 1 && n <= 5
	case "time":
		return isInstant(value)
	case "codes", "refs":
		return v.listFits(strings.TrimSuffix(typ, "s"), value)
	}
	s, ok := value.(string)
	return ok && v.wordFits(typ, s)
}

func (v *Vocabulary) listFits(typ string, value any) bool {
	switch list := value.(type) {
	case []string:
		return !slices.ContainsFunc(list, func(s string) bool { return !v.wordFits(typ, s) })
	case []any:
		return !slices.ContainsFunc(list, func(e any) bool {
			s, ok := e.(string)
			return !ok || !v.wordFits(typ, s)
		})
	}
	return false
}

// FitsWord reports whether s has the form of a string type of CheckFacts
// (code, unit, ref, alias, hex, text, field or the name of a set). Validation
// of clear values uses the very rules that the log applies to them.
func (v *Vocabulary) FitsWord(typ, s string) bool { return v.wordFits(typ, s) }

// wordFits checks one string. maxDigits is the longest run of digits that a
// code may hold: the shortest personal number that matters (a telephone
// number) has 11.
func (v *Vocabulary) wordFits(typ, s string) bool {
	const maxDigits = 10
	switch typ {
	case "code":
		return matches(s, 64, "_.:-") && isLetter(s[0]) && digitRun(s) <= maxDigits
	case "unit":
		return matches(s, 32, "_.-") && digitRun(s) <= maxDigits
	case "ref", "alias":
		return matches(s, 64, "_.:-")
	case "hex":
		return isHex(s)
	case "text":
		return isPrintable(s, 128) && digitRun(s) <= maxDigits
	case "field":
		_, ok := FieldByName(s)
		return ok
	}
	return v.Has(typ, s)
}

func wholeNumber(value any) (int64, bool) {
	switch n := value.(type) {
	case int:
		return int64(n), true
	case int64:
		return n, true
	case uint64:
		return int64(n), n <= 1<<63-1
	case json.Number:
		return parseWhole(n.String())
	case string:
		return parseWhole(n)
	}
	return 0, false
}

func parseWhole(s string) (int64, bool) {
	n, err := strconv.ParseInt(s, 10, 64)
	return n, err == nil && strconv.FormatInt(n, 10) == s
}

func isInstant(value any) bool {
	switch t := value.(type) {
	case time.Time:
		return t.Location() == time.UTC && !t.IsZero()
	case string:
		_, err := time.Parse(time.RFC3339Nano, t)
		return err == nil && strings.HasSuffix(t, "Z")
	}
	return false
}

func isLetter(c byte) bool { return c|0x20 >= 'a' && c|0x20 <= 'z' }
func isDigit(c byte) bool  { return c >= '0' && c <= '9' }

func matches(s string, limit int, extra string) bool {
	if s == "" || len(s) > limit {
		return false
	}
	for i := range len(s) {
		if !isLetter(s[i]) && !isDigit(s[i]) && strings.IndexByte(extra, s[i]) < 0 {
			return false
		}
	}
	return true
}

func digitRun(s string) int {
	longest, run := 0, 0
	for i := range len(s) {
		if !isDigit(s[i]) {
			run = 0
			continue
		}
		run++
		longest = max(longest, run)
	}
	return longest
}

func isHex(s string) bool {
	if s == "" || len(s) > 128 {
		return false
	}
	return strings.Trim(s, "0123456789abcdef") == ""
}

func isPrintable(s string, limit int) bool {
	if s == "" || len(s) > limit {
		return false
	}
	for i := range len(s) {
		if s[i] < 0x20 || s[i] > 0x7e {
			return false
		}
	}
	return true
}
