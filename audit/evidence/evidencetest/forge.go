package evidencetest

import (
	"bytes"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"

	"github.com/sealtrail/sealtrail/audit"
)

// object and list are evidence.json as it is, for whoever changes it.
type (
	object = map[string]any
	list   = []any
)

// evidenceOf decodes evidence.json anew: each forgery changes a copy of its own.
func (g *genuine) evidenceOf() object {
	d := json.NewDecoder(bytes.NewReader(g.files["evidence.json"]))
	d.UseNumber()
	var out object
	if err := d.Decode(&out); err != nil {
		panic(fmt.Sprintf("evidencetest: %v", err))
	}
	return out
}

// canonical writes what evidenceOf gave: names sorted, without the escapes of HTML.
func canonical(ev object) []byte {
	var out bytes.Buffer
	e := json.NewEncoder(&out)
	e.SetEscapeHTML(false)
	if err := e.Encode(ev); err != nil {
		panic(fmt.Sprintf("evidencetest: %v", err))
	}
	raw := bytes.TrimSuffix(out.Bytes(), []byte("\n"))
	return bytes.ReplaceAll(raw, []byte(`\u2028`), []byte("\u2028"))
}

// forge is one forgery being made.
type forge struct {
	*genuine
	files map[string][]byte
	ev    object
}

func (g *genuine) start() *forge { return &forge{g, maps.Clone(g.files), g.evidenceOf()} }

func (f *forge) done() map[string][]byte {
	f.files["evidence.json"] = canonical(f.ev)
	return f.files
}

func (f *forge) list(name string) list {
	l, _ := f.ev[name].(list)
	return l
}

// set puts a list back; an empty one is left out.
func (f *forge) set(name string, l list) {
	if f.ev[name] = l; len(l) == 0 {
		delete(f.ev, name)
	}
}

func obj(v any) object { o, _ := v.(object); return o }
func str(v any) string { s, _ := v.(string); return s }

func num(v any) int {
	n, _ := v.(json.Number)
	i, _ := n.Int64()
	return int(i)
}

func entryFile(o object) string { return fmt.Sprintf("log/%v/entries/%v.json", o["log"], o["index"]) }
func proofFile(o object) string {
	return fmt.Sprintf("log/%v/proofs/%v.tlog-proof", o["log"], o["index"])
}

// drop takes an item, its files and its openings away.
func (f *forge) drop(k int) {
	items := f.list("items")
	o := obj(items[k])
	delete(f.files, entryFile(o))
	delete(f.files, proofFile(o))
	f.set("items", slices.Delete(slices.Clone(items), k, k+1))
	f.set("openings", slices.DeleteFunc(slices.Clone(f.list("openings")), func(v any) bool { return samePlace(obj(v), o) }))
}

func samePlace(a, b object) bool {
	return num(a["log"]) == num(b["log"]) && num(a["index"]) == num(b["index"])
}

// indexes returns the items of a part, by place in the list.
func (f *forge) indexes(part string) (out []int) {
	for k, v := range f.list("items") {
		if obj(v)["part"] == part {
			out = append(out, k)
		}
	}
	return out
}

// flipHex changes one digit of hex.
func (g *genuine) flipHex(s string) string {
	b, err := hex.DecodeString(s)
	if err != nil || len(b) == 0 {
		panic("evidencetest: no hex")
	}
	b[g.rng.IntN(len(b))] ^= 1 << g.rng.IntN(8)
	return hex.EncodeToString(b)
}

// proof is a tlog-proof taken apart.
type proof struct {
	lines      []string // of the path
	index      string
	checkpoint string
}

func splitProof(raw []byte) (p proof) {
	head, checkpoint, _ := strings.Cut(string(raw), "\n\n")
	lines := strings.Split(head, "\n")
	return proof{lines: lines[2:], index: lines[1], checkpoint: checkpoint}
}

