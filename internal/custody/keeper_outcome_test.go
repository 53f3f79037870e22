package custody_test

import (
	"strconv"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/sealtrail/sealtrail/audit"
)

// settled waits until every intent of a kind has an outcome, and complains about
// one that has two.
func (h *house) settled(kind string) {
	h.t.Helper()
	var open, twice, all int
	for began := time.Now(); time.Since(began) < 5*time.Second; time.Sleep(20 * time.Millisecond) {
		if open, twice, all = h.outcomes(kind); open == 0 {
			break
		}
	}
	if open != 0 || twice != 0 || all == 0 {
		h.t.Errorf("of %d intents of %s %d have no outcome, %d have more than one", all, kind, open, twice)
	}
}

// outcomes counts intents of a kind without and with several outcomes.
func (h *house) outcomes(kind string) (open, twice, all int) {
	h.t.Helper()
	rows, err := h.admin.Query(h.t.Context(), "select id, body from audit.entry where institution = $1 order by id", h.institution)
	must(h.t, err)
	named, intents := map[string]int{}, []string{}
	var id int64
	var raw []byte
	_, err = pgx.ForEachRow(rows, []any{&id, &raw}, func() error {
		b, err := audit.ParseBody(raw)
		if err != nil {
			return err
		}
		if b.Stage == audit.StageIntent && b.Kind == kind {
			intents = append(intents, "e"+strconv.FormatInt(id, 10))
		}
		if list, ok := b.Facts.List("intents"); ok && b.Stage == audit.StageOutcome {
			for _, name := range list {
				named[name]++
			}
		}
		return nil
	})
	must(h.t, err)
	for _, name := range intents {
		switch {
		case named[name] == 0:
			open++
		case named[name] > 1:
			twice++
		}
	}
	return open, twice, len(intents)
}

// TestEveryUpkeepHasItsOutcome: what was done, what was away and what was found
// broken is said once of each intent.
func TestEveryUpkeepHasItsOutcome(t *testing.T) {
	t.Parallel()
	h := open(t)
	for n := range 3 {
		h.file(n)
	}
	bad := h.file(4).ID
	h.sql("update sealtrail.complaint set narrative_sealed = set_byte(narrative_sealed, 40, get_byte(narrative_sealed, 40) # 1) where id = $1", bad)
	s, err := h.Scrub(t.Context(), nil)
	must(t, err)
	if len(s.Findings) != 1 || s.Records != 4 {
		t.Errorf("got %+v", s)
	}
	h.settled("record.scrubbed")
}
