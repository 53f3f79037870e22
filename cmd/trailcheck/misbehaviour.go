package main

import (
	"encoding/hex"
	"fmt"
	"os"
	"slices"
	"time"

	"github.com/sealtrail/sealtrail/audit"
	"github.com/sealtrail/sealtrail/audit/verify"
	"github.com/sealtrail/sealtrail/internal/exitcode"
)

// maxMisbehaviour is the longest misbehaviour file that is read, in bytes: two of the longest notes and a proof.
const maxMisbehaviour = 3_000_000

// explainedMisbehaviour is a misbehaviour file in words, as -o json gives it.
type explainedMisbehaviour struct {
	Kind     audit.MisbehaviourKind `json:"kind"`
	Convicts bool                   `json:"convicts"`
	Reason   string                 `json:"reason"` // stable code; not_checked without a key
	Text     verify.Text            `json:"text"`
	Notes    []explainedNote        `json:"notes"`
	Second   string                 `json:"second_root,omitempty"`
}

// explainedNote is one of the two notes. Its text is the note's own claim unless it is signed.
type explainedNote struct {
	Signed string `json:"signed"` // ok, failed or not_checked
	Origin string `json:"origin,omitempty"`
	Size   uint64 `json:"size"`
	Root   string `json:"root,omitempty"`

	// Cosigned is when somebody who calls itself a witness says to have seen the checkpoint; not verified here.
	Cosigned []time.Time `json:"cosigned,omitempty"`
}

// explainFile is "trailcheck explain FILE": a misbehaviour file in words. Exit code 4 if it convicts the log's key.
func explainFile(c *console, f *flags, name string, keys list) exitcode.Code {
	data, err := readLimited(name, maxMisbehaviour)
	if err != nil {
		return c.fail(err)
	}
	m, err := audit.ParseMisbehaviour(data)
	if err != nil {
		return c.fail(fmt.Errorf("%w: %w", errUsage, err))
	}
	e, err := judgeFile(m, keys)
	if err != nil {
		return c.fail(err)
	}
	if f.output == "json" {
		err = writeJSON(c.out, e)
	} else {
		p := printer{w: c.out, lang: c.lang}
		p.misbehaviour(e)
		err = p.err
	}
	switch {
	case err != nil:
		return c.fail(err)
	case e.Convicts:
		return exitcode.Integrity
	}
	return exitcode.OK
}

func readLimited(name string, limit int64) ([]byte, error) {
	info, err := os.Stat(name)
	if err != nil {
		return nil, err
	}
	if info.Size() > limit {
		return nil, fmt.Errorf("%w: %s is larger than any misbehaviour file", errUsage, name)
	}
	return os.ReadFile(name)
}

// judgeFile judges the file under each key; a key that convicts wins, then one that signed a note.
func judgeFile(m audit.Misbehaviour, keys list) (*explainedMisbehaviour, error) {
	opens, err := openers(keys)
	if err != nil {
		return nil, err
	}
	var best audit.Verdict
	for _, open := range opens {
		v, err := m.Judge(open)
		if err != nil {
			return nil, fmt.Errorf("%w: %w", errUsage, err)
		}
		if best.Reason == "" || v.Convicts || !best.Convicts && best.Reason == audit.ReasonNotSigned && v.Reason != audit.ReasonNotSigned {
			best = v
		}
	}
	e := &explainedMisbehaviour{Kind: m.Kind, Convicts: best.Convicts, Reason: best.Reason}
	if len(opens) == 0 {
		e.Reason = string(verify.NotChecked)
	}
	e.Notes = []explainedNote{noteOf(m.A, best.SignedA, len(opens) > 0), noteOf(m.B, best.SignedB, len(opens) > 0)}
	if e.Convicts {
		e.Second = hex.EncodeToString(best.Second[:])
	}
	e.Text = said(e.Reason)
	return e, nil
}

func openers(keys list) (out []func([]byte) (audit.Checkpoint, error), err error) {
	for _, k := range keys {
		text, err := keyText(k)
		if err != nil {
			return nil, err
		}
		for _, line := range splitLines(text) {
			open, err := audit.LogVerifier(line)
			if err != nil {
				return nil, fmt.Errorf("%w: %w", errUsage, err)
			}
			out = append(out, open)
		}
	}
	return out, nil
}

