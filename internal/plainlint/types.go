package plainlint

import "go/types"

// secretType says whether a value of type t holds a secret where a printer or
// an encoder would find it: behind pointers, in elements, in fields.
func (fl *flow) secretType(t types.Type) bool {
	known, ok := fl.types[t]
	if !ok {
		known = fl.within(t, map[types.Type]bool{})
		fl.types[t] = known
	}
	return known
}

// marked says whether t is a type with the directive, or pointers to, lists or
// maps of one.
func (fl *flow) marked(t types.Type) bool {
	switch t := types.Unalias(t).(type) {
	case *types.Named:
		return fl.fact(t.Origin().Obj())
	case *types.Pointer:
		return fl.marked(t.Elem())
	case *types.Slice:
		return fl.marked(t.Elem())
	case *types.Array:
		return fl.marked(t.Elem())
	case *types.Map:
		return fl.marked(t.Key()) || fl.marked(t.Elem())
	}
	return false
}

func (fl *flow) within(t types.Type, seen map[types.Type]bool) bool {
	if t == nil || seen[t] {
		return false
	}
	seen[t] = true
	switch t := types.Unalias(t).(type) {
	case *types.Named:
		return fl.fact(t.Origin().Obj()) || fl.within(t.Underlying(), seen)
	case *types.Pointer:
		return fl.within(t.Elem(), seen)
	case *types.Slice:
		return fl.within(t.Elem(), seen)
	case *types.Array:
		return fl.within(t.Elem(), seen)
	case *types.Map:
		return fl.within(t.Key(), seen) || fl.within(t.Elem(), seen)
	case *types.Chan:
		return false // printed as an address
	case *types.Struct:
		for f := range t.Fields() {
			if fl.within(f.Type(), seen) || fl.fact(f) {
				return true
			}
		}
	}
	return false
}

// carries says whether a value of type t can hold the bytes of a secret: not a
// number, a truth value, an error.
func carries(t types.Type) bool {
	if t == nil {
		return false
	}
	if types.Identical(t, types.Universe.Lookup("error").Type()) {
		return false
	}
	switch u := t.Underlying().(type) {
	case *types.Basic:
		return u.Info()&types.IsString != 0
	case *types.Signature:
		return false
	case *types.Tuple:
		for v := range u.Variables() {
			if carries(v.Type()) {
				return true
			}
		}
		return false
	}
	return true
}

// isBuffer says whether a method belongs to something that collects bytes.
func isBuffer(fn *types.Func) bool {
	recv := fn.Signature().Recv()
	if recv == nil || fn.Pkg() == nil {
		return false
	}
	n, ok := types.Unalias(deref(recv.Type())).(*types.Named)
	if !ok {
		return false
	}
	switch fn.Pkg().Path() + "." + n.Obj().Name() {
	case "bytes.Buffer", "strings.Builder":
		return true
	}
	return false
}

// passesOn says whether a function's result holds what its arguments held:
// copies, parts and encodings.
func passesOn(obj types.Object) bool {
	fn, ok := obj.(*types.Func)
	if !ok || fn.Pkg() == nil {
		return false
	}
	switch fn.Pkg().Path() {
	case "bytes", "strings", "slices", "maps", "encoding/hex", "encoding/base64", "encoding/base32", "strconv",
		"net/url", "html", "golang.org/x/text/unicode/norm":
		return true
	}
	return false
}
