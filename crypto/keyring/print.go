package keyring

import (
	"fmt"
	"log/slog"
)

// What holds a key, or lends one, prints as this under every verb, in JSON and
// in slog: a list of items in a debugging line must not be a list of keys.
const hidden = "[sealed]"

// Format writes "[sealed]" for every verb.
func (WrapItem) Format(s fmt.State, _ rune) { _, _ = s.Write([]byte(hidden)) }

// MarshalText returns "[sealed]".
func (WrapItem) MarshalText() ([]byte, error) { return []byte(hidden), nil }

// LogValue returns "[sealed]".
func (WrapItem) LogValue() slog.Value { return slog.StringValue(hidden) }

// Format writes "[sealed]" for every verb.
func (UnwrapResult) Format(s fmt.State, _ rune) { _, _ = s.Write([]byte(hidden)) }

// MarshalText returns "[sealed]".
func (UnwrapResult) MarshalText() ([]byte, error) { return []byte(hidden), nil }

// LogValue returns "[sealed]".
func (UnwrapResult) LogValue() slog.Value { return slog.StringValue(hidden) }

// Format writes "[sealed]" for every verb.
func (*Lease) Format(s fmt.State, _ rune) { _, _ = s.Write([]byte(hidden)) }

// MarshalText returns "[sealed]".
func (*Lease) MarshalText() ([]byte, error) { return []byte(hidden), nil }

// LogValue returns "[sealed]".
func (*Lease) LogValue() slog.Value { return slog.StringValue(hidden) }
