package server

import (
	"context"
	"io"

	"golang.org/x/sync/errgroup"

	"github.com/sealtrail/sealtrail/internal/telemetry"
)

// Once builds a server, runs only what the door needs (login, keys, the log's
// writer), calls act and ends. It is for operator's commands beside a running
// service or without one.
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
	if err := s.publisher.ensure(ctx); err != nil {
		return err
	}
	background, stop := context.WithCancel(ctx)
	group, gctx := errgroup.WithContext(background)
	group.Go(func() error { return s.trail.Run(gctx) })
	err = act(ctx, s)
	stop()
	if waited := group.Wait(); err == nil {
		err = waited
	}
	return err
}
