package evidencetest

import (
	"encoding/json"
	"fmt"
	"maps"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/sealtrail/sealtrail/audit/audittest"
)

// Case is one bundle with what its reader brings and the verdict that it deserves.
type Case struct {
	File      string   `json:"file"`      // of the folder that WriteDir writes
	Class     string   `json:"class"`     // what it is
	OK        bool     `json:"ok"`        //
	Step      int      `json:"step"`      // first failing step; 0: none
	Code      string   `json:"code"`      // of its first finding
	Keys      string   `json:"keys"`      // verifier keys of logs, a line each
	Witnesses string   `json:"witnesses"` // verifier keys of witnesses, a line each
	Quorum    int      `json:"quorum"`    //
	Pinned    [][]byte `json:"pinned"`    // kept checkpoints
	Opens     []string `json:"opens"`     // kinds that open content
	Proofs    int      `json:"proofs"`    // entries that a genuine bundle proves
	Data      []byte   `json:"-"`
}

// genuine is a genuine bundle taken apart, to be forged.
type genuine struct {
	w     *world
	shape shape
	rng   *rand.Rand
	files map[string][]byte
	base  Case

	packed map[string][]byte // deflated, by content
}

// forged is one forgery: files or, if set, raw bytes; given says what else the reader brings.
type forged struct {
	class string
	step  int
	code  string
	files map[string][]byte
	raw   []byte
	given func(c *Case)
}

type emitter func(forged)

// Make returns the corpus of that many seeds, with forgeries of the first one's bundles. Two seeds give more than the 400 genuine proofs
// and 1,400 forgeries that are promised.
func Make(seeds int) []Case {
	var out []Case
	for seed := range uint64(seeds) {
		w := newWorld(seed, "")
		for _, s := range shapes(seed) {
			g, good := w.cases(s, seed)
			out = append(out, good...)
			if seed == 0 {
				out = append(out, g.forgeries()...)
			}
		}
		out = append(out, twisted(seed)...)
	}
	for i := range out {
		out[i].File = fmt.Sprintf("%05d.zip", i)
	}
	return out
}

// cases returns a genuine bundle before several readers.
func (w *world) cases(s shape, seed uint64) (*genuine, []Case) {
	g := w.genuine(s, seed)
	var out []Case
	add := func(c Case) { out = append(out, c) }
	good := g.base
	good.Class, good.OK = "genuine: "+s.name, true
	g.base.Data, g.base.Proofs = nil, 0
	add(good)
	again := good
	again.Class, again.Data = good.Class+", by another zip writer", zipOf(g.packAll(g.files))
	add(again)
	g.readers(good, add)
	return g, out
}

// forgeries returns the forgeries of a genuine bundle.
func (g *genuine) forgeries() (out []Case) {
	s := g.shape
	emit := func(f forged) {
		c := g.base
		c.Class, c.Step, c.Code, c.Data = s.name+": "+f.class, f.step, f.code, f.raw
		if c.Data == nil {
			c.Data = zipOf(g.packAll(f.files))
		}
		if f.given != nil {
			f.given(&c)
		}
		out = append(out, c)
	}
	if s.name == "two years" || s.name == "query" { // what a bundle holds makes no difference to its form
		g.zipTricks(emit)
		g.jsonTricks(emit)
	}
	g.signedTricks(emit)
	g.itemTricks(emit)
	g.trailTricks(emit)
	g.meaningTricks(emit)
	return out
}

// genuine makes a genuine bundle; its base has the bytes and what a reader brings.
func (w *world) genuine(s shape, seed uint64) *genuine {
	b := w.bundle(s)
	data := write(b)
	g := &genuine{w: w, shape: s, rng: rand.New(rand.NewPCG(seed, 2)), files: unzip(data), packed: map[string][]byte{}} //nolint:gosec // a corpus that everybody can make again
	g.base = Case{Opens: []string{"access.reveal"}, Pinned: [][]byte{}}
	for i := range w.logs {
		g.base.Keys += w.logs[i].VerifierKey() + "\n"
	}
	g.base.Data, g.base.Proofs = data, len(b.Items)
	return g
}

