package custody_test

import (
	"context"
	"crypto/fips140"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/sealtrail/sealtrail/audit"
	"github.com/sealtrail/sealtrail/crypto/keyring"
	"github.com/sealtrail/sealtrail/internal/custody"
	"github.com/sealtrail/sealtrail/internal/pgtest"
	"github.com/sealtrail/sealtrail/internal/vaulttest"
)

// TestNobodyElseIsTheKeeper: a token or a row of the register that claims to be
// the service's own upkeep gets nowhere.
func TestNobodyElseIsTheKeeper(t *testing.T) {
	t.Parallel()
	h := open(t)
	ctx := t.Context()
	id := h.fileFull(1).ID
	claimed := h.KeeperCaller()
	sneaky := h.as("han")
	sneaky.Roles = []string{"keeper", "handler"}
	for what, c := range map[string]custody.Caller{"the service by name": claimed, "a handler with another role": sneaky} {
		for _, purpose := range []string{"keeping", "handle"} {
			if v, err := h.Read(ctx, c, custody.ReadRequest{ID: id, Purpose: purpose}); err == nil && (what != "a handler with another role" || purpose != "handle") {
				t.Errorf("%s read for %s: got %d fields", what, purpose, len(v.Fields))
			}
		}
	}
	var refused *custody.RefusedError
	if _, err := h.Read(ctx, claimed, custody.ReadRequest{ID: id, Purpose: "handle"}); !errors.As(err, &refused) || refused.Decision.Reason != "no_role" {
		t.Errorf("a caller that calls itself the service: got %v, want that it holds no role", err)
	}
	var invalid *custody.InvalidError
	if _, err := h.Appoint(ctx, h.as("sec-a"), "han", custody.Duty{Role: "keeper", Level: "major", Department: "cards", Until: time.Now().AddDate(1, 0, 0)}); !errors.As(err, &invalid) {
		t.Errorf("appointing a keeper: got %v", err)
	}
	if _, err := h.AddPerson(ctx, h.as("sec-a"), custody.Person{ID: "service", Kind: custody.Human, Department: "cards", Status: "active"}); !errors.As(err, &invalid) {
		t.Errorf("entering the service as a person: got %v", err)
	}
	denied, other, err := h.KeeperSees(ctx, id)
	must(t, err)
	if len(denied) == 0 || len(other) != 0 {
		t.Errorf("the keeper is denied %v but not %v", denied, other)
	}
}

// needSM skips by name what fips140=only refuses.
func needSM(t *testing.T) {
	t.Helper()
	if fips140.Enforced() {
		t.Skip("fips140=only: suite 0x02")
	}
}

// TestAForbiddenSuiteIsRefused: under fips140=only the suite cannot be chosen,
// and a service whose institution chose it elsewhere does not start.
func TestAForbiddenSuiteIsRefused(t *testing.T) {
	t.Parallel()
	h := open(t)
	ctx := t.Context()
	_, err := h.ChooseSuite(ctx, custody.SuiteSM)
	if errors.Is(err, custody.ErrSuiteForbidden) != fips140.Enforced() || (err == nil) == fips140.Enforced() {
		t.Errorf("choosing: %v; enforced %v", err, fips140.Enforced())
	}
	alias, err := h.log.Alias(ctx, "operator")
	must(t, err)
	_, err = h.log.Append(ctx, audit.Body{At: time.Now(), Stage: audit.StageEvent, Kind: "suite.chosen", Actor: audit.Actor{ID: alias},
		Subject: "charter:suite", Facts: audit.Facts{"suite": 2}})
	must(t, err)
	suite, err := h.CheckSuite(ctx)
	if suite != custody.SuiteSM || errors.Is(err, custody.ErrSuiteForbidden) != fips140.Enforced() {
		t.Errorf("starting: suite %d, %v; enforced %v", suite, err, fips140.Enforced())
	}
	if err != nil && !strings.Contains(err.Error(), "choose suite 1, or run without fips140=only") {
		t.Errorf("the refusal does not say what to do: %v", err)
	}
}

