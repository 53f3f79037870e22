package publish_test

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/sealtrail/sealtrail/audit"
	"github.com/sealtrail/sealtrail/audit/pglog"
	"github.com/sealtrail/sealtrail/audit/publish"
	"github.com/sealtrail/sealtrail/audit/verify"
)

var errDied = errors.New("the process died here")

// wantClean verifies the published folder with the log's key, compares the database with it, and demands one root per size and
// as many entries as were appended, each once.
func (e *env) wantClean(size uint64, pinned ...[]byte) {
	e.t.Helper()
	e.wantVerified(size, pinned...)
	if findings := e.check(); findings != nil {
		e.t.Errorf("Check:\n%s", sayAll(findings))
	}
	list, err := pglog.NewTree(e.pool, shard).Checkpoints(context.Background(), 0)
	if err != nil {
		e.t.Fatal(err)
	}
	e.oneRootPerSize(list)
}

// wantVerified verifies the published folder: size entries, each id once.
func (e *env) wantVerified(size uint64, pinned ...[]byte) {
	e.t.Helper()
	ids := map[uint64]bool{}
	rep, err := verify.Verify(context.Background(), e.store.FS(), verify.Options{VerifierKey: e.signer.vkey, Pinned: pinned,
		Entries: func(v *audit.LeafView) error { ids[v.ID] = true; return nil }})
	if err != nil {
		e.t.Fatal(err)
	}
	if _, f := rep.FirstFinding(); f != nil {
		e.t.Errorf("verify: %s %s %s", f.Code, f.Path, f.Text.EN)
	}
	if rep.Size != size || uint64(len(ids)) != size {
		e.t.Errorf("published size %d with %d entry ids, want %d of both", rep.Size, len(ids), size)
	}
}

// oneRootPerSize compares every checkpoint that was reserved or signed, as the database and the folder hold them.
func (e *env) oneRootPerSize(list []pglog.Checkpoint) {
	e.t.Helper()
	roots := map[uint64][32]byte{}
	see := func(where string, c audit.Checkpoint) {
		if was, ok := roots[c.Size]; ok && was != c.Root {
			e.t.Errorf("%s: another root at size %d", where, c.Size)
		}
		roots[c.Size] = c.Root
	}
	for _, c := range list {
		see("audit.checkpoint", audit.Checkpoint{Size: c.Size, Root: c.Root})
	}
	names, err := os.ReadDir(filepath.Join(e.store.Root(), audit.CheckpointsDir))
	if err != nil {
		e.t.Fatal(err)
	}
	for _, n := range names {
		if strings.Contains(n.Name(), ".tmp-") {
			continue
		}
		raw, err := e.store.Get(context.Background(), audit.CheckpointsDir+"/"+n.Name())
		if err != nil {
			e.t.Fatal(err)
		}
		see("checkpoints/"+n.Name(), e.open(raw))
	}
}

// TestADeathAtEveryStepOfARoundIsHealed dies behind each step of a round that fills tiles, bundles and a tile of the second level,
// throws the publisher away and starts another one on the same store and database.
func TestADeathAtEveryStepOfARoundIsHealed(t *testing.T) {
	t.Parallel()
	for _, point := range publish.Steps() {
		t.Run(string(point.Step), func(t *testing.T) {
			t.Parallel()
			e := newEnv(t)
			w := newWitness(t, t.TempDir(), e.signer.vkey)
			size := uint64(0)
			grow := func(n int) { e.grow(n); size += uint64(n) }
			publisher := func() *publish.Publisher {
				return e.publisherWith(publish.Config{Witnesses: []publish.Witness{w.client(t)}, WitnessDeadline: 20 * time.Second})
			}
			for range 2 { // the second round has partial files to tidy, and dies after one that was whole
				grow(200)
				if err := publisher().Publish(t.Context()); err != nil {
					t.Fatal(err)
				}
			}
			before, err := e.store.Get(t.Context(), audit.CheckpointPath)
			if err != nil {
				t.Fatal(err)
			}
			idle := point.Step == publish.StepAskedAgain || point.Step == publish.StepRefreshed
			if idle { // the last checkpoint lacks its cosignature, and the log does not grow
				grow(300)
				if err := e.publisher().Publish(t.Context()); err != nil {
					t.Fatal(err)
				}
			}
			died := publisher()
			dead := false
			publish.StopAt(died, func(_ context.Context, s publish.Step) error {
				if s != point.Step && !dead {
					return nil
				}
				dead = true
				return errDied
			})
			if !idle {
				grow(300)
			}
			if err := died.Publish(t.Context()); !errors.Is(err, errDied) {
				t.Fatalf("the round went on: %v", err)
			}
			if point.Left == "" {
				t.Error("nobody says what is left")
			}
			e.wantWhole(e.checkpoint().Size) // what is published is whole while nobody runs
			grow(3)                          // the log goes on meanwhile: the size that was signed may never be published
			if err := publisher().Publish(t.Context()); err != nil {
				t.Fatal(err)
			}
			e.wantClean(size, before)
			e.wantCosigned(w, size)
		})
	}
}