// noteOf says what a note claims.
func noteOf(raw []byte, signed, checked bool) explainedNote {
	n := explainedNote{Signed: string(verify.NotChecked)}
	if checked {
		if n.Signed = string(verify.Failed); signed {
			n.Signed = string(verify.OK)
		}
	}
	text := raw
	if s, err := audit.SplitNote(raw); err == nil {
		text = s.Text
		for _, sig := range s.Sigs {
			if len(sig.Sig) == 8+64 { // cosignature/v1: a time and an Ed25519 signature
				n.Cosigned = append(n.Cosigned, audit.CosignatureTime(sig.Sig))
			}
		}
		slices.SortFunc(n.Cosigned, time.Time.Compare)
	}
	if c, err := audit.ParseCheckpoint(text); err == nil {
		n.Origin, n.Size, n.Root = c.Origin, c.Size, hex.EncodeToString(c.Root[:])
	}
	return n
}

// said is what a verdict means, for a person.
func said(reason string) verify.Text {
	switch reason {
	case audit.ReasonTwoRoots:
		return verify.Text{EN: "the log's key signed two different roots for one size: two histories were shown. This cannot happen by accident and does not go away",
			ZH: "日志密钥为同一规模签署了两个不同的根哈希:曾出示两份历史。此事不可能出于偶然,也无法撤销"}
	case audit.ReasonOtherPrefix:
		return verify.Text{EN: "the log's key signed a larger tree that does not begin with the smaller one: entries that somebody had seen were changed or removed",
			ZH: "日志密钥签署的较大的树并不以较小的树开头:他人已见过的记录被改动或移除"}
	case audit.ReasonNotSigned:
		return verify.Text{EN: "it convicts nobody: not both notes are signed by the given key", ZH: "不能定责:两份检查点并非均由所给公钥签名"}
	case audit.ReasonOtherLog:
		return verify.Text{EN: "it convicts nobody: the notes are of two logs", ZH: "不能定责:两份检查点属于不同日志"}
	case audit.ReasonSameRoot:
		return verify.Text{EN: "it convicts nobody: both notes say the same", ZH: "不能定责:两份检查点内容相同"}
	case audit.ReasonWrongKind:
		return verify.Text{EN: "it convicts nobody: the sizes do not fit what the file says it is", ZH: "不能定责:两个规模与文件自称的类型不符"}
	case audit.ReasonNoProof:
		return verify.Text{EN: "it convicts nobody: it holds no proof that the larger tree begins with another one. Ask the log's keeper for the consistency proof",
			ZH: "不能定责:未附较大的树以另一棵树开头的证明。请向日志保管方索取一致性证明"}
	case audit.ReasonBadProof:
		return verify.Text{EN: "it convicts nobody: its proof does not hold", ZH: "不能定责:所附证明不成立"}
	case audit.ReasonConsistent:
		return verify.Text{EN: "it convicts nobody: the larger tree does extend the smaller one", ZH: "不能定责:较大的树确为较小的树的延续"}
	case audit.ReasonBothPossible:
		return verify.Text{EN: "it convicts nobody by itself: a log had every smaller size before a larger one. Whoever was shown the smaller one later was shown an old state: ask the log's keeper why",
			ZH: "单凭此文件不能定责:日志总是先有较小规模后有较大规模。若较小者出示在后,则所示为旧状态:请向日志保管方查问"}
	}
	return verify.Text{EN: "not checked: no --key. What the notes say is their own claim", ZH: "未检查:未给 --key。检查点所述仅为其自称"}
}

func (p *printer) misbehaviour(e *explainedMisbehaviour) {
	p.line("%s %s", p.say("misbehaviour file of kind", "异常行为文件,类型"), e.Kind)
	for i, n := range e.Notes {
		sign := p.say("signature not checked", "签名未检查")
		switch n.Signed {
		case string(verify.OK):
			sign = p.say("signed by the given key", "由所给公钥签名")
		case string(verify.Failed):
			sign = p.say("NOT signed by the given key", "并非由所给公钥签名")
		}
		p.line("  %c  %s %q, %s %d: %s", 'A'+i, p.say("log", "日志"), n.Origin, p.say("size", "规模"), n.Size, sign)
		p.line("     %s", n.Root)
		for _, at := range n.Cosigned {
			p.line("     %s %s", p.say("a witness line claims to have seen it at (not verified here)", "见证方签名行自称所见时间(此处未验证)"), at.Format(time.RFC3339))
		}
	}
	mark := "–"
	if e.Convicts {
		mark = "✗"
	}
	p.line("%s %s", mark, e.Text.In(p.lang))
	if e.Convicts {
		p.line("%s", p.say("next: keep this file and the key where the log's operators cannot reach them, and hand both to audit and supervision",
			"下一步:将此文件与公钥存放于日志运维人员无法触及之处,并一并移交审计与监管部门"))
	}
}
