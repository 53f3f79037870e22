package publish

import (
	"context"
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/sealtrail/sealtrail/audit"
)

// Defaults of Watch.
const (
	// DefaultStale is long enough for a witness to be restarted, and short beside the working day in which a split view pays.
	DefaultStale = 15 * time.Minute
	// refreshShare: a log that does not grow is cosigned again after this part of Stale, so that silence of the log does not look
	// like silence of the witnesses.
	refreshShare = 3
)

// Kinds of Alarm about witnesses, beside AlarmWitness.
const (
	AlarmWitnessStale = "witness_stale" // a witness, or (Witness "") the quorum, has said nothing for longer than Watch.Stale
	AlarmWitnessBack  = "witness_back"  // and says something again; no alarm, but the end of one
	AlarmSplit        = "split"         // the log's key signed another history than ours; a misbehaviour file is in evidence/
)

// Watch says when witnesses count as silent and what follows.
type Watch struct {
	// Policy says which witnesses make a quorum; its keys are those of Config.Witnesses. nil = RequireWitnesses of them, at least
	// one.
	Policy *audit.WitnessPolicy
	Stale  time.Duration // 0 = DefaultStale
	// MaxAge, if not 0, is how old the quorum's newest cosignature may become before nothing more is published; nothing is either
	// before there is one. 0 = witnesses never stop the log: else whoever stops the witnesses stops the log.
	MaxAge time.Duration
	Now    func() time.Time // nil = time.Now
}

// WitnessStatus is how far a witness follows.
type WitnessStatus struct {
	Name     string
	Size     uint64    // of the checkpoint that it cosigned last, as far as this process knows
	At       time.Time // of its newest cosignature, by its own clock but never in our future; zero: none known
	Heard    time.Time // when it last cosigned, by our clock; zero: not in this process
	Failures int       // in a row
	Stale    bool
}

// Witnessed is what a Publisher knows about its witnesses.
type Witnessed struct {
	Witnesses []WitnessStatus // in the order of Config.Witnesses
	QuorumAt  time.Time       // the latest moment at or after which a quorum cosigned; zero: none did
	Stale     bool            // that is longer ago than Watch.Stale
}

// watched is a Publisher's own part of the above; it belongs to the round.
type watched struct {
	policy *audit.WitnessPolicy
	index  []int     // position in policy of each of Config.Witnesses
	since  time.Time // from when silence counts
	stale  bool      // of the quorum, and the alarm was raised
	known  bool      // the published checkpoint was read for cosignatures
}

// Witnessed is safe to call at any time.
func (p *Publisher) Witnessed() Witnessed {
	p.mu.Lock()
	defer p.mu.Unlock()
	w := p.witnessed
	w.Witnesses = slices.Clone(w.Witnesses)
	return w
}

func (p *Publisher) now() time.Time {
	if p.cfg.Watch.Now != nil {
		return p.cfg.Watch.Now()
	}
	return time.Now()
}

// prepareWatch finds each witness in the policy.
func (p *Publisher) prepareWatch() (err error) {
	if p.cfg.Watch.Stale == 0 {
		p.cfg.Watch.Stale = DefaultStale
	}
	p.watch.policy, p.watch.since = p.cfg.Watch.Policy, p.now()
	keys := make([]string, len(p.cfg.Witnesses))
	for i, w := range p.cfg.Witnesses {
		keys[i] = w.VerifierKey()
	}
	if p.watch.policy == nil {
		k := min(max(1, p.cfg.RequireWitnesses), len(keys))
		if p.watch.policy, err = audit.NewWitnessPolicy(k, keys...); err != nil {
			return fmt.Errorf("publish: %w", err)
		}
	}
	listed := p.watch.policy.Witnesses()
	for i, w := range p.cfg.Witnesses {
		v, err := audit.NewCosignatureVerifier(keys[i])
		if err != nil {
			return fmt.Errorf("publish: witness %s: %w", w.Name(), err)
		}
		at := slices.IndexFunc(listed, func(l audit.PolicyWitness) bool {
			return l.Verifier().Name() == v.Name() && l.Verifier().KeyHash() == v.KeyHash()
		})
		if at < 0 {
			return fmt.Errorf("publish: witness %s is not in the policy", w.Name())
		}
		p.watch.index = append(p.watch.index, at)
	}
	return nil
}

