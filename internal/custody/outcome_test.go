package custody_test

import (
	"errors"
	"sync"
	"testing"
	"time"

	"github.com/sealtrail/sealtrail/internal/custody"
)

// TestAChangeThatCameSecondHasAnOutcome: of two officers who act on the same
// revision at once one wins, and the log says of both what came of it.
func TestAChangeThatCameSecondHasAnOutcome(t *testing.T) {
	t.Parallel()
	h := open(t)
	created := h.file(1)
	h.walk(created, "accept")
	count := func(result string) (n int) {
		must(t, h.admin.QueryRow(t.Context(), `select count(*) from audit.entry where convert_from(body, 'UTF8') like '%"kind":"access.result"%'
			and convert_from(body, 'UTF8') like '%"outcome":"' || $1 || '"%'`, result).Scan(&n))
		return n
	}
	lost := 0
	for range 8 { // until two meet behind the first look at the revision
		var wait sync.WaitGroup
		var mu sync.Mutex
		revision, next := created.Revision, created.Revision
		for range 6 {
			ivy := h.as("ivy")
			wait.Go(func() {
				view, err := h.Transition(t.Context(), ivy, custody.TransitionRequest{ID: created.ID, Purpose: "handle", Revision: revision,
					Name: "respond", Inputs: map[string]string{"channel": "phone"}})
				mu.Lock()
				defer mu.Unlock()
				switch {
				case err == nil:
					next = view.Revision
				case !errors.Is(err, custody.ErrStale):
					t.Errorf("the loser heard %v", err)
				}
			})
		}
		wait.Wait()
		created.Revision = next
		if lost = count("cancelled"); lost > 0 {
			break
		}
	}
	for began := time.Now(); count("cancelled") == 0 && time.Since(began) < 5*time.Second; time.Sleep(20 * time.Millisecond) {
	}
	if count("cancelled") == 0 {
		t.Error("nobody came second, or no outcome says so")
	}
}