// suites counts the institution's rows per suite and checks that every envelope
// of a row says the same.
func (h *house) suites() map[int]int {
	h.t.Helper()
	rows, err := h.admin.Query(h.t.Context(), `select suite, get_byte(narrative_sealed, 1), count(*) from sealtrail.complaint
		where institution = $1 group by 1, 2`, h.institution)
	must(h.t, err)
	counts := map[int]int{}
	var suite, envelope, n int
	_, err = pgx.ForEachRow(rows, []any{&suite, &envelope, &n}, func() error {
		if suite != envelope {
			h.t.Errorf("%d rows of suite %d have envelopes of suite %d", n, suite, envelope)
		}
		counts[suite] += n
		return nil
	})
	must(h.t, err)
	return counts
}

// values reveals some fields of a complaint, from wrapped keys.
func (h *house) values(id string, fields ...string) []string {
	h.t.Helper()
	h.keys.VoidAll("test")
	v, err := h.Reveal(h.t.Context(), h.as("han"), custody.RevealRequest{ID: id, Purpose: "handle", Fields: fields, Reason: "call back"})
	must(h.t, err)
	var values []string
	for _, f := range v.Fields {
		values = append(values, f.Value)
	}
	return values
}

// consistent checks what must hold of a record at every moment: exactly one
// wrapped key, that of the row's generation, and every older generation named as
// destroyed.
func (h *house) consistent(id string) (generation int) {
	h.t.Helper()
	var keys, mine, destroyed int
	must(h.t, h.admin.QueryRow(h.t.Context(), `select c.generation,
		(select count(*) from keys.wrapped w where w.complaint = c.id),
		(select count(*) from keys.wrapped w where w.complaint = c.id and w.generation = c.generation),
		(select count(*) from keys.destroyed d where d.complaint = c.id and d.why = 'generation')
		from sealtrail.complaint c where c.id = $1`, id).Scan(&generation, &keys, &mine, &destroyed))
	if keys != 1 || mine != 1 || destroyed != generation-1 {
		h.t.Errorf("record at generation %d has %d wrapped keys, %d of that generation; %d were destroyed", generation, keys, mine, destroyed)
	}
	return generation
}

// texts opens every text under the record's key, as a sorted list.
func (h *house) texts(id string) []string {
	h.t.Helper()
	texts, err := h.Texts(h.t.Context(), id)
	if err != nil {
		h.t.Fatalf("opening the texts of %s: %v", id, err)
	}
	slices.Sort(texts)
	return texts
}

