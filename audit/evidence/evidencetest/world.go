package evidencetest

import (
	"crypto/ed25519"
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"io/fs"
	"math/rand/v2"
	"testing/fstest"
	"time"

	"github.com/sealtrail/sealtrail/audit"
	"github.com/sealtrail/sealtrail/audit/audittest"
)

// world is an institution with the logs of two years, in which everything happened that a bundle may have to show.
type world struct {
	rng   *rand.Rand
	logs  []*audittest.Log
	dirs  []fstest.MapFS
	notes [][]byte // signed and cosigned checkpoints
	all   [][]audit.Leaf
	heads []*commit
	blobs map[string][]byte
	salts map[string][16]byte // by log/index/path
	token []byte
	n     int
	twist string
}

// commit is one trail.heads entry and the map that it commits to.
type commit struct {
	log   int // of the entry
	index uint64
	of    int // log whose size it speaks of
	size  uint64
	heads audit.Heads
}

// Subjects of a world.
const (
	one     = "complaint:f0000001-0000-4000-8000-000000000001" // of both years, with reveals, a refusal and reasons
	two     = "complaint:f0000002-0000-4000-8000-000000000002" // erased by a request about itself
	three   = "complaint:f0000003-0000-4000-8000-000000000003" // erased by a request about four
	four    = "complaint:f0000004-0000-4000-8000-000000000004" // of the second year alone
	quiet   = "complaint:f0000005-0000-4000-8000-000000000005" // one entry, never opened
	nowhere = "complaint:f000000f-0000-4000-8000-"             // never was
)

const witnesses = 3

// newWorld makes a world; twist names what is wrong in its history, "" for nothing.
func newWorld(seed uint64, twist string) *world {
	w := &world{rng: rand.New(rand.NewPCG(seed, 1)), blobs: map[string][]byte{}, salts: map[string][16]byte{}, twist: twist} //nolint:gosec // a world is made again by everybody
	w.open(audittest.Config{Origin: "sealtrail.example/demo/2025", Start: time.Date(2025, 6, 1, 0, 0, 0, 0, time.UTC)})
	first := w.activate("first bundle")
	w.filler(10 + w.rng.IntN(30))
	w.record(one, first)
	w.reveal(one, first)
	w.record(two, first)
	w.filler(w.rng.IntN(40))
	w.commitHeads()
	w.logs[0].Publish()
	w.open(audittest.Config{Origin: "sealtrail.example/demo/2026", FirstID: 5000, Trails: w.logs[0].Trails()})
	w.filler(10 + w.rng.IntN(20))
	w.reveal(one, first)
	w.deny(one, first)
	w.record(three, first)
	second := w.activate("second bundle")
	w.record(four, second)
	w.reveal(four, second)
	w.reveal(four, second)
	w.record(quiet, second)
	w.filler(w.rng.IntN(60))
	w.commitHeads()
	w.reveal(one, second)
	w.reveal(four, second)
	w.reveal(two, second)
	w.erase(two, two, "er-2")
	w.erase(four, three, "er-3")
	if twist == "policy" {
		w.reveal(one, first)
	}
	w.stamp()
	w.filler(w.rng.IntN(300))
	w.activate("third bundle")
	w.commitHeads()
	w.filler(1 + w.rng.IntN(20))
	for i, l := range w.logs {
		l.Publish()
		w.dirs = append(w.dirs, l.Folder())
		w.notes = append(w.notes, cosign(l.Checkpoint(), l, w.n, i))
	}
	return w
}

func (w *world) open(c audittest.Config) {
	w.logs, w.all = append(w.logs, audittest.New(c)), append(w.all, nil)
}

func (w *world) log() *audittest.Log { return w.logs[len(w.logs)-1] }

// add appends an entry and returns its place.
func (w *world) add(b audit.Body) (log int, index uint64) {
	w.n++
	nonce := sha256.Sum256(fmt.Appendf(nil, "%d %d", w.n, w.rng.Uint64()))
	b.Institution, b.Nonce = "demo", [16]byte(nonce[:16])
	b.At = time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC).Add(time.Duration(w.n) * time.Minute)
	if b.Actor.ID == "" {
		b.Actor = audit.Actor{ID: fmt.Sprintf("p-%04d", w.n%7), Roles: []string{"handler"}, Auth: "oidc"}
	}
	raw, err := b.Canonical()
	if err != nil {
		panic(fmt.Sprintf("evidencetest: %v", err))
	}
	w.log().AppendRaw(raw, b.Subject)
	log, index = len(w.logs)-1, w.log().Size()-1
	leaf, err := audit.ParseLeaf(w.log().Leaf(index))
	if err != nil {
		panic(fmt.Sprintf("evidencetest: %v", err))
	}
	w.all[log] = append(w.all[log], leaf)
	return log, index
}

