package policy

import (
	"context"
	"fmt"
	"io/fs"
	"slices"
	"strings"
	"sync/atomic"
	"time"

	"github.com/sealtrail/sealtrail/policy/confidentiality"
)

// defaultCacheSize is in cells and larger than the whole domain, which the build keeps under 300,000 points (contracts.md 8).
const defaultCacheSize = 1 << 19

// stepNone is the step of an action that is no transition.
const stepNone = "none"

// Field is one field of the catalogue: its name, the group it belongs to and its class (C1, C2 or C3).
type Field struct{ Name, Group, Class string }

// Catalogue is the list of fields over which the effects of groups are spread. Class C3 and unknown groups are always denied.
type Catalogue struct{ Fields []Field }

// Config says what New builds an Engine from.
type Config struct {
	// Bundle is the policy as a directory tree; nil takes the embedded chapter (policy/confidentiality).
	Bundle fs.FS
	// Catalogue is required.
	Catalogue Catalogue
	// CacheSize bounds the decision cache in cells; 0 means 1<<19, more than the whole domain.
	CacheSize int
	// EvalTimeout bounds one evaluation by OPA, after which the request is refused; 0 means 1 s.
	EvalTimeout time.Duration

	archived bool // the bundle may be older than the program (replay)
}

// Engine answers requests from one immutable Snapshot behind an atomic pointer. It is safe for concurrent use.
type Engine struct {
	config   Config
	snapshot atomic.Pointer[Snapshot]
}

// New loads, compiles and checks the bundle. The error wraps ErrBundle.
func New(ctx context.Context, c Config) (*Engine, error) {
	if c.Bundle == nil {
		c.Bundle = confidentiality.Files()
	}
	e := &Engine{config: c}
	if err := e.Activate(ctx, c.Bundle); err != nil {
		return nil, err
	}
	return e, nil
}

// Activate builds a snapshot of another bundle aside and swaps it in; requests that have started keep the old one. On error, which wraps
// ErrBundle, the active snapshot stays. Activations must not run at the same time.
func (e *Engine) Activate(ctx context.Context, bundle fs.FS) error {
	var sequence uint64 = 1
	if old := e.snapshot.Load(); old != nil {
		sequence = old.sequence + 1
	}
	b, err := readBundle(bundle)
	if err != nil {
		return fmt.Errorf("%w: %w", ErrBundle, err)
	}
	s, err := newSnapshot(ctx, b, e.config, sequence)
	if err != nil {
		return fmt.Errorf("%w: %w", ErrBundle, err)
	}
	e.snapshot.Store(s)
	return nil
}

// Decide answers one request. The Decision refuses whenever the error is not nil; it still has an id and a reason for the log.
func (e *Engine) Decide(ctx context.Context, r Request) (Decision, error) {
	s := e.snapshot.Load()
	d := Decision{snap: s, req: r, id: newDecisionID(), reason: reasonNotEvaluated, public: reasonNotEvaluated}
	a, err := s.attributes(&r)
	if err != nil {
		return d.refuse(err), err
	}
	var grant uint16
	if a.facts&factGranted != 0 {
		grant = grantGroups(&r)
	}
	d.key, d.grantGroups = a.pack(), grant
	c, err := s.lookup(ctx, a, grant)
	if err != nil {
		return d, err
	}
	d.cell = c
	d.settle()
	return d, nil
}

// Admit decides what can be decided without a record: whether role, purpose and the subject's own state (training, undertaking, account,
// budget, separation of duties) refuse the action on every record alike. Its answer depends on no record, so the door asks it before it
// looks an id up and may answer 403 with the plain reason; a refusal by Decide with MetaDenied is a 404. A Decision that is Allowed here
// opens nothing: its fields are all denied. Request.Record is ignored.
func (e *Engine) Admit(ctx context.Context, r Request) (Decision, error) {
	s := e.snapshot.Load()
	r.Record = favourable
	d := Decision{snap: s, req: r, id: newDecisionID(), reason: reasonNotEvaluated, public: reasonNotEvaluated}
	a, err := s.attributes(&r)
	if err != nil {
		return d.refuse(err), err
	}
	p := s.plans[a.action]
	if p.record {
		a.facts = p.facts[a.purpose]&(factAssigned|factUnit|factCleared|factGranted|factBreakglass) | a.facts&factFit
	}
	d.key = a.pack()
	c, err := s.lookup(ctx, a, 0)
	if err != nil {
		return d, err
	}
	if d.cell = s.admission(c); !d.cell.allow && p.record && a.facts&factAssigned != 0 {
		// Being the assigned officer helps with most things and bars from approving one's own work: a set of roles that is refused
		// as the one may be allowed as the other.
		a.facts &^= factAssigned
		d.key = a.pack()
		if c, err = s.lookup(ctx, a, 0); err != nil {
			return d, err
		}
		d.cell = s.admission(c)
	}
	d.settle()
	return d, nil
}