func (p proof) join() []byte {
	return []byte(strings.Join(append([]string{"c2sp.org/tlog-proof@v1", p.index}, p.lines...), "\n") + "\n\n" + p.checkpoint)
}

// jsonTricks change how evidence.json is spelled, or what it may hold.
func (g *genuine) jsonTricks(emit emitter) {
	raw := string(g.files["evidence.json"])
	spelled := func(class, code, text string) {
		files := maps.Clone(g.files)
		files["evidence.json"] = []byte(text)
		emit(forged{class: "json: " + class, step: 1, code: code, files: files})
	}
	spelled("a space", "json_not_canonical", strings.Replace(raw, ":", ": ", 1))
	spelled("a newline at the end", "json_not_canonical", raw+"\n")
	spelled("a byte order mark", "json_not_canonical", "\ufeff"+raw)
	spelled("an escape", "json_not_canonical", strings.Replace(raw, `"demo"`, `"\u0064emo"`, 1))
	spelled("a member twice", "json_not_canonical", strings.Replace(raw, `"scope":`, `"scope":"trail","scope":`, 1))
	spelled("another order", "json_not_canonical", strings.Replace(raw, `"format":"sealtrail-evidence/v1",`, "", 1)[:1]+`"format":"sealtrail-evidence/v1",`+raw[1:])
	spelled("a fraction", "json_not_canonical", strings.Replace(raw, `"year":2025`, `"year":2025.0`, 1))
	spelled("null", "json_not_canonical", strings.Replace(raw, `"scope":"`, `"scope":null,"x":"`, 1))
	spelled("an exponent", "json_not_canonical", strings.Replace(raw, `"year":2025`, `"year":2025e0`, 1))
	spelled("cut", "json_not_canonical", raw[:len(raw)-1])
	spelled("a list", "json_not_canonical", "["+raw+"]")
	spelled("another format", "json_malformed", strings.Replace(raw, "evidence/v1", "evidence/v2", 1))
	spelled("negative", "json_malformed", strings.Replace(raw, `"year":2025`, `"year":-2025`, 1))
	spelled("a number in quotes", "json_malformed", strings.Replace(raw, `"year":2025`, `"year":"2025"`, 1))
	shaped := func(class, code string, change func(f *forge)) {
		f := g.start()
		change(f)
		emit(forged{class: "json: " + class, step: 1, code: code, files: f.done()})
	}
	shaped("an unknown member", "json_malformed", func(f *forge) { f.ev["zz"] = "x" })
	shaped("an unknown member of a log", "json_malformed", func(f *forge) { obj(f.list("logs")[0])["zz"] = "x" })
	shaped("a member missing", "json_malformed", func(f *forge) { delete(f.ev, "institution") })
	shaped("an empty list", "json_malformed", func(f *forge) { f.ev["stamps"], f.ev["openings"] = list{}, list{} })
	shaped("no log", "json_malformed", func(f *forge) { f.ev["logs"] = list{} })
	shaped("capital hex", "json_malformed", func(f *forge) { o := obj(f.list("items")[0]); o["leaf"] = strings.Repeat("AB", 32) })
	shaped("time without decimals", "json_malformed", func(f *forge) { f.ev["made_at"] = "2026-11-23T20:00:00Z" })
	shaped("a day that is none", "json_malformed", func(f *forge) { f.ev["made_at"] = "2026-02-30T20:00:00.000000Z" })
	shaped("both scopes", "json_malformed", func(f *forge) {
		f.ev["subject"], f.ev["query"] = "x", object{"log": 0, "size": 1, "text": "x"}
	})
	shaped("an unknown state", "json_malformed", func(f *forge) { obj(f.list("items")[0])["state"] = "erased" })
	shaped("an unknown part", "json_malformed", func(f *forge) { obj(f.list("items")[0])["part"] = "other" })
	shaped("a hidden commitment to heads", "json_malformed", func(f *forge) {
		o := obj(f.list("items")[f.indexes("heads")[0]])
		o["state"], o["reason"] = "withheld", "not_granted"
		delete(f.files, entryFile(o))
	})
	shaped("two items swapped", "json_order", func(f *forge) {
		if l := f.list("items"); len(l) > 1 {
			l[0], l[1] = l[1], l[0]
			return
		}
		f.set("items", append(f.list("items"), f.list("items")[0]))
	})
	shaped("an item twice", "json_order", func(f *forge) { l := f.list("items"); f.set("items", slices.Insert(l, 0, l[0])) })
	shaped("a log twice", "json_order", func(f *forge) { l := f.list("logs"); f.set("logs", append(l, l[0])) })
	shaped("an item of no log", "json_reference", func(f *forge) { l := f.list("items"); obj(l[len(l)-1])["log"] = 9 })
	shaped("an item beyond the log", "json_reference", func(f *forge) { l := f.list("items"); obj(l[len(l)-1])["index"] = 1 << 40 })
	shaped("a stamp of no log", "json_reference", func(f *forge) { f.set("stamps", list{object{"log": 60, "size": 1}}) })
	shaped("an opening of nothing", "json_reference", func(f *forge) {
		f.set("openings", list{object{"log": 0, "index": 1 << 30, "path": "x", "state": "missing"}})
	})
	for _, name := range slices.Sorted(maps.Keys(g.files)) {
		if strings.HasPrefix(name, "blob/") || g.rng.IntN(4) > 0 && strings.HasPrefix(name, "log/") {
			continue
		}
		files := maps.Clone(g.files)
		delete(files, name)
		emit(forged{class: "file missing", step: 1, code: "file_missing", files: files})
	}
	for _, name := range []string{"log/0/entries/999999.json", "log/9/checkpoint", "stamp/0/999999.tsr", "log/0/proofs/999999.tlog-proof"} {
		files := maps.Clone(g.files)
		files[name] = []byte("x")
		emit(forged{class: "file that nothing names", step: 1, code: "file_unnamed", files: files})
	}
	g.checkpointForms(emit)
}

