package plainlint

import (
	"go/ast"
	"go/token"
	"go/types"
	"strings"

	"golang.org/x/tools/go/analysis"
)

// judge reports what the function does with its secrets.
func (fl *flow) judge(root ast.Node) {
	var inner []ast.Node // function literals that we are in
	ast.Inspect(root, func(n ast.Node) bool {
		switch n := n.(type) {
		case nil:
			return true
		case *ast.FuncLit:
			inner = append(inner, n)
		case *ast.CallExpr:
			fl.call(n)
		case *ast.AssignStmt:
			fl.kept(n)
		case *ast.ReturnStmt:
			if !within(inner, n) {
				fl.returned(n)
			}
		}
		return true
	})
}

func within(list []ast.Node, n ast.Node) bool {
	for _, f := range list {
		if f.Pos() <= n.Pos() && n.End() <= f.End() {
			return true
		}
	}
	return false
}

func (fl *flow) call(call *ast.CallExpr) {
	if fl.pass.TypesInfo.Types[call.Fun].IsType() {
		fl.conversion(call)
		return
	}
	obj := fl.callee(call)
	if where := sink(obj); where != "" {
		for _, arg := range call.Args {
			if fl.secret(arg) {
				fl.report(arg.Pos(), "secret given to "+where)
			}
		}
		return
	}
	if fl.stringly(call, obj) {
		fl.report(call.Pos(), "secret made a string outside the opener")
	}
}

// conversion is string(secret), also to a named string type.
func (fl *flow) conversion(call *ast.CallExpr) {
	if len(call.Args) != 1 || fl.opener {
		return
	}
	to, ok := fl.pass.TypesInfo.TypeOf(call).Underlying().(*types.Basic)
	if !ok || to.Info()&types.IsString == 0 {
		return
	}
	from := fl.pass.TypesInfo.TypeOf(call.Args[0])
	if _, already := from.Underlying().(*types.Basic); !already && fl.secret(call.Args[0]) {
		fl.report(call.Pos(), "secret made a string outside the opener")
	}
}

// stringly is a call that makes bytes a string: an encoding, a builder.
func (fl *flow) stringly(call *ast.CallExpr, obj types.Object) bool {
	if fl.opener {
		return false
	}
	if b, ok := obj.(*types.Builtin); ok && b.Name() == "String" { // unsafe.String(&v[0], n)
		return fl.held[fl.root(call.Args[0])]
	}
	fn, ok := obj.(*types.Func)
	if !ok {
		return false
	}
	result, ok := fl.pass.TypesInfo.TypeOf(call).(*types.Basic)
	if !ok || result.Info()&types.IsString == 0 {
		return false
	}
	if sel, ok := ast.Unparen(call.Fun).(*ast.SelectorExpr); ok && isBuffer(fn) {
		return fl.exposed(sel.X)
	}
	if !passesOn(fn) {
		return false
	}
	for _, arg := range call.Args {
		if _, text := fl.pass.TypesInfo.TypeOf(arg).Underlying().(*types.Basic); fl.exposed(arg) && !text {
			return true
		}
	}
	return false
}

// returned: whoever gets exposed bytes from a function must be able to see it.
func (fl *flow) returned(ret *ast.ReturnStmt) {
	if fl.opener || fl.fact(fl.self) {
		return
	}
	for _, e := range ret.Results {
		if fl.exposed(e) && !fl.secretType(fl.pass.TypesInfo.TypeOf(e)) {
			fl.report(e.Pos(), "exposed secret returned by a function without "+Directive)
		}
	}
}

// kept: a variable of the package outlives every lease.
func (fl *flow) kept(n *ast.AssignStmt) {
	for i, l := range n.Lhs {
		r := n.Rhs[min(i, len(n.Rhs)-1)]
		obj := fl.root(l)
		if obj != nil && obj.Parent() == fl.pass.Pkg.Scope() && carries(fl.pass.TypesInfo.TypeOf(l)) && fl.secret(r) {
			fl.report(l.Pos(), "secret kept in a variable of the package")
		}
	}
}

func (fl *flow) report(pos token.Pos, text string) {
	if f := (finding{pos, text}); !fl.told[f] {
		fl.told[f] = true
		fl.pass.Report(analysis.Diagnostic{Pos: pos, Message: text})
	}
}

func (fl *flow) callee(call *ast.CallExpr) types.Object {
	switch f := ast.Unparen(call.Fun).(type) {
	case *ast.Ident:
		return fl.pass.TypesInfo.Uses[f]
	case *ast.SelectorExpr:
		return fl.pass.TypesInfo.Uses[f.Sel]
	case *ast.IndexExpr:
		if sel, ok := f.X.(*ast.SelectorExpr); ok {
			return fl.pass.TypesInfo.Uses[sel.Sel]
		}
	}
	return nil
}

// sink says where a function takes its arguments to; "" if nowhere that counts.
func sink(obj types.Object) string {
	if b, ok := obj.(*types.Builtin); ok {
		switch b.Name() {
		case "panic", "print", "println":
			return b.Name()
		}
		return ""
	}
	fn, ok := obj.(*types.Func)
	if !ok || fn.Pkg() == nil {
		return ""
	}
	path := fn.Pkg().Path()
	switch path {
	case "fmt", "log", "log/slog", "log/syslog", "errors", "expvar", "runtime/trace":
		return path
	case "encoding/json", "encoding/xml", "encoding/gob", "encoding/csv":
		if !strings.HasPrefix(fn.Name(), "Unmarshal") && !strings.HasPrefix(fn.Name(), "Decode") && !strings.HasPrefix(fn.Name(), "NewDecoder") && !strings.HasPrefix(fn.Name(), "Valid") {
			return path
		}
	case "text/template", "html/template":
		return path
	case "database/sql", "database/sql/driver":
		return "SQL"
	}
	switch {
	case path == "os" || path == "io/ioutil":
		return "a file"
	case path == "os/exec" || path == "syscall":
		return "another process"
	case path == "context" && fn.Name() == "WithValue":
		return "a context"
	case path == "net/http" && (fn.Name() == "Error" || fn.Name() == "Redirect" || fn.Name() == "NewRequest" || fn.Signature().Recv() != nil && (fn.Name() == "Set" || fn.Name() == "Add")):
		return "an HTTP header or URL"
	case path == "net/url" && fn.Signature().Recv() != nil:
		return "an HTTP header or URL"
	case strings.HasPrefix(path, "go.opentelemetry.io/otel"):
		return "OpenTelemetry"
	case strings.HasPrefix(path, "github.com/jackc/pgx/"):
		return "SQL"
	case strings.HasPrefix(path, "github.com/prometheus/"):
		return "a metric"
	}
	return ""
}