func (w *world) filler(n int) {
	for i := range n {
		w.add(audittest.Body(w.n*4 + i%4))
	}
}

func (w *world) activate(text string) (digest string) {
	sum := sha256.Sum256([]byte(text))
	digest = hex.EncodeToString(sum[:])
	w.blobs[digest] = []byte(text)
	w.add(audit.Body{Stage: audit.StageEvent, Kind: "bundle.activated", Subject: "charter:bundle", Facts: audit.Facts{"sequence": len(w.blobs), "digest": digest}})
	return digest
}

// committed adds an entry with commitments whose values are "value of <path>".
func (w *world) committed(b audit.Body, paths ...string) {
	b.Commit = map[string]string{}
	salts := map[string][16]byte{}
	for _, p := range paths {
		sum := sha256.Sum256(fmt.Appendf(nil, "salt %d %d", w.n, w.rng.Uint64()))
		salts[p] = [16]byte(sum[:16])
		b.Commit[p] = audit.Commit(p, salts[p], []byte("value of "+p))
	}
	if b.Stage == audit.StageEvent {
		b.Commit[audit.StatePath] = hex.EncodeToString(make([]byte, 32))
	}
	log, index := w.add(b)
	for p, s := range salts {
		w.salts[fmt.Sprintf("%d/%d/%s", log, index, p)] = s
	}
}

func decision(result, bundle string) *audit.DecisionRef {
	return &audit.DecisionRef{Result: result, Rule: "R3", Article: "6.1.3", Bundle: bundle, ID: "d-1"}
}

func (w *world) record(subject, bundle string) {
	w.committed(audit.Body{Stage: audit.StageEvent, Kind: "complaint.recorded", Subject: subject, Revision: 1, Decision: decision("allow", bundle),
		Facts: audit.Facts{"channel": "phone"}}, "narrative", "reason")
}

// reveal adds an intent and, as an entry of the request, its outcome.
func (w *world) reveal(subject, bundle string) {
	request := fmt.Sprintf("req-%06d", w.n)
	w.committed(audit.Body{Stage: audit.StageIntent, Kind: "access.reveal", Subject: subject, Revision: 1, Purpose: "handle", Fields: []string{"phone"},
		Request: request, Decision: decision("allow", bundle)}, "reason")
	last := w.all[len(w.all)-1]
	w.add(audit.Body{Stage: audit.StageOutcome, Kind: "access.result", Subject: "request:" + request, Request: request,
		Facts: audit.Facts{"outcome": "answered", "intents": []string{fmt.Sprintf("e%d", last[len(last)-1].ID)}}})
}

func (w *world) deny(subject, bundle string) {
	d := decision("deny", bundle)
	d.Reason = "not_assigned"
	w.add(audit.Body{Stage: audit.StageEvent, Kind: "access.denied", Subject: subject, Decision: d, Facts: audit.Facts{"action": "reveal", "reason": "not_assigned"}})
}

// erase adds request, approval and shredding; the twists leave one of them out or make one person of two.
func (w *world) erase(asked, erased, id string) {
	by, approver := "p-1001", "p-1002"
	if w.twist == "same person" {
		approver = by
	}
	event := func(kind, subject, actor string, more audit.Facts) {
		f := audit.Facts{"erasure": id, "basis": "retention_ended"}
		for k, v := range more {
			f[k] = v
		}
		w.add(audit.Body{Stage: audit.StageEvent, Kind: kind, Subject: subject, Actor: audit.Actor{ID: actor}, Facts: f})
	}
	if w.twist != "no request" {
		event("erasure.requested", asked, by, nil)
	}
	if w.twist != "no approval" && w.twist != "approved late" {
		event("erasure.approved", asked, approver, nil)
	}
	facts := audit.Facts{"requested_by": by, "approved_by": approver}
	if w.twist == "unnamed approver" {
		delete(facts, "approved_by")
	}
	event("erasure.shredded", erased, "p-1002", facts)
	if w.twist == "approved late" {
		event("erasure.approved", asked, approver, nil)
	}
}

