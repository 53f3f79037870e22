package pglog_test

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/jackc/pgx/v5"

	"github.com/sealtrail/sealtrail/audit"
	"github.com/sealtrail/sealtrail/audit/pglog"
)

func TestAppendIsDurableAndItsReceiptBindsTheBody(t *testing.T) {
	t.Parallel()
	e := newEnv(t)
	b := body("complaint:1", 7)
	receipts, err := e.log.Append(t.Context(), b, body("complaint:2", 8))
	if err != nil {
		t.Fatal(err)
	}
	if len(receipts) != 2 || !receipts[0].Valid() || receipts[1].EntryID() <= receipts[0].EntryID() {
		t.Fatalf("receipts = %+v, want two valid ones in order", receipts)
	}
	if got, want := receipts[0].Binding(), pglog.BindingOf(inst, "complaint:1", 3, "d-7", []string{"phone", "complainant_name"}); got != want {
		t.Error("the receipt is not bound to institution, subject, revision, decision and fields of its own body")
	}
	if b.Institution != "" || b.Nonce != [16]byte{} {
		t.Error("Append changed the caller's body")
	}
	entry, err := e.log.Entry(t.Context(), receipts[0].EntryID())
	if err != nil {
		t.Fatal(err)
	}
	if entry.State != pglog.StatePending || sha256.Sum256(entry.Body) != receipts[0].BodySHA256() {
		t.Errorf("stored entry = %v, its bytes must be those of the receipt", entry.State)
	}
	stored, err := audit.ParseBody(entry.Body)
	if err != nil {
		t.Fatal(err)
	}
	if stored.Nonce == [16]byte{} || stored.Institution != inst {
		t.Error("the stored body lacks nonce or institution")
	}
}

func TestZeroReceiptIsNotValid(t *testing.T) {
	t.Parallel()
	if (pglog.Receipt{}).Valid() {
		t.Error("the zero Receipt is valid")
	}
}

func TestBindingChangesWithEveryPart(t *testing.T) {
	t.Parallel()
	base := pglog.BindingOf("i", "s", 1, "d", []string{"a", "b"})
	for name, other := range map[string][32]byte{
		"institution":  pglog.BindingOf("j", "s", 1, "d", []string{"a", "b"}),
		"subject":      pglog.BindingOf("i", "t", 1, "d", []string{"a", "b"}),
		"revision":     pglog.BindingOf("i", "s", 2, "d", []string{"a", "b"}),
		"decision":     pglog.BindingOf("i", "s", 1, "e", []string{"a", "b"}),
		"fields":       pglog.BindingOf("i", "s", 1, "d", []string{"a"}),
		"field joined": pglog.BindingOf("i", "s", 1, "d", []string{"ab"}),
		"shifted":      pglog.BindingOf("is", "", 1, "d", []string{"a", "b"}),
	} {
		if other == base {
			t.Errorf("another %s gives the same binding", name)
		}
	}
	if pglog.BindingOf("i", "s", 1, "d", []string{"b", "a"}) != base {
		t.Error("the order of fields matters")
	}
	if pglog.BindingOf("i", "s", 1, "d", nil) != pglog.BindingOf("i", "s", 1, "d", []string{}) {
		t.Error("nil and empty fields differ")
	}
}

