package publish_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	fnote "github.com/transparency-dev/formats/note"
	"golang.org/x/mod/sumdb/note"

	"github.com/sealtrail/sealtrail/audit"
	"github.com/sealtrail/sealtrail/audit/publish"
)

// witness is a witness process: server, address and folder.
type witness struct {
	*publish.WitnessServer
	http *httptest.Server
	dir  string
	hang atomic.Bool

	asked atomic.Int64 // requests to cosign
}

func newWitness(t testing.TB, dir string, logs ...string) *witness {
	t.Helper()
	s, err := publish.NewWitnessServer(context.Background(), publish.WitnessConfig{Dir: dir, Name: "witness.example/audit", Logs: logs})
	if err != nil {
		t.Fatal(err)
	}
	w := &witness{WitnessServer: s, dir: dir}
	w.http = httptest.NewServer(http.HandlerFunc(func(out http.ResponseWriter, r *http.Request) {
		if r.Method == http.MethodPost {
			w.asked.Add(1)
		}
		if w.hang.Load() {
			_, _ = io.Copy(io.Discard, r.Body) // only then does the server see that the client hung up
			<-r.Context().Done()
			return
		}
		s.ServeHTTP(out, r)
	}))
	t.Cleanup(w.http.Close)
	return w
}

func (w *witness) client(t testing.TB) *publish.WitnessClient {
	t.Helper()
	c, err := publish.NewWitnessClient(context.Background(), publish.WitnessClientConfig{URL: w.http.URL, VerifierKey: w.VerifierKey(), HTTP: w.http.Client()})
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// signed is a checkpoint of the log's key.
func (s *signer) signed(t testing.TB, size uint64, root [32]byte) []byte {
	t.Helper()
	return s.signedAs(t, shard.Origin, size, root)
}

func (s *signer) signedAs(t testing.TB, origin string, size uint64, root [32]byte) []byte {
	t.Helper()
	v, err := note.NewVerifier(s.vkey)
	if err != nil {
		t.Fatal(err)
	}
	text := string(audit.Checkpoint{Origin: origin, Size: size, Root: root}.Marshal())
	msg, err := note.Sign(&note.Note{Text: text}, noteSigner{s, v})
	if err != nil {
		t.Fatal(err)
	}
	return msg
}

type noteSigner struct {
	*signer
	v note.Verifier
}

func (s noteSigner) KeyHash() uint32                 { return s.v.KeyHash() }
func (s noteSigner) Sign(msg []byte) ([]byte, error) { return s.signer.Sign(context.Background(), msg) }

func TestWitnessedCheckpointCarriesCosignature(t *testing.T) {
	t.Parallel()
	e := newEnv(t)
	w := newWitness(t, t.TempDir(), e.signer.vkey)
	p := e.publisher(w.client(t))
	size := uint64(0)
	for _, n := range []int{3, 300, 1} {
		e.grow(n)
		size += uint64(n)
		if err := p.Publish(t.Context()); err != nil {
			t.Fatal(err)
		}
		e.wantCosigned(w, size)
	}
	if kinds := e.alarms.kinds(); kinds != nil {
		t.Errorf("alarms: %v", kinds)
	}
	// A restarted publisher does not know where the witness stands and asks; a restarted witness does know.
	again := newWitness(t, w.dir, e.signer.vkey)
	if again.VerifierKey() != w.VerifierKey() {
		t.Fatal("a restarted witness has another key")
	}
	e.grow(20)
	if err := e.publisher(again.client(t)).Publish(t.Context()); err != nil {
		t.Fatal(err)
	}
	e.wantCosigned(again, size+20)
	for _, query := range []string{"", "&size=3"} { // what an auditor fetches from the witness itself
		resp, err := again.http.Client().Get(again.http.URL + "/checkpoint?origin=" + url.QueryEscape(shard.Origin) + query)
		if err != nil {
			t.Fatal(err)
		}
		raw, err := io.ReadAll(resp.Body)
		_ = resp.Body.Close()
		if err != nil || resp.StatusCode != http.StatusOK {
			t.Fatalf("status %d, %v", resp.StatusCode, err)
		}
		want := size + 20
		if query != "" {
			want = 3
		}
		if got := e.open(raw).Size; got != want {
			t.Errorf("checkpoint%s has size %d, want %d", query, got, want)
		}
	}
}

func (e *env) wantCosigned(w *witness, size uint64) {
	e.t.Helper()
	raw, err := e.store.Get(context.Background(), audit.CheckpointPath)
	if err != nil {
		e.t.Fatal(err)
	}
	v, err := fnote.NewVerifierForCosignatureV1(w.VerifierKey())
	if err != nil {
		e.t.Fatal(err)
	}
	n, err := note.Open(raw, note.VerifierList(v))
	if err != nil {
		e.t.Fatalf("checkpoint without a cosignature that verifies: %v\n%s", err, raw)
	}
	at, err := fnote.CoSigV1Timestamp(n.Sigs[0])
	if err != nil || time.Since(at) > time.Minute {
		e.t.Errorf("cosigned at %v, %v", at, err)
	}
	if c := e.open(raw); c.Size != size {
		e.t.Errorf("cosigned size %d, want %d", c.Size, size)
	}
}

func TestHangingWitnessAlarmsAndDoesNotBlock(t *testing.T) {
	t.Parallel()
	e := newEnv(t)
	w := newWitness(t, t.TempDir(), e.signer.vkey)
	p := e.publisherWith(publish.Config{Witnesses: []publish.Witness{w.client(t)}, WitnessDeadline: 100 * time.Millisecond})
	w.hang.Store(true)
	e.grow(2)
	if err := p.Publish(t.Context()); err != nil {
		t.Fatal(err)
	}
	e.wantWhole(2)
	if !slices.Contains(e.alarms.kinds(), publish.AlarmWitness) {
		t.Error("no alarm")
	}
	w.hang.Store(false)
	waitFor(t, "the witness being asked again", func() bool {
		e.grow(1)
		if err := p.Publish(context.Background()); err != nil {
			t.Fatal(err)
		}
		return p.Status().Cosignatures == 1
	})
}

func TestRequiredWitnessBlocks(t *testing.T) {
	t.Parallel()
	e := newEnv(t)
	w := newWitness(t, t.TempDir(), e.signer.vkey)
	p := e.publisherWith(publish.Config{Witnesses: []publish.Witness{w.client(t)}, RequireWitnesses: 1, WitnessDeadline: 100 * time.Millisecond})
	w.hang.Store(true)
	e.grow(2)
	if err := p.Publish(t.Context()); !errors.Is(err, publish.ErrWitnesses) || e.checkpoint().Size != 0 {
		t.Errorf("Publish: %v, want ErrWitnesses and nothing published", err)
	}
	w.hang.Store(false)
	if err := p.Publish(t.Context()); err != nil {
		t.Fatal(err)
	}
	e.wantCosigned(w, 2)
}

// tlog-witness, each answer.
func TestWitnessRefusesWhatDoesNotExtend(t *testing.T) {
	t.Parallel()
	s, stranger := newSigner(t), newSigner(t)
	w := newWitness(t, t.TempDir(), s.vkey)
	c := w.client(t)
	var leaves [][32]byte
	for i := range 20 {
		leaves = append(leaves, audit.LeafHash([]byte{byte(i)}))
	}
	tree := newTestTree(t, leaves)
	ctx := t.Context()
	if _, err := c.Cosign(ctx, s.signed(t, 5, tree.root(5)), 0, nil); err != nil {
		t.Fatal(err)
	}
	refused := func(name string, err error) {
		t.Helper()
		if !errors.Is(err, publish.ErrRefused) {
			t.Errorf("%s: %v, want ErrRefused", name, err)
		}
	}
	stale := func(name string, err error, size uint64) {
		t.Helper()
		var e *publish.StaleError
		if !errors.As(err, &e) || e.Size != size {
			t.Errorf("%s: %v, want StaleError of size %d", name, err, size)
		}
	}
	forged := tree.root(9)
	forged[0] ^= 1
	_, err := c.Cosign(ctx, s.signed(t, 9, forged), 5, tree.proof(5, 9))
	refused("forged root (422)", err)
	_, err = c.Cosign(ctx, s.signed(t, 9, tree.root(9)), 5, tree.proof(5, 9)[1:])
	refused("short proof (422)", err)
	_, err = c.Cosign(ctx, stranger.signed(t, 9, tree.root(9)), 5, tree.proof(5, 9))
	refused("signed by a stranger (403)", err)
	_, err = c.Cosign(ctx, s.signedAs(t, "other.example/log", 9, tree.root(9)), 5, tree.proof(5, 9))
	refused("unknown log (404)", err)
	_, err = c.Cosign(ctx, s.signed(t, 3, tree.root(3)), 5, nil)
	refused("old size beyond the checkpoint (400)", err)
	_, err = c.Cosign(ctx, s.signed(t, 9, tree.root(9)), 4, tree.proof(4, 9))
	stale("stale old size (409)", err, 5)
	_, err = c.Cosign(ctx, s.signed(t, 9, tree.root(9)), 0, nil)
	stale("forgotten witness (409)", err, 5)
	_, err = c.Cosign(ctx, s.signed(t, 3, tree.root(3)), 3, nil)
	stale("smaller tree (409)", err, 5)
	_, err = c.Cosign(ctx, s.signed(t, 5, forged), 5, nil)
	stale("another root at the same size (409)", err, 5)
	if _, err = c.Cosign(ctx, s.signed(t, 5, tree.root(5)), 5, nil); err != nil {
		t.Errorf("the same checkpoint again: %v", err)
	}
	if _, err = c.Cosign(ctx, s.signed(t, 20, tree.root(20)), 5, tree.proof(5, 20)); err != nil {
		t.Errorf("a true extension after all that: %v", err)
	}
	wantEvidence(t, w.dir, s.signed(t, 9, forged), s.signed(t, 5, forged))
	_, err = c.Cosign(ctx, s.signed(t, 5, forged), 20, nil)
	refused("old size beyond it", err)
	_, err = c.Cosign(ctx, s.signed(t, 5, forged), 5, nil)
	stale("another root at a size of long ago (409)", err, 20)
	if n := convicting(t, w.dir, s.vkey); n != 1 {
		t.Errorf("%d of the witness's files convict the log, want the one of the two roots", n)
	}
}

// The witness that is offered a genuine proof of a forged tree has in it what convicts the log.
func TestWitnessConvictsAForgedExtension(t *testing.T) {
	t.Parallel()
	s := newSigner(t)
	w := newWitness(t, t.TempDir(), s.vkey)
	var leaves, forged [][32]byte
	for i := range 20 {
		leaves = append(leaves, audit.LeafHash([]byte{byte(i)}))
	}
	forged = append(forged, leaves...)
	forged[2] = audit.LeafHash([]byte("another third entry"))
	tree, other := newTestTree(t, leaves), newTestTree(t, forged)
	if _, err := w.client(t).Cosign(t.Context(), s.signed(t, 5, tree.root(5)), 0, nil); err != nil {
		t.Fatal(err)
	}
	if _, err := w.client(t).Cosign(t.Context(), s.signed(t, 20, other.root(20)), 5, other.proof(5, 20)); !errors.Is(err, publish.ErrRefused) {
		t.Fatalf("%v, want ErrRefused", err)
	}
	if n := convicting(t, w.dir, s.vkey); n != 1 {
		t.Errorf("%d files convict the log, want 1", n)
	}
}

// convicting counts the misbehaviour files of a witness that convict the log's key.
func convicting(t *testing.T, dir, vkey string) (n int) {
	t.Helper()
	open, err := audit.LogVerifier(vkey)
	if err != nil {
		t.Fatal(err)
	}
	files, err := filepath.Glob(filepath.Join(dir, "state", "*", "evidence", "*.txt"))
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range files {
		raw, err := os.ReadFile(f)
		if err != nil {
			t.Fatal(err)
		}
		m, err := audit.ParseMisbehaviour(raw)
		if err != nil {
			t.Fatalf("%s: %v", filepath.Base(f), err)
		}
		v, err := m.Judge(open)
		if err != nil {
			t.Fatal(err)
		}
		if v.Convicts {
			n++
		}
	}
	return n
}

// A log whose key was rotated has two keys under one name; both are trusted.
func TestWitnessTrustsEachKeyOfALog(t *testing.T) {
	t.Parallel()
	before, after, stranger := newSigner(t), newSigner(t), newSigner(t)
	w := newWitness(t, t.TempDir(), before.vkey, after.vkey)
	tree := newTestTree(t, [][32]byte{{1}, {2}, {3}})
	if _, err := w.client(t).Cosign(t.Context(), before.signed(t, 1, tree.root(1)), 0, nil); err != nil {
		t.Fatal(err)
	}
	if _, err := w.client(t).Cosign(t.Context(), after.signed(t, 2, tree.root(2)), 1, tree.proof(1, 2)); err != nil {
		t.Fatal(err)
	}
	if _, err := w.client(t).Cosign(t.Context(), stranger.signed(t, 3, tree.root(3)), 2, tree.proof(2, 3)); !errors.Is(err, publish.ErrRefused) {
		t.Errorf("%v, want ErrRefused", err)
	}
}

// wantEvidence looks for the refused notes, verbatim, in the witness's folder.
func wantEvidence(t *testing.T, dir string, notes ...[]byte) {
	t.Helper()
	files, err := filepath.Glob(filepath.Join(dir, "state", "*", "evidence", "*.txt"))
	if err != nil {
		t.Fatal(err)
	}
	var all []byte
	for _, f := range files {
		raw, err := os.ReadFile(f)
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, raw...)
	}
	for i, n := range notes {
		if !bytes.Contains(all, n) {
			t.Errorf("conflicting note %d is not among the evidence", i)
		}
	}
}