// stamp logs a token over the present tree.
func (w *world) stamp() {
	w.log().Publish()
	c, err := audit.ParseCheckpoint(mustSplit(w.log().Checkpoint()).Text)
	if err != nil {
		panic(err)
	}
	w.token = []byte("token " + hex.EncodeToString(c.Root[:]))
	sum := sha256.Sum256(w.token)
	w.add(audit.Body{Stage: audit.StageEvent, Kind: "time.stamped", Subject: "charter:time", Facts: audit.Facts{"origin": c.Origin, "size": c.Size,
		"root": hex.EncodeToString(c.Root[:]), "time": "2026-03-01T00:00:00Z", "token_sha256": hex.EncodeToString(sum[:]), "tsa": "tsa.example"}})
}

// commitHeads commits to the ends of all trails; between the size and the entry stands another entry.
func (w *world) commitHeads() {
	c := &commit{log: len(w.logs) - 1, of: len(w.logs) - 1, size: w.log().Size()}
	for _, log := range w.all {
		for i := range log {
			if s := log[i].Body.Subject; audit.InHeads(s) {
				c.heads.Set(audit.Head{Key: audit.HeadKey(s), N: log[i].TrailN, Last: audit.LeafHash(audit.AssembleLeaf(log[i].RawBody, log[i].Position))})
			}
		}
	}
	root := c.heads.Root()
	w.filler(1)
	_, c.index = w.add(audit.Body{Stage: audit.StageEvent, Kind: audit.HeadsKind, Subject: audit.HeadsSubject,
		Facts: audit.Facts{"origin": w.log().Origin(), "size": c.size, "trails": c.heads.Len(), "root": hex.EncodeToString(root[:])}})
	w.heads = append(w.heads, c)
}

func tilesOf(dir fstest.MapFS) audit.TileReader {
	return func(level int, index uint64, width int) ([]byte, error) {
		if width == audit.TileWidth {
			width = 0
		}
		return fs.ReadFile(dir, audit.TilePath(level, index, width))
	}
}

func (w *world) path(log int, index, size uint64) [][32]byte {
	p, err := audit.InclusionProof(index, size, tilesOf(w.dirs[log]))
	return fixed(p, err)
}

func (w *world) consistency(log int, from uint64) [][32]byte {
	p, err := audit.ConsistencyProof(from, w.logs[log].Size(), tilesOf(w.dirs[log]))
	return fixed(p, err)
}

func fixed(p [][]byte, err error) [][32]byte {
	if err != nil {
		panic(fmt.Sprintf("evidencetest: %v", err))
	}
	out := make([][32]byte, len(p))
	for i := range p {
		out[i] = [32]byte(p[i])
	}
	return out
}

func witnessKey(i int) (name string, key ed25519.PrivateKey) {
	sum := sha256.Sum256(fmt.Appendf(nil, "evidencetest/witness/%d", i))
	return fmt.Sprintf("witness.example/w%d", i), ed25519.NewKeyFromSeed(sum[:])
}

// vkey is the verifier key of a witness.
func vkey(i int) string {
	name, key := witnessKey(i)
	raw := append([]byte{4}, key.Public().(ed25519.PublicKey)...)
	id := sha256.Sum256(append([]byte(name+"\n"), raw...))
	return fmt.Sprintf("%s+%x+%s", name, id[:4], base64.StdEncoding.EncodeToString(raw))
}

// cosign adds the lines of all witnesses to a signed note.
func cosign(signed []byte, _ *audittest.Log, minute, _ int) []byte {
	text := mustSplit(signed).Text
	for i := range witnesses {
		name, key := witnessKey(i)
		unix := uint64(1_780_000_000 + 60*minute + i)
		raw := append([]byte{4}, key.Public().(ed25519.PublicKey)...)
		id := sha256.Sum256(append([]byte(name+"\n"), raw...))
		sig := binary.BigEndian.AppendUint64(id[:4:4], unix)
		sig = append(sig, ed25519.Sign(key, audit.CosignatureMessage(text, unix))...)
		signed = fmt.Appendf(signed, "— %s %s\n", name, base64.StdEncoding.EncodeToString(sig))
	}
	return signed
}

func mustSplit(signed []byte) audit.SignedNote {
	n, err := audit.SplitNote(signed)
	if err != nil {
		panic(fmt.Sprintf("evidencetest: %v", err))
	}
	return n
}