func TestAppendTxIsThereIfAndOnlyIfTheCallerCommits(t *testing.T) {
	t.Parallel()
	e := newEnv(t)
	boom := errors.New("boom")
	var lost, kept []pglog.Pending
	err := pgx.BeginFunc(t.Context(), e.pool, func(tx pgx.Tx) (err error) {
		if lost, err = e.log.AppendTx(t.Context(), tx, body("complaint:1", 1)); err != nil {
			return err
		}
		return boom
	})
	if !errors.Is(err, boom) {
		t.Fatal(err)
	}
	err = pgx.BeginFunc(t.Context(), e.pool, func(tx pgx.Tx) (err error) {
		kept, err = e.log.AppendTx(t.Context(), tx, body("complaint:1", 2), body("complaint:1", 3))
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := e.log.Entry(t.Context(), lost[0].EntryID()); !errors.Is(err, pglog.ErrNotFound) {
		t.Errorf("rolled back entry: %v, want ErrNotFound", err)
	}
	for _, p := range kept {
		entry, err := e.log.Entry(t.Context(), p.EntryID())
		if err != nil || sha256.Sum256(entry.Body) != p.BodySHA256() {
			t.Errorf("committed entry %d: %v, or other bytes", p.EntryID(), err)
		}
	}
}

func TestCallerHangingUpDoesNotUnrecord(t *testing.T) {
	t.Parallel()
	e := newEnv(t)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	receipts, err := e.log.Append(ctx, body("complaint:1", 1))
	if err != nil {
		t.Fatalf("Append with a cancelled context: %v, want a receipt", err)
	}
	if _, err := e.log.Entry(t.Context(), receipts[0].EntryID()); err != nil {
		t.Error(err)
	}
}

func TestBadBodiesAreRefusedAlone(t *testing.T) {
	t.Parallel()
	e := newEnv(t)
	for name, test := range map[string]struct {
		change func(*audit.Body)
		want   error
	}{
		"foreign institution": {func(b *audit.Body) { b.Institution = "other" }, pglog.ErrInstitution},
		"no subject":          {func(b *audit.Body) { b.Subject = "" }, audit.ErrInvalid},
		"too long":            {func(b *audit.Body) { b.Net = strings.Repeat("x", audit.MaxBody) }, audit.ErrInvalid},
	} {
		b := body("complaint:1", 1)
		test.change(&b)
		if _, err := e.log.Append(t.Context(), body("complaint:1", 2), b); !errors.Is(err, test.want) {
			t.Errorf("%s: %v, want %v", name, err, test.want)
		}
	}
	if trail, err := e.log.Trail(t.Context(), "complaint:1", 10); err != nil || len(trail) != 0 {
		t.Errorf("trail has %d entries (%v), want none: all or none are recorded", len(trail), err)
	}
}

func TestAppendAnswersWithinTheDeadlineWhileTheDatabaseHangs(t *testing.T) {
	t.Parallel()
	cluster := testCluster(t)
	e := envOn(t, cluster.New("audit", pglog.Migrate), shard)
	e.append("complaint:1", 1)
	if err := cluster.Pause(); err != nil {
		t.Fatal(err)
	}
	begin := time.Now()
	var wg sync.WaitGroup
	for i := range 8 {
		wg.Go(func() {
			if _, err := e.log.Append(context.Background(), body("complaint:1", i)); !errors.Is(err, pglog.ErrUnavailable) {
				t.Errorf("Append while the database hangs: %v, want ErrUnavailable", err)
			}
		})
	}
	wg.Wait()
	if took := time.Since(begin); took > pglog.DefaultDeadline+500*time.Millisecond {
		t.Errorf("took %v, want at most the deadline of %v", took, pglog.DefaultDeadline)
	}
	if err := cluster.Resume(); err != nil {
		t.Fatal(err)
	}
	waitFor(t, "healing", func() bool {
		_, err := e.log.Append(context.Background(), body("complaint:1", 99))
		return err == nil
	})
}

func TestAliasIsRandomStableAndResolvable(t *testing.T) {
	t.Parallel()
	e := newEnv(t)
	other := newLog(t, e.pool)
	var wg sync.WaitGroup
	names := make([]string, 8)
	for i := range names {
		log := e.log
		if i%2 == 1 {
			log = other
		}
		wg.Go(func() {
			var err error
			if names[i], err = log.Alias(t.Context(), "li.na"); err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	for _, n := range names {
		if n != names[0] || strings.Contains(n, "li") && strings.Contains(n, "na") {
			t.Errorf("aliases %v, want one random name", names)
		}
	}
	if actor, err := newLog(t, e.pool).ActorOf(t.Context(), names[0]); err != nil || actor != "li.na" {
		t.Errorf("ActorOf = %q, %v", actor, err)
	}
	if _, err := e.log.ActorOf(t.Context(), "a-unknown"); !errors.Is(err, pglog.ErrNotFound) {
		t.Errorf("unknown alias: %v, want ErrNotFound", err)
	}
}

func TestOpeningsCanBeReadAndErased(t *testing.T) {
	t.Parallel()
	e := newEnv(t)
	want := []pglog.Opening{
		{Path: "decision_text", Salt: [16]byte{2}, ValueSealed: []byte("sealed")},
		{Path: "term", Salt: [16]byte{1}, ValueSealed: []byte{}},
	}
	var id uint64
	err := pgx.BeginFunc(t.Context(), e.pool, func(tx pgx.Tx) error {
		p, err := e.log.AppendTx(t.Context(), tx, body("query:1", 1))
		if err != nil {
			return err
		}
		id = p[0].EntryID()
		want[0].EntryID, want[1].EntryID = id, id
		return e.log.PutOpening(t.Context(), tx, want...)
	})
	if err != nil {
		t.Fatal(err)
	}
	got, err := e.log.Openings(t.Context(), id)
	if diff := cmp.Diff(want, got); err != nil || diff != "" {
		t.Errorf("openings (-want +got), %v:\n%s", err, diff)
	}
	if n, err := e.log.EraseOpenings(t.Context(), e.pool, id); err != nil || n != 2 {
		t.Errorf("erased %d, %v", n, err)
	}
}

func TestTrailShowsPendingThenSequencedNewestFirst(t *testing.T) {
	t.Parallel()
	e := newEnv(t)
	mine := e.append("complaint:1", 3)
	e.append("complaint:2", 2)
	e.sequenceAll()
	mine = append(mine, e.append("complaint:1", 2)...)
	trail, err := e.log.Trail(t.Context(), "complaint:1", 10)
	if err != nil {
		t.Fatal(err)
	}
	var got, want []string
	for i, r := range mine {
		state := pglog.StateSequenced
		if i >= 3 {
			state = pglog.StatePending
		}
		want = append([]string{fmt.Sprintf("%d %s", r.EntryID(), state)}, want...)
	}
	for _, x := range trail {
		got = append(got, fmt.Sprintf("%d %s", x.ID, x.State))
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("trail (-want +got):\n%s", diff)
	}
	if trail[4].TrailN != 1 || trail[3].TrailPrev != trail[4].LeafHash {
		t.Error("sequenced entries are not numbered and linked")
	}
	if few, err := e.log.Trail(t.Context(), "complaint:1", 3); err != nil || len(few) != 3 || few[0].ID != mine[4].EntryID() {
		t.Errorf("limited trail has %d entries, %v", len(few), err)
	}
}

// A batch is all or nothing: entries queued with AppendBatch are there if every other statement of the batch succeeded.
func TestAppendBatchSharesTheFateOfItsBatch(t *testing.T) {
	t.Parallel()
	e := newEnv(t)
	if err := e.admin("create schema shop", "create table shop.row (id int primary key)", "grant usage on schema shop to sealtrail_app", "grant insert on shop.row to sealtrail_app"); err != nil {
		t.Fatal(err)
	}
	send := func(id int) ([]pglog.Pending, error) {
		b := &pgx.Batch{}
		b.Queue("insert into shop.row values ($1)", id)
		q, err := e.log.AppendBatch(b, body("complaint:1", id), body("complaint:1", id+1))
		if err != nil {
			t.Fatal(err)
		}
		err = e.pool.SendBatch(t.Context(), b).Close()
		return q.Pending(), err
	}
	pending, err := send(1)
	if err != nil || len(pending) != 2 || pending[0].EntryID() == 0 || pending[1].EntryID() <= pending[0].EntryID() {
		t.Fatalf("pending %+v, %v", pending, err)
	}
	if pending, err := send(1); err == nil || len(pending) != 0 {
		t.Errorf("a batch that fails has %d pending entries, error %v", len(pending), err)
	}
	if n := e.pendingCount(); n != 2 {
		t.Errorf("%d entries, want the 2 of the batch that succeeded", n)
	}
	if _, err := e.log.AppendBatch(&pgx.Batch{}, audit.Body{}); !errors.Is(err, audit.ErrInvalid) {
		t.Errorf("an empty body: %v, want ErrInvalid", err)
	}
}
