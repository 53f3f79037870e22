package verify

import (
	"cmp"
	"fmt"
	"slices"
	"time"
)

// Status is what became of a step.
type Status string

// The three states of a step. NotChecked is no praise: nothing was found because nothing could be looked at.
const (
	OK         Status = "ok"
	Failed     Status = "failed"
	NotChecked Status = "not_checked"
)

// The steps of a verification, in their order.
const (
	StepSignature   = 1 + iota // the checkpoint is signed by the pinned key
	StepWitnesses              // enough witnesses cosigned it
	StepPinned                 // the log still holds what an earlier checkpoint saw
	StepTree                   // every entry hashed again, root and tiles recomputed
	StepEntries                // every entry canonical, of the schema, in its place
	StepTrails                 // every subject's trail without gap
	StepBlobs                  // what entries name by digest is there
	StepCheckpoints            // every stored checkpoint agrees with the tree
	StepLimits                 // what no check of these files can show
	steps           = StepLimits
)

// Text is one sentence in English and in Chinese.
type Text struct {
	EN string `json:"en"`
	ZH string `json:"zh"`
}

// In returns the sentence in "zh" or, for any other language, English.
func (t Text) In(lang string) string {
	if lang == "zh" {
		return t.ZH
	}
	return t.EN
}

// say formats the same values in both languages.
func say(en, zh string, args ...any) Text {
	if len(args) == 0 {
		return Text{EN: en, ZH: zh}
	}
	return Text{EN: fmt.Sprintf(en, args...), ZH: fmt.Sprintf(zh, args...)}
}

// Finding is one thing that is not as it must be.
type Finding struct {
	Code string  `json:"code"`           // stable, snake_case
	Path string  `json:"path,omitempty"` // file within the log folder
	From *uint64 `json:"from,omitempty"` // first entry concerned, by index
	To   *uint64 `json:"to,omitempty"`   // last entry concerned
	Want string  `json:"want,omitempty"` // what somebody signed or stored, hex
	Got  string  `json:"got,omitempty"`  // what the entries give, hex
	Text Text    `json:"text"`
}

// Step is one numbered step of the report.
type Step struct {
	Number   int       `json:"number"`
	Name     string    `json:"name"` // stable, snake_case
	Status   Status    `json:"status"`
	Text     Text      `json:"text"`
	Notes    []Text    `json:"notes,omitempty"`    // what the status alone does not say
	Findings []Finding `json:"findings,omitempty"` // the first maxFindings
	More     int       `json:"more,omitempty"`     // findings beyond those
}

// maxFindings bounds the findings that a step keeps: a rewritten log has as many as it has entries.
const maxFindings = 20

// Counts says how much was looked at.
type Counts struct {
	Entries      uint64 `json:"entries"`       // hashed from their bytes
	Intents      uint64 `json:"intents"`       //
	Outcomes     uint64 `json:"outcomes"`      //
	OpenRequests uint64 `json:"open_requests"` // requests with an intent and no outcome
	Trails       uint64 `json:"trails"`        // subjects
	Blobs        int    `json:"blobs"`
	Checkpoints  int    `json:"checkpoints"`
	Cosigned     uint64 `json:"cosigned"` // size up to which enough witnesses vouch

	// CosignedAt is when they did: the time that the witness signed (with a quorum, when the last one of it did or later), in
	// UTC; zero and left out if nothing is cosigned.
	CosignedAt time.Time `json:"cosigned_at,omitzero"`
}

// Report is the result of one verification. Its figures and any fold over its entries count only if [Report.OK].
type Report struct {
	Folder    string `json:"folder,omitempty"`
	Origin    string `json:"origin"`
	Size      uint64 `json:"size"`
	Root      string `json:"root"` // hex, as signed
	Simulated bool   `json:"simulated"`
	Counts    Counts `json:"counts"`
	Steps     []Step `json:"steps"`

	heads Step // see HeadsStep
}

// OK reports whether no step failed. Steps that were not checked do not count against it: look at [Report.Unchecked].
func (r *Report) OK() bool {
	if r.heads.Status == Failed {
		return false
	}
	for _, s := range r.Steps {
		if s.Status == Failed {
			return false
		}
	}
	return true
}

// Unchecked returns the steps that had nothing to work with, step 9 (which never has) left out.
func (r *Report) Unchecked() []Step {
	var out []Step
	for _, s := range r.Steps {
		if s.Status == NotChecked && s.Number != StepLimits {
			out = append(out, s)
		}
	}
	return out
}

// Step returns the step of that number (StepSignature...), nil if there is none.
func (r *Report) Step(number int) *Step {
	if number < 1 || number > len(r.Steps) {
		return nil
	}
	return &r.Steps[number-1]
}

// FirstFinding returns the first finding of the lowest failed step, and the step; nil if none.
func (r *Report) FirstFinding() (*Step, *Finding) {
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
		text Text
	}{
		{"checkpoint_signature", say("checkpoint signed by the pinned key", "检查点由指定公钥签名")},
		{"witnesses", say("witness cosignatures", "见证方联署")},
		{"pinned_checkpoint", say("consistent with the earlier checkpoint", "与先前保存的检查点一致")},
		{"tree", say("entries hashed again, tree and tiles recomputed", "逐条重新计算哈希,重建默克尔树并比对")},
		{"entries", say("entries canonical, complete and in order", "每条记录格式规范、序号连续、时间有序")},
		{"trails", say("every trail without gap", "每条处理轨迹连续无缺")},
		{"blobs", say("files named by entries present and unchanged", "记录所引用的文件存在且未变")},
		{"checkpoints", say("every stored checkpoint agrees", "已存的全部检查点相互一致")},
		{"limits", say("what these files cannot show", "这些文件无法证明的事项")},
	}
	r := &Report{Steps: make([]Step, steps)}
	for i, n := range names {
		r.Steps[i] = Step{Number: i + 1, Name: n.name, Status: NotChecked, Text: n.text}
	}
	return r
}

// ok marks a step as passed unless it has failed.
func (r *Report) ok(number int) {
	if s := &r.Steps[number-1]; s.Status != Failed {
		s.Status = OK
	}
}

func (r *Report) note(number int, t Text) {
	s := &r.Steps[number-1]
	s.Notes = append(s.Notes, t)
}

func (r *Report) find(number int, f Finding) {
	s := &r.Steps[number-1]
	s.Status = Failed
	if len(s.Findings) == maxFindings {
		s.More++
		return
	}
	s.Findings = append(s.Findings, f)
}

// at returns the From and To of a finding about one entry.
func at(index uint64) *uint64 { return &index }

// sort orders a step's findings by the entry they begin with, those without entry last: a wrong length shows first at the entry
// behind it.
func (r *Report) sort(number int) {
	slices.SortStableFunc(r.Steps[number-1].Findings, func(a, b Finding) int {
		if a.From == nil || b.From == nil {
			return cmp.Compare(boolToInt(a.From == nil), boolToInt(b.From == nil))
		}
		return cmp.Compare(*a.From, *b.From)
	})
}

func boolToInt(b bool) int {
	if b {
		return 1
	}
	return 0
}
