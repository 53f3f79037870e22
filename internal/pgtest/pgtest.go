// Package pgtest gives each test a PostgreSQL database of its own.
//
// One idea: migrations run once into a template database; a test gets a clone
// of it in some 50 ms, so tests run in parallel and none sees another's rows.
// The cluster is one for the whole run (internal/testrun sets
// SEALTRAIL_TEST_PG_DSN) or, under a plain `go test`, one per test process.
//
// It must never know a migration: the caller hands one in.
package pgtest

import (
	"context"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"net/url"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	postgresdeploy "github.com/sealtrail/sealtrail/deploy/postgres"
	"github.com/sealtrail/sealtrail/internal/pgserver"
	"github.com/sealtrail/sealtrail/internal/scratch"
)

// EnvDSN names a shared cluster for tests: the superuser's URL. Only
// internal/testrun sets it; never point it at a database that matters.
const EnvDSN = "SEALTRAIL_TEST_PG_DSN"

// Migrate brings the database at adminDSN to the newest schema. The DSN is the
// superuser's, so that event triggers can be made.
type Migrate func(ctx context.Context, adminDSN string) error

// DB is one test's database, dropped when the test ends.
type DB struct {
	// Admin is the superuser's URL, App the service's (role sealtrail_app).
	Admin, App string
	// Name is the database's name.
	Name string
}

// lockKey serialises making roles and templates across processes.
const lockKey = 0x5ea17ea1

// Settings are the server parameters of test clusters: many tests, many pools.
func Settings() map[string]string {
	return map[string]string{"max_connections": "400", "shared_buffers": "256MB"}
}

// New returns a fresh clone of the template that migrate makes. key names the
// template: one key MUST always go with the same migrations. The test is
// skipped on nothing: without PostgreSQL it fails and says what to install.
func New(t testing.TB, key string, migrate Migrate) *DB {
	t.Helper()
	admin, err := shared()
	if err != nil {
		t.Fatalf("test database: %v", err)
	}
	return clone(t, admin, key, migrate)
}

func clone(t testing.TB, admin, key string, migrate Migrate) *DB {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 2*time.Minute)
	defer cancel()
	template, err := ensureTemplate(ctx, admin, key, migrate)
	if err != nil {
		t.Fatalf("test database %q: %v", key, err)
	}
	name := "t_" + strings.ToLower(rand.Text()[:16])
	if err := exec(ctx, admin, "create database "+ident(name)+" template "+ident(template)); err != nil {
		t.Fatalf("cloning test database %q: %v", key, err)
	}
	t.Cleanup(func() { drop(t, admin, name) })
	// Rights on a database are not copied with its template.
	own := onDatabase(admin, name)
	if err := exec(ctx, own, postgresdeploy.Grants()); err != nil {
		t.Fatalf("granting on test database %q: %v", key, err)
	}
	return &DB{Name: name, Admin: own, App: asApp(own)}
}

// drop forgives a cluster that the test itself killed.
func drop(t testing.TB, admin, name string) {
	ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
	defer cancel()
	err := exec(ctx, admin, "drop database if exists "+ident(name)+" with (force)")
	var away *pgconn.ConnectError
	if err != nil && !errors.As(err, &away) {
		t.Errorf("dropping test database: %v", err)
	}
}

// Private is a cluster for one test alone, which may be killed and restarted.
type Private struct {
	*pgserver.Server
	t testing.TB
}

// Cluster starts a private cluster with roles for a test that kills, pauses or
// fills it. It is stopped and removed when the test ends.
func Cluster(t testing.TB) *Private {
	t.Helper()
	dir, err := scratch.New("pg")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := dir.Remove(); err != nil {
			t.Error(err)
		}
	})
	s, err := pgserver.Start(context.Background(), pgserver.Config{Dir: dir.Path, Settings: Settings(), Log: t.Logf})
	if err != nil {
		t.Fatalf("private cluster: %v", err)
	}
	t.Cleanup(func() {
		if err := s.Stop(); err != nil {
			t.Error(err)
		}
	})
	if err := PrepareCluster(context.Background(), s.AdminDSN()); err != nil {
		t.Fatal(err)
	}
	return &Private{Server: s, t: t}
}

// New is like the package's New, on this cluster.
func (p *Private) New(key string, migrate Migrate) *DB {
	p.t.Helper()
	return clone(p.t, p.AdminDSN(), key, migrate)
}

// WithT is the same cluster for another test, such as a subtest, whose end
// drops the databases made through it.
func (p *Private) WithT(t testing.TB) *Private { return &Private{Server: p.Server, t: t} }

// process is the cluster of this test process. It is never stopped by hand:
// the kernel stops it when the process ends, and the next one sweeps its
// folder (package scratch). Main does both at once.
var process struct {
	once   sync.Once
	server *pgserver.Server
	dir    *scratch.Dir
	err    error
}

// shared is the superuser's URL of the run's or the process's cluster.
func shared() (string, error) {
	if dsn := os.Getenv(EnvDSN); dsn != "" {
		return dsn, nil
	}
	process.once.Do(func() { process.err = startProcessCluster() })
	if process.err != nil {
		return "", process.err
	}
	return process.server.AdminDSN(), nil
}

