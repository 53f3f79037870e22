package verify

import "github.com/sealtrail/sealtrail/audit"

// Trails is the last known entry of every subject, and what the last log came to. Pass the same Trails to the verification of one
// institution's logs, oldest first: trails run on from one log to the next, whose first entry names the former's final size and
// root. Its memory grows with the number of subjects, about 150 bytes each.
//
// The zero value is ready to use. Not safe for concurrent use.
type Trails struct {
	place map[string]int
	heads []head
	last  *final // the log verified before; nil: none
	ends  trailEnds
}

// head is the last entry of one trail.
type head struct {
	n    uint64
	hash [32]byte
	slot int // in ends
}

// Len returns the number of subjects.
func (t *Trails) Len() int { return len(t.heads) }

// follow checks that the entry continues its subject's trail and takes it up. earlier allows a trail that is not known here to
// have begun in an earlier log; known then tells whether it was. excused says of a former hash that it belongs to an entry
// already named as damaged.
func (t *Trails) follow(v *audit.LeafView, hash [32]byte, earlier bool, excused func([32]byte) bool) (known, ok bool) {
	i, known := t.place[string(v.Subject())]
	if !known {
		if t.place == nil {
			t.place = map[string]int{}
		}
		t.place[string(v.Subject())] = len(t.heads)
		slot := t.ends.enter(v.Subject())
		t.heads = append(t.heads, head{v.TrailN, hash, slot})
		t.ends.took(slot, v.TrailN, hash)
		first := v.TrailN == 1 && v.TrailPrev == [32]byte{}
		continued := v.TrailN > 1 && (earlier || excused(v.TrailPrev))
		return v.TrailN == 1, first || continued
	}
	h := &t.heads[i]
	ok = v.TrailN == h.n+1 && v.TrailPrev == h.hash || excused(v.TrailPrev)
	*h = head{v.TrailN, hash, h.slot}
	t.ends.took(h.slot, v.TrailN, hash)
	return true, ok
}
