package policy

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"slices"
)

// Recorded is what the log says of one decision. It holds no identifier and not the input itself, but the commitment to it.
type Recorded struct {
	// Roles and Purpose are those of the entry: the roles that counted.
	Roles   []string
	Purpose string
	// Action, if not empty, is looked at before all others: a hint that makes the search short.
	Action string
	// Fields names what was asked for; a refusal may be for one of them.
	Fields []string
	// Allowed is the entry's result. Rule, Article and Reason are those of the log, without the veil.
	Allowed               bool
	Rule, Article, Reason string
	// InputCommitment is Decision.InputCommitment of then.
	InputCommitment string
	// Refused says that the entry records a refusal by policy. Other entries with the result deny record something that the door
	// found after the policy had spoken, such as a damaged record; Allowed is false there and says nothing of the policy.
	Refused bool
}

// Differs is what a replay found.
type Differs string

// What a replay can find. The empty value means that the archived bundle decides today as the log says.
const (
	// DiffersInput: no point of the domain with these roles and this purpose has that commitment. The input, the roles, the purpose or
	// the bundle's digest are not those that were decided on.
	DiffersInput Differs = "input"
	// DiffersResult: the bundle allows what the log says it refused, or the reverse.
	DiffersResult Differs = "result"
	// DiffersReason: the bundle gives another reason for the same result.
	DiffersReason Differs = "reason"
	// DiffersRule: the bundle rests the reason on another rule or article.
	DiffersRule Differs = "rule"
)

// Replay evaluates recorded decisions again, with an archived bundle and OPA. The log keeps no input: the domain is finite, so the one
// point that gives the recorded commitment is looked for among all that the recorded roles and purpose leave. Not safe for concurrent use.
type Replay struct {
	snap  *Snapshot
	found map[string][]cellKey // by roles, purpose and commitment; nil: looked for and not there
	text  []byte               // what a commitment hashes, up to the key
}

// OpenReplay loads the archive of a bundle. catalogue is today's: it serves only to say whether a refusal was for a field. The error
// wraps ErrBundle, also where the bundle is of a program whose closed lists are no beginning of this one's.
func OpenReplay(ctx context.Context, archive []byte, catalogue Catalogue) (*Replay, error) {
	b, err := unarchive(archive)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrBundle, err)
	}
	s, err := newSnapshot(ctx, b, Config{Catalogue: catalogue, archived: true}, 1)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrBundle, err)
	}
	return &Replay{snap: s, found: map[string][]cellKey{}, text: []byte(commitmentLabel + s.digest + "\n")}, nil
}

// Digest is the bundle's SHA-256 in lower-case hex.
func (r *Replay) Digest() string { return r.snap.digest }

// Check evaluates one recorded decision again and says what differs. An error means that it could not be evaluated.
func (r *Replay) Check(ctx context.Context, d Recorded) (Differs, error) {
	keys := r.inputs(&d)
	if len(keys) == 0 {
		return DiffersInput, nil
	}
	best := DiffersResult
	for _, k := range keys { // one, but for kinds of subject that the roles leave open
		c, err := r.snap.lookup(ctx, unpack(k.key), k.grant)
		if err != nil {
			return "", fmt.Errorf("replaying: %w", err)
		}
		for _, as := range []*cell{c, r.snap.admission(c)} { // decided on a record, or admitted without one
			got := r.compare(&d, as)
			if got == "" {
				return "", nil
			}
			if got != DiffersResult {
				best = got
			}
		}
	}
	return best, nil
}

// compare holds what the log says against what the bundle says.
func (r *Replay) compare(d *Recorded, c *cell) Differs {
	switch {
	case d.Allowed && !c.allow:
		return DiffersResult
	case d.Refused && c.allow && !r.refusesField(d, c):
		return DiffersResult
	case d.Reason != c.reason && !r.unfit(d.Reason, c):
		return DiffersReason
	}
	if said, ok := r.snap.reasons[d.Reason]; !ok || said.Rule != d.Rule || said.Article != d.Article {
		return DiffersRule
	}
	return ""
}

