package audit

import (
	"bytes"
	"encoding/base64"
	"errors"
	"fmt"
	"strconv"

	"github.com/transparency-dev/merkle/proof"
	"golang.org/x/mod/sumdb/note"
)

// ErrMisbehaviour is wrapped by every refusal of a misbehaviour file.
var ErrMisbehaviour = errors.New("malformed misbehaviour file")

// MisbehaviourKind is what was seen of a log.
type MisbehaviourKind string

// The closed set of kinds.
const (
	TwoRoots      MisbehaviourKind = "two-roots"      // one size, two roots
	NotConsistent MisbehaviourKind = "not-consistent" // the larger tree does not begin with the smaller one
	WentBehind    MisbehaviourKind = "behind"         // shown smaller than it had been; never convicts by itself
)

// Misbehaviour holds two checkpoints of one log that cannot both be true, or that somebody found strange together. It is
// portable: whoever has the log's verifier key can judge it, without the log (docs/formats/misbehaviour.md).
type Misbehaviour struct {
	Kind MisbehaviourKind
	A, B []byte // signed notes, verbatim; one that is not signed convicts nobody and may still be worth keeping

	// Proof is for NotConsistent: first the root that the larger tree has at the smaller size, then the RFC 6962 consistency
	// proof from there to the larger tree. Empty if nobody could make it.
	Proof [][]byte
}

const (
	misbehaviourHead = "sealtrail-misbehaviour v1\n"
	proofPrefix      = "proof "

	// maxMisbehaviourProof is a root and the longest consistency proof (C2SP tlog-witness: 63 hashes).
	maxMisbehaviourProof = 64
)

// Marshal returns the file. A note that holds the marks of the file is no problem: each note is behind its length.
func (m Misbehaviour) Marshal() []byte {
	out := append([]byte(misbehaviourHead), m.Kind...)
	out = append(out, '\n')
	for i, n := range [][]byte{m.A, m.B} {
		name := noteName(i)
		out = fmt.Appendf(out, "--- note %s: %d bytes\n%s\n--- end of note %s\n", name, len(n), n, name)
	}
	for _, h := range m.Proof {
		out = append(append(append(out, proofPrefix...), base64.StdEncoding.EncodeToString(h)...), '\n')
	}
	return out
}

func noteName(i int) string { return string(rune('A' + i)) }

// IsMisbehaviour reports whether data begins as a misbehaviour file does.
func IsMisbehaviour(data []byte) bool { return bytes.HasPrefix(data, []byte(misbehaviourHead)) }

// ParseMisbehaviour reads a file. It refuses, wrapping [ErrMisbehaviour], every other spelling than the one of
// [Misbehaviour.Marshal]. It does not look at the notes: that is [Misbehaviour.Judge].
func ParseMisbehaviour(data []byte) (Misbehaviour, error) {
	rest, ok := bytes.CutPrefix(data, []byte(misbehaviourHead))
	if !ok {
		return Misbehaviour{}, fmt.Errorf("%w: first line", ErrMisbehaviour)
	}
	kind, rest, _ := bytes.Cut(rest, []byte("\n"))
	m := Misbehaviour{Kind: MisbehaviourKind(kind)}
	if m.Kind != TwoRoots && m.Kind != NotConsistent && m.Kind != WentBehind {
		return Misbehaviour{}, fmt.Errorf("%w: unknown kind", ErrMisbehaviour)
	}
	for i, to := range []*[]byte{&m.A, &m.B} {
		var err error
		if *to, rest, err = cutNote(rest, noteName(i)); err != nil {
			return Misbehaviour{}, err
		}
	}
	for len(rest) > 0 {
		line, after, _ := bytes.Cut(rest, []byte("\n"))
		rest = after
		b64, ok := bytes.CutPrefix(line, []byte(proofPrefix))
		h, err := base64.StdEncoding.Strict().DecodeString(string(b64))
		if !ok || err != nil || len(h) != HashSize || len(m.Proof) == maxMisbehaviourProof {
			return Misbehaviour{}, fmt.Errorf("%w: proof line %d", ErrMisbehaviour, len(m.Proof)+1)
		}
		m.Proof = append(m.Proof, h)
	}
	if !bytes.Equal(m.Marshal(), data) {
		return Misbehaviour{}, fmt.Errorf("%w: not in its usual spelling", ErrMisbehaviour)
	}
	return m, nil
}

// cutNote takes one note behind its length.
func cutNote(data []byte, name string) (text, rest []byte, err error) {
	line, after, _ := bytes.Cut(data, []byte("\n"))
	digits, ok := bytes.CutPrefix(line, []byte("--- note "+name+": "))
	digits, ok2 := bytes.CutSuffix(digits, []byte(" bytes"))
	n, err := strconv.ParseUint(string(digits), 10, 32)
	if !ok || !ok2 || err != nil || n > maxNote || n > uint64(len(after)) {
		return nil, nil, fmt.Errorf("%w: note %s", ErrMisbehaviour, name)
	}
	rest, ok = bytes.CutPrefix(after[n:], []byte("\n--- end of note "+name+"\n"))
	if !ok {
		return nil, nil, fmt.Errorf("%w: end of note %s", ErrMisbehaviour, name)
	}
	return after[:n:n], rest, nil
}

// Verdict is what a misbehaviour file comes to.
type Verdict struct {
	Convicts bool   // both notes are the log's and cannot both be true
	Reason   string // stable code, one of the Reason constants
	A, B     Checkpoint
	SignedA  bool // A is the log's, by the verifier that was given; else A is the zero value
	SignedB  bool

	// Second is the other root at the size of the smaller checkpoint (of both, for TwoRoots); set only if Convicts.
	Second [32]byte
}

