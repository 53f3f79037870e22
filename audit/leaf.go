package audit

import (
	"encoding/hex"
	"time"
)

// Position is what only the sequencer knows about an entry.
type Position struct {
	ID        uint64    // entry id, given when the body was appended
	Index     uint64    // dense index in the log, from 0
	Log       string    // origin of the log, as in its checkpoints
	SeqAt     time.Time // sequencer's clock, cut to microseconds; never before that of the former index
	TrailN    uint64    // place in the subject's trail, from 1
	TrailPrev [32]byte  // leaf hash of the subject's former entry; zero for the first
}

// Leaf is one entry of a log. RawBody is the body verbatim; SHA-256(RawBody) is the body_sha256 of a caller's receipt, which
// is therefore determined by the leaf.
type Leaf struct {
	Body    Body
	RawBody []byte
	Position
}

// AssembleLeaf returns the bytes of a leaf:
//
//	{"body":<body verbatim>,"id":"<n>","idx":"<n>","log":"<origin>","seq_at":"<time>","trail":{"n":"<n>","prev":"<64 hex>"},"v":1}
//
// The body MUST come from [Body.Canonical] or have passed [ScanBody]; Log must be a token of at most MaxOrigin bytes and SeqAt
// within years 1 to 9999. Neither is checked here; [ScanLeaf] does.
func AssembleLeaf(body []byte, p Position) []byte {
	return AppendLeaf(make([]byte, 0, len(body)+len(p.Log)+256), body, p)
}

// AppendLeaf is AssembleLeaf into a caller's buffer.
func AppendLeaf(out, body []byte, p Position) []byte {
	out = append(out, `{"body":`...)
	out = append(out, body...)
	out = append(out, `,"id":`...)
	out = appendCount(out, p.ID)
	out = append(out, `,"idx":`...)
	out = appendCount(out, p.Index)
	out = append(out, `,"log":`...)
	out = appendString(out, p.Log)
	out = append(out, `,"seq_at":"`...)
	out = p.SeqAt.UTC().AppendFormat(out, TimeLayout)
	out = append(out, `","trail":{"n":`...)
	out = appendCount(out, p.TrailN)
	out = append(out, `,"prev":"`...)
	out = hex.AppendEncode(out, p.TrailPrev[:])
	return append(out, `"},"v":1}`...)
}

// LeafView is a leaf that has been checked but not decoded; see [BodyView] for how long its slices live.
type LeafView struct {
	BodyView
	ID, Index, TrailN uint64
	TrailPrev         [32]byte
	leaf, log, seqAt  []byte
}

// RawLeaf returns the bytes of the leaf, verbatim: what is hashed.
func (v *LeafView) RawLeaf() []byte { return v.leaf }

// Log returns the origin of the log, without copying.
func (v *LeafView) Log() []byte { return v.log }

// SeqAt returns the sequencer's time.
func (v *LeafView) SeqAt() time.Time { return parseTime(v.seqAt) }

// RawSeqAt returns the sequencer's time as spelled: of fixed width, so that order of bytes is order in time.
func (v *LeafView) RawSeqAt() []byte { return v.seqAt }

// Leaf decodes everything. The result shares nothing with the scanned bytes.
func (v *LeafView) Leaf() Leaf {
	return Leaf{
		Body:    v.Body(),
		RawBody: append([]byte(nil), v.raw...),
		Position: Position{
			ID: v.ID, Index: v.Index, Log: string(v.log), SeqAt: v.SeqAt(), TrailN: v.TrailN, TrailPrev: v.TrailPrev,
		},
	}
}

// ScanLeaf checks in one pass that raw is a canonical leaf of a known version and fills v with it. The error wraps
// [ErrNotCanonical]. Nothing is allocated unless the bytes are refused.
func ScanLeaf(raw []byte, v *LeafView) error {
	if len(raw) > MaxLeaf {
		return &CanonicalError{Reason: "leaf too long"}
	}
	s := scanner{b: raw}
	s.literal(`{"body":`)
	s.body(&v.BodyView)
	s.literal(`,"id":`)
	v.ID = s.count()
	s.literal(`,"idx":`)
	v.Index = s.count()
	s.literal(`,"log":`)
	v.log = s.token()
	s.literal(`,"seq_at":`)
	v.seqAt = s.time()
	s.literal(`,"trail":{"n":`)
	v.TrailN = s.positive()
	s.literal(`,"prev":`)
	prev := s.hex(64)
	s.literal(`},"v":1}`)
	v.leaf = raw
	if err := s.end(); err != nil {
		return err
	}
	if len(v.raw) > MaxBody || len(v.log) > MaxOrigin {
		return &CanonicalError{Reason: "body or origin too long"}
	}
	for i := range v.TrailPrev {
		v.TrailPrev[i] = unhex(prev[2*i])<<4 | unhex(prev[2*i+1])
	}
	return nil
}

// ParseLeaf decodes the bytes of a leaf and refuses, wrapping [ErrNotCanonical], every input that [AssembleLeaf] of a canonical
// body would not have produced.
func ParseLeaf(raw []byte) (Leaf, error) {
	var v LeafView
	if err := ScanLeaf(raw, &v); err != nil {
		return Leaf{}, err
	}
	return v.Leaf(), nil
}
