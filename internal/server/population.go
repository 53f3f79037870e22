package server

import (
	"context"
	"errors"
	"log/slog"
	"time"

	"github.com/sealtrail/sealtrail/internal/custody"
)

const (
	// populationAt is when in the night the population is counted, in China.
	populationAt = 2*time.Hour + 30*time.Minute
	// populationLook is how often a process looks whether it is time.
	populationLook = 10 * time.Minute
)

// population counts once a night which complaints there are. Of several replicas
// one does it, the first that finds the night's count not made.
func (s *Server) population(ctx context.Context) error {
	return every(ctx, populationLook, func(ctx context.Context) {
		local := time.Now().In(time.FixedZone("Asia/Shanghai", 8*60*60))
		night := local.Add(-populationAt).Format(time.DateOnly) // the newest night whose hour has come
		mine, err := s.door.ClaimNight(ctx, "population", night)
		if err != nil || !mine {
			if err != nil && ctx.Err() == nil {
				s.log.WarnContext(ctx, "population not counted", slog.String("cause", err.Error()))
			}
			return
		}
		p, err := s.door.CheckPopulation(ctx)
		switch {
		case err == nil && len(p.Differences) > 0:
			s.log.ErrorContext(ctx, "population differs", slog.Int("count", len(p.Differences)))
		case err != nil && !errors.Is(err, custody.ErrBusy) && ctx.Err() == nil:
			s.log.WarnContext(ctx, "population not counted", slog.String("cause", err.Error()))
		}
	})
}
