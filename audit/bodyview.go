package audit

import (
	"encoding/hex"
	"time"
)

// BodyView is a body that has been checked but not decoded: its slices point into the scanned bytes and are valid as long as
// those are not changed. It is what a fast reader uses; [BodyView.Body] decodes all of it.
//
// The zero value is empty; ScanBody and ScanLeaf fill it and may be called again with the same BodyView. Not safe for
// concurrent use while being filled.
type BodyView struct {
	raw                                                        []byte
	institution, at, stage, kind, subject, purpose, net, nonce []byte
	request                                                    []byte
	fields, facts, commit                                      []byte // what stands between the brackets
	actor                                                      actorView
	decision                                                   decisionView
	key                                                        keyView
	revision                                                   uint64
	version                                                    int
	sim                                                        bool
}

type actorView struct{ id, auth, onBehalf, roles []byte }

type decisionView struct {
	article, bundle, id, inputCommitment, reason, result, rule []byte
}

type keyView struct {
	batch, lease, name []byte
	item, version      int64
	use                uint64
	present            bool
}

// Raw returns the bytes of the body, verbatim.
func (v *BodyView) Raw() []byte { return v.raw }

// Version returns the entry format version.
func (v *BodyView) Version() int { return v.version }

// Institution returns the institution, without copying.
func (v *BodyView) Institution() []byte { return v.institution }

// Kind returns the kind of the entry, without copying.
func (v *BodyView) Kind() []byte { return v.kind }

// Stage returns the stage.
func (v *BodyView) Stage() Stage {
	switch string(v.stage) { // constants: no copy
	case string(StageIntent):
		return StageIntent
	case string(StageOutcome):
		return StageOutcome
	}
	return StageEvent
}

// Subject returns the trail key, without copying.
func (v *BodyView) Subject() []byte { return v.subject }

// Purpose returns the purpose, empty if there is none, without copying.
func (v *BodyView) Purpose() []byte { return v.purpose }

// Request returns the request id, empty if there is none, without copying.
func (v *BodyView) Request() []byte { return v.request }

// ActorID returns the actor's alias, without copying.
func (v *BodyView) ActorID() []byte { return v.actor.id }

// Bundle returns the hex digest of the policy bundle that the decision names, empty if there is none, without copying.
func (v *BodyView) Bundle() []byte { return v.decision.bundle }

// Result returns "allow", "deny" or, where the entry has no decision, nothing.
func (v *BodyView) Result() []byte { return v.decision.result }

// Rule returns which rule decided, empty if none is named, without copying. [BodyView.Article] is as spelled in the
// entry, escapes and all.
func (v *BodyView) Rule() []byte { return v.decision.rule }

// Reason returns the decision's reason code; see Rule.
func (v *BodyView) Reason() []byte { return v.decision.reason }

// Article returns what the rule rests on; see Rule.
func (v *BodyView) Article() []byte { return v.decision.article }

// Revision returns the record revision, 0 for none.
func (v *BodyView) Revision() uint64 { return v.revision }

// StatePath is the commitment under which an event names the state that it altered its subject to: the plain SHA-256 of what is
// stored at the event's revision (for a sealed record, of its manifest), so that a subject put back to an older state shows.
const StatePath = "manifest"

// State is what an event says that its subject was altered to. The zero value says nothing.
type State struct {
	Revision uint64 // of the subject, from 1
	SHA256   [32]byte
}

// State returns the state that an event commits to; zero for any other entry.
func (v *BodyView) State() (s State) {
	if v.revision == 0 || v.Stage() != StageEvent {
		return s
	}
	for path, digest := range v.Commits() {
		if string(path) != StatePath || len(digest) != hex.EncodedLen(len(s.SHA256)) {
			continue
		}
		if _, err := hex.Decode(s.SHA256[:], digest); err != nil {
			return State{}
		}
		s.Revision = v.revision
	}
	return s
}

// Sim reports whether the entry belongs to a simulated log.
func (v *BodyView) Sim() bool { return v.sim }

// At returns the service clock's time of the entry.
func (v *BodyView) At() time.Time { return parseTime(v.at) }

