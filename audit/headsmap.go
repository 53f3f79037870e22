package audit

// Heads is a heads map that grows: what a verifier keeps while it walks through a log. Set is cheap and Root hashes only what was set
// since it was last called. Memory is about 170 bytes per trail.
//
// The zero value is the empty map. Not safe for concurrent use.
type Heads struct {
	root   ref
	nodes  []headNode
	leaves []headLeaf
}

// ref names nothing (0), a node (its place plus one) or a leaf (the same with leafBit).
type ref uint32

const leafBit = 1 << 31

type headNode struct {
	hash  [32]byte
	child [2]ref
	dirty bool // hash is to be computed anew
}

type headLeaf struct {
	Head
	hash [32]byte
}

// Len returns the number of trails.
func (m *Heads) Len() int { return len(m.leaves) }

// Set puts the end of a trail in, in place of its former one.
func (m *Heads) Set(h Head) {
	at, hash := &m.root, h.Hash()
	for d := 0; ; d++ {
		switch r := *at; {
		case r == 0:
			*at = m.leaf(h, hash)
			return
		case r&leafBit != 0:
			old := &m.leaves[r&^leafBit-1]
			if old.Key == h.Key {
				old.Head, old.hash = h, hash
				return
			}
			m.split(at, d, h, hash)
			return
		default:
			n := &m.nodes[r-1]
			n.dirty = true
			at = &n.child[bit(&h.Key, d)]
		}
	}
}

func (m *Heads) leaf(h Head, hash [32]byte) ref {
	m.leaves = append(m.leaves, headLeaf{h, hash})
	return ref(len(m.leaves)) | leafBit
}

// split puts nodes where one leaf was, down to where the two keys part. at may lie in m.nodes, which grows: the nodes are made first.
func (m *Heads) split(at *ref, depth int, h Head, hash [32]byte) {
	old := *at
	other := &m.leaves[old&^leafBit-1].Key
	last := sharedBits(*other, h.Key)
	first, side := ref(len(m.nodes)+1), bit(other, last)
	*at = first // before the nodes may move: at points to the old ones or to the root
	for d := depth; d < last; d++ {
		n := headNode{dirty: true}
		n.child[bit(&h.Key, d)] = ref(len(m.nodes) + 2)
		m.nodes = append(m.nodes, n)
	}
	n := headNode{dirty: true}
	n.child[side], n.child[1-side] = old, m.leaf(h, hash)
	m.nodes = append(m.nodes, n)
}

// Root returns the root over all trails; 32 zero bytes for none.
func (m *Heads) Root() [32]byte { return m.hash(m.root) }

func (m *Heads) hash(r ref) [32]byte {
	switch {
	case r == 0:
		return [32]byte{}
	case r&leafBit != 0:
		return m.leaves[r&^leafBit-1].hash
	}
	n := &m.nodes[r-1]
	if n.dirty {
		n.hash = NodeHash(m.hash(n.child[0]), m.hash(n.child[1]))
		n.dirty = false
	}
	return n.hash
}

// Prove returns the head of that key with its proof; for a key that is not there, a zero Head with the proof of its absence.
func (m *Heads) Prove(key [32]byte) (Head, HeadProof) {
	var p HeadProof
	r := m.root
	for d := 0; r != 0 && r&leafBit == 0; d++ {
		n := &m.nodes[r-1]
		side := bit(&key, d)
		p.Path = append(p.Path, m.hash(n.child[1-side]))
		r = n.child[side]
	}
	if r == 0 {
		return Head{}, p
	}
	h := m.leaves[r&^leafBit-1].Head
	if h.Key != key {
		p.Other = &h
		return Head{}, p
	}
	return h, p
}