// A log that was rewritten and re-signed by its own key: the witness refuses, and it is the only one who can tell.
func TestWitnessRefusesARewrittenLog(t *testing.T) {
	t.Parallel()
	e := newEnv(t)
	w := newWitness(t, t.TempDir(), e.signer.vkey)
	e.grow(5)
	if err := e.publisher(w.client(t)).Publish(t.Context()); err != nil {
		t.Fatal(err)
	}
	rewritten := newEnv(t)
	rewritten.signer = e.signer
	rewritten.grow(8)
	if err := rewritten.publisher(w.client(t)).Publish(t.Context()); !errors.Is(err, publish.ErrFork) || rewritten.checkpoint().Size != 0 {
		t.Fatalf("asked before the first signature: %v, want ErrFork and nothing published", err)
	}
	if err := rewritten.publisher(mute{w.client(t)}).Publish(t.Context()); err != nil {
		t.Fatal(err) // a witness that is not required and cannot be asked never blocks
	}
	if p := rewritten.checkpoint(); p.Size != 8 {
		t.Fatalf("size %d", p.Size)
	}
	raw, err := rewritten.store.Get(t.Context(), audit.CheckpointPath)
	if err != nil || strings.Contains(string(raw), "witness.example") {
		t.Errorf("the rewritten log has a cosignature: %v", err)
	}
	if kinds := rewritten.alarms.kinds(); !slices.Contains(kinds, publish.AlarmWitness) {
		t.Errorf("alarms %v, want one of the witness", kinds)
	}
}

