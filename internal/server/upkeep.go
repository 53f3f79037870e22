package server

import (
	"context"
	"errors"
	"log/slog"

	"github.com/sealtrail/sealtrail/internal/custody"
)

// checkSuite refuses to start where the suite that the institution chose cannot
// be used: no record could be written, and those in it could not be read.
func (s *Server) checkSuite(ctx context.Context) error {
	suite, err := s.door.CheckSuite(ctx)
	if errors.Is(err, custody.ErrSuiteForbidden) {
		return err
	}
	if err != nil {
		s.log.WarnContext(ctx, "chosen suite not read yet", slog.String("cause", err.Error()))
		return nil
	}
	s.log.InfoContext(ctx, "suite of sealed fields", slog.Int("version", int(suite)), slog.String("state", fipsMode()))
	return nil
}

// scrub opens and authenticates records in the background, so many that each was
// seen within the configured time.
func (s *Server) scrub(ctx context.Context) error {
	if s.cfg.ScrubWithin <= 0 {
		<-ctx.Done()
		return nil
	}
	return s.door.Scrubbing(ctx, s.cfg.ScrubWithin, custody.ScrubEvery)
}
