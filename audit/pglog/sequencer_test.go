package pglog_test

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/sealtrail/sealtrail/audit"
	"github.com/sealtrail/sealtrail/audit/pglog"
)

// indexOf reads where an entry stands, once it is sequenced.
func (e *env) indexOf(id uint64) uint64 {
	e.t.Helper()
	x, err := e.log.Entry(context.Background(), id)
	if err != nil || x.State != pglog.StateSequenced {
		e.t.Fatalf("entry %d: %v, %v", id, x.State, err)
	}
	return x.Index
}

func TestSequencedLeavesHashToTheRoot(t *testing.T) {
	t.Parallel()
	e := newEnv(t)
	receipts := e.append("complaint:1", 5)
	e.sequenceAll()
	receipts = append(receipts, e.append("complaint:2", 4)...)
	e.sequenceAll()
	head := e.head()
	if head.Size != 9 {
		t.Fatalf("size %d, want 9", head.Size)
	}
	tree, i := &audit.Tree{}, 0
	err := pglog.NewTree(e.pool, shard).Leaves(t.Context(), 0, head.Size, func(row pglog.LeafRow) error {
		leaf, err := audit.ParseLeaf(row.Bytes)
		if err != nil {
			return err
		}
		if leaf.ID != receipts[i].EntryID() || leaf.Index != uint64(i) || leaf.Log != shard.Origin {
			t.Errorf("leaf %d is %+v", i, leaf.Position)
		}
		if row.Hash != audit.LeafHash(row.Bytes) {
			t.Errorf("leaf %d has another hash", i)
		}
		i++
		return tree.Append(audit.LeafHash(row.Bytes))
	})
	if err != nil {
		t.Fatal(err)
	}
	if tree.Root() != head.Root {
		t.Error("root is not that of the leaves")
	}
	if findings, err := pglog.Check(t.Context(), e.pool, inst, nil); err != nil || findings != nil {
		t.Errorf("Check: %v, %v", findings, err)
	}
}

// A sequencer that was stopped between reading the tree and writing it, and continued after another had moved on.
func TestStaleSequencerIsFenced(t *testing.T) {
	t.Parallel()
	e := newEnv(t)
	e.append("complaint:1", 2)
	e.sequenceAll()
	late := e.append("complaint:1", 1)[0].EntryID()
	hash, root := make([]byte, 32), e.head().Root
	stale := func(size, epoch int, ids ...int64) error {
		_, err := e.pool.Exec(t.Context(), "select audit.sequence($1, $2, $3, $4, $5, $6, clock_timestamp(), $7, $8, $9, $10, $11, $12, $13, $14, $15, $16)",
			inst, shard.Year, size, epoch, []byte{}, root[:], ids, [][]byte{hash}, []int64{1}, [][]byte{hash}, []int64{0}, []string{"s"}, []int32{1},
			[]int64{0}, [][]byte{nil}, []int64{0})
		return err
	}
	for name, err := range map[string]error{
		"old size":          stale(0, 0, int64(late)),
		"old epoch":         stale(2, 0, int64(late)),
		"entry not pending": stale(2, 1, 1),
	} {
		if err == nil || !isCode(err, "40001") {
			t.Errorf("%s: %v, want refusal 40001", name, err)
		}
	}
	e.sequenceAll()
	if got := e.indexOf(late); got != 2 {
		t.Errorf("index %d, want 2: the refused attempts left traces", got)
	}
}

func TestTwoSequencersNeverFork(t *testing.T) {
	t.Parallel()
	e := newEnv(t)
	for range 3 {
		s, err := pglog.NewSequencer(t.Context(), pglog.SequencerConfig{Pool: e.pool, Institution: inst, Interval: time.Millisecond, MaxBatch: 7})
		if err != nil {
			t.Fatal(err)
		}
		background(t, s.Run)
	}
	var wg sync.WaitGroup
	for c := range 4 {
		wg.Go(func() { e.append(fmt.Sprintf("complaint:%d", c%2), 60) })
	}
	wg.Wait()
	waitFor(t, "sequencing", func() bool { return e.head().Size == 240 })
	if findings, err := pglog.Check(t.Context(), e.pool, inst, nil); err != nil || findings != nil {
		t.Errorf("Check: %v, %v", findings, err)
	}
}

// Any interleaving of appends of any sizes and steps gives a dense log whose trails are complete.
func TestAnyScheduleGivesADenseLog(t *testing.T) {
	t.Parallel()
	e := newEnv(t)
	want := uint64(0)
	rapid.Check(t, func(rt *rapid.T) {
		for _, n := range rapid.SliceOfN(rapid.IntRange(0, 5), 1, 6).Draw(rt, "batches") {
			if n == 0 {
				if _, err := e.seq.Step(context.Background()); err != nil {
					rt.Fatal(err)
				}
				continue
			}
			bodies := make([]audit.Body, n)
			for i := range bodies {
				bodies[i] = body(fmt.Sprintf("complaint:%d", rapid.IntRange(0, 3).Draw(rt, "subject")), i)
			}
			if _, err := e.log.Append(context.Background(), bodies...); err != nil {
				rt.Fatal(err)
			}
			want += uint64(n)
		}
	})
	e.sequenceAll()
	if got := e.head().Size; got != want {
		t.Errorf("size %d, want %d", got, want)
	}
	if findings, err := pglog.Check(t.Context(), e.pool, inst, nil); err != nil || findings != nil {
		t.Errorf("Check: %v, %v", findings, err)
	}
}

