package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"time"

	"github.com/sealtrail/sealtrail/audit/publish"
)

type witnessCommand struct {
	Dir    string   `help:"Folder of the witness's own state and key." required:""`
	Name   string   `help:"Name of its key, used when the key is made." default:"witness.example/internal-audit"`
	Log    []string `help:"Verifier key of a log to witness; may be repeated." required:"" sep:"none"`
	Listen string   `default:"127.0.0.1:8445" help:"Address."`
}

// Run answers add-checkpoint (C2SP tlog-witness) until a signal comes.
func (w *witnessCommand) Run(ctx context.Context, c console) error {
	logger := slog.New(slog.NewJSONHandler(c.err, nil))
	witness, err := publish.NewWitnessServer(ctx, publish.WitnessConfig{Dir: w.Dir, Name: w.Name, Logs: w.Log, Logger: logger})
	if err != nil {
		return err
	}
	listener, err := net.Listen("tcp", w.Listen)
	if err != nil {
		return fmt.Errorf("listening: %w", err)
	}
	if _, err := fmt.Fprintf(c.out, "witness %s on %s\n", witness.VerifierKey(), listener.Addr()); err != nil {
		return err
	}
	srv := &http.Server{Handler: witness, ReadHeaderTimeout: 2 * time.Second, ReadTimeout: 5 * time.Second, WriteTimeout: 5 * time.Second}
	context.AfterFunc(ctx, func() {
		drain, cancel := context.WithTimeout(context.WithoutCancel(ctx), 2*time.Second)
		defer cancel()
		if err := srv.Shutdown(drain); err != nil {
			logger.WarnContext(drain, "witness not drained")
		}
	})
	if err := srv.Serve(listener); !errors.Is(err, http.ErrServerClosed) {
		return fmt.Errorf("serving: %w", err)
	}
	return nil
}
