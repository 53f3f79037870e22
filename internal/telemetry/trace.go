package telemetry

import (
	"context"
	"sync/atomic"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/codes"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
)

// spanFilter is an exporter that lets only attributes of the allow-list leave
// the process, whoever set them. Descriptions of a status and messages of an
// exception go too: they are other libraries' words and may repeat input.
type spanFilter struct {
	sdktrace.SpanExporter
	allowed allowList
	dropped *atomic.Int64
}

// ExportSpans implements sdktrace.SpanExporter.
func (f *spanFilter) ExportSpans(ctx context.Context, spans []sdktrace.ReadOnlySpan) error {
	kept := make([]sdktrace.ReadOnlySpan, len(spans))
	for i, s := range spans {
		kept[i] = f.filter(s)
	}
	return f.SpanExporter.ExportSpans(ctx, kept)
}

func (f *spanFilter) filter(s sdktrace.ReadOnlySpan) sdktrace.ReadOnlySpan {
	c := cleanSpan{ReadOnlySpan: s, attrs: f.keep(s.Attributes())}
	for _, e := range s.Events() {
		e.Attributes = f.keep(e.Attributes)
		c.events = append(c.events, e)
	}
	for _, l := range s.Links() {
		l.Attributes = f.keep(l.Attributes)
		c.links = append(c.links, l)
	}
	return c
}

func (f *spanFilter) keep(all []attribute.KeyValue) []attribute.KeyValue {
	kept := make([]attribute.KeyValue, 0, len(all))
	for _, kv := range all {
		if f.allowed.has(string(kv.Key)) {
			kept = append(kept, kv)
		}
	}
	f.dropped.Add(int64(len(all) - len(kept)))
	return kept
}

// cleanSpan shows a span without what was filtered.
type cleanSpan struct {
	sdktrace.ReadOnlySpan
	attrs  []attribute.KeyValue
	events []sdktrace.Event
	links  []sdktrace.Link
}

// Attributes returns the kept attributes.
func (c cleanSpan) Attributes() []attribute.KeyValue { return c.attrs }

// Events returns the events with kept attributes.
func (c cleanSpan) Events() []sdktrace.Event { return c.events }

// Links returns the links with kept attributes.
func (c cleanSpan) Links() []sdktrace.Link { return c.links }

// Status returns the status without its description.
func (c cleanSpan) Status() sdktrace.Status {
	s := c.ReadOnlySpan.Status()
	if s.Code == codes.Error {
		s.Description = ""
	}
	return s
}
