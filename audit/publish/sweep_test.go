package publish_test

import (
	"context"
	"crypto/sha256"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/sealtrail/sealtrail/audit"
	"github.com/sealtrail/sealtrail/audit/pglog"
	"github.com/sealtrail/sealtrail/audit/publish"
)

// sweep is one installation in which one operation fails at a time.
type sweep interface {
	// round grows the log by a full bundle and publishes, and does so once more; the operation at fail fails and is tried again.
	// The n-th round throws the process away after the failure, or goes on with it. It reports whether there was the operation.
	round(n int, fail point) bool
	wantClean()
	points() []point // of the last round
}

// sweeping runs a round for every operation that a round has and checks everything after each. It returns how many failed.
func sweeping(t *testing.T, parts int, make func(t *testing.T, after bool) sweep) map[string]int {
	t.Helper()
	var mu sync.Mutex
	failed := map[string]int{}
	t.Run("sweep", func(t *testing.T) {
		for _, after := range []bool{false, true} {
			for part := range parts { // so that no log grows long
				t.Run(fmt.Sprintf("done %t, part %d", after, part), func(t *testing.T) {
					t.Parallel()
					s := make(t, after)
					for range 3 { // no operation fails; the first two make folders that the later ones find
						s.round(0, point{})
					}
					points := s.points()
					for n := part; n < len(points); n += parts {
						fired := s.round(n, points[n])
						// How many tiles a proof reads depends on the sizes; everything else is the same in every round.
						if mayLack := strings.HasPrefix(points[n].what, "store get tile") || points[n].what == "file read"; !fired && !mayLack {
							t.Errorf("%v did not come", points[n])
						}
						s.wantClean()
						if t.Failed() {
							t.Fatalf("point %d of %d failed once: %v", n, len(points), points[n])
						}
						if fired {
							mu.Lock()
							kind, _, _ := strings.Cut(points[n].what, " ")
							failed[fmt.Sprintf("%s, done %t", kind, after)]++
							mu.Unlock()
						}
					}
				})
			}
		}
	})
	t.Logf("fault points: %v", failed)
	return failed
}

// wantFaults fails when a seam is not used any more.
func wantFaults(t *testing.T, failed, least map[string]int) {
	t.Helper()
	for kind, n := range least {
		for _, after := range []bool{false, true} {
			if got := failed[fmt.Sprintf("%s, done %t", kind, after)]; got < n {
				t.Errorf("%d fault points of kind %s, done %t, want at least %d: the seam is not used", got, kind, after, n)
			}
		}
	}
}

// attempts tries what a fault may fail once.
type attempts struct {
	t        testing.TB
	n        int
	failures int
	restart  func()
}

func (a *attempts) do(what string, try func() error) {
	a.t.Helper()
	for err := try(); err != nil; err = try() {
		if a.failures++; a.failures > 1 { // one fault: one attempt fails
			a.t.Fatalf("%s fails twice: %v", what, err)
		}
		if a.n%2 == 1 {
			a.restart()
		}
	}
}

// TestEverySingleSQLFaultIsHealed lets every SQL statement of sequencing and publishing fail once, in two ways: the connection
// breaks before the statement is sent, or after the server did it (COMMIT!) and before its answer came. After each: one more
// attempt, then a full check of folder and database: nothing lost, nothing doubled. Some 90 faults, each with its check.
func TestEverySingleSQLFaultIsHealed(t *testing.T) {
	t.Parallel()
	failed := sweeping(t, 3, func(t *testing.T, after bool) sweep {
		return &sqlSweep{env: newEnv(t), faults: &faults{after: after, names: map[string]string{}}}
	})
	wantFaults(t, failed, map[string]int{"sql": 40})
}

type sqlSweep struct {
	*env
	faults *faults
	size   uint64
}

func (s *sqlSweep) points() []point { return s.faults.order }
func (s *sqlSweep) wantClean()      { s.t.Helper(); s.env.wantClean(s.size) }

// sqlProcess is a sequencer and a publisher that have just started, with connections of their own, so that every round runs the
// same statements.
type sqlProcess struct {
	pool *pgxpool.Pool
	seq  *pglog.Sequencer
	pub  *publish.Publisher
}

func (s *sqlSweep) process() *sqlProcess {
	s.t.Helper()
	p := &sqlProcess{pool: s.faults.pool(s.t, s.db.App)}
	var err error
	if p.seq, err = pglog.NewSequencer(context.Background(), pglog.SequencerConfig{Pool: p.pool, Institution: inst}); err != nil {
		s.t.Fatal(err)
	}
	p.pub, err = publish.New(context.Background(), publish.Config{Source: pglog.NewTree(p.pool, shard), Store: s.store, Signer: s.signer, Alarm: s.alarms.add})
	if err != nil {
		s.t.Fatal(err)
	}
	return p
}

// queued says whether entries wait although a Step took none: the server may still hold the locks of a connection that broke
// behind a statement, until it notices.
func (s *sqlSweep) queued() (waiting bool) {
	s.t.Helper()
	if err := s.env.pool.QueryRow(context.Background(), "select exists (select from audit.pending)").Scan(&waiting); err != nil {
		s.t.Fatal(err)
	}
	return waiting
}

func (s *sqlSweep) round(n int, fail point) bool {
	s.t.Helper()
	p := s.process()
	defer func() { p.pool.Close() }()
	a := attempts{t: s.t, n: n, restart: func() { p.pool.Close(); p = s.process() }}
	s.faults.arm(fail)
	for _, grow := range []int{100, 5} {
		if _, err := s.log.Append(context.Background(), bodies(grow, int(s.size))...); err != nil { // past the faults
			s.t.Fatal(err)
		}
		s.size += uint64(grow)
		a.do("sequencing", func() error {
			for {
				n, err := p.seq.Step(context.Background())
				if err != nil || n == 0 && !s.queued() {
					return err
				}
			}
		})
		a.do("publishing", func() error { return p.pub.Publish(context.Background()) })
	}
	return s.faults.disarm()
}

