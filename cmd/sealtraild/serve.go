package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/sealtrail/sealtrail/audit/pglog"
	"github.com/sealtrail/sealtrail/internal/server"
	"github.com/sealtrail/sealtrail/internal/store"
	"github.com/sealtrail/sealtrail/internal/telemetry"
)

type serveCommand struct {
	server.Config
	Debug bool `help:"Log more." env:"SEALTRAIL_DEBUG"`
}

// Run serves until a signal comes, drains, and returns.
func (s *serveCommand) Run(ctx context.Context, c console) error {
	server.TuneMemory()
	level := slog.LevelInfo
	if s.Debug {
		level = slog.LevelDebug
	}
	tel, err := telemetry.New(ctx, telemetry.Config{Version: server.Version, Level: level, Output: c.err})
	if err != nil {
		return err
	}
	srv, err := server.New(ctx, s.Config, tel)
	if err == nil {
		err = srv.Run(ctx)
	}
	flush, cancel := context.WithTimeout(context.WithoutCancel(ctx), 5*time.Second)
	defer cancel()
	return errors.Join(err, tel.Shutdown(flush))
}

type migrateCommand struct {
	AdminURLFile string `help:"File with a superuser's database address; the event triggers of the log need one." env:"SEALTRAIL_ADMIN_URL_FILE" required:""`
}

// Run migrates the schemas audit, sealtrail, keys and people, forward only.
func (m *migrateCommand) Run(ctx context.Context, c console) error {
	dsn, err := server.Secret(m.AdminURLFile)
	if err != nil {
		return err
	}
	if err := Migrate(ctx, dsn); err != nil {
		return err
	}
	_, err = fmt.Fprintln(c.out, "✓ schemas audit, sealtrail, keys and people are at the newest version")
	return err
}

// Migrate brings both parts of the schema to the newest version.
func Migrate(ctx context.Context, dsn string) error {
	if err := pglog.Migrate(ctx, dsn); err != nil {
		return err
	}
	return store.Migrate(ctx, dsn)
}
