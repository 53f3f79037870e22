package supervision

import (
	"errors"
	"fmt"
	"time"

	"github.com/sealtrail/sealtrail/audit"
)

// ErrFacts is wrapped by every refusal of an entry whose facts do not have the registry's types. A figure over facts that
// could not be read would be a guess, so the fold stops there and names the entry.
var ErrFacts = errors.New("facts not readable")

// EntryError says which entry of which log stopped the fold, and why. It carries names, never values.
type EntryError struct {
	Log   string
	Index uint64
	Kind  string
	Err   error
}

// Error names the entry by log and index.
func (e *EntryError) Error() string {
	return fmt.Sprintf("entry %d of %s (%s): %v", e.Index, e.Log, e.Kind, e.Err)
}

// Unwrap returns the cause.
func (e *EntryError) Unwrap() error { return e.Err }

// reader reads the facts of one entry. The first fact of a wrong type sticks; missing facts are zero values and not an
// error, except through must.
type reader struct {
	facts audit.Facts
	err   error
}

func (r *reader) fail(name, want string) {
	if r.err == nil {
		r.err = fmt.Errorf("%w: fact %s is not %s", ErrFacts, name, want)
	}
}

// has says whether the fact is stated at all: "not stated" and "false" are different answers in a figure.
func (r *reader) has(name string) bool { _, ok := r.facts[name]; return ok }

// must makes a missing fact an error.
func (r *reader) must(name string) {
	if !r.has(name) {
		r.fail(name, "stated")
	}
}

func (r *reader) text(name string) string {
	if !r.has(name) {
		return ""
	}
	s, ok := r.facts.Text(name)
	if !ok {
		r.fail(name, "a text")
	}
	return s
}

func (r *reader) flag(name string) bool {
	if !r.has(name) {
		return false
	}
	b, ok := r.facts.Bool(name)
	if !ok {
		r.fail(name, "a boolean")
	}
	return b
}

// whole reads an integer within 0 and 2^53-1.
func (r *reader) whole(name string) int64 {
	if !r.has(name) {
		return 0
	}
	n, ok := r.facts.Int(name)
	if !ok || n < 0 || n > maxExact {
		r.fail(name, "a whole number")
		return 0
	}
	return n
}

// at reads a time in the spelling of entries (RFC 3339, with or without fractions); years outside 1990 to 2200 are refused,
// since a due instant computed from them would overflow the calendar.
func (r *reader) at(name string) instant {
	s := r.text(name)
	if s == "" {
		return 0
	}
	t, err := time.Parse(time.RFC3339Nano, s)
	if err != nil || t.Year() < 1990 || t.Year() > 2200 {
		r.fail(name, "a time")
		return 0
	}
	return instantOf(t)
}

// level reads a level; rank -1 stands for "not stated".
func (r *reader) level(name string) level {
	switch s := r.text(name); s {
	case "":
		return noLevel
	case "unclassified":
		return unclassified
	case "general":
		return general
	case "serious":
		return serious
	case "major":
		return major
	default:
		r.fail(name, "a level")
		return noLevel
	}
}

// level orders the three levels of norm 2.2.2; unclassified stands below them because nothing was decided yet, although
// access treats it as the highest.
type level int8

const (
	noLevel level = iota - 1
	unclassified
	general
	serious
	major
)

// levels are all levels in the order reports list them.
func levels() []level { return []level{general, serious, major, unclassified} }

func (l level) String() string {
	switch l {
	case general:
		return "general"
	case serious:
		return "serious"
	case major:
		return "major"
	case noLevel, unclassified:
	}
	return "unclassified"
}