// checkpointForms are checkpoints that are none, or of another log or size.
func (g *genuine) checkpointForms(emit emitter) {
	const name = "log/0/checkpoint"
	for _, text := range []string{"x\n", "a\n1\n\n", string(g.files[name]) + "x"} {
		files := maps.Clone(g.files)
		files[name] = []byte(text)
		emit(forged{class: "checkpoint: that is no signed note", step: 1, code: "checkpoint_malformed", files: files})
	}
	shaped := func(class string, change func(log object)) {
		f := g.start()
		change(obj(f.list("logs")[0]))
		emit(forged{class: "checkpoint: " + class, step: 1, code: "checkpoint_differs", files: f.done()})
	}
	shaped("a larger size claimed", func(l object) { l["size"] = num(l["size"]) + 1 })
	shaped("another origin claimed", func(l object) { l["origin"] = "sealtrail.example/other/2025" })
}

// everywhere puts a checkpoint of a log in place, also at the end of its proofs.
func (f *forge) everywhere(log int, note []byte) {
	f.files[fmt.Sprintf("log/%d/checkpoint", log)] = note
	for name, raw := range f.files {
		if strings.HasPrefix(name, fmt.Sprintf("log/%d/proofs/", log)) {
			p := splitProof(raw)
			p.checkpoint = string(note)
			f.files[name] = p.join()
		}
	}
}

