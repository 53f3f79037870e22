package stream_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"sync"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/sealtrail/sealtrail/audit"
	"github.com/sealtrail/sealtrail/audit/audittest"
	"github.com/sealtrail/sealtrail/internal/complaint"
	"github.com/sealtrail/sealtrail/internal/stream"
)

// source is a published log in memory, of several years.
type source struct {
	mu   sync.Mutex
	logs map[int][][]byte
}

func (s *source) Years(context.Context) (years []int, _ error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for year := range s.logs {
		years = append(years, year)
	}
	slices.Sort(years)
	return years, nil
}

func (s *source) Signed(_ context.Context, year int) ([]byte, uint64, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return fmt.Appendf(nil, "checkpoint of %d", len(s.logs[year])), uint64(len(s.logs[year])), nil
}

func (s *source) Leaves(_ context.Context, year int, from, to uint64, f func([]byte) error) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, leaf := range s.logs[year][from:to] {
		if err := f(leaf); err != nil {
			return err
		}
	}
	return nil
}

// cursor is one that any number of streams share; some moves are lost.
type cursor struct {
	mu    sync.Mutex
	place map[string]stream.Place
	lose  func() bool
}

func (c *cursor) Place(_ context.Context, name string) (stream.Place, bool, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	p, ok := c.place[name]
	return p, ok, nil
}

func (c *cursor) Move(_ context.Context, name string, from, to stream.Place) (bool, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.lose != nil && c.lose() {
		return false, errors.New("database away")
	}
	if now, ok := c.place[name]; ok && now != from {
		return false, nil
	}
	c.place[name] = to
	return true, nil
}

// receiver keeps what it got and refuses when told to.
type receiver struct {
	got    []string // "<year>/<index>"
	refuse func() error
}

func (r *receiver) Close() error { return nil }
func (r *receiver) Send(_ context.Context, b stream.Batch) error {
	var after error
	if r.refuse != nil {
		after = r.refuse()
	}
	if errors.Is(after, errLost) {
		return after
	}
	for _, raw := range b.Events {
		var e stream.Event
		if err := json.Unmarshal(raw, &e); err != nil {
			return err
		}
		r.got = append(r.got, fmt.Sprintf("%d/%d", b.Year, e.Metadata.Sequence))
	}
	return after
}

// errLost means that nothing arrived; any other error that everything did and
// only the answer was lost.
var errLost = errors.New("nothing arrived")

// leaves are n leaves of a year's log; the last closes it if closed.
func leaves(year, n int, closed bool) (out [][]byte) {
	l := audittest.New(audittest.Config{})
	l.Append(audittest.Bodies(n)...)
	if closed {
		b := audittest.Body(n)
		b.Kind, b.Stage, b.Decision, b.Fields = "log.closed", audit.StageEvent, nil, nil
		b.Subject, b.Facts = "charter:log", audit.Facts{"origin": fmt.Sprintf("x/%d", year)}
		l.Append(b)
		n++
	}
	for i := range n {
		out = append(out, l.Leaf(uint64(i)))
	}
	return out
}

// Whatever fails, in whatever order, every entry of every year arrives, at least
// once, and the first arrivals are in the log's order.
func TestEveryEntryArrivesInOrder(t *testing.T) {
	t.Parallel()
	first, second := leaves(2026, 40, true), leaves(2027, 25, false)
	rapid.Check(t, func(t *rapid.T) {
		dice := rapid.IntRange(0, 5)
		s := &source{logs: map[int][][]byte{2026: first, 2027: second}}
		c := &cursor{place: map[string]stream.Place{}, lose: func() bool { return dice.Draw(t, "move lost") == 0 }}
		r := &receiver{refuse: func() error {
			switch dice.Draw(t, "delivery") {
			case 0:
				return errLost
			case 1:
				return errors.New("answer lost")
			}
			return nil
		}}
		for range 500 {
			one, err := stream.New(stream.Config{Name: "siem", Source: s, Cursor: c, Sink: r, MaxBatch: rapid.IntRange(1, 30).Draw(t, "batch")})
			if err != nil {
				t.Fatal(err)
			}
			if _, err := one.Step(context.Background()); err == nil && c.place["siem"] == (stream.Place{Year: 2027, Next: 25}) {
				break
			}
		}
		var want []string
		for i := range first {
			want = append(want, fmt.Sprintf("2026/%d", i))
		}
		for i := range second {
			want = append(want, fmt.Sprintf("2027/%d", i))
		}
		var order []string
		for _, e := range r.got {
			if !slices.Contains(order, e) {
				order = append(order, e)
			}
		}
		if !slices.Equal(order, want) {
			t.Fatalf("arrived: %v", order)
		}
	})
}