// quorumAt is when a quorum cosigned last.
func (p *Publisher) quorumAt() (time.Time, bool) {
	return p.watch.policy.Newest(func(i int) time.Time {
		if at := slices.Index(p.watch.index, i); at >= 0 {
			return p.stateOf(p.cfg.Witnesses[at]).at
		}
		return time.Time{}
	})
}

// tooOld reports whether Watch.MaxAge forbids to publish without a new quorum.
func (p *Publisher) tooOld() bool {
	if p.cfg.Watch.MaxAge == 0 || !p.watch.policy.NeedsWitnesses() {
		return false
	}
	at, ok := p.quorumAt()
	return !ok || p.now().Sub(at) > p.cfg.Watch.MaxAge // unknown is too old: a restart gives no grace
}

// quorum reports whether the witnesses that cosigned make the quorum.
func (p *Publisher) quorum(cosigned []bool) bool {
	return p.watch.policy.Quorum(func(i int) bool {
		at := slices.Index(p.watch.index, i)
		return at >= 0 && cosigned[at]
	})
}

// noteCosignatures takes up the time of each cosignature of a note, and the size that it says.
func (p *Publisher) noteCosignatures(note []byte, heard bool) {
	n, err := audit.SplitNote(note)
	if err != nil {
		return
	}
	c, err := audit.ParseCheckpoint(n.Text)
	if err != nil {
		return
	}
	now := p.now()
	for i, w := range p.cfg.Witnesses {
		v, state := p.watch.policy.Witnesses()[p.watch.index[i]].Verifier(), p.stateOf(w)
		for _, sig := range n.Sigs {
			if sig.Name != v.Name() || sig.KeyID != v.KeyHash() || !v.Verify(n.Text, sig.Sig) {
				continue
			}
			if at := audit.CosignatureTime(sig.Sig); at.After(now) {
				state.at = now // a clock that is ahead must not vouch for the future
			} else if at.After(state.at) {
				state.at = at
			}
			state.cosigned = max(state.cosigned, c.Size)
			if heard {
				state.heard = now
			}
		}
	}
}

// learn reads once when the witnesses cosigned what is published, so that a restart does not forget how old that is.
func (p *Publisher) learn(ctx context.Context) {
	if p.watch.known || len(p.cfg.Witnesses) == 0 {
		return
	}
	if raw, err := p.cfg.Store.Get(ctx, audit.CheckpointPath); err == nil {
		p.noteCosignatures(raw, false)
		p.watch.known = true
	}
}

