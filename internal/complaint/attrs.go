package complaint

import (
	"bytes"
	"encoding/binary"
	"maps"
	"slices"
	"time"
)

// attrsLabel separates the canonical bytes of attributes from any other bytes
// under the same MAC key. A change of the layout takes a new label.
const attrsLabel = "sealtrail/attrs/v1"

// attrsLabel2 opens the attributes that came later. They are written only when
// one of them is set, so that the bytes of every older row stay what they were.
const attrsLabel2 = "sealtrail/attrs/v2"

// Attrs are the clear attributes of a record that policy, clocks and retention
// read. The record's manifest covers Canonical, so changing one of them by SQL
// is an integrity error. Times are kept to the microsecond, as PostgreSQL
// keeps them.
type Attrs struct {
	// SchemaVersion is the catalogue's version that the record was written in.
	SchemaVersion uint32
	// ComplaintNo, Source and SourceID identify the complaint to people and to
	// the system it came from.
	ComplaintNo, Source, SourceID string
	// State, Stage, Level and Sensitivity are members of their sets.
	State, Stage, Level, Sensitivity string
	// Type, Channel, Business, Product and Reason are code values.
	Type, Channel, Business, Product, Reason string
	// Assignee is a person's id (not the log's alias), empty for nobody.
	Assignee string
	// Department and Branch are unit codes.
	Department, Branch string
	// Referral, RegulatorRef and ThirdParty are C1 metadata.
	Referral, RegulatorRef, ThirdParty string
	// PartyType, IDType and AmountBand are code values.
	PartyType, IDType, AmountBand string
	// GroupFlag marks a joint complaint, UnderReview one in review (核查).
	GroupFlag, UnderReview bool
	// ReceivedAt is when the complaint reached the institution; all clocks of
	// receipt start from it. ReceivedEvidence is what supports it.
	ReceivedAt       time.Time
	ReceivedEvidence string
	// Milestones maps an event kind to the time of its first occurrence.
	Milestones map[string]time.Time
	// Holds are the ids of legal holds, in any order.
	Holds []string
	// RetentionUntil is zero while no end is known.
	RetentionUntil time.Time
	// RespondentTokens are the blind indexes of the staff complained about, in
	// any order.
	RespondentTokens [][]byte
	// DataSubjectToken is the blind index of the complainant, nil for none.
	DataSubjectToken []byte
	// EarlierHandlers are the ids of persons who handled the complaint before,
	// in any order.
	EarlierHandlers []string
	// Actors maps a transition to the person who last did it, for the
	// four-eyes rules.
	Actors map[string]string
	// ExtensionDays maps a clock to the sum of days granted to it.
	ExtensionDays map[string]int
	// Files are the attachments and recordings of the record, in any order.
	Files []File
	// ErasedGroups are the field groups that were erased, in any order.
	ErasedGroups []string
	// RestrictedFrom is the state to which lifting a restriction returns,
	// empty while the record is not restricted.
	RestrictedFrom string
	// RetentionReason is the retention rule behind RetentionUntil.
	RetentionReason string
}

// File is the clear description of one attachment or recording: what its
// ciphertext is held against. Its JSON is how the database keeps it.
type File struct {
	// ID is the file's own id, under which its key and its blob are kept.
	ID string `json:"id"`
	// Field is the permission name: attachments or recordings.
	Field string `json:"field"`
	// Generation counts the data keys of this file from 1.
	Generation uint32 `json:"generation"`
	// MediaType is the type that the content was found to have.
	MediaType string `json:"media_type"`
	// Size is the length of the plaintext in bytes.
	Size int64 `json:"size"`
	// SHA256 is the digest of the stored ciphertext, lower-case hex.
	SHA256 string `json:"sha256"`
}

