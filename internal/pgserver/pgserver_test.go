package pgserver_test

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/sealtrail/sealtrail/internal/pgserver"
)

func start(t *testing.T, cfg pgserver.Config) *pgserver.Server {
	t.Helper()
	s, err := pgserver.Start(t.Context(), cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Stop(); err != nil {
			t.Error(err)
		}
	})
	return s
}

func connect(t *testing.T, dsn string) *pgx.Conn {
	t.Helper()
	conn, err := pgx.Connect(t.Context(), dsn)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close(context.Background()) })
	return conn
}

func show(t *testing.T, conn *pgx.Conn, name string) string {
	t.Helper()
	var v string
	if err := conn.QueryRow(t.Context(), "select current_setting($1)", name).Scan(&v); err != nil {
		t.Fatal(err)
	}
	return v
}

func TestPrivateClusterIsDurableAndPrivate(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	s := start(t, pgserver.Config{Dir: dir, Settings: map[string]string{"work_mem": "7MB"}, Log: t.Logf})
	conn := connect(t, s.AdminDSN())
	for name, want := range map[string]string{
		"fsync": "on", "full_page_writes": "on", "synchronous_commit": "on", "data_checksums": "on",
		"listen_addresses": "127.0.0.1", "work_mem": "7MB", "server_encoding": "UTF8",
	} {
		if got := show(t, conn, name); got != want {
			t.Errorf("%s = %q, want %q", name, got, want)
		}
	}
	for _, path := range []string{dir + "/superuser.password", dir + "/postgres.log"} {
		fi, err := os.Stat(path)
		if err != nil {
			t.Fatal(err)
		}
		if fi.Mode().Perm() != 0o600 {
			t.Errorf("%s has mode %v, want 0600", path, fi.Mode().Perm())
		}
	}
	wrong := s.DSN(pgserver.Superuser, "not-the-password", "postgres")
	if _, err := pgx.Connect(t.Context(), wrong); err == nil {
		t.Error("a wrong password was accepted")
	}
}

func TestCommittedRowsSurviveKillAndAReusedFolder(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	s := start(t, pgserver.Config{Dir: dir})
	conn := connect(t, s.AdminDSN())
	if _, err := conn.Exec(t.Context(), "create table kept as select 42 as n"); err != nil {
		t.Fatal(err)
	}
	addr := s.Addr()
	if err := s.Kill(); err != nil {
		t.Fatal(err)
	}
	if err := conn.Ping(t.Context()); err == nil {
		t.Error("a connection outlived Kill")
	}
	if err := s.Restart(t.Context()); err != nil {
		t.Fatal(err)
	}
	if s.Addr() != addr {
		t.Errorf("address after Restart = %s, want %s", s.Addr(), addr)
	}
	wantKept(t, s)
	if err := s.Stop(); err != nil {
		t.Fatal(err)
	}
	if err := s.Stop(); err != nil {
		t.Errorf("a second Stop: %v", err)
	}
	wantKept(t, start(t, pgserver.Config{Dir: dir}))
}

func wantKept(t *testing.T, s *pgserver.Server) {
	t.Helper()
	var n int
	if err := connect(t, s.AdminDSN()).QueryRow(t.Context(), "select n from kept").Scan(&n); err != nil || n != 42 {
		t.Errorf("kept row = %d, %v; want 42", n, err)
	}
}

func TestLongFolderStillStarts(t *testing.T) {
	t.Parallel()
	dir := filepath.Join(t.TempDir(), strings.Repeat("long-folder-name", 8))
	s := start(t, pgserver.Config{Dir: dir})
	connect(t, s.AdminDSN())
	if err := s.Stop(); err != nil {
		t.Fatal(err)
	}
	if err := s.Restart(t.Context()); err != nil {
		t.Fatal(err)
	}
	connect(t, s.AdminDSN())
}

func TestPausedClusterResumes(t *testing.T) {
	t.Parallel()
	s := start(t, pgserver.Config{Dir: t.TempDir()})
	conn := connect(t, s.AdminDSN())
	if err := s.Pause(); err != nil {
		t.Fatal(err)
	}
	// The deadline is the point: a paused server holds the call, it does not refuse it.
	ctx, cancel := context.WithTimeout(t.Context(), 300*time.Millisecond)
	defer cancel()
	if err := conn.Ping(ctx); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("ping of a paused cluster = %v, want the deadline", err)
	}
	if err := s.Resume(); err != nil {
		t.Fatal(err)
	}
	connect(t, s.AdminDSN())
}

func TestFailedStartTellsTheServersOwnWords(t *testing.T) {
	t.Parallel()
	_, err := pgserver.Start(t.Context(), pgserver.Config{Dir: t.TempDir(), Settings: map[string]string{"shared_buffers": "lots"}})
	if err == nil || !strings.Contains(err.Error(), "shared_buffers") {
		t.Errorf("error = %v, want one that names shared_buffers", err)
	}
}
