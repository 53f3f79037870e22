package pglog

import (
	"context"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"
	"golang.org/x/sync/errgroup"
)

// States of a request. A caller that gives up moves queued to abandoned, a writer moves queued to taken; whoever comes second
// sees it, so an entry that a caller was told is not recorded is never sent.
const (
	queued int32 = iota
	taken
	abandoned
)

// request is one Append waiting for its commit. ids and err are set before done is closed.
type request struct {
	entries []prepared
	state   atomic.Int32
	done    chan struct{}
	ids     []uint64
	err     error
}

// queue holds the requests that arrived while the last commit ran.
type queue struct {
	mu      sync.Mutex
	waiting []*request
	entries int
	closed  bool
	wake    chan struct{}
}

// put queues r unless limit entries wait already or the queue is closed.
func (q *queue) put(r *request, limit int) bool {
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.closed || q.entries > 0 && q.entries+len(r.entries) > limit {
		return false
	}
	q.waiting = append(q.waiting, r)
	q.entries += len(r.entries)
	return true
}

// close refuses what is queued and what is still to come.
func (q *queue) close() {
	q.mu.Lock()
	q.closed = true
	q.mu.Unlock()
	for {
		batch, _ := q.takeBatch(1)
		if len(batch) == 0 {
			return
		}
		batch[0].err = fmt.Errorf("appending to the log: %w: shutting down, not recorded", ErrUnavailable)
		close(batch[0].done)
	}
}

// signalIfAny wakes a writer if something is queued.
func (q *queue) signalIfAny() {
	q.mu.Lock()
	defer q.mu.Unlock()
	if len(q.waiting) > 0 {
		q.signal()
	}
}

// signal wakes one idle writer; when none is idle the wake-up is remembered.
func (q *queue) signal() {
	select {
	case q.wake <- struct{}{}:
	default:
	}
}

// takeBatch removes the oldest requests, at most limit entries but at least one request, in order of arrival.
func (q *queue) takeBatch(limit int) (batch []*request, entries int) {
	q.mu.Lock()
	defer q.mu.Unlock()
	i := 0
	for ; i < len(q.waiting); i++ {
		r := q.waiting[i]
		if entries > 0 && entries+len(r.entries) > limit {
			break
		}
		q.entries -= len(r.entries)
		if r.state.CompareAndSwap(queued, taken) {
			batch = append(batch, r)
			entries += len(r.entries)
		}
	}
	q.waiting = append(q.waiting[:0], q.waiting[i:]...)
	if len(q.waiting) > 0 {
		q.signal() // another writer may go on with the rest
	}
	return batch, entries
}

// submit queues r and waits for its commit, at most until the deadline. ctx carries values only. A caller that finds a writer
// idle commits by itself, which spares a lone caller two changes of goroutine.
func (l *Log) submit(ctx context.Context, r *request) ([]uint64, error) {
	begin := time.Now()
	if !l.queue.put(r, l.cfg.MaxQueue) {
		return nil, fmt.Errorf("appending to the log: %w: queue full or shut down", ErrUnavailable)
	}
	select {
	case w := <-l.idle:
		w.commitNext(ctx)
		// Give the writer back first: whoever queued and found none idle is seen by the look that follows.
		l.idle <- w
		l.queue.signalIfAny()
	default:
	}
	select {
	case <-r.done:
		return r.ids, r.err
	default:
	}
	timer := time.NewTimer(l.cfg.Deadline - time.Since(begin))
	defer timer.Stop()
	select {
	case <-r.done:
	case <-timer.C:
		if r.state.CompareAndSwap(queued, abandoned) {
			return nil, fmt.Errorf("appending to the log: %w: not begun within the deadline, not recorded", ErrUnavailable)
		}
		select {
		case <-r.done:
		default: // sent, no answer: it may be recorded
			return nil, fmt.Errorf("appending to the log: %w: no answer within the deadline", ErrUnavailable)
		}
	}
	return r.ids, r.err
}