// favourable is the record that refuses least; Admit asks about it.
var favourable = Record{ID: "any", Level: "general", Stage: "open", Sensitivity: "ordinary"}

// admission keeps of a cell only whether every record refuses: nothing of it opens anything.
func (s *Snapshot) admission(c *cell) *cell {
	out := &cell{allow: true, reason: reasonReleased, obligations: c.obligations, fields: make([]Effect, len(c.fields))}
	if c.allow || !s.meta[c.reason] {
		return out
	}
	out.allow, out.reason, out.reasons = false, c.reason, c.reasons
	return out
}

// lookup gives the cell of a point of the domain, from the cache or from OPA.
func (s *Snapshot) lookup(ctx context.Context, a attributes, grant uint16) (*cell, error) {
	k := cellKey{a.pack(), grant}
	if c := s.cache.get(k); c != nil {
		return c, nil
	}
	c, err := s.evaluate(ctx, a)
	if err != nil {
		return nil, err
	}
	if grant != 0 {
		without := a
		without.facts &^= factGranted
		base, err := s.lookup(ctx, without, 0)
		if err != nil {
			return nil, err
		}
		c = s.narrow(c, base, a, grant)
	}
	s.cache.put(k, c)
	return c, nil
}

// narrow cuts what a grant opens down to the grant's own groups: every other group keeps the effect that it has without the grant.
func (s *Snapshot) narrow(with, without *cell, a attributes, grant uint16) *cell {
	c := *with
	content := false
	for i := range groups {
		if grant&(1<<i) == 0 {
			c.groups[i] = without.groups[i]
		}
		content = content || (i != groupMeta && c.groups[i] == Reveal)
	}
	c.fields = slices.Clone(with.fields)
	for i, g := range s.fieldGroup {
		if g >= 0 && grant&(1<<g) == 0 {
			c.fields[i] = without.fields[i]
		}
	}
	if c.allow && s.plans[a.action].needs == "content" && !content {
		c.allow, c.reason, c.reasons = false, reasonField, []string{reasonField}
	}
	return &c
}

// settle fixes the reasons: what is true, and what may be shown. A cell never holds which of the person's own states made him unfit.
func (d *Decision) settle() {
	d.reason = d.cell.reason
	if d.reason == reasonUnfit {
		d.reason = d.snap.unfitReason(d.req.Subject.Unfit)
	}
	d.public = d.reason
	if d.MetaDenied() {
		d.public = reasonNotFound
	}
}

// unfitReason is the known code of the smallest rank among the subject's own, else "unfit".
func (s *Snapshot) unfitReason(codes []string) string {
	best := reasonUnfit
	for _, c := range codes {
		if rank, ok := s.ranks[c]; ok && s.meta[c] && rank < s.ranks[best] {
			best = c
		}
	}
	return best
}

// Bundle gives the digest (SHA-256, lower-case hex) and the deterministic archive of the active bundle, to be published as
// blob/sha256/<digest>. The archive must not be changed.
func (e *Engine) Bundle() (digest string, archive []byte) {
	s := e.snapshot.Load()
	return s.digest, s.archive
}

// Sequence counts this engine's activations, from 1.
func (e *Engine) Sequence() uint64 { return e.snapshot.Load().sequence }

// Reason explains one reason code.
type Reason struct {
	Code    string `json:"code"`
	Rule    string `json:"rule"`
	Article string `json:"article"`
	// Chinese and English are whole sentences for the person refused (or, for an allow, for the trail).
	Chinese string `json:"zh"`
	English string `json:"en"`
	// Next is the code of the next step; NextChinese and NextEnglish say it.
	Next        string `json:"next"`
	NextChinese string `json:"next_zh"`
	NextEnglish string `json:"next_en"`
}

// Reasons lists every reason code of the active bundle, sorted by code.
func (e *Engine) Reasons() []Reason {
	s := e.snapshot.Load()
	out := make([]Reason, 0, len(s.reasons))
	for _, r := range s.reasons {
		out = append(out, r)
	}
	slices.SortFunc(out, func(a, b Reason) int { return strings.Compare(a.Code, b.Code) })
	return out
}

// Reason looks one code up.
func (e *Engine) Reason(code string) (Reason, bool) {
	r, ok := e.snapshot.Load().reasons[code]
	return r, ok
}
