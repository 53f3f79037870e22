package httpapi

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"time"
)

// ServeConfig is one listening port.
type ServeConfig struct {
	Listener net.Listener // required
	Handler  http.Handler // required
	TLS      *tls.Config  // nil: plain HTTP, for loopback
	// BeforeDrain is called when ctx ends, before the port stops accepting:
	// Ops.Drain of the ops handler. May be nil.
	BeforeDrain func()
	// Settle is how long the port still accepts after BeforeDrain, so that
	// balancers see the 503 of /readyz first. Default 0.
	Settle time.Duration
	// Drain is how long requests in flight may finish. Default 10 s.
	Drain time.Duration
}

// Serve answers on the listener until ctx ends, then drains: it stops accepting
// and returns when the last request is answered or after cfg.Drain.
func Serve(ctx context.Context, cfg ServeConfig) error {
	if cfg.Drain == 0 {
		cfg.Drain = 10 * time.Second
	}
	srv := &http.Server{
		Handler:           cfg.Handler,
		ReadHeaderTimeout: 2 * time.Second,
		ReadTimeout:       15 * time.Second, // 8 MiB at 5 Mbit/s
		WriteTimeout:      60 * time.Second, // above the long deadline
		IdleTimeout:       90 * time.Second,
		MaxHeaderBytes:    32 << 10,
		// net/http's own lines can repeat what a broken client sent.
		ErrorLog: log.New(io.Discard, "", 0),
	}
	ln := cfg.Listener
	if cfg.TLS != nil {
		ln = tls.NewListener(ln, cfg.TLS)
	}
	var failed error // read only after stopped is closed
	stopped := make(chan struct{})
	go func() {
		defer close(stopped)
		failed = srv.Serve(ln)
	}()
	select {
	case <-stopped:
		return fmt.Errorf("serving: %w", failed)
	case <-ctx.Done():
	}
	if cfg.BeforeDrain != nil {
		cfg.BeforeDrain()
	}
	settle(stopped, cfg.Settle)
	// ctx has ended: draining has a deadline of its own.
	drain, cancel := context.WithTimeout(context.WithoutCancel(ctx), cfg.Drain)
	defer cancel()
	if err := srv.Shutdown(drain); err != nil {
		return fmt.Errorf("draining: %w", errors.Join(err, srv.Close()))
	}
	return nil
}

// settle waits for d, or until the server stops by itself: then there is nobody
// to let in any more, and Shutdown finds it closed.
func settle(stopped <-chan struct{}, d time.Duration) {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-stopped:
	case <-timer.C:
	}
}
