package field

import (
	"encoding/binary"
	"fmt"
	"unicode/utf8"

	"golang.org/x/text/unicode/norm"
)

const (
	// KindField marks the AAD of a single sealed field. Other kinds are reserved.
	KindField byte = 0x01
	// MaxName is the longest institution, record, record type or path, in bytes.
	MaxName = 1024
	// MaxPlaintext is the longest value that Seal takes, in bytes (16 MiB).
	// Larger objects are files and are streamed, not sealed as a field.
	MaxPlaintext = 16 << 20
)

// Place says where a sealed field belongs. Every part of it is bound into the
// key derivation and into the additional data: the same bytes open at no other
// place. The caller takes it from the row and its own constants, never from
// the envelope.
type Place struct {
	Institution   string // tenant, for example "acme"
	Record        string // record id, unique in the institution
	RecordType    string // for example "complaint"
	Path          string // field path in Unicode NFC, for example "phone"
	SchemaVersion uint32 // version of the record's schema
	Generation    uint32 // generation of the record's data key
	Revision      uint64 // revision of this field
	Suite         byte   // 0 means Suite1
	Kind          byte   // 0 means KindField
}

// check refuses what must never be sealed: the AAD would still be injective,
// but an empty or denormalised name is a bug of the caller.
func (p *Place) check() error {
	if err := CheckSuite(p.Suite); err != nil {
		return err
	}
	if p.Kind != 0 && p.Kind != KindField {
		return fmt.Errorf("%w: kind 0x%02x is unknown", ErrPlace, p.Kind)
	}
	if err := checkName("institution", p.Institution); err != nil {
		return err
	}
	if err := checkName("record", p.Record); err != nil {
		return err
	}
	if err := checkName("record type", p.RecordType); err != nil {
		return err
	}
	return checkName("path", p.Path)
}

func checkName(what, s string) error {
	switch {
	case s == "":
		return fmt.Errorf("%w: empty %s", ErrPlace, what)
	case len(s) > MaxName:
		return fmt.Errorf("%w: %s longer than %d bytes", ErrPlace, what, MaxName)
	case ascii(s): // nearly every name: the tables of norm are slow
		return nil
	case !utf8.ValidString(s):
		return fmt.Errorf("%w: %s is not UTF-8", ErrPlace, what)
	case !norm.NFC.IsNormalString(s):
		return fmt.Errorf("%w: %s is not in Unicode NFC", ErrPlace, what)
	}
	return nil
}

func ascii[S string | []byte](s S) bool {
	for i := range len(s) {
		if s[i] >= utf8.RuneSelf {
			return false
		}
	}
	return true
}

func (p *Place) suite() byte { return orSuite1(p.Suite) }

func (p *Place) kind() byte {
	if p.Kind == 0 {
		return KindField
	}
	return p.Kind
}

// appendAAD writes the additional data. It is injective: the tag and every
// number have a fixed length, every name carries its length in front.
//
//	"stf1" | u8 suite | u8 kind | lp(institution) | lp(record) | lp(record_type) |
//	lp(path) | u32 schema_version | u32 generation | u64 revision | u8 flags
func (p *Place) appendAAD(b []byte, flags byte) []byte {
	b = append(b, "stf1"...)
	b = append(b, p.suite(), p.kind())
	b = appendLP(b, p.Institution)
	b = appendLP(b, p.Record)
	b = appendLP(b, p.RecordType)
	b = appendLP(b, p.Path)
	b = binary.BigEndian.AppendUint32(b, p.SchemaVersion)
	b = binary.BigEndian.AppendUint32(b, p.Generation)
	b = binary.BigEndian.AppendUint64(b, p.Revision)
	return append(b, flags)
}

// appendLP writes u32 length in front of s, big endian.
func appendLP[S string | []byte](b []byte, s S) []byte {
	b = binary.BigEndian.AppendUint32(b, uint32(len(s)))
	return append(b, s...)
}
