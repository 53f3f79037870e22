package store_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/sealtrail/sealtrail/audit/pglog"
	"github.com/sealtrail/sealtrail/internal/complaint"
	"github.com/sealtrail/sealtrail/internal/pgtest"
	"github.com/sealtrail/sealtrail/internal/store"
)

func TestMain(m *testing.M) { os.Exit(pgtest.Main(m)) }

func migrate(ctx context.Context, dsn string) error {
	if err := pglog.Migrate(ctx, dsn); err != nil {
		return err
	}
	return store.Migrate(ctx, dsn)
}

const inst = "bank"

// open gives a store that connects as the service does, with its rights only.
func open(t *testing.T) (*store.Store, *pgxpool.Pool, *pgtest.DB) {
	t.Helper()
	db := pgtest.New(t, "store", migrate)
	pool, err := pgxpool.New(t.Context(), db.App)
	must(t, err)
	t.Cleanup(pool.Close)
	return store.New(pool), pool, db
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func id(n int) string { return fmt.Sprintf("00000000-0000-4000-8000-%012d", n) }

// row is a complaint in which no two columns hold the same value, so that
// exchanged columns are noticed.
func row(n int) *store.NewComplaint {
	at := time.Date(2026, 1, 2, 3, 4, 5, 678000, time.UTC).Add(time.Duration(n) * time.Hour)
	until := at.AddDate(3, 0, 0)
	c := &store.NewComplaint{Complaint: store.Complaint{
		Institution: inst, ID: id(n), Revision: 1, SchemaVersion: 2, Generation: 3, ComplaintNo: fmt.Sprint("no-", n), Source: "src",
		SourceID: fmt.Sprint("sid-", n), Channel: "channel", ReceivedAt: at, ReceivedEvidence: "evidence", RecordedAt: at.Add(time.Minute),
		State: "recorded", Stage: "open", Sensitivity: "ordinary", Level: "general", Type: "type", BusinessCode: "business", ProductCode: "product",
		ReasonCode: "reason", Branch: "branch", Department: "department", Assignee: "assignee", PartyType: "party", IDType: "idtype",
		ThirdParty: "third", RegulatorRef: "ref", Referral: "referral", GroupFlag: true, AmountBand: "band", Holds: []string{"h1"},
		RetentionUntil: &until, Milestones: map[string]time.Time{"complaint.recorded": at}, Performers: map[string]string{"accept": "p"},
		ExtensionDays: map[string]int{"L-15": 15}, UnderReview: true, EarlierHandlers: []string{"e1", "e2"},
		RespondentTokens: [][]byte{{1}, {2}}, DataSubjectToken: []byte{3}, DueAt: at.AddDate(0, 0, 15), DueClock: "L-15", DueProvisional: true,
		Manifest: []byte("manifest"), Suite: 2, Files: []complaint.File{{ID: "f", Field: "attachments", Generation: 1, MediaType: "image/png", Size: 7, SHA256: "00"}},
		ErasedGroups: []string{"feedback"}, RestrictedFrom: "closed", RetentionReason: "complaint_3y", Sealed: make([][]byte, len(store.SealedFields)),
	}, Key: store.Wrapped{Blob: "vault:v1:x", Commitment: bytes.Repeat([]byte{9}, 32), Version: 1},
		Tokens: []store.Token{{Field: "phone", Epoch: 1, Token: []byte("tok")}, {Field: "id_number", Epoch: 1, Token: []byte("subject")}}}
	for i := range c.Sealed {
		c.Sealed[i] = []byte(fmt.Sprintf("sealed %d of %d", i, n))
	}
	c.Sealed[1] = nil // nothing stored
	return c
}

func insert(t *testing.T, s *store.Store, rows ...*store.NewComplaint) {
	t.Helper()
	if len(rows) == 1 {
		must(t, s.InsertOne(t.Context(), rows[0], nil, nil))
		return
	}
	must(t, s.Tx(t.Context(), func(tx pgx.Tx) error { return s.InsertMany(t.Context(), tx, rows) }))
}

func TestComplaintComesBackAsItWent(t *testing.T) {
	t.Parallel()
	s, _, _ := open(t)
	one, two, three := row(1), row(2), row(3)
	insert(t, s, one)
	insert(t, s, two, three)
	for _, want := range []*store.NewComplaint{one, two, three} {
		got, err := s.Load(t.Context(), inst, want.ID, "nobody", time.Now())
		must(t, err)
		if diff := cmp.Diff(&want.Complaint, got.Complaint); diff != "" {
			t.Errorf("complaint (-want +got):\n%s", diff)
		}
		if diff := cmp.Diff(&want.Key, got.Key); diff != "" {
			t.Errorf("key (-want +got):\n%s", diff)
		}
		if got.Subject != nil {
			t.Error("somebody unknown has a subject")
		}
	}
	got, err := s.Load(t.Context(), "other", one.ID, "nobody", time.Now())
	must(t, err)
	if got.Complaint != nil || got.Key != nil {
		t.Error("another institution sees the row")
	}
}

func TestDuplicateSourceIsRefusedWhole(t *testing.T) {
	t.Parallel()
	s, _, _ := open(t)
	insert(t, s, row(1))
	again := row(2)
	again.SourceID = row(1).SourceID
	err := s.Tx(t.Context(), func(tx pgx.Tx) error { return s.InsertMany(t.Context(), tx, []*store.NewComplaint{row(3), again}) })
	if !errors.Is(err, store.ErrDuplicate) || !strings.Contains(err.Error(), "complaint_source_key") {
		t.Fatalf("got %v, want ErrDuplicate by constraint", err)
	}
	got, err := s.Load(t.Context(), inst, id(3), "x", time.Now())
	must(t, err)
	if got.Complaint != nil {
		t.Error("half a batch was stored")
	}
	found, err := s.BySource(t.Context(), inst, "src", []string{"sid-1", "sid-9"})
	must(t, err)
	if diff := cmp.Diff(map[string]string{"sid-1": id(1)}, found); diff != "" {
		t.Error(diff)
	}
}

func TestUpdateNeedsTheRevisionThatWasSeen(t *testing.T) {
	t.Parallel()
	s, _, _ := open(t)
	c := row(1)
	insert(t, s, c)
	next := c.Complaint
	next.Revision, next.State, next.Sealed = 2, "accepted", slices.Clone(c.Sealed)
	next.Sealed[5] = []byte("new phone")
	update := func(was uint64) error {
		return s.Tx(t.Context(), func(tx pgx.Tx) error {
			return s.Update(t.Context(), tx, &next, was, []string{"phone"}, []store.Token{{Field: "phone", Epoch: 1, Token: []byte("new")}})
		})
	}
	must(t, update(1))
	if err := update(1); !errors.Is(err, store.ErrStale) {
		t.Errorf("second update of revision 1: %v, want ErrStale", err)
	}
	for token, want := range map[string]int{"tok": 0, "new": 1, "subject": 0} {
		found, err := s.FindByToken(t.Context(), inst, store.Token{Field: "phone", Epoch: 1, Token: []byte(token)}, 10)
		must(t, err)
		if len(found) != want {
			t.Errorf("token %s: %d hits, want %d", token, len(found), want)
		}
	}
	found, err := s.FindByToken(t.Context(), inst, store.Token{Field: "phone", Epoch: 1, Token: []byte("new")}, 10)
	must(t, err)
	if diff := cmp.Diff(&next, found[0].Complaint); diff != "" || found[0].Key == nil {
		t.Errorf("found (-want +got):\n%s", diff)
	}
}

func TestListIsByDueDateAndPages(t *testing.T) {
	t.Parallel()
	s, _, _ := open(t)
	var rows []*store.NewComplaint
	for n := range 7 {
		c := row(n)
		c.DueAt = time.Date(2026, 2, 1+n/2, 0, 0, 0, 0, time.UTC)
		c.Assignee = fmt.Sprint("person", n%2)
		rows = append(rows, c)
	}
	insert(t, s, rows...)
	var seen []string
	f := store.Filter{Limit: 3}
	for {
		page, err := s.List(t.Context(), inst, f)
		must(t, err)
		for _, c := range page {
			seen = append(seen, c.ID)
			if c.Sealed != nil {
				t.Error("a list carries sealed columns")
			}
			f.AfterDue, f.AfterID = c.DueAt, c.ID
		}
		if len(page) < 3 {
			break
		}
	}
	if len(seen) != 7 || !slices.IsSorted(seen) {
		t.Errorf("pages hold %v", seen)
	}
	mine, err := s.List(t.Context(), inst, store.Filter{Limit: 50, Assignee: "person1", DueBefore: time.Date(2026, 2, 3, 0, 0, 0, 0, time.UTC)})
	must(t, err)
	if len(mine) != 2 {
		t.Errorf("filtered list has %d rows, want 2", len(mine))
	}
}

func TestEarlierByTokenLooksBack(t *testing.T) {
	t.Parallel()
	s, _, _ := open(t)
	insert(t, s, row(1))
	subject := store.Token{Field: "id_number", Epoch: 1, Token: []byte("subject")}
	other, later := subject, subject
	other.Token, later.Epoch = []byte("other"), 2
	found, err := s.EarlierByToken(t.Context(), inst, []store.Token{subject, other, later}, row(1).ReceivedAt.Add(-time.Hour))
	must(t, err)
	if len(found) != 1 || found[0].BusinessCode != "business" || !found[0].ReceivedAt.Equal(row(1).ReceivedAt) {
		t.Errorf("found %+v", found)
	}
	found, err = s.EarlierByToken(t.Context(), inst, []store.Token{subject}, row(1).ReceivedAt.Add(time.Hour))
	must(t, err)
	if len(found) != 0 {
		t.Errorf("found %d outside the window", len(found))
	}
}

// TestCatalogueAndColumnsAgree fails when a field is added in one place only.
func TestCatalogueAndColumnsAgree(t *testing.T) {
	t.Parallel()
	_, pool, _ := open(t)
	var want []string
	for _, f := range complaint.SealedFields() {
		want = append(want, f.Name)
	}
	have := slices.Clone(store.SealedFields)
	slices.Sort(want)
	slices.Sort(have)
	if diff := cmp.Diff(want, have); diff != "" {
		t.Errorf("catalogue and store.SealedFields (-catalogue +store):\n%s", diff)
	}
	rows, err := pool.Query(t.Context(), `select replace(column_name, '_sealed', '') from information_schema.columns
		where table_schema = 'sealtrail' and table_name = 'complaint' and column_name like '%\_sealed' order by 1`)
	must(t, err)
	columns, err := pgx.CollectRows(rows, pgx.RowTo[string])
	must(t, err)
	if diff := cmp.Diff(want, columns); diff != "" {
		t.Errorf("catalogue and table (-catalogue +table):\n%s", diff)
	}
}

// TestEveryKeyStartsWithInstitution holds contracts.md 3.
func TestEveryKeyStartsWithInstitution(t *testing.T) {
	t.Parallel()
	_, _, db := open(t)
	conn, err := pgx.Connect(t.Context(), db.Admin)
	must(t, err)
	defer conn.Close(context.WithoutCancel(t.Context()))
	rows, err := conn.Query(t.Context(), `select c.conrelid::regclass || '.' || c.conname from pg_constraint c
		join pg_attribute a on a.attrelid = c.conrelid and a.attnum = c.conkey[1]
		where c.contype in ('p', 'u', 'f') and a.attname <> 'institution' and c.connamespace::regnamespace::text in ('sealtrail', 'keys', 'people')`)
	must(t, err)
	wrong, err := pgx.CollectRows(rows, pgx.RowTo[string])
	must(t, err)
	if len(wrong) > 0 {
		t.Errorf("keys that do not start with institution: %v", wrong)
	}
}

func TestServiceCannotDelete(t *testing.T) {
	t.Parallel()
	_, pool, _ := open(t)
	for _, sql := range []string{
		"delete from sealtrail.complaint", "truncate sealtrail.complaint", "update keys.wrapped set wrapped = ''", "delete from keys.wrapped",
		"delete from people.duty", "update people.training set score = 100", "delete from people.undertaking", "update people.requirement set value = '0'",
		"update sealtrail.blind_index set token = ''", "delete from people.break_glass", "drop table sealtrail.complaint",
	} {
		if _, err := pool.Exec(t.Context(), sql); err == nil || !strings.Contains(err.Error(), "42501") {
			t.Errorf("%s: %v, want insufficient privilege", sql, err)
		}
	}
}

func TestBudgetIsRightUnderConcurrency(t *testing.T) {
	t.Parallel()
	s, _, _ := open(t)
	const limit, callers = 7, 40
	at := time.Now()
	var granted atomic.Int64
	var wait sync.WaitGroup
	for range callers {
		wait.Go(func() {
			ok, err := s.SpendReveal(t.Context(), inst, "han", at, limit)
			if err != nil {
				t.Error(err)
			}
			if ok {
				granted.Add(1)
			}
		})
	}
	wait.Wait()
	if granted.Load() != limit {
		t.Errorf("%d reveals granted, want %d", granted.Load(), limit)
	}
	if ok, err := s.SpendReveal(t.Context(), inst, "han", at.Add(time.Hour), limit); err != nil || !ok {
		t.Errorf("the next hour has no budget: %v", err)
	}
	if ok, err := s.SpendReveal(t.Context(), inst, "han", at, 0); err != nil || ok {
		t.Error("a budget of zero grants a reveal")
	}
}

func TestErrorsHoldNoValues(t *testing.T) {
	t.Parallel()
	s, _, _ := open(t)
	insert(t, s, row(1))
	secret := row(1)
	secret.ID, secret.ComplaintNo = id(2), "marker-in-the-row"
	err := s.InsertOne(t.Context(), secret, nil, nil)
	if err == nil || strings.Contains(err.Error(), "marker") || strings.Contains(err.Error(), "sid-1") {
		t.Errorf("got %v, want an error without values", err)
	}
}

func TestUnreachableDatabaseIsUnavailable(t *testing.T) {
	t.Parallel()
	pool, err := pgxpool.New(t.Context(), "postgres://nobody:x@127.0.0.1:1/none?connect_timeout=1")
	must(t, err)
	defer pool.Close()
	if _, err := store.New(pool).Subject(t.Context(), inst, "han", time.Now()); !errors.Is(err, store.ErrUnavailable) {
		t.Errorf("got %v, want ErrUnavailable", err)
	}
}