func startProcessCluster() (err error) {
	if process.dir, err = scratch.New("pg"); err != nil {
		return err
	}
	ctx := context.Background()
	cfg := pgserver.Config{Dir: process.dir.Path, Settings: Settings()}
	if process.server, err = pgserver.Start(ctx, cfg); err != nil {
		return err
	}
	return PrepareCluster(ctx, process.server.AdminDSN())
}

// Main runs a package's tests and then stops the process's cluster at once:
//
//	func TestMain(m *testing.M) { os.Exit(pgtest.Main(m)) }
//
// It is optional; without it the cluster ends with the process all the same.
func Main(m *testing.M) int {
	code := m.Run()
	if process.server != nil {
		_ = process.server.Kill() // nothing in it is to be kept
	}
	if process.dir != nil {
		_ = process.dir.Remove()
	}
	return code
}

// PrepareCluster makes the roles of deploy/postgres/roles.sql and gives
// sealtrail_app its password for tests.
func PrepareCluster(ctx context.Context, admin string) error {
	script := postgresdeploy.Roles() + "\nalter role " + postgresdeploy.AppRole + " password '" + appPassword(admin) + "'"
	return locked(ctx, admin, func(conn *pgx.Conn) error {
		_, err := conn.Exec(ctx, script)
		return err
	})
}

// ensureTemplate migrates into a database of another name and renames it when
// it is whole: a process killed in between leaves nothing that a test would
// take for a template.
func ensureTemplate(ctx context.Context, admin, key string, migrate Migrate) (string, error) {
	sum := sha256.Sum256([]byte(key))
	name := "tpl_" + hex.EncodeToString(sum[:8])
	if _, done := known.Load(admin + "\x00" + name); done {
		return name, nil
	}
	err := locked(ctx, admin, func(conn *pgx.Conn) error {
		var exists bool
		if err := conn.QueryRow(ctx, "select exists (select from pg_database where datname = $1)", name).Scan(&exists); err != nil || exists {
			return err
		}
		return buildTemplate(ctx, conn, admin, name, migrate)
	})
	if err == nil {
		known.Store(admin+"\x00"+name, true)
	}
	return name, err
}

// known holds the templates that this process has seen, by cluster and name.
var known sync.Map

func buildTemplate(ctx context.Context, conn *pgx.Conn, admin, name string, migrate Migrate) error {
	draft := name + "_draft"
	for _, sql := range []string{"drop database if exists " + ident(draft) + " with (force)", "create database " + ident(draft)} {
		if _, err := conn.Exec(ctx, sql); err != nil {
			return err
		}
	}
	if migrate != nil {
		if err := migrate(ctx, onDatabase(admin, draft)); err != nil {
			return fmt.Errorf("migrating: %w", err)
		}
	}
	for _, sql := range []string{
		"select pg_terminate_backend(pid) from pg_stat_activity where datname = '" + draft + "'",
		"alter database " + ident(draft) + " rename to " + ident(name),
		// A connection to a template would make cloning fail.
		"alter database " + ident(name) + " allow_connections false",
	} {
		if _, err := conn.Exec(ctx, sql); err != nil {
			return err
		}
	}
	return nil
}

// locked runs fn under the cluster-wide lock; the lock ends with the connection.
func locked(ctx context.Context, admin string, fn func(*pgx.Conn) error) error {
	conn, err := pgx.Connect(ctx, admin)
	if err != nil {
		return err
	}
	defer conn.Close(context.WithoutCancel(ctx))
	if _, err := conn.Exec(ctx, "select pg_advisory_lock($1)", int64(lockKey)); err != nil {
		return err
	}
	return fn(conn)
}

func exec(ctx context.Context, dsn, sql string) error {
	conn, err := pgx.Connect(ctx, dsn)
	if err != nil {
		return err
	}
	defer conn.Close(context.WithoutCancel(ctx))
	_, err = conn.Exec(ctx, sql)
	return err
}

func ident(name string) string { return pgx.Identifier{name}.Sanitize() }

func onDatabase(dsn, name string) string {
	u, err := url.Parse(dsn)
	if err != nil {
		return dsn // the connection will say what is wrong with it
	}
	u.Path = "/" + name
	return u.String()
}

// asApp is the same database for the service's role.
func asApp(dsn string) string {
	u, err := url.Parse(dsn)
	if err != nil {
		return dsn
	}
	u.User = url.UserPassword(postgresdeploy.AppRole, appPassword(dsn))
	return u.String()
}

// appPassword follows from the superuser's, so that every process of a run
// knows it without being told.
func appPassword(admin string) string {
	u, err := url.Parse(admin)
	if err != nil || u.User == nil {
		return ""
	}
	secret, _ := u.User.Password()
	mac := hmac.New(sha256.New, []byte(secret))
	mac.Write([]byte(postgresdeploy.AppRole))
	return hex.EncodeToString(mac.Sum(nil)[:16])
}