// TestSuitesAreMovedBothWays: new records take the chosen suite, a changed one
// moves with its change, the sweep moves the rest; everything is read
// throughout, and the texts beside the fields stay readable.
func TestSuitesAreMovedBothWays(t *testing.T) {
	t.Parallel()
	needSM(t)
	h := open(t)
	ctx := t.Context()
	h.unlimited()
	var ids []string
	for n := range 4 {
		ids = append(ids, h.fileFull(n).ID)
	}
	h.grantsAndGlass(ids[0], func() {})
	h.now = time.Now
	h.values(ids[0], "phone")
	before, fields := h.texts(ids[0]), h.values(ids[0], "narrative", "phone", "id_number")
	if len(before) < 4 {
		t.Fatalf("got %d texts, want reasons of reveals, of a grant and of emergency accesses", len(before))
	}
	if _, err := h.ChooseSuite(ctx, 3); err == nil {
		t.Error("a suite that is unknown was chosen")
	}
	_, err := h.ChooseSuite(ctx, custody.SuiteSM)
	must(t, err)
	if _, err := h.ChooseSuite(ctx, custody.SuiteSM); !errors.As(err, new(*custody.ConflictError)) {
		t.Errorf("choosing what is chosen: got %v", err)
	}
	ids = append(ids, h.fileFull(9).ID)
	if got := h.suites(); got[1] != 4 || got[2] != 1 {
		t.Errorf("after choosing and one create: got %v", got)
	}
	number := "13900139000"
	view, err := h.Read(ctx, h.as("han"), custody.ReadRequest{ID: ids[1], Purpose: "handle", MetaOnly: true})
	must(t, err)
	_, err = h.Amend(ctx, h.as("han"), custody.AmendRequest{ID: ids[1], Purpose: "handle", Revision: view.Revision, Fields: map[string]*string{"phone": &number}})
	must(t, err)
	if got := h.suites(); got[1] != 3 || got[2] != 2 {
		t.Errorf("after an amendment: got %v", got)
	}
	if got := h.values(ids[1], "phone"); got[0] != number {
		t.Error("the amendment that moved the record was lost")
	}
	p, err := h.Resealing(ctx, nil)
	must(t, err)
	if got := h.suites(); p.Done != 3 || p.Left != 0 || p.State != "finished" || got[1] != 0 || got[2] != 5 {
		t.Errorf("after the sweep: got %+v and %v", p, got)
	}
	for _, id := range ids {
		h.sound("in suite 2", id)
		h.consistent(id)
	}
	if got := h.values(ids[0], "narrative", "phone", "id_number"); !slices.Equal(got, fields) {
		t.Error("a value changed with its suite")
	}
	after := h.texts(ids[0])
	if !slices.Equal(slices.DeleteFunc(after, func(s string) bool { return s == "reason: call back" }),
		slices.DeleteFunc(slices.Clone(before), func(s string) bool { return s == "reason: call back" })) {
		t.Error("a text beside the fields was lost or changed")
	}
	h.provesSuites()
	_, err = h.ChooseSuite(ctx, custody.SuiteAES)
	must(t, err)
	p, err = h.Resealing(ctx, nil)
	must(t, err)
	if got := h.suites(); p.Done != 5 || got[1] != 5 || got[2] != 0 {
		t.Errorf("back again: got %+v and %v", p, got)
	}
	for _, id := range ids {
		h.sound("in suite 1 again", id)
		h.consistent(id)
	}
	h.texts(ids[0])
	h.provesSuites()
}

// provesSuites compares what the log says of suites with the table.
func (h *house) provesSuites() {
	h.t.Helper()
	s, err := h.Suites(h.t.Context())
	must(h.t, err)
	if !s.Agree {
		h.t.Errorf("the log says %v, the table %v", s.Logged, s.Stored)
	}
	got := h.suites()
	for suite, n := range s.Logged {
		if int64(got[int(suite)]) != n {
			h.t.Errorf("suite %d: the log says %d, the rows %d", suite, n, got[int(suite)])
		}
	}
}

// axe ends a context at the nth statement of a test.
type axe struct {
	at     atomic.Int64 // statements left; below 0: it does not fall
	cancel atomic.Pointer[context.CancelFunc]
	seen   atomic.Pointer[string]
}

// TraceQueryStart implements pgx.QueryTracer.
func (x *axe) TraceQueryStart(ctx context.Context, _ *pgx.Conn, q pgx.TraceQueryStartData) context.Context {
	x.hit(q.SQL)
	return ctx
}

func (x *axe) hit(sql string) {
	if cancel := x.cancel.Load(); cancel != nil && x.at.Add(-1) == 0 {
		x.seen.Store(&sql)
		(*cancel)()
	}
}

// TraceQueryEnd implements pgx.QueryTracer.
func (x *axe) TraceQueryEnd(context.Context, *pgx.Conn, pgx.TraceQueryEndData) {}

// TraceBatchStart, TraceBatchQuery and TraceBatchEnd implement pgx.BatchTracer.
func (x *axe) TraceBatchStart(ctx context.Context, _ *pgx.Conn, _ pgx.TraceBatchStartData) context.Context {
	x.hit("batch")
	return ctx
}
func (x *axe) TraceBatchQuery(context.Context, *pgx.Conn, pgx.TraceBatchQueryData) {}
func (x *axe) TraceBatchEnd(context.Context, *pgx.Conn, pgx.TraceBatchEndData)     {}