// recorder notes each effect of a round on the world outside, and each stop.
type recorder struct {
	mu   sync.Mutex
	list []string
}

func (r *recorder) note(what string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.list = append(r.list, what)
}

type recordedStore struct {
	publish.Store
	*recorder
}

func (s recordedStore) Put(ctx context.Context, path string, contents []byte) error {
	s.note("put " + path)
	return s.Store.Put(ctx, path, contents)
}

func (s recordedStore) Remove(ctx context.Context, path string) error {
	s.note("remove " + path)
	return s.Store.Remove(ctx, path)
}

type recordedSource struct {
	publish.Source
	*recorder
}

func (s recordedSource) Reserve(ctx context.Context, size uint64, root [32]byte) ([]byte, error) {
	s.note("reserve")
	return s.Source.Reserve(ctx, size, root)
}

func (s recordedSource) Record(ctx context.Context, size uint64, root [32]byte, note []byte) error {
	s.note("record")
	return s.Source.Record(ctx, size, root, note)
}

type recordedSigner struct {
	*signer
	*recorder
}

func (s recordedSigner) Sign(ctx context.Context, msg []byte) ([]byte, error) {
	s.note("sign")
	return s.signer.Sign(ctx, msg)
}

type recordedWitness struct {
	publish.Witness
	*recorder
}

func (w recordedWitness) Cosign(ctx context.Context, checkpoint []byte, old uint64, proof [][]byte) ([]byte, error) {
	w.note("cosign")
	return w.Witness.Cosign(ctx, checkpoint, old, proof)
}

