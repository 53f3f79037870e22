package plainlint

import (
	"go/ast"
	"go/token"
	"go/types"

	"golang.org/x/tools/go/analysis"
)

// flow is what is known of one function: the variables that ever hold a secret.
// The order of statements does not count, so a variable that is used again for
// something harmless is still one of them.
type flow struct {
	pass   *analysis.Pass
	self   types.Object        // the function; nil for variables of the package
	opener bool                // it may make strings
	types  map[types.Type]bool // what secretType found, for the whole package
	held   map[types.Object]bool
	told   map[finding]bool
}

type finding struct {
	pos  token.Pos
	text string
}

// follow finds the variables, until no more are found.
func (fl *flow) follow(root ast.Node) {
	for before := -1; before != len(fl.held); {
		before = len(fl.held)
		ast.Inspect(root, func(n ast.Node) bool {
			fl.step(n)
			return true
		})
	}
}

func (fl *flow) step(n ast.Node) {
	switch n := n.(type) {
	case *ast.AssignStmt:
		fl.assign(n.Lhs, n.Rhs)
	case *ast.ValueSpec:
		left := make([]ast.Expr, len(n.Names))
		for i, name := range n.Names {
			left[i] = name
		}
		fl.assign(left, n.Values)
	case *ast.RangeStmt:
		if n.Value != nil && fl.exposed(n.X) && !fl.small(n.Value) {
			fl.hold(n.Value)
		}
	case *ast.CallExpr:
		fl.filled(n)
	}
}

func (fl *flow) assign(left, right []ast.Expr) {
	if len(left) == len(right) {
		for i, r := range right {
			if fl.exposed(r) || fl.hides(left[i], r) {
				fl.hold(left[i])
			}
		}
		return
	}
	if len(right) != 1 || !fl.exposed(right[0]) {
		return
	}
	for _, l := range left {
		if carries(fl.pass.TypesInfo.TypeOf(l)) {
			fl.hold(l)
		}
	}
}

// hides says whether a secret is put into something whose type does not show
// it, such as an any. A handle that has a key somewhere inside, such as a file
// being read, is not meant.
func (fl *flow) hides(into, what ast.Expr) bool {
	info := fl.pass.TypesInfo
	return fl.marked(info.TypeOf(what)) && carries(info.TypeOf(into)) && !fl.secretType(info.TypeOf(into))
}

// takesIn says whether any part of an expression is, or hides, a secret.
func (fl *flow) takesIn(whole ast.Expr, parts []ast.Expr) bool {
	for _, part := range parts {
		if kv, ok := part.(*ast.KeyValueExpr); ok {
			part = kv.Value
		}
		if fl.exposed(part) || fl.hides(whole, part) {
			return true
		}
	}
	return false
}

// hold notes the variable at the root of an assignment's left side.
func (fl *flow) hold(e ast.Expr) {
	if obj := fl.root(e); obj != nil {
		fl.held[obj] = true
	}
}

// root is the variable that x, x.f, x[i] or *x is a part of.
func (fl *flow) root(e ast.Expr) types.Object {
	switch e := ast.Unparen(e).(type) {
	case *ast.Ident:
		if v, ok := fl.pass.TypesInfo.ObjectOf(e).(*types.Var); ok {
			return v
		}
	case *ast.SelectorExpr:
		return fl.root(e.X)
	case *ast.IndexExpr:
		return fl.root(e.X)
	case *ast.SliceExpr:
		return fl.root(e.X)
	case *ast.StarExpr:
		return fl.root(e.X)
	case *ast.UnaryExpr:
		return fl.root(e.X)
	}
	return nil
}

// filled notes what a call puts a secret into: copy(dst, secret), and writes to
// a buffer.
func (fl *flow) filled(call *ast.CallExpr) {
	switch f := ast.Unparen(call.Fun).(type) {
	case *ast.Ident:
		if b, ok := fl.pass.TypesInfo.Uses[f].(*types.Builtin); ok && b.Name() == "copy" && fl.exposed(call.Args[1]) {
			fl.hold(call.Args[0])
		}
	case *ast.SelectorExpr:
		fn, ok := fl.pass.TypesInfo.Uses[f.Sel].(*types.Func)
		if ok && fn.Signature().Recv() != nil && isBuffer(fn) && fl.anyExposed(call.Args) {
			fl.hold(f.X)
		}
	}
}

