package field

import (
	"bytes"
	"crypto/subtle"
	"database/sql/driver"
	"errors"
	"fmt"
	"log/slog"
	"unsafe"
)

// hidden is what a Plain prints as, everywhere.
const hidden = "[sealed]"

// ErrPlaintext is returned where a Plain would leave the process by accident,
// for example as an SQL argument.
var ErrPlaintext = errors.New("plaintext refused: call Expose on purpose")

// Plain is an opened value. It prints as "[sealed]" under every verb of fmt,
// in JSON, in text encodings and in slog, and is refused as an SQL argument.
// [Plain.Expose] is the only way to the bytes.
//
// The bytes are held by pointer, so that fmt shows an address, not the value,
// even where it cannot call methods (unexported struct fields). For the same
// reason reflect.DeepEqual compares addresses: use [Plain.Equal].
//
//sealtrail:secret
type Plain struct {
	first unsafe.Pointer // not *byte: what walks by reflection ends at an address
	size  int
	null  bool
}

// NewPlain wraps a copy of b.
func NewPlain(b []byte) Plain { return plainOf(bytes.Clone(b)) }

func plainOf(b []byte) Plain { return Plain{first: unsafe.Pointer(unsafe.SliceData(b)), size: len(b)} }

// Expose returns the value itself, not a copy: whoever calls it answers for
// where it goes. It is nil for null. [Plain.Wipe] and [Opener.Wipe] clear it.
//
//sealtrail:secret
func (p Plain) Expose() []byte {
	if p.size == 0 {
		return nil
	}
	return unsafe.Slice((*byte)(p.first), p.size)
}

// Null says that the field was sealed as null, which differs from empty.
func (p Plain) Null() bool { return p.null }

// Len is the length of the value in bytes.
func (p Plain) Len() int { return p.size }

// Equal compares in constant time for equal lengths; null equals only null.
func (p Plain) Equal(q Plain) bool {
	return p.null == q.null && subtle.ConstantTimeCompare(p.Expose(), q.Expose()) == 1
}

// Wipe overwrites the value with zeros.
func (p Plain) Wipe() { clear(p.Expose()) }

// String returns "[sealed]".
func (Plain) String() string { return hidden }

// GoString returns "[sealed]".
func (Plain) GoString() string { return hidden }

// Format writes "[sealed]" for every verb.
func (Plain) Format(s fmt.State, _ rune) { _, _ = s.Write([]byte(hidden)) }

// MarshalJSON returns the JSON string "[sealed]".
func (Plain) MarshalJSON() ([]byte, error) { return []byte(`"` + hidden + `"`), nil }

// MarshalText returns "[sealed]".
func (Plain) MarshalText() ([]byte, error) { return []byte(hidden), nil }

// MarshalBinary refuses, and with it encoding/gob.
func (Plain) MarshalBinary() ([]byte, error) { return nil, ErrPlaintext }

// LogValue returns "[sealed]".
func (Plain) LogValue() slog.Value { return slog.StringValue(hidden) }

// Value refuses: a Plain never becomes an SQL argument.
func (Plain) Value() (driver.Value, error) { return nil, ErrPlaintext }
