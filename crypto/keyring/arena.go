package keyring

import "github.com/sealtrail/sealtrail/crypto/field"

// arena is where the bytes of the keys lie: one block, locked and left out of
// core dumps where the system allows. Guarded by Keyring.mu.
type arena struct {
	locked bool
	free   [][]byte
	inside map[*byte]bool
}

// newArena makes room for n keys. Keys beyond that (voided but still held) go
// to the heap.
func newArena(n int) *arena {
	block, locked := lockedBlock(n * field.KeySize)
	a := &arena{locked: locked, free: make([][]byte, 0, n), inside: make(map[*byte]bool, n)}
	for i := range n {
		s := block[i*field.KeySize : (i+1)*field.KeySize : (i+1)*field.KeySize]
		a.free = append(a.free, s)
		a.inside[&s[0]] = true
	}
	return a
}

func (a *arena) get() []byte {
	n := len(a.free)
	if n == 0 {
		return make([]byte, field.KeySize)
	}
	s := a.free[n-1]
	a.free = a.free[:n-1]
	return s
}

// put takes a slot back. It was cleared by field.Key.Destroy.
func (a *arena) put(s []byte) {
	if a.inside[&s[0]] {
		a.free = append(a.free, s)
	}
}