// secret says whether an expression holds a secret: by its type, or by where it
// comes from.
func (fl *flow) secret(e ast.Expr) bool {
	return fl.secretType(fl.pass.TypesInfo.TypeOf(e)) || fl.exposed(e)
}

// exposed says whether an expression holds the bytes of a secret themselves.
func (fl *flow) exposed(e ast.Expr) bool {
	switch e := ast.Unparen(e).(type) {
	case *ast.Ident:
		return fl.held[fl.pass.TypesInfo.ObjectOf(e)]
	case *ast.SelectorExpr:
		if fl.fact(fl.pass.TypesInfo.ObjectOf(e.Sel)) {
			return true
		}
		// A part of a variable that holds one somewhere: if it can.
		obj := fl.root(e)
		return obj != nil && fl.held[obj] && carries(fl.pass.TypesInfo.TypeOf(e)) && !fl.secretType(obj.Type())
	case *ast.IndexExpr:
		return !fl.small(e) && fl.exposed(e.X)
	case *ast.SliceExpr:
		return fl.exposed(e.X)
	case *ast.StarExpr:
		return fl.exposed(e.X)
	case *ast.UnaryExpr:
		return e.Op == token.AND && fl.exposed(e.X)
	case *ast.BinaryExpr:
		return e.Op == token.ADD && (fl.exposed(e.X) || fl.exposed(e.Y))
	case *ast.CompositeLit:
		return fl.takesIn(e, e.Elts)
	case *ast.TypeAssertExpr:
		return fl.exposed(e.X)
	case *ast.CallExpr:
		return fl.gives(e)
	}
	return false
}

// gives says whether a call's result holds a secret.
func (fl *flow) gives(call *ast.CallExpr) bool {
	info := fl.pass.TypesInfo
	if info.Types[call.Fun].IsType() { // a conversion
		return fl.takesIn(call, call.Args)
	}
	switch f := ast.Unparen(call.Fun).(type) {
	case *ast.Ident:
		if b, ok := info.Uses[f].(*types.Builtin); ok {
			return b.Name() == "append" && fl.takesIn(call, call.Args)
		}
		return fl.fact(info.Uses[f]) || passesOn(info.Uses[f]) && fl.anyExposed(call.Args)
	case *ast.SelectorExpr:
		obj := info.Uses[f.Sel]
		if fl.fact(obj) {
			return true
		}
		fn, ok := obj.(*types.Func)
		if !ok || !carries(info.TypeOf(call)) {
			return false
		}
		if isBuffer(fn) && fl.exposed(f.X) {
			return true
		}
		return passesOn(obj) && fl.anyExposed(call.Args)
	case *ast.IndexExpr: // slices.Clone[...]
		if sel, ok := f.X.(*ast.SelectorExpr); ok {
			return passesOn(info.Uses[sel.Sel]) && fl.anyExposed(call.Args)
		}
	}
	return false
}

func (fl *flow) anyExposed(list []ast.Expr) bool {
	for _, e := range list {
		if fl.exposed(e) {
			return true
		}
	}
	return false
}

// small is a number or a truth value: a single byte of a secret, its length.
func (fl *flow) small(e ast.Expr) bool { return !carries(fl.pass.TypesInfo.TypeOf(e)) }

// fact says whether an object carries the directive.
func (fl *flow) fact(obj types.Object) bool {
	switch o := obj.(type) {
	case *types.Func:
		obj = o.Origin()
	case *types.Var:
		obj = o.Origin()
	case *types.TypeName:
	default:
		return false
	}
	return obj.Pkg() != nil && fl.pass.ImportObjectFact(obj, new(isSecret))
}
