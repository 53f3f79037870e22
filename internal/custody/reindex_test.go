package custody_test

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/sealtrail/sealtrail/audit"
	"github.com/sealtrail/sealtrail/internal/custody"
	"github.com/sealtrail/sealtrail/internal/pgtest"
	"github.com/sealtrail/sealtrail/internal/vaultserver"
	"github.com/sealtrail/sealtrail/internal/vaulttest"
)

// phoneOf is a number of its own for each n.
func phoneOf(n int) string { return fmt.Sprintf("138%08d", 10_000_000+n) }

// filePhone stores a complaint with a phone number of its own, for ivy.
func (h *house) filePhone(c custody.Caller, n int) (*custody.Created, error) {
	d := draft(n)
	delete(d.Fields, "respondent_staff_id")
	d.Fields["phone"] = phoneOf(n)
	return h.Create(h.t.Context(), c, custody.CreateRequest{Purpose: "handle", Draft: d})
}

// hits searches for a phone number.
func (h *house) hits(c custody.Caller, phone string) (ids []string, err error) {
	page, err := h.Search(h.t.Context(), c, custody.SearchRequest{Purpose: "handle", Field: "phone", Value: phone})
	if err != nil {
		return nil, err
	}
	for _, v := range page.Items {
		ids = append(ids, v.ID)
	}
	return ids, nil
}

// openIndex makes the key of the next generation as an operator does, and opens
// it.
func (h *house) openIndex(v *vaulttest.Vault) int {
	h.t.Helper()
	epoch, err := h.NextIndexEpoch(h.t.Context())
	must(h.t, err)
	must(h.t, vaultserver.MakeIndexKey(h.t.Context(), v.Client(v.RootToken), h.institution, epoch))
	_, err = h.OpenIndexEpoch(h.t.Context(), epoch)
	must(h.t, err)
	return epoch
}

// epochs counts the tokens of each generation.
func (h *house) epochs() map[int]int {
	h.t.Helper()
	rows, err := h.admin.Query(h.t.Context(), `select epoch, count(*) from sealtrail.blind_index where institution = $1 group by 1`, h.institution)
	must(h.t, err)
	counts := map[int]int{}
	var epoch, n int
	_, err = pgx.ForEachRow(rows, []any{&epoch, &n}, func() error { counts[epoch] = n; return nil })
	must(h.t, err)
	return counts
}

// TestSearchesAreCompleteWhileTheIndexIsRebuilt: the index is rebuilt twice,
// killed and resumed, while records are filed and amended and each is searched
// for at once. No search misses one.
func TestSearchesAreCompleteWhileTheIndexIsRebuilt(t *testing.T) {
	t.Parallel()
	vault := vaulttest.New(t)
	h := openOn(t, pgtest.New(t, "custody", migrate), vault, taps{})
	ctx := t.Context()
	h.unlimited()
	const first = 70 // more than one page of the keeper
	var ids []string
	for n := range first {
		c, err := h.filePhone(h.as("ivy"), n)
		must(t, err)
		ids = append(ids, c.ID)
		if n == first-1 {
			h.walk(c, "accept", "classify", "assign")
		}
	}
	stop := make(chan struct{})
	var busy sync.WaitGroup
	end := sync.OnceFunc(func() { close(stop); busy.Wait() })
	defer end()
	var filed, amended, searched atomic.Int64
	writer, reader, changer := h.as("ivy"), h.as("ivy"), h.as("han")
	busy.Go(func() { // files, and looks for what it filed
		for n := 1000; ; n++ {
			select {
			case <-stop:
				return
			default:
			}
			c, err := h.filePhone(writer, n)
			if err != nil {
				t.Errorf("filing: %v", err)
				return
			}
			filed.Add(1)
			if got, err := h.hits(writer, phoneOf(n)); err != nil || len(got) != 1 || got[0] != c.ID {
				t.Errorf("a record that was just filed: got %d hits, %v", len(got), err)
			}
		}
	})
	busy.Go(func() { // looks for the oldest ones all the time
		for n := 0; ; n = (n + 1) % (first - 1) {
			select {
			case <-stop:
				return
			default:
			}
			if got, err := h.hits(reader, phoneOf(n)); err != nil || len(got) != 1 || got[0] != ids[n] {
				t.Errorf("record %d: got %d hits, %v", n, len(got), err)
				return
			}
			searched.Add(1)
		}
	})
	busy.Go(func() { // changes the number of one, and looks for the new one
		for n := 5000; ; n++ {
			select {
			case <-stop:
				return
			default:
			}
			v, err := h.Read(ctx, changer, custody.ReadRequest{ID: ids[first-1], Purpose: "handle", MetaOnly: true})
			if err != nil {
				t.Errorf("reading: %v", err)
				return
			}
			number := phoneOf(n)
			_, err = h.Amend(ctx, changer, custody.AmendRequest{ID: ids[first-1], Purpose: "handle", Revision: v.Revision, Fields: map[string]*string{"phone": &number}})
			if err != nil {
				t.Errorf("amending: %v", err)
				return
			}
			amended.Add(1)
			if got, err := h.hits(changer, number); err != nil || len(got) != 1 {
				t.Errorf("a number that was just changed: got %d hits, %v", len(got), err)
			}
		}
	})
	for round := range 2 {
		epoch := h.openIndex(vault)
		if _, err := h.SwitchIndex(ctx, epoch); !errors.As(err, new(*custody.ConflictError)) {
			t.Errorf("switching to an index that is not built: got %v", err)
		}
		if _, _, err := h.DropIndex(ctx, epoch-1); !errors.As(err, new(*custody.ConflictError)) {
			t.Errorf("dropping the index that is read: got %v", err)
		}
		killed, kill := context.WithCancel(ctx)
		if _, err := h.Reindexing(killed, func(custody.Progress) { kill() }); err == nil {
			t.Error("a cancelled job ended well")
		}
		kill()
		p, err := h.Reindexing(ctx, nil)
		must(t, err)
		if p.State != "finished" || p.Failed != 0 || p.Left != 0 {
			t.Errorf("round %d: %+v", round, p)
		}
		_, err = h.SwitchIndex(ctx, epoch)
		must(t, err)
		_, n, err := h.DropIndex(ctx, epoch-1)
		must(t, err)
		if n == 0 {
			t.Error("no token of the old index was deleted")
		}
	}
	end()
	if got := h.epochs(); len(got) != 1 || got[3] == 0 {
		t.Errorf("tokens per generation: %v", got)
	}
	if filed.Load() == 0 || amended.Load() == 0 || searched.Load() == 0 {
		t.Errorf("nothing met: %d filed, %d amended, %d searched", filed.Load(), amended.Load(), searched.Load())
	}
	s, err := h.Scrub(ctx, nil)
	must(t, err)
	if len(s.Findings) != 0 || s.Records < first {
		t.Errorf("got %d findings in %d records", len(s.Findings), s.Records)
	}
	t.Logf("%d filed, %d amended, %d searched meanwhile", filed.Load(), amended.Load(), searched.Load())
}

