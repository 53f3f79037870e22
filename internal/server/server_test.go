package server_test

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/sealtrail/sealtrail/audit/pglog"
	"github.com/sealtrail/sealtrail/internal/authn"
	"github.com/sealtrail/sealtrail/internal/custody"
	"github.com/sealtrail/sealtrail/internal/pgtest"
	"github.com/sealtrail/sealtrail/internal/server"
	"github.com/sealtrail/sealtrail/internal/store"
	"github.com/sealtrail/sealtrail/internal/telemetry"
	"github.com/sealtrail/sealtrail/internal/vaulttest"
)

func TestMain(m *testing.M) {
	code := pgtest.Main(m)
	vaulttest.Cleanup()
	os.Exit(code)
}

func migrate(ctx context.Context, dsn string) error {
	if err := pglog.Migrate(ctx, dsn); err != nil {
		return err
	}
	return store.Migrate(ctx, dsn)
}

// site is a database, a Vault and a configuration to run the service on.
type site struct {
	t   *testing.T
	db  *pgtest.DB
	cfg server.Config
	srv *server.Server // once it runs
}

func newSite(t *testing.T) *site {
	t.Helper()
	return newSiteOn(t, vaulttest.New(t))
}

func newSiteOn(t *testing.T, vault *vaulttest.Vault) *site {
	t.Helper()
	dir := t.TempDir()
	s := &site{t: t, db: pgtest.New(t, "server", migrate)}
	institution := vaulttest.Name("bank")
	role, secret := vault.Institution(institution)
	issuer, err := authn.NewDevIssuer(authn.DevConfig{})
	must(t, err)
	file := func(name, text string) string {
		path := filepath.Join(dir, name)
		must(t, os.WriteFile(path, []byte(text+"\n"), 0o600))
		return path
	}
	s.cfg = server.Config{Institution: institution, Listen: address(t), OpsListen: address(t), PoolSize: 8,
		DatabaseURLFile: file("db", s.db.App), VaultAddr: vault.Addr, VaultCACert: vault.CACert, VaultRoleFile: file("role", role),
		VaultSecret: file("secret", secret), Issuer: issuer.Issuer(), Audience: issuer.Audience(), JWKSFile: file("jwks.json", string(issuer.JWKS())),
		Published: filepath.Join(dir, "published"), LogDomain: "test.example", AdoptNorm: "2026-01-01", AcceptNode: true,
		CheckEvery: 200 * time.Millisecond, DrainWithin: time.Second}
	must(t, store.SetRequirements(t.Context(), s.db.Admin, institution, map[string]string{"undertaking_version": "1", "pass_mark": "80", "reveals_per_hour": "5"}))
	return s
}

func address(t *testing.T) string {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	must(t, err)
	defer l.Close()
	return l.Addr().String()
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// safeBuffer is a log that a test may read while it is written.
type safeBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (s *safeBuffer) Write(p []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.b.Write(p)
}

func (s *safeBuffer) String() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.b.String()
}

// run starts the service and returns when it is ready; stop ends it in order.
func (s *site) run() (logs *safeBuffer, stop func()) {
	s.t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	logs = &safeBuffer{}
	tel, err := telemetry.New(ctx, telemetry.Config{Output: logs})
	must(s.t, err)
	srv, err := server.New(ctx, s.cfg, tel)
	must(s.t, err)
	s.srv = srv
	done := make(chan error, 1)
	go func() { done <- srv.Run(ctx) }()
	var once sync.Once
	stop = func() {
		once.Do(func() {
			cancel()
			must(s.t, <-done)
			must(s.t, tel.Shutdown(context.Background()))
		})
	}
	s.t.Cleanup(stop)
	s.await("ready", func() bool { return get("http://"+s.cfg.OpsListen+"/readyz") == http.StatusOK })
	return logs, stop
}

func get(address string) int {
	res, err := http.Get(address)
	if err != nil {
		return 0
	}
	defer res.Body.Close()
	_, _ = io.Copy(io.Discard, res.Body)
	return res.StatusCode
}

func (s *site) await(what string, ok func() bool) {
	s.t.Helper()
	for began := time.Now(); !ok(); time.Sleep(20 * time.Millisecond) {
		if time.Since(began) > 20*time.Second {
			s.t.Fatalf("%s: not within 20 s", what)
		}
	}
}

// count returns how many entries of a kind the log holds.
func (s *site) count(kind string) (n int) {
	s.t.Helper()
	conn, err := pgx.Connect(s.t.Context(), s.db.Admin)
	must(s.t, err)
	defer conn.Close(context.WithoutCancel(s.t.Context()))
	must(s.t, conn.QueryRow(s.t.Context(), `select count(*) from audit.entry where convert_from(body, 'UTF8') like '%"kind":"' || $1 || '"%'`, kind).Scan(&n))
	return n
}

func TestCharterIsWrittenOncePerChange(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	for round := 1; round <= 2; round++ {
		_, stop := s.run()
		s.await("service.started", func() bool { return s.count("service.started") == round })
		stop()
		for kind, want := range map[string]int{"log.opened": 1, "bundle.activated": 1, "calendar.loaded": 1, "definitions.loaded": 2, "norm.adopted": 1} {
			if got := s.count(kind); got != want {
				t.Errorf("start %d: %d entries %s, want %d", round, got, kind, want)
			}
		}
	}
}

