package server

import (
	"context"
	"log/slog"
	"time"

	"github.com/sealtrail/sealtrail/internal/custody"
)

// reapEvery is how often requests are looked for whose outcome nobody can write
// any more.
const reapEvery = 10 * time.Second

// reap closes them as unknown. Every replica does; the database makes them take
// turns.
func (s *Server) reap(ctx context.Context) error {
	return every(ctx, reapEvery, func(ctx context.Context) {
		if _, err := s.door.Reap(ctx, custody.ReapAfter); err != nil && ctx.Err() == nil {
			s.log.WarnContext(ctx, "requests without an outcome not looked for", slog.String("cause", err.Error()))
		}
	})
}
