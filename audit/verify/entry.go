package verify

import (
	"bytes"
	"hash/maphash"

	"github.com/sealtrail/sealtrail/audit"
)

// entry checks one entry's own bytes: steps 5, 6 and 7. damaged tells that step 4 has named it already; its form is then not
// reported again.
func (w *walker) entry(index uint64, raw []byte, hash [32]byte, damaged bool) error {
	v := &w.view
	w.rep.Counts.Entries++
	if w.opts.TreeOnly {
		return nil
	}
	if err := audit.ScanLeaf(raw, v); err != nil {
		if !damaged {
			w.badEntry(index, "not_canonical", say("entry %d: %v", "第 %d 条:%v", index, err))
		}
		w.damage(hash)
		return nil
	}
	if index == 0 {
		w.firstPlace = bytes.Clone(v.Institution())
		w.rep.Simulated = v.Sim()
		w.follows = string(v.Kind()) == openedKind && w.trails.Len() == 0
		w.opens(v)
	}
	w.closes(index, v)
	if v.Index != index {
		w.badEntry(index, "index", say("entry %d says that it is %d", "第 %d 条自称为第 %d 条", index, v.Index))
		return nil
	}
	w.place(index, v)
	if w.opts.Schema != nil {
		if err := w.opts.Schema(v); err != nil {
			w.badEntry(index, "schema", say("entry %d: %v", "第 %d 条:%v", index, err))
		}
	}
	w.trails.ends.place = w.trails.ends.first + index
	w.committedHeads(index, v)
	w.trail(index, v, hash)
	w.count(v)
	w.names(index, v)
	if w.opts.Entries != nil {
		return w.opts.Entries(v)
	}
	return nil
}

func (w *walker) badEntry(index uint64, code string, t Text) {
	w.rep.find(StepEntries, Finding{Code: code, From: at(index), To: at(index), Text: t})
}

// place checks what ties an entry to this log.
func (w *walker) place(index uint64, v *audit.LeafView) {
	if string(v.Log()) != w.head.Origin {
		w.badEntry(index, "origin", say("entry %d belongs to log %q", "第 %d 条属于日志 %q", index, string(v.Log())))
	}
	if !bytes.Equal(v.Institution(), w.firstPlace) {
		w.badEntry(index, "institution", say("entry %d is of institution %q", "第 %d 条属于机构 %q", index, string(v.Institution())))
	}
	if bytes.Compare(v.RawSeqAt(), w.lastSeq) < 0 {
		w.badEntry(index, "time_order", say("entry %d was sequenced at %s, before the one in front of it", "第 %d 条的定序时间 %s 早于前一条", index, string(v.RawSeqAt())))
	}
	w.lastSeq = append(w.lastSeq[:0], v.RawSeqAt()...)
}

// trail checks that the entry follows its subject's former one: step 6.
func (w *walker) trail(index uint64, v *audit.LeafView, hash [32]byte) {
	known, ok := w.trails.follow(v, hash, w.follows, func(prev [32]byte) bool { return len(w.damaged) > 0 && w.damaged[prev] })
	if !ok {
		w.rep.find(StepTrails, Finding{Code: "trail_broken", From: at(index), To: at(index),
			Text: say("entry %d says it is number %d of its subject's trail; the entry before it there is not the one it names", "第 %d 条自称为该轨迹第 %d 步,但其前一步并非所指记录", index, v.TrailN)})
		return
	}
	if !known {
		w.carried++
	}
}

// count follows requests from intent to outcome. A request is remembered by a 64-bit hash while it is open.
func (w *walker) count(v *audit.LeafView) {
	switch v.Stage() {
	case audit.StageIntent:
		w.rep.Counts.Intents++
		if r := v.Request(); len(r) > 0 {
			w.requests[maphash.Bytes(w.seed, r)] = struct{}{}
		}
	case audit.StageOutcome:
		w.rep.Counts.Outcomes++
		delete(w.requests, maphash.Bytes(w.seed, v.Request()))
	case audit.StageEvent: // concerns no request that is open
	}
}

// digestFact is the fact by which an entry names a blob (docs/formats/trail-entry.md).
const digestFact = "digest"

// names takes up the blobs that an entry names.
func (w *walker) names(index uint64, v *audit.LeafView) {
	if b := v.Bundle(); len(b) > 0 && !bytes.Equal(b, w.lastBundle) {
		w.lastBundle = append(w.lastBundle[:0], b...)
		w.name(index, b)
	}
	if !v.MayHaveFact(digestFact) {
		return
	}
	if f, ok := v.Fact(digestFact); ok {
		if s, isText := f.Value().(string); isText && len(s) == 2*audit.HashSize {
			w.name(index, []byte(s))
		}
	}
}

func (w *walker) name(index uint64, digest []byte) {
	if _, known := w.blobs[string(digest)]; !known {
		w.blobs[string(digest)] = index
	}
}
