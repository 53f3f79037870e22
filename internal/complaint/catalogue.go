package complaint

import (
	"bytes"
	_ "embed"
	"encoding/json"
	"fmt"
	"slices"
	"sync"
)

//go:embed catalogue.json
var catalogueJSON []byte

// Classes of JR/T 0171-2020 as used here.
const (
	// ClassC1 is internal: clear in the database and allowed in the log.
	ClassC1 = "C1"
	// ClassC2 is identity and financial status: sealed, masked on display.
	ClassC2 = "C2"
	// ClassC3 is authentication data: refused at intake, never stored.
	ClassC3 = "C3"
)

// GroupMeta is the group of clear fields; denying it means 404.
const GroupMeta = "meta"

// Field is one field of a complaint record as the catalogue describes it.
type Field struct {
	Name  string `json:"name"`
	Group string `json:"group"`
	// Class is C1 or C2; no field is C3.
	Class string `json:"class"`
	// Sealed fields are stored as envelopes only.
	Sealed bool `json:"sealed"`
	// Stream fields are files: sealed, too, but each in a store of its own and
	// listed in the record. The field is the permission's name and no column;
	// MaxLength bounds a file's name.
	Stream bool `json:"stream"`
	// Index is the kind of blind index ("phone"), empty for none.
	Index string `json:"index"`
	// Kind says how a value is written: code, unit, ref, text, bool, time,
	// date, amount, name, id, phone, email, card, account, staff, file or
	// "set:<set of the registry>".
	Kind string `json:"kind"`
	// Mask is the one mask profile of the field.
	Mask string `json:"mask"`
	// Retention is a member of the set retention_rule.
	Retention string `json:"retention"`
	// MaxLength is in runes.
	MaxLength int `json:"max"`
	// FreeText fields are scanned for C3 data and redacted when masked.
	FreeText bool `json:"free_text"`
	// Pad is the multiple of bytes to which a plaintext is padded before
	// sealing, so that a length says little; 0 means no padding.
	Pad int `json:"pad"`
	// JRT0197 is the level of JR/T 0197-2020, 1 to 5; our proposal, editable.
	JRT0197 int `json:"jrt0197"`
	// Importance is core, important, sensitive or other (rules of 2024 No. 24);
	// our proposal, editable.
	Importance string `json:"importance"`
	// Article is the section of the norm, or the standard, that the field
	// comes from.
	Article string `json:"article"`
	ZH      string `json:"zh"`
	EN      string `json:"en"`
}

type catalogue struct {
	Version int     `json:"version"`
	Fields  []Field `json:"fields"`
	byName  map[string]int
}

var parsedCatalogue = sync.OnceValue(func() *catalogue {
	c, err := parseCatalogue(catalogueJSON)
	if err != nil {
		// The file is embedded and tested: this is a broken build.
		panic(err)
	}
	return c
})

func parseCatalogue(data []byte) (*catalogue, error) {
	var c catalogue
	dec := json.NewDecoder(bytes.NewReader(data))
	dec.DisallowUnknownFields()
	if err := dec.Decode(&c); err != nil {
		return nil, fmt.Errorf("parsing catalogue.json: %w", err)
	}
	c.byName = make(map[string]int, len(c.Fields))
	for i, f := range c.Fields {
		if _, twice := c.byName[f.Name]; twice {
			return nil, fmt.Errorf("parsing catalogue.json: field %s stands twice", f.Name)
		}
		c.byName[f.Name] = i
	}
	return &c, nil
}

// CatalogueJSON returns a copy of the embedded file.
func CatalogueJSON() []byte { return bytes.Clone(catalogueJSON) }

// CatalogueVersion is the schema version that goes into a field's place and
// into the manifest of a record.
func CatalogueVersion() uint32 { return uint32(parsedCatalogue().Version) }

// Fields returns all fields in the catalogue's order, as a fresh slice.
func Fields() []Field { return slices.Clone(parsedCatalogue().Fields) }

// FieldByName returns one field; ok is false for an unknown name.
func FieldByName(name string) (Field, bool) {
	c := parsedCatalogue()
	i, ok := c.byName[name]
	if !ok {
		return Field{}, false
	}
	return c.Fields[i], true
}

// SealedFields returns the fields that are stored as envelopes.
func SealedFields() []Field {
	return slices.DeleteFunc(Fields(), func(f Field) bool { return !f.Sealed })
}

// StreamFields returns the fields that are files.
func StreamFields() []Field {
	return slices.DeleteFunc(Fields(), func(f Field) bool { return !f.Stream })
}

// IndexedFields returns the fields that have a blind index.
func IndexedFields() []Field {
	return slices.DeleteFunc(Fields(), func(f Field) bool { return f.Index == "" })
}

// FieldsOf returns the fields of one group.
func FieldsOf(group string) []Field {
	return slices.DeleteFunc(Fields(), func(f Field) bool { return f.Group != group })
}
