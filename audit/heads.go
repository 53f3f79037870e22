package audit

import (
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"strconv"
	"strings"
)

// The heads map (docs/formats/evidence-bundle.md, rule 8): a sparse Merkle tree over the ends of all trails. An entry of the kind
// HeadsKind commits to its root; from it follows "these n entries and no others" and "no such trail".
const (
	HeadsKind    = "trail.heads"
	HeadsSubject = "charter:heads"
	HeadsDir     = "heads"

	// HeadsReach is how many entries may stand between the size that a HeadsKind entry speaks of and the entry itself: a verifier
	// keeps so many in mind.
	HeadsReach = 1 << 18
)

// headLabel separates the keys of trails from every other use of SHA-256 in the project.
const headLabel = "sealtrail/trail/v1\n"

// ErrHeads is wrapped by every refusal of a proof or a file of heads.
var ErrHeads = errors.New("heads of trails")

// Head is the end of one trail: how many entries it has and the leaf hash of the last.
type Head struct {
	Key  [32]byte // HeadKey of the subject
	N    uint64   // from 1
	Last [32]byte
}

// HeadKey returns the place of a subject's trail in the map.
func HeadKey[T ~string | ~[]byte](subject T) [32]byte {
	var buf [256]byte
	return sha256.Sum256(append(append(buf[:0], headLabel...), subject...))
}

// InHeads reports whether the trail of the subject is in the map. Trails of one request or query are left out: they have one or two
// entries, never grow again and are nearly all there are.
func InHeads[T ~string | ~[]byte](subject T) bool {
	return !hasPrefix(subject, "request:") && !hasPrefix(subject, "query:")
}

func hasPrefix[T ~string | ~[]byte](s T, prefix string) bool {
	return len(s) >= len(prefix) && string(s[:len(prefix)]) == prefix
}

// HeadsPath returns where the heads after size entries lie in a published folder.
func HeadsPath(size uint64) string { return HeadsDir + "/" + strconv.FormatUint(size, 10) }

// HeadsSize is the inverse of HeadsPath; ok is false for any other name.
func HeadsSize(path string) (size uint64, ok bool) {
	name, ok := strings.CutPrefix(path, HeadsDir+"/")
	size, err := strconv.ParseUint(name, 10, 64)
	return size, ok && err == nil && HeadsPath(size) == path
}

// Hash returns the leaf of the map: SHA-256(0x00 || key || n || last).
func (h *Head) Hash() [32]byte {
	var buf [1 + HeadRecord]byte
	buf[0] = leafPrefix
	h.put(buf[1:])
	return sha256.Sum256(buf[:])
}

func (h *Head) put(b []byte) {
	copy(b, h.Key[:])
	binary.BigEndian.PutUint64(b[32:], h.N)
	copy(b[40:], h.Last[:])
}

// HeadProof leads from the end of a trail, or from its absence, to the root of a heads map.
type HeadProof struct {
	Path  [][32]byte // siblings from the root downwards; zero: nothing there
	Other *Head      // in a proof of absence: the only trail below the path; nil: none
}

// VerifyHead returns nil if the proof shows that the map of that root holds h. The error wraps [ErrHeads].
func VerifyHead(root [32]byte, h Head, p HeadProof) error {
	if p.Other != nil || h.N == 0 {
		return fmt.Errorf("%w: a proof of absence, or of a trail without entries", ErrHeads)
	}
	return climb(root, h.Key, h.Hash(), p.Path)
}

// VerifyNoHead returns nil if the proof shows that the map of that root has no trail of that key. The error wraps [ErrHeads].
func VerifyNoHead(root, key [32]byte, p HeadProof) error {
	if p.Other == nil {
		return climb(root, key, [32]byte{}, p.Path)
	}
	if p.Other.Key == key || p.Other.N == 0 || len(p.Path) > 256 || sharedBits(p.Other.Key, key) < len(p.Path) {
		return fmt.Errorf("%w: the other trail is not beside the missing one", ErrHeads)
	}
	return climb(root, key, p.Other.Hash(), p.Path)
}

// climb hashes from the end of a path up to the root.
func climb(root, key, hash [32]byte, path [][32]byte) error {
	if len(path) > 256 {
		return fmt.Errorf("%w: path of %d hashes", ErrHeads, len(path))
	}
	for d := len(path) - 1; d >= 0; d-- {
		if bit(&key, d) == 0 {
			hash = NodeHash(hash, path[d])
		} else {
			hash = NodeHash(path[d], hash)
		}
	}
	if hash != root {
		return fmt.Errorf("%w: the path does not lead to the root", ErrHeads)
	}
	return nil
}

// bit returns bit d of a key, the most significant of the first byte being bit 0.
func bit(key *[32]byte, d int) byte { return key[d>>3] >> (7 - d&7) & 1 }

// sharedBits returns how many bits two keys begin with alike.
func sharedBits(a, b [32]byte) int {
	d := 0
	for d < 256 && bit(&a, d) == bit(&b, d) {
		d++
	}
	return d
}
