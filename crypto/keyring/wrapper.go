package keyring

import (
	"cmp"
	"context"
	"encoding/binary"
)

// Wrapper is the seam to whoever holds the master keys: Vault (package
// transit), or an HSM in its place. With Vault the wrapping keys are AES whatever
// the suite of the fields; an HSM with SM4 would implement this and nothing else.
//
// An implementation MUST return one result per item in the order of the items,
// MUST keep one item's error from touching its neighbours, MUST return when ctx
// ends, MUST report "not now" as an [UnavailableError], a wrapped key that does
// not open as an error wrapping ErrIntegrity, and MUST NOT put any key or
// answer body into an error. batch identifies the call in the service's own
// audit log. It MUST be safe for concurrent use.
type Wrapper interface {
	Wrap(ctx context.Context, batch string, items []WrapItem) ([]WrapResult, error)
	Unwrap(ctx context.Context, batch string, items []UnwrapItem) ([]UnwrapResult, error)
}

// Prober is implemented by Wrappers whose service can be asked whether it still
// serves this caller. Keyring.Run asks once a second.
type Prober interface {
	Probe(ctx context.Context) error
}

// WrapItem is one data key to wrap.
type WrapItem struct {
	Reference string // id of the audit entry that stands for this item
	Context   []byte // see RecordID.Context
	// Plaintext is 32 bytes; the Wrapper MUST NOT keep them.
	//
	//sealtrail:secret
	Plaintext []byte
}

// WrapResult answers a WrapItem.
type WrapResult struct {
	Blob       string // opaque, for example "vault:v1:..."
	KeyVersion int    // version of the master key
	Err        error
}

// UnwrapItem is one wrapped data key.
type UnwrapItem struct {
	Reference string
	Context   []byte
	Blob      string
	// KeyVersion is what is stored beside Blob; 0 if nothing is. A Wrapper whose
	// blobs tell their version MUST refuse another one with ErrIntegrity.
	KeyVersion int
}

// UnwrapResult answers an UnwrapItem. Plaintext belongs to the caller.
type UnwrapResult struct {
	//sealtrail:secret
	Plaintext []byte
	Err       error
}

// The kinds of data keys. The kind is part of the context, so that a wrapped
// key of one kind never opens as one of another, whatever their names are.
const (
	KindRecord byte = 1 // the fields of a record; a zero Kind means this one
	KindFile   byte = 2 // a file; Record is the file's id
	KindIntake byte = 3 // a private intake key; Record is "intake", Generation its version
)

// RecordID names one data key: one record of one institution, one generation.
type RecordID struct {
	Institution string
	Record      string
	Generation  uint32
	Kind        byte // 0 means KindRecord
}

// canonical gives both spellings of a record's kind one form, since ids are
// compared.
func (id RecordID) canonical() RecordID {
	if id.Kind == KindRecord {
		id.Kind = 0
	}
	return id
}

// Context is what the master key is derived with, so that every record has its
// own key encryption key and a wrapped key opens for its record only. Lengths
// are u32, numbers big endian:
//
//	"stk1" | lp(institution) | lp(record) | u8 kind | u32 generation
func (id RecordID) Context() []byte {
	b := make([]byte, 0, 4+4+len(id.Institution)+4+len(id.Record)+1+4)
	b = append(b, "stk1"...)
	b = binary.BigEndian.AppendUint32(b, uint32(len(id.Institution)))
	b = append(b, id.Institution...)
	b = binary.BigEndian.AppendUint32(b, uint32(len(id.Record)))
	b = append(b, id.Record...)
	b = append(b, cmp.Or(id.Kind, KindRecord))
	return binary.BigEndian.AppendUint32(b, id.Generation)
}

// Wrapped is what is stored beside a record: the wrapped data key and what it
// is checked with. It holds no secret.
type Wrapped struct {
	Blob       string   // ciphertext of the key service
	Commitment [32]byte // field.Commitment of the data key
	KeyVersion int      // version of the master key that wrapped it
}
