// Package batch collects concurrent single requests into one call to a remote
// service that takes lists.
//
// The one idea: nobody waits for company that is not there. A request that
// finds no call under way leaves at once; only requests that arrive while
// another call is under way are collected, for at most MaxWait or MaxItems.
// Each call has a deadline of its own, so that no waiter inherits another's
// cancelled context, and each item has its own result.
//
// It must never know what the items mean.
package batch

import (
	"context"
	"crypto/rand"
	"fmt"
	"sync"
	"time"
)

// Config of a Collector. Zero fields mean the documented defaults.
type Config[I, R any] struct {
	// Call carries out one batch. It MUST return one result per item, in order,
	// or an error for the whole call, and MUST return when ctx ends. id is
	// unique per call.
	Call func(ctx context.Context, id string, items []I) ([]R, error)
	// MaxItems per call; 0 means 256.
	MaxItems int
	// MaxWait is how long an item may be held back while another call is under
	// way; 0 means 1 ms.
	MaxWait time.Duration
	// Deadline of one call; 0 means 2 s.
	Deadline time.Duration
}

// Outcome is the result of one item.
type Outcome[R any] struct {
	Result R
	Err    error  // of the whole call
	Batch  string // id of the call that carried the item
	Item   int    // position in that call
}

// Collector is safe for concurrent use. It starts goroutines only for calls.
type Collector[I, R any] struct {
	cfg Config[I, R]

	mu      sync.Mutex
	pending []waiter[I, R]
	flying  int
	timer   *time.Timer
}

type waiter[I, R any] struct {
	item I
	done func(Outcome[R])
}

// New returns a Collector.
func New[I, R any](cfg Config[I, R]) *Collector[I, R] {
	if cfg.MaxItems <= 0 {
		cfg.MaxItems = 256
	}
	if cfg.MaxWait <= 0 {
		cfg.MaxWait = time.Millisecond
	}
	if cfg.Deadline <= 0 {
		cfg.Deadline = 2 * time.Second
	}
	return &Collector[I, R]{cfg: cfg}
}

// Submit adds items and returns at once. done is called exactly once per item,
// from another goroutine, in no particular order, and MUST NOT block.
func (c *Collector[I, R]) Submit(items []I, done func(i int, o Outcome[R])) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for i, item := range items {
		c.pending = append(c.pending, waiter[I, R]{item: item, done: func(o Outcome[R]) { done(i, o) }})
	}
	for len(c.pending) >= c.cfg.MaxItems {
		c.launch(c.cfg.MaxItems)
	}
	c.settle()
}

// Do submits items and waits for all of them, or for ctx.
func (c *Collector[I, R]) Do(ctx context.Context, items []I) ([]Outcome[R], error) {
	type indexed struct {
		i int
		o Outcome[R]
	}
	ch := make(chan indexed, len(items)) // room for all: done never blocks
	c.Submit(items, func(i int, o Outcome[R]) { ch <- indexed{i, o} })
	out := make([]Outcome[R], len(items))
	for range items {
		select {
		case got := <-ch:
			out[got.i] = got.o
		case <-ctx.Done():
			return nil, ctx.Err()
		}
	}
	return out, nil
}

// settle sends what may go now, and sets the timer for what may wait.
// c.mu is held.
func (c *Collector[I, R]) settle() {
	switch {
	case len(c.pending) == 0:
	case c.flying == 0:
		c.launch(len(c.pending))
	case c.timer == nil:
		c.timer = time.AfterFunc(c.cfg.MaxWait, c.waited)
	}
}

// waited runs when the oldest pending item has waited MaxWait.
func (c *Collector[I, R]) waited() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.timer = nil
	if n := len(c.pending); n > 0 {
		c.launch(min(n, c.cfg.MaxItems))
	}
	c.settle()
}

// launch sends the first n pending items as one call. c.mu is held.
func (c *Collector[I, R]) launch(n int) {
	now := c.pending[:n:n]
	c.pending = c.pending[n:]
	if len(c.pending) == 0 {
		c.pending = nil
		if c.timer != nil {
			c.timer.Stop()
			c.timer = nil
		}
	}
	c.flying++
	go c.fly(now)
}

// fly carries out one call and hands every waiter its own outcome.
func (c *Collector[I, R]) fly(ws []waiter[I, R]) {
	items := make([]I, len(ws))
	for i, w := range ws {
		items[i] = w.item
	}
	id := rand.Text()
	// Not a waiter's context: a cancelled waiter must not fail its neighbours.
	ctx, cancel := context.WithTimeout(context.Background(), c.cfg.Deadline)
	results, err := c.cfg.Call(ctx, id, items)
	cancel()
	if err == nil && len(results) != len(items) {
		err = fmt.Errorf("batch of %d items got %d results", len(items), len(results))
	}
	for i, w := range ws {
		o := Outcome[R]{Err: err, Batch: id, Item: i}
		if err == nil {
			o.Result = results[i]
		}
		w.done(o)
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.flying--
	if c.flying == 0 {
		c.settle()
	}
}
