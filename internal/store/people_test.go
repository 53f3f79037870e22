package store_test

import (
	"errors"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/jackc/pgx/v5"

	"github.com/sealtrail/sealtrail/internal/store"
)

func TestSubjectGathersWhatADecisionNeeds(t *testing.T) {
	t.Parallel()
	s, _, db := open(t)
	ctx := t.Context()
	at := time.Date(2026, 3, 4, 5, 6, 7, 0, time.UTC)
	must(t, store.SetRequirements(ctx, db.Admin, inst, map[string]string{"undertaking_version": "v1", "reveals_per_hour": "9"}))
	insert(t, s, row(1))
	must(t, s.Tx(ctx, func(tx pgx.Tx) error {
		must(t, s.InsertPerson(ctx, tx, store.Person{Institution: inst, ID: "han", Kind: "human", Department: "cards", Status: "active", StaffToken: []byte("tok")}))
		for n, role := range []string{"handler", "head", "legal", "quality"} {
			must(t, s.InsertDuty(ctx, tx, store.Duty{Institution: inst, ID: id(n), Person: "han", Role: role, Department: "cards", AppointedBy: "a",
				Level: uint8(n%3 + 1), From: at.Add(-time.Hour), Until: at.Add(time.Duration(n)*time.Hour + time.Hour)}))
		}
		must(t, s.ConfirmDuty(ctx, tx, inst, id(0), "b"))
		must(t, s.ConfirmDuty(ctx, tx, inst, id(1), "b"))
		must(t, s.EndDuty(ctx, tx, inst, id(1), at.Add(-time.Minute)))
		must(t, s.ConfirmDuty(ctx, tx, inst, id(2), "b"))
		must(t, s.InsertTraining(ctx, tx, inst, "han", "confidentiality", "t", at.Add(-time.Hour), at.Add(time.Hour), 90))
		must(t, s.InsertUndertaking(ctx, tx, inst, "han", "v1", at))
		return nil
	}))
	got, err := s.Subject(ctx, inst, "han", at)
	must(t, err)
	trained := at.Add(time.Hour)
	got.TrainedUntil = ptr(got.TrainedUntil.UTC())
	for i := range got.Duties {
		got.Duties[i].Until = got.Duties[i].Until.UTC()
	}
	want := &store.Subject{Kind: "human", Department: "cards", Status: "active", StaffToken: []byte("tok"), TrainedUntil: &trained, Undertaken: true,
		RevealsPerHour: 9, Duties: []store.DutyFact{{ID: id(0), Role: "handler", Level: 1, Department: "cards", Until: at.Add(time.Hour)},
			{ID: id(2), Role: "legal", Level: 3, Department: "cards", Until: at.Add(3 * time.Hour)}},
		Grants: []store.GrantFact{}, BreakGlass: []store.BreakGlassFact{}}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("subject (-want +got):\n%s", diff)
	}
	later, err := s.Subject(ctx, inst, "han", at.Add(2*time.Hour))
	must(t, err)
	if len(later.Duties) != 1 || later.Duties[0].Role != "legal" {
		t.Errorf("two hours later the duties are %+v, want legal only", later.Duties)
	}
}

func ptr[T any](v T) *T { return &v }

func TestTwoPersonsAreADatabaseRule(t *testing.T) {
	t.Parallel()
	s, _, _ := open(t)
	ctx := t.Context()
	must(t, s.Tx(ctx, func(tx pgx.Tx) error {
		must(t, s.InsertPerson(ctx, tx, store.Person{Institution: inst, ID: "han", Kind: "human", Status: "active"}))
		return s.InsertDuty(ctx, tx, store.Duty{Institution: inst, ID: id(1), Person: "han", Role: "handler", AppointedBy: "a", Level: 1, From: time.Now(), Until: time.Now().Add(time.Hour)})
	}))
	if err := s.Tx(ctx, func(tx pgx.Tx) error { return s.ConfirmDuty(ctx, tx, inst, id(1), "a") }); err == nil {
		t.Error("whoever appointed also confirmed")
	}
	must(t, s.Tx(ctx, func(tx pgx.Tx) error { return s.ConfirmDuty(ctx, tx, inst, id(1), "b") }))
	if err := s.Tx(ctx, func(tx pgx.Tx) error { return s.ConfirmDuty(ctx, tx, inst, id(1), "c") }); !errors.Is(err, store.ErrNotFound) {
		t.Errorf("confirming twice: %v, want ErrNotFound", err)
	}
}