// Body decodes everything. The result shares nothing with the scanned bytes.
func (v *BodyView) Body() Body {
	b := Body{
		V: v.version, Institution: string(v.institution), At: v.At(), Stage: v.Stage(), Kind: string(v.kind),
		Actor:   Actor{ID: string(v.actor.id), Roles: unquoteList(v.actor.roles), Auth: string(v.actor.auth), OnBehalf: string(v.actor.onBehalf)},
		Subject: string(v.subject), Revision: v.revision, Purpose: string(v.purpose), Fields: unquoteList(v.fields),
		Request: string(v.request), Net: unquote(v.net), Sim: v.sim,
	}
	_, _ = hex.Decode(b.Nonce[:], v.nonce) // 32 hex digits were checked by the scan
	if d := &v.decision; d.result != nil {
		b.Decision = &DecisionRef{Result: string(d.result), Rule: string(d.rule), Article: unquote(d.article), Reason: string(d.reason),
			Bundle: string(d.bundle), ID: string(d.id), InputCommitment: string(d.inputCommitment)}
	}
	if k := &v.key; k.present {
		b.Key = &KeyUse{Name: string(k.name), Version: int(k.version), Batch: string(k.batch), Item: int(k.item), Lease: string(k.lease), Use: k.use}
	}
	for name, f := range v.Facts() {
		if b.Facts == nil {
			b.Facts = Facts{}
		}
		b.Facts[string(name)] = f.Value()
	}
	for path, c := range v.Commits() {
		if b.Commit == nil {
			b.Commit = map[string]string{}
		}
		b.Commit[string(path)] = string(c)
	}
	return b
}

// ScanBody checks in one pass that raw is a canonical body of a known version and fills v with it. The error wraps
// [ErrNotCanonical]. Nothing is allocated unless the bytes are refused.
func ScanBody(raw []byte, v *BodyView) error {
	if len(raw) > MaxBody {
		return &CanonicalError{Reason: "body too long"}
	}
	s := scanner{b: raw}
	s.body(v)
	return s.end()
}

// required members of a body, one bit each.
const (
	hasActor = 1 << iota
	hasAt
	hasInstitution
	hasKind
	hasNonce
	hasStage
	hasSubject
	hasV
	hasAll = hasV<<1 - 1
)

// body reads the object of a body at the scanner's position.
func (s *scanner) body(v *BodyView) {
	*v = BodyView{}
	from, has := s.i, 0
	s.expect('{')
	for prev := []byte(nil); s.err == nil; {
		name := s.member(prev, className)
		has |= s.bodyMember(name, v)
		prev = name
		if !s.more('}') {
			break
		}
	}
	if s.err == nil && has != hasAll {
		s.fail("body lacks a member")
	}
	if s.err == nil {
		v.raw = s.b[from:s.i]
	}
}

// bodyMember reads the value of one member and returns its bit if it is a required one.
func (s *scanner) bodyMember(name []byte, v *BodyView) int {
	switch string(name) {
	case "actor":
		s.actor(&v.actor)
		return hasActor
	case "at":
		v.at = s.time()
		return hasAt
	case "commit":
		v.commit = s.commits()
	case "decision":
		s.decision(&v.decision)
	case "facts":
		v.facts = s.facts()
	case "fields":
		v.fields = s.tokenList()
	case "institution":
		v.institution = s.token()
		return hasInstitution
	case "key":
		s.key(&v.key)
	case "kind":
		v.kind = s.run(classKind, "not a kind")
		return hasKind
	case "net":
		v.net = s.text()
	case "nonce":
		v.nonce = s.nonce()
		return hasNonce
	case "purpose":
		v.purpose = s.token()
	case "request":
		v.request = s.token()
	case "revision":
		v.revision = s.positive()
	case "sim":
		s.literal("true")
		v.sim = true
	case "stage":
		v.stage = s.token()
		if s.err == nil && !isStage(string(v.stage)) {
			s.fail("unknown stage")
		}
		return hasStage
	case "subject":
		v.subject = s.token()
		return hasSubject
	case "v":
		s.expect('1') // the only version so far
		v.version = Version
		return hasV
	default:
		s.fail("unknown member of the body")
	}
	return 0
}

func (s *scanner) nonce() []byte {
	n := s.hex(32)
	if string(n) == "00000000000000000000000000000000" {
		s.fail("zero nonce")
	}
	return n
}

// text reads a non-empty string of any characters.
func (s *scanner) text() []byte {
	t := s.str()
	if s.err == nil && len(t) == 0 {
		s.fail("empty text that should have been left out")
	}
	return t
}

// positive reads a 64-bit number in quotes, which is left out where it is 0.
func (s *scanner) positive() uint64 {
	n := s.count()
	if s.err == nil && n == 0 {
		s.fail("zero that should have been left out")
	}
	return n
}

// tokenList reads a non-empty list of tokens and returns what stands between its brackets.
func (s *scanner) tokenList() []byte {
	s.expect('[')
	from := s.i
	for s.err == nil {
		s.token()
		if !s.more(']') {
			break
		}
	}
	if s.err != nil {
		return nil
	}
	return s.b[from : s.i-1]
}