func TestNewYearOpensANewLogAndTrailsGoOn(t *testing.T) {
	t.Parallel()
	year := time.Now().UTC().Year()
	past, next := shardOf(year-1), shardOf(year)
	e := envOn(t, newDB(t), past)
	e.append("complaint:1", 2)
	e.sequenceAll()
	if created, err := pglog.EnsureLog(t.Context(), e.pool, next); err != nil || !created {
		t.Fatalf("EnsureLog = %v, %v", created, err)
	}
	if created, err := pglog.EnsureLog(t.Context(), e.pool, next); err != nil || created {
		t.Fatalf("second EnsureLog = %v, %v", created, err)
	}
	if _, err := pglog.EnsureLog(t.Context(), e.pool, past); err == nil {
		t.Error("last year's log could be opened again")
	}
	last := e.append("complaint:1", 1)[0].EntryID()
	e.sequenceAll()
	got, err := e.log.Entry(t.Context(), last)
	if err != nil || got.Year != year || got.Index != 1 || got.TrailN != 3 {
		t.Errorf("entry = year %d index %d n %d, %v; want index 1 of this year, behind log.opened, as number 3 of its trail", got.Year, got.Index, got.TrailN, err)
	}
	if trail, err := e.log.Trail(t.Context(), "complaint:1", 10); err != nil || len(trail) != 3 {
		t.Errorf("trail across years has %d entries, %v", len(trail), err)
	}
	if current, err := pglog.CurrentShard(t.Context(), e.pool, inst); err != nil || current != next {
		t.Errorf("CurrentShard = %+v, %v", current, err)
	}
	if findings, err := pglog.Check(t.Context(), e.pool, inst, nil); err != nil || findings != nil {
		t.Errorf("Check: %v, %v", findings, err)
	}
}

// Whoever calls audit.append past this package cannot spoil the log: what is no entry stays pending and is named.
func TestMalformedEntryIsLeftOutAndNamed(t *testing.T) {
	t.Parallel()
	e := newEnv(t)
	ids := e.reject(1)
	good := e.append("complaint:1", 1)[0].EntryID()
	if _, err := e.seq.Step(t.Context()); err != nil {
		t.Fatal(err)
	}
	if got := e.indexOf(good); got != 0 || e.seq.Rejected() != 1 {
		t.Errorf("index %d, rejected %d; want 0 and 1", got, e.seq.Rejected())
	}
	findings, err := pglog.Check(t.Context(), e.pool, inst, nil)
	if err != nil || len(findings) != 1 || findings[0].Code != pglog.FoundRejected || findings[0].ID != uint64(ids[0]) {
		t.Errorf("Check: %v, %v", findings, err)
	}
}

// kill -9 of PostgreSQL under load: no acknowledged entry is missing and the log is whole.
func TestKilledDatabaseLosesNothingAcknowledged(t *testing.T) {
	t.Parallel()
	cluster := testCluster(t)
	e := envOn(t, cluster.New("audit", pglog.Migrate), shard)
	background(t, e.seq.Run)
	ctx, cancel := context.WithCancel(t.Context())
	var acknowledged gather[uint64]
	var wg sync.WaitGroup
	for c := range 16 {
		wg.Go(func() {
			for i := 0; ctx.Err() == nil; i++ {
				r, err := e.log.Append(context.Background(), body(fmt.Sprintf("complaint:%d", c), i))
				if err == nil {
					acknowledged.add(r[0].EntryID())
				} else if !errors.Is(err, pglog.ErrUnavailable) {
					t.Errorf("append: %v, want ErrUnavailable", err)
				}
			}
		})
	}
	for round := range 3 {
		before := acknowledged.len()
		waitFor(t, "load", func() bool { return acknowledged.len() > before+200 })
		if err := cluster.Kill(); err != nil {
			t.Fatal(err)
		}
		if err := cluster.Restart(context.Background()); err != nil {
			t.Fatalf("restart %d: %v", round, err)
		}
	}
	before := acknowledged.len()
	waitFor(t, "healing", func() bool { return acknowledged.len() > before+50 })
	cancel()
	wg.Wait()
	waitFor(t, "sequencing", func() bool { return e.pendingCount() == 0 })
	index := map[uint64]bool{}
	for _, id := range acknowledged.list {
		if x, err := e.log.Entry(context.Background(), id); err != nil || x.State != pglog.StateSequenced || index[x.Index] {
			t.Fatalf("acknowledged entry %d: %v, %v", id, x.State, err)
		} else {
			index[x.Index] = true
		}
	}
	t.Logf("%d acknowledged, %d in the log", len(acknowledged.list), e.head().Size)
	if findings, err := pglog.Check(context.Background(), e.pool, inst, nil); err != nil || findings != nil {
		t.Errorf("Check: %v, %v", findings, err)
	}
}

func (e *env) pendingCount() (n int) {
	if err := e.pool.QueryRow(context.Background(), "select count(*) from audit.pending").Scan(&n); err != nil {
		e.t.Log(err)
		return -1
	}
	return n
}
