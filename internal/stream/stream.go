package stream

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"sync"
	"time"
)

// Place is where a stream stands: the index of the next entry of a year's log.
type Place struct {
	Year int
	Next uint64
}

// Cursor keeps places across restarts and processes.
type Cursor interface {
	// Place returns the stream's place; ok is false for a stream that is new.
	Place(ctx context.Context, stream string) (p Place, ok bool, err error)
	// Move moves it if it is still at from; moved is false when another process
	// did.
	Move(ctx context.Context, stream string, from, to Place) (moved bool, err error)
}

// Source is the published log, year after year.
type Source interface {
	// Years lists the years that have a log, ascending.
	Years(ctx context.Context) ([]int, error)
	// Signed returns the newest published checkpoint of a year's log and the size
	// that it covers; size 0 if there is none.
	Signed(ctx context.Context, year int) (checkpoint []byte, size uint64, err error)
	// Leaves calls f with the bytes of each leaf of [from, to).
	Leaves(ctx context.Context, year int, from, to uint64, f func(leaf []byte) error) error
}

// Batch is what one delivery holds.
type Batch struct {
	Year       int
	From, To   uint64   // indexes, To excluded
	Events     [][]byte // one JSON object each
	Checkpoint []byte   // signed note that covers them
}

// Sink is where a stream goes.
type Sink interface {
	// Send hands a batch over and returns when the receiver has it. It may be
	// called again with the same batch.
	Send(ctx context.Context, b Batch) error
	// Close ends the connection, if there is one.
	Close() error
}

// State is what became of a stream.
type State struct {
	Failing bool
	Since   time.Time
	Place   Place
	Behind  uint64 // entries that are signed and not handed over
	Err     error
}

// Config is a Stream's.
type Config struct {
	Name   string // required; letters, digits, '_' and '-'
	Source Source // required
	Cursor Cursor // required
	Sink   Sink   // required
	// Leads says whether this process may stream now; nil: always. Two that do
	// repeat batches, and lose none.
	Leads func() bool
	// Changed is told when a stream begins to fail, after failing for AlarmAfter,
	// and when it is well again.
	Changed func(context.Context, State)

	Every      time.Duration // 0: 1 s
	MaxBatch   int           // events; 0: 200
	MaxPause   time.Duration // between attempts; 0: 5 min
	AlarmAfter time.Duration // 0: 1 min
	Within     time.Duration // of one delivery; 0: 30 s
}

// Stream hands entries over until its context ends.
type Stream struct {
	cfg Config

	mu    sync.Mutex
	state State
}

// ErrConfig is wrapped by a configuration that cannot work.
var ErrConfig = errors.New("unusable stream")

// ErrShrunk is wrapped when the published log has fewer entries than were handed
// over: it is an older one, and what grows there anew may be another history.
var ErrShrunk = errors.New("the log has shrunk")

// New returns a Stream; Run makes it work.
func New(cfg Config) (*Stream, error) {
	if cfg.Name == "" || cfg.Source == nil || cfg.Cursor == nil || cfg.Sink == nil {
		return nil, fmt.Errorf("%w: Name, Source, Cursor and Sink are required", ErrConfig)
	}
	if cfg.Leads == nil {
		cfg.Leads = func() bool { return true }
	}
	if cfg.Changed == nil {
		cfg.Changed = func(context.Context, State) {}
	}
	for _, d := range []struct {
		at   *time.Duration
		unit time.Duration
	}{{&cfg.Every, time.Second}, {&cfg.MaxPause, 5 * time.Minute}, {&cfg.AlarmAfter, time.Minute}, {&cfg.Within, 30 * time.Second}} {
		if *d.at == 0 {
			*d.at = d.unit
		}
	}
	if cfg.MaxBatch == 0 {
		cfg.MaxBatch = 200
	}
	return &Stream{cfg: cfg}, nil
}

// Name is the stream's.
func (s *Stream) Name() string { return s.cfg.Name }

// State is safe to call at any time.
func (s *Stream) State() State {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.state
}

// Run hands entries over until ctx ends. A receiver that fails is tried again,
// after twice as long each time and up to MaxPause, with some chance in it.
func (s *Stream) Run(ctx context.Context) error {
	defer func() { _ = s.cfg.Sink.Close() }()
	pause := time.NewTimer(0)
	defer pause.Stop()
	told := false
	for failures := 0; ; {
		select {
		case <-ctx.Done():
			return nil
		case <-pause.C:
		}
		if !s.cfg.Leads() {
			pause.Reset(s.cfg.Every)
			continue
		}
		more, err := s.Step(ctx)
		if ctx.Err() != nil {
			return nil
		}
		told = s.changed(ctx, err, told)
		if err != nil {
			failures++
			wait := min(s.cfg.Every<<min(failures-1, 12), s.cfg.MaxPause)
			pause.Reset(wait/2 + rand.N(wait/2+1)) //nolint:gosec // chance against thundering herds, not against anybody
			continue
		}
		failures = 0
		if more {
			pause.Reset(0)
		} else {
			pause.Reset(s.cfg.Every)
		}
	}
}

