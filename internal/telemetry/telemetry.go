// Package telemetry sets up logs, traces and metrics such that nothing leaves
// the process under a name that names.go does not list.
//
// The one idea: the filter stands at the exit, not at each call, so that a
// careless line or a chatty library leaks nothing. OTLP exporters are chosen by
// the standard OTEL_* variables and none is on without them; the Prometheus
// reader always is. The package must never know a record, a person or a key.
package telemetry

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"os"
	"sync/atomic"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promhttp"
	"go.opentelemetry.io/contrib/bridges/otelslog"
	"go.opentelemetry.io/contrib/exporters/autoexport"
	"go.opentelemetry.io/otel/attribute"
	otelprom "go.opentelemetry.io/otel/exporters/prometheus"
	"go.opentelemetry.io/otel/metric"
	sdklog "go.opentelemetry.io/otel/sdk/log"
	sdkmetric "go.opentelemetry.io/otel/sdk/metric"
	"go.opentelemetry.io/otel/sdk/resource"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/trace"
	tracenoop "go.opentelemetry.io/otel/trace/noop"
)

// Config says what the process is called and where its log lines go.
type Config struct {
	Service string     // service.name; default "sealtraild"
	Version string     // service.version
	Level   slog.Level // least level that is written; default info
	Output  io.Writer  // JSON lines; default os.Stderr
	// SpanExporter replaces the one that OTEL_* names; for tests.
	SpanExporter sdktrace.SpanExporter
}

// Telemetry is what the parts of the service are given. All of it is safe for
// concurrent use; nothing is installed globally.
type Telemetry struct {
	Logger  *slog.Logger
	Tracer  trace.TracerProvider
	Meter   metric.MeterProvider
	Metrics http.Handler // Prometheus text, for the ops port

	droppedLog, droppedSpan atomic.Int64
	stop                    []func(context.Context) error
}

// New sets everything up. Exporters connect in the background, so that a
// collector which is away delays nothing. Call Shutdown to flush.
func New(ctx context.Context, cfg Config) (*Telemetry, error) {
	if cfg.Service == "" {
		cfg.Service = "sealtraild"
	}
	if cfg.Output == nil {
		cfg.Output = os.Stderr
	}
	t := &Telemetry{}
	res := resource.NewSchemaless(attribute.String("service.name", cfg.Service), attribute.String("service.version", cfg.Version))
	for _, step := range []func(context.Context, Config, *resource.Resource) error{t.metrics, t.traces, t.logs} {
		if err := step(ctx, cfg, res); err != nil {
			return nil, errors.Join(err, t.Shutdown(ctx))
		}
	}
	return t, nil
}

// Shutdown flushes and stops all exporters.
func (t *Telemetry) Shutdown(ctx context.Context) error {
	var errs []error
	for _, stop := range t.stop {
		errs = append(errs, stop(ctx))
	}
	t.stop = nil
	return errors.Join(errs...)
}

// Dropped returns how many attributes the filters of log lines and spans have
// dropped so far.
func (t *Telemetry) Dropped() (logs, spans int64) {
	return t.droppedLog.Load(), t.droppedSpan.Load()
}

