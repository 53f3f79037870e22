package httpapi

import (
	"context"
	"fmt"
	"sync"
	"time"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/metric"

	"github.com/sealtrail/sealtrail/internal/telemetry"
)

// instruments are the API's metrics, and the table of problems.
type instruments struct {
	kinds    map[string]kind
	duration metric.Float64Histogram
	refused  metric.Int64Counter
	// labels keeps one attribute set per route, status and code: building one
	// with each request costs more than recording it.
	labels sync.Map // labelKey -> metric.MeasurementOption
}

type labelKey struct {
	route  *route
	status int
	code   string
}

func newInstruments(provider metric.MeterProvider) (*instruments, error) {
	meter := provider.Meter("sealtrail/httpapi")
	duration, err := meter.Float64Histogram(telemetry.MetricRequestDuration, metric.WithUnit("s"),
		metric.WithDescription("Duration of requests, by route pattern and status."),
		metric.WithExplicitBucketBoundaries(.001, .0025, .005, .01, .025, .05, .1, .25, .5, 1, 2, 5, 10, 30))
	if err != nil {
		return nil, fmt.Errorf("setting up metrics: %w", err)
	}
	refused, err := meter.Int64Counter(telemetry.MetricTokensRefused, metric.WithUnit("{token}"),
		metric.WithDescription("Bearer tokens that were not accepted, by cause."))
	if err != nil {
		return nil, fmt.Errorf("setting up metrics: %w", err)
	}
	return &instruments{kinds: kinds(), duration: duration, refused: refused}, nil
}

// served records one answer. The label set is bounded: routes are ours, and
// status and code come from the table of problems.
func (m *instruments) served(ctx context.Context, x *exchange, took time.Duration) {
	key := labelKey{route: x.route, status: x.status, code: x.code}
	option, ok := m.labels.Load(key)
	if !ok {
		method := "other"
		if x.route != nil {
			method = x.route.method
		}
		made := metric.WithAttributeSet(attribute.NewSet(attribute.String(telemetry.AttrMethod, method),
			attribute.String(telemetry.AttrRoute, x.pattern()), attribute.Int(telemetry.AttrStatus, x.status), attribute.String(telemetry.AttrCode, x.code)))
		option, _ = m.labels.LoadOrStore(key, made)
	}
	m.duration.Record(ctx, took.Seconds(), option.(metric.MeasurementOption))
}

func (m *instruments) tokenRefused(ctx context.Context, cause string) {
	m.refused.Add(ctx, 1, metric.WithAttributes(attribute.String(telemetry.AttrCause, cause)))
}