// TestResealKilledAtEveryStep ends the work at each of its statements and calls
// in turn. Whatever is left is the old state or the new one, as a whole, and
// the next attempt finds it fit.
func TestResealKilledAtEveryStep(t *testing.T) {
	t.Parallel()
	needSM(t)
	x := &axe{}
	x.at.Store(-1)
	vault := &counting{}
	h := openOn(t, pgtest.New(t, "custody", migrate), vaulttest.New(t), taps{
		pool:    func(c *pgxpool.Config) { c.ConnConfig.Tracer = x },
		wrapper: func(w keyring.Wrapper) keyring.Wrapper { vault.Wrapper = w; return vault }})
	vault.before = func() { x.hit("vault") }
	h.unlimited()
	id := h.fileFull(1).ID
	h.grantsAndGlass(id, func() {})
	h.now = time.Now
	texts := len(h.texts(id))
	steps, to := 0, custody.SuiteSM
	for done := false; !done; steps++ {
		if steps > 200 {
			t.Fatal("the work never ends")
		}
		before := h.consistent(id)
		ctx, cancel := context.WithCancel(t.Context())
		h.keys.VoidAll("test")
		x.at.Store(int64(steps + 1))
		x.cancel.Store(&cancel)
		_, err := h.KeepersReseal(ctx, to, id)
		x.cancel.Store(nil)
		cancel()
		after := h.consistent(id)
		if after != before && after != before+1 {
			t.Fatalf("step %d: generation %d became %d", steps, before, after)
		}
		if err == nil && after == before+1 && x.at.Load() > 0 {
			done = true // it ended before the axe fell
		}
		h.sound(fmt.Sprintf("killed at step %d", steps), id)
		if n := len(h.texts(id)); n < texts {
			t.Fatalf("step %d: %d texts are left of %d", steps, n, texts)
		}
		if after == before+1 {
			to = 3 - to // and the other way
		}
	}
	if steps < 8 {
		t.Errorf("only %d steps were killed: the test does not see them", steps)
	}
	t.Logf("killed at %d steps", steps-1)
	h.provesSuites()
}

// TestTwoSweepsAtOnce: one job works at a time; and if two keepers meet at one
// record all the same, one wins and the other one hears it.
func TestTwoSweepsAtOnce(t *testing.T) {
	t.Parallel()
	needSM(t)
	h := open(t)
	ctx := t.Context()
	h.unlimited()
	var ids []string
	for n := range 6 {
		ids = append(ids, h.fileFull(n).ID)
	}
	var group sync.WaitGroup
	var moved, lost atomic.Int64
	for range 3 {
		group.Go(func() {
			errs, err := h.KeepersReseal(ctx, custody.SuiteSM, ids...)
			if err != nil {
				t.Errorf("a page ended: %v", err)
			}
			for _, err := range errs {
				switch {
				case err == nil:
					moved.Add(1)
				case errors.Is(err, custody.ErrStale):
					lost.Add(1)
				default:
					t.Errorf("a keeper heard %v", err)
				}
			}
		})
	}
	group.Wait()
	for _, id := range ids {
		if g := h.consistent(id); g != 2 {
			t.Errorf("generation %d, want 2", g)
		}
		if n := h.events(id, "record.resealed"); n != 1 {
			t.Errorf("%d events say that it was resealed, want 1", n)
		}
		h.sound("after three keepers", id)
	}
	_, err := h.ChooseSuite(ctx, custody.SuiteAES)
	if !errors.As(err, new(*custody.ConflictError)) {
		t.Errorf("choosing what is chosen: got %v", err)
	}
	// The job: whoever comes second hears that somebody is at work.
	working, busy := make(chan struct{}), make(chan error, 1)
	var once sync.Once
	_, err = h.Resealing(ctx, func(custody.Progress) {
		once.Do(func() {
			close(working)
			_, err := h.Resealing(ctx, nil)
			busy <- err
		})
	})
	must(t, err)
	<-working
	if err := <-busy; !errors.Is(err, custody.ErrBusy) {
		t.Errorf("a second job: got %v, want ErrBusy", err)
	}
	if got := h.suites(); got[1] != 6 {
		t.Errorf("got %v", got)
	}
}

