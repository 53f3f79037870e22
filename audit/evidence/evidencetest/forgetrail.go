package evidencetest

import (
	"fmt"
	"slices"
	"strings"

	"github.com/sealtrail/sealtrail/audit"
)

// trailTricks hide entries of the trail, or say that it ends elsewhere: steps 6 and 7.
func (g *genuine) trailTricks(emit emitter) {
	if g.shape.subject == "" {
		g.queryTricks(emit)
		return
	}
	trail := g.start().indexes("trail")
	for n, k := range trail {
		f := g.start()
		code, step := "heads_n", 7
		for _, later := range trail[n+1:] {
			if obj(f.list("items")[later])["state"] == "disclosed" {
				code, step = "trail_gap", 6
			}
		}
		if !f.without(k) {
			continue
		}
		emit(forged{class: "trail: an entry dropped", step: step, code: code, files: f.done()})
	}
	for n := 1; n < len(trail); n++ {
		f := g.start()
		whole := true
		for i := len(trail) - 1; i >= n; i-- {
			whole = whole && f.without(trail[i])
		}
		if !whole {
			continue
		}
		h := f.headOf(g.shape.subject)
		emit(forged{class: "trail: its end dropped", step: 7, code: "heads_n", files: f.clone().done()})
		h["n"] = n
		emit(forged{class: "trail: its end dropped and n to fit", step: 7, code: "heads_proof", files: f.clone().done()})
		h["last"] = obj(f.list("items")[f.indexes("trail")[n-1]])["leaf"]
		emit(forged{class: "trail: its end dropped, n and last to fit", step: 7, code: "heads_proof", files: f.done()})
	}
	if g.shape.name == "withheld last" {
		g.anotherEnd(emit)
	}
	g.headTricks(emit)
}

// anotherEnd puts another entry of the log, withheld, where the withheld last one stood.
func (g *genuine) anotherEnd(emit emitter) {
	f := g.start()
	trail := f.indexes("trail")
	last := obj(f.list("items")[trail[len(trail)-1]])
	log, index := num(last["log"]), num(last["index"])+1
	f.drop(trail[len(trail)-1])
	f.addItem(log, uint64(index), "trail")
	for _, v := range f.list("items") {
		if o := obj(v); num(o["log"]) == log && num(o["index"]) == index {
			o["state"], o["reason"] = "withheld", "not_granted"
			delete(f.files, entryFile(o))
		}
	}
	emit(forged{class: "trail: another end, withheld", step: 7, code: "heads_last", files: f.done()})
}

// without drops an item with the outcomes that only it explains; false if something else rests on it.
func (f *forge) without(k int) bool {
	o := obj(f.list("items")[k])
	for _, v := range f.list("openings") {
		if p := obj(obj(v)["proof"]); p != nil && samePlace(p, o) {
			return false
		}
	}
	id := fmt.Sprintf("e%d", f.w.all[num(o["log"])][num(o["index"])].ID)
	f.drop(k)
	for i := len(f.list("items")) - 1; i >= 0; i-- {
		x := obj(f.list("items")[i])
		intents, _ := f.w.all[num(x["log"])][num(x["index"])].Body.Facts.List("intents")
		if x["part"] == "outcome" && slices.Contains(intents, id) {
			f.drop(i)
		}
	}
	f.dropBlobs()
	return true
}

// dropBlobs takes the blobs away that nothing names any more.
func (f *forge) dropBlobs() {
	for name := range f.files {
		digest, isBlob := strings.CutPrefix(name, "blob/sha256/")
		named := false
		for _, v := range f.list("items") {
			x := obj(v)
			b := &f.w.all[num(x["log"])][num(x["index"])].Body
			own, _ := b.Facts.Text("digest")
			named = named || x["state"] == "disclosed" && (b.Decision != nil && b.Decision.Bundle == digest || own == digest)
		}
		if isBlob && !named {
			delete(f.files, name)
		}
	}
}

// clone lets a forgery be made from one that is half made.
func (f *forge) clone() *forge {
	files := map[string][]byte{}
	for name, data := range f.files {
		files[name] = data
	}
	g := *f.genuine
	g.files = f.done()
	c := g.start()
	c.files = files
	return c
}

func (f *forge) headOf(subject string) object {
	for _, v := range f.list("heads") {
		if o := obj(v); o["subject"] == subject {
			return o
		}
	}
	return nil
}

