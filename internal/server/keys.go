package server

import (
	"context"
	"fmt"
	"io"
	"time"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/metric"

	"github.com/sealtrail/sealtrail/internal/keeping"
	"github.com/sealtrail/sealtrail/internal/telemetry"
)

// watchKeys looks whether Vault's keys and audit device are configured as the
// log says, until ctx ends.
func (s *Server) watchKeys(ctx context.Context) error { return s.keyWatch.Run(ctx) }

// newKeyWatch builds the watch on the built door.
func (s *Server) newKeyWatch() *keeping.Watch {
	return keeping.NewWatch(keeping.WatchConfig{Door: s.door, Institution: s.cfg.Institution, Every: s.cfg.KeysEvery,
		Device: s.cfg.VaultAudit, AuditFile: s.cfg.VaultAuditFile, Logger: s.log})
}

// observeKeys registers what the watch found.
func (s *Server) observeKeys(m metric.Meter) error {
	s.keyWatch, s.started = s.newKeyWatch(), time.Now()
	found, err := m.Int64ObservableGauge(telemetry.MetricKeyFindings, metric.WithUnit("{finding}"),
		metric.WithDescription("What is wrong with a key in Vault, or with Vault's audit device."))
	if err != nil {
		return fmt.Errorf("making the keys' metrics: %w", err)
	}
	age, err := m.Float64ObservableGauge(telemetry.MetricKeyLookAge, metric.WithUnit("s"), metric.WithDescription("Time since every key in Vault was looked at."))
	if err != nil {
		return fmt.Errorf("making the keys' metrics: %w", err)
	}
	_, err = m.RegisterCallback(func(_ context.Context, o metric.Observer) error {
		findings := s.keyWatch.Findings()
		for key, list := range findings {
			o.ObserveInt64(found, int64(len(list)), metric.WithAttributes(attribute.String("vault_key", key)))
		}
		if len(findings) == 0 {
			o.ObserveInt64(found, 0)
		}
		since := s.keyWatch.Looked()
		if since.IsZero() {
			since = s.started
		}
		o.ObserveFloat64(age, time.Since(since).Seconds())
		return nil
	}, found, age)
	if err != nil {
		return fmt.Errorf("making the keys' metrics: %w", err)
	}
	return nil
}

// LookAtKeys takes one look at Vault's keys and audit device, as the running
// service does every few seconds. What it finds are entries of the log.
func LookAtKeys(ctx context.Context, cfg Config, logs io.Writer) error {
	return Once(ctx, cfg, logs, func(ctx context.Context, s *Server) error { return s.newKeyWatch().Look(ctx) })
}
