package publish_test

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/sealtrail/sealtrail/audit/publish"
)

// BenchmarkEntryToCheckpoint is the time from the call of Append to a signed, published checkpoint that covers the entry, with
// four clients that pause 10 ms. Goal: p99 at most 1 s.
func BenchmarkEntryToCheckpoint(b *testing.B) {
	e := newEnv(b)
	e.background(e.seq.Run)
	p := e.publisherWith(publish.Config{})
	e.background(p.Run)
	var mu sync.Mutex
	var took []time.Duration
	b.ResetTimer()
	for b.Loop() {
		var wg sync.WaitGroup
		for c := range 4 {
			wg.Go(func() {
				for i := range 100 {
					d := e.untilPublished(p, fmt.Sprintf("complaint:%d", c), i)
					mu.Lock()
					took = append(took, d)
					mu.Unlock()
				}
			})
		}
		wg.Wait()
	}
	slices.Sort(took)
	b.ReportMetric(float64(took[len(took)/2].Milliseconds()), "p50-ms")
	b.ReportMetric(float64(took[len(took)*99/100].Milliseconds()), "p99-ms")
}

func (e *env) untilPublished(p *publish.Publisher, subject string, i int) time.Duration {
	begin := time.Now()
	r, err := e.log.Append(context.Background(), body(subject, i))
	if err != nil {
		e.t.Error(err)
		return 0
	}
	for time.Since(begin) < 20*time.Second {
		<-time.After(10 * time.Millisecond)
		x, err := e.log.Entry(context.Background(), r[0].EntryID())
		if err == nil && x.SeqAt.Year() > 1 && p.Status().Size > x.Index {
			return time.Since(begin)
		}
	}
	e.t.Error("not published within 20 s")
	return 0
}