// TestEverySingleFileFaultIsHealed does the same with every call of the store, every file operation behind it and every
// signature. The log lies in memory.
func TestEverySingleFileFaultIsHealed(t *testing.T) {
	t.Parallel()
	failed := sweeping(t, 4, func(t *testing.T, after bool) sweep {
		return &fileSweep{t: t, root: t.TempDir(), signer: newSigner(t), source: newMemory(), faults: &faults{after: after, names: map[string]string{}}}
	})
	wantFaults(t, failed, map[string]int{"file": 100, "store": 25, "signer": 2})
}

type fileSweep struct {
	t      testing.TB
	root   string
	signer *signer
	source *memorySource
	faults *faults
}

func (s *fileSweep) points() []point { return s.faults.order }

func (s *fileSweep) wantClean() {
	s.t.Helper()
	folder, err := publish.NewFolder(s.root)
	if err != nil {
		s.t.Fatal(err)
	}
	e := &env{t: s.t, store: &fullStore{Folder: folder}, signer: s.signer}
	e.wantVerified(uint64(len(s.source.leaves)))
	e.oneRootPerSize(s.source.checkpoints)
}

func (s *fileSweep) process() *publish.Publisher {
	s.t.Helper()
	folder, err := publish.NewFolder(s.root)
	if err != nil {
		s.t.Fatal(err)
	}
	publish.RunFileOps(folder, func(op publish.FileOp, _ string, do func() error) error { return s.faults.do("file "+string(op), do) })
	p, err := publish.New(context.Background(), publish.Config{Source: s.source, Store: faultyStore{folder, s.faults}, Signer: faultySigner{s.signer, s.faults},
		Alarm: func(context.Context, publish.Alarm) {}})
	if err != nil {
		s.t.Fatal(err)
	}
	return p
}

func (s *fileSweep) round(n int, fail point) bool {
	s.t.Helper()
	p := s.process()
	a := attempts{t: s.t, n: n, restart: func() { p = s.process() }}
	s.faults.arm(fail)
	for _, grow := range []int{257, 5} { // fills a bundle and a tile; then removes what they replaced
		s.source.grow(s.t, grow)
		a.do("publishing", func() error { return p.Publish(context.Background()) })
	}
	return s.faults.disarm()
}

// memorySource is a Source without a database.
type memorySource struct {
	tree        *audit.Tree
	leaves      []pglog.LeafRow
	checkpoints []pglog.Checkpoint
	trails      map[string]audit.Position
}

func newMemory() *memorySource {
	return &memorySource{tree: &audit.Tree{}, trails: map[string]audit.Position{}}
}

func (m *memorySource) grow(t testing.TB, n int) {
	t.Helper()
	for _, b := range bodies(n, len(m.leaves)) {
		b.Institution, b.Nonce = inst, audit.NewNonce()
		raw, err := b.Canonical()
		if err != nil {
			t.Fatal(err)
		}
		at := uint64(len(m.leaves))
		p := audit.Position{ID: at + 1, Index: at, Log: shard.Origin, SeqAt: time.Date(2026, 11, 23, 8, 0, 0, 0, time.UTC),
			TrailN: m.trails[b.Subject].TrailN + 1, TrailPrev: m.trails[b.Subject].TrailPrev}
		row := pglog.LeafRow{Index: at, ID: p.ID, Bytes: audit.AssembleLeaf(raw, p)}
		row.Hash = audit.LeafHash(row.Bytes)
		m.trails[b.Subject] = audit.Position{TrailN: p.TrailN, TrailPrev: row.Hash}
		if err := m.tree.Append(row.Hash); err != nil {
			t.Fatal(err)
		}
		m.leaves = append(m.leaves, row)
	}
}

func (m *memorySource) Shard() pglog.Shard { return shard }

func (m *memorySource) Head(context.Context) (pglog.Head, error) {
	root := m.tree.Root()
	if m.tree.Size() == 0 {
		root = sha256.Sum256(nil)
	}
	return pglog.Head{Size: m.tree.Size(), Root: root}, nil
}

func (m *memorySource) Leaves(_ context.Context, from, to uint64, fn func(pglog.LeafRow) error) error {
	for _, row := range m.leaves[from:to] {
		if err := fn(row); err != nil {
			return err
		}
	}
	return nil
}

func (m *memorySource) Hashes(_ context.Context, from, to uint64, fn func([32]byte) error) error {
	for _, row := range m.leaves[from:to] {
		if err := fn(row.Hash); err != nil {
			return err
		}
	}
	return nil
}

func (m *memorySource) Reserve(_ context.Context, size uint64, root [32]byte) ([]byte, error) {
	for _, c := range m.checkpoints {
		if c.Size == size && c.Root != root {
			return nil, pglog.ErrFork
		}
		if c.Size == size {
			return c.Note, nil
		}
	}
	m.checkpoints = append(m.checkpoints, pglog.Checkpoint{Size: size, Root: root})
	return nil, nil
}

func (m *memorySource) Record(_ context.Context, size uint64, root [32]byte, note []byte) error {
	for i, c := range m.checkpoints {
		if c.Size == size && c.Root == root && c.Note == nil {
			m.checkpoints[i].Note = note
		}
	}
	return nil
}

func (m *memorySource) Checkpoints(_ context.Context, from uint64) (list []pglog.Checkpoint, err error) {
	for _, c := range m.checkpoints {
		if c.Size >= from {
			list = append(list, c)
		}
	}
	return list, nil
}
