package arch_test

import (
	"fmt"
	"go/ast"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/sealtrail/sealtrail/internal/arch"
)

const (
	// maxFileLines, maxFuncLines and maxMainLines are the limits of the style.
	maxFileLines = 600
	maxFuncLines = 100
	maxMainLines = 15
)

// moduleRoot is the folder of the go.mod above the test.
func moduleRoot(t *testing.T) string {
	t.Helper()
	dir, err := os.Getwd()
	if err != nil {
		t.Fatal(err)
	}
	for {
		if _, err := os.Stat(filepath.Join(dir, "go.mod")); err == nil {
			return dir
		}
		if filepath.Dir(dir) == dir {
			t.Fatal("no go.mod above the test")
		}
		dir = filepath.Dir(dir)
	}
}

func load(t *testing.T) arch.Tree {
	t.Helper()
	tree, err := arch.Load(os.DirFS(moduleRoot(t)))
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"audit", "policy", "internal/arch"} {
		if tree[want] == nil {
			t.Fatalf("package %s was not found: the tree was not read", want)
		}
	}
	return tree
}

func TestWalls(t *testing.T) {
	t.Parallel()
	tree := load(t)
	for _, rule := range arch.Walls() {
		for _, offence := range rule.Check(tree) {
			t.Error(offence)
		}
	}
}

func TestInternalIsOneLevelDeep(t *testing.T) {
	t.Parallel()
	for name := range load(t) {
		if strings.HasPrefix(name, "internal/") && strings.Count(name, "/") > 1 {
			t.Errorf("%s: internal packages lie at depth 1", name)
		}
	}
}

func TestEveryPackageSaysWhatItIsFor(t *testing.T) {
	t.Parallel()
	for name, pkg := range load(t) {
		if pkg.Source() && !pkg.Doc() {
			t.Errorf("%s has no package comment", name)
		}
	}
}

// unfinished finds words that announce work left undone.
var unfinished = regexp.MustCompile(`\b(TODO|FIXME|HACK|XXX)\b`)

func TestFilesAndFunctionsStayReadable(t *testing.T) {
	t.Parallel()
	for _, pkg := range load(t) {
		for _, f := range pkg.Files {
			if !f.Test && f.Lines > maxFileLines {
				t.Errorf("%s has %d lines, at most %d", f.Path, f.Lines, maxFileLines)
			}
			for _, group := range f.AST.Comments {
				if word := unfinished.FindString(group.Text()); word != "" {
					t.Errorf("%s:%d says %s: finish it or leave it out", f.Path, f.Line(group.Pos()), word)
				}
			}
			checkFunctions(t, f)
		}
	}
}

func checkFunctions(t *testing.T, f *arch.File) {
	t.Helper()
	for _, decl := range f.AST.Decls {
		fn, ok := decl.(*ast.FuncDecl)
		if !ok || fn.Body == nil || f.Test {
			continue
		}
		lines := f.Line(fn.Body.Rbrace) - f.Line(fn.Body.Lbrace) - 1
		where := fmt.Sprintf("%s:%d %s", f.Path, f.Line(fn.Pos()), fn.Name.Name)
		if lines > maxFuncLines {
			t.Errorf("%s has %d lines, at most %d", where, lines, maxFuncLines)
		}
		if fn.Recv == nil && fn.Name.Name == "init" {
			t.Errorf("%s: no init functions", where)
		}
		if fn.Recv == nil && fn.Name.Name == "main" && f.AST.Name.Name == "main" && lines > maxMainLines {
			t.Errorf("%s has %d lines, a main at most %d", where, lines, maxMainLines)
		}
	}
}
