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

// sentence says in one sentence what an entry records. It shows aliases, never names: the log has none.
func sentence(lang string, v *audit.LeafView) string {
	b := v.Body()
	if lang == "zh" {
		return sentenceZH(&b, v)
	}
	return sentenceEN(&b, v)
}

func sentenceEN(b *audit.Body, v *audit.LeafView) string {
	var s strings.Builder
	fmt.Fprintf(&s, "Entry %d: at %s UTC, %s", v.Index, b.At.Format("2006-01-02 15:04:05"), b.Actor.ID)
	if len(b.Actor.Roles) > 0 {
		fmt.Fprintf(&s, " (%s)", strings.Join(labels("role", b.Actor.Roles, false), ", "))
	}
	if b.Actor.OnBehalf != "" {
		fmt.Fprintf(&s, " on behalf of %s", b.Actor.OnBehalf)
	}
	stage := map[audit.Stage]string{audit.StageIntent: "announced", audit.StageOutcome: "reported the outcome of", audit.StageEvent: "recorded"}[b.Stage]
	fmt.Fprintf(&s, " %s: %s, concerning %s", stage, kindLabel(b.Kind, false), b.Subject)
	if b.Revision > 0 {
		fmt.Fprintf(&s, " at revision %d", b.Revision)
	}
	if b.Purpose != "" {
		fmt.Fprintf(&s, ", for the purpose of %s", labels("purpose", []string{b.Purpose}, false)[0])
	}
	if len(b.Fields) > 0 {
		fmt.Fprintf(&s, ", fields %s", strings.Join(b.Fields, ", "))
	}
	if d := b.Decision; d != nil {
		word := map[string]string{audit.ResultAllow: "allowed", audit.ResultDeny: "refused"}[d.Result]
		fmt.Fprintf(&s, "; %s%s%s%s", word, because(" by rule ", d.Rule), because(", article ", d.Article), because(", reason ", d.Reason))
	}
	fmt.Fprintf(&s, ". Number %d of the trail of %s.", v.TrailN, b.Subject)
	return s.String()
}

func sentenceZH(b *audit.Body, v *audit.LeafView) string {
	var s strings.Builder
	fmt.Fprintf(&s, "第 %d 条:%s(UTC),%s", v.Index, b.At.Format("2006-01-02 15:04:05"), b.Actor.ID)
	if len(b.Actor.Roles) > 0 {
		fmt.Fprintf(&s, "(%s)", strings.Join(labels("role", b.Actor.Roles, true), "、"))
	}
	if b.Actor.OnBehalf != "" {
		fmt.Fprintf(&s, "代 %s", b.Actor.OnBehalf)
	}
	stage := map[audit.Stage]string{audit.StageIntent: "拟", audit.StageOutcome: "报告结果", audit.StageEvent: "记录"}[b.Stage]
	fmt.Fprintf(&s, "%s:%s,对象 %s", stage, kindLabel(b.Kind, true), b.Subject)
	if b.Revision > 0 {
		fmt.Fprintf(&s, "(修订 %d)", b.Revision)
	}
	if b.Purpose != "" {
		fmt.Fprintf(&s, ",目的:%s", labels("purpose", []string{b.Purpose}, true)[0])
	}
	if len(b.Fields) > 0 {
		fmt.Fprintf(&s, ",字段:%s", strings.Join(b.Fields, "、"))
	}
	if d := b.Decision; d != nil {
		word := map[string]string{audit.ResultAllow: "准许", audit.ResultDeny: "拒绝"}[d.Result]
		fmt.Fprintf(&s, ";%s%s%s%s", word, because(",规则 ", d.Rule), because(",条款 ", d.Article), because(",原因 ", d.Reason))
	}
	fmt.Fprintf(&s, "。此为 %s 处理轨迹的第 %d 步。", b.Subject, v.TrailN)
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
