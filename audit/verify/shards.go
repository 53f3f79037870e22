package verify

import (
	"encoding/hex"

	"github.com/sealtrail/sealtrail/audit"
)

// Kinds that the log writes about itself where one year's log takes over from another (docs/formats/trail-entry.md).
const (
	openedKind = "log.opened" // first entry of a log that continues an earlier one
	closedKind = "log.closed" // last entry of a log that another continues
)

// final is what a verified log came to: what the log behind it must name.
type final struct {
	origin string
	size   uint64
	root   string // hex
}

// statement is what an entry of the two kinds says of a log: origin, size and root, as a checkpoint does.
func statement(v *audit.LeafView) (f final, ok bool) {
	size, hasSize := v.Fact("size")
	root, hasRoot := v.Fact("root")
	origin, hasOrigin := v.Fact("origin")
	n, isInt := size.Value().(int64)
	if !hasSize || !hasRoot || !hasOrigin || !isInt || n < 0 {
		return final{}, false
	}
	f.size = uint64(n)
	f.root, _ = root.Value().(string)
	f.origin, _ = origin.Value().(string)
	return f, true
}

// opens compares what a log's first entry says of the log before it with what that came to: part of step 8.
func (w *walker) opens(v *audit.LeafView) {
	f, named := final{}, false
	if string(v.Kind()) == openedKind {
		f, named = statement(v)
	}
	last := w.trails.last
	switch {
	case !named && last == nil: // the institution's first log
	case !named:
		w.rep.find(StepCheckpoints, Finding{Code: "former_unnamed", From: at(0), To: at(0), Want: last.root,
			Text: say("the first entry does not name what the log before it, %s, came to", "首条记录未载明前一日志 %s 的最终状态", last.origin)})
	case last == nil || f.origin != last.origin:
		w.rep.note(StepCheckpoints, say("not checked: the log before this one, %s of %d entries, was not given", "未检查:未提供前一日志 %s(%d 条记录)", f.origin, f.size))
	case f.size != last.size || f.root != last.root:
		w.rep.find(StepCheckpoints, Finding{Code: "former_differs", From: at(0), To: at(0), Want: f.root, Got: last.root,
			Text: say("this log began behind %d entries of %s with another root or size than the %d entries now given", "本日志开启时,前一日志有 %d 条记录(%s),与现所提供的 %d 条不符", f.size, f.origin, last.size)})
	}
}

// closes judges an entry that closes the log, and whatever comes behind one.
func (w *walker) closes(index uint64, v *audit.LeafView) {
	if w.closed {
		w.badEntry(index, "after_closed", say("entry %d stands behind the one that closed the log", "第 %d 条位于日志关闭记录之后", index))
		return
	}
	if string(v.Kind()) != closedKind {
		return
	}
	w.closed = true
	f, ok := statement(v)
	if ok && f.size == index && f.origin == w.head.Origin && (index+1 != w.head.Size || f.root == hex.EncodeToString(w.beforeLast[:])) {
		return
	}
	w.badEntry(index, "closed_differs", say("entry %d closes the log and states another origin, size or root", "第 %d 条关闭日志,但所载来源、规模或根哈希不符", index))
}
