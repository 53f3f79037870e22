package server

import (
	"context"
	"log/slog"
	"time"
)

// ReapConfig says when the service gives up waiting for what came of a request.
type ReapConfig struct {
	ReapAfter time.Duration `help:"Age at which a request without an outcome is closed as unknown, if no process can answer for it." default:"60s" env:"SEALTRAIL_REAP_AFTER"`
}

// reap closes requests whose outcome nobody can write any more. Every replica
// does; the database makes them take turns.
func (s *Server) reap(ctx context.Context) error {
	after := s.cfg.ReapAfter
	if after <= 0 {
		after = time.Minute
	}
	return every(ctx, after/6, func(ctx context.Context) {
		if _, err := s.door.Reap(ctx, after); err != nil && ctx.Err() == nil {
			s.log.WarnContext(ctx, "requests without an outcome not looked for", slog.String("cause", err.Error()))
		}
	})
}