// lookAtWitnesses raises and ends the alarms of silence and keeps the status.
func (p *Publisher) lookAtWitnesses(ctx context.Context) {
	if len(p.cfg.Witnesses) == 0 {
		return
	}
	now, limit := p.now(), p.cfg.Watch.Stale
	report := Witnessed{Witnesses: make([]WitnessStatus, len(p.cfg.Witnesses))}
	for i, w := range p.cfg.Witnesses {
		s := p.stateOf(w)
		from := s.heard
		if from.IsZero() {
			from = p.watch.since
		}
		p.silence(ctx, &s.stale, Alarm{Witness: w.Name(), Size: s.cosigned, Age: now.Sub(from)}, limit)
		report.Witnesses[i] = WitnessStatus{Name: w.Name(), Size: s.cosigned, At: s.at, Heard: s.heard, Failures: s.failures, Stale: s.stale}
	}
	if p.watch.policy.NeedsWitnesses() {
		at, ok := p.quorumAt()
		if report.QuorumAt = at; !ok {
			at = p.watch.since
		}
		p.silence(ctx, &p.watch.stale, Alarm{Size: p.Status().Size, Age: now.Sub(at)}, limit)
		report.Stale = p.watch.stale
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.witnessed = report
}

// silence raises the alarm when it begins and ends it when it is over.
func (p *Publisher) silence(ctx context.Context, stale *bool, a Alarm, limit time.Duration) {
	if (a.Age > limit) == *stale {
		return
	}
	*stale = !*stale
	who := a.Witness
	if who == "" {
		who = "the quorum"
	}
	if a.Kind = AlarmWitnessBack; *stale {
		a.Kind, a.Err = AlarmWitnessStale, fmt.Errorf("%s has cosigned nothing for %s: %w", who, a.Age.Round(time.Second), ErrWitnesses)
	}
	p.alarm(ctx, a)
}

// refresh asks for cosignatures of what is published already: of witnesses that were away when it was, and of all when the log has
// not grown for a while.
// crash here: the published checkpoint, with or without the new lines.
func (p *Publisher) refresh(ctx context.Context, last audit.Checkpoint) error {
	if len(p.cfg.Witnesses) == 0 || last.Size == 0 {
		return nil
	}
	p.learn(ctx)
	defer p.lookAtWitnesses(ctx)
	now, due := p.now(), false
	skip := make([]bool, len(p.cfg.Witnesses))
	for i, w := range p.cfg.Witnesses {
		s := p.stateOf(w)
		asked := s.heard // not by its clock: one that is behind would be asked in every round
		if asked.IsZero() {
			asked = s.at
		}
		skip[i] = time.Now().Before(s.notUntil) || s.cosigned >= last.Size && now.Sub(asked) < p.cfg.Watch.Stale/refreshShare
		due = due || !skip[i]
	}
	if !due {
		return nil
	}
	raw, err := p.cfg.Store.Get(ctx, audit.CheckpointPath)
	if err != nil {
		return err
	}
	lines, cosigned, n := p.askAll(ctx, cosignRequest{signed: p.withoutLines(raw), c: last}, skip)
	if n == 0 {
		return nil
	}
	if err := p.stop(ctx, StepAskedAgain); err != nil {
		return err
	}
	merged, err := mergeLines(raw, lines, p.cosigners(cosigned))
	if err != nil {
		return err
	}
	merged = p.withSecond(ctx, merged, last)
	if err := p.overtaken(ctx, last); err != nil {
		return err
	}
	p.shown = nil
	if err := p.put(ctx, StepRefreshed, audit.CheckpointPath, merged); err != nil {
		return err
	}
	p.shown = merged
	p.noteCosignatures(merged, true)
	p.mu.Lock()
	defer p.mu.Unlock()
	p.status.Cosignatures = max(p.status.Cosignatures, n)
	return nil
}

func (p *Publisher) cosigners(cosigned []bool) (names []string) {
	for i, w := range p.cfg.Witnesses {
		if cosigned[i] {
			names = append(names, w.Name())
		}
	}
	return names
}

// withoutLines is the note with the log's own signature lines alone, without the second one: what a witness is asked to cosign.
func (p *Publisher) withoutLines(note []byte) []byte {
	return keepLines(note, func(name string, id uint32) bool {
		return name == p.shard.Origin && (p.second.verifier == nil || id != p.second.verifier.KeyHash())
	})
}

// mergeLines puts new cosignature lines in the place of older ones of the same witnesses.
func mergeLines(note, fresh []byte, names []string) ([]byte, error) {
	out := append(keepLines(note, func(name string, _ uint32) bool { return !slices.Contains(names, name) }), fresh...)
	if _, err := audit.SplitNote(out); err != nil {
		return nil, fmt.Errorf("adding cosignatures: %w", err)
	}
	return out, nil
}

// keepLines keeps the signature lines that are wanted, by name and key id; of a line that is none the key id is 0.
func keepLines(note []byte, want func(name string, id uint32) bool) []byte {
	text, sigs, _ := strings.Cut(string(note), "\n\n")
	out := text + "\n\n"
	for line := range strings.Lines(sigs) {
		name, sig, _ := strings.Cut(strings.TrimPrefix(line, "\u2014 "), " ")
		var id uint32
		if raw, err := base64.StdEncoding.DecodeString(strings.TrimSuffix(sig, "\n")); err == nil && len(raw) >= 4 {
			id = binary.BigEndian.Uint32(raw)
		}
		if want(name, id) {
			out += line
		}
	}
	return []byte(out)
}

// examine looks why a witness refused: if the log's key signed another history than ours, the two notes are kept as a misbehaviour
// file. What the witness says is believed only as far as the log's own signature carries it.
func (p *Publisher) examine(ctx context.Context, w Witness, r cosignRequest) {
	old, ok := w.(Rememberer)
	if !ok {
		return
	}
	ctx, cancel := context.WithTimeout(ctx, p.cfg.WitnessDeadline)
	defer cancel()
	raw, err := old.Last(ctx, p.shard.Origin)
	if err != nil {
		return
	}
	theirs, err := openCheckpoint(raw, p.verifier, p.shard.Origin)
	if err != nil {
		return
	}
	m, err := p.contradiction(ctx, theirs, raw, r)
	if err == nil && m == nil {
		return
	}
	if err == nil {
		err = p.keepSplit(ctx, w, theirs, *m)
	}
	if err != nil {
		p.alarm(ctx, Alarm{Kind: AlarmPublish, Err: fmt.Errorf("looking at what witness %s cosigned: %w", w.Name(), err)})
	}
}

// contradiction returns what convicts or at least accuses, nil if theirs is a part of ours or cannot be compared yet.
func (p *Publisher) contradiction(ctx context.Context, theirs audit.Checkpoint, raw []byte, r cosignRequest) (*audit.Misbehaviour, error) {
	switch {
	case theirs.Size == r.c.Size && theirs.Root != r.c.Root:
		return &audit.Misbehaviour{Kind: audit.TwoRoots, A: raw, B: r.signed}, nil
	case theirs.Size == r.c.Size || theirs.Size == 0:
		return nil, nil
	case theirs.Size < r.c.Size:
		root, err := audit.RootAt(theirs.Size, r.c.Size, p.reader(ctx))
		if err != nil || root == theirs.Root {
			return nil, err
		}
		proof, err := audit.ConsistencyProof(theirs.Size, r.c.Size, p.reader(ctx))
		if err != nil {
			return nil, err
		}
		return &audit.Misbehaviour{Kind: audit.NotConsistent, A: raw, B: r.signed, Proof: append([][]byte{root[:]}, proof...)}, nil
	}
	head, err := p.cfg.Source.Head(ctx) // another process of ours may have published meanwhile
	if err != nil || head.Size >= theirs.Size {
		return nil, err
	}
	return &audit.Misbehaviour{Kind: audit.WentBehind, A: raw, B: r.signed}, nil
}

func (p *Publisher) keepSplit(ctx context.Context, w Witness, theirs audit.Checkpoint, m audit.Misbehaviour) error {
	state := p.stateOf(w)
	seen := sha256.Sum256(append([]byte(m.Kind), m.A...))
	if state.split == seen {
		return nil // said already
	}
	file := m.Marshal()
	sum := sha256.Sum256(file)
	if err := p.cfg.Store.Put(ctx, fmt.Sprintf("evidence/split-%d-%x.txt", theirs.Size, sum[:6]), file); err != nil {
		return err
	}
	state.split = seen
	p.alarm(ctx, Alarm{Kind: AlarmSplit, Witness: w.Name(), Size: theirs.Size, SHA256: hex.EncodeToString(sum[:]),
		Err: fmt.Errorf("the log's key signed another history, shown by witness %s (%s)", w.Name(), m.Kind)})
	return nil
}

// refused reports whether a witness answered, and not with a cosignature.
func refused(err error) bool {
	var stale *StaleError
	return errors.Is(err, ErrRefused) || errors.As(err, &stale)
}
