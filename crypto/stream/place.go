package stream

import (
	"encoding/binary"
	"fmt"

	"github.com/sealtrail/sealtrail/crypto/field"
)

// Place says where a sealed file belongs. All of it goes into the derivation of
// the key. The caller takes it from the row, never from the stored bytes.
type Place struct {
	Institution string // tenant, for example "acme"
	Record      string // the record that the file is attached to
	File        string // the file's own id
	Field       string // what kind of file it is, for example "attachments"
	Generation  uint32 // generation of the file's data key
	Suite       byte   // 0 means field.Suite1
}

// check refuses places that no file has.
func (p *Place) check() error {
	for _, part := range []string{p.Institution, p.Record, p.File, p.Field} {
		if part == "" || len(part) > field.MaxName {
			return fmt.Errorf("%w: every name has 1 to %d bytes", field.ErrPlace, field.MaxName)
		}
	}
	return nil
}

// context is the application's context of the derivation. It is injective:
//
//	"sts1" | lp(institution) | lp(record) | lp(file) | lp(field) | u32 generation
func (p *Place) context() []byte {
	b := append(make([]byte, 0, 128), "sts1"...)
	for _, part := range []string{p.Institution, p.Record, p.File, p.Field} {
		b = binary.BigEndian.AppendUint32(b, uint32(len(part)))
		b = append(b, part...)
	}
	return binary.BigEndian.AppendUint32(b, p.Generation)
}
