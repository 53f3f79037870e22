package policy

import (
	"errors"
	"runtime"
	"slices"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/sealtrail/sealtrail/policy/confidentiality"
)

// table is the whole decision domain, answered by OPA.
type table struct {
	s      *Snapshot
	matrix map[string]matrixRow
	cells  map[uint64]*cell

	once    sync.Once
	openers uint32 // roles that open content somewhere
}

// enumerate answers every point of the domain through OPA on all processors, once for all tests.
var enumerate = sync.OnceValues(func() (*table, error) {
	b, err := readBundle(confidentiality.Files())
	if err != nil {
		return nil, err
	}
	s, err := newSnapshot(bg, b, Config{Catalogue: groupCatalogue(), EvalTimeout: time.Minute}, 1)
	if err != nil {
		return nil, err
	}
	t := &table{s: s, cells: map[uint64]*cell{}}
	if err := b.decode("matrix", &t.matrix); err != nil {
		return nil, err
	}
	points := slices.Collect(s.points(t.matrix))
	answers := make([]*cell, len(points))
	errs := make([]error, runtime.GOMAXPROCS(0))
	var wg sync.WaitGroup
	for w := range errs {
		wg.Go(func() {
			for i := w; i < len(points); i += len(errs) {
				if answers[i], errs[w] = s.evaluate(bg, points[i]); errs[w] != nil {
					return
				}
			}
		})
	}
	wg.Wait()
	for i, p := range points {
		t.cells[p.pack()] = answers[i]
	}
	return t, errors.Join(errs...)
})

func wholeDomain(t *testing.T) *table {
	t.Helper()
	before, start := cpu(), time.Now()
	d, err := enumerate()
	if err != nil {
		t.Fatal(err)
	}
	if len(d.cells) > d.s.domain.Limit {
		t.Fatalf("the domain has %d points, more than %d", len(d.cells), d.s.domain.Limit)
	}
	if spent := cpu() - before; spent > time.Second {
		distinct := map[*cell]bool{}
		for _, c := range d.cells {
			distinct[c] = true
		}
		t.Logf("%d points, %d different answers, %v CPU, %v wall", len(d.cells), len(distinct), spent, time.Since(start))
	}
	return d
}

func cpu() time.Duration {
	var u syscall.Rusage
	if syscall.Getrusage(syscall.RUSAGE_SELF, &u) != nil {
		return 0
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}