// signedTricks change who signed, cosigned or kept what.
func (g *genuine) signedTricks(emit emitter) {
	logs := len(g.start().list("logs"))
	for log := range logs {
		note := g.files[fmt.Sprintf("log/%d/checkpoint", log)]
		size := g.w.logs[log].Size()
		signed := func(class string, step int, code string, note []byte, given func(c *Case)) {
			f := g.start()
			f.everywhere(log, note)
			emit(forged{class: "signed: " + class, step: step, code: code, files: f.done(), given: given})
		}
		signed("by another key", 2, "checkpoint_signature", g.w.signedAt(log, size, 9), nil)
		for line := range 1 + witnesses {
			for range 4 {
				given := func(c *Case) {}
				step, code := 2, "checkpoint_signature"
				if line > 0 {
					step, code = 3, "cosignature"
					given = func(c *Case) { c.Witnesses = vkey(line - 1) }
				}
				signed("a bit of a signature flipped", step, code, g.flipSignature(note, line), given)
			}
		}
		bare := bytes.Join(bytes.SplitAfter(note, []byte("\n"))[:5], nil)
		signed("cosignatures cut off", 3, "not_cosigned", bare, func(c *Case) { c.Witnesses = vkey(0) })
		signed("a root that nobody signed", 2, "checkpoint_signature", g.flipRoot(note), nil)
		emit(forged{class: "signed: the reader has another key", step: 2, code: "no_key", files: g.files, given: func(c *Case) {
			c.Keys = otherKey
		}})
		emit(forged{class: "signed: rewritten and kept elsewhere", step: 4, code: "history_changed", files: g.files, given: func(c *Case) {
			c.Pinned = [][]byte{g.w.signedAt2(log, size)}
		}})
		emit(forged{class: "signed: kept checkpoint by another key", step: 4, code: "pinned_signature", files: g.files, given: func(c *Case) {
			c.Pinned = [][]byte{g.w.signedAt(log, size, 9)}
		}})
		for _, from := range g.shape.since {
			emit(forged{class: "signed: another beginning was kept", step: 4, code: "history_changed", files: g.files, given: func(c *Case) {
				c.Pinned = [][]byte{g.w.signedAt2(log, from)}
			}})
		}
	}
}

const otherKey = "PeterNeumann+c74f20a3+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW"

// signedAt2 signs a tree of that size over other entries than the log has, with the log's genuine key.
func (w *world) signedAt2(log int, size uint64) []byte {
	return w.logs[log].Sign(audit.Checkpoint{Origin: w.logs[log].Origin(), Size: size, Root: sha256.Sum256(fmt.Appendf(nil, "another history %d %d", log, size))})
}

// flipSignature flips one bit of the signature in a line of a note, not of its key id.
func (g *genuine) flipSignature(note []byte, line int) []byte {
	lines := bytes.SplitAfter(note, []byte("\n"))
	fields := strings.Fields(string(lines[4+line]))
	sig, err := base64.StdEncoding.DecodeString(fields[2])
	if err != nil {
		panic("evidencetest: no signature")
	}
	sig[4+g.rng.IntN(len(sig)-4)] ^= 1 << g.rng.IntN(8)
	lines[4+line] = fmt.Appendf(nil, "%s %s %s\n", fields[0], fields[1], base64.StdEncoding.EncodeToString(sig))
	return bytes.Join(lines, nil)
}

func (g *genuine) flipRoot(note []byte) []byte {
	lines := bytes.SplitAfter(note, []byte("\n"))
	root, err := base64.StdEncoding.DecodeString(strings.TrimSpace(string(lines[2])))
	if err != nil {
		panic("evidencetest: no root")
	}
	root[g.rng.IntN(32)] ^= 1 << g.rng.IntN(8)
	lines[2] = []byte(base64.StdEncoding.EncodeToString(root) + "\n")
	return bytes.Join(lines, nil)
}

