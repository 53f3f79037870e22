package intake

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/sealtrail/sealtrail/internal/complaint"
	"github.com/sealtrail/sealtrail/internal/scrub"
)

// maxSkew is how far a time of receipt may lie ahead of our clock: two
// machines with working NTP differ by less.
const maxSkew = 5 * time.Minute

// epoch is the earliest time of receipt that is taken: older paper files are
// not complaints under the rules that this service knows.
var epoch = time.Date(2000, 1, 1, 0, 0, 0, 0, time.UTC)

// Validate returns every problem of a draft, metadata first, then the fields
// by name; nil means that it may be filed. now is the service's clock. It
// expects a draft that went through Clean.
//
// Authentication data (card verification numbers, PINs, passwords, one-time
// codes, track data) is refused wherever it stands, with a code c3_*. No
// problem holds a value.
func Validate(d Draft, now time.Time) []Problem {
	var c checker
	c.word("/source", "code", d.Source, true)
	c.sourceID(d.SourceID)
	c.word("/channel", "channel", d.Channel, true)
	c.received(d.ReceivedAt, now)
	c.word("/received_evidence", "received_evidence", d.ReceivedEvidence, false)
	c.word("/type", "type", d.Type, false)
	c.word("/business_code", "business", d.BusinessCode, false)
	c.word("/product_code", "product", d.ProductCode, false)
	c.word("/reason_code", "reason_class", d.ReasonCode, false)
	c.word("/branch", "unit", d.Branch, false)
	c.word("/department", "unit", d.Department, false)
	c.word("/level", "level", d.Level, false)
	c.word("/party_type", "party_type", d.PartyType, false)
	c.word("/id_type", "id_type", d.IDType, false)
	c.word("/referral", "referral", d.Referral, false)
	c.word("/third_party", "code", d.ThirdParty, false)
	c.clearText("/regulator_ref", "regulator_ref", d.RegulatorRef)
	if d.AssertedAt != nil && d.AssertedAt.After(now.Add(maxSkew)) {
		c.add("/asserted_at", "in_future")
	}
	c.fields(d.Fields)
	return c.problems
}

// CheckField returns the problems of one sealed field: for amendments and for
// the inputs of a transition. The pointer is /fields/<name>. An unknown name
// is answered with the parent's pointer.
func CheckField(name, value string) []Problem {
	var c checker
	c.field(name, value, 0)
	return c.problems
}

type checker struct{ problems []Problem }

func (c *checker) add(pointer, code string) {
	c.problems = append(c.problems, problem(pointer, code))
}

// word checks a clear value: a member of a set or a form of the registry.
func (c *checker) word(pointer, typ, value string, required bool) {
	v := complaint.Registry()
	switch allowed := v.Allowed(typ); {
	case value == "" && required:
		c.add(pointer, "required")
	case value == "" || v.FitsWord(typ, value):
	case len(allowed) > 0:
		p := problem(pointer, "unknown_value")
		p.Allowed = allowed
		c.problems = append(c.problems, p)
	default:
		c.add(pointer, "malformed")
	}
}

// sourceID is clear and unique per source. It must not be a person's number:
// only what a check digit or a form proves is refused, since serial numbers of
// other systems look like telephone numbers often enough.
func (c *checker) sourceID(id string) {
	const maxSourceID = 128
	switch {
	case id == "":
		c.add("/source_id", "required")
	case len(id) > maxSourceID:
		c.add("/source_id", "too_long")
	case strings.ContainsFunc(id, func(r rune) bool { return r <= ' ' || r > '~' }):
		c.add("/source_id", "malformed")
	default:
		for _, s := range scrub.Scan(id) {
			if s.Kind == scrub.KindID || s.Kind == scrub.KindEmail {
				c.add("/source_id", "malformed")
				return
			}
		}
	}
}

func (c *checker) received(at, now time.Time) {
	switch {
	case at.IsZero():
		c.add("/received_at", "required")
	case at.After(now.Add(maxSkew)):
		c.add("/received_at", "in_future")
	case at.Before(epoch):
		c.add("/received_at", "before_epoch")
	}
}

// clearText is a reference of somebody else that stays clear: no personal
// data in it.
func (c *checker) clearText(pointer, name, value string) {
	if !c.text(pointer, name, value) {
		return
	}
	if len(scrub.Scan(value)) > 0 {
		c.add(pointer, "malformed")
	}
}

// text checks length, encoding, control characters and authentication data.
func (c *checker) text(pointer, name, value string) bool {
	before := len(c.problems)
	f, _ := complaint.FieldByName(name)
	switch {
	case !utf8.ValidString(value):
		c.add(pointer, "not_utf8")
	case utf8.RuneCountInString(value) > f.MaxLength:
		c.add(pointer, "too_long")
	case strings.ContainsFunc(value, func(r rune) bool {
		return unicode.IsControl(r) && (!f.FreeText || !strings.ContainsRune("\n\r\t", r))
	}):
		c.add(pointer, "control_character")
	}
	var kinds []string
	for _, find := range scrub.FindC3(value) {
		if !slices.Contains(kinds, find.Kind) {
			kinds = append(kinds, find.Kind)
			c.add(pointer, "c3_"+find.Kind)
		}
	}
	return len(c.problems) == before
}

// fields checks the sealed fields in the order of their names.
func (c *checker) fields(fields map[string]string) {
	for i, name := range slices.Sorted(maps.Keys(fields)) {
		c.field(name, fields[name], i+1)
	}
	if strings.TrimSpace(fields["narrative"]) == "" {
		c.add("/fields/narrative", "no_content")
	}
}

func (c *checker) field(name, value string, position int) {
	f, ok := complaint.FieldByName(name)
	switch {
	case !ok:
		c.problems = append(c.problems, unknownKey("/fields", name, position))
		return
	case !f.Sealed:
		c.add("/fields/"+name, "not_sealed_field")
		return
	}
	if value == "" || !c.text("/fields/"+name, name, value) {
		return
	}
	if code := formProblem(f, value); code != "" {
		c.add("/fields/"+name, code)
	}
}

// unknownKey answers a key that the catalogue does not have, without repeating
// it. A key that names authentication data says so.
func unknownKey(parent, key string, position int) Problem {
	code := "unknown_field"
	if kind, ok := scrub.C3Key(key); ok {
		code = "c3_" + kind
	}
	p := problem(parent, code)
	p.Position = position
	return p
}

// formProblem checks the form of a value by the field's kind. Whatever has a
// blind index must be one that the index can normalise, or the record could
// be stored and never found.
func formProblem(f complaint.Field, value string) string {
	if f.Index != "" {
		return indexProblem(f.Index, value)
	}
	switch f.Kind {
	case "date":
		if _, err := time.Parse(time.DateOnly, value); err != nil {
			return "malformed"
		}
	case "amount":
		if _, ok := complaint.ParseAmount(value); !ok {
			return "malformed"
		}
	}
	return ""
}

// InvalidError carries the problems of a draft where an error is wanted.
type InvalidError struct{ Problems []Problem }

// Error names the number of problems and the first place.
func (e *InvalidError) Error() string {
	if len(e.Problems) == 0 {
		return "checking a draft: invalid"
	}
	p := e.Problems[0]
	return fmt.Sprintf("checking a draft: %d problems, first at %s: %s", len(e.Problems), p.Pointer, p.Code)
}