func TestServiceRefusesAnUnfitDatabase(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	for name, tune := range map[string]func(*server.Config){
		"single node not accepted": func(c *server.Config) { c.AcceptNode = false },
		"superuser": func(c *server.Config) {
			c.DatabaseURLFile = filepath.Join(t.TempDir(), "admin")
			must(t, os.WriteFile(c.DatabaseURLFile, []byte(s.db.Admin), 0o600))
		},
	} {
		cfg := s.cfg
		tune(&cfg)
		tel, err := telemetry.New(t.Context(), telemetry.Config{Output: io.Discard})
		must(t, err)
		srv, err := server.New(t.Context(), cfg, tel)
		must(t, err)
		ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
		if err := srv.Run(ctx); !errors.Is(err, server.ErrUnfit) {
			t.Errorf("%s: got %v, want ErrUnfit", name, err)
		}
		cancel()
	}
}

func TestPlainHTTPStaysOnLoopback(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	s.cfg.Listen = "0.0.0.0:0"
	tel, err := telemetry.New(t.Context(), telemetry.Config{Output: io.Discard})
	must(t, err)
	srv, err := server.New(t.Context(), s.cfg, tel)
	must(t, err)
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	if err := srv.Run(ctx); err == nil || !strings.Contains(err.Error(), "--tls-cert") {
		t.Errorf("got %v, want a refusal that names --tls-cert", err)
	}
}

// TestATamperedRowIsToldOnce: the running service itself notices what a
// superuser changed, alarms, and makes it an entry.
func TestATamperedRowIsToldOnce(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	logs, stop := s.run()
	s.await("trail.verified", func() bool { return s.count("trail.verified") > 0 })
	conn, err := pgx.Connect(t.Context(), s.db.Admin)
	must(t, err)
	defer conn.Close(context.WithoutCancel(t.Context()))
	must(t, pgx.BeginFunc(t.Context(), conn, func(tx pgx.Tx) error {
		for _, sql := range []string{"set local audit.migration = 'on'", "alter table audit.entry disable trigger refuse_change",
			`update audit.entry set body = convert_to(replace(convert_from(body, 'UTF8'), 'calendar.loaded', 'calendar.loadex'), 'UTF8') where convert_from(body, 'UTF8') like '%calendar.loaded%'`,
			"alter table audit.entry enable always trigger refuse_change"} {
			if _, err := tx.Exec(t.Context(), sql); err != nil {
				return err
			}
		}
		return nil
	}))
	s.await("trail.violation", func() bool { return s.count("trail.violation") > 0 })
	s.await("a second comparison", func() bool { return s.count("trail.verified") > 1 })
	stop()
	if n := s.count("trail.violation"); n != 1 {
		t.Errorf("%d violations for one change, want 1", n)
	}
	if !strings.Contains(logs.String(), "stored log differs") {
		t.Error("no alarm in the service's log")
	}
}

func TestOnceActsBesideTheService(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	founders := [2]custody.Person{{ID: "sec-a", Department: "security"}, {ID: "sec-b", Department: "security"}}
	act := func(ctx context.Context, srv *server.Server) error { return srv.Door().Found(ctx, founders) }
	must(t, server.Once(t.Context(), s.cfg, io.Discard, act))
	var conflict *custody.ConflictError
	if err := server.Once(t.Context(), s.cfg, io.Discard, act); !errors.As(err, &conflict) {
		t.Errorf("founding twice: got %v, want a conflict", err)
	}
	if n := s.count("duty.appointed"); n != 2 {
		t.Errorf("%d appointments, want 2", n)
	}
}

// TestNotReadyWhileTheLogStandsStill: entries are written, and somebody keeps
// them from getting their place in the log.
func TestNotReadyWhileTheLogStandsStill(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	s.run()
	s.await("service.started", func() bool { return s.count("service.started") == 1 })
	conn, err := pgx.Connect(t.Context(), s.db.Admin)
	must(t, err)
	defer conn.Close(context.WithoutCancel(t.Context()))
	exec := func(sql string) {
		t.Helper()
		_, err := conn.Exec(t.Context(), sql, s.cfg.Institution)
		must(t, err)
	}
	exec("select pg_advisory_lock(hashtextextended('audit.sequence ' || $1, 0))")
	exec(`with one as (
			insert into audit.entry (institution, id, body, subject, inserted_at)
			select institution, nextval('audit.entry_id'), body, subject, clock_timestamp() - interval '11 seconds'
			from audit.entry where institution = $1 limit 1 returning institution, id
		) insert into audit.pending select institution, id from one`)
	ready := func() int { return get("http://" + s.cfg.OpsListen + "/readyz") }
	// An entry of the service's own may have come just before and be the oldest:
	// then it is the one that has to wait.
	s.await("not ready", func() bool { return ready() == http.StatusServiceUnavailable })
	exec("select pg_advisory_unlock(hashtextextended('audit.sequence ' || $1, 0))")
	s.await("ready again", func() bool { return ready() == http.StatusOK })
}
