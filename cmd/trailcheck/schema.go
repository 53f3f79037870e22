package main

import (
	"errors"
	"fmt"
	"strings"

	"github.com/sealtrail/sealtrail/audit"
	"github.com/sealtrail/sealtrail/internal/complaint"
)

// maxSeen bounds the values that one fact's cache remembers.
const maxSeen = 4096

// schema checks entries against the closed schema of the registry. complaint.CheckFacts decides; values of closed sets and
// codes that it has accepted once are remembered by their bytes, and the types that never repeat (times, numbers, references)
// are checked here, so that a log of millions of entries is not decoded to be checked. Not safe for concurrent use.
type schema struct {
	kinds map[string]*kindSchema
}

type kindSchema struct {
	facts    map[string]*factSchema
	required int
}

type factSchema struct {
	typ      string
	required bool
	seen     map[string]bool
}

func newSchema() *schema {
	v := complaint.Registry()
	s := &schema{kinds: map[string]*kindSchema{}}
	for _, kind := range v.EventsOf("") {
		k := &kindSchema{facts: map[string]*factSchema{}}
		for _, name := range v.FactNames(kind) {
			typ, required, _ := v.FactType(kind, name)
			k.facts[name] = &factSchema{typ: typ, required: required, seen: map[string]bool{}}
			if required {
				k.required++
			}
		}
		s.kinds[kind] = k
	}
	return s
}

// errKind refuses an entry of a kind that the registry does not have.
var errKind = errors.New("kind of entry is not in the registry")

// check is verify.Options.Schema. An intent may lack facts that are known only afterwards.
func (s *schema) check(v *audit.LeafView) error {
	k, ok := s.kinds[string(v.Kind())]
	if !ok {
		return errKind
	}
	required, known := 0, true
	for name, value := range v.Facts() {
		f, ok := k.facts[string(name)]
		if !ok {
			return fmt.Errorf("fact %s is not in the schema of %s", name, v.Kind())
		}
		if f.required {
			required++
		}
		known = known && f.fits(value.Raw())
	}
	if known && (required == k.required || v.Stage() == audit.StageIntent) {
		return nil
	}
	return s.decide(k, v)
}

// fits reports whether the value is certainly allowed; false sends the entry to CheckFacts.
func (f *factSchema) fits(raw []byte) bool {
	switch f.typ {
	case "bool":
		return raw[0] == 't' || raw[0] == 'f'
	case "int":
		return raw[0] != '"' && raw[0] != '[' && raw[0] != 't' && raw[0] != 'f'
	case "ref", "alias":
		return isWord(raw)
	case "hex":
		return len(raw) > 2 && len(raw) <= 130 && raw[0] == '"' && strings.Trim(string(raw[1:len(raw)-1]), "0123456789abcdef") == ""
	case "time":
		return len(raw) == len(audit.TimeLayout)+2 && isTime(raw[1:len(raw)-1])
	}
	return f.seen[string(raw)]
}

// isWord reports whether raw is a quoted reference of at most 64 characters.
func isWord(raw []byte) bool {
	if len(raw) < 3 || len(raw) > 66 || raw[0] != '"' {
		return false
	}
	for _, c := range raw[1 : len(raw)-1] {
		if !(c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9' || c == '_' || c == '.' || c == ':' || c == '-') {
			return false
		}
	}
	return true
}

// isTime reports whether t has the shape of a time whose day exists in every month; others are left to CheckFacts.
func isTime(t []byte) bool {
	const shape = "dddd-dd-ddTdd:dd:dd.ddddddZ"
	for i := range shape {
		if shape[i] == 'd' {
			if t[i] < '0' || t[i] > '9' {
				return false
			}
		} else if t[i] != shape[i] {
			return false
		}
	}
	two := func(i int) int { return int(t[i]-'0')*10 + int(t[i+1]-'0') }
	return two(5) >= 1 && two(5) <= 12 && two(8) >= 1 && two(8) <= 28 && two(11) < 24 && two(14) < 60 && two(17) < 60
}

// decide asks CheckFacts and remembers what it accepted.
func (s *schema) decide(k *kindSchema, v *audit.LeafView) error {
	facts := map[string]any{}
	for name, value := range v.Facts() {
		facts[string(name)] = value.Value()
	}
	err := complaint.CheckFacts(string(v.Kind()), facts)
	var fe *complaint.FactError
	if errors.As(err, &fe) && v.Stage() == audit.StageIntent {
		if _, given := facts[fe.Fact]; !given {
			return nil // a fact that an intent cannot know yet
		}
	}
	if err != nil {
		return err
	}
	for name, value := range v.Facts() {
		if f := k.facts[string(name)]; len(f.seen) < maxSeen {
			f.seen[string(value.Raw())] = true
		}
	}
	return nil
}
