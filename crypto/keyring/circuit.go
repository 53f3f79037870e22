package keyring

import (
	"errors"
	"sync"
	"time"
)

// CircuitConfig of a Circuit. Zero fields mean the documented defaults.
type CircuitConfig struct {
	// Failures is how many calls must fail one after another before calls fail
	// at once; 0 means 5: one slow answer is no outage, and with a deadline of
	// 2 s five callers in a row have waited long enough.
	Failures int
	// Pause is how long calls fail at once before one is let through again; 0
	// means 500 ms, so that a recovered service is noticed well within 2 s.
	Pause time.Duration
	// Now is the clock; nil means time.Now.
	Now func() time.Time
}

// Circuit keeps callers from waiting, each for a whole deadline, for a key
// service that does not answer. After Failures failed calls in a row it is
// open: calls fail at once, but one per Pause goes through. The first call that
// gets an answer closes it; nobody need do anything. Safe for concurrent use.
type Circuit struct {
	cfg CircuitConfig

	mu     sync.Mutex
	failed int       // calls that failed since the last answer
	next   time.Time // when open: before it, calls fail at once
}

// NewCircuit returns a closed Circuit.
func NewCircuit(cfg CircuitConfig) *Circuit {
	if cfg.Failures <= 0 {
		cfg.Failures = 5
	}
	if cfg.Pause <= 0 {
		cfg.Pause = 500 * time.Millisecond
	}
	if cfg.Now == nil {
		cfg.Now = time.Now
	}
	return &Circuit{cfg: cfg}
}

// Allow is asked before each call. The error is an UnavailableError with
// CauseCircuit: the call MUST NOT be made. After nil the caller makes the call
// and then calls Done.
func (c *Circuit) Allow(op string) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.failed < c.cfg.Failures {
		return nil
	}
	now := c.cfg.Now()
	if now.Before(c.next) {
		return &UnavailableError{Cause: CauseCircuit, Op: op}
	}
	c.next = now.Add(c.cfg.Pause)
	return nil
}

// Done tells how a call that was allowed ended.
func (c *Circuit) Done(err error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if !noService(err) {
		c.failed = 0
		return
	}
	c.failed++
	if c.failed == c.cfg.Failures {
		c.next = c.cfg.Now().Add(c.cfg.Pause)
	}
}

// Open says whether calls fail at once now, but for one per Pause.
func (c *Circuit) Open() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.failed >= c.cfg.Failures
}

// noService tells a service that is not there from one that answers: a refusal
// (denied, rejected) is an answer, and says nothing of the next caller.
func noService(err error) bool {
	if err == nil {
		return false
	}
	switch CauseOf(err) {
	case CauseDenied, CauseRejected:
		return false
	default:
		return errors.Is(err, ErrUnavailable)
	}
}
