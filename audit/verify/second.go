package verify

import (
	"time"

	"github.com/sealtrail/sealtrail/audit"
)

// secondLine is what became of the second signature line of one checkpoint. A nil one is of a log for which no key was given: its
// line then counts among those by unknown keys.
type secondLine struct {
	keys []*audit.SecondVerifier // of the log
	made time.Time               // when the newest line that verifies was made, as it says; zero: there is none
	bad  bool                    // a line by one of the keys does not verify
}

// secondOf returns nil if no key of that log was given.
func (k *keys) secondOf(origin string) *secondLine {
	var l secondLine
	for _, v := range k.second {
		if v.Name() == origin {
			l.keys = append(l.keys, v)
		}
	}
	if l.keys == nil {
		return nil
	}
	return &l
}

// takes judges a line that bears the key id of a second key, under whatever name, and reports whether it was one.
func (l *secondLine) takes(text []byte, sig audit.NoteSignature) bool {
	if l == nil {
		return false
	}
	for _, v := range l.keys {
		if sig.KeyID != v.KeyHash() {
			continue
		}
		if sig.Name != v.Name() || !v.Verify(text, sig.Sig) {
			l.bad = true
		} else if made := audit.CosignatureTime(sig.Sig); made.After(l.made) {
			l.made = made
		}
		return true
	}
	return false
}

func (l *secondLine) damaged() bool { return l != nil && l.bad }

// damagedSecond finds a second line that does not verify.
func (w *walker) damagedSecond(s *signed, step int, path string) {
	if s.second.damaged() {
		w.rep.find(step, Finding{Code: "second_signature", Path: path,
			Text: say("the second signature (ML-DSA-44) does not verify", "第二签名(ML-DSA-44)不成立")})
	}
}

// closeSecond says of the checkpoint that is verified against whether it bears the second line: step 1.
func (w *walker) closeSecond() {
	l := w.head.second
	switch {
	case len(w.keys.second) == 0:
	case l == nil:
		w.rep.note(StepSignature, say("not checked: no second key was given for this log", "未检查:未提供此日志的第二公钥"))
	case l.made.IsZero() && !l.bad:
		w.rep.find(StepSignature, Finding{Code: "second_signature", Path: audit.CheckpointPath,
			Text: say("no second signature (ML-DSA-44) by the given key", "没有所给公钥的第二签名(ML-DSA-44)")})
	case !l.bad && w.rep.Steps[StepSignature-1].Status != Failed: // of a damaged file, a stored one takes its place
		w.rep.note(StepSignature, say("the second signature (ML-DSA-44) verifies; made, as it says, at %s", "第二签名(ML-DSA-44)成立;其自述时间 %s", l.made.Format(stamp)))
	}
}
