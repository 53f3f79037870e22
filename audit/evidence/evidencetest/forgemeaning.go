package evidencetest

import (
	"encoding/base64"
	"encoding/hex"
	"maps"
	"slices"
	"strings"

	"github.com/sealtrail/sealtrail/audit/evidence"
)

func hexList(path [][32]byte) list {
	out := list{}
	for _, h := range path {
		out = append(out, hex.EncodeToString(h[:]))
	}
	return out
}

func base64List(path [][32]byte) (out []string) {
	for _, h := range path {
		out = append(out, base64.StdEncoding.EncodeToString(h[:]))
	}
	return out
}

// meaningTricks change what entries are said to mean: steps 5 and 8 to 11.
func (g *genuine) meaningTricks(emit emitter) {
	f := g.start()
	f.ev["institution"] = "other"
	emit(forged{class: "bundle: another institution", step: 5, code: "institution", files: f.done()})
	if g.shape.subject != "" && len(g.start().indexes("trail")) > 0 && g.disclosedTrail() {
		f = g.start()
		h := f.headOf(g.shape.subject)
		h["subject"], f.ev["subject"] = "complaint:other", "complaint:other"
		f.orderHeads()
		emit(forged{class: "bundle: another subject", step: 5, code: "part", files: f.done()})
	}
	for k, v := range g.start().list("openings") {
		g.openingTricks(k, obj(v), emit)
	}
	g.policyTricks(emit)
	g.blobTricks(emit)
	g.stampTricks(emit)
}

func (g *genuine) disclosedTrail() bool {
	f := g.start()
	return slices.ContainsFunc(f.indexes("trail"), func(k int) bool { return obj(f.list("items")[k])["state"] == "disclosed" })
}

// openingTricks change what is said of one commitment.
func (g *genuine) openingTricks(k int, was object, emit emitter) {
	opening := func(class, code string, change func(f *forge, o object)) {
		f := g.start()
		change(f, obj(f.list("openings")[k]))
		emit(forged{class: "opening: " + class, step: 8, code: code, files: f.done()})
	}
	strip := func(o object) {
		for _, m := range []string{"salt", "value", "reason", "proof"} {
			delete(o, m)
		}
	}
	opening("passed over", "commitment_unlisted", func(f *forge, _ object) { f.set("openings", slices.Delete(f.list("openings"), k, k+1)) })
	opening("missing", "commitment_missing", func(_ *forge, o object) { strip(o); o["state"] = "missing" })
	opening("of a path that is not there", "opening_unknown", func(_ *forge, o object) { o["path"] = str(o["path"]) + "x" })
	opening("invented", "commitment", func(_ *forge, o object) {
		strip(o)
		o["state"], o["salt"], o["value"] = "disclosed", strings.Repeat("0", 32), "guessed"
	})
	opening("erased by any entry", "erased_unproved", func(f *forge, o object) {
		heads := obj(f.list("items")[f.indexes("heads")[0]])
		strip(o)
		o["state"], o["proof"] = "erased", object{"log": heads["log"], "index": heads["index"]}
	})
	opening("erased by itself", "erased_unproved", func(_ *forge, o object) {
		strip(o)
		o["state"], o["proof"] = "erased", object{"log": o["log"], "index": o["index"]}
	})
	switch was["state"] {
	case "disclosed":
		opening("another value", "commitment", func(_ *forge, o object) { o["value"] = str(o["value"]) + "." })
		opening("another salt", "commitment", func(_ *forge, o object) { o["salt"] = g.flipHex(str(o["salt"])) })
	case "erased":
		g.erasedTricks(emit)
	}
}

// erasedTricks take away what an erasure rests on, where that is not of the trail itself.
func (g *genuine) erasedTricks(emit emitter) {
	for n := range g.start().indexes("support") {
		f := g.start()
		f.drop(f.indexes("support")[n])
		emit(forged{class: "opening: the approval of its erasure dropped", step: 8, code: "erased_unproved", files: f.done()})
	}
}

