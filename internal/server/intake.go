package server

import (
	"context"
	"log/slog"
	"time"

	"github.com/sealtrail/sealtrail/audit/publish"
	"github.com/sealtrail/sealtrail/internal/custody"
)

// intake makes the first intake key once the log can be published, and ends. It
// is there before it is needed: who seals during an outage must have it already.
func (s *Server) intake(ctx context.Context) error {
	wait := 50 * time.Millisecond
	for {
		if s.publisher.current() != nil {
			_, err := s.door.EnsureIntakeKey(ctx, false, s.publishBlob)
			if err == nil || ctx.Err() != nil {
				return nil
			}
			s.log.WarnContext(ctx, "no intake key yet", slog.String("cause", err.Error()))
			wait = time.Second
		}
		select {
		case <-ctx.Done():
			return nil
		case <-time.After(wait):
		}
	}
}

// RotateIntake makes the next version of the intake key and publishes it.
// Envelopes of earlier versions go on being opened.
func (s *Server) RotateIntake(ctx context.Context) (*custody.IntakeKey, error) {
	return s.door.EnsureIntakeKey(ctx, true, s.publishBlob)
}

// publishBlob puts bytes beside this year's log, under their digest.
func (s *Server) publishBlob(ctx context.Context, blob []byte) error {
	folder, err := publish.NewFolder(s.publisher.folder(s.shard()))
	if err != nil {
		return err
	}
	_, err = publish.PutBlob(ctx, folder, blob)
	return err
}