// refusesField reports whether one of the fields asked for is not released in full.
func (r *Replay) refusesField(d *Recorded, c *cell) bool {
	return slices.ContainsFunc(d.Fields, func(name string) bool {
		i, ok := r.snap.fieldIndex[name]
		return !ok || c.fields[i] != Reveal
	})
}

// unfit reports whether the reason is one of the person's own states for which a cell says only "unfit".
func (r *Replay) unfit(reason string, c *cell) bool {
	_, known := r.snap.ranks[reason]
	return c.reason == reasonUnfit && known && r.snap.meta[reason]
}

// inputs looks for the points of the domain that give the commitment: without a grant first, since a grant makes 2,047 of each.
func (r *Replay) inputs(d *Recorded) []cellKey {
	name := fmt.Sprint(d.Roles, d.Purpose, d.InputCommitment)
	if keys, known := r.found[name]; known {
		return keys
	}
	var keys []cellKey
	purpose := index(purposes, d.Purpose)
	var wanted [32]byte
	if n, err := hex.Decode(wanted[:], []byte(d.InputCommitment)); err != nil || n != len(wanted) {
		return nil
	}
	for _, grants := range []bool{false, true} {
		for _, held := range r.held(d.Roles) {
			for _, action := range hinted(d.Action) {
				if purpose >= 0 && len(keys) == 0 {
					keys = r.search(attributes{roles: held, action: uint8(action), purpose: uint8(purpose)}, &wanted, grants)
				}
			}
		}
	}
	r.found[name] = keys
	return keys
}

// hinted gives all actions, the hint first.
func hinted(action string) []int {
	out := make([]int, 0, len(actions)+1)
	if i := index(actions, action); i >= 0 {
		out = append(out, i)
	}
	for i := range actions {
		out = append(out, i)
	}
	return out
}

// held gives the sets of roles that counted, one per kind of subject.
func (r *Replay) held(names []string) []uint32 {
	var out []uint32
	for _, kind := range []string{KindHuman, KindPortal, KindApplication, KindService} {
		bits, err := heldRoles(&Subject{Kind: kind, Roles: names})
		if err == nil && !slices.Contains(out, bits) {
			out = append(out, bits)
		}
	}
	return out
}

// search goes over stage, sensitivity, step, facts and grants of one action and purpose.
func (r *Replay) search(a attributes, wanted *[32]byte, grants bool) []cellKey {
	p := &r.snap.plans[a.action]
	mask := p.facts[a.purpose]
	if grants && mask&factGranted == 0 {
		return nil
	}
	for a.stage = 0; int(a.stage) < choices(p.stage, len(stages)); a.stage++ {
		for a.sens = 0; int(a.sens) < choices(p.sens, len(sensitivities)); a.sens++ {
			for a.step = 0; int(a.step) < choices(p.step, len(steps)+1); a.step++ {
				for facts := mask; ; facts = (facts - 1) & mask { // every subset of the facts that are read
					a.facts = facts
					if k, ok := r.matches(a, wanted, grants); ok {
						return []cellKey{k}
					}
					if facts == 0 {
						break
					}
				}
			}
		}
	}
	return nil
}

func choices(reads bool, n int) int {
	if reads {
		return n
	}
	return 1
}

// matches tries a point without a grant or, where the facts say that one was used, with every set of groups.
func (r *Replay) matches(a attributes, wanted *[32]byte, grants bool) (k cellKey, ok bool) {
	k.key = a.pack()
	if !grants {
		return k, r.commits(k) == *wanted
	}
	for k.grant = 1; a.facts&factGranted != 0 && k.grant < 1<<len(groups); k.grant++ {
		if r.commits(k) == *wanted {
			return k, true
		}
	}
	return k, false
}

// commits is commitment without allocating: a search asks for it millions of times.
func (r *Replay) commits(k cellKey) [32]byte {
	const digits = "0123456789abcdef"
	out := r.text
	for shift := 60; shift >= 0; shift -= 4 {
		out = append(out, digits[k.key>>shift&15])
	}
	out = append(out, '\n')
	for shift := 12; shift >= 0; shift -= 4 {
		out = append(out, digits[k.grant>>shift&15])
	}
	out = append(out, '\n')
	r.text = out[:len(r.text)]
	return sha256.Sum256(out)
}