// TestBehindEveryEffectOfARoundIsAStopPoint fails when somebody adds a write, a signature or a call that no test can die behind.
func TestBehindEveryEffectOfARoundIsAStopPoint(t *testing.T) {
	t.Parallel()
	e := newEnv(t)
	w := newWitness(t, t.TempDir(), e.signer.vkey)
	r := &recorder{}
	passed := map[publish.Step]bool{}
	recorded := func() *publish.Publisher {
		p, err := publish.New(t.Context(), publish.Config{Source: recordedSource{pglog.NewTree(e.pool, shard), r}, Store: recordedStore{e.store, r},
			Signer: recordedSigner{e.signer, r}, Witnesses: []publish.Witness{recordedWitness{w.client(t), r}}, Alarm: e.alarms.add, WitnessDeadline: 20 * time.Second})
		if err != nil {
			t.Fatal(err)
		}
		publish.StopAt(p, func(_ context.Context, s publish.Step) error {
			passed[s] = true
			r.note("stop " + string(s))
			return nil
		})
		return p
	}
	p := recorded()
	for _, n := range []int{200, 300, 600, 1} { // from the third on there are partial files to remove
		e.grow(n)
		if err := p.Publish(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	e.grow(1)
	if err := e.publisher().Publish(t.Context()); err != nil { // without a witness: the next one asks for its cosignature
		t.Fatal(err)
	}
	if err := recorded().Publish(t.Context()); err != nil {
		t.Fatal(err)
	}
	effects, last := 0, "stop"
	for _, what := range r.list {
		isStop := strings.HasPrefix(what, "stop ")
		if !isStop {
			effects++
			// Several files are removed, and a witness is asked once more if it stood elsewhere, without a stop between.
			kind, _, _ := strings.Cut(what, " ")
			again := (kind == "remove" || kind == "cosign") && strings.HasPrefix(last, kind)
			if !strings.HasPrefix(last, "stop") && !again {
				t.Errorf("no stop point between %q and %q", last, what)
			}
		}
		last = what
	}
	var listed []publish.Step
	for _, s := range publish.Steps() {
		listed = append(listed, s.Step)
	}
	slices.Sort(listed)
	if got := slices.Sorted(maps.Keys(passed)); !slices.Equal(got, listed) {
		t.Errorf("passed %v, listed %v", got, listed)
	}
	t.Logf("%d effects, %d stop points", effects, len(listed))
	if effects < 40 {
		t.Errorf("%d effects: the round did less than it should", effects)
	}
}

// TestADeathAtEveryFileOperationIsHealed dies behind each operation of a Put: nothing more happens to the file system, not even
// cleaning up. Readers see the old file or the new one, whole, and the next process writes what is missing.
func TestADeathAtEveryFileOperationIsHealed(t *testing.T) {
	t.Parallel()
	const path = "checkpoints/7"
	for _, point := range publish.FileOps() {
		if slices.Contains([]publish.FileOp{publish.OpRead, publish.OpRemove, publish.OpDiscard}, point.Op) {
			continue // not operations of a Put that succeeds
		}
		for _, old := range []string{"", "the old contents"} {
			t.Run(fmt.Sprintf("%s, old %t", point.Op, old != ""), func(t *testing.T) {
				t.Parallel()
				root := t.TempDir()
				folder := newFolder(t, root)
				if old != "" {
					if err := folder.Put(t.Context(), path, []byte(old)); err != nil {
						t.Fatal(err)
					}
				}
				died, dead := newFolder(t, root), false
				publish.RunFileOps(died, func(op publish.FileOp, _ string, do func() error) error {
					if dead {
						return errDied
					}
					err := do()
					if dead = op == point.Op; dead {
						return errDied
					}
					return err
				})
				if err := died.Put(t.Context(), path, []byte("the new contents")); !errors.Is(err, errDied) {
					t.Fatalf("Put went on: %v", err)
				}
				again := newFolder(t, root)
				if got, err := again.Get(t.Context(), path); string(got) != old && string(got) != "the new contents" || err != nil && old != "" {
					t.Errorf("a reader sees %q, %v", got, err)
				}
				if err := again.Put(t.Context(), path, []byte("the new contents")); err != nil {
					t.Fatal(err)
				}
				if got, err := again.Get(t.Context(), path); string(got) != "the new contents" || err != nil {
					t.Errorf("after a restart: %q, %v", got, err)
				}
			})
		}
	}
}

func newFolder(t *testing.T, root string) *publish.Folder {
	t.Helper()
	folder, err := publish.NewFolder(root)
	if err != nil {
		t.Fatal(err)
	}
	return folder
}

// TestAPutThatSucceedsHasFlushedEveryName loses power after Puts, one file operation of which had failed once: whatever made a
// name, a flush of its folder stands behind it before Put says that it is done.
func TestAPutThatSucceedsHasFlushedEveryName(t *testing.T) {
	t.Parallel()
	for fault := range 100 {
		folder, n := newFolder(t, t.TempDir()), 0
		unflushed := map[string]bool{} // folders with a name that a failing machine may lose
		publish.RunFileOps(folder, func(op publish.FileOp, name string, do func() error) error {
			n++
			_, before := os.Stat(name)
			err := do()
			switch {
			case err != nil:
			case op == publish.OpRename, op == publish.OpMkdir && before != nil:
				unflushed[filepath.Dir(name)] = true
			case (op == publish.OpFlushFolder || op == publish.OpFlushName) && n != fault+1:
				delete(unflushed, name)
			default: // contents, not names
			}
			if n == fault+1 {
				return errors.New("failed, but done")
			}
			return err
		})
		for {
			if err := folder.Put(t.Context(), "tile/0/x001/234.p/5", []byte("x")); err == nil {
				break
			}
		}
		if len(unflushed) > 0 {
			t.Errorf("operation %d failed: names in %v are not flushed", fault+1, slices.Collect(maps.Keys(unflushed)))
		}
		if n <= fault {
			t.Logf("%d operations of a Put failed once", fault)
			if fault < 10 {
				t.Errorf("%d operations: the seam is not used", fault)
			}
			return
		}
	}
	t.Error("the sweep has no end")
}
