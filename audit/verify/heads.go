package verify

import (
	"encoding/hex"
	"sort"

	"github.com/sealtrail/sealtrail/audit"
)

// trailEnds follows the ends of all trails through an institution's logs and recomputes what trail.heads entries commit to
// (docs/formats/evidence-bundle.md, rule 8). An entry speaks of a size that lies a little before itself: what moved since is kept in
// mind, up to audit.HeadsReach entries back.
type trailEnds struct {
	place uint64            // entries in front of the one at hand, over all logs
	first uint64            // place of the first entry of the log at hand
	begin map[string]uint64 // origin -> place of its first entry
	ends  []audit.Head      // by slot, as of place base
	base  uint64
	moves []move // at base and behind it, by place

	tree   audit.Heads // as of place done
	done   uint64
	marked []uint32 // by slot: round in which it was put into the tree
	round  uint32
}

// move is one entry that moved the end of a trail.
type move struct {
	place uint64
	slot  int
	n     uint64
	hash  [32]byte
}

// opened tells that the next entry is the first of that log.
func (e *trailEnds) opened(origin string) {
	if e.begin == nil {
		e.begin = map[string]uint64{}
	}
	e.begin[origin], e.first = e.place, e.place
}

// notInHeads is the slot of a trail that the map leaves out.
const notInHeads = -1

// enter gives a new trail its slot.
func (e *trailEnds) enter(subject []byte) int {
	if !audit.InHeads(subject) {
		return notInHeads
	}
	e.ends, e.marked = append(e.ends, audit.Head{Key: audit.HeadKey(subject)}), append(e.marked, 0)
	return len(e.ends) - 1
}

// took takes the next entry up.
func (e *trailEnds) took(slot int, n uint64, hash [32]byte) {
	if slot != notInHeads {
		if len(e.moves) > audit.HeadsReach+audit.HeadsReach/4 {
			e.forget()
		}
		e.moves = append(e.moves, move{e.place, slot, n, hash})
	}
}

// forget lets go of what no later entry may speak of.
func (e *trailEnds) forget() {
	until := e.place - audit.HeadsReach
	if e.done > 0 { // a log that commits to no ends needs no map of them
		e.advance(until)
	}
	i := e.before(until)
	for _, m := range e.moves[:i] {
		e.ends[m.slot].N, e.ends[m.slot].Last = m.n, m.hash
	}
	e.base, e.moves = until, append(e.moves[:0], e.moves[i:]...)
}

// before returns how many moves lie before a place.
func (e *trailEnds) before(place uint64) int {
	return sort.Search(len(e.moves), func(i int) bool { return e.moves[i].place >= place })
}

// advance brings the tree to a place; each trail is set once.
func (e *trailEnds) advance(place uint64) {
	if place <= e.done {
		return
	}
	if e.done < e.base { // the first time that the map is wanted
		for _, h := range e.ends {
			if h.N > 0 {
				e.tree.Set(h)
			}
		}
		e.done = e.base
	}
	e.round++
	for i, from := e.before(place)-1, e.before(e.done); i >= from; i-- {
		m := &e.moves[i]
		if e.marked[m.slot] == e.round {
			continue
		}
		e.marked[m.slot] = e.round
		e.tree.Set(audit.Head{Key: e.ends[m.slot].Key, N: m.n, Last: m.hash})
	}
	e.done = place
}

// at returns root and number of trails as of a place; ok is false for one too far back.
func (e *trailEnds) at(place uint64) (root [32]byte, trails int, ok bool) {
	if place < e.base || place > e.place {
		return root, 0, false
	}
	if place >= e.done {
		e.advance(place)
		return e.tree.Root(), e.tree.Len(), true
	}
	// Another replica's entry, of a smaller size than one before it: seldom enough to build a map for it alone.
	var tree audit.Heads
	for _, h := range e.ends {
		if h.N > 0 {
			tree.Set(h)
		}
	}
	for _, m := range e.moves[:e.before(place)] {
		tree.Set(audit.Head{Key: e.ends[m.slot].Key, N: m.n, Last: m.hash})
	}
	return tree.Root(), tree.Len(), true
}

// committedHeads judges a trail.heads entry.
func (w *walker) committedHeads(index uint64, v *audit.LeafView) {
	if string(v.Kind()) != audit.HeadsKind || string(v.Subject()) != audit.HeadsSubject || v.Stage() != audit.StageEvent {
		return
	}
	if w.follows {
		w.headsSkipped++
		return
	}
	f, ok := statement(v)
	count, _ := v.Fact("trails")
	trails, isInt := count.Value().(int64)
	begin, known := w.trails.ends.begin[f.origin]
	if !ok || !isInt || !known {
		w.badHeads(index, "heads_form", say("entry %d commits to the ends of trails without saying which, of which log and size", "第 %d 条汇总轨迹终点,但未载明所属日志、规模或根", index))
		return
	}
	place := begin + f.size
	if f.origin == w.head.Origin && f.size > index || place > w.trails.ends.place {
		w.badHeads(index, "heads_form", say("entry %d commits to the ends of trails behind itself", "第 %d 条汇总了其后的轨迹终点", index))
		return
	}
	root, n, ok := w.trails.ends.at(place)
	switch got := hex.EncodeToString(root[:]); {
	case !ok:
		w.badHeads(index, "heads_reach", say("entry %d commits to the ends of trails too far back (size %d)", "第 %d 条汇总的规模(%d)距其过远", index, f.size))
	case got != f.root || int64(n) != trails:
		w.headsBad(index, Finding{Code: "heads_root", Want: f.root, Got: got,
			Text: say("entry %d commits to other ends of trails than the first %d entries give", "第 %d 条汇总的轨迹终点与前 %d 条记录不符", index, f.size)})
	default:
		w.headsGood++
	}
}

func (w *walker) badHeads(index uint64, code string, t Text) {
	w.headsBad(index, Finding{Code: code, Text: t})
}

func (w *walker) headsBad(index uint64, f Finding) {
	f.From, f.To = at(index), at(index)
	s := &w.rep.heads
	s.Status = Failed
	if len(s.Findings) == maxFindings {
		s.More++
		return
	}
	s.Findings = append(s.Findings, f)
}

// closeHeads ends the step.
func (w *walker) closeHeads() {
	w.trails.ends.place = w.trails.ends.first + w.head.Size
	s := &w.rep.heads
	s.Name, s.Text = "trail_heads", say("ends of all trails as committed to", "轨迹终点与所提交的汇总一致")
	if w.headsSkipped > 0 {
		s.Notes = append(s.Notes, say("not checked: %d entries, since the earlier logs were not given", "未检查:%d 条(未提供此前年度的日志)", w.headsSkipped))
	}
	switch {
	case s.Status == Failed:
	case w.headsGood > 0:
		s.Status = OK
		s.Notes = append(s.Notes, say("%d entries commit to the ends of all trails, each recomputed", "%d 条记录汇总全部轨迹终点,均已重算", w.headsGood))
	default:
		s.Status = NotChecked
		if w.headsSkipped == 0 {
			s.Notes = append(s.Notes, say("not checked: no entry commits to the ends of trails", "未检查:没有记录汇总轨迹终点"))
		}
	}
}

// HeadsStep returns the step that compares what trail.heads entries commit to with the entries, under the number that the caller
// gives it: a log need not have such entries. A finding counts in [Report.OK].
func (r *Report) HeadsStep(number int) Step {
	s := r.heads
	s.Number = number
	return s
}
