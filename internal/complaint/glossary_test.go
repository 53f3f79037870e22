package complaint_test

import (
	"flag"
	"fmt"
	"maps"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/sealtrail/sealtrail/internal/clock"
	"github.com/sealtrail/sealtrail/internal/complaint"
)

var update = flag.Bool("update", false, "rewrite the generated part of docs/glossary.md")

const (
	glossaryPath = "../../docs/glossary.md"
	glossaryMark = "<!-- generated below -->\n"
)

// TestGlossary: every id of the registry, the catalogue and the clocks stands
// in the glossary with both labels.
func TestGlossary(t *testing.T) {
	data, err := os.ReadFile(glossaryPath)
	if err != nil {
		t.Fatal(err)
	}
	written, generated, ok := strings.Cut(string(data), glossaryMark)
	if !ok {
		t.Fatal("docs/glossary.md has lost its mark")
	}
	want := glossary()
	if *update {
		if err := os.WriteFile(glossaryPath, []byte(written+glossaryMark+want), 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	if diff := cmp.Diff(want, generated); diff != "" {
		t.Errorf("docs/glossary.md is out of date, run with -update (-want +got):\n%s", diff)
	}
	for _, word := range []string{
		"record", "custody", "trail", "entry", "checkpoint", "witness", "decision", "clause", "purpose", "bundle", "data key", "wrap, unwrap",
		"lease", "place", "sealed", "blind index", "hold", "shred", "figure", "working day",
	} {
		if !strings.Contains(written, "| "+word+" |") {
			t.Errorf("the word %q is not in the glossary", word)
		}
	}
}

func glossary() string {
	var b strings.Builder
	v := complaint.Registry()
	b.WriteString("\n## Codes · 代码\n\n| set | id | 中文 | English |\n|---|---|---|---|\n")
	for _, set := range slices.Sorted(maps.Keys(v.Sets)) {
		for _, it := range v.Sets[set] {
			fmt.Fprintf(&b, "| %s | `%s` | %s | %s |\n", set, it.ID, it.ZH, it.EN)
		}
	}
	b.WriteString("\n## Fields · 字段\n\n| field | 中文 | English | group | class | sealed | index | mask | retention | source |\n|---|---|---|---|---|---|---|---|---|---|\n")
	for _, f := range complaint.Fields() {
		fmt.Fprintf(&b, "| `%s` | %s | %s | %s | %s | %s | %s | %s | %s | %s |\n",
			f.Name, f.ZH, f.EN, f.Group, f.Class, yes(f.Sealed), or(f.Index), f.Mask, f.Retention, f.Article)
	}
	b.WriteString("\n## Transitions · 流转\n\n| transition | 中文 | English | from | to | event | roles |\n|---|---|---|---|---|---|---|\n")
	for _, tr := range v.Transitions {
		from := strings.Join(tr.From, ", ")
		if len(tr.From) > 4 {
			from = fmt.Sprintf("%s … %s (%d)", tr.From[0], tr.From[len(tr.From)-1], len(tr.From))
		}
		fmt.Fprintf(&b, "| `%s` | %s | %s | %s | %s | `%s` | %s |\n", tr.Name, tr.ZH, tr.EN, from, or(tr.To), tr.Event, strings.Join(tr.Roles, ", "))
	}
	writeEvents(&b, v)
	b.WriteString("\n## Reasons · 原因代码\n\n| code | area | 中文 | English |\n|---|---|---|---|\n")
	for _, r := range v.Reasons {
		fmt.Fprintf(&b, "| `%s` | %s | %s | %s |\n", r.ID, r.Area, r.ZH, r.EN)
	}
	writeClocks(&b)
	writeRetention(&b)
	return b.String()
}

func writeRetention(b *strings.Builder) {
	b.WriteString("\n## Retention · 保存期限\n\n| rule | years | from | 中文 | English | source | how certain |\n|---|---|---|---|---|---|---|\n")
	for _, r := range complaint.RetentionRules() {
		fmt.Fprintf(b, "| `%s` | %d | %s | %s | %s | %s | %s |\n", r.Rule, r.Years, or(r.From), r.ZH, r.EN, r.Source, r.Certainty)
	}
}

func writeEvents(b *strings.Builder, v *complaint.Vocabulary) {
	fmt.Fprintf(b, "\n## Events · 事件\n\nEvery event may also carry: %s. A trailing `?` marks an optional fact.\n\n", facts(v.CommonFacts))
	b.WriteString("| event | version | 中文 | English | facts |\n|---|---|---|---|---|\n")
	for _, e := range v.Events {
		fmt.Fprintf(b, "| `%s` | %d | %s | %s | %s |\n", e.ID, e.Version, e.ZH, e.EN, facts(e.Facts))
	}
}

func facts(m map[string]string) string {
	var out []string
	for _, name := range slices.Sorted(maps.Keys(m)) {
		out = append(out, name+" "+m[name])
	}
	return or(strings.Join(out, ", "))
}

func writeClocks(b *strings.Builder) {
	b.WriteString("\n## Clocks · 时限\n\n| clock | 中文 | English | kind | source | from | to | limit |\n|---|---|---|---|---|---|---|---|\n")
	for _, p := range []clock.Profile{clock.CNLaw(), clock.Norm()} {
		for _, d := range p.Clocks {
			fmt.Fprintf(b, "| `%s` | %s | %s | %s | %s | %s | %s | %d %s |\n", d.ID, d.ZH, d.EN, p.ID, d.Article, d.Start, d.Stop, d.Amount, d.Unit)
		}
	}
}

func yes(b bool) string {
	if b {
		return "yes"
	}
	return "–"
}

func or(s string) string {
	if s == "" {
		return "–"
	}
	return s
}
