package custody_test

import (
	"context"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/sealtrail/sealtrail/audit"
	"github.com/sealtrail/sealtrail/internal/custody"
	"github.com/sealtrail/sealtrail/internal/pgtest"
	"github.com/sealtrail/sealtrail/internal/vaulttest"
)

// answers counts the outcomes that name each intent of the log.
func (h *house) answers() (open, once, more int) {
	h.t.Helper()
	rows, err := h.admin.Query(h.t.Context(), `select id, body from audit.entry where institution = $1 order by id`, h.institution)
	must(h.t, err)
	defer rows.Close()
	named := map[string]int{}
	var intents []string
	for rows.Next() {
		var id int64
		var raw []byte
		must(h.t, rows.Scan(&id, &raw))
		b, err := audit.ParseBody(raw)
		must(h.t, err)
		switch b.Stage {
		case audit.StageIntent:
			intents = append(intents, fmt.Sprintf("e%d", id))
		case audit.StageOutcome:
			list, _ := b.Facts.List("intents")
			for _, e := range list {
				named[e]++
			}
		case audit.StageEvent:
		}
	}
	must(h.t, rows.Err())
	for _, e := range intents {
		switch named[e] {
		case 0:
			open++
		case 1:
			once++
		default:
			more++
		}
	}
	return open, once, more
}

// quiet makes every living process of the institution one that was not heard of
// for a minute, or undoes it with a negative number.
func (h *house) quiet(ago string) {
	h.sql(`update jobs.process set seen_at = clock_timestamp() - $2::interval where institution = $1 and fenced_at is null`, h.institution, ago)
}

// TestLostOutcomesAreClosedOnce: intents of a process that died are closed as
// unknown, by one of several reapers, once; those of a process that may still
// answer are not, and its own answer is the only one.
func TestLostOutcomesAreClosedOnce(t *testing.T) {
	t.Parallel()
	db, vault := pgtest.New(t, "reap", migrate), vaulttest.New(t)
	h := openOn(t, db, vault, taps{})
	created := h.file(1)
	a, err := h.AskRead(t.Context(), h.as("ivy"), created.ID)
	must(t, err)
	receipt, err := h.Intend(t.Context(), a)
	must(t, err)
	h.sequence()
	// The process lives and owes it: not closed, however old.
	h.Beat(t.Context())
	h.Beat(t.Context())
	if n, err := h.Reap(t.Context(), 0); err != nil || n != 0 {
		t.Fatalf("closed %d intents of a living process (%v)", n, err)
	}
	// A reader of the process gives up without a word, and the time is over.
	h.Forget(receipt)
	if n, err := h.Reap(t.Context(), 0); err != nil || n != 0 {
		t.Fatalf("closed %d intents before the process said that it owes them no more (%v)", n, err)
	}
	// Now it has said so; four reapers at once, before and after sequencing.
	h.Beat(t.Context())
	h.Beat(t.Context())
	closed := 0
	var mu sync.Mutex
	for range 3 {
		var wait sync.WaitGroup
		for range 4 {
			other := reaperOn(t, h)
			wait.Go(func() {
				n, err := other.Reap(context.WithoutCancel(t.Context()), 0)
				if err != nil && !strings.Contains(err.Error(), "40001") {
					t.Error(err)
				}
				mu.Lock()
				closed += n
				mu.Unlock()
			})
		}
		wait.Wait()
	}
	if closed != 1 {
		t.Errorf("%d intents were closed, want 1", closed)
	}
	h.sequence()
	if n, err := h.Reap(t.Context(), 0); err != nil || n != 0 {
		t.Errorf("closed %d more (%v)", n, err)
	}
	if open, _, more := h.answers(); open != 0 || more != 0 {
		t.Errorf("%d intents open, %d with more than one outcome", open, more)
	}
}

// reaperOn is the door of a second process on the same institution.
func reaperOn(t *testing.T, h *house) *custody.Door {
	t.Helper()
	second, err := custody.New(t.Context(), h.config)
	must(t, err)
	return second
}

// TestAFencedProcessAnswersNoMore: a process that was held up for so long that
// others spoke for it finds its outcomes refused, and goes on.
func TestAFencedProcessAnswersNoMore(t *testing.T) {
	t.Parallel()
	h := open(t)
	created := h.file(1)
	a, err := h.AskRead(t.Context(), h.as("ivy"), created.ID)
	must(t, err)
	receipt, err := h.Intend(t.Context(), a)
	must(t, err)
	h.sequence()
	h.quiet("1 hour") // it was stopped, and its beats with it
	if n, err := reaperOn(t, h).Reap(t.Context(), 0); err != nil || n != 1 {
		t.Fatalf("closed %d intents, want 1 (%v)", n, err)
	}
	h.Say(t.Context(), a, receipt) // it wakes up and answers
	eventuallyTrue(t, "the answer is written or refused", func() bool { return h.Owed() == 0 })
	if _, err := h.Read(t.Context(), h.as("ivy"), custody.ReadRequest{ID: created.ID, Purpose: "handle"}); err != nil {
		t.Fatal(err)
	}
	// What it had begun before it heard is closed as well, by whoever comes by; it
	// goes on under another id.
	eventuallyTrue(t, "the later read has its outcome", func() bool {
		h.sequence()
		h.Beat(t.Context())
		_, err := reaperOn(t, h).Reap(t.Context(), 0)
		must(t, err)
		open, _, _ := h.answers()
		return open == 0
	})
	if _, err := h.Read(t.Context(), h.as("ivy"), custody.ReadRequest{ID: created.ID, Purpose: "handle"}); err != nil {
		t.Fatal(err)
	}
	eventuallyTrue(t, "a read after it has its own", func() bool { open, _, _ := h.answers(); return open == 0 })
	if _, _, more := h.answers(); more != 0 {
		t.Errorf("%d intents have two outcomes", more)
	}
}

func eventuallyTrue(t *testing.T, what string, ok func() bool) {
	t.Helper()
	for began := time.Now(); !ok(); time.Sleep(20 * time.Millisecond) {
		if time.Since(began) > 10*time.Second {
			t.Fatalf("waited 10 s for: %s", what)
		}
	}
}

// TestEveryPathAnswersForItsIntents does everything that the door can do and
// then expects of each intent one outcome.
func TestEveryPathAnswersForItsIntents(t *testing.T) {
	t.Parallel()
	h := open(t)
	h.everything()
	eventuallyTrue(t, "every intent has an outcome", func() bool { open, _, _ := h.answers(); return open == 0 })
	if _, once, more := h.answers(); more != 0 || once == 0 {
		t.Errorf("%d intents have one outcome, %d have more", once, more)
	}
}
