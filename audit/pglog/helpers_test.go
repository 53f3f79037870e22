package pglog_test

import (
	"errors"
	"sync"
	"testing"
	"time"

	"github.com/jackc/pgx/v5/pgconn"

	"github.com/sealtrail/sealtrail/internal/pgtest"
)

// testCluster is a cluster that the test may kill or pause.
func testCluster(t testing.TB) *pgtest.Private {
	t.Helper()
	return pgtest.Cluster(t)
}

// waitFor polls until ok, at most 20 s: for what another process does in its own time.
func waitFor(t testing.TB, what string, ok func() bool) {
	t.Helper()
	deadline := time.Now().Add(20 * time.Second)
	for !ok() {
		if time.Now().After(deadline) {
			t.Fatalf("%s: not within 20 s", what)
		}
		<-time.After(5 * time.Millisecond)
	}
}

// gather collects from concurrent writers.
type gather[T any] struct {
	mu   sync.Mutex
	list []T
}

func (g *gather[T]) add(v T) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.list = append(g.list, v)
}

func (g *gather[T]) len() int {
	g.mu.Lock()
	defer g.mu.Unlock()
	return len(g.list)
}

func isCode(err error, code string) bool {
	var pg *pgconn.PgError
	return errors.As(err, &pg) && pg.Code == code
}
