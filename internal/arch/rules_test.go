package arch_test

import (
	"strings"
	"testing"
	"testing/fstest"

	"github.com/sealtrail/sealtrail/internal/arch"
)

// sample is a small module: a imports b, b imports pgx, c only in its tests.
func sample(t *testing.T) arch.Tree {
	t.Helper()
	file := func(text string) *fstest.MapFile { return &fstest.MapFile{Data: []byte(text)} }
	tree, err := arch.Load(fstest.MapFS{
		"go.mod":             file("module " + arch.Module),
		"a/a.go":             file("// Package a is.\npackage a\nimport _ \"" + arch.Module + "/b\"\n"),
		"b/b.go":             file("package b\nimport _ \"github.com/jackc/pgx/v5\"\n"),
		"c/c.go":             file("package c\nimport _ \"fmt\"\nimport _ \"b\"\n"),
		"c/c_test.go":        file("package c\nimport _ \"github.com/jackc/pgx/v5/pgxpool\"\nimport _ \"" + arch.Module + "/a\"\n"),
		"c/testdata/x.go":    file("package broken ("),
		"tools/x/go.mod":     file("module other"),
		"tools/x/ignored.go": file("package broken ("),
	})
	if err != nil {
		t.Fatal(err)
	}
	return tree
}

func TestRulesCatchOffences(t *testing.T) {
	t.Parallel()
	tree := sample(t)
	for _, tc := range []struct {
		name string
		rule arch.Rule
		want string // part of the one offence; empty = none
	}{
		{"direct import", arch.Rule{Who: []string{"./b"}, Never: []string{"github.com/jackc/pgx/v5/..."}}, "b/b.go imports github.com/jackc/pgx/v5"},
		{"direct rule does not look further", arch.Rule{Who: []string{"./a"}, Never: []string{"github.com/jackc/pgx/v5"}}, ""},
		{"reach looks further", arch.Rule{Who: []string{"./a"}, Never: []string{"github.com/jackc/pgx/v5"}, Reach: true}, "by a > b"},
		{"own package", arch.Rule{Who: []string{"./a"}, Never: []string{"./b"}}, "a/a.go imports ./b"},
		{"exception", arch.Rule{Who: []string{"./a", "./b"}, Except: []string{"./a"}, Never: []string{"./b"}}, ""},
		{"tests are not looked at", arch.Rule{Who: []string{"./c"}, Never: []string{"github.com/jackc/pgx/v5/..."}}, ""},
		{"tests are looked at", arch.Rule{Who: []string{"./c"}, Never: []string{"github.com/jackc/pgx/v5/..."}, Tests: true}, "c/c_test.go imports"},
		{"tests may", arch.Rule{Who: []string{"./c"}, Never: []string{"./a"}, Tests: true, TestsMay: []string{"./a"}}, ""},
		{"tests may, and what lies behind it", arch.Rule{Who: []string{"./c"}, Never: []string{"./b", "./a"}, Tests: true, Reach: true, TestsMay: []string{"./a"}}, ""},
		{"tests reach further", arch.Rule{Who: []string{"./c"}, Never: []string{"./b"}, Tests: true, Reach: true}, "by c > a"},
		{"only the standard library", arch.Rule{Who: []string{"./c"}, Only: []string{}}, ""},
		{"only what is listed", arch.Rule{Who: []string{"./a"}, Only: []string{"./b"}}, ""},
		{"only, and more is imported", arch.Rule{Who: []string{"./b"}, Only: []string{"./a"}}, "b/b.go imports"},
		{"only, further on", arch.Rule{Who: []string{"./a"}, Only: []string{"./b"}, Reach: true}, "b/b.go imports"},
		{"the standard library's name is not ours", arch.Rule{Who: []string{"./c"}, Never: []string{"./b", "./a"}}, ""},
		{"stale who", arch.Rule{Who: []string{"./gone/..."}}, `pattern "./gone/..." matches no package`},
		{"stale never", arch.Rule{Who: []string{"./a"}, Never: []string{"example.com/gone"}}, `pattern "example.com/gone" matches no package`},
		{"a prefix is not a parent", arch.Rule{Who: []string{"./b"}, Never: []string{"github.com/jackc/pg/..."}}, "matches no package"},
	} {
		got := tc.rule.Check(tree)
		if tc.want == "" && len(got) == 0 {
			continue
		}
		if len(got) != 1 || tc.want == "" || !strings.Contains(got[0], tc.want) {
			t.Errorf("%s: offences %q, want one with %q", tc.name, got, tc.want)
		}
	}
}

func TestPackageCommentIsSeen(t *testing.T) {
	t.Parallel()
	tree := sample(t)
	if !tree["a"].Doc() || tree["b"].Doc() {
		t.Errorf("package comments: a %v, b %v; want true, false", tree["a"].Doc(), tree["b"].Doc())
	}
}
