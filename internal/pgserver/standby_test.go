package pgserver_test

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/sealtrail/sealtrail/internal/pgserver"
)

// standby is a standby of s that ends with the test.
func standby(t *testing.T, s *pgserver.Server) *pgserver.Server {
	t.Helper()
	b, err := s.Standby(t.Context(), pgserver.StandbyConfig{Dir: t.TempDir(), Name: "second"})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := b.Stop(); err != nil {
			t.Error(err)
		}
	})
	return b
}

func exec(t *testing.T, conn *pgx.Conn, sql string) {
	t.Helper()
	if _, err := conn.Exec(t.Context(), sql); err != nil {
		t.Fatal(err)
	}
}

func TestAPromotedSynchronousStandbyHasEveryCommit(t *testing.T) {
	t.Parallel()
	primary := start(t, pgserver.Config{Dir: t.TempDir()})
	second := standby(t, primary)
	if err := primary.SetSynchronous(t.Context(), "second"); err != nil {
		t.Fatal(err)
	}
	conn := connect(t, primary.AdminDSN())
	exec(t, conn, "create table kept as select 42 as n")
	// With the standby stopped a commit waits, and is not called a success.
	if err := second.Pause(); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 300*time.Millisecond)
	defer cancel()
	if _, err := conn.Exec(ctx, "insert into kept values (43)"); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("a commit without its standby: %v, want the deadline", err)
	}
	if err := primary.Kill(); err != nil {
		t.Fatal(err)
	}
	if err := second.Resume(); err != nil {
		t.Fatal(err)
	}
	if err := second.Promote(t.Context()); err != nil {
		t.Fatal(err)
	}
	either := connect(t, pgserver.FailoverDSN(pgserver.Superuser, password(t, second), "postgres", primary, second))
	exec(t, either, "insert into kept values (44)")
	var n int
	if err := either.QueryRow(t.Context(), "select count(*) from kept where n in (42, 44)").Scan(&n); err != nil || n != 2 {
		t.Errorf("%d of the 2 rows that were acknowledged: %v", n, err)
	}
}

func TestADetachedStandbyLacksWhatCameAfter(t *testing.T) {
	t.Parallel()
	primary := start(t, pgserver.Config{Dir: t.TempDir()})
	conn := connect(t, primary.AdminDSN())
	exec(t, conn, "create table kept as select 42 as n")
	second := standby(t, primary)
	if err := second.Detach(t.Context()); err != nil {
		t.Fatal(err)
	}
	exec(t, conn, "insert into kept values (43)")
	if err := second.Promote(t.Context()); err != nil {
		t.Fatal(err)
	}
	wantKept(t, second)
	var n int
	if err := connect(t, second.AdminDSN()).QueryRow(t.Context(), "select count(*) from kept").Scan(&n); err != nil || n != 1 {
		t.Errorf("%d rows, %v; want the one from before", n, err)
	}
}

// password is the superuser's.
func password(t *testing.T, s *pgserver.Server) string {
	t.Helper()
	cfg, err := pgx.ParseConfig(s.AdminDSN())
	if err != nil {
		t.Fatal(err)
	}
	return cfg.Password
}
