package batch_test

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/sealtrail/sealtrail/crypto/batch"
)

// server counts what reaches it and takes 5 ms per call.
type server struct {
	mu    sync.Mutex
	sizes []int
	ids   map[string]bool
}

func (s *server) call(ctx context.Context, id string, items []int) ([]string, error) {
	s.mu.Lock()
	s.sizes = append(s.sizes, len(items))
	if s.ids == nil {
		s.ids = map[string]bool{}
	}
	s.ids[id] = true
	s.mu.Unlock()
	select {
	case <-time.After(5 * time.Millisecond):
	case <-ctx.Done():
		return nil, ctx.Err()
	}
	out := make([]string, len(items))
	for i, it := range items {
		out[i] = fmt.Sprint(it)
	}
	return out, nil
}

func (s *server) seen() []int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return append([]int(nil), s.sizes...)
}

func TestLoneRequestDoesNotWait(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var s server
		c := batch.New(batch.Config[int, string]{Call: s.call})
		for i := range 3 {
			start := time.Now()
			out, err := c.Do(t.Context(), []int{i})
			if err != nil || out[0].Result != fmt.Sprint(i) {
				t.Fatalf("Do = %+v, %v", out, err)
			}
			if took := time.Since(start); took != 5*time.Millisecond {
				t.Errorf("a lone request took %v, want the call's 5 ms", took)
			}
		}
	})
}

func TestConcurrentRequestsShareCalls(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var s server
		c := batch.New(batch.Config[int, string]{Call: s.call})
		var wg sync.WaitGroup
		for i := range 32 {
			wg.Go(func() {
				out, err := c.Do(t.Context(), []int{i})
				if err != nil || out[0].Result != fmt.Sprint(i) || out[0].Batch == "" {
					t.Errorf("Do(%d) = %+v, %v", i, out, err)
				}
			})
		}
		wg.Wait()
		if got := s.seen(); len(got) != 2 || got[0] != 1 || got[1] != 31 {
			t.Errorf("calls of %v items, want [1 31]", got)
		}
		if len(s.ids) != 2 {
			t.Errorf("%d ids for 2 calls", len(s.ids))
		}
	})
}

func TestManyItemsAreSplit(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var s server
		c := batch.New(batch.Config[int, string]{Call: s.call, MaxItems: 10})
		items := make([]int, 25)
		for i := range items {
			items[i] = i
		}
		start := time.Now()
		out, err := c.Do(t.Context(), items)
		if err != nil {
			t.Fatal(err)
		}
		for i, o := range out {
			if o.Result != fmt.Sprint(i) {
				t.Errorf("result %d = %q", i, o.Result)
			}
		}
		if took := time.Since(start); took != 6*time.Millisecond { // the rest waits MaxWait for company
			t.Errorf("took %v, want 6 ms", took)
		}
		total := 0
		for _, n := range s.seen() {
			total += n
			if n > 10 {
				t.Errorf("a call of %d items", n)
			}
		}
		if total != 25 {
			t.Errorf("%d items called, want 25", total)
		}
	})
}

func TestCancelledWaiterLeavesItsNeighboursAlone(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var s server
		c := batch.New(batch.Config[int, string]{Call: s.call})
		ctx, cancel := context.WithCancel(t.Context())
		var wg sync.WaitGroup
		for i := range 4 {
			own := t.Context()
			if i == 2 {
				own = ctx
			}
			wg.Go(func() {
				_, err := c.Do(own, []int{i})
				if i == 2 && !errors.Is(err, context.Canceled) || i != 2 && err != nil {
					t.Errorf("waiter %d: %v", i, err)
				}
			})
		}
		time.Sleep(2 * time.Millisecond) // fake time: both calls are under way
		cancel()
		wg.Wait()
		time.Sleep(time.Second)
	})
}

func TestCallHasItsOwnDeadline(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		hang := func(ctx context.Context, _ string, _ []int) ([]string, error) {
			<-ctx.Done()
			return nil, ctx.Err()
		}
		c := batch.New(batch.Config[int, string]{Call: hang})
		start := time.Now()
		out, err := c.Do(t.Context(), []int{1})
		if err != nil || !errors.Is(out[0].Err, context.DeadlineExceeded) || time.Since(start) != 2*time.Second {
			t.Errorf("after %v: %+v, %v", time.Since(start), out, err)
		}
	})
}

func TestWrongNumberOfResultsIsAnError(t *testing.T) {
	t.Parallel()
	short := func(context.Context, string, []int) ([]string, error) { return []string{"one"}, nil }
	c := batch.New(batch.Config[int, string]{Call: short})
	out, err := c.Do(t.Context(), []int{1, 2})
	if err != nil || out[0].Err == nil || out[1].Err == nil || out[0].Result != "" {
		t.Errorf("Do = %+v, %v; want an error for both items", out, err)
	}
	if out, err := c.Do(t.Context(), nil); err != nil || len(out) != 0 {
		t.Errorf("no items: %v, %v", out, err)
	}
}

func ExampleCollector() {
	squares := batch.New(batch.Config[int, int]{
		Call: func(_ context.Context, _ string, items []int) ([]int, error) {
			out := make([]int, len(items))
			for i, n := range items {
				out[i] = n * n
			}
			return out, nil
		},
	})
	out, err := squares.Do(context.Background(), []int{3, 4})
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println(out[0].Result, out[1].Result, out[0].Batch == out[1].Batch)
	// Output: 9 16 true
}