// readers are genuine bundles before readers who bring more or less.
func (g *genuine) readers(good Case, add func(Case)) {
	with := func(class string, change func(c *Case)) {
		c := good
		c.Class, c.Proofs = good.Class+", "+class, 0
		change(&c)
		add(c)
	}
	var all []string
	for i := range witnesses {
		all = append(all, vkey(i))
	}
	last := len(g.w.notes) - 1
	if _, two := g.files["log/1/checkpoint"]; !two {
		last = 0
	}
	with("no key", func(c *Case) { c.Keys = "" })
	with("all witnesses", func(c *Case) { c.Witnesses = strings.Join(all, "\n") })
	with("two of three witnesses", func(c *Case) { c.Witnesses, c.Quorum = strings.Join(all, "\n"), 2 })
	with("the same checkpoint kept", func(c *Case) { c.Pinned = [][]byte{g.w.notes[last]} })
	with("an earlier checkpoint kept", func(c *Case) { c.Pinned = [][]byte{g.earlier(last)} })
}

// earlier is a checkpoint that was signed when the log was smaller: where the bundle has a proof from it, at such a size.
func (g *genuine) earlier(log int) []byte {
	size := uint64(5)
	if len(g.shape.since) > 0 {
		size = g.shape.since[0]
	}
	return g.w.signedAt(log, size, 0)
}

// twisted are bundles of logs in whose history something is wrong: the log holds every entry, and they do not prove what is claimed.
func twisted(seed uint64) (out []Case) {
	for _, t := range []struct {
		twist, shape string
		step         int
		code         string
	}{
		{"same person", "erased", 8, "erased_unproved"},
		{"no approval", "erased", 8, "erased_unproved"},
		{"no request", "erased", 8, "erased_unproved"},
		{"approved late", "erased", 8, "erased_unproved"},
		{"unnamed approver", "erased", 8, "erased_unproved"},
		{"same person", "erased by another's request", 8, "erased_unproved"},
		{"no approval", "erased by another's request", 8, "erased_unproved"},
		{"policy", "two years", 9, "policy_not_active"},
	} {
		w := newWorld(seed, t.twist)
		for _, s := range shapes(seed) {
			if s.name != t.shape {
				continue
			}
			c := w.genuine(s, seed).base
			c.Class, c.OK, c.Proofs, c.Step, c.Code = t.shape+": log with "+t.twist, false, 0, t.step, t.code
			out = append(out, c)
		}
	}
	return out
}

// WriteDir writes the corpus as files, with manifest.json, for verifiers that are no Go programs.
func WriteDir(dir string, cases []Case) error {
	for _, c := range cases {
		if err := os.WriteFile(filepath.Join(dir, c.File), c.Data, 0o600); err != nil {
			return fmt.Errorf("writing the corpus: %w", err)
		}
	}
	raw, err := json.Marshal(cases)
	if err != nil {
		return fmt.Errorf("writing the corpus: %w", err)
	}
	if err := os.WriteFile(filepath.Join(dir, "manifest.json"), raw, 0o600); err != nil {
		return fmt.Errorf("writing the corpus: %w", err)
	}
	return nil
}

// Counts returns how many entries the genuine bundles of a corpus prove and how many forgeries it has.
func Counts(cases []Case) (proofs, forgeries int) {
	for _, c := range cases {
		proofs += c.Proofs
		if !c.OK {
			forgeries++
		}
	}
	return proofs, forgeries
}

// Classes lists the classes of forgeries, for a summary.
func Classes(cases []Case) []string {
	set := map[string]bool{}
	for _, c := range cases {
		if _, what, _ := strings.Cut(c.Class, ": "); !c.OK {
			set[what] = true
		}
	}
	return slices.Sorted(maps.Keys(set))
}

// signedAt returns the checkpoint that the log signed, or another key in its name would have signed, at a size.
func (w *world) signedAt(log int, size uint64, seed byte) []byte {
	l := w.logs[log]
	fresh := audittest.New(audittest.Config{Origin: l.Origin(), Seed: seed})
	for i := range size {
		fresh.AppendLeaf(l.Leaf(i), w.all[log][i].Body.Subject)
	}
	fresh.Publish()
	return fresh.Checkpoint()
}

// Sample returns one genuine bundle, of a trail over two years, and a forgery of it in which the last entry was dropped.
func Sample() (good, bad Case) {
	w := newWorld(0, "")
	g, list := w.cases(shapes(0)[0], 0)
	g.trailTricks(func(f forged) {
		if f.class == "trail: an entry dropped" && f.step == StepOfLast {
			bad = g.base
			bad.Class, bad.Step, bad.Code, bad.Data = f.class, f.step, f.code, zipOf(g.packAll(f.files))
		}
	})
	return list[0], bad
}

// StepOfLast is the step that finds that the last entry of a trail was dropped.
const StepOfLast = 7
