package telemetry_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/codes"
	"go.opentelemetry.io/otel/metric"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/trace"

	"github.com/sealtrail/sealtrail/internal/telemetry"
)

const canary = "CANARY-7f3a"

// recorder keeps everything that would leave as a span.
type recorder struct {
	mu  sync.Mutex
	out strings.Builder
}

func (r *recorder) ExportSpans(_ context.Context, spans []sdktrace.ReadOnlySpan) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, s := range spans {
		fmt.Fprintln(&r.out, s.Name(), s.Attributes(), s.Events(), s.Links(), s.Status(), s.Resource())
	}
	return nil
}

func (r *recorder) Shutdown(context.Context) error { return nil }

func start(t *testing.T, spans sdktrace.SpanExporter) (*telemetry.Telemetry, *bytes.Buffer) {
	t.Helper()
	var log bytes.Buffer
	tel, err := telemetry.New(t.Context(), telemetry.Config{Output: &log, SpanExporter: spans, Version: "test"})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = tel.Shutdown(context.Background()) })
	return tel, &log
}

type leaky struct{ Phone string }

type valuer struct{}

func (valuer) LogValue() slog.Value {
	return slog.GroupValue(slog.String("phone", canary), slog.Int("count", 3))
}

func TestUnlistedLogAttributesAreDroppedAndCounted(t *testing.T) {
	t.Parallel()
	tel, log := start(t, nil)
	for name, line := range map[string]func(*slog.Logger){
		"unlisted name":            func(l *slog.Logger) { l.Info("x", slog.String("phone", canary), slog.Int("count", 3)) },
		"structure under a name":   func(l *slog.Logger) { l.Info("x", slog.Any("state", leaky{canary}), slog.Int("count", 3)) },
		"with":                     func(l *slog.Logger) { l.With(slog.String("phone", canary)).Info("x", slog.Int("count", 3)) },
		"group":                    func(l *slog.Logger) { l.Info("x", slog.Group("g", slog.String("phone", canary), slog.Int("count", 3))) },
		"name of a group":          func(l *slog.Logger) { l.WithGroup(canary).Info("x", slog.Int("count", 3)) },
		"valuer under listed name": func(l *slog.Logger) { l.Info("x", slog.Any("state", valuer{}), slog.Int("count", 3)) },
		"name is the value":        func(l *slog.Logger) { l.Info("x", slog.Int(canary, 1), slog.Int("count", 3)) },
	} {
		before, _ := tel.Dropped()
		log.Reset()
		line(tel.Logger)
		if strings.Contains(log.String(), canary) {
			t.Errorf("%s: the marker is in the log: %s", name, log)
		}
		if !strings.Contains(log.String(), `"count":3`) {
			t.Errorf("%s: a listed attribute is missing: %s", name, log)
		}
		if after, _ := tel.Dropped(); after <= before {
			t.Errorf("%s: nothing was counted", name)
		}
	}
}

func TestListedLogAttributesPass(t *testing.T) {
	t.Parallel()
	tel, log := start(t, nil)
	tel.Logger.Warn("signing a checkpoint", slog.Int("size", 12), slog.Any("err", errors.New("vault: sealed")), slog.String("log", "demo-bank/2026"))
	var got map[string]any
	if err := json.Unmarshal(log.Bytes(), &got); err != nil {
		t.Fatal(err)
	}
	if got["err"] != "vault: sealed" || got["size"] != 12.0 || got["log"] != "demo-bank/2026" {
		t.Errorf("line = %v", got)
	}
	if logs, _ := tel.Dropped(); logs != 0 {
		t.Errorf("dropped = %d, want 0", logs)
	}
}

func TestUnlistedSpanAttributesNeverLeave(t *testing.T) {
	t.Parallel()
	var rec recorder
	tel, _ := start(t, &rec)
	ctx, span := tel.Tracer.Tracer("t").Start(t.Context(), "GET /v1/complaints/{id}")
	span.SetAttributes(attribute.String("url.path", "/v1/complaints/"+canary), attribute.String("http.route", "/v1/complaints/{id}"),
		attribute.String("db.query.text", canary))
	span.AddEvent("retry", trace.WithAttributes(attribute.String("term", canary)))
	span.RecordError(errors.New(canary))
	span.SetStatus(codes.Error, canary)
	span.AddLink(trace.Link{SpanContext: span.SpanContext(), Attributes: []attribute.KeyValue{attribute.String("x", canary)}})
	span.End()
	if err := tel.Shutdown(ctx); err != nil {
		t.Fatal(err)
	}
	got := rec.out.String()
	if strings.Contains(got, canary) {
		t.Errorf("the marker left: %s", got)
	}
	if !strings.Contains(got, "/v1/complaints/{id}") || !strings.Contains(got, "exception.type") {
		t.Errorf("listed attributes are missing: %s", got)
	}
	if _, spans := tel.Dropped(); spans < 4 {
		t.Errorf("dropped = %d, want at least 4", spans)
	}
}

func TestUnlistedLabelsAreNoLabels(t *testing.T) {
	t.Parallel()
	tel, _ := start(t, nil)
	counter, err := tel.Meter.Meter("t").Int64Counter("sealtrail.test")
	if err != nil {
		t.Fatal(err)
	}
	for i := range 3 { // three people: one series
		counter.Add(t.Context(), 1, metric.WithAttributes(attribute.String("person", fmt.Sprint(canary, i)), attribute.String("outcome", "ok")))
	}
	got := scrape(t, tel)
	if strings.Contains(got, canary) {
		t.Errorf("the marker is a label:\n%s", got)
	}
	if !strings.Contains(got, `sealtrail_test_total{outcome="ok"} 3`) {
		t.Errorf("the counter is not one series of 3:\n%s", got)
	}
	if !strings.Contains(got, "sealtrail_telemetry_dropped") || !strings.Contains(got, "process_resident_memory_bytes") {
		t.Errorf("own and process metrics are missing:\n%s", got)
	}
}

func scrape(t *testing.T, tel *telemetry.Telemetry) string {
	t.Helper()
	w := httptest.NewRecorder()
	tel.Metrics.ServeHTTP(w, httptest.NewRequest("GET", "/metrics", nil))
	raw, err := io.ReadAll(w.Body)
	if err != nil {
		t.Fatal(err)
	}
	return string(raw)
}

func TestNoExporterWithoutVariables(t *testing.T) {
	for _, name := range []string{"OTEL_EXPORTER_OTLP_ENDPOINT", "OTEL_TRACES_EXPORTER"} {
		t.Setenv(name, "")
	}
	tel, _ := start(t, nil)
	if _, span := tel.Tracer.Tracer("t").Start(t.Context(), "x"); span.IsRecording() {
		t.Error("spans are recorded although nobody asked for them")
	}
}

func ExampleNew() {
	tel, err := telemetry.New(context.Background(), telemetry.Config{Output: io.Discard})
	if err != nil {
		panic(err)
	}
	defer func() { _ = tel.Shutdown(context.Background()) }()
	tel.Logger.Info("read", slog.String("phone", "13800138000")) // dropped: not a listed name
	logs, _ := tel.Dropped()
	fmt.Println(logs)
	// Output: 1
}

func BenchmarkCleanLine(b *testing.B) {
	tel, err := telemetry.New(b.Context(), telemetry.Config{Output: io.Discard})
	if err != nil {
		b.Fatal(err)
	}
	b.ReportAllocs()
	for b.Loop() {
		tel.Logger.LogAttrs(b.Context(), slog.LevelInfo, "x", slog.Int("count", 3), slog.String("state", "ok"))
	}
}