// policyTricks are about the policy in force.
func (g *genuine) policyTricks(emit emitter) {
	f := g.start()
	if !g.shape.policy || f.headOf(evidence.PolicySubject) == nil || !g.decided("") {
		return
	}
	n := len(f.indexes("policy"))
	if n > 1 {
		code := "policy_trail"
		if g.decided("first bundle") {
			code = "policy_not_active"
		}
		f.drop(f.indexes("policy")[0])
		f.dropBlobs()
		emit(forged{class: "policy: the first activation dropped", step: 9, code: code, files: f.done()})
	}
	head := func(class string, change func(h object)) {
		f := g.start()
		change(f.headOf(evidence.PolicySubject))
		emit(forged{class: "policy: " + class, step: 9, code: "policy_heads", files: f.done()})
	}
	head("a bit of the head's path flipped", func(h object) { p, _ := h["path"].(list); p[0] = g.flipHex(str(p[0])) })
	head("the head's n", func(h object) { h["n"] = num(h["n"]) + 1 })
	head("the head's last", func(h object) { h["last"] = g.flipHex(str(h["last"])) })
	if g.shape.commit == 2 {
		f = g.start()
		f.drop(f.indexes("policy")[n-1]) // active behind all that is shown
		f.dropBlobs()
		emit(forged{class: "policy: the last activation dropped", step: 9, code: "policy_heads", files: f.done()})
	}
}

// decided reports whether an entry that is shown names a policy bundle, of that text if there is one.
func (g *genuine) decided(text string) bool {
	for _, v := range g.start().list("items") {
		o := obj(v)
		part := o["part"]
		d := g.w.all[num(o["log"])][num(o["index"])].Body.Decision
		if o["state"] == "disclosed" && (part == "trail" || part == "hit") && d != nil && (text == "" || string(g.w.blobs[d.Bundle]) == text) {
			return true
		}
	}
	return false
}

func (g *genuine) blobTricks(emit emitter) {
	change := func(class, code string, change func(files map[string][]byte)) {
		files := maps.Clone(g.files)
		change(files)
		emit(forged{class: "blob: " + class, step: 10, code: code, files: files})
	}
	// What is shown names it only where step 9 does not fail first.
	change("one that nothing names", "blob_unnamed", func(files map[string][]byte) {
		files["blob/sha256/ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"] = []byte("abc")
	})
	for _, name := range slices.Sorted(maps.Keys(g.files)) {
		if !strings.HasPrefix(name, "blob/") {
			continue
		}
		change("a bit flipped", "blob_altered", func(files map[string][]byte) {
			bad := slices.Clone(files[name])
			bad[g.rng.IntN(len(bad))] ^= 1 << g.rng.IntN(8)
			files[name] = bad
		})
		change("missing", "blob_missing", func(files map[string][]byte) { delete(files, name) })
	}
}

func (g *genuine) stampTricks(emit emitter) {
	for name, data := range g.files {
		if !strings.HasPrefix(name, "stamp/") {
			continue
		}
		files := maps.Clone(g.files)
		files[name] = append(slices.Clone(data), 'x')
		emit(forged{class: "stamp: another token", step: 11, code: "stamp_unlogged", files: files})
		f := g.start()
		stamp := obj(f.list("stamps")[0])
		f.set("consistency", slices.DeleteFunc(f.list("consistency"), func(v any) bool {
			return num(obj(v)["log"]) == num(stamp["log"]) && num(obj(v)["from"]) == num(stamp["size"])
		}))
		emit(forged{class: "stamp: its proof dropped", step: 11, code: "stamp_root", files: f.done()})
		f = g.start()
		for _, v := range f.list("consistency") {
			if c := obj(v); num(c["log"]) == num(stamp["log"]) && num(c["from"]) == num(stamp["size"]) {
				p, _ := c["path"].(list)
				p[0] = g.flipHex(str(p[0]))
			}
		}
		emit(forged{class: "stamp: its proof changed", step: 11, code: "stamp_root", files: f.done()})
	}
}
