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
	wake    chan struct{}
}

// put queues r unless limit entries wait already.
func (q *queue) put(r *request, limit int) bool {
	q.mu.Lock()
	full := q.entries+len(r.entries) > limit && q.entries > 0
	if !full {
		q.waiting = append(q.waiting, r)
		q.entries += len(r.entries)
	}
	q.mu.Unlock()
	if full {
		return false
	}
	q.signal()
	return true
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

// submit queues r and waits for its commit, at most until the deadline. ctx carries values only.
func (l *Log) submit(ctx context.Context, r *request) ([]uint64, error) {
	if !l.queue.put(r, l.cfg.MaxQueue) {
		return nil, fmt.Errorf("appending to the log: %w: queue full", ErrUnavailable)
	}
	timer := time.NewTimer(l.cfg.Deadline)
	defer timer.Stop()
	select {
	case <-r.done:
	case <-ctx.Done(): // never: the caller passes a context without cancellation
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

// Run commits what Append queues until ctx ends, and returns nil then. It holds Config.Writers connections of the pool. A
// database that is away makes appends fail, not Run: it goes on and heals when the database is back. What is still queued at
// the end is refused with ErrUnavailable.
func (l *Log) Run(ctx context.Context) error {
	g, ctx := errgroup.WithContext(ctx)
	for range l.cfg.Writers {
		g.Go(func() error { l.write(ctx); return nil })
	}
	return g.Wait()
}

// write is the loop of one writer. Natural batching: whatever queued while the last commit ran is the next batch.
func (l *Log) write(ctx context.Context) {
	w := writer{log: l}
	defer w.drop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-l.queue.wake:
		}
		for {
			batch, n := l.queue.takeBatch(l.cfg.MaxBatch)
			if len(batch) == 0 {
				break
			}
			w.commit(context.WithoutCancel(ctx), batch, n)
		}
	}
}

// writer owns the connection of one writing loop.
type writer struct {
	log      *Log
	conn     *pgxpool.Conn
	lastUsed time.Time
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
