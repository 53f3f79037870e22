package pglog_test

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/sealtrail/sealtrail/audit"
	"github.com/sealtrail/sealtrail/audit/pglog"
)

// history is what clients did to a log and when, by one clock.
type history struct {
	e    *env
	acts gather[act]
}

// act is one call that succeeded: it began at submitted and was answered at acknowledged.
type act struct {
	ids                     []uint64
	submitted, acknowledged time.Time
}

// act appends in one of the three ways, by turns: an append of one or three, one in a transaction, one in a batch.
func (h *history) act(log *pglog.Log, client, i int) {
	begin := time.Now()
	subject := fmt.Sprintf("complaint:%d", client)
	var ids []uint64
	var err error
	switch i % 4 {
	case 0, 1:
		bodies := []audit.Body{body(subject, i)}
		if i%4 == 1 {
			bodies = append(bodies, body("complaint:shared", i), body(subject, i))
		}
		var receipts []pglog.Receipt
		receipts, err = log.Append(context.Background(), bodies...)
		for _, r := range receipts {
			ids = append(ids, r.EntryID())
		}
	case 2:
		ids, err = h.appendTx(log, subject, i)
	default:
		ids, err = h.appendBatch(log, subject, i)
	}
	if err != nil {
		if !errors.Is(err, pglog.ErrUnavailable) {
			h.e.t.Error(err)
		}
		return
	}
	h.acts.add(act{ids, begin, time.Now()})
}

func (h *history) appendTx(log *pglog.Log, subject string, i int) (ids []uint64, err error) {
	err = pgx.BeginFunc(context.Background(), h.e.pool, func(tx pgx.Tx) error {
		p, err := log.AppendTx(context.Background(), tx, body(subject, i))
		if err != nil {
			return err
		}
		ids = []uint64{p[0].EntryID()}
		_, err = tx.Exec(context.Background(), "select") // the change that the entry tells of
		return err
	})
	return ids, err
}

func (h *history) appendBatch(log *pglog.Log, subject string, i int) (ids []uint64, err error) {
	var b pgx.Batch
	queued, err := log.AppendBatch(&b, body(subject, i), body("complaint:shared", i))
	if err != nil {
		return nil, err
	}
	if err := h.e.pool.SendBatch(context.Background(), &b).Close(); err != nil {
		return nil, fmt.Errorf("%w: %w", pglog.ErrUnavailable, err)
	}
	for _, p := range queued.Pending() {
		ids = append(ids, p.EntryID())
	}
	return ids, nil
}

// place is where an entry stands: index and year in one number, since order runs on over the years.
func (h *history) place() map[uint64]uint64 {
	h.e.t.Helper()
	rows, err := h.e.pool.Query(context.Background(), "select entry_id, row_number() over (order by year, idx) from audit.leaf where institution = $1", inst)
	if err != nil {
		h.e.t.Fatal(err)
	}
	at := map[uint64]uint64{}
	var id, n uint64
	if _, err := pgx.ForEachRow(rows, []any{&id, &n}, func() error {
		if at[id] != 0 {
			h.e.t.Errorf("entry %d has two leaves", id)
		}
		at[id] = n
		return nil
	}); err != nil {
		h.e.t.Fatal(err)
	}
	return at
}

// check is the history checker: every act has its leaves, once each and in the order of the call, and an act that was acknowledged
// before another was submitted lies wholly before it.
func (h *history) check() {
	h.e.t.Helper()
	at := h.place()
	first, last := map[*act]uint64{}, map[*act]uint64{}
	var list []*act
	for i := range h.acts.list {
		a := &h.acts.list[i]
		list = append(list, a)
		for j, id := range a.ids {
			if at[id] == 0 {
				h.e.t.Fatalf("acknowledged entry %d has no leaf", id)
			}
			if j > 0 && at[id] <= at[a.ids[j-1]] {
				h.e.t.Errorf("entries %d and %d of one call changed places", a.ids[j-1], id)
			}
		}
		first[a], last[a] = at[a.ids[0]], at[a.ids[len(a.ids)-1]]
	}
	byAck := slices.SortedFunc(slices.Values(list), func(a, b *act) int { return a.acknowledged.Compare(b.acknowledged) })
	bySubmit := slices.SortedFunc(slices.Values(list), func(a, b *act) int { return cmp.Or(a.submitted.Compare(b.submitted)) })
	largest, done, wrong := uint64(0), 0, 0
	for _, b := range bySubmit { // every act acknowledged before b was submitted must lie before b
		for ; done < len(byAck) && byAck[done].acknowledged.Before(b.submitted); done++ {
			largest = max(largest, last[byAck[done]])
		}
		if first[b] < largest {
			wrong++
		}
	}
	if wrong > 0 {
		h.e.t.Errorf("%d of %d acts lie before one that was acknowledged before they were submitted", wrong, len(list))
	}
}

