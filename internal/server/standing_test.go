package server_test

import (
	"context"
	"errors"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/sealtrail/sealtrail/internal/pgtest"
	"github.com/sealtrail/sealtrail/internal/server"
	"github.com/sealtrail/sealtrail/internal/telemetry"
)

// TestAServiceOnAnOlderDatabaseTakesNothing: the published log stays, the
// database is one that knows nothing of it. The service stays up and says so;
// it writes no entry, opens no log, gives no index and signs nothing, and an
// operator's command beside it does not either.
func TestAServiceOnAnOlderDatabaseTakesNothing(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	_, stop := s.run()
	s.await("service.started", func() bool { return s.count("service.started") == 1 })
	s.await("a checkpoint", func() bool { _, err := os.Stat(s.logFolder() + "/checkpoint"); return err == nil })
	stop()
	signed := s.signedSizes()

	s.db = pgtest.New(t, "server", migrate)
	must(t, os.WriteFile(s.cfg.DatabaseURLFile, []byte(s.db.App), 0o600))
	ctx, cancel := context.WithCancel(t.Context())
	logs := &safeBuffer{}
	tel, err := telemetry.New(ctx, telemetry.Config{Output: logs})
	must(t, err)
	srv, err := server.New(ctx, s.cfg, tel)
	must(t, err)
	done := make(chan error, 1)
	go func() { done <- srv.Run(ctx) }()
	const alarm = "database is not what was published: nothing is taken or signed; see sealtraild trail rebuild"
	s.await("the alarm", func() bool { return strings.Contains(logs.String(), alarm) })
	s.await("readyz to answer 503", func() bool { return get("http://"+s.cfg.OpsListen+"/readyz") == http.StatusServiceUnavailable })
	if code := get("http://" + s.cfg.OpsListen + "/livez"); code != http.StatusOK {
		t.Errorf("livez answers %d, want 200: it must not be restarted", code)
	}
	act := func(ctx context.Context, srv *server.Server) error { t.Error("the command acted"); return nil }
	if err := server.Once(t.Context(), s.cfg, io.Discard, act); !errors.Is(err, server.ErrStanding) {
		t.Errorf("Once: %v, want ErrStanding", err)
	}
	began := time.Now() // charter, outages, intake and others want to write each second or more often
	s.await("two more comparisons", func() bool { return time.Since(began) > 5*time.Second })
	cancel()
	must(t, <-done)
	for query, want := range map[string]int{"select count(*) from audit.entry": 0, "select count(*) from audit.log": 0, "select last_value from audit.entry_id": 1} {
		if n := s.rows(query); n != want {
			t.Errorf("the older database was written to: %s gives %d, want %d", query, n, want)
		}
	}
	if n := strings.Count(logs.String(), alarm); n != 1 {
		t.Errorf("the alarm stands %d times in the log, want once", n)
	}
	if now := s.signedSizes(); now != signed {
		t.Errorf("checkpoints %q, before %q", now, signed)
	}
}

// logFolder is where this year's log is published.
func (s *site) logFolder() string {
	return filepath.Join(s.cfg.Published, s.cfg.Institution, strconv.Itoa(time.Now().UTC().Year()))
}

// signedSizes names every checkpoint that was ever signed.
func (s *site) signedSizes() string {
	s.t.Helper()
	list, err := os.ReadDir(s.logFolder() + "/checkpoints")
	must(s.t, err)
	var names []string
	for _, e := range list {
		names = append(names, e.Name())
	}
	return strings.Join(names, " ")
}

// rows asks the database for one number.
func (s *site) rows(query string) (n int) {
	s.t.Helper()
	conn, err := pgx.Connect(s.t.Context(), s.db.Admin)
	must(s.t, err)
	defer conn.Close(context.WithoutCancel(s.t.Context()))
	must(s.t, conn.QueryRow(s.t.Context(), query).Scan(&n))
	return n
}
