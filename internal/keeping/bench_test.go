package keeping_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync/atomic"
	"testing"
	"time"

	"github.com/sealtrail/sealtrail/crypto/transit"
	"github.com/sealtrail/sealtrail/internal/custody"
	"github.com/sealtrail/sealtrail/internal/keeping"
	"github.com/sealtrail/sealtrail/internal/vaulttest"
)

// BenchmarkRewrap compares the job with Vault's raw rate: the same batches sent
// by one client that writes nothing. crypto.md asks for 0.8.
func BenchmarkRewrap(b *testing.B) {
	const keys = 8192
	var asked atomic.Int64
	h := open(b, vaulttest.New(b), func(m custody.Master) custody.Master { return &timed{m, &asked} })
	h.plant(record, 1, keys)
	var raw, job time.Duration
	for b.Loop() {
		b.StopTimer()
		h.rotate()
		b.StartTimer()
		raw += h.rewrapRaw(keys)
		began := time.Now()
		if _, err := h.rewrap(keeping.RewrapConfig{}); err != nil {
			b.Fatal(err)
		}
		job += time.Since(began)
	}
	n := float64(b.N * keys)
	b.ReportMetric(n/raw.Seconds(), "raw-keys/s")
	b.ReportMetric(n/job.Seconds(), "keys/s")
	b.ReportMetric(raw.Seconds()/job.Seconds(), "of-raw")
	// What of-raw tends to on a machine that nothing else keeps busy.
	b.ReportMetric(time.Duration(asked.Load()).Seconds()/job.Seconds(), "vault-busy")
}

// timed adds up how long calls to rewrap take.
type timed struct {
	custody.Master
	asked *atomic.Int64
}

func (m *timed) Rewrap(ctx context.Context, batch string, items []transit.RewrapItem) ([]transit.RewrapResult, error) {
	began := time.Now()
	defer func() { m.asked.Add(int64(time.Since(began))) }()
	return m.Master.Rewrap(ctx, batch, items)
}

func (h *house) rewrapRaw(keys int) time.Duration {
	h.t.Helper()
	items := make([]transit.RewrapItem, keys)
	for i := range items {
		items[i] = transit.RewrapItem{Reference: "bench", Context: h.keyID(record, 1+i).Context(), Blob: h.load(record, 1+i).Blob}
	}
	began := time.Now()
	for batch := range slices.Chunk(items, custody.RewrapBatch) {
		results, err := h.tr.Rewrap(h.t.Context(), "bench", batch)
		must(h.t, err)
		must(h.t, results[0].Err)
	}
	return time.Since(began)
}

// BenchmarkReadDuringRewrap is how long a cold key takes to be read from
// PostgreSQL and opened by Vault, without and with a rewrap at its default share
// beside it, in turns.
// crypto.md asks for a p99 of at most 1.5x.
func BenchmarkReadDuringRewrap(b *testing.B) { benchmarkRead(b, 0.25) }

// BenchmarkReadAtOtherShares is the same with less and no regard for readers.
func BenchmarkReadAtOtherShares(b *testing.B) {
	for _, share := range []float64{0.5, 1} {
		b.Run(fmt.Sprintf("share=%v", share), func(b *testing.B) { benchmarkRead(b, share) })
	}
}

func benchmarkRead(b *testing.B, share float64) {
	h := open(b, vaulttest.New(b), nil)
	h.plant(record, 1, 6000)
	h.plant(record, 100_001, 50)
	quiet, busy := []time.Duration{}, []time.Duration{}
	for b.Loop() {
		quiet = append(quiet, h.readFor(2*time.Second, nil)...)
		h.rotate()
		var done atomic.Bool
		ctx, end := context.WithCancel(b.Context())
		finished := make(chan error, 1)
		go func() {
			_, err := keeping.Rewrap(ctx, keeping.RewrapConfig{Door: h.Door, Share: share})
			done.Store(true)
			finished <- err
		}()
		busy = append(busy, h.readFor(2*time.Second, &done)...)
		end()
		if err := <-finished; err != nil && !errors.Is(err, context.Canceled) {
			b.Fatal(err)
		}
	}
	b.ReportMetric(ms(quiet, 50), "quiet-p50-ms")
	b.ReportMetric(ms(quiet, 99), "quiet-p99-ms")
	b.ReportMetric(ms(busy, 50), "rewrap-p50-ms")
	b.ReportMetric(ms(busy, 99), "rewrap-p99-ms")
	b.ReportMetric(ms(busy, 99)/ms(quiet, 99), "p99-ratio")
}

// readFor reads cold keys one after the other, 500 a second at most, until the
// time is over or the rewrap beside it is done.
func (h *house) readFor(long time.Duration, done *atomic.Bool) (took []time.Duration) {
	h.t.Helper()
	for began := time.Now(); time.Since(began) < long && (done == nil || !done.Load()); time.Sleep(2 * time.Millisecond) {
		n := 100_001 + len(took)%50
		start := time.Now()
		w := h.load(record, n)
		h.keys.Void(h.keyID(record, n))
		lease, err := h.keys.Lend(h.t.Context(), *w, h.keyID(record, n), "bench")
		must(h.t, err)
		lease.Release()
		took = append(took, time.Since(start))
	}
	return took
}

// ms is a percentile in milliseconds.
func ms(took []time.Duration, percent int) float64 {
	if len(took) == 0 {
		return 0
	}
	slices.Sort(took)
	return took[min(len(took)-1, len(took)*percent/100)].Seconds() * 1000
}