// Promise 3 of audit.md with eight clients, two replicas of the service, three sequencers of which one is stopped in the middle of
// its batches and continued, and an old leader that locks the head of the queue again and again and never writes.
func TestAcknowledgedBeforeSubmittedMeansSmallerIndex(t *testing.T) {
	t.Parallel()
	e := newEnv(t)
	background(t, e.seq.Run)
	stop := newPauser("audit.sequence(")
	for _, cfg := range []pglog.SequencerConfig{
		{Pool: e.pool, Institution: inst, Interval: time.Millisecond, MaxBatch: 3},
		{Pool: traced(t, e.db.App, stop), Institution: inst, Interval: time.Millisecond, MaxBatch: 17},
	} {
		s, err := pglog.NewSequencer(t.Context(), cfg)
		if err != nil {
			t.Fatal(err)
		}
		background(t, s.Run)
	}
	t.Cleanup(stop.end)
	logs := []*pglog.Log{e.log, newLog(t, e.pool)}
	h := history{e: e}
	var wg sync.WaitGroup
	var done atomic.Bool
	for client := range 8 {
		wg.Go(func() {
			for i := range 150 {
				h.act(logs[client%2], client, i)
			}
		})
	}
	var troubles sync.WaitGroup
	troubles.Go(func() {
		for !done.Load() {
			stop.once(40 * time.Millisecond)
		}
	})
	troubles.Go(func() {
		for !done.Load() {
			e.holdQueue(t, 15*time.Millisecond)
		}
	})
	wg.Wait()
	done.Store(true)
	stop.end()
	troubles.Wait()
	waitFor(t, "sequencing", func() bool { return e.pendingCount() == 0 })
	if n := h.acts.len(); n < 1000 {
		t.Errorf("%d acts were acknowledged", n)
	}
	h.check()
	if findings, err := pglog.Check(t.Context(), e.pool, inst, nil); err != nil || findings != nil {
		t.Errorf("Check: %v, %v", findings, err)
	}
}

// holdQueue is an old leader: it locks the oldest pending entries, does nothing for a while and gives up.
func (e *env) holdQueue(t *testing.T, pause time.Duration) {
	tx, err := e.pool.Begin(context.Background())
	if err != nil {
		t.Error(err)
		return
	}
	defer func() { _ = tx.Rollback(context.Background()) }()
	if _, err := tx.Exec(context.Background(), "select id from audit.take($1, 2, '{}')", inst); err != nil {
		t.Error(err)
		return
	}
	<-time.After(pause)
}

// pauser stops whoever is about to send a statement that begins so, as SIGSTOP stops a process in the middle of a transaction.
type pauser struct {
	cutter
	prefix string
	armed  chan chan struct{} // holds the channel that continues the next one
	hit    chan struct{}
	quit   chan struct{}
	ended  sync.Once
}

func newPauser(prefix string) *pauser {
	return &pauser{prefix: "select " + prefix, armed: make(chan chan struct{}, 1), hit: make(chan struct{}, 1), quit: make(chan struct{})}
}

func (p *pauser) TraceQueryStart(ctx context.Context, _ *pgx.Conn, q pgx.TraceQueryStartData) context.Context {
	if len(q.SQL) < len(p.prefix) || q.SQL[:len(p.prefix)] != p.prefix {
		return ctx
	}
	select {
	case continued := <-p.armed:
		p.hit <- struct{}{}
		select {
		case <-continued:
		case <-p.quit:
		}
	default:
	}
	return ctx
}

// stop arms the pauser and waits until somebody stands still; the function returned lets them go on.
func (p *pauser) stop() (resume func(), ok bool) {
	continued := make(chan struct{})
	p.armed <- continued
	select {
	case <-p.hit:
		return func() { close(continued) }, true
	case <-p.quit:
		return nil, false
	}
}

// once stops somebody for a while.
func (p *pauser) once(pause time.Duration) {
	if resume, ok := p.stop(); ok {
		select {
		case <-time.After(pause):
		case <-p.quit:
		}
		resume()
	}
}

func (p *pauser) end() { p.ended.Do(func() { close(p.quit) }) }

// A leader is stopped between reading the tree and writing it, for longer than a leader may be silent. Another leads; the first is
// continued. No fork, no lost entry, and it leads again later.
func TestStoppedLeaderIsReplacedAndCannotFork(t *testing.T) {
	t.Parallel()
	e := newEnv(t)
	first := e.append("complaint:1", 5)
	stop := newPauser("audit.sequence(")
	pool := traced(t, e.db.App, stop)
	t.Cleanup(stop.end) // before the pool closes, which waits for whoever stands still
	old, err := pglog.NewSequencer(t.Context(), pglog.SequencerConfig{Pool: pool, Institution: inst})
	if err != nil {
		t.Fatal(err)
	}
	stepped := make(chan error, 1)
	go func() {
		_, err := old.Step(context.Background())
		stepped <- err
	}()
	resume, _ := stop.stop()
	if n, err := e.seq.Step(t.Context()); err != nil || n != 0 {
		t.Fatalf("a second leader took %d, %v, while the first works", n, err)
	}
	more := e.append("complaint:1", 5)
	took := 0
	waitFor(t, "another leader", func() bool {
		n, err := e.seq.Step(t.Context())
		if err != nil {
			t.Error(err)
		}
		took += n
		return took == 10
	})
	before := e.head()
	resume()
	if err := <-stepped; !errors.Is(err, pglog.ErrUnavailable) {
		t.Errorf("the old leader went on: %v", err)
	}
	if e.head() != before {
		t.Error("the old leader moved the tree")
	}
	for i, r := range append(first, more...) {
		if got := e.indexOf(r.EntryID()); got != uint64(i) {
			t.Errorf("entry %d has index %d, want %d", r.EntryID(), got, i)
		}
	}
	last := e.append("complaint:1", 1)[0].EntryID()
	if n, err := old.Step(t.Context()); err != nil || n != 1 || e.indexOf(last) != 10 {
		t.Errorf("the old leader afterwards: %d, %v", n, err)
	}
	if findings, err := pglog.Check(t.Context(), e.pool, inst, nil); err != nil || findings != nil {
		t.Errorf("Check: %v, %v", findings, err)
	}
}
