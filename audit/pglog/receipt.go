package pglog

import (
	"crypto/sha256"
	"encoding/binary"
	"slices"

	"github.com/sealtrail/sealtrail/audit"
)

// Receipt proves that an entry is durable. Only [Log.Append] makes one; the zero Receipt is not valid and opens nothing.
// Whoever discloses MUST compare Binding with [BindingOf] of the very decision and record at hand. A Receipt is a value and
// safe to copy and to use concurrently.
type Receipt struct {
	id      uint64
	body    [32]byte
	binding [32]byte
	stage   audit.Stage
}

// Valid reports whether the receipt came from a durable append.
func (r Receipt) Valid() bool { return r.id != 0 }

// EntryID is the id of the entry, from 1; 0 in the zero Receipt.
func (r Receipt) EntryID() uint64 { return r.id }

// BodySHA256 is the SHA-256 of the body as stored. The leaf holds the same bytes, so a caller who keeps it can convict a
// change that was made before the entry was sequenced.
func (r Receipt) BodySHA256() [32]byte { return r.body }

// Binding is [BindingOf] of the entry's own body.
func (r Receipt) Binding() [32]byte { return r.binding }

// Stage is the stage of the entry; only an intent may open anything.
func (r Receipt) Stage() audit.Stage { return r.stage }

// Pending is an entry appended in a transaction that may still roll back. It opens nothing, on purpose: there is no way from a
// Pending to a Receipt. It is for reply headers, once the caller's commit has succeeded.
type Pending struct {
	id   uint64
	body [32]byte
}

// EntryID is the id that the entry has if the transaction commits.
func (p Pending) EntryID() uint64 { return p.id }

// BodySHA256 is the SHA-256 of the body as stored.
func (p Pending) BodySHA256() [32]byte { return p.body }

// BindingOf is what ties a receipt to one disclosure: SHA-256 over a domain label and the length-prefixed institution,
// subject, revision, decision id and fields. The order of fields does not matter; a nil slice equals an empty one.
func BindingOf(institution, subject string, revision uint64, decisionID string, fields []string) [32]byte {
	h := make([]byte, 0, 256)
	h = append(h, "sealtrail receipt v1\x00"...)
	put := func(s string) {
		h = binary.BigEndian.AppendUint32(h, uint32(len(s)))
		h = append(h, s...)
	}
	put(institution)
	put(subject)
	h = binary.BigEndian.AppendUint64(h, revision)
	put(decisionID)
	sorted := fields
	if !slices.IsSorted(sorted) {
		sorted = slices.Sorted(slices.Values(fields))
	}
	h = binary.BigEndian.AppendUint32(h, uint32(len(sorted)))
	for _, f := range sorted {
		put(f)
	}
	return sha256.Sum256(h)
}

func bindingOfBody(b *audit.Body) [32]byte {
	id := ""
	if b.Decision != nil {
		id = b.Decision.ID
	}
	return BindingOf(b.Institution, b.Subject, b.Revision, id, b.Fields)
}