// itemTricks change single entries and their proofs.
func (g *genuine) itemTricks(emit emitter) {
	for k, v := range g.start().list("items") {
		o := obj(v)
		item := func(class, code string, change func(f *forge, o object)) {
			if g.shape.name != "two years" && g.rng.IntN(4) > 0 { // every forgery of every entry of one bundle, and some of the others'
				return
			}
			f := g.start()
			change(f, obj(f.list("items")[k]))
			emit(forged{class: "entry: " + class, step: 5, code: code, files: f.done()})
		}
		proved := func(class, code string, change func(p *proof)) {
			item(class, code, func(f *forge, o object) {
				p := splitProof(f.files[proofFile(o)])
				change(&p)
				f.files[proofFile(o)] = p.join()
			})
		}
		item("a bit of the leaf hash flipped", "inclusion", func(_ *forge, o object) { o["leaf"] = g.flipHex(str(o["leaf"])) })
		proved("a bit of the path flipped", "inclusion", func(p *proof) {
			n := g.rng.IntN(len(p.lines))
			h, _ := base64.StdEncoding.DecodeString(p.lines[n])
			h[g.rng.IntN(32)] ^= 1 << g.rng.IntN(8)
			p.lines[n] = base64.StdEncoding.EncodeToString(h)
		})
		proved("path cut", "inclusion", func(p *proof) { p.lines = p.lines[:len(p.lines)-1] })
		proved("path extended", "inclusion", func(p *proof) { p.lines = append(p.lines, p.lines[0]) })
		if len(splitProof(g.files[proofFile(o)]).lines) > 1 {
			proved("path turned round", "inclusion", func(p *proof) { slices.Reverse(p.lines) })
		}
		proved("another index in the proof", "proof_malformed", func(p *proof) { p.index += "0" })
		proved("extra line in the proof", "proof_malformed", func(p *proof) { p.index = "extra AA==\n" + p.index })
		proved("another checkpoint behind the proof", "proof_malformed", func(p *proof) {
			p.checkpoint = string(g.w.signedAt(num(o["log"]), 3, 0))
		})
		if o["state"] == "disclosed" {
			g.entryTricks(k, o, item)
		}
	}
}

// entryTricks change what a disclosed entry says.
func (g *genuine) entryTricks(k int, o object, item func(class, code string, change func(f *forge, o object))) {
	raw := g.files[entryFile(o)]
	for range 3 {
		bad := slices.Clone(raw)
		bad[g.rng.IntN(len(bad))] ^= 1 << g.rng.IntN(8)
		item("a bit flipped", codeOf(bad), func(f *forge, o object) { f.files[entryFile(o)] = bad })
	}
	item("the same in other bytes", "not_canonical", func(f *forge, o object) {
		f.files[entryFile(o)] = bytes.Replace(raw, []byte(`,"v":1}`), []byte(`, "v":1}`), 1)
	})
	item("another kind", "entry_altered", func(f *forge, o object) {
		f.files[entryFile(o)] = bytes.Replace(raw, []byte(`"kind":"`), []byte(`"kind":"x`), 1)
	})
	items := g.start().list("items")
	for i := 1; i < len(items); i++ {
		other := obj(items[(k+i)%len(items)])
		if other["state"] == "disclosed" {
			item("swapped with another", "entry_altered", func(f *forge, o object) {
				a, b := entryFile(o), entryFile(other)
				f.files[a], f.files[b] = f.files[b], f.files[a]
			})
			item("another's leaf and bytes", "inclusion", func(f *forge, o object) {
				o["leaf"], f.files[entryFile(o)] = other["leaf"], f.files[entryFile(other)]
			})
			break
		}
	}
	if part := str(o["part"]); part == "trail" || part == "hit" || part == "outcome" {
		item("gone", "entry_missing", func(f *forge, o object) {
			o["state"] = "missing"
			delete(f.files, entryFile(o))
		})
	}
	if part := str(o["part"]); part == "policy" || part == "outcome" {
		item("listed as something else", "part", func(_ *forge, o object) {
			if o["part"] = "outcome"; part == "outcome" {
				o["part"] = "policy"
			}
		})
	}
}

func codeOf(raw []byte) string {
	if _, err := audit.ParseLeaf(raw); err != nil {
		return "not_canonical"
	}
	return "entry_altered"
}

func itoa(n int) json.Number { return json.Number(strconv.Itoa(n)) }