func TestBreakGlassExpiresOnceAndNarrowsItsOwner(t *testing.T) {
	t.Parallel()
	s, _, _ := open(t)
	ctx := t.Context()
	insert(t, s, row(1))
	at := time.Now().UTC().Truncate(time.Microsecond)
	b := store.BreakGlass{Institution: inst, ID: id(9), Complaint: id(1), Person: "han", Ticket: "T-1", ReasonSealed: []byte("x"), OpenedAt: at, Until: at.Add(time.Minute)}
	must(t, s.Tx(ctx, func(tx pgx.Tx) error {
		must(t, s.InsertPerson(ctx, tx, store.Person{Institution: inst, ID: "han", Kind: "human", Status: "active"}))
		return s.InsertBreakGlass(ctx, tx, b)
	}))
	open, err := s.Subject(ctx, inst, "han", at)
	must(t, err)
	if len(open.BreakGlass) != 1 || open.ReviewOverdue {
		t.Errorf("just opened: %+v", open)
	}
	expire := func(at time.Time) (n int) {
		must(t, s.Tx(ctx, func(tx pgx.Tx) error {
			list, err := s.ExpireBreakGlass(ctx, tx, inst, at)
			n = len(list)
			return err
		}))
		return n
	}
	if n := expire(at); n != 0 {
		t.Errorf("%d expired at once", n)
	}
	if first, second := expire(at.Add(time.Minute)), expire(at.Add(time.Hour)); first != 1 || second != 0 {
		t.Errorf("expired %d, then %d, want 1, then 0", first, second)
	}
	for after, want := range map[time.Duration]bool{24 * time.Hour: false, 25 * time.Hour: true} {
		later, err := s.Subject(ctx, inst, "han", at.Add(after))
		must(t, err)
		if later.ReviewOverdue != want || len(later.BreakGlass) != 0 {
			t.Errorf("%s later: overdue %v, want %v", after, later.ReviewOverdue, want)
		}
	}
	closed, err := s.BreakGlass(ctx, inst, id(9))
	must(t, err)
	closed.Reviewer, closed.ReviewedAt, closed.Justified = ptr("cora"), ptr(at.Add(2*time.Minute)), ptr(true)
	must(t, s.Tx(ctx, func(tx pgx.Tx) error { return s.SetBreakGlass(ctx, tx, closed) }))
	later, err := s.Subject(ctx, inst, "han", at.Add(30*time.Hour))
	must(t, err)
	if later.ReviewOverdue {
		t.Error("still overdue after the review")
	}
}

func TestGrantLivesFromIssueToEnd(t *testing.T) {
	t.Parallel()
	s, _, _ := open(t)
	ctx := t.Context()
	insert(t, s, row(1))
	at := time.Now().UTC().Truncate(time.Microsecond)
	must(t, s.Tx(ctx, func(tx pgx.Tx) error {
		must(t, s.InsertPerson(ctx, tx, store.Person{Institution: inst, ID: "han", Kind: "human", Status: "active"}))
		return s.InsertGrant(ctx, tx, store.Grant{Institution: inst, ID: id(5), Complaint: id(1), Requester: "han", Purpose: "handle",
			Groups: []string{"identity"}, Minutes: 5, ReasonSealed: []byte("x"), RequestedAt: at})
	}))
	active := func(at time.Time) int {
		subject, err := s.Subject(ctx, inst, "han", at)
		must(t, err)
		return len(subject.Grants)
	}
	if active(at) != 0 {
		t.Error("a request is already a grant")
	}
	must(t, s.Tx(ctx, func(tx pgx.Tx) error {
		g, err := s.LockGrant(ctx, tx, inst, id(5))
		must(t, err)
		g.State, g.Reviewer, g.From, g.Until = "issued", ptr("hedda"), &at, ptr(at.Add(5*time.Minute))
		return s.SetGrant(ctx, tx, g)
	}))
	if active(at) != 1 || active(at.Add(5*time.Minute)) != 0 {
		t.Error("a grant lives from its issue to its end, exclusive")
	}
	if _, err := s.Grant(ctx, "other", id(5)); !errors.Is(err, store.ErrNotFound) {
		t.Errorf("another institution's grant: %v, want ErrNotFound", err)
	}
}

