package server

import (
	"context"
	"errors"
	"io"

	"github.com/sealtrail/sealtrail/internal/telemetry"
)

// Once builds a server, runs only what the door needs (login, keys, the log's
// writer, outcomes), calls act and ends, when everything that act did has reached
// the log. It is for operator's commands beside a running service or without
// one.
func Once(ctx context.Context, cfg Config, logs io.Writer, act func(context.Context, *Server) error) error {
	tel, err := telemetry.New(ctx, telemetry.Config{Version: Version, Output: logs})
	if err != nil {
		return err
	}
	s, err := New(ctx, cfg, tel)
	if err != nil {
		return err
	}
	defer s.Close()
	if err := s.login.Now(ctx); err != nil {
		return err
	}
	if cfg.Published == "" {
		s.standing.set(nil) // a command that is not told where the log lies: the service compares
	} else if _, err := s.compareOnce(ctx); err != nil {
		return err
	}
	if err := s.publisher.ensure(ctx); err != nil {
		return err
	}
	base := context.WithoutCancel(ctx) // what act did is written down also after Ctrl-C
	ground, stopGround := start(base, s.login.Run, s.keys.Run, s.trail.Run)
	writers, stopWriters := start(base, s.door.Run)
	err = act(ctx, s)
	stopWriters()
	wrote := writers.Wait()
	stopGround()
	if waited := errors.Join(wrote, ground.Wait()); err == nil {
		err = waited
	}
	return err
}
