package server

import (
	"context"
	"fmt"
	"time"

	"go.opentelemetry.io/otel/metric"

	"github.com/sealtrail/sealtrail/internal/telemetry"
)

// observe registers what the published log looks like from outside.
func (s *Server) observe() error {
	m := s.tel.Meter.Meter("sealtrail/server")
	size, err := m.Int64ObservableGauge(telemetry.MetricLogSize, metric.WithUnit("{entry}"), metric.WithDescription("Entries in the last signed checkpoint."))
	if err != nil {
		return fmt.Errorf("making the log's metrics: %w", err)
	}
	age, err := m.Float64ObservableGauge(telemetry.MetricLogAge, metric.WithUnit("s"), metric.WithDescription("Time since the last signed checkpoint."))
	if err != nil {
		return fmt.Errorf("making the log's metrics: %w", err)
	}
	cosigned, err := m.Int64ObservableGauge(telemetry.MetricCosignatures, metric.WithUnit("{signature}"), metric.WithDescription("Cosignatures of the last signed checkpoint."))
	if err != nil {
		return fmt.Errorf("making the log's metrics: %w", err)
	}
	leader, err := m.Int64ObservableGauge(telemetry.MetricLogLeader, metric.WithDescription("1 if this process publishes the log, 0 if another one does."))
	if err != nil {
		return fmt.Errorf("making the log's metrics: %w", err)
	}
	_, err = m.RegisterCallback(func(_ context.Context, o metric.Observer) error {
		p := s.publisher.current()
		if p == nil {
			return nil
		}
		leads := int64(0)
		if s.publisher.leads() {
			leads = 1
		}
		o.ObserveInt64(leader, leads)
		status := p.Status()
		o.ObserveInt64(size, int64(status.Size))
		o.ObserveInt64(cosigned, int64(status.Cosignatures))
		if !status.PublishedAt.IsZero() {
			o.ObserveFloat64(age, time.Since(status.PublishedAt).Seconds())
		}
		return nil
	}, size, age, cosigned, leader)
	if err != nil {
		return fmt.Errorf("making the log's metrics: %w", err)
	}
	if err := s.observeMirror(m); err != nil {
		return err
	}
	if err := s.observeWitnesses(m); err != nil {
		return err
	}
	return s.observeKeys(m)
}