// The next year's log begins only behind the entry that closes this one's.
func TestStreamWaitsForTheClosingEntry(t *testing.T) {
	t.Parallel()
	s := &source{logs: map[int][][]byte{2026: leaves(2026, 3, false), 2027: leaves(2027, 2, false)}}
	c := &cursor{place: map[string]stream.Place{}}
	one, err := stream.New(stream.Config{Name: "siem", Source: s, Cursor: c, Sink: &receiver{}})
	if err != nil {
		t.Fatal(err)
	}
	for range 5 {
		if _, err := one.Step(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	if got := c.place["siem"]; got != (stream.Place{Year: 2026, Next: 3}) {
		t.Errorf("stands at %v", got)
	}
}

// A log that was put back to an older state is no end that was reached: what grows there anew must not be skipped in silence.
func TestStreamFailsOnALogThatHasShrunk(t *testing.T) {
	t.Parallel()
	s := &source{logs: map[int][][]byte{2026: leaves(2026, 3, true), 2027: leaves(2027, 2, false)}}
	c := &cursor{place: map[string]stream.Place{"siem": {Year: 2026, Next: 5}}}
	one, err := stream.New(stream.Config{Name: "siem", Source: s, Cursor: c, Sink: &receiver{}})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := one.Step(t.Context()); !errors.Is(err, stream.ErrShrunk) {
		t.Errorf("a log of 3 entries of which 5 were handed over: %v", err)
	}
	if got := c.place["siem"]; got != (stream.Place{Year: 2026, Next: 5}) {
		t.Errorf("stands at %v", got)
	}
}

// A failing receiver is told of once, and once more when it is well again.
func TestRunTellsOfAFailingReceiver(t *testing.T) {
	t.Parallel()
	var mu sync.Mutex
	broken := true
	r := &receiver{refuse: func() error {
		mu.Lock()
		defer mu.Unlock()
		if broken {
			return errLost
		}
		return nil
	}}
	told := make(chan stream.State, 10)
	c := &cursor{place: map[string]stream.Place{}}
	one, err := stream.New(stream.Config{Name: "siem", Source: &source{logs: map[int][][]byte{2026: leaves(2026, 5, false)}}, Cursor: c, Sink: r,
		Every: time.Millisecond, MaxPause: 2 * time.Millisecond, AlarmAfter: 20 * time.Millisecond,
		Changed: func(_ context.Context, s stream.State) { told <- s }})
	if err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(t.Context())
	done := make(chan error)
	go func() { done <- one.Run(ctx) }()
	if s := <-told; !s.Failing || s.Err == nil {
		t.Errorf("told %+v", s)
	}
	mu.Lock()
	broken = false
	mu.Unlock()
	if s := <-told; s.Failing || s.Place.Next != 5 {
		t.Errorf("told %+v", s)
	}
	stop()
	if err := <-done; err != nil {
		t.Error(err)
	}
	if len(told) > 0 {
		t.Errorf("told %d times too often", len(told))
	}
}

// Every kind of the registry has a class that was chosen for it, and the members
// that the class requires.
func TestEveryKindHasAClass(t *testing.T) {
	t.Parallel()
	for _, kind := range complaint.Registry().EventsOf("") {
		if !stream.Known(kind) {
			t.Errorf("%s was not thought of", kind)
		}
		e := eventOf(t, kind, nil)
		if e.CategoryUID != e.ClassUID/1000 || e.TypeUID != 100*e.ClassUID+e.ActivityID || e.Metadata.Version != stream.Version || e.Metadata.UID == "" ||
			e.Metadata.Product.Name == "" || e.Actor.User.UID == "" || e.Time == 0 || e.SeverityID == 0 {
			t.Errorf("%s lacks what every event has: %+v", kind, e)
		}
		required := map[int]bool{2006: e.FindingInfo != nil, 3004: e.Entity != nil && e.Entity.Type != "", 6002: e.App != nil,
			6005: e.Table != nil && e.Table.Name != "" && e.SrcEndpoint != nil && e.SrcEndpoint.Name != ""}
		if !required[e.ClassUID] {
			t.Errorf("%s as %d lacks what its class requires", kind, e.ClassUID)
		}
		if e.ActivityID == 99 && e.ActivityName == "" {
			t.Errorf("%s: another activity without a name", kind)
		}
	}
}

func eventOf(t *testing.T, kind string, change func(*audit.Body)) *stream.Event {
	t.Helper()
	l := audittest.New(audittest.Config{})
	b := audittest.Body(1)
	b.Kind, b.Facts = kind, audit.Facts{"what": "min_available_version"}
	if change != nil {
		change(&b)
	}
	l.Append(b)
	e, err := stream.NewEvent(l.Leaf(0))
	if err != nil {
		t.Fatal(err)
	}
	return e
}

// What OCSF names for our acts is what they become.
func TestActsBecomeTheirActivities(t *testing.T) {
	t.Parallel()
	for kind, want := range map[string]int{"access.reveal": 600510, "complaint.recorded": 600506, "access.search": 600504, "access.list": 600508,
		"erasure.shredded": 600507, "bundle.activated": 300403, "duty.appointed": 300401, "duty.ended": 300404, "trail.violation": 200601,
		"reconciliation.alarm": 200601, "service.started": 600299} {
		if got := eventOf(t, kind, nil).TypeUID; got != want {
			t.Errorf("%s becomes %d, want %d", kind, got, want)
		}
	}
	denied := eventOf(t, "access.denied", func(b *audit.Body) { b.Decision.Result, b.Decision.Reason = audit.ResultDeny, "not_assigned" })
	if denied.StatusID != 2 || denied.StatusCode != "not_assigned" || denied.Unmapped["rule"] == nil {
		t.Errorf("a refusal: %+v", denied)
	}
}
