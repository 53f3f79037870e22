package main

import (
	"fmt"
	"strings"

	"github.com/sealtrail/sealtrail/audit"
	"github.com/sealtrail/sealtrail/internal/complaint"
)

// splitLines returns the lines that are neither empty nor comments.
func splitLines(text string) (out []string) {
	for line := range strings.Lines(text) {
		if line = strings.TrimSpace(line); line != "" && line[0] != '#' {
			out = append(out, line)
		}
	}
	return out
}

// wording is how a language says what an entry records, part by part. The
// formats of one part take the same arguments in every language.
type wording struct {
	opening, roles, onBehalf, act, revision, purpose, fields string
	rule, article, reason, closing, comma                    string

	stages  map[audit.Stage]string
	results map[string]string
}

func english() wording {
	return wording{
		opening: "Entry %d: at %s UTC, %s", roles: " (%s)", onBehalf: " on behalf of %s", act: " %s: %s, concerning %s",
		revision: " at revision %d", purpose: ", for the purpose of %s", fields: ", fields %s",
		rule: " by rule ", article: ", article ", reason: ", reason ", closing: ". Number %[1]d of the trail of %[2]s.", comma: ", ",
		stages:  map[audit.Stage]string{audit.StageIntent: "announced", audit.StageOutcome: "reported the outcome of", audit.StageEvent: "recorded"},
		results: map[string]string{audit.ResultAllow: "; allowed", audit.ResultDeny: "; refused"},
	}
}

func chinese() wording {
	return wording{
		opening: "第 %d 条:%s(UTC),%s", roles: "(%s)", onBehalf: "代 %s", act: "%s:%s,对象 %s",
		revision: "(修订 %d)", purpose: ",目的:%s", fields: ",字段:%s",
		rule: ",规则 ", article: ",条款 ", reason: ",原因 ", closing: "。此为 %[2]s 处理轨迹的第 %[1]d 步。", comma: "、",
		stages:  map[audit.Stage]string{audit.StageIntent: "拟", audit.StageOutcome: "报告结果", audit.StageEvent: "记录"},
		results: map[string]string{audit.ResultAllow: ";准许", audit.ResultDeny: ";拒绝"},
	}
}

// sentence says in one sentence what an entry records. It shows aliases, never names: the log has none.
func sentence(lang string, v *audit.LeafView) string {
	b, w, zh := v.Body(), english(), lang == "zh"
	if zh {
		w = chinese()
	}
	var s strings.Builder
	fmt.Fprintf(&s, w.opening, v.Index, b.At.Format("2006-01-02 15:04:05"), b.Actor.ID)
	if len(b.Actor.Roles) > 0 {
		fmt.Fprintf(&s, w.roles, strings.Join(labels("role", b.Actor.Roles, zh), w.comma))
	}
	if b.Actor.OnBehalf != "" {
		fmt.Fprintf(&s, w.onBehalf, b.Actor.OnBehalf)
	}
	fmt.Fprintf(&s, w.act, w.stages[b.Stage], kindLabel(b.Kind, zh), b.Subject)
	if b.Revision > 0 {
		fmt.Fprintf(&s, w.revision, b.Revision)
	}
	if b.Purpose != "" {
		fmt.Fprintf(&s, w.purpose, labels("purpose", []string{b.Purpose}, zh)[0])
	}
	if len(b.Fields) > 0 {
		fmt.Fprintf(&s, w.fields, strings.Join(b.Fields, w.comma))
	}
	if d := b.Decision; d != nil {
		s.WriteString(w.results[d.Result] + because(w.rule, d.Rule) + because(w.article, d.Article) + because(w.reason, d.Reason))
	}
	fmt.Fprintf(&s, w.closing, v.TrailN, b.Subject)
	return s.String()
}

func because(word, value string) string {
	if value == "" {
		return ""
	}
	return word + value
}

// labels returns the words of the registry for ids of a set; an id that the registry lacks stands for itself.
func labels(set string, ids []string, zh bool) []string {
	out := make([]string, len(ids))
	for i, id := range ids {
		z, e, ok := complaint.Registry().Label(set, id)
		switch {
		case !ok:
			out[i] = id
		case zh:
			out[i] = z
		default:
			out[i] = e
		}
	}
	return out
}

func kindLabel(kind string, zh bool) string {
	e, ok := complaint.Registry().Event(kind)
	switch {
	case !ok:
		return kind
	case zh:
		return fmt.Sprintf("%s(%s)", e.ZH, kind)
	}
	return fmt.Sprintf("%s (%s)", e.EN, kind)
}
