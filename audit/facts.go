package audit

import "strconv"

// Facts are the clear (C1) facts of an entry. Values are string, bool, []string or an integer; [ParseBody] returns integers
// as int64. Names are lower-case letters, digits and '_'.
type Facts map[string]any

// Text returns the string fact of that name; ok is false if it is absent or of another type.
func (f Facts) Text(name string) (s string, ok bool) {
	s, ok = f[name].(string)
	return s, ok
}

// Bool returns the boolean fact of that name; ok is false if it is absent or of another type.
func (f Facts) Bool(name string) (b, ok bool) {
	b, ok = f[name].(bool)
	return b, ok
}

// List returns the list of that name; ok is false if it is absent or of another type.
func (f Facts) List(name string) (l []string, ok bool) {
	l, ok = f[name].([]string)
	return l, ok
}

// Int returns the integer of that name, whether it was written as a number or, being 64-bit, as a decimal string; ok is false
// if it is absent or neither.
func (f Facts) Int(name string) (n int64, ok bool) {
	if s, isText := f[name].(string); isText {
		n, err := strconv.ParseInt(s, 10, 64)
		return n, err == nil
	}
	return integer(f[name])
}

// integer widens the integer types that a writer may use.
func integer(v any) (int64, bool) {
	switch n := v.(type) {
	case int:
		return int64(n), true
	case int64:
		return n, true
	case int32:
		return int64(n), true
	case uint32:
		return int64(n), true
	case uint64:
		return int64(n), n <= MaxInt
	case uint:
		return int64(n), n <= MaxInt
	case uint8:
		return int64(n), true
	}
	return 0, false
}
