package inforce

import (
	"fmt"
	"io/fs"
	"maps"
	"slices"
	"strings"

	"github.com/sealtrail/sealtrail/audit"
	"github.com/sealtrail/sealtrail/audit/verify"
)

// maxFindings bounds the findings of one step.
const maxFindings = 20

// step collects the findings of one log.
type step struct{ verify.Step }

func say(en, zh string, args ...any) verify.Text {
	return verify.Text{EN: fmt.Sprintf(en, args...), ZH: fmt.Sprintf(zh, args...)}
}

func (s *step) find(f verify.Finding, index uint64) {
	s.Status = verify.Failed
	f.From, f.To = &index, &index
	if len(s.Findings) == maxFindings {
		s.More++
		return
	}
	s.Findings = append(s.Findings, f)
}

func (s *step) note(t verify.Text) { s.Notes = append(s.Notes, t) }

// Step returns the step of one log, to be asked for once all logs were taken. folder is that log's published folder.
func (f *Fold) Step(number int, origin string, folder fs.FS) verify.Step {
	f.close()
	s := &step{verify.Step{Number: number, Name: "policy_in_force", Status: verify.NotChecked,
		Text: say("each decision by the policy bundle in force", "每项决定均依据当时生效的策略包")}}
	r := f.logs[origin]
	if r == nil || r.decisions == 0 {
		s.note(say("not checked: no decision in this log", "未检查:此日志中没有决定"))
		return s.Step
	}
	if r.unknown > 0 {
		s.note(say("not checked: no activation of a policy bundle in the logs given", "未检查:所给日志中没有策略包生效记录"))
		return s.Step
	}
	s.judged(r)
	s.bundles(r, folder)
	if s.Status != verify.Failed && r.carried < r.decisions {
		s.Status = verify.OK
	}
	s.note(say("%d decisions, %d activations in this log", "此日志中有 %d 项决定、%d 次策略包生效", r.decisions, r.activations))
	if r.inFlight > 0 {
		s.note(say("%d decisions were in flight, at most %v, while another bundle became active", "%d 项决定在策略包更替时正在途中(至多 %v)", r.inFlight, Flight))
	}
	if r.carried > 0 {
		s.note(say("not checked: %d decisions whose bundle became active in an earlier log that was not given", "未检查:%d 项决定的策略包于未提供的更早日志中生效", r.carried))
	}
	if r.early > 0 {
		s.note(say("%d decisions stand before the first activation of all, which names their bundle", "%d 项决定早于首次策略包生效记录,该记录所指即其策略包", r.early))
	}
	s.note(say("not evaluated again here: sealtraild policy replay does", "此处未重新求值:请用 sealtraild policy replay"))
	return s.Step
}

func (s *step) judged(r *result) {
	for _, d := range r.wrong {
		f := verify.Finding{Code: "policy_not_active", Want: d.active.digest, Got: d.digest}
		if d.active.digest == "" {
			f.Text = say("entry %d names a policy bundle while none was active; another became active first", "第 %d 条引用策略包时尚无策略包生效,首个生效者并非该包", d.index)
		} else {
			f.Text = say("entry %d names another policy bundle than the one active since entry %d", "第 %d 条所引策略包并非自第 %d 条起生效者", d.index, d.active.index)
		}
		s.find(f, d.index)
	}
	s.More += r.more
}

// bundles reads every bundle that decisions of the log name and compares what they say of it.
func (s *step) bundles(r *result, folder fs.FS) {
	for _, digest := range r.order {
		u := r.used[digest]
		if !isDigest(digest) {
			continue // step 5 has named it
		}
		path := audit.BlobPath(digest)
		raw, err := fs.ReadFile(folder, path)
		if err != nil {
			s.find(verify.Finding{Code: "policy_missing", Path: path, Text: say("the policy bundle that entry %d names is not archived", "第 %d 条所引策略包未归档", u.first)}, u.first)
			continue
		}
		b, err := readBundle(raw)
		if err != nil {
			s.find(verify.Finding{Code: "policy_unreadable", Path: path, Text: say("what entry %d names is not a policy bundle", "第 %d 条所引并非策略包", u.first)}, u.first)
			continue
		}
		if b.reasons == nil || b.articles == nil {
			s.note(say("not checked: reasons or articles of bundle %.12s… are written in a way that is not read here", "未检查:策略包 %.12s… 的理由或条款写法不在此处可读之列", digest))
		}
		s.sayings(path, b, u)
	}
}

func (s *step) sayings(path string, b *bundle, u *usage) {
	for _, saying := range slices.Sorted(maps.Keys(u.saying)) {
		parts := strings.SplitN(saying, "\x00", 3)
		if !b.holds(parts[0], parts[1], parts[2]) {
			index := u.saying[saying]
			s.find(verify.Finding{Code: "policy_rule", Path: path, Text: say("entry %d gives a rule or article for its reason that its policy bundle does not give", "第 %d 条就其理由所给的规则或条款,与其策略包所定不符", index)}, index)
		}
	}
}