func TestWitnessRefusesMalformedRequests(t *testing.T) {
	t.Parallel()
	s := newSigner(t)
	w := newWitness(t, t.TempDir(), s.vkey)
	good := string(s.signed(t, 1, audit.LeafHash(nil)))
	for name, test := range map[string]struct {
		body string
		want int
	}{
		"empty":            {"", http.StatusBadRequest},
		"no old line":      {"\n\n" + good, http.StatusBadRequest},
		"padded size":      {"old 00\n\n" + good, http.StatusBadRequest},
		"negative size":    {"old -1\n\n" + good, http.StatusBadRequest},
		"proof not base64": {"old 0\n!!\n\n" + good, http.StatusBadRequest},
		"short hash":       {"old 0\nAAAA\n\n" + good, http.StatusBadRequest},
		"too many hashes":  {"old 0\n" + strings.Repeat(strings.Repeat("A", 43)+"=\n", 64) + "\n" + good, http.StatusBadRequest},
		"no note":          {"old 0\n\nhello\n", http.StatusBadRequest},
		"too large":        {"old 0\n\n" + strings.Repeat("x", 1<<20), http.StatusRequestEntityTooLarge},
		"good":             {"old 0\n\n" + good, http.StatusOK},
	} {
		resp, err := w.http.Client().Post(w.http.URL+"/add-checkpoint", "text/plain", strings.NewReader(test.body))
		if err != nil {
			t.Fatal(err)
		}
		_ = resp.Body.Close()
		if resp.StatusCode != test.want {
			t.Errorf("%s: status %d, want %d", name, resp.StatusCode, test.want)
		}
	}
}