// events counts the events of a kind in a record's trail.
func (h *house) events(id, kind string) (n int) {
	h.t.Helper()
	must(h.t, h.admin.QueryRow(h.t.Context(), `select count(*) from audit.entry where institution = $1 and subject = $2
		and position(convert_to('"kind":"' || $3 || '"', 'UTF8') in body) > 0 and position('"stage":"event"'::bytea in body) > 0`,
		h.institution, "complaint:"+id, kind).Scan(&n))
	return n
}

// TestResealBesideAmendments: records are changed, revealed and asked for while
// keepers move them to and fro. No change is lost, no text, no key.
func TestResealBesideAmendments(t *testing.T) {
	t.Parallel()
	needSM(t)
	h := open(t)
	ctx := t.Context()
	h.unlimited()
	var ids []string
	for n := range 4 {
		ids = append(ids, h.fileFull(n).ID)
	}
	last := make([]atomic.Pointer[string], len(ids))
	stop := make(chan struct{})
	var acts, keeping sync.WaitGroup
	var amended, reveals, refused atomic.Int64
	for i, id := range ids {
		callers := []custody.Caller{h.as("han"), h.as("han")}
		acts.Go(func() {
			for n := range 25 {
				v, err := h.Read(ctx, callers[0], custody.ReadRequest{ID: id, Purpose: "handle", MetaOnly: true})
				if err != nil {
					t.Errorf("reading: %v", err)
					return
				}
				text := fmt.Sprintf("plan %d of %d", n, i)
				_, err = h.Amend(ctx, callers[0], custody.AmendRequest{ID: id, Purpose: "handle", Revision: v.Revision, Fields: map[string]*string{"plan": &text}})
				switch {
				case err == nil:
					last[i].Store(&text)
					amended.Add(1)
				case !errors.Is(err, custody.ErrStale):
					t.Errorf("amending: %v", err)
				}
			}
		})
		acts.Go(func() {
			for range 25 {
				_, err := h.Reveal(ctx, callers[1], custody.RevealRequest{ID: id, Purpose: "handle", Fields: []string{"phone"}, Reason: "call back"})
				switch {
				case err == nil:
					reveals.Add(1)
				case errors.Is(err, custody.ErrStoreUnavailable):
					refused.Add(1) // its key was renewed under its hands
				default:
					t.Errorf("revealing: %v", err)
				}
			}
		})
	}
	keeping.Go(func() {
		for to := custody.SuiteSM; ; to = 3 - to {
			select {
			case <-stop:
				return
			default:
			}
			if _, err := h.KeepersReseal(ctx, to, ids...); err != nil {
				t.Errorf("keeping: %v", err)
			}
		}
	})
	acts.Wait()
	close(stop)
	keeping.Wait()
	generations := 0
	for i, id := range ids {
		generations += h.consistent(id) - 1
		if want := last[i].Load(); want != nil && h.values(id, "plan")[0] != *want {
			t.Errorf("record %d: the last amendment was lost", i)
		}
	}
	texts := 0
	for _, id := range ids {
		for _, text := range h.texts(id) {
			if strings.HasPrefix(text, "reason: ") {
				texts++
			}
		}
	}
	if int64(texts) < reveals.Load() {
		t.Errorf("%d of %d reasons are left", texts, reveals.Load())
	}
	if amended.Load() == 0 || generations == 0 {
		t.Errorf("nothing met: %d amendments, %d generations", amended.Load(), generations)
	}
	t.Logf("%d amendments, %d reveals (%d refused), %d generations", amended.Load(), reveals.Load(), refused.Load(), generations)
	h.provesSuites()
}

