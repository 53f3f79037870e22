package custody_test

import (
	"bytes"
	"fmt"
	"strings"
	"testing"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/codes"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/sdk/trace/tracetest"

	"github.com/sealtrail/sealtrail/crypto/field"
)

// TestPlainIsSealedInSpans: whatever way OpenTelemetry has to take a value.
func TestPlainIsSealedInSpans(t *testing.T) {
	t.Parallel()
	p := field.NewPlain([]byte("CANARY-13800138000"))
	key, err := field.NewKey(bytes.Repeat([]byte("CANARY-0"), 4))
	must(t, err)
	spans := tracetest.NewInMemoryExporter()
	tracer := sdktrace.NewTracerProvider(sdktrace.WithSyncer(spans)).Tracer("test")
	_, span := tracer.Start(t.Context(), fmt.Sprint("read ", p))
	span.SetAttributes(attribute.Stringer("value", p), attribute.Stringer("pointer", &p), attribute.Stringer("key", key), attribute.String("text", fmt.Sprintf("%x", p)))
	span.AddEvent(p.String())
	span.RecordError(fmt.Errorf("opening %v under %v", p, key))
	span.SetStatus(codes.Error, fmt.Sprintf("%q", p))
	span.End()
	text := fmt.Sprintf("%+v", spans.GetSpans())
	if strings.Contains(text, "CANARY") || strings.Contains(text, "43414e415259") || strings.Count(text, "[sealed]") < 8 {
		t.Errorf("span: %s", text)
	}
}
