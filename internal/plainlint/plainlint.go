// Package plainlint is an analyzer, in the manner of go vet, that finds
// plaintext on its way out of the process.
//
// The one idea: what is secret says so where it is declared, by the directive
// //sealtrail:secret on a type, a struct field or a function (then its results
// are secret), and everything that holds such a value is followed through the
// function that got it. Types that print as "[sealed]" guard what reaches a log
// at run time; this guards what somebody unwrapped on purpose and then printed
// by mistake.
//
// Flagged are: a secret given to fmt, log, slog, errors, panic, an encoder, a
// template, OpenTelemetry or SQL; a secret made a string outside the functions
// that may (see Config); and exposed bytes returned by a function that does not
// say that it does. Tests are not looked at: their plaintext is made up.
//
// What it does not see: a value that leaves through a struct of another
// function, an interface or a channel. It must never know what the secrets are.
package plainlint

import (
	"fmt"
	"go/ast"
	"go/types"
	"strings"

	"golang.org/x/tools/go/analysis"
)

// Directive marks a type, a struct field or a function as secret.
const Directive = "//sealtrail:secret"

// Config of the analyzer.
type Config struct {
	// Openers are the functions that may make a secret a string, each with the
	// reason: "<import path>.<Func>" or "<import path>.<Type>.<Method>".
	Openers map[string]string
}

// New returns the analyzer.
func New(cfg Config) *analysis.Analyzer {
	return &analysis.Analyzer{
		Name:      "plainlint",
		Doc:       "find plaintext and keys that are printed, logged, encoded or made strings",
		FactTypes: []analysis.Fact{new(isSecret)},
		Run:       func(pass *analysis.Pass) (any, error) { return nil, run(pass, cfg) },
	}
}

// isSecret is the fact about an object that carries the directive.
type isSecret struct{}

// AFact marks it as a fact.
func (*isSecret) AFact() {}

// String is what a test of facts shows.
func (*isSecret) String() string { return "secret" }

func run(pass *analysis.Pass, cfg Config) error {
	for _, f := range pass.Files {
		ast.Inspect(f, func(n ast.Node) bool { declare(pass, n); return true })
	}
	if err := stillThere(pass, cfg); err != nil {
		return err
	}
	known := map[types.Type]bool{}
	for _, f := range pass.Files {
		if strings.HasSuffix(pass.Fset.Position(f.Pos()).Filename, "_test.go") {
			continue
		}
		for _, d := range f.Decls {
			fl := &flow{pass: pass, types: known, held: map[types.Object]bool{}, told: map[finding]bool{}}
			fl.look(cfg, d)
		}
	}
	return nil
}

// stillThere refuses openers of this package that are no more: a list that
// nobody prunes ends up allowing what somebody else calls the same.
func stillThere(pass *analysis.Pass, cfg Config) error {
	declared := map[string]bool{}
	for _, f := range pass.Files {
		for _, d := range f.Decls {
			if fn, ok := d.(*ast.FuncDecl); ok {
				declared[nameOf(pass.TypesInfo.Defs[fn.Name])] = true
			}
		}
	}
	for name := range cfg.Openers {
		local, ours := strings.CutPrefix(name, pass.Pkg.Path()+".")
		if ours && !strings.Contains(local, "/") && !declared[name] {
			return fmt.Errorf("opener %s does not exist", name)
		}
	}
	return nil
}

// look follows the secrets of one function, or of what a package's variables
// are initialised with.
func (fl *flow) look(cfg Config, d ast.Decl) {
	if f, ok := d.(*ast.FuncDecl); ok {
		fl.self = fl.pass.TypesInfo.Defs[f.Name]
		_, fl.opener = cfg.Openers[nameOf(fl.self)]
	}
	fl.follow(d)
	fl.judge(d)
}

// declare notes the directive of a declaration as a fact, so that other packages
// know of it.
func declare(pass *analysis.Pass, n ast.Node) {
	mark := func(names []*ast.Ident, docs ...*ast.CommentGroup) {
		for _, doc := range docs {
			if !marked(doc) {
				continue
			}
			for _, name := range names {
				if obj := pass.TypesInfo.Defs[name]; obj != nil && obj.Pkg() == pass.Pkg {
					pass.ExportObjectFact(obj, new(isSecret))
				}
			}
		}
	}
	switch n := n.(type) {
	case *ast.GenDecl:
		for _, spec := range n.Specs {
			if t, ok := spec.(*ast.TypeSpec); ok {
				mark([]*ast.Ident{t.Name}, n.Doc, t.Doc, t.Comment)
			}
		}
	case *ast.FuncDecl:
		mark([]*ast.Ident{n.Name}, n.Doc)
	case *ast.InterfaceType:
		for _, m := range n.Methods.List {
			mark(m.Names, m.Doc, m.Comment)
		}
	case *ast.StructType:
		for _, field := range n.Fields.List {
			mark(field.Names, field.Doc, field.Comment)
		}
	}
}

func marked(doc *ast.CommentGroup) bool {
	if doc == nil {
		return false
	}
	for _, c := range doc.List {
		if c.Text == Directive || strings.HasPrefix(c.Text, Directive+" ") {
			return true
		}
	}
	return false
}

// nameOf is how Config names a function.
func nameOf(obj types.Object) string {
	f, ok := obj.(*types.Func)
	if !ok || f.Pkg() == nil {
		return ""
	}
	name := f.Pkg().Path() + "."
	if recv := f.Signature().Recv(); recv != nil {
		if n, ok := types.Unalias(deref(recv.Type())).(*types.Named); ok {
			name += n.Obj().Name() + "."
		}
	}
	return name + f.Name()
}

func deref(t types.Type) types.Type {
	if p, ok := types.Unalias(t).(*types.Pointer); ok {
		return p.Elem()
	}
	return t
}
