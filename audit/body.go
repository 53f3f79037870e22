package audit

import (
	"crypto/rand"
	"errors"
	"fmt"
	"time"
)

// Version is the entry format written by this package. Every version ever written stays readable.
const Version = 1

// TimeLayout is how every time in an entry is spelled: RFC 3339, UTC, exactly six decimals, 27 bytes.
const TimeLayout = "2006-01-02T15:04:05.000000Z"

// Size limits in bytes. A C2SP entry bundle stores the length of an entry in 16 bits; the wrapper of a leaf (two 64-bit
// numbers, a trail, a time and an origin of at most MaxOrigin) stays below the 1,535 bytes that MaxBody leaves for it.
const (
	MaxLeaf   = 1<<16 - 1
	MaxBody   = 64000
	MaxOrigin = 255
)

// MaxInt is the largest magnitude of a JSON number in an entry: 2^53-1, above which JSON readers disagree (RFC 7493, 2.2).
// Larger numbers are written as strings.
const MaxInt = 1<<53 - 1

// ErrInvalid is wrapped by every refusal to encode a Body.
var ErrInvalid = errors.New("invalid entry")

// Stage says what an entry records: that something is about to be done, what came of it, or something done in the same
// transaction.
type Stage string

// The three stages of an entry.
const (
	StageIntent  Stage = "intent"
	StageOutcome Stage = "outcome"
	StageEvent   Stage = "event"
)

// Decision results.
const (
	ResultAllow = "allow"
	ResultDeny  = "deny"
)

// Body is what the writer of an entry knows. Its bytes ([Body.Canonical]) are stored verbatim and hashed verbatim.
//
// A "token" below is 1 or more bytes of printable ASCII without space, quote or backslash; a "text" is any valid UTF-8, which
// the writer SHOULD have normalised to NFC (the format cannot check it without Unicode tables). Zero values of optional
// fields are left out of the bytes; a present but empty member does not exist in the format.
type Body struct {
	V           int       // format version; 0 means Version
	Institution string    // token, required
	At          time.Time // service clock, written in UTC and cut to microseconds, required
	Stage       Stage     // required
	Kind        string    // lower-case letters, digits, '_' and '.', e.g. "access.reveal"; required
	Actor       Actor     // required
	Subject     string    // token, required; the trail key: "complaint:<uuid>", "query:<id>", "request:<id>", ...
	Revision    uint64    // record revision decided on; 0 = none
	Purpose     string    // token, optional
	Fields      []string  // tokens (catalogue names), in the writer's order, optional
	Decision    *DecisionRef
	Key         *KeyUse
	Request     string            // token, optional: request id
	Net         string            // text, optional: the name of a network zone, never an address
	Facts       Facts             // C1 values only, optional
	Nonce       [16]byte          // random per entry, never zero: makes the leaf hash of a guessable entry unguessable
	Commit      map[string]string // path -> Commit(path, salt, value), optional
	Sim         bool              // the log is simulated
}

// Actor is who acted. ID is the per-shard alias, never a staff number or a name.
type Actor struct {
	ID       string   // token, required
	Roles    []string // tokens, optional
	Auth     string   // token, optional: how the actor proved who it is
	OnBehalf string   // token, optional: the alias for whom an application acted
}

// DecisionRef names the decision under which the entry's act was allowed or refused.
type DecisionRef struct {
	Result          string // ResultAllow or ResultDeny
	Rule            string // token, optional
	Article         string // text, optional: what the rule rests on
	Reason          string // token, optional: reason code
	Bundle          string // SHA-256 of the policy bundle, 64 lower-case hex digits, optional; names blob/sha256/<hex>
	ID              string // token, optional
	InputCommitment string // token, optional
}

// KeyUse names the call to the key service that an entry accounts for: either an item of a batch, or use number Use of a
// lease that batch Lease opened.
type KeyUse struct {
	Name    string // token, optional
	Version int    // 0 = none
	Batch   string // token, optional
	Item    int    // position in the batch; written only with Batch
	Lease   string // token, optional
	Use     uint64 // counts from 1; written only with Lease
}

// NewNonce returns a fresh random nonce for one entry.
func NewNonce() (n [16]byte) {
	_, _ = rand.Read(n[:]) // never fails: crypto/rand ends the process instead (Go 1.24)
	return n
}

// Canonical returns the bytes of the body: RFC 8785 canonical JSON in the restricted form of docs/formats/trail-entry.md.
// The error wraps [ErrInvalid] and names the member, never its value. Canonical does not change b.
func (b *Body) Canonical() ([]byte, error) {
	e := encoder{out: make([]byte, 0, 640)}
	e.body(b)
	if e.err != nil {
		return nil, e.err
	}
	if len(e.out) > MaxBody {
		return nil, fmt.Errorf("%w: body of %d bytes, at most %d", ErrInvalid, len(e.out), MaxBody)
	}
	return e.out, nil
}

// ParseBody decodes the bytes of a body and refuses, wrapping [ErrNotCanonical], every input that [Body.Canonical] would not
// have produced: for an accepted input, Canonical of the result returns the same bytes.
func ParseBody(raw []byte) (Body, error) {
	var v BodyView
	if err := ScanBody(raw, &v); err != nil {
		return Body{}, err
	}
	return v.Body(), nil
}