// changed keeps the state and tells of a change once.
func (s *Stream) changed(ctx context.Context, err error, told bool) bool {
	s.mu.Lock()
	now := time.Now()
	if (err != nil) != s.state.Failing {
		s.state.Failing, s.state.Since = err != nil, now
	}
	s.state.Err = err
	state := s.state
	s.mu.Unlock()
	if state.Failing && !told && now.Sub(state.Since) >= s.cfg.AlarmAfter {
		s.cfg.Changed(ctx, state)
		return true
	}
	if !state.Failing && told {
		s.cfg.Changed(ctx, state)
		return false
	}
	return told
}

// Step hands over one batch and reports whether there may be more at once.
// crash here, anywhere: the cursor did not move, and the next Step of any
// process sends the same batch again.
func (s *Stream) Step(ctx context.Context) (more bool, err error) {
	from, ok, err := s.cfg.Cursor.Place(ctx, s.cfg.Name)
	if err != nil {
		return false, fmt.Errorf("streaming %s: reading the cursor: %w", s.cfg.Name, err)
	}
	years, err := s.cfg.Source.Years(ctx)
	if err != nil || len(years) == 0 {
		return false, err
	}
	if !ok {
		from = Place{Year: years[0]}
	}
	checkpoint, size, err := s.cfg.Source.Signed(ctx, from.Year)
	if err != nil {
		return false, fmt.Errorf("streaming %s: %w", s.cfg.Name, err)
	}
	if from.Next > size {
		return false, fmt.Errorf("streaming %s: %w: entry %d of %d was handed over, and the newest checkpoint has size %d", s.cfg.Name, ErrShrunk, from.Next-1, from.Year, size)
	}
	if from.Next == size {
		return s.nextYear(ctx, from, years)
	}
	b := Batch{Year: from.Year, From: from.Next, To: min(size, from.Next+uint64(s.cfg.MaxBatch)), Checkpoint: checkpoint}
	err = s.cfg.Source.Leaves(ctx, b.Year, b.From, b.To, func(leaf []byte) error {
		e, err := NewEvent(leaf)
		if err != nil {
			return err
		}
		raw, err := e.JSON()
		b.Events = append(b.Events, raw)
		return err
	})
	if err == nil && uint64(len(b.Events)) != b.To-b.From {
		err = fmt.Errorf("%d leaves of %d", len(b.Events), b.To-b.From)
	}
	if err != nil {
		return false, fmt.Errorf("streaming %s: reading entries: %w", s.cfg.Name, err)
	}
	sending, cancel := context.WithTimeout(ctx, s.cfg.Within)
	defer cancel()
	if err := s.cfg.Sink.Send(sending, b); err != nil {
		return false, fmt.Errorf("streaming %s: %w", s.cfg.Name, err)
	}
	to := Place{Year: b.Year, Next: b.To}
	if _, err := s.cfg.Cursor.Move(ctx, s.cfg.Name, from, to); err != nil {
		return false, fmt.Errorf("streaming %s: moving the cursor: %w", s.cfg.Name, err)
	}
	s.mu.Lock()
	s.state.Place, s.state.Behind = to, size-b.To
	s.mu.Unlock()
	return b.To < size, nil
}

// nextYear goes on to the log of a later year when this one's is at its end: its
// last entry says so, and no later one is signed.
func (s *Stream) nextYear(ctx context.Context, from Place, years []int) (more bool, err error) {
	s.mu.Lock()
	s.state.Place, s.state.Behind = from, 0
	s.mu.Unlock()
	for _, year := range years {
		if year <= from.Year {
			continue
		}
		closed, err := s.closed(ctx, from)
		if err != nil || !closed {
			return false, err
		}
		return s.cfg.Cursor.Move(ctx, s.cfg.Name, from, Place{Year: year})
	}
	return false, nil
}

// closed says whether the last signed entry of a log is the one that closes it.
func (s *Stream) closed(ctx context.Context, at Place) (closed bool, err error) {
	if at.Next == 0 {
		return false, nil
	}
	err = s.cfg.Source.Leaves(ctx, at.Year, at.Next-1, at.Next, func(leaf []byte) error {
		e, err := NewEvent(leaf)
		closed = err == nil && e.Metadata.EventCode == "log.closed"
		return err
	})
	return closed, err
}
