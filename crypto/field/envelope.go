package field

import (
	"encoding/binary"
	"math/bits"
)

const (
	// Overhead is what an envelope adds to the (padded) plaintext, in bytes.
	Overhead = headerSize + nonceSize + tagSize

	headerSize = 20
	nonceSize  = 12
	tagSize    = 16

	envelopeVersion byte = 1

	// flagPadded: the plaintext ends with 0x80 and zeros, removed after opening.
	flagPadded byte = 1
	// flagNull: there is no value; the plaintext is empty.
	flagNull byte = 2

	// bucket is the step to which short identifiers are padded and the least
	// size of padded text, in bytes: an 18-digit ID number, a 19-digit card and
	// a phone number become equally long.
	bucket = 32
)

// Shape says how a value is laid out before encryption, and so what its length
// reveals. Open needs no Shape: the envelope's authenticated flags say it.
type Shape byte

const (
	// Exact keeps the length: for values of one fixed length, or open to all.
	Exact Shape = iota
	// Short pads to the next multiple of 32 bytes: names, numbers, identifiers.
	Short
	// Text pads by Padme (at most 12 % more, O(log log n) bits of length leak),
	// at least to 32 bytes: free text.
	Text
	// Null seals "no value". The plaintext MUST be empty.
	Null
)

func (s Shape) flags() byte {
	switch s {
	case Short, Text:
		return flagPadded
	case Null:
		return flagNull
	default:
		return 0
	}
}

// paddedLen is the length of n value bytes plus the 0x80 marker after padding.
func (s Shape) paddedLen(n int) int {
	switch s {
	case Short:
		return (n + 1 + bucket - 1) / bucket * bucket
	case Text:
		return max(bucket, padme(n+1))
	default:
		return n
	}
}

// padme rounds n up so that only its highest bits vary (Padme, PETS 2019):
// with E = floor(log2 n), the lowest E - (floor(log2 E) + 1) bits become zero.
func padme(n int) int {
	if n < 2 {
		return n
	}
	e := bits.Len(uint(n)) - 1
	mask := 1<<(e-bits.Len(uint(e))) - 1
	return (n + mask) &^ mask
}

// pad lays plaintext out in c.scratch. The caller clears it after use.
func (c *core) pad(plaintext []byte, s Shape) []byte {
	n := s.paddedLen(len(plaintext))
	b := append(c.room(n), plaintext...)
	b = append(b, 0x80)
	b = b[:n]
	clear(b[len(plaintext)+1:])
	return b
}

// room returns the empty scratch with room for n bytes. What is written there
// the caller clears after use.
func (c *core) room(n int) []byte {
	if cap(c.scratch) < n {
		c.scratch = make([]byte, 0, max(n, 512))
	}
	return c.scratch
}

// unpad removes 0x80 00*. It runs on authenticated bytes only, so its timing
// tells nobody anything about a chosen ciphertext.
func unpad(b []byte) ([]byte, bool) {
	i := len(b) - 1
	for i >= 0 && b[i] == 0 {
		i--
	}
	if i < 0 || b[i] != 0x80 {
		return nil, false
	}
	return b[:i:i], true
}

// appendHeader writes the clear part of the envelope:
//
//	u8 version=1 | u8 suite | u8 flags | u8 zero | u32 generation | u32 schema_version | u64 revision
func (p *Place) appendHeader(b []byte, flags byte) []byte {
	b = append(b, envelopeVersion, p.suite(), flags, 0)
	b = binary.BigEndian.AppendUint32(b, p.Generation)
	b = binary.BigEndian.AppendUint32(b, p.SchemaVersion)
	return binary.BigEndian.AppendUint64(b, p.Revision)
}

// readHeader compares the envelope's clear part with the place and returns the
// flags, which the AAD authenticates. "" means no finding.
func (p *Place) readHeader(env []byte) (flags byte, finding string) {
	if len(env) < Overhead || len(env) > Overhead+maxSealed {
		return 0, "envelope.length"
	}
	flags = env[2]
	switch {
	case env[0] != envelopeVersion:
		return 0, "envelope.version"
	case env[1] != p.suite():
		return 0, "envelope.suite"
	case flags != 0 && flags != flagPadded && flags != flagNull:
		return 0, "envelope.flags"
	case env[3] != 0:
		return 0, "envelope.reserved"
	case binary.BigEndian.Uint32(env[4:]) != p.Generation:
		return 0, "envelope.generation"
	case binary.BigEndian.Uint32(env[8:]) != p.SchemaVersion:
		return 0, "envelope.schema"
	case binary.BigEndian.Uint64(env[12:]) != p.Revision:
		return 0, "envelope.revision"
	case flags == flagNull && len(env) != Overhead:
		return 0, "envelope.length"
	}
	return flags, ""
}

// maxSealed bounds what Open will decrypt: MaxPlaintext with its padding.
const maxSealed = MaxPlaintext + MaxPlaintext/8
