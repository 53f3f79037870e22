// Package arch proves the walls between the packages by reading their source.
//
// One idea: the test parses the files itself. A test that asks `go list` is
// cached by the go tool and stays green after an offence; one that reads files
// through the test process is run again when they change. A rule whose pattern
// matches no package fails, so that a renamed package takes its wall along.
//
// It must never import what it judges.
package arch

import (
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"path"
	"slices"
	"strconv"
	"strings"
)

// Module is the import path of this repository.
const Module = "github.com/sealtrail/sealtrail"

// File is one Go source file.
type File struct {
	Path  string // relative to the module's root
	Lines int
	Test  bool
	AST   *ast.File
	set   *token.FileSet
}

// Line is the line of a position in the file.
func (f *File) Line(pos token.Pos) int { return f.set.Position(pos).Line }

// Imports are the import paths of the file.
func (f *File) Imports() []string {
	var paths []string
	for _, spec := range f.AST.Imports {
		if p, err := strconv.Unquote(spec.Path.Value); err == nil {
			paths = append(paths, p)
		}
	}
	return paths
}

// Package is one folder with Go files; Path is relative to the module's root.
type Package struct {
	Path  string
	Files []*File
}

// Doc reports whether a file of the package, tests apart, has a package comment.
func (p *Package) Doc() bool {
	return slices.ContainsFunc(p.Files, func(f *File) bool { return !f.Test && f.AST.Doc.Text() != "" })
}

// Source reports whether the package has anything but tests.
func (p *Package) Source() bool {
	return slices.ContainsFunc(p.Files, func(f *File) bool { return !f.Test })
}

// Tree is the module's own packages by path.
type Tree map[string]*Package

// Load parses every Go file below root that belongs to the module: folders with
// a go.mod of their own, testdata and those the go tool skips are left out.
func Load(root fs.FS) (Tree, error) {
	tree := Tree{}
	err := fs.WalkDir(root, ".", func(name string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if d.IsDir() {
			return skip(root, name)
		}
		if path.Ext(name) != ".go" {
			return nil
		}
		f, err := parse(root, name)
		if err != nil {
			return err
		}
		dir := path.Dir(name)
		if tree[dir] == nil {
			tree[dir] = &Package{Path: dir}
		}
		tree[dir].Files = append(tree[dir].Files, f)
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("reading the source: %w", err)
	}
	return tree, nil
}

func skip(root fs.FS, dir string) error {
	base := path.Base(dir)
	if dir != "." && (base == "testdata" || strings.HasPrefix(base, ".") || strings.HasPrefix(base, "_")) {
		return fs.SkipDir
	}
	if _, err := fs.Stat(root, path.Join(dir, "go.mod")); err == nil && dir != "." {
		return fs.SkipDir
	}
	return nil
}

func parse(root fs.FS, name string) (*File, error) {
	b, err := fs.ReadFile(root, name)
	if err != nil {
		return nil, err
	}
	set := token.NewFileSet()
	tree, err := parser.ParseFile(set, name, b, parser.ParseComments|parser.SkipObjectResolution)
	if err != nil {
		return nil, err
	}
	return &File{
		Path: name, Test: strings.HasSuffix(name, "_test.go"), AST: tree, set: set,
		Lines: strings.Count(string(b), "\n"),
	}, nil
}

// match reports whether a path falls under a pattern: "a/b" is that package
// alone, "a/b/..." also everything below it.
func match(pattern, p string) bool {
	prefix, below := strings.CutSuffix(pattern, "/...")
	return p == prefix || below && strings.HasPrefix(p, prefix+"/")
}

func matchAny(patterns []string, p string) bool {
	return slices.ContainsFunc(patterns, func(pattern string) bool { return match(pattern, p) })
}

// own turns an import path into a path relative to the module's root.
func own(importPath string) (string, bool) {
	if importPath == Module {
		return ".", true
	}
	return strings.CutPrefix(importPath, Module+"/")
}
