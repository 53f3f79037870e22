package arch_test

import (
	"io/fs"
	"os"
	"path"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// readmeLines is the longest a README may be: style.md, line 56.
const readmeLines = 150

var (
	heading  = regexp.MustCompile(`(?m)^(#+) `)
	fence    = regexp.MustCompile("(?ms)^```(\\w*)\n(.*?)^```")
	codeSpan = regexp.MustCompile("`([^`\n]+)`")
	prose    = regexp.MustCompile(`\.(md|txt)$|^changelog/unreleased/`)
)

// overclaims are words that we do not use, and why not is in docs/threat-model.md.
var overclaims = []string{
	"tamper-proof", "tamperproof", "nobody can change", "never gives out", "verifiable by anyone", "irrecoverable without its condition",
	"compliant with", "proves that nobody opened", "no competitor has", "unbreakable", "military-grade",
	"不可篡改", "无法篡改", "防篡改", "绝对安全", "任何人都可验证", "完全符合", "无人打开过",
}

// page is a text of the repository that people read.
type page struct{ name, text string }

// pages are all of them; the vendored and the hidden are left out.
func pages(t *testing.T) []page {
	t.Helper()
	root := os.DirFS(moduleRoot(t))
	var found []page
	err := fs.WalkDir(root, ".", func(name string, d fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return err
		case d.IsDir() && name != "." && (strings.HasPrefix(d.Name(), ".") || d.Name() == "testdata"):
			return fs.SkipDir
		case d.IsDir() || !prose.MatchString(name):
			return nil
		}
		text, err := fs.ReadFile(root, name)
		found = append(found, page{name, string(text)})
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	if len(found) < 20 {
		t.Fatalf("only %d pages were read", len(found))
	}
	return found
}

func readme(t *testing.T, name string) string {
	t.Helper()
	text, err := os.ReadFile(path.Join(moduleRoot(t), name))
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

func TestReadmesSayTheSameInBothLanguages(t *testing.T) {
	t.Parallel()
	english, chinese := outlineOf(readme(t, "README.md")), outlineOf(readme(t, "README.zh-CN.md"))
	english.links = without(english.links, "README.zh-CN.md")
	chinese.links = without(chinese.links, "README.md")
	if diff := cmp.Diff(english, chinese, cmp.AllowUnexported(outline{})); diff != "" {
		t.Errorf("the two READMEs differ (-English +Chinese):\n%s", diff)
	}
	if len(english.headings) < 5 || len(english.commands) < 5 || len(english.links) < 20 {
		t.Errorf("too little was read: %d headings, %d commands, %d links", len(english.headings), len(english.commands), len(english.links))
	}
}

// outline is what must be the same in every language.
type outline struct {
	headings, commands, links []string
}

func outlineOf(text string) outline {
	var o outline
	for _, block := range fence.FindAllStringSubmatch(text, -1) {
		if block[1] != "sh" {
			continue
		}
		for line := range strings.Lines(block[2]) {
			command, _, _ := strings.Cut(line, "#")
			o.commands = append(o.commands, strings.TrimSpace(command))
		}
	}
	text = fence.ReplaceAllString(text, "")
	for _, m := range heading.FindAllStringSubmatch(text, -1) {
		o.headings = append(o.headings, m[1])
	}
	for _, m := range codeSpan.FindAllStringSubmatch(text, -1) {
		o.commands = append(o.commands, m[1])
	}
	for _, m := range link.FindAllStringSubmatch(text, -1) {
		o.links = append(o.links, m[1])
	}
	// Sentences are built in another order in another language.
	slices.Sort(o.commands)
	slices.Sort(o.links)
	return o
}

func without(list []string, one string) []string {
	return slices.DeleteFunc(list, func(s string) bool { return s == one })
}

func TestReadmesAreShort(t *testing.T) {
	t.Parallel()
	for _, name := range []string{"README.md", "README.zh-CN.md"} {
		if n := strings.Count(readme(t, name), "\n"); n >= readmeLines {
			t.Errorf("%s has %d lines, want fewer than %d", name, n, readmeLines)
		}
	}
}

func TestPagesDoNotOverclaim(t *testing.T) {
	t.Parallel()
	for _, p := range pages(t) {
		text := strings.ToLower(p.text)
		for _, word := range overclaims {
			if strings.Contains(text, word) {
				t.Errorf("%s says %q", p.name, word)
			}
		}
	}
}

// TestPathsInPagesExist reads code spans that begin like a path of this tree.
func TestPathsInPagesExist(t *testing.T) {
	t.Parallel()
	root := os.DirFS(moduleRoot(t))
	inTree := regexp.MustCompile(`^(cmd|policy|audit|crypto|internal|deploy|docs|tools)/[\w./-]+$`)
	checked := 0
	for _, p := range pages(t) {
		for _, m := range codeSpan.FindAllStringSubmatch(fence.ReplaceAllString(p.text, ""), -1) {
			name := strings.TrimSuffix(m[1], "/")
			if !inTree.MatchString(name) {
				continue
			}
			checked++
			if _, err := fs.Stat(root, strings.TrimSuffix(name, "/...")); err != nil {
				t.Errorf("%s names %s, which is not there", p.name, name)
			}
		}
	}
	if checked < 20 {
		t.Errorf("only %d paths were found in the pages", checked)
	}
}
