package custody

import (
	"context"
	"fmt"
	"time"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/codes"
	"go.opentelemetry.io/otel/metric"
	metricnoop "go.opentelemetry.io/otel/metric/noop"
	"go.opentelemetry.io/otel/trace"
	tracenoop "go.opentelemetry.io/otel/trace/noop"

	"github.com/sealtrail/sealtrail/internal/telemetry"
	"github.com/sealtrail/sealtrail/policy"
)

// Stages of a passage through the door, as spans and as values of the stage
// label. They name what waits, never whom or what for.
const (
	stageLoad   = "load"
	stageDecide = "decide"
	stageAppend = "append"
	stageLend   = "lend"
	stageCommit = "commit"
)

// instruments measure the door. They hold no id of a person or a record.
type instruments struct {
	tracer    trace.Tracer
	stages    metric.Float64Histogram
	decisions metric.Int64Counter
	scrubbed  metric.Int64Counter
	findings  metric.Int64Counter
	reaped    metric.Int64Counter
	labels    map[string]metric.MeasurementOption // per stage, made once
}

func newInstruments(tracer trace.TracerProvider, meter metric.MeterProvider) (*instruments, error) {
	if tracer == nil {
		tracer = tracenoop.NewTracerProvider()
	}
	if meter == nil {
		meter = metricnoop.NewMeterProvider()
	}
	m := meter.Meter("sealtrail/custody")
	i := &instruments{tracer: tracer.Tracer("sealtrail/custody"), labels: map[string]metric.MeasurementOption{}}
	var err error
	if i.stages, err = m.Float64Histogram(telemetry.MetricDoorDuration, metric.WithUnit("s"), metric.WithDescription("Time per stage of a passage through the door."),
		metric.WithExplicitBucketBoundaries(0.0001, 0.0003, 0.001, 0.003, 0.01, 0.03, 0.1, 0.3, 1, 2)); err != nil {
		return nil, fmt.Errorf("making the door's instruments: %w", err)
	}
	if i.decisions, err = m.Int64Counter(telemetry.MetricDecisions, metric.WithUnit("{decision}"), metric.WithDescription("Decisions by action, effect and reason.")); err != nil {
		return nil, fmt.Errorf("making the door's instruments: %w", err)
	}
	if i.scrubbed, err = m.Int64Counter(telemetry.MetricScrubbed, metric.WithUnit("{record}"), metric.WithDescription("Records that the scrubber looked at.")); err != nil {
		return nil, fmt.Errorf("making the door's instruments: %w", err)
	}
	if i.findings, err = m.Int64Counter(telemetry.MetricScrubFindings, metric.WithUnit("{record}"), metric.WithDescription("Records that are not what was sealed, or are older than the log.")); err != nil {
		return nil, fmt.Errorf("making the door's instruments: %w", err)
	}
	if i.reaped, err = m.Int64Counter(telemetry.MetricReaped, metric.WithUnit("{request}"), metric.WithDescription("Accesses of which it is not known what came of them.")); err != nil {
		return nil, fmt.Errorf("making the door's instruments: %w", err)
	}
	for _, stage := range []string{stageLoad, stageDecide, stageAppend, stageLend, stageCommit} {
		i.labels[stage] = metric.WithAttributeSet(attribute.NewSet(attribute.String("stage", stage)))
	}
	return i, nil
}

// stage opens a span; the function that it returns closes it and takes the time.
func (i *instruments) stage(ctx context.Context, name string) (context.Context, func(error)) {
	began := time.Now()
	ctx, span := i.tracer.Start(ctx, "door."+name)
	return ctx, func(err error) {
		if err != nil {
			span.SetStatus(codes.Error, "")
		}
		span.End()
		i.stages.Record(ctx, time.Since(began).Seconds(), i.labels[name])
	}
}

// decided counts a decision by its public reason: the true one would tell who
// is recused.
func (i *instruments) decided(ctx context.Context, action string, d policy.Decision) {
	effect := "deny"
	if d.Allowed() {
		effect = "allow"
	}
	i.decisions.Add(ctx, 1, metric.WithAttributes(attribute.String("action", action), attribute.String("effect", effect), attribute.String("reason", d.Reason())))
}