// Run commits what Append queues until ctx ends, and returns nil then; Append succeeds only while Run runs, which it may once.
// It holds Config.Writers connections of the pool. A database that is away makes appends fail, not Run: it goes on and heals when
// the database is back. What is still queued at the end is refused with ErrUnavailable.
func (l *Log) Run(ctx context.Context) error {
	defer l.queue.close()
	for range l.cfg.Writers {
		l.idle <- &writer{log: l}
	}
	l.queue.signalIfAny()
	g, ctx := errgroup.WithContext(ctx)
	for range l.cfg.Writers {
		g.Go(func() error { l.write(ctx); return nil })
	}
	err := g.Wait()
	for range l.cfg.Writers { // waits for callers that are committing
		w := <-l.idle
		w.drop()
	}
	return err
}

// write is the loop that commits what queued while another commit ran: natural batching.
func (l *Log) write(ctx context.Context) {
	for {
		select {
		case <-ctx.Done():
			return
		case <-l.queue.wake:
		}
		select {
		case <-ctx.Done():
			return
		case w := <-l.idle:
			for w.commitNext(context.WithoutCancel(ctx)) {
			}
			l.idle <- w
			l.queue.signalIfAny()
		}
	}
}

// writer owns the connection of one writing loop.
type writer struct {
	log      *Log
	conn     *pgxpool.Conn
	lastUsed time.Time
}

// commitNext commits the next batch; false if nothing was queued.
func (w *writer) commitNext(ctx context.Context) bool {
	batch, n := w.log.queue.takeBatch(w.log.cfg.MaxBatch)
	if len(batch) > 0 {
		w.commit(ctx, batch, n)
	}
	return len(batch) > 0
}

// commit appends the batch in one statement, which is one transaction, and releases every request with its ids or the error.
// The requests of a batch share their fate; a batch that PostgreSQL refuses for its content is retried one by one, so that one
// bad entry does not fail its neighbours.
func (w *writer) commit(ctx context.Context, batch []*request, n int) {
	ctx, cancel := context.WithTimeout(ctx, w.log.cfg.Deadline)
	defer cancel()
	entries := make([]prepared, 0, n)
	for _, r := range batch {
		entries = append(entries, r.entries...)
	}
	ids, err := w.append(ctx, entries)
	if err != nil && len(batch) > 1 && refusedContent(err) {
		for _, r := range batch {
			r.ids, r.err = w.append(ctx, r.entries)
			close(r.done)
		}
		return
	}
	for _, r := range batch {
		if r.err = err; err == nil {
			r.ids, ids = ids[:len(r.entries)], ids[len(r.entries):]
		}
		close(r.done)
	}
}

// append runs one statement on the held connection.
// crash here: before the commit record is flushed nothing exists and nobody was told; after it the entries exist as pending and
// nobody was told, repaired by the sequencer, which gives them an index like any other.
func (w *writer) append(ctx context.Context, entries []prepared) ([]uint64, error) {
	conn, err := w.connection(ctx)
	if err != nil {
		return nil, err
	}
	ids, err := appendSQL(ctx, conn.Conn(), w.log.cfg.Institution, entries)
	if err != nil && !refusedContent(err) {
		w.drop()
	}
	w.lastUsed = time.Now()
	return ids, err
}

// idleCheck is how long a held connection may rest before it is probed: a server that restarted meanwhile is then found out
// before an entry is sent into the void. pgxpool uses the same second.
const idleCheck = time.Second

// connection returns the held connection, or a new one when there is none or it died while idle.
func (w *writer) connection(ctx context.Context) (*pgxpool.Conn, error) {
	if w.conn != nil && time.Since(w.lastUsed) > idleCheck && w.conn.Ping(ctx) != nil {
		w.drop()
	}
	if w.conn != nil {
		return w.conn, nil
	}
	conn, err := w.log.cfg.Pool.Acquire(ctx)
	if err != nil {
		return nil, unavailable("connecting to the log", err)
	}
	w.conn, w.lastUsed = conn, time.Now()
	return conn, nil
}

// drop gives the connection back; the pool destroys it when it is broken.
func (w *writer) drop() {
	if w.conn != nil {
		w.conn.Release()
		w.conn = nil
	}
}

// refusedContent reports whether PostgreSQL is well and refused what the statement says: data exceptions (class 22) and
// integrity violations (class 23).
func refusedContent(err error) bool {
	code := sqlState(err)
	return len(code) == 5 && (code[:2] == "22" || code[:2] == "23")
}
