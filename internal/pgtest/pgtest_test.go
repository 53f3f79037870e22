package pgtest_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"sync/atomic"
	"testing"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"github.com/sealtrail/sealtrail/internal/pgtest"
)

func TestMain(m *testing.M) { os.Exit(pgtest.Main(m)) }

func connect(t *testing.T, dsn string) *pgx.Conn {
	t.Helper()
	conn, err := pgx.Connect(t.Context(), dsn)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close(context.Background()) })
	return conn
}

// once counts its runs and makes a table with one row.
func once(runs *atomic.Int32) pgtest.Migrate {
	return func(ctx context.Context, dsn string) error {
		runs.Add(1)
		conn, err := pgx.Connect(ctx, dsn)
		if err != nil {
			return err
		}
		defer conn.Close(ctx)
		_, err = conn.Exec(ctx, `create schema s authorization sealtrail_owner; grant usage on schema s to sealtrail_app;
			create table s.n (n int); alter table s.n owner to sealtrail_owner; insert into s.n values (1); grant select, insert on s.n to sealtrail_app`)
		return err
	}
}

func TestClonesAreMigratedOnceAndApart(t *testing.T) {
	t.Parallel()
	var runs atomic.Int32
	key := "apart-" + t.Name() + fmt.Sprint(os.Getpid())
	for i := range 6 {
		t.Run(fmt.Sprint(i), func(t *testing.T) {
			t.Parallel()
			db := pgtest.New(t, key, once(&runs))
			app := connect(t, db.App)
			var n int
			if _, err := app.Exec(t.Context(), "insert into s.n values (2)"); err != nil {
				t.Fatal(err)
			}
			if err := app.QueryRow(t.Context(), "select count(*) from s.n").Scan(&n); err != nil || n != 2 {
				t.Errorf("rows = %d, %v; want 2: the template's and this test's own", n, err)
			}
			if got := runs.Load(); got != 1 {
				t.Errorf("migrations ran %d times, want once", got)
			}
		})
	}
}

func TestServiceRoleHasNoRightItMustNotHave(t *testing.T) {
	t.Parallel()
	var runs atomic.Int32
	db := pgtest.New(t, "roles"+fmt.Sprint(os.Getpid()), once(&runs))
	app := connect(t, db.App)
	for _, sql := range []string{
		"create schema mine", "create table public.mine ()", "create temporary table mine ()", "create database mine",
		"create role mine", "set role sealtrail_owner", "set role audit_owner", "delete from s.n", "truncate s.n",
		"drop table s.n", "alter table s.n disable trigger all", "set session_replication_role = replica",
		"copy s.n to program 'cat'", "select pg_read_file('/etc/hostname')",
	} {
		_, err := app.Exec(t.Context(), sql)
		var pgErr *pgconn.PgError
		if !errors.As(err, &pgErr) || pgErr.Code != "42501" {
			t.Errorf("%s: %v, want permission denied (42501)", sql, err)
		}
	}
	for _, role := range []string{"sealtrail_owner", "audit_owner"} {
		var login bool
		if err := app.QueryRow(t.Context(), "select rolcanlogin from pg_roles where rolname = $1", role).Scan(&login); err != nil || login {
			t.Errorf("%s can log in (%v)", role, err)
		}
	}
}

func TestFailedMigrationLeavesNoTemplate(t *testing.T) {
	t.Parallel()
	c := pgtest.Cluster(t)
	broken := &recorder{TB: t}
	func() {
		defer func() { _ = recover() }()
		c.WithT(broken).New("broken", func(context.Context, string) error { return errors.New("no") })
	}()
	if !broken.failed {
		t.Fatal("a failed migration did not fail the test")
	}
	var runs atomic.Int32
	c.New("broken", once(&runs))
	if runs.Load() != 1 {
		t.Error("the half-made template was used")
	}
}

// recorder notes a Fatalf and ends the call by a panic instead of the test.
type recorder struct {
	testing.TB
	failed bool
}

func (r *recorder) Fatalf(string, ...any) { r.failed = true; panic("failed") }

func TestPrivateClusterMayBeKilled(t *testing.T) {
	t.Parallel()
	c := pgtest.Cluster(t)
	var runs atomic.Int32
	db := c.New("killed", once(&runs))
	if err := c.Kill(); err != nil {
		t.Fatal(err)
	}
	if _, err := pgx.Connect(t.Context(), db.App); err == nil {
		t.Error("connected to a killed cluster")
	}
	if err := c.Restart(t.Context()); err != nil {
		t.Fatal(err)
	}
	connect(t, db.App)
}
