package pglog_test

import (
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/sealtrail/sealtrail/audit"
	"github.com/sealtrail/sealtrail/audit/pglog"
)

// lastYear is a database whose open log is that of n years ago.
func lastYear(t testing.TB, n int) (*env, int) {
	t.Helper()
	year := time.Now().UTC().Year()
	return envOn(t, newDB(t), shardOf(year-n)), year
}

// leaves reads a whole log.
func (e *env) leaves(s pglog.Shard) (list []audit.Leaf, head pglog.Head) {
	e.t.Helper()
	tree := pglog.NewTree(e.pool, s)
	head, err := tree.Head(e.t.Context())
	if err == nil {
		err = tree.Leaves(e.t.Context(), 0, head.Size, func(r pglog.LeafRow) error {
			leaf, err := audit.ParseLeaf(r.Bytes)
			list = append(list, leaf)
			return err
		})
	}
	if err != nil {
		e.t.Fatal(err)
	}
	return list, head
}

// rootAt is the root over the first size leaves of a log.
func (e *env) rootAt(s pglog.Shard, size uint64) string {
	e.t.Helper()
	tree := &audit.Tree{}
	err := pglog.NewTree(e.pool, s).Hashes(e.t.Context(), 0, size, tree.Append)
	if err != nil {
		e.t.Fatal(err)
	}
	root := tree.Root()
	return hex.EncodeToString(root[:])
}

// wantChained demands that every log but the last ends with log.closed and the next begins with log.opened, each naming what is so.
func (e *env) wantChained(years ...int) {
	e.t.Helper()
	for i, year := range years {
		s := shardOf(year)
		list, head := e.leaves(s)
		for at, leaf := range list {
			if closed := leaf.Body.Kind == "log.closed"; closed != (i+1 < len(years) && at == len(list)-1) {
				e.t.Errorf("%d: kind %s at index %d of %d", year, leaf.Body.Kind, at, len(list))
			}
			if opened := leaf.Body.Kind == "log.opened"; opened != (i > 0 && at == 0) {
				e.t.Errorf("%d: kind %s at index %d of %d", year, leaf.Body.Kind, at, len(list))
			}
		}
		if i+1 < len(years) {
			e.wantNames(list[len(list)-1], s, head.Size-1)
			next, _ := e.leaves(shardOf(years[i+1]))
			e.wantNames(next[0], s, head.Size)
			if next[0].SeqAt.Before(list[len(list)-1].SeqAt) {
				e.t.Errorf("%d: seq_at goes back over the turn of the year", year)
			}
		}
	}
	if findings, err := pglog.Check(e.t.Context(), e.pool, inst, nil); err != nil || findings != nil {
		e.t.Errorf("Check: %v, %v", findings, err)
	}
}

func (e *env) wantNames(leaf audit.Leaf, s pglog.Shard, size uint64) {
	e.t.Helper()
	f := leaf.Body.Facts
	origin, _ := f.Text("origin")
	root, _ := f.Text("root")
	if n, _ := f.Int("size"); origin != s.Origin || uint64(n) != size || root != e.rootAt(s, size) {
		e.t.Errorf("%s of log %s says %v; want size %d of %s", leaf.Body.Kind, leaf.Log, f, size, s.Origin)
	}
}

// The first leaf of a year's log commits to the final size and root of the former, over two and three years, an empty one too.
func TestYearsAreChained(t *testing.T) {
	t.Parallel()
	e, year := lastYear(t, 2)
	e.append("complaint:1", 3)
	e.sequenceAll()
	e.append("complaint:1", 2) // still pending when the year turns
	if created, err := pglog.EnsureLog(t.Context(), e.pool, shardOf(year-1)); err != nil || !created {
		t.Fatal(created, err)
	}
	if list, _ := e.leaves(shardOf(year - 2)); len(list) != 6 {
		t.Fatalf("%d leaves in the first log, want 5 and log.closed", len(list))
	}
	e.wantChained(year-2, year-1)
	if created, err := pglog.EnsureLog(t.Context(), e.pool, shardOf(year)); err != nil || !created { // nothing came in that year
		t.Fatal(created, err)
	}
	e.append("complaint:1", 1)
	e.sequenceAll()
	e.wantChained(year-2, year-1, year)
	if trail, err := e.log.Trail(t.Context(), "charter:log", 9); err != nil || len(trail) != 4 {
		t.Errorf("the log's own trail has %d entries, %v; want 4", len(trail), err)
	}
}

