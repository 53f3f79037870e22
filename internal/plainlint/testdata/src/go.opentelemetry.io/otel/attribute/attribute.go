// Package attribute stands in for the real one.
package attribute

// KeyValue is an attribute.
type KeyValue struct{}

// String makes one.
func String(k, v string) KeyValue { return KeyValue{} }

// Stringer makes one.
func Stringer(k string, v interface{ String() string }) KeyValue { return KeyValue{} }
