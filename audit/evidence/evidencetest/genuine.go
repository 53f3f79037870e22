package evidencetest

import (
	"bytes"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/sealtrail/sealtrail/audit"
	"github.com/sealtrail/sealtrail/audit/evidence"
)

// shape says what a genuine bundle shows.
type shape struct {
	name      string
	subject   string // empty: a query
	commit    int    // which trail.heads entry
	hide      func(k, n int) bool
	policy    bool // with the trail of activations and its head
	stamped   bool
	since     []uint64
	noReasons bool // openings are withheld
}

func shapes(seed uint64) []shape {
	hide := func(ks ...int) func(k, n int) bool {
		return func(k, n int) bool { return slices.Contains(ks, k) || slices.Contains(ks, k-n) }
	}
	return []shape{
		{name: "two years", subject: one, commit: 2, policy: true, stamped: true, since: []uint64{7}},
		{name: "one log", subject: four, commit: 2, policy: true},
		{name: "earlier size", subject: one, commit: 1, policy: true, since: []uint64{3, 11}},
		{name: "first year", subject: one, commit: 0, policy: true},
		{name: "withheld", subject: one, commit: 2, hide: hide(1), policy: true, noReasons: true},
		{name: "withheld in a row", subject: one, commit: 2, hide: hide(1, 2), policy: true},
		{name: "withheld last", subject: four, commit: 2, hide: hide(-1), policy: true},
		{name: "erased", subject: two, commit: 2, policy: true},
		{name: "erased by another's request", subject: three, commit: 2, policy: true},
		{name: "never opened", subject: quiet, commit: 2, policy: true},
		{name: "absent", subject: fmt.Sprintf("%s%012d", nowhere, seed), commit: 2},
		{name: "absent elsewhere", subject: fmt.Sprintf("%s%012d", nowhere, seed+77), commit: 1},
		{name: "no activations", subject: one, commit: 2},
		{name: "query", commit: 2, policy: true},
	}
}

// bundle makes a genuine bundle of the world.
func (w *world) bundle(s shape) *evidence.Bundle {
	b := &evidence.Bundle{Institution: "demo", MadeAt: time.Date(2026, 11, 23, 20, 0, 0, 0, time.UTC), Subject: s.subject, Blobs: map[string][]byte{},
		Readme: []byte("see verify.html\n"), Page: []byte("<!doctype html>\n"), Actors: []evidence.Actor{{Alias: "p-0001", Name: "王 <b>\u2028& Söhne"}}}
	c := w.heads[s.commit]
	count := c.log + 1
	for i := range count {
		l := w.logs[i]
		b.Logs = append(b.Logs, evidence.Log{Origin: l.Origin(), Year: 2025 + i, Key: l.VerifierKey(), Size: l.Size(), Checkpoint: w.notes[i]})
		for _, from := range s.since {
			b.Consistency = append(b.Consistency, evidence.Consistency{Log: i, From: from, Path: w.consistency(i, from)})
		}
	}
	within := func(log int, index uint64) bool { return log < c.of || log == c.of && index < c.size }
	if s.subject == "" {
		b.Query = &evidence.Query{Text: "field:phone", Size: w.logs[c.of].Size(), Log: c.of}
		w.take(b, evidence.PartHit, func(l *audit.Leaf, log int) bool {
			return l.Body.Kind == "access.reveal" && strings.HasPrefix(l.Body.Subject, "complaint:f") && within(log, l.Index)
		})
	} else {
		w.take(b, evidence.PartTrail, func(l *audit.Leaf, log int) bool { return l.Body.Subject == s.subject && within(log, l.Index) })
		b.Heads = append(b.Heads, w.head(c, s.subject))
	}
	hidden := map[uint64]bool{}
	for k := range b.Items {
		if s.hide != nil && s.hide(k, len(b.Items)) {
			x := &b.Items[k]
			x.State, x.Reason, x.Leaf = evidence.Withheld, "not_granted", nil
			hidden[w.all[x.Log][x.Index].ID] = true
		}
	}
	shown := w.ids(b, hidden)
	w.take(b, evidence.PartOutcome, func(l *audit.Leaf, log int) bool {
		list, _ := l.Body.Facts.List("intents")
		return within(log, l.Index) && slices.ContainsFunc(list, func(id string) bool { return shown[id] })
	})
	w.take(b, evidence.PartHeads, func(l *audit.Leaf, log int) bool { return log == c.log && l.Index == c.index })
	if s.policy {
		w.take(b, evidence.PartPolicy, func(l *audit.Leaf, log int) bool {
			return l.Body.Subject == evidence.PolicySubject && within(log, l.Index)
		})
		b.Heads = append(b.Heads, w.head(c, evidence.PolicySubject))
	}
	w.supports(b, s)
	w.explain(b, s)
	return b
}

