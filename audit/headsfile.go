package audit

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"slices"
)

// HeadRecord is the length of one record in a file of heads: key, n as 8 bytes big-endian, last.
const HeadRecord = 32 + 8 + 32

// HeadFile holds the ends of all trails, one record after the other, ascending by key: the file heads/<size> of a published folder.
// It is believed for nothing: compare [HeadFile.Root] with the root that an entry commits to.
type HeadFile []byte

// NewHeadFile sorts the heads, which it changes, and returns their file. The error wraps [ErrHeads] if a key stands twice.
func NewHeadFile(heads []Head) (HeadFile, error) {
	slices.SortFunc(heads, func(a, b Head) int { return bytes.Compare(a.Key[:], b.Key[:]) })
	f := make(HeadFile, 0, len(heads)*HeadRecord)
	for i := range heads {
		f = append(f, make([]byte, HeadRecord)...)
		heads[i].put(f[len(f)-HeadRecord:])
	}
	return f, f.Check()
}

// Check returns nil if the file has whole records of trails with entries, in order. The error wraps [ErrHeads].
func (f HeadFile) Check() error {
	if len(f)%HeadRecord != 0 {
		return fmt.Errorf("%w: file of %d bytes", ErrHeads, len(f))
	}
	for i := range f.Len() {
		if i > 0 && bytes.Compare(f.key(i-1), f.key(i)) >= 0 {
			return fmt.Errorf("%w: record %d is out of order", ErrHeads, i)
		}
		if f.At(i).N == 0 {
			return fmt.Errorf("%w: record %d has no entries", ErrHeads, i)
		}
	}
	return nil
}

// Len returns the number of trails.
func (f HeadFile) Len() int { return len(f) / HeadRecord }

// At returns a record.
func (f HeadFile) At(i int) (h Head) {
	r := f[i*HeadRecord:][:HeadRecord]
	copy(h.Key[:], r)
	h.N = binary.BigEndian.Uint64(r[32:])
	copy(h.Last[:], r[40:])
	return h
}

func (f HeadFile) key(i int) []byte { return f[i*HeadRecord:][:32] }

// Root returns the root over all trails of a file that [HeadFile.Check] accepts.
func (f HeadFile) Root() [32]byte { return f.root(0) }

// root hashes the subtree at depth d that holds these records and no others.
func (f HeadFile) root(d int) [32]byte {
	switch f.Len() {
	case 0:
		return [32]byte{}
	case 1:
		h := f.At(0)
		return h.Hash()
	}
	left, right := f.split(d)
	return NodeHash(left.root(d+1), right.root(d+1))
}

// split parts the records by bit d of their keys.
func (f HeadFile) split(d int) (left, right HeadFile) {
	low, high := 0, f.Len()
	for low < high {
		if mid := (low + high) / 2; f[mid*HeadRecord+d>>3]>>(7-d&7)&1 == 0 {
			low = mid + 1
		} else {
			high = mid
		}
	}
	return f[:low*HeadRecord], f[low*HeadRecord:]
}

// Prove returns the head of that key with its proof; for a key that is not there, a zero Head with the proof of its absence. The file
// must be one that [HeadFile.Check] accepts.
func (f HeadFile) Prove(key [32]byte) (Head, HeadProof) {
	var p HeadProof
	for d := 0; f.Len() > 1; d++ {
		left, right := f.split(d)
		if bit(&key, d) == 0 {
			p.Path = append(p.Path, right.root(d+1))
			f = left
		} else {
			p.Path = append(p.Path, left.root(d+1))
			f = right
		}
	}
	if f.Len() == 0 {
		return Head{}, p
	}
	h := f.At(0)
	if h.Key != key {
		p.Other = &h
		return Head{}, p
	}
	return h, p
}
