package server

import (
	"context"
	"log/slog"
	"os"
	"slices"
	"time"

	"github.com/sealtrail/sealtrail/audit"
	"github.com/sealtrail/sealtrail/audit/pglog"
)

// How often the whole log is compared with what is published. In between only
// what came since, unless the whole takes no longer than a twentieth of a minute.
const (
	wholeEvery = 24 * time.Hour
	wholeCheap = 3 * time.Second
)

// watching is the comparison that the service makes again and again.
type watching struct {
	checker  *pglog.Checker
	told     map[string]bool // findings that are entries already
	verified verification
	wholeAt  time.Time // of the last whole comparison; zero: none yet
	took     time.Duration
}

// watch compares what PostgreSQL holds with what is published and makes every
// new finding an entry. A check that takes long is made less often.
func (s *Server) watch(ctx context.Context) error {
	w := &watching{checker: pglog.NewChecker(s.pool, s.cfg.Institution, os.DirFS(s.cfg.Published)), told: map[string]bool{}}
	pause := s.cfg.CheckEvery
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-time.After(pause):
		}
		if !s.publisher.leads() {
			w.wholeAt = time.Time{} // the one that leads compares; whoever takes over begins with everything
			continue
		}
		began := time.Now()
		if looked, n, ok := s.checkOnce(ctx, w); ok {
			s.verified(ctx, &w.verified, looked, n)
		}
		pause = max(s.cfg.CheckEvery, 20*time.Since(began))
	}
}

// verification is when a comparison was last made an entry, and of what size.
type verification struct {
	at       time.Time
	size     uint64
	findings int
}

// verifiedEvery is how often a comparison without news becomes an entry.
const verifiedEvery = time.Hour

// verified makes a finished comparison an entry, which says how far it looked:
// the first one, one with other findings than before, and else one an hour if
// the log grew otherwise.
func (s *Server) verified(ctx context.Context, last *verification, looked pglog.Looked, found int) {
	p := s.publisher.current()
	if p == nil {
		return
	}
	size := p.Status().Size
	due := last.at.IsZero() || found != last.findings || time.Since(last.at) >= verifiedEvery && size > last.size+1
	if !due {
		return
	}
	alias, err := s.trail.Alias(ctx, "service")
	if err != nil {
		return
	}
	facts := audit.Facts{"size": int(size), "findings": found, "from": int(looked.From), "whole": looked.Whole}
	if _, err := s.trail.Append(ctx, s.serviceEvent(alias, "verification", "trail.verified", facts)); err == nil {
		*last = verification{at: time.Now(), size: size, findings: found}
	}
}

// compareLeaves compares the log, whole or from where the last comparison was.
func (s *Server) compareLeaves(ctx context.Context, w *watching) (pglog.Looked, []pglog.Finding, error) {
	if !w.wholeAt.IsZero() && w.took > wholeCheap && time.Since(w.wholeAt) < wholeEvery {
		return w.checker.Check(ctx)
	}
	began := time.Now()
	looked, found, err := w.checker.Whole(ctx)
	if err == nil {
		w.wholeAt, w.took = began, time.Since(began)
	}
	return looked, found, err
}

// checkOnce returns how far it looked and how many findings there are, and
// whether the comparison could be made.
func (s *Server) checkOnce(ctx context.Context, w *watching) (pglog.Looked, int, bool) {
	ctx, cancel := context.WithTimeout(ctx, 10*time.Minute)
	defer cancel()
	looked, found, err := s.compareLeaves(ctx, w)
	if err == nil {
		found, err = withRecords(ctx, s.pool, s.cfg.Institution, found)
	}
	if err != nil {
		s.log.WarnContext(ctx, "log not checked", slog.String("cause", err.Error()))
		return looked, 0, false
	}
	if slices.ContainsFunc(found, func(f pglog.Finding) bool { return f.Code == foundLost }) {
		if err := s.tellLost(ctx); err != nil {
			s.log.WarnContext(ctx, "lost records not told", slog.String("cause", err.Error()))
		}
	}
	weak, err := pglog.SelfCheck(ctx, s.pool)
	if err != nil {
		s.log.WarnContext(ctx, "fences not checked", slog.String("cause", err.Error()))
	}
	for _, x := range weak {
		found = append(found, pglog.Finding{Table: x.Object, Code: x.Code})
	}
	for _, f := range found {
		if w.told[f.String()] {
			continue
		}
		if err := s.tell(ctx, f); err == nil {
			w.told[f.String()] = true
		}
	}
	return looked, len(found), true
}