func (w *world) ids(b *evidence.Bundle, hidden map[uint64]bool) map[string]bool {
	out := map[string]bool{}
	for _, x := range b.Items {
		if id := w.all[x.Log][x.Index].ID; !hidden[id] {
			out[fmt.Sprintf("e%d", id)] = true
		}
	}
	return out
}

// take adds the entries that want tells, once each.
func (w *world) take(b *evidence.Bundle, part string, want func(l *audit.Leaf, log int) bool) {
	for log := range b.Logs {
		for i := range w.all[log] {
			l := &w.all[log][i]
			if !want(l, log) || slices.ContainsFunc(b.Items, func(x evidence.Item) bool { return x.Log == log && x.Index == l.Index }) {
				continue
			}
			raw := w.logs[log].Leaf(l.Index)
			b.Items = append(b.Items, evidence.Item{Place: evidence.Place{Log: log, Index: l.Index}, Part: part, State: evidence.Disclosed, Leaf: raw,
				Hash: audit.LeafHash(raw), Path: w.path(log, l.Index, w.logs[log].Size())})
		}
	}
}

func (w *world) head(c *commit, subject string) evidence.Head {
	h, proof := c.heads.Prove(audit.HeadKey(subject))
	out := evidence.Head{Place: evidence.Place{Log: c.log, Index: c.index}, Subject: subject, N: h.N, Last: h.Last, Path: proof.Path}
	if o := proof.Other; o != nil {
		out.Other = &evidence.OtherHead{Key: o.Key, N: o.N, Last: o.Last}
	}
	return out
}

// supports adds what erasures and stamps rest on, and the blobs.
func (w *world) supports(b *evidence.Bundle, s shape) {
	w.take(b, evidence.PartSupport, func(l *audit.Leaf, _ int) bool {
		return s.subject == three && strings.HasPrefix(l.Body.Kind, "erasure.") && l.Body.Subject == four
	})
	if s.stamped {
		w.take(b, evidence.PartSupport, func(l *audit.Leaf, _ int) bool { return l.Body.Kind == "time.stamped" })
		for log := range b.Logs {
			for _, l := range w.all[log] {
				if l.Body.Kind != "time.stamped" {
					continue
				}
				size, _ := l.Body.Facts.Int("size")
				b.Stamps = append(b.Stamps, evidence.Stamp{Log: log, Size: uint64(size), Token: w.token})
				b.Consistency = append(b.Consistency, evidence.Consistency{Log: log, From: uint64(size), Path: w.consistency(log, uint64(size))})
			}
		}
	}
	for _, x := range b.Items {
		l := &w.all[x.Log][x.Index]
		if x.State == evidence.Disclosed && l.Body.Decision != nil {
			b.Blobs[l.Body.Decision.Bundle] = w.blob(l.Body.Decision.Bundle)
		}
	}
}

func (w *world) blob(digest string) []byte {
	if data, ok := w.blobs[digest]; ok {
		return data
	}
	return []byte("policy bundle") // of audittest's bodies
}

// explain says what became of each commitment.
func (w *world) explain(b *evidence.Bundle, s shape) {
	var shredded *evidence.Place
	for _, x := range b.Items {
		if l := &w.all[x.Log][x.Index]; l.Body.Kind == "erasure.shredded" && l.Body.Subject == s.subject {
			shredded = &evidence.Place{Log: x.Log, Index: x.Index}
		}
	}
	for _, x := range b.Items {
		if x.State != evidence.Disclosed || x.Part != evidence.PartTrail && x.Part != evidence.PartHit && x.Part != evidence.PartOutcome {
			continue
		}
		for path := range w.all[x.Log][x.Index].Body.Commit {
			if path == audit.StatePath {
				continue
			}
			o := evidence.Opening{Place: x.Place, Path: path, State: evidence.Disclosed, Value: "value of " + path,
				Salt: w.salts[fmt.Sprintf("%d/%d/%s", x.Log, x.Index, path)]}
			switch {
			case shredded != nil:
				o = evidence.Opening{Place: x.Place, Path: path, State: evidence.Erased, Proof: shredded}
			case s.noReasons || path == "narrative":
				o = evidence.Opening{Place: x.Place, Path: path, State: evidence.Withheld, Reason: evidence.ReasonNotKept}
			}
			b.Openings = append(b.Openings, o)
		}
	}
}

// write returns the zip that package evidence writes.
func write(b *evidence.Bundle) []byte {
	var out bytes.Buffer
	if err := evidence.Write(&out, b); err != nil {
		panic(fmt.Sprintf("evidencetest: %v", err))
	}
	return out.Bytes()
}
