package server

import (
	"context"
	"log/slog"
	"time"

	"github.com/sealtrail/sealtrail/audit"
	"github.com/sealtrail/sealtrail/audit/pglog"
)

// Both clocks stand in every entry: the service's as `at`, PostgreSQL's as
// `seq_at`. Where they differ by more than skewLimit (contracts.md 2), that is
// an entry.
const (
	skewLimit = 5 * time.Second
	skewEvery = 20 * time.Second
	skewAgain = time.Hour // a difference that lasts is an entry again
)

// skews is what was last said about the clocks.
type skews struct {
	at  time.Time
	was time.Duration
}

// due reports whether a difference must be said now: a new one, one that
// changed by more than the limit, or an old one once an hour.
func (k *skews) due(now time.Time, skew time.Duration) bool {
	if skew.Abs() <= skewLimit {
		k.at, k.was = time.Time{}, 0
		return false
	}
	return k.at.IsZero() || (skew-k.was).Abs() > skewLimit || now.Sub(k.at) >= skewAgain
}

// clocks compares the service's clock with PostgreSQL's until ctx ends.
func (s *Server) clocks(ctx context.Context) error {
	var said skews
	return every(ctx, skewEvery, func(ctx context.Context) {
		skew, err := pglog.Skew(ctx, s.pool)
		if err != nil {
			return // that the database is away is said elsewhere
		}
		began := time.Now() // monotonic: a clock that is set does not move it
		if !said.due(began, skew) {
			return
		}
		s.log.ErrorContext(ctx, "clocks differ", slog.Int64("skew_ms", skew.Milliseconds()))
		alias, err := s.trail.Alias(ctx, "service")
		if err != nil {
			return
		}
		event := s.serviceEvent(alias, "clock", "clock.skew", audit.Facts{"skew_ms": int(skew.Milliseconds())})
		if _, err := s.trail.Append(ctx, event); err == nil {
			said = skews{at: began, was: skew}
		}
	})
}
