package arch_test

import (
	"io/fs"
	"os"
	"path"
	"regexp"
	"slices"
	"strings"
	"testing"

	"golang.org/x/mod/modfile"
)

var (
	moduleRow = regexp.MustCompile("(?m)^\\| `([^`]+)`")
	link      = regexp.MustCompile(`\]\(([^)#\s]+)[^)]*\)`)
)

func TestEveryDirectDependencyIsExplained(t *testing.T) {
	t.Parallel()
	root := os.DirFS(moduleRoot(t))
	text, err := fs.ReadFile(root, "go.mod")
	if err != nil {
		t.Fatal(err)
	}
	mod, err := modfile.Parse("go.mod", text, nil)
	if err != nil {
		t.Fatal(err)
	}
	page, err := fs.ReadFile(root, "docs/dependencies.md")
	if err != nil {
		t.Fatal(err)
	}
	linked, _, _ := strings.Cut(string(page), "## Not linked")
	var rows []string
	for _, m := range moduleRow.FindAllStringSubmatch(linked, -1) {
		rows = append(rows, m[1])
	}
	for _, r := range mod.Require {
		if !r.Indirect && !slices.Contains(rows, r.Mod.Path) {
			t.Errorf("go.mod requires %s: give it a line in docs/dependencies.md", r.Mod.Path)
		}
		rows = slices.DeleteFunc(rows, func(row string) bool { return row == r.Mod.Path && !r.Indirect })
	}
	for _, row := range rows {
		t.Errorf("docs/dependencies.md explains %s, which is no direct dependency", row)
	}
}

// TestEveryDirectDependencyIsUsed finds modules that were expected and never
// needed, and those that lost their last user.
func TestEveryDirectDependencyIsUsed(t *testing.T) {
	t.Parallel()
	text, err := fs.ReadFile(os.DirFS(moduleRoot(t)), "go.mod")
	if err != nil {
		t.Fatal(err)
	}
	mod, err := modfile.Parse("go.mod", text, nil)
	if err != nil {
		t.Fatal(err)
	}
	imported := map[string]bool{}
	for _, pkg := range load(t) {
		for _, f := range pkg.Files {
			for _, name := range f.Imports() {
				imported[name] = true
			}
		}
	}
	for _, r := range mod.Require {
		used := false
		for name := range imported {
			used = used || name == r.Mod.Path || strings.HasPrefix(name, r.Mod.Path+"/")
		}
		if !r.Indirect && !used {
			t.Errorf("go.mod requires %s directly and no file imports it", r.Mod.Path)
		}
	}
}

func TestLinksBetweenPagesLeadSomewhere(t *testing.T) {
	t.Parallel()
	root := os.DirFS(moduleRoot(t))
	pages := 0
	err := fs.WalkDir(root, ".", func(name string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() && (strings.HasPrefix(d.Name(), ".") && name != "." || d.Name() == "node_modules") {
			if err == nil {
				return fs.SkipDir
			}
			return err
		}
		if d.IsDir() || path.Ext(name) != ".md" {
			return nil
		}
		pages++
		text, err := fs.ReadFile(root, name)
		if err != nil {
			return err
		}
		for _, m := range link.FindAllStringSubmatch(string(text), -1) {
			if strings.Contains(m[1], "://") || strings.HasPrefix(m[1], "mailto:") {
				continue
			}
			if _, err := fs.Stat(root, path.Join(path.Dir(name), m[1])); err != nil {
				t.Errorf("%s links to %s, which is not there", name, m[1])
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	if pages < 5 {
		t.Errorf("only %d pages were read", pages)
	}
}