// cutter closes a connection just before the n-th statement or batch that is sent while it is armed.
type cutter struct{ seen, at atomic.Int64 }

func (c *cutter) count(ctx context.Context, conn *pgx.Conn) context.Context {
	if c.seen.Add(1) == c.at.Load() {
		_ = conn.PgConn().Conn().Close()
	}
	return ctx
}

func (c *cutter) TraceQueryStart(ctx context.Context, conn *pgx.Conn, _ pgx.TraceQueryStartData) context.Context {
	return c.count(ctx, conn)
}
func (c *cutter) TraceQueryEnd(context.Context, *pgx.Conn, pgx.TraceQueryEndData) {}
func (c *cutter) TraceBatchStart(ctx context.Context, conn *pgx.Conn, _ pgx.TraceBatchStartData) context.Context {
	return c.count(ctx, conn)
}
func (c *cutter) TraceBatchQuery(context.Context, *pgx.Conn, pgx.TraceBatchQueryData) {}
func (c *cutter) TraceBatchEnd(context.Context, *pgx.Conn, pgx.TraceBatchEndData)     {}

// traced is a pool of one connection at a time whose statements tracer sees.
func traced(t testing.TB, dsn string, tracer pgx.QueryTracer) *pgxpool.Pool {
	t.Helper()
	cfg, err := pgxpool.ParseConfig(dsn)
	if err != nil {
		t.Fatal(err)
	}
	cfg.ConnConfig.Tracer = tracer
	pool, err := pgxpool.NewWithConfig(context.Background(), cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(pool.Close)
	return pool
}

// The connection is cut before each statement of a roll-over in turn: nothing of it is there, and the next attempt does it all.
func TestRollThatIsCutLeavesNothing(t *testing.T) {
	t.Parallel()
	e, year := lastYear(t, 1)
	old, next := shardOf(year-1), shardOf(year)
	e.append("complaint:1", 2)
	e.sequenceAll()
	want := uint64(2)
	c := &cutter{}
	pool := traced(t, e.db.App, c)
	for n := int64(1); ; n++ {
		pending := e.append("complaint:1", 1)[0].EntryID()
		c.seen.Store(0)
		c.at.Store(n)
		created, err := pglog.EnsureLog(t.Context(), pool, next)
		if err == nil {
			if !created || n < 8 {
				t.Fatalf("created %v when cut before statement %d", created, n)
			}
			t.Logf("cut before each of %d statements", n-1)
			break
		}
		if created || !errors.Is(err, pglog.ErrUnavailable) {
			t.Fatalf("statement %d: created %v, %v; want ErrUnavailable", n, created, err)
		}
		if current, err := pglog.CurrentShard(t.Context(), e.pool, inst); err != nil || current != old {
			t.Fatalf("statement %d: the open log is %v, %v", n, current, err)
		}
		want++
		waitFor(t, "the old log going on", func() bool { // as soon as PostgreSQL has noticed the cut
			e.sequenceAll()
			return e.pendingCount() == 0
		})
		if list, _ := e.leaves(old); uint64(len(list)) != want || list[want-1].ID != pending {
			t.Fatalf("statement %d: %d leaves, want %d", n, len(list), want)
		}
	}
	e.append("complaint:1", 1)
	e.sequenceAll()
	e.wantChained(year-1, year)
}

// The year turns under load: two services append, three sequencers work, two roll at once. Nothing is lost, nothing lies
// between log.closed and log.opened, and order holds over the turn.
func TestYearTurnsUnderLoad(t *testing.T) {
	t.Parallel()
	e, year := lastYear(t, 1)
	background(t, e.seq.Run)
	for range 2 {
		s, err := pglog.NewSequencer(t.Context(), pglog.SequencerConfig{Pool: e.pool, Institution: inst, Interval: time.Millisecond, MaxBatch: 9})
		if err != nil {
			t.Fatal(err)
		}
		background(t, s.Run)
	}
	logs := []*pglog.Log{e.log, newLog(t, e.pool)}
	h := history{e: e}
	var rolled atomic.Bool
	var wg sync.WaitGroup
	for client := range 8 {
		wg.Go(func() {
			for i := 0; i < 40 || !rolled.Load(); i++ {
				h.act(logs[client%2], client, i)
			}
		})
	}
	waitFor(t, "load", func() bool { return h.acts.len() > 100 })
	var created atomic.Int64
	var rollers sync.WaitGroup
	for range 2 {
		rollers.Go(func() {
			waitFor(t, "the roll-over", func() bool {
				new, err := pglog.EnsureLog(context.Background(), e.pool, shardOf(year))
				if new {
					created.Add(1)
				}
				if err != nil && !errors.Is(err, pglog.ErrUnavailable) {
					t.Error(err)
				}
				return err == nil
			})
		})
	}
	rollers.Wait()
	before := h.acts.len()
	waitFor(t, "load behind the turn", func() bool { return h.acts.len() > before+100 })
	rolled.Store(true)
	wg.Wait()
	if created.Load() != 1 {
		t.Errorf("%d rolled", created.Load())
	}
	waitFor(t, "sequencing", func() bool { return e.pendingCount() == 0 })
	h.check()
	e.wantChained(year-1, year)
	if list, _ := e.leaves(shardOf(year - 1)); len(list) < 100 {
		t.Errorf("%d leaves in the old log", len(list))
	}
}

// Nobody ends a log by an entry or a call of their own, and a log that was opened by force names the former all the same.
func TestOnlyTheRollEndsALog(t *testing.T) {
	t.Parallel()
	e, year := lastYear(t, 1)
	closing := body("charter:log", 1)
	closing.Kind = "log.closed"
	if _, err := e.log.Append(t.Context(), closing); !errors.Is(err, audit.ErrInvalid) {
		t.Errorf("appending log.closed: %v", err)
	}
	closing.Institution, closing.Nonce = inst, [16]byte{1}
	raw, err := closing.Canonical()
	if err != nil {
		t.Fatal(err)
	}
	if _, err := e.pool.Exec(t.Context(), "select audit.append($1, $2, $3)", inst, [][]byte{raw}, []string{"charter:log"}); err != nil {
		t.Fatal(err)
	}
	e.append("complaint:1", 1)
	e.sequenceAll()
	if findings, err := pglog.Check(t.Context(), e.pool, inst, nil); err != nil || len(findings) != 1 || findings[0].Code != pglog.FoundRejected {
		t.Errorf("Check: %v, %v; want the entry rejected", findings, err)
	}
	next := shardOf(year)
	if _, err := e.pool.Exec(t.Context(), "select audit.ensure_log($1, $2, $3)", inst, next.Year, next.Origin); !isCode(err, "22023") {
		t.Errorf("opening without closing: %v", err)
	}
	if err := e.admin("delete from audit.pending", "update audit.log set state = 'closed'",
		fmt.Sprintf("insert into audit.log (institution, year, origin) values ('%s', %d, '%s')", inst, year, next.Origin),
		fmt.Sprintf("insert into audit.tree (institution, year, root) values ('%s', %d, sha256(''))", inst, year)); err != nil {
		t.Fatal(err)
	}
	e.append("complaint:1", 1)
	e.sequenceAll()
	list, _ := e.leaves(next)
	if len(list) != 2 || list[0].Body.Kind != "log.opened" {
		t.Fatalf("%d leaves in a log that was opened by force", len(list))
	}
	e.wantNames(list[0], shardOf(year-1), 1)
}