// Canonical returns the bytes that the manifest covers. Layout: the label,
// then each attribute in a fixed order as a 32-bit big-endian length and its
// bytes; lists and maps are such a length-prefixed block of length-prefixed
// elements, sorted. Nil and empty, and two orders of the same set, give the
// same bytes; any other difference gives other bytes.
//
// Attributes that came after version 1 follow under a second label, and only if
// one of them is set.
func (a *Attrs) Canonical() []byte {
	w := attrWriter{buf: make([]byte, 0, 1024)}
	w.str(attrsLabel)
	w.num(uint64(a.SchemaVersion))
	for _, s := range []string{
		a.ComplaintNo, a.Source, a.SourceID, a.State, a.Stage, a.Level, a.Sensitivity,
		a.Type, a.Channel, a.Business, a.Product, a.Reason, a.Assignee, a.Department, a.Branch,
		a.Referral, a.RegulatorRef, a.ThirdParty, a.PartyType, a.IDType, a.AmountBand,
	} {
		w.str(s)
	}
	w.flag(a.GroupFlag)
	w.flag(a.UnderReview)
	w.instant(a.ReceivedAt)
	w.str(a.ReceivedEvidence)
	writeMap(&w, a.Milestones, (*attrWriter).instant)
	writeSet(&w, a.Holds)
	w.instant(a.RetentionUntil)
	tokens := make([]string, len(a.RespondentTokens))
	for i, t := range a.RespondentTokens {
		tokens[i] = string(t)
	}
	writeSet(&w, tokens)
	w.str(string(a.DataSubjectToken))
	writeSet(&w, a.EarlierHandlers)
	writeMap(&w, a.Actors, (*attrWriter).str)
	writeMap(&w, a.ExtensionDays, func(w *attrWriter, n int) { w.num(uint64(n)) })
	if len(a.Files) > 0 || len(a.ErasedGroups) > 0 || a.RestrictedFrom != "" || a.RetentionReason != "" {
		w.str(attrsLabel2)
		writeFiles(&w, a.Files)
		writeSet(&w, a.ErasedGroups)
		w.str(a.RestrictedFrom)
		w.str(a.RetentionReason)
	}
	return w.buf
}

// writeFiles writes each file as one element of elements, sorted.
func writeFiles(w *attrWriter, files []File) {
	list := make([]string, len(files))
	for i, f := range files {
		var one attrWriter
		one.str(f.ID)
		one.str(f.Field)
		one.num(uint64(f.Generation))
		one.str(f.MediaType)
		one.num(uint64(f.Size))
		one.str(f.SHA256)
		list[i] = string(one.buf)
	}
	writeSet(w, list)
}

// Equal reports whether two sets of attributes are the same to the manifest.
func (a *Attrs) Equal(b *Attrs) bool { return bytes.Equal(a.Canonical(), b.Canonical()) }

type attrWriter struct{ buf []byte }

func (w *attrWriter) str(s string) {
	w.buf = binary.BigEndian.AppendUint32(w.buf, uint32(len(s)))
	w.buf = append(w.buf, s...)
}

func (w *attrWriter) num(n uint64) {
	w.buf = binary.BigEndian.AppendUint32(w.buf, 8)
	w.buf = binary.BigEndian.AppendUint64(w.buf, n)
}

func (w *attrWriter) flag(b bool) {
	n := uint64(0)
	if b {
		n = 1
	}
	w.num(n)
}

// instant writes microseconds since 1970; a zero time is an empty element, so
// that it cannot be taken for any real instant.
func (w *attrWriter) instant(t time.Time) {
	if t.IsZero() {
		w.str("")
		return
	}
	w.num(uint64(t.UnixMicro()))
}

// writeSet writes a sorted list without repetitions.
func writeSet(w *attrWriter, items []string) {
	sorted := slices.Compact(slices.Sorted(slices.Values(items)))
	var inner attrWriter
	for _, s := range sorted {
		inner.str(s)
	}
	w.str(string(inner.buf))
}

func writeMap[V any](w *attrWriter, m map[string]V, write func(*attrWriter, V)) {
	var inner attrWriter
	for _, k := range slices.Sorted(maps.Keys(m)) {
		inner.str(k)
		write(&inner, m[k])
	}
	w.str(string(inner.buf))
}
