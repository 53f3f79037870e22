package field_test

import (
	"go/ast"
	"go/parser"
	"go/token"
	"os"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// TestProgramOfThePagesIsCompiled: the program in README.md and the one in the
// package comment are the body of the tested example, line by line, and sealing
// a field of one's own table takes at most 20 of them.
func TestProgramOfThePagesIsCompiled(t *testing.T) {
	t.Parallel()
	want := bodyOf(t, "example_test.go", "sealYourOwn")
	if n := strings.Count(want, "\n"); n > 20 || n < 10 {
		t.Errorf("the program has %d lines, want at most 20", n)
	}
	readme, err := os.ReadFile("../README.md")
	if err != nil {
		t.Fatal(err)
	}
	_, code, found := strings.Cut(string(readme), "```go\n")
	code, _, closed := strings.Cut(code, "```")
	if !found || !closed {
		t.Fatal("README.md has no Go program")
	}
	if diff := cmp.Diff(want, code); diff != "" {
		t.Errorf("README.md differs from the example (-want +got):\n%s", diff)
	}
	comment, err := os.ReadFile("doc.go")
	if err != nil {
		t.Fatal(err)
	}
	var inComment strings.Builder
	for line := range strings.Lines(string(comment)) {
		if code, ok := strings.CutPrefix(line, "//\t"); ok {
			inComment.WriteString(code)
		}
	}
	if diff := cmp.Diff(want, inComment.String()); diff != "" {
		t.Errorf("the package comment differs from the example (-want +got):\n%s", diff)
	}
}

// bodyOf is the source between the braces of a function, one tab less indented.
func bodyOf(t *testing.T, file, name string) string {
	t.Helper()
	src, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	set := token.NewFileSet()
	parsed, err := parser.ParseFile(set, file, src, 0)
	if err != nil {
		t.Fatal(err)
	}
	for _, d := range parsed.Decls {
		if f, ok := d.(*ast.FuncDecl); ok && f.Name.Name == name {
			body := string(src[set.Position(f.Body.Lbrace).Offset+2 : set.Position(f.Body.Rbrace).Offset])
			return strings.ReplaceAll(strings.TrimPrefix(body, "\t"), "\n\t", "\n")
		}
	}
	t.Fatalf("%s has no function %s", file, name)
	return ""
}