// TestVaultAwayDuringASweep: the sweep says what it waits for, goes on when
// Vault is back, and nothing is half done in between.
func TestVaultAwayDuringASweep(t *testing.T) {
	t.Parallel()
	needSM(t)
	var away atomic.Bool
	vault := &failing{away: &away}
	h := openOn(t, pgtest.New(t, "custody", migrate), vaulttest.New(t), taps{wrapper: func(w keyring.Wrapper) keyring.Wrapper { vault.Wrapper = w; return vault }})
	ctx := t.Context()
	h.unlimited()
	var ids []string
	for n := range 3 {
		ids = append(ids, h.fileFull(n).ID)
	}
	_, err := h.ChooseSuite(ctx, custody.SuiteSM)
	must(t, err)
	h.keys.VoidAll("test")
	away.Store(true)
	waited := ""
	p, err := h.Resealing(ctx, func(p custody.Progress) {
		if p.Waiting != "" {
			waited = p.Waiting
			for _, id := range ids {
				if g := h.consistent(id); g != 1 {
					t.Errorf("generation %d while Vault is away", g)
				}
			}
			away.Store(false)
		}
	})
	must(t, err)
	if waited != "vault" || p.Done != 3 || p.Failed != 0 {
		t.Errorf("waited for %q; %+v", waited, p)
	}
	for _, id := range ids {
		h.sound("after Vault was away", id)
	}
	h.settled("record.resealed")
}

// failing is a Vault that goes away when told to.
type failing struct {
	keyring.Wrapper
	away *atomic.Bool
}

// Unwrap implements keyring.Wrapper.
func (f *failing) Unwrap(ctx context.Context, batch string, items []keyring.UnwrapItem) ([]keyring.UnwrapResult, error) {
	if f.away.Load() {
		return nil, &keyring.UnavailableError{Cause: keyring.CauseUnreachable, Op: "unwrap"}
	}
	return f.Wrapper.Unwrap(ctx, batch, items)
}

// TestASweepIsKilledAndGoesOn: a job that was cancelled goes on where it was,
// and what cannot be opened is counted, is an entry, and does not stop the rest.
func TestASweepIsKilledAndGoesOn(t *testing.T) {
	t.Parallel()
	needSM(t)
	h := open(t)
	h.unlimited()
	for n := range 5 {
		h.file(n)
	}
	bad := h.fileFull(7).ID
	h.sql("update sealtrail.complaint set narrative_sealed = set_byte(narrative_sealed, 40, get_byte(narrative_sealed, 40) # 1) where id = $1", bad)
	text := h.fileFull(8).ID
	h.values(text, "phone")
	h.sql(`update audit.opening o set value_sealed = set_byte(value_sealed, 40, get_byte(value_sealed, 40) # 1) from audit.entry e
		where e.institution = o.institution and e.id = o.entry_id and e.subject = $1`, "complaint:"+text)
	_, err := h.ChooseSuite(t.Context(), custody.SuiteSM)
	must(t, err)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := h.Resealing(ctx, nil); err == nil {
		t.Error("a cancelled job ended well")
	}
	p, err := h.Resealing(t.Context(), nil)
	must(t, err)
	if p.Done != 5 || p.Failed != 2 || p.Left != 2 || p.State != "finished" {
		t.Errorf("got %+v", p)
	}
	for what, id := range map[string]string{"a field": bad, "a text beside the fields": text} {
		if n := h.entries("complaint:"+id, "access.integrity"); n == 0 {
			t.Errorf("no entry says that %s cannot be opened", what)
		}
		h.consistent(id)
	}
	if got := h.suites(); got[1] != 2 || got[2] != 5 {
		t.Errorf("got %v", got)
	}
}
