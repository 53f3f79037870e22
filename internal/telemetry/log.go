package telemetry

import (
	"context"
	"log/slog"
	"sync/atomic"
)

// logFilter is a slog.Handler that lets only attributes of the allow-list pass.
// Dropped ones are counted, not reported: reporting would have to name them,
// and a name may be input.
type logFilter struct {
	next    slog.Handler
	allowed allowList
	dropped *atomic.Int64
}

func (f *logFilter) Enabled(ctx context.Context, level slog.Level) bool {
	return f.next.Enabled(ctx, level)
}

func (f *logFilter) Handle(ctx context.Context, r slog.Record) error {
	clean := true
	r.Attrs(func(a slog.Attr) bool {
		clean = f.passes(a)
		return clean
	})
	if clean {
		return f.next.Handle(ctx, r)
	}
	kept := slog.NewRecord(r.Time, r.Level, r.Message, r.PC)
	r.Attrs(func(a slog.Attr) bool {
		if a, ok := f.filter(a); ok {
			kept.AddAttrs(a)
		}
		return true
	})
	return f.next.Handle(ctx, kept)
}

func (f *logFilter) WithAttrs(attrs []slog.Attr) slog.Handler {
	kept := make([]slog.Attr, 0, len(attrs))
	for _, a := range attrs {
		if a, ok := f.filter(a); ok {
			kept = append(kept, a)
		}
	}
	return &logFilter{next: f.next.WithAttrs(kept), allowed: f.allowed, dropped: f.dropped}
}

// WithGroup keeps the name of a group only if it is listed; its attributes are
// judged by their own names either way.
func (f *logFilter) WithGroup(name string) slog.Handler {
	if !f.allowed.has(name) {
		f.dropped.Add(1)
		return f
	}
	return &logFilter{next: f.next.WithGroup(name), allowed: f.allowed, dropped: f.dropped}
}

// passes reports whether a may stay exactly as it is.
func (f *logFilter) passes(a slog.Attr) bool {
	return a.Value.Kind() != slog.KindGroup && a.Value.Kind() != slog.KindLogValuer && f.allowed.has(a.Key) && plain(a.Value)
}

// filter returns a, or what of it may stay.
func (f *logFilter) filter(a slog.Attr) (slog.Attr, bool) {
	a.Value = a.Value.Resolve()
	if a.Value.Kind() == slog.KindGroup {
		var kept []slog.Attr
		for _, inner := range a.Value.Group() {
			if inner, ok := f.filter(inner); ok {
				kept = append(kept, inner)
			}
		}
		if a.Key != "" && !f.allowed.has(a.Key) {
			a.Key = "" // an unnamed group is inlined
		}
		return slog.Attr{Key: a.Key, Value: slog.GroupValue(kept...)}, len(kept) > 0
	}
	if !f.allowed.has(a.Key) || !plain(a.Value) {
		f.dropped.Add(1)
		return slog.Attr{}, false
	}
	return a, true
}

// plain reports whether v is a scalar or an error. Structures are refused: an
// allowed name must not carry a whole request.
func plain(v slog.Value) bool {
	if v.Kind() != slog.KindAny {
		return true
	}
	switch v.Any().(type) {
	case error, nil, []string:
		return true
	}
	return false
}

// fanOut writes each record to both handlers.
type fanOut struct{ a, b slog.Handler }

func (f fanOut) Enabled(ctx context.Context, l slog.Level) bool {
	return f.a.Enabled(ctx, l) || f.b.Enabled(ctx, l)
}

func (f fanOut) Handle(ctx context.Context, r slog.Record) error {
	var err error
	if f.a.Enabled(ctx, r.Level) {
		err = f.a.Handle(ctx, r.Clone())
	}
	if f.b.Enabled(ctx, r.Level) {
		_ = f.b.Handle(ctx, r) // the collector's trouble is not the caller's
	}
	return err
}

func (f fanOut) WithAttrs(as []slog.Attr) slog.Handler {
	return fanOut{f.a.WithAttrs(as), f.b.WithAttrs(as)}
}

func (f fanOut) WithGroup(n string) slog.Handler { return fanOut{f.a.WithGroup(n), f.b.WithGroup(n)} }
