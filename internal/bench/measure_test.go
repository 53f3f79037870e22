package main

import (
	"context"
	"errors"
	"slices"
	"sync/atomic"
	"testing"
	"time"
)

func TestDriveCountsAndOrders(t *testing.T) {
	t.Parallel()
	var acts atomic.Int64
	l, err := drive(t.Context(), 4, 30*time.Millisecond, func(context.Context, int) error {
		if acts.Add(1)%10 == 0 {
			time.Sleep(2 * time.Millisecond) // one act in ten is slow: that is what p99 is for
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	if int64(l.acts) != acts.Load() || l.rate <= 0 || l.p99 < 2*time.Millisecond || l.p50 > l.p99 {
		t.Errorf("%d acts were done, measured %+v", acts.Load(), l)
	}
}

func TestDriveEndsWithTheFirstError(t *testing.T) {
	t.Parallel()
	broken := errors.New("broken")
	_, err := drive(t.Context(), 3, time.Minute, func(_ context.Context, c int) error {
		if c == 1 {
			return broken
		}
		return nil
	})
	if !errors.Is(err, broken) {
		t.Errorf("drive = %v, want the client's error", err)
	}
}

func TestAFewRefusalsAreCountedAndManyEndTheMeasurement(t *testing.T) {
	t.Parallel()
	var n atomic.Int64
	one := func(every int64) act {
		return func(context.Context, int) error {
			time.Sleep(10 * time.Microsecond)
			if n.Add(1)%every == 0 {
				return errRefused
			}
			return nil
		}
	}
	if l, err := drive(t.Context(), 2, 20*time.Millisecond, one(100_000_000)); err != nil || l.refused != 0 || l.acts == 0 {
		t.Errorf("nothing refused: %+v, %v", l, err)
	}
	n.Store(0)
	if _, err := drive(t.Context(), 2, 20*time.Millisecond, one(2)); err == nil {
		t.Error("every second act was refused and the measurement stands")
	}
}

func TestEachRoundHasBothSides(t *testing.T) {
	t.Parallel()
	var seen [][]side
	err := inTurns(40, func(round int, s side) error {
		if round == len(seen) {
			seen = append(seen, nil)
		}
		seen[round] = append(seen[round], s)
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	first := map[side]bool{}
	for _, order := range seen {
		first[order[0]] = true
		if slices.Sort(order); !slices.Equal(order, []side{floorSide, ourSide}) {
			t.Errorf("a round has %v", order)
		}
	}
	if len(first) != 2 {
		t.Error("in 40 rounds the same side always came first: the order is not random")
	}
}

func TestRatiosAreTakenWithinARound(t *testing.T) {
	t.Parallel()
	p := pair{
		floorSide: {{rate: 100}, {rate: 10}, {rate: 1000}},
		ourSide:   {{rate: 50}, {rate: 5}, {rate: 100}},
	}
	if got := p.ratio(rateOf); got != 0.5 {
		t.Errorf("ratio = %v, want the median of 0.5, 0.5, 0.1", got)
	}
	if got := p.mid(floorSide, rateOf); got != 100 {
		t.Errorf("mid = %v, want 100", got)
	}
}

func TestMedianAndQuantile(t *testing.T) {
	t.Parallel()
	if got := median([]float64{3, 1, 2, 10}); got != 2.5 {
		t.Errorf("median = %v, want 2.5", got)
	}
	list := []int{1, 2, 3, 4, 5, 6, 7, 8, 9, 10}
	if a, b := quantile(list, 0.5), quantile(list, 0.99); a != 6 || b != 10 {
		t.Errorf("quantiles = %d, %d, want 6, 10", a, b)
	}
}