func TestIdempotencyKeyIsUsedOnce(t *testing.T) {
	t.Parallel()
	s, _, _ := open(t)
	ctx := t.Context()
	use := store.Idempotency{Institution: inst, Principal: "ivy", Route: "create", KeyHMAC: []byte("k"), RequestHMAC: []byte("r"), Status: 201, Resource: id(1)}
	if found, err := s.FindIdempotent(ctx, use); err != nil || found != nil {
		t.Fatalf("an unused key is found: %v, %v", found, err)
	}
	must(t, s.InsertOne(ctx, row(1), &use, nil))
	if err := s.InsertOne(ctx, row(2), &use, nil); !errors.Is(err, store.ErrDuplicate) {
		t.Errorf("second use: %v, want ErrDuplicate", err)
	}
	if got, err := s.Load(ctx, inst, id(2), "x", time.Now()); err != nil || got.Complaint != nil || got.Key != nil {
		t.Errorf("a refused key leaves a row or a key behind: %+v, %v", got, err)
	}
	found, err := s.FindIdempotent(ctx, use)
	must(t, err)
	if diff := cmp.Diff(&use, found); diff != "" {
		t.Error(diff)
	}
}

// What a process remembers of a person is confirmed by the register's epoch:
// every change of the register is seen by the very next question, and so is
// every instant at which an appointment begins or ends.
func TestRememberedFactsAreNeverStale(t *testing.T) {
	t.Parallel()
	s, pool, _ := open(t)
	other := store.New(pool) // another process: it changes, s remembers
	ctx := t.Context()
	insert(t, s, row(1))
	at := time.Now().UTC().Truncate(time.Microsecond)
	change := func(f func(tx pgx.Tx) error) { t.Helper(); must(t, other.Tx(ctx, f)) }
	change(func(tx pgx.Tx) error {
		must(t, other.InsertPerson(ctx, tx, store.Person{Institution: inst, ID: "han", Kind: "human", Status: "active"}))
		return other.InsertDuty(ctx, tx, store.Duty{Institution: inst, ID: id(1), Person: "han", Role: "handler", AppointedBy: "a", Level: 1,
			From: at.Add(time.Second), Until: at.Add(3 * time.Second)})
	})
	both := func(at time.Time) *store.Subject {
		t.Helper()
		loaded, err := s.Load(ctx, inst, id(1), "han", at)
		must(t, err)
		subject, err := s.Subject(ctx, inst, "han", at)
		must(t, err)
		if diff := cmp.Diff(loaded.Subject, subject); diff != "" {
			t.Fatalf("Load and Subject disagree:\n%s", diff)
		}
		return subject
	}
	duties := func(seconds int) int {
		t.Helper()
		return len(both(at.Add(time.Duration(seconds) * time.Second)).Duties)
	}
	if duties(0)+duties(2) != 0 {
		t.Error("an appointment counts before somebody confirmed it")
	}
	change(func(tx pgx.Tx) error { return other.ConfirmDuty(ctx, tx, inst, id(1), "b") })
	for seconds, want := range []int{0, 1, 1, 0, 0} {
		if got := duties(seconds); got != want {
			t.Errorf("%d s in, %d duties, want %d", seconds, got, want)
		}
	}
	if first, again := both(at), both(at); first != again {
		t.Error("nothing changed, and nothing was remembered")
	}
	change(func(tx pgx.Tx) error { return other.InsertUndertaking(ctx, tx, inst, "han", "v1", at) })
	change(func(tx pgx.Tx) error {
		return other.InsertTraining(ctx, tx, inst, "han", "confidentiality", "t", at, at.Add(time.Hour), 90)
	})
	if both(at).TrainedUntil == nil {
		t.Error("a training is not seen")
	}
	change(func(tx pgx.Tx) error { return other.SetPersonStatus(ctx, tx, inst, "han", "left") })
	if got := both(at).Status; got != "left" {
		t.Errorf("whoever left is %s", got)
	}
	if unknown, err := s.Load(ctx, inst, id(404), "han", at); err != nil || unknown.Complaint != nil || unknown.Subject == nil {
		t.Errorf("unknown complaint: %+v, %v", unknown, err)
	}
	if nobody, err := s.Subject(ctx, inst, "nobody", at); err != nil || nobody != nil {
		t.Errorf("unknown person: %+v, %v", nobody, err)
	}
}
