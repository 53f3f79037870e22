package main

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/sealtrail/sealtrail/audit/pglog"
	"github.com/sealtrail/sealtrail/audit/publish"
)

const (
	soakFor   = 10 * time.Minute
	soakEvery = 2 * time.Second
)

// soaking appends for ten minutes at 8 clients with sequencer and publisher in
// this process, and watches its memory and how old the oldest entry without an
// index is. Only with -long.
func soaking(ctx context.Context, b *bench) (err error) {
	if !b.long {
		return nil
	}
	in, err := b.installed(ctx)
	if err != nil {
		return err
	}
	t, stop, err := in.openTrail(ctx)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, stop()) }()
	watching, cancel := context.WithCancel(ctx)
	samples := make(chan []sample, 1)
	go func() { samples <- t.sample(watching) }()
	l, err := drive(ctx, 8, soakFor, t.append)
	cancel()
	seen := <-samples
	if err != nil {
		return err
	}
	third := len(seen) / 3
	if third == 0 {
		return errors.New("nothing was sampled")
	}
	var ages []float64
	for _, s := range seen {
		ages = append(ages, s.age.Seconds())
	}
	early, late := heapOf(seen[third:2*third]), heapOf(seen[2*third:])
	b.judge(Line{Name: "soak, heap in the last third to the second", Value: late / early, Unit: "x",
		Note: fmt.Sprintf("%.1f MiB against %.1f MiB, after %d entries at %.0f per second", late/mebi, early/mebi, l.acts, l.rate)}, atMost(1.1), early/mebi)
	b.judge(Line{Name: "soak, oldest entry without an index, worst", Value: slices.Max(ages), Unit: "s",
		Note: fmt.Sprintf("median %.3f s of %d samples", median(ages), len(seen))}, atMost(1), 0)
	return nil
}

const mebi = 1 << 20

// sample is the state of the log and of this process at a moment.
type sample struct {
	heap float64       // bytes in use after a collection
	age  time.Duration // of the oldest pending entry
}

func (t *trailLog) sample(ctx context.Context) (list []sample) {
	for {
		select {
		case <-ctx.Done():
			return list
		case <-time.After(soakEvery):
		}
		var s sample
		var seconds float64
		err := t.pool.QueryRow(ctx, `
			select coalesce(max(extract(epoch from clock_timestamp() - e.inserted_at)), 0)::float8
			from audit.pending p join audit.entry e using (institution, id) where p.institution = $1`, t.shard.Institution).Scan(&seconds)
		if err != nil {
			continue
		}
		s.age = time.Duration(seconds * float64(time.Second))
		runtime.GC()
		var m runtime.MemStats
		runtime.ReadMemStats(&m)
		s.heap = float64(m.HeapInuse)
		list = append(list, s)
	}
}

func heapOf(list []sample) float64 {
	var values []float64
	for _, s := range list {
		values = append(values, s.heap)
	}
	return median(values)
}

// growing fills a log to one million and then to ten million entries and
// compares, at both sizes, the rate of appends, the time for a proof, the size
// of the database and the time of a full verification. Only with -long.
func growing(ctx context.Context, b *bench) (err error) {
	if !b.long {
		return nil
	}
	in, err := b.installed(ctx)
	if err != nil {
		return err
	}
	t, stop, err := in.openTrail(ctx)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, stop()) }()
	var small sizes
	for _, n := range []uint64{1_000_000, 10_000_000} {
		s, err := t.fill(ctx, b, n)
		if err != nil {
			return err
		}
		s.report(b, n)
		if n == 1_000_000 {
			small = s
			continue
		}
		b.report("log of 10 million to 1 million: append rate", s.rate/small.rate, "x", "")
		b.report("log of 10 million to 1 million: proof, p99", s.proof/small.proof, "x", "")
		b.report("log of 10 million to 1 million: bytes of database an entry", s.database/10/small.database, "x", "")
		b.report("log of 10 million to 1 million: verification an entry", s.verify/10/small.verify, "x", "")
	}
	return nil
}

// sizes are the figures of a log of some size.
type sizes struct {
	rate     float64 // entries per second, the last stretch before the size
	proof    float64 // microseconds, p99 of 500
	database float64 // bytes
	verify   float64 // seconds of trailcheck
}

func (s sizes) report(b *bench, n uint64) {
	name := fmt.Sprintf("log of %d million: ", n/1_000_000)
	b.report(name+"append rate, 32 clients", s.rate, "/s", "")
	b.report(name+"inclusion proof from published files, p99", s.proof, "us", "")
	b.report(name+"database", s.database/mebi, "MiB", fmt.Sprintf("%.0f bytes an entry", s.database/float64(n)))
	b.report(name+"full verification", s.verify, "s", fmt.Sprintf("%.0f entries per second", float64(n)/s.verify))
}

func (t *trailLog) fill(ctx context.Context, b *bench, n uint64) (s sizes, err error) {
	tree := pglog.NewTree(t.pool, t.shard)
	for {
		head, err := tree.Head(ctx)
		if err != nil {
			return s, err
		}
		if head.Size >= n {
			break
		}
		l, err := drive(ctx, 32, min(b.each, 10*time.Second), t.append)
		if err != nil {
			return s, err
		}
		s.rate = l.rate
	}
	if err := errors.Join(untilSequenced(ctx, t.pool), t.untilPublished(ctx)); err != nil {
		return s, err
	}
	if err := t.pool.QueryRow(ctx, "select pg_database_size(current_database())").Scan(&s.database); err != nil {
		return s, err
	}
	if s.proof, err = t.proofs(ctx, n); err != nil {
		return s, err
	}
	s.verify, err = t.verified(ctx, b)
	return s, err
}

// proofs is the p99 of 500 inclusion proofs of random entries, in microseconds.
func (t *trailLog) proofs(ctx context.Context, n uint64) (float64, error) {
	store, err := publish.NewFolder(t.folder)
	if err != nil {
		return 0, err
	}
	took := make([]time.Duration, 500)
	for i := range took {
		index := rand.Uint64N(n)
		var hash []byte
		if err := t.pool.QueryRow(ctx, "select hash from audit.leaf where institution = $1 and year = $2 and idx = $3",
			t.shard.Institution, t.shard.Year, int64(index)).Scan(&hash); err != nil {
			return 0, err
		}
		at := time.Now()
		if _, err := publish.Prove(ctx, store, index, [32]byte(hash)); err != nil {
			return 0, err
		}
		took[i] = time.Since(at)
	}
	slices.Sort(took)
	return float64(quantile(took, 0.99).Microseconds()), nil
}

// verified is how long trailcheck takes for the folder, in seconds by the clock.
func (t *trailLog) verified(ctx context.Context, b *bench) (float64, error) {
	key := filepath.Join(b.dir, "trail.vkey")
	if err := os.WriteFile(key, []byte(t.vkey+"\n"), 0o600); err != nil {
		return 0, err
	}
	at := time.Now()
	out, err := exec.CommandContext(ctx, filepath.Join(b.dir, "bin", "trailcheck"), "verify", "--key", key, t.folder).CombinedOutput()
	if err != nil {
		return 0, fmt.Errorf("verifying the log: %w: %s", err, tail(string(out)))
	}
	return time.Since(at).Seconds(), nil
}

func tail(text string) string {
	lines := strings.Split(strings.TrimSpace(text), "\n")
	return strings.Join(lines[max(0, len(lines)-5):], " | ") + " (" + strconv.Itoa(len(lines)) + " lines)"
}