func TestWitnessKeyFileIsPrivateAndStays(t *testing.T) {
	t.Parallel()
	file := filepath.Join(t.TempDir(), "sub", "witness.key")
	first, err := publish.LoadWitnessKey(file, "witness.example/a")
	if err != nil {
		t.Fatal(err)
	}
	info, err := os.Stat(file)
	if err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("mode %v, %v; want 0600", info.Mode(), err)
	}
	again, err := publish.LoadWitnessKey(file, "other name")
	if err != nil || again.VerifierKey() != first.VerifierKey() || again.Name() != "witness.example/a" {
		t.Errorf("second load: %v", err)
	}
	if err := os.WriteFile(file, []byte("PRIVATE+KEY+secretvalue"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := publish.LoadWitnessKey(file, ""); err == nil || strings.Contains(err.Error(), "secretvalue") {
		t.Errorf("damaged key: %v; want an error that does not quote it", err)
	}
}

// testTree gives roots and proofs of a small tree.
type testTree struct {
	t      testing.TB
	leaves [][32]byte
}

func newTestTree(t testing.TB, leaves [][32]byte) testTree { return testTree{t, leaves} }

func (x testTree) root(size uint64) [32]byte {
	tree := &audit.Tree{}
	for _, l := range x.leaves[:size] {
		if err := tree.Append(l); err != nil {
			x.t.Fatal(err)
		}
	}
	return tree.Root()
}

func (x testTree) proof(from, to uint64) [][]byte {
	x.t.Helper()
	proof, err := audit.ConsistencyProof(from, to, func(level int, index uint64, width int) ([]byte, error) {
		if level != 0 || index != 0 {
			return nil, fmt.Errorf("no tile %d/%d", level, index)
		}
		var data []byte
		for _, l := range x.leaves[:width] {
			data = append(data, l[:]...)
		}
		return data, nil
	})
	if err != nil {
		x.t.Fatal(err)
	}
	return proof
}

// Concurrent requests: one checkpoint at a time is compared, kept and signed, so the last state is the largest that was cosigned, and
// no two roots of one size ever get a cosignature.
func TestWitnessUnderConcurrentRequests(t *testing.T) {
	t.Parallel()
	s := newSigner(t)
	w := newWitness(t, t.TempDir(), s.vkey)
	var leaves, others [][32]byte
	for i := range 40 {
		leaves = append(leaves, audit.LeafHash([]byte{byte(i)}))
		others = append(others, audit.LeafHash([]byte{byte(i), 1}))
	}
	trees := []testTree{newTestTree(t, leaves), newTestTree(t, others)}
	var mu sync.Mutex
	signed := map[uint64]map[int]bool{} // size -> histories that got a cosignature
	var wg sync.WaitGroup
	for n := range 8 {
		wg.Go(func() {
			history := n % 2
			old := uint64(0)
			for size := uint64(n/2 + 1); size <= 40; {
				var proof [][]byte
				if old > 0 && old < size {
					proof = trees[history].proof(old, size)
				}
				_, err := w.client(t).Cosign(context.Background(), s.signed(t, size, trees[history].root(size)), old, proof)
				var stale *publish.StaleError
				switch {
				case err == nil:
					mu.Lock()
					if signed[size] == nil {
						signed[size] = map[int]bool{}
					}
					signed[size][history] = true
					mu.Unlock()
					old, size = size, size+4
				case errors.As(err, &stale) && stale.Size != old && stale.Size <= 40:
					old, size = stale.Size, max(size, stale.Size)
				case errors.As(err, &stale):
					size += 4 // of the other history
				default:
					size += 4
				}
			}
		})
	}
	wg.Wait()
	first := -1
	for size, histories := range signed {
		for h := range histories {
			if first >= 0 && h != first {
				t.Fatalf("both histories were cosigned, one at size %d", size)
			}
			first = h
		}
	}
	if first < 0 {
		t.Fatal("nothing was cosigned")
	}
	resp, err := w.http.Client().Get(w.http.URL + "/checkpoint?origin=" + url.QueryEscape(shard.Origin))
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	raw, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	n, err := audit.SplitNote(raw)
	if err != nil {
		t.Fatal(err)
	}
	last, err := audit.ParseCheckpoint(n.Text)
	largest := uint64(0)
	for size := range signed {
		largest = max(largest, size)
	}
	if err != nil || last.Size != largest || last.Root != trees[first].root(largest) {
		t.Errorf("last checkpoint has size %d, %v; largest cosigned is %d", last.Size, err, largest)
	}
}
