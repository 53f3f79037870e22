package policy

import "encoding/hex"

// groupMeta is the index of group meta in groups.
const groupMeta = 0

// decisionID is 96 random bits.
type decisionID [12]byte

// String renders lower-case hex; empty for the zero id.
func (id decisionID) String() string {
	if id == (decisionID{}) {
		return ""
	}
	return hex.EncodeToString(id[:])
}

// cell is one answer of the table: immutable, shared by every decision with the same finite attributes.
type cell struct {
	allow, record bool
	groups        [16]Effect
	fields        []Effect
	reason        string
	obligations   []Obligation
}

// Snapshot is one activated bundle, immutable.
type Snapshot struct {
	digest     string
	sequence   uint64
	catalogue  Catalogue
	fieldIndex map[string]int
}

func groupIndex(name string) (int, bool) {
	for i, g := range groups {
		if g == name {
			return i, true
		}
	}
	return 0, false
}
