package server_test

import (
	"context"
	"errors"
	"io"
	"testing"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/sealtrail/sealtrail/internal/server"
	"github.com/sealtrail/sealtrail/internal/telemetry"
)

// refuses tries to start the service and reports whether it calls the database
// unfit.
func (s *site) refuses(accept bool) bool {
	s.t.Helper()
	cfg := s.cfg
	cfg.AcceptNode = accept
	tel, err := telemetry.New(s.t.Context(), telemetry.Config{Output: io.Discard})
	must(s.t, err)
	srv, err := server.New(s.t.Context(), cfg, tel)
	must(s.t, err)
	ctx, cancel := context.WithTimeout(s.t.Context(), 10*time.Second)
	defer cancel()
	done := make(chan error, 1)
	go func() { done <- srv.Run(ctx) }()
	for {
		select {
		case err := <-done:
			return errors.Is(err, server.ErrUnfit)
		case <-time.After(20 * time.Millisecond):
			if get("http://"+cfg.OpsListen+"/livez") != 0 {
				cancel()
				must(s.t, <-done)
				return false
			}
		}
	}
}

// TestSingleNodeIsAcceptedInTheLogOnly: without a synchronous standby the
// service starts if, and only if, the newest entry about the node accepts that.
// The flag is a way to write the entry, once.
func TestSingleNodeIsAcceptedInTheLogOnly(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	pool, err := pgxpool.New(t.Context(), s.db.App)
	must(t, err)
	defer pool.Close()
	accept := func(yes, want bool) {
		t.Helper()
		written, err := server.AcceptSingleNode(t.Context(), pool, s.cfg.Institution, "operator", yes)
		if err != nil || written != want {
			t.Errorf("AcceptSingleNode(%v) = %v, %v; want %v", yes, written, err, want)
		}
		if got, err := server.SingleNodeAccepted(t.Context(), pool, s.cfg.Institution); err != nil || got != yes {
			t.Errorf("the log says %v, %v; want %v", got, err, yes)
		}
	}
	if !s.refuses(false) {
		t.Error("started on one node that nobody accepted")
	}
	accept(false, false) // nothing to withdraw
	accept(true, true)
	accept(true, false)
	if s.refuses(false) {
		t.Error("refused, though the log accepts one node")
	}
	accept(false, true)
	if !s.refuses(false) {
		t.Error("started, though the acceptance was withdrawn")
	}
	for range 2 {
		if s.refuses(true) {
			t.Error("the flag was refused")
		}
	}
	if got := s.count("node.accepted"); got != 3 {
		t.Errorf("%d entries node.accepted, want 3: accepted, withdrawn, and by the flag once", got)
	}
}
