package main

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"sync"
	"sync/atomic"
	"time"
)

// load is what a number of clients got done.
type load struct {
	rate     float64 // acts per second
	p50, p99 time.Duration
	acts     int
	refused  int // answered 503: neither in the rate nor in the times
}

// errRefused is an act that the service refused for now, with its code. A few
// are counted; more than one in a hundred ends the measurement.
var errRefused = errors.New("refused for now")

// act is one request of client c.
type act func(ctx context.Context, c int) error

// drive lets clients act, each its next act as soon as the last is done, for
// about so long, and measures. The first error ends all.
func drive(ctx context.Context, clients int, long time.Duration, do act) (load, error) {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	took := make([][]time.Duration, clients)
	var refused atomic.Int64
	var wg sync.WaitGroup
	began := time.Now()
	for c := range clients {
		wg.Go(func() {
			for time.Since(began) < long && ctx.Err() == nil {
				at := time.Now()
				switch err := do(ctx, c); {
				case errors.Is(err, errRefused):
					refused.Add(1)
					continue
				case err != nil:
					cancel(err)
					return
				}
				took[c] = append(took[c], time.Since(at))
			}
		})
	}
	wg.Wait()
	elapsed := time.Since(began)
	if err := context.Cause(ctx); err != nil {
		return load{}, err
	}
	all := slices.Concat(took...)
	if n := int(refused.Load()); len(all) == 0 || n > 3 && 100*n > len(all) {
		return load{}, fmt.Errorf("%d acts were done and %d refused", len(all), n)
	}
	slices.Sort(all)
	return load{rate: float64(len(all)) / elapsed.Seconds(), p50: quantile(all, 0.5), p99: quantile(all, 0.99),
		acts: len(all), refused: int(refused.Load())}, nil
}

// quantile of a sorted list, the nearest rank.
func quantile[T any](sorted []T, q float64) T {
	return sorted[min(len(sorted)-1, int(q*float64(len(sorted))))]
}

// side is floor or ours.
type side int

const (
	floorSide side = iota
	ourSide
	sides
)

// inTurns runs measure for both sides in each round, in random order.
func inTurns(rounds int, measure func(round int, s side) error) error {
	for r := range rounds {
		order := []side{floorSide, ourSide}
		rand.Shuffle(len(order), func(i, j int) { order[i], order[j] = order[j], order[i] })
		for _, s := range order {
			if err := measure(r, s); err != nil {
				return err
			}
		}
	}
	return nil
}

// pair holds the loads of both sides, one per round.
type pair [sides][]load

// compare drives both sides in turns.
func compare(ctx context.Context, b *bench, clients int, do [sides]act, settle func(context.Context) error) (pair, error) {
	var p pair
	err := inTurns(b.rounds, func(_ int, s side) error {
		l, err := drive(ctx, clients, b.each, do[s])
		if err != nil {
			return err
		}
		p[s] = append(p[s], l)
		return settle(ctx)
	})
	return p, err
}

// ratio is the median over the rounds of ours to the floor's, by what of picks.
func (p pair) ratio(of func(load) float64) float64 {
	ratios := make([]float64, len(p[ourSide]))
	for i := range ratios {
		ratios[i] = of(p[ourSide][i]) / of(p[floorSide][i])
	}
	return median(ratios)
}

// mid is the median over the rounds of one side.
func (p pair) mid(s side, of func(load) float64) float64 {
	values := make([]float64, len(p[s]))
	for i, l := range p[s] {
		values[i] = of(l)
	}
	return median(values)
}

// refused is how many acts of one side were refused.
func (p pair) refused(s side) (n int) {
	for _, l := range p[s] {
		n += l.refused
	}
	return n
}

func rateOf(l load) float64 { return l.rate }
func p50Of(l load) float64  { return float64(l.p50.Microseconds()) }
func p99Of(l load) float64  { return float64(l.p99.Microseconds()) }

func median(values []float64) float64 {
	sorted := slices.Sorted(slices.Values(values))
	if len(sorted) == 0 {
		return 0
	}
	if n := len(sorted); n%2 == 0 {
		return (sorted[n/2-1] + sorted[n/2]) / 2
	}
	return sorted[len(sorted)/2]
}