func (t *Telemetry) metrics(ctx context.Context, _ Config, res *resource.Resource) error {
	registry := prometheus.NewRegistry()
	registry.MustRegister(collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	reader, err := otelprom.New(otelprom.WithRegisterer(registry), otelprom.WithoutScopeInfo(), otelprom.WithoutTargetInfo())
	if err != nil {
		return fmt.Errorf("setting up the Prometheus reader: %w", err)
	}
	options := []sdkmetric.Option{sdkmetric.WithReader(reader), sdkmetric.WithResource(res), sdkmetric.WithView(onlyListed())}
	if configured("METRICS") {
		pushed, err := autoexport.NewMetricReader(ctx)
		if err != nil {
			return fmt.Errorf("setting up metric export: %w", err)
		}
		options = append(options, sdkmetric.WithReader(pushed))
	}
	provider := sdkmetric.NewMeterProvider(options...)
	t.Meter, t.stop = provider, append(t.stop, provider.Shutdown)
	t.Metrics = promhttp.HandlerFor(registry, promhttp.HandlerOpts{})
	return t.countDropped()
}

// countDropped makes the filters' own counters a metric.
func (t *Telemetry) countDropped() error {
	counter, err := t.Meter.Meter("sealtrail/telemetry").Int64ObservableCounter(MetricDroppedAttribute,
		metric.WithUnit("{attribute}"), metric.WithDescription("Attributes that were not on the allow-list."),
		metric.WithInt64Callback(func(_ context.Context, o metric.Int64Observer) error {
			o.Observe(t.droppedLog.Load(), metric.WithAttributes(attribute.String(AttrSignal, "log")))
			o.Observe(t.droppedSpan.Load(), metric.WithAttributes(attribute.String(AttrSignal, "span")))
			return nil
		}))
	_ = counter
	if err != nil {
		return fmt.Errorf("setting up metrics: %w", err)
	}
	return nil
}

// onlyListed is a view over every instrument that drops unlisted labels.
func onlyListed() sdkmetric.View {
	allowed := newAllowList(metricAttributes())
	filter := func(kv attribute.KeyValue) bool { return allowed.has(string(kv.Key)) }
	return func(i sdkmetric.Instrument) (sdkmetric.Stream, bool) {
		return sdkmetric.Stream{Name: i.Name, Description: i.Description, Unit: i.Unit, AttributeFilter: filter}, true
	}
}

func (t *Telemetry) traces(ctx context.Context, cfg Config, res *resource.Resource) error {
	exporter := cfg.SpanExporter
	if exporter == nil {
		if !configured("TRACES") {
			t.Tracer = tracenoop.NewTracerProvider() // costs nothing per request
			return nil
		}
		var err error
		if exporter, err = autoexport.NewSpanExporter(ctx); err != nil {
			return fmt.Errorf("setting up trace export: %w", err)
		}
	}
	filtered := &spanFilter{SpanExporter: exporter, allowed: newAllowList(spanAttributes()), dropped: &t.droppedSpan}
	provider := sdktrace.NewTracerProvider(sdktrace.WithBatcher(filtered), sdktrace.WithResource(res))
	t.Tracer, t.stop = provider, append(t.stop, provider.Shutdown)
	return nil
}

func (t *Telemetry) logs(ctx context.Context, cfg Config, res *resource.Resource) error {
	var handler slog.Handler = slog.NewJSONHandler(cfg.Output, &slog.HandlerOptions{Level: cfg.Level})
	if configured("LOGS") {
		exporter, err := autoexport.NewLogExporter(ctx)
		if err != nil {
			return fmt.Errorf("setting up log export: %w", err)
		}
		provider := sdklog.NewLoggerProvider(sdklog.WithProcessor(sdklog.NewBatchProcessor(exporter)), sdklog.WithResource(res))
		t.stop = append(t.stop, provider.Shutdown)
		handler = fanOut{handler, otelslog.NewHandler("sealtrail", otelslog.WithLoggerProvider(provider))}
	}
	t.Logger = slog.New(NewLogHandler(handler, &t.droppedLog))
	return nil
}

// NewLogHandler wraps next such that only listed attributes pass; each dropped
// one adds 1 to dropped. For commands that need the filter without the rest.
func NewLogHandler(next slog.Handler, dropped *atomic.Int64) slog.Handler {
	return &logFilter{next: next, allowed: newAllowList(logAttributes()), dropped: dropped}
}

// configured reports whether the standard variables ask for a signal's export.
// Without it autoexport would try a collector on localhost for ever.
func configured(signal string) bool {
	if exporter := os.Getenv("OTEL_" + signal + "_EXPORTER"); exporter != "" {
		return exporter != "none"
	}
	return os.Getenv("OTEL_EXPORTER_OTLP_ENDPOINT") != "" || os.Getenv("OTEL_EXPORTER_OTLP_"+signal+"_ENDPOINT") != ""
}
