package verify

import (
	"fmt"
	"time"

	"github.com/sealtrail/sealtrail/audit"
)

// signed is a checkpoint with what its signature lines turned out to be.
type signed struct {
	audit.Checkpoint
	byLog      bool        // signed by the log's key
	seen       []time.Time // by witness of the policy: when it cosigned; zero: it did not
	cosigned   int         // how many did
	unknown    int         // lines by keys that we do not know
	problem    string      // why the log's own signature does not hold
	second     *secondLine // nil: no key for it was given
	witProblem string      // a line that claims a witness's key or name and does not verify
}

// open splits a note and verifies each line against the known keys. The error is about the form of the note only.
func (k *keys) open(msg []byte) (*signed, error) {
	n, err := audit.SplitNote(msg)
	if err != nil {
		return nil, err
	}
	c, err := audit.ParseCheckpoint(n.Text)
	if err != nil {
		return nil, err
	}
	s := &signed{Checkpoint: c, seen: make([]time.Time, len(k.witnesses)), second: k.secondOf(c.Origin)}
	log := k.log(c.Origin)
	for _, sig := range n.Sigs {
		switch {
		case log != nil && sig.KeyID == log.KeyHash() && sig.Name == log.Name():
			if !log.Verify(n.Text, sig.Sig) {
				s.problem = "signature of the log does not verify"
				continue
			}
			s.byLog = true
		case s.second.takes(n.Text, sig):
		default:
			s.witness(k.witnesses, n.Text, sig)
		}
	}
	switch {
	case log == nil:
		s.problem = fmt.Sprintf("no key given for origin %q", c.Origin)
	case !s.byLog && s.problem == "":
		s.problem = "no signature by the log's key"
	}
	return s, nil
}

// witness judges one line that is not the log's. A line that bears a witness's key id under another name is a damaged line,
// not an unknown witness.
func (s *signed) witness(witnesses []audit.PolicyWitness, text []byte, sig audit.NoteSignature) {
	for i := range witnesses {
		w := witnesses[i].Verifier()
		if sig.KeyID != w.KeyHash() {
			continue
		}
		if sig.Name != w.Name() || !w.Verify(text, sig.Sig) {
			s.witProblem = fmt.Sprintf("cosignature of %s does not verify", w.Name())
			return
		}
		if s.seen[i].IsZero() {
			s.cosigned++
		}
		if made := audit.CosignatureTime(sig.Sig); made.After(s.seen[i]) { // asked again for the same checkpoint: the later time counts
			s.seen[i] = made
		}
		return
	}
	for i := range witnesses {
		if name := witnesses[i].Verifier().Name(); sig.Name == name {
			s.witProblem = fmt.Sprintf("line in the name of %s by another key", name)
			return
		}
	}
	s.unknown++
}

// seenAt returns the latest time at or after which a quorum cosigned; ok is false if none did.
func (s *signed) seenAt(policy *audit.WitnessPolicy) (time.Time, bool) {
	return policy.Newest(func(i int) time.Time { return s.seen[i] })
}

// genuine reports whether the log's key signed the checkpoint and no line of the note is damaged.
func (s *signed) genuine() bool {
	return s != nil && s.byLog && s.problem == "" && s.witProblem == "" && !s.second.damaged()
}