// Reasons of a Verdict. Only the first two convict.
const (
	ReasonTwoRoots     = "two_roots"        // the log signed two roots at one size
	ReasonOtherPrefix  = "other_prefix"     // the larger tree has another root at the smaller one's size
	ReasonNotSigned    = "not_signed"       // at least one note is not signed by the key
	ReasonOtherLog     = "other_log"        // the notes are of two logs
	ReasonWrongKind    = "wrong_kind"       // sizes do not fit the kind
	ReasonSameRoot     = "same_root"        // one size and one root: nothing is wrong
	ReasonNoProof      = "no_proof"         // not shown to be inconsistent
	ReasonBadProof     = "bad_proof"        // the proof does not hold
	ReasonConsistent   = "consistent"       // the proof shows that the larger tree extends the smaller one
	ReasonBothPossible = "both_can_be_true" // a log has every smaller size before a larger one
	ReasonUnknownKind  = "unknown_kind"     // a Misbehaviour made by hand with a kind that is none
)

// Judge says whether the file convicts the log. verify opens a signed note under the log's key that the reader brought, as
// [LogVerifier] does; its errors mean "not signed by that log". The error is for a file that says nothing at all.
func (m Misbehaviour) Judge(verify func(note []byte) (Checkpoint, error)) (Verdict, error) {
	if len(m.A) == 0 && len(m.B) == 0 {
		return Verdict{}, fmt.Errorf("%w: it holds no note", ErrMisbehaviour)
	}
	var v Verdict
	var errA, errB error
	v.A, errA = verify(m.A)
	v.B, errB = verify(m.B)
	v.SignedA, v.SignedB = errA == nil, errB == nil
	if !v.SignedA {
		v.A = Checkpoint{}
	}
	if !v.SignedB {
		v.B = Checkpoint{}
	}
	switch {
	case !v.SignedA || !v.SignedB:
		v.Reason = ReasonNotSigned
	case v.A.Origin != v.B.Origin:
		v.Reason = ReasonOtherLog
	default:
		m.compare(&v)
	}
	return v, nil
}

// compare judges two checkpoints that the log did sign.
func (m Misbehaviour) compare(v *Verdict) {
	same := v.A.Size == v.B.Size
	switch {
	case m.Kind == TwoRoots && !same, m.Kind != TwoRoots && same:
		v.Reason = ReasonWrongKind
	case m.Kind == TwoRoots && v.A.Root == v.B.Root:
		v.Reason = ReasonSameRoot
	case m.Kind == TwoRoots:
		v.Convicts, v.Reason, v.Second = true, ReasonTwoRoots, v.B.Root
	case m.Kind == WentBehind:
		v.Reason = ReasonBothPossible
	case m.Kind == NotConsistent:
		m.compareSizes(v)
	default:
		v.Reason = ReasonUnknownKind
	}
}

// compareSizes judges two sizes. That no consistency proof is at hand convicts nobody; a proof that the larger tree has another
// root at the smaller size does, for a tree has one root per size.
func (m Misbehaviour) compareSizes(v *Verdict) {
	small, large := v.A, v.B
	if small.Size > large.Size {
		small, large = large, small
	}
	switch {
	case small.Size == 0: // the empty tree is the beginning of every tree
		v.Reason = ReasonBothPossible
	case len(m.Proof) == 0:
		v.Reason = ReasonNoProof
	case len(m.Proof[0]) != HashSize, VerifyConsistency(small.Size, large.Size, [32]byte(m.Proof[0]), large.Root, m.Proof[1:]) != nil:
		v.Reason = ReasonBadProof
	case [32]byte(m.Proof[0]) == small.Root:
		v.Reason = ReasonConsistent
	default:
		v.Convicts, v.Reason, v.Second = true, ReasonOtherPrefix, [32]byte(m.Proof[0])
	}
}

// PrefixRoot returns the root that the tree (to, toRoot) has at size from, if the consistency proof path shows one. A proof from
// a power of two does not hold it: then ok is false. Whoever is offered such a proof for a tree that does not begin as it should
// has in this root what convicts the log.
func PrefixRoot(from, to uint64, path [][]byte, toRoot [32]byte) (root [32]byte, ok bool) {
	var mismatch proof.RootMismatchError
	err := VerifyConsistency(from, to, [32]byte{}, toRoot, path)
	if !errors.As(err, &mismatch) || len(mismatch.CalculatedRoot) != HashSize || from == 0 {
		return root, false
	}
	root = [32]byte(mismatch.CalculatedRoot)
	return root, VerifyConsistency(from, to, root, toRoot, path) == nil
}

// LogVerifier returns a function that opens signed notes under the log's verifier key (Ed25519, C2SP signed-note). A checkpoint
// must bear the key's name as its origin. Errors wrap [ErrKey] for the key and [ErrCheckpoint] for a note.
func LogVerifier(vkey string) (func(signed []byte) (Checkpoint, error), error) {
	v, err := note.NewVerifier(vkey)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrKey, err)
	}
	return func(signed []byte) (Checkpoint, error) {
		n, err := note.Open(signed, note.VerifierList(v))
		if err != nil {
			return Checkpoint{}, fmt.Errorf("%w: %w", ErrCheckpoint, err)
		}
		c, err := ParseCheckpoint([]byte(n.Text))
		if err == nil && c.Origin != v.Name() {
			err = fmt.Errorf("%w: of another log than the key", ErrCheckpoint)
		}
		return c, err
	}, nil
}