// TestRecusalAndRepeatsOutliveAnIndex: what rows themselves carry stays of the
// first generation, so recusal holds and repeats are found when that one is
// long gone from the index.
func TestRecusalAndRepeatsOutliveAnIndex(t *testing.T) {
	t.Parallel()
	vault := vaulttest.New(t)
	h := openOn(t, pgtest.New(t, "custody", migrate), vault, taps{})
	ctx := t.Context()
	h.unlimited()
	h.fileFull(1)
	epoch := h.openIndex(vault)
	_, err := h.Reindexing(ctx, nil)
	must(t, err)
	_, err = h.SwitchIndex(ctx, epoch)
	must(t, err)
	_, _, err = h.DropIndex(ctx, 1)
	must(t, err)
	d := draft(2) // about E-0102, who is hugo, and of the same person as the first
	d.Fields["respondent_staff_id"] = "E-0102"
	created, err := h.Create(ctx, h.as("ivy"), custody.CreateRequest{Purpose: "handle", Draft: d})
	must(t, err)
	h.walk(created, "accept", "classify", "assign")
	if _, err := h.Read(ctx, h.as("hugo"), custody.ReadRequest{ID: created.ID, Purpose: "handle"}); !errors.Is(err, custody.ErrNotFound) {
		t.Errorf("the respondent reads the complaint about himself: %v", err)
	}
	var repeat bool
	must(t, h.admin.QueryRow(ctx, `select position('"earlier_own_complaint":true'::bytea in body) > 0 from audit.entry
		where institution = $1 and subject = $2 and position('"kind":"complaint.recorded"'::bytea in body) > 0`, h.institution, "complaint:"+created.ID).Scan(&repeat))
	if !repeat {
		t.Error("an earlier complaint of the same person was not found")
	}
	if got := h.epochs(); len(got) != 1 || got[2] == 0 {
		t.Errorf("tokens per generation: %v", got)
	}
}

// TestAWriterThatKnewAnOlderIndexIsTold: what it was about to write nobody would
// have found.
func TestAWriterThatKnewAnOlderIndexIsTold(t *testing.T) {
	t.Parallel()
	vault := vaulttest.New(t)
	h := openOn(t, pgtest.New(t, "custody", migrate), vault, taps{})
	_, err := h.filePhone(h.as("ivy"), 1) // now the door knows generation 1
	must(t, err)
	must(t, vaultserver.MakeIndexKey(t.Context(), vault.Client(vault.RootToken), h.institution, 2))
	h.sql("insert into keys.index_epoch (institution, epoch, key, state, created_at) values ($1, 1, 'k', 'current', now()), ($1, 2, 'k.2', 'building', now())", h.institution)
	_, err = h.filePhone(h.as("ivy"), 2)
	must(t, err)
	// As another process switches: the table and the log.
	h.sql("update keys.index_epoch set state = case epoch when 1 then 'retired' else 'current' end where institution = $1", h.institution)
	alias, err := h.log.Alias(t.Context(), "operator")
	must(t, err)
	_, err = h.log.Append(t.Context(), audit.Body{At: time.Now(), Stage: audit.StageEvent, Kind: "index.epoch_switched", Actor: audit.Actor{ID: alias},
		Subject: "key:" + h.institution + "-index.2", Facts: audit.Facts{"epoch": 2}})
	must(t, err)
	h.sql("delete from sealtrail.blind_index where epoch = 1") // as dropping it does
	if got, err := h.hits(h.as("ivy"), phoneOf(2)); err != nil || len(got) != 1 {
		t.Errorf("got %d hits, %v", len(got), err)
	}
	if got := h.epochs(); got[2] == 0 {
		t.Errorf("tokens per generation: %v", got)
	}
}
