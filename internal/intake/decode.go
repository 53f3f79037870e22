package intake

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"strings"
	"time"
	"unicode/utf8"
)

// DecodeDraft reads one draft as JSON, strictly: an object, keys of Draft in
// their exact spelling and once each, and strings in fields. It returns every
// problem of form that it finds; what could be read is in the draft. The
// problem of an unknown key names its parent and position, never the key.
// Values are checked by Validate, not here.
func DecodeDraft(data []byte) (Draft, []Problem) {
	var d Draft
	if !utf8.Valid(data) {
		return d, []Problem{problem("", "not_utf8")}
	}
	o := objectReader{dec: json.NewDecoder(bytes.NewReader(data))}
	ok := o.object("", func(key string, position int) bool {
		switch target := d.target(key); {
		case key == "fields":
			d.Fields = map[string]string{}
			return o.fields(&d)
		case target != nil:
			return o.value("/"+key, target)
		}
		o.problems = append(o.problems, unknownKey("", key, position))
		return o.skip()
	})
	if _, err := o.dec.Token(); ok && !errors.Is(err, io.EOF) {
		ok = false
	}
	if !ok {
		o.problems = append(o.problems, problem("", "json_malformed"))
	}
	return d, o.problems
}

// target returns where the value of a key goes, nil for an unknown key.
func (d *Draft) target(key string) any {
	switch key {
	case "source":
		return &d.Source
	case "source_id":
		return &d.SourceID
	case "channel":
		return &d.Channel
	case "received_at":
		return &d.ReceivedAt
	case "received_evidence":
		return &d.ReceivedEvidence
	case "type":
		return &d.Type
	case "business_code":
		return &d.BusinessCode
	case "product_code":
		return &d.ProductCode
	case "reason_code":
		return &d.ReasonCode
	case "branch":
		return &d.Branch
	case "department":
		return &d.Department
	}
	return d.furtherTarget(key)
}

func (d *Draft) furtherTarget(key string) any {
	switch key {
	case "level":
		return &d.Level
	case "party_type":
		return &d.PartyType
	case "id_type":
		return &d.IDType
	case "referral":
		return &d.Referral
	case "regulator_ref":
		return &d.RegulatorRef
	case "third_party":
		return &d.ThirdParty
	case "group_flag":
		return &d.GroupFlag
	case "asserted_at":
		return &d.AssertedAt
	}
	return nil
}

// objectReader walks JSON objects key by key, since a map would lose the order
// and hide a key that stands twice.
type objectReader struct {
	dec      *json.Decoder
	problems []Problem
}

// object calls each for every key with its one-based position; each must
// consume the value. It reports whether the JSON was well-formed.
func (o *objectReader) object(pointer string, each func(key string, position int) bool) bool {
	if tok, err := o.dec.Token(); err != nil || tok != json.Delim('{') {
		return false
	}
	seen := map[string]bool{}
	for position := 1; o.dec.More(); position++ {
		tok, err := o.dec.Token()
		key, isKey := tok.(string)
		if err != nil || !isKey {
			return false
		}
		if seen[key] {
			p := problem(pointer, "malformed")
			p.Position = position
			o.problems = append(o.problems, p)
		}
		seen[key] = true
		if !each(key, position) {
			return false
		}
	}
	_, err := o.dec.Token()
	return err == nil
}

func (o *objectReader) fields(d *Draft) bool {
	return o.object("/fields", func(key string, position int) bool {
		if problems := CheckField(key, ""); len(problems) > 0 {
			problems[0].Position = position
			o.problems = append(o.problems, problems[0])
			return o.skip()
		}
		var value string
		ok := o.value("/fields/"+key, &value)
		d.Fields[key] = value
		return ok
	})
}

// value decodes the next value into target; a wrong type is a problem, not
// the end.
func (o *objectReader) value(pointer string, target any) bool {
	var raw json.RawMessage
	if err := o.dec.Decode(&raw); err != nil {
		return false
	}
	if string(raw) == "null" {
		o.problems = append(o.problems, problem(pointer, "wrong_type"))
		return true
	}
	if err := json.Unmarshal(raw, target); err != nil {
		code := "wrong_type"
		if isTime(target) && strings.HasPrefix(string(raw), `"`) {
			code = "malformed"
		}
		o.problems = append(o.problems, problem(pointer, code))
	}
	return true
}

func isTime(target any) bool {
	switch target.(type) {
	case *time.Time, **time.Time:
		return true
	}
	return false
}

func (o *objectReader) skip() bool {
	var raw json.RawMessage
	return o.dec.Decode(&raw) == nil
}
