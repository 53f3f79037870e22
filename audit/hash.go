package audit

import (
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
)

// RFC 6962, 2.1: a leaf and an inner node are hashed with different first bytes, so that neither passes for the other.
const (
	leafPrefix = 0x00
	nodePrefix = 0x01
)

// LeafHash returns the RFC 6962 hash of an entry: SHA-256(0x00 || leaf).
func LeafHash(leaf []byte) [32]byte {
	if len(leaf) < 1024 { // the usual case: one pass over a buffer on the stack, no hash state on the heap
		var buf [1024]byte
		buf[0] = leafPrefix
		return sha256.Sum256(buf[:1+copy(buf[1:], leaf)])
	}
	h := sha256.New()
	h.Write([]byte{leafPrefix})
	h.Write(leaf)
	return [32]byte(h.Sum(nil))
}

// NodeHash returns the RFC 6962 hash of an inner node: SHA-256(0x01 || left || right).
func NodeHash(left, right [32]byte) [32]byte {
	var buf [65]byte
	buf[0] = nodePrefix
	copy(buf[1:], left[:])
	copy(buf[33:], right[:])
	return sha256.Sum256(buf[:])
}

// EmptyRoot returns the root of a log without entries: SHA-256 of nothing (RFC 6962, 2.1).
func EmptyRoot() [32]byte { return sha256.Sum256(nil) }

// commitLabel separates commitments from every other use of SHA-256 in the project.
const commitLabel = "sealtrail/commit/v1\x00"

// Commit returns the salted commitment to one value, 64 lower-case hex digits:
//
//	SHA-256("sealtrail/commit/v1" 0x00 || salt || uint32(len(path)) || path || value)
//
// The salt MUST be fresh random bytes for each value, kept with the value's opening: without it a phone number behind a plain
// hash is found by trying them all. The path is bound in, so that a commitment cannot be moved to another field.
func Commit(path string, salt [16]byte, value []byte) string {
	h := sha256.New()
	h.Write([]byte(commitLabel))
	h.Write(salt[:])
	h.Write(binary.BigEndian.AppendUint32(nil, uint32(len(path))))
	h.Write([]byte(path))
	h.Write(value)
	return hex.EncodeToString(h.Sum(nil))
}