// headTricks change the proof of where the trail ends.
func (g *genuine) headTricks(emit emitter) {
	head := func(class, code string, change func(f *forge, h object)) {
		f := g.start()
		change(f, f.headOf(g.shape.subject))
		emit(forged{class: "heads: " + class, step: 7, code: code, files: f.done()})
	}
	head("dropped", "heads_missing", func(f *forge, _ object) {
		f.set("heads", slices.DeleteFunc(f.list("heads"), func(v any) bool { return obj(v)["subject"] == g.shape.subject }))
	})
	head("the entry that commits dropped", "heads_entry", func(f *forge, _ object) { f.drop(f.indexes("heads")[0]) })
	head("another entry named", "heads_entry", func(f *forge, h object) {
		for _, v := range f.list("items") {
			if o := obj(v); o["part"] != "heads" {
				h["log"], h["index"] = o["log"], o["index"]
				f.orderHeads()
				return
			}
		}
		h["index"] = 0
		f.orderHeads()
	})
	for range 3 {
		head("a bit of the path flipped", "heads_proof", func(_ *forge, h object) {
			path, _ := h["path"].(list)
			n := g.rng.IntN(len(path))
			path[n] = g.flipHex(str(path[n]))
		})
	}
	head("path cut", "heads_proof", func(_ *forge, h object) { p, _ := h["path"].(list); h["path"] = p[:len(p)-1] })
	head("path extended", "heads_proof", func(_ *forge, h object) { p, _ := h["path"].(list); h["path"] = append(p, p[0]) })
	head("path turned round", "heads_proof", func(_ *forge, h object) { p, _ := h["path"].(list); slices.Reverse(p) })
	c := g.w.heads[g.shape.commit]
	for _, other := range []string{two, quiet, one, "charter:heads"} {
		if other == g.shape.subject {
			continue
		}
		if there, _ := c.heads.Prove(audit.HeadKey(other)); there.N == 0 {
			continue
		}
		head("another subject's", "heads_proof", func(f *forge, h object) {
			alien := g.w.head(c, other)
			h["n"], h["last"], h["path"] = alien.N, fmt.Sprintf("%x", alien.Last), hexList(alien.Path)
			delete(h, "other")
		})
	}
	if g.w.present(c, g.shape.subject) {
		g.absenceTricks(emit, head)
		return
	}
	head("presence of what is absent", "heads_proof", func(_ *forge, h object) {
		h["n"], h["last"] = 1, strings.Repeat("ab", 32)
		delete(h, "other")
	})
	head("another neighbour", "heads_proof", func(f *forge, h object) {
		h["other"] = object{"key": strings.Repeat("ab", 32), "last": strings.Repeat("cd", 32), "n": 1}
	})
	head("the missing one as its own neighbour", "heads_proof", func(f *forge, h object) {
		h["other"] = object{"key": fmt.Sprintf("%x", audit.HeadKey(g.shape.subject)), "last": strings.Repeat("cd", 32), "n": 1}
	})
}

// orderHeads sorts the heads anew after one was moved.
func (f *forge) orderHeads() {
	slices.SortFunc(f.list("heads"), func(a, b any) int {
		x, y := obj(a), obj(b)
		if d := num(x["log"]) - num(y["log"]); d != 0 {
			return d
		}
		if d := num(x["index"]) - num(y["index"]); d != 0 {
			return d
		}
		return strings.Compare(str(x["subject"]), str(y["subject"]))
	})
}

func (w *world) present(c *commit, subject string) bool {
	h, _ := c.heads.Prove(audit.HeadKey(subject))
	return h.N > 0
}

// absenceTricks call a trail absent that is there, and take an older map for a newer trail.
func (g *genuine) absenceTricks(emit emitter, head func(class, code string, change func(f *forge, h object))) {
	f := g.start()
	for trail := f.indexes("trail"); len(trail) > 0; trail = f.indexes("trail") {
		if !f.without(trail[len(trail)-1]) {
			return
		}
	}
	h := f.headOf(g.shape.subject)
	h["n"], h["last"] = 0, ""
	emit(forged{class: "heads: absence of what is there", step: 7, code: "heads_proof", files: f.clone().done()})
	path, _ := h["path"].(list)
	h["other"] = object{"key": strings.Repeat("00", 32), "last": strings.Repeat("00", 32), "n": 1}
	emit(forged{class: "heads: absence by an invented neighbour", step: 7, code: "heads_proof", files: f.clone().done()})
	h["path"] = path[:0]
	delete(h, "other")
	emit(forged{class: "heads: absence without a path", step: 7, code: "heads_proof", files: f.done()})
	if g.shape.commit == 0 || g.shape.subject != one {
		return
	}
	// The map of an earlier size is genuine; the trail has grown since.
	f = g.start()
	old := g.w.heads[g.shape.commit-1]
	from := g.w.head(old, one)
	f.addItem(old.log, old.index, "heads")
	h = f.headOf(one)
	h["log"], h["index"], h["n"], h["last"], h["path"] = itoa(old.log), itoa(int(old.index)), from.N, fmt.Sprintf("%x", from.Last), hexList(from.Path)
	f.orderHeads()
	emit(forged{class: "heads: of an earlier size", step: 7, code: "heads_n", files: f.done()})
}

// addItem adds an entry that the log has, with its proof.
func (f *forge) addItem(log int, index uint64, part string) {
	raw := f.w.logs[log].Leaf(index)
	o := object{"log": itoa(log), "index": itoa(int(index)), "part": part, "state": "disclosed", "leaf": fmt.Sprintf("%x", audit.LeafHash(raw))}
	f.files[entryFile(o)] = raw
	p := proof{index: fmt.Sprintf("index %d", index), checkpoint: string(f.files[fmt.Sprintf("log/%d/checkpoint", log)]),
		lines: base64List(f.w.path(log, index, f.w.logs[log].Size()))}
	f.files[proofFile(o)] = p.join()
	items := append(f.list("items"), o)
	slices.SortFunc(items, func(a, b any) int {
		x, y := obj(a), obj(b)
		if d := num(x["log"]) - num(y["log"]); d != 0 {
			return d
		}
		return num(x["index"]) - num(y["index"])
	})
	f.set("items", items)
}

// queryTricks are for the result of a query.
func (g *genuine) queryTricks(emit emitter) {
	f := g.start()
	q := obj(f.ev["query"])
	hits := f.indexes("hit")
	last := obj(f.list("items")[hits[len(hits)-1]])
	q["log"], q["size"] = last["log"], last["index"]
	emit(forged{class: "query: a hit beyond the size", step: 6, code: "hit_beyond", files: f.done()})
}
