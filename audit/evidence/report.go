package evidence

import (
	"fmt"
	"time"

	"github.com/sealtrail/sealtrail/audit/verify"
)

// The steps of a verification, in their order.
const (
	StepFormat = 1 + iota
	StepSignature
	StepWitnesses
	StepPinned
	StepEntries
	StepTrail
	StepComplete
	StepOpenings
	StepPolicy
	StepBlobs
	StepStamps
	StepLimits
	steps = StepLimits
)

// Report is the result of a verification.
type Report struct {
	OK      bool          `json:"ok"` // no step failed; say also what was not checked
	Scope   string        `json:"scope,omitempty"`
	Subject string        `json:"subject,omitempty"`
	Result  []verify.Text `json:"result,omitempty"` // what follows if the report is OK and the signature was checked
	Opened  []Opener      `json:"opened,omitempty"` // who opened the record
	Page    string        `json:"page,omitempty"`   // SHA-256 of the page inside
	Steps   []verify.Step `json:"steps"`
	States  map[State]int `json:"states,omitempty"` // openings by state
}

// Opener is an entry by which somebody opened the record.
type Opener struct {
	Place
	Alias string    `json:"alias"`
	Name  string    `json:"name,omitempty"` // as the service says
	Roles []string  `json:"roles,omitempty"`
	At    time.Time `json:"at"`
	Kind  string    `json:"kind"`
}

// Unchecked returns the steps that had nothing to work with, the last (which never has) left out.
func (r *Report) Unchecked() (out []verify.Step) {
	for _, s := range r.Steps {
		if s.Status == verify.NotChecked && s.Number != StepLimits {
			out = append(out, s)
		}
	}
	return out
}

// First returns the first finding and its step; nil if there is none.
func (r *Report) First() (*verify.Step, *verify.Finding) {
	for i := range r.Steps {
		if s := &r.Steps[i]; len(s.Findings) > 0 {
			return s, &s.Findings[0]
		}
	}
	return nil, nil
}

func newReport() *Report {
	names := [steps]struct {
		name string
		text verify.Text
	}{
		{"format", say("the file is of the form of an evidence bundle", "文件符合证据包格式")},
		{"checkpoint_signature", say("checkpoint signed by the key that you brought", "检查点由您提供的公钥签名")},
		{"witnesses", say("witness cosignatures", "见证方联署")},
		{"pinned_checkpoint", say("consistent with the checkpoint that you kept", "与您先前保存的检查点一致")},
		{"entries", say("every entry hashed again and found in the signed tree", "逐条重新计算哈希,并确认包含于签名的默克尔树")},
		{"trail", say("the trail without gap", "处理轨迹连续无缺")},
		{"complete", say("these entries and no others", "仅有这些记录,别无其他")},
		{"openings", say("opened, withheld and erased values", "已开启、未提供与已删除的内容")},
		{"policy", say("the policy bundle named was the active one", "所引策略包为当时生效者")},
		{"blobs", say("files named by entries", "记录所引用的文件")},
		{"stamps", say("time stamps", "时间戳")},
		{"limits", say("what was not checked", "未检查的事项")},
	}
	r := &Report{OK: true, Steps: make([]verify.Step, steps)}
	for i, n := range names {
		r.Steps[i] = verify.Step{Number: i + 1, Name: n.name, Status: verify.NotChecked, Text: n.text}
	}
	return r
}

func say(en, zh string, args ...any) verify.Text {
	if len(args) == 0 {
		return verify.Text{EN: en, ZH: zh}
	}
	return verify.Text{EN: fmt.Sprintf(en, args...), ZH: fmt.Sprintf(zh, args...)}
}

// maxFindings bounds the findings that a step keeps.
const maxFindings = 20

// what a finding is about, besides its code.
type about struct {
	path      string
	place     *Place
	want, got string
}

func (r *Report) find(step int, code string, a about) {
	s := &r.Steps[step-1]
	s.Status, r.OK = verify.Failed, false
	if len(s.Findings) == maxFindings {
		s.More++
		return
	}
	f := verify.Finding{Code: code, Path: a.path, Want: a.want, Got: a.got, Text: CodeText(code)}
	if a.place != nil {
		index := a.place.Index
		f.From, f.To = &index, &index
	}
	s.Findings = append(s.Findings, f)
}

func (r *Report) ok(step int) {
	if s := &r.Steps[step-1]; s.Status != verify.Failed {
		s.Status = verify.OK
	}
}

func (r *Report) failed(step int) bool { return r.Steps[step-1].Status == verify.Failed }

func (r *Report) note(step int, en, zh string, args ...any) {
	r.add(step, say(en, zh, args...))
}

func (r *Report) add(step int, t verify.Text) {
	s := &r.Steps[step-1]
	s.Notes = append(s.Notes, t)
}
