package verify

import (
	"fmt"
	"slices"
	"time"

	"golang.org/x/mod/sumdb/note"

	"github.com/sealtrail/sealtrail/audit"
)

// signed is a checkpoint with what its signature lines turned out to be.
type signed struct {
	audit.Checkpoint
	byLog      bool     // signed by the log's key
	cosigned   []string // names of the witnesses whose cosignature holds
	times      []time.Time
	unknown    int    // lines by keys that we do not know
	problem    string // why the log's own signature does not hold
	witProblem string // a line that claims a witness's key or name and does not verify
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
	s := &signed{Checkpoint: c}
	log := k.log(c.Origin)
	for _, sig := range n.Sigs {
		switch {
		case log != nil && sig.KeyID == log.KeyHash() && sig.Name == log.Name():
			if !log.Verify(n.Text, sig.Sig) {
				s.problem = "signature of the log does not verify"
				continue
			}
			s.byLog = true
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
func (s *signed) witness(witnesses []note.Verifier, text []byte, sig audit.NoteSignature) {
	for _, w := range witnesses {
		if sig.KeyID != w.KeyHash() {
			continue
		}
		if sig.Name != w.Name() || !w.Verify(text, sig.Sig) {
			s.witProblem = fmt.Sprintf("cosignature of %s does not verify", w.Name())
			return
		}
		made := audit.CosignatureTime(sig.Sig)
		if i := slices.Index(s.cosigned, sig.Name); i >= 0 { // asked again for the same checkpoint: the later time counts
			if made.After(s.times[i]) {
				s.times[i] = made
			}
			return
		}
		s.cosigned, s.times = append(s.cosigned, sig.Name), append(s.times, made)
		return
	}
	for _, w := range witnesses {
		if sig.Name == w.Name() {
			s.witProblem = fmt.Sprintf("line in the name of %s by another key", w.Name())
			return
		}
	}
	s.unknown++
}

// seenAt returns the time at which or after which quorum of the witnesses cosigned; there are at least so many.
func (s *signed) seenAt(quorum int) time.Time {
	times := slices.SortedFunc(slices.Values(s.times), func(a, b time.Time) int { return b.Compare(a) })
	return times[max(quorum, 1)-1]
}

// genuine reports whether the log's key signed the checkpoint and no line of the note is damaged.
func (s *signed) genuine() bool { return s != nil && s.byLog && s.problem == "" && s.witProblem == "" }
