package httpapi

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"encoding/json"
	"errors"
	"log/slog"
	"net/http"
	"path"
	"runtime/debug"
	"strconv"
	"strings"
	"time"

	"github.com/danielgtaylor/huma/v2"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/codes"
	"go.opentelemetry.io/otel/trace"

	"github.com/sealtrail/sealtrail/internal/authn"
	"github.com/sealtrail/sealtrail/internal/custody"
	"github.com/sealtrail/sealtrail/internal/telemetry"
)

// exchange is one request and its answer. It is the http.ResponseWriter that
// the operations write to, and belongs to one goroutine.
type exchange struct {
	http.ResponseWriter
	s      *service
	r      *http.Request
	id     string // our request id
	zh     bool   // the caller reads Chinese
	route  *route // nil: no operation matched
	caller custody.Caller
	status int
	code   string // problem code, empty on success
	cause  error  // of a 500, for the log
	broken bool   // the answer broke off: the connection must not look whole
}

// route is what an operation is known by in logs, spans and metrics, and what
// is checked before its handler runs.
type route struct {
	method, pattern string
	name            string // span name: method and pattern
	query           map[string]struct{}
	long, public    bool
	stream          bool // no deadline: it is bounded by standing still
}

type exchangeKey struct{}

// from returns the exchange of an operation's context.
func from(ctx context.Context) *exchange { return ctx.Value(exchangeKey{}).(*exchange) }

// ServeHTTP implements http.Handler.
func (s *service) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	started := time.Now()
	x := &exchange{ResponseWriter: w, s: s, id: newRequestID(), zh: readsChinese(r.Header.Get("Accept-Language"))}
	h := w.Header()
	h.Set("Request-Id", x.id)
	h.Set("Cache-Control", "no-store")
	h.Set("X-Content-Type-Options", "nosniff")
	ctx := context.WithValue(r.Context(), exchangeKey{}, x)
	x.r = r.WithContext(ctx)
	defer x.end(ctx, started)
	// The mux would answer an unclean path with a redirect that repeats it.
	if p := r.URL.Path; p == "" || p[0] != '/' || path.Clean(p) != p {
		x.write(x.newProblem(codeNotFound))
		return
	}
	s.mux.ServeHTTP(x, x.r)
}

// WriteHeader remembers the status.
func (x *exchange) WriteHeader(status int) {
	if x.status == 0 {
		x.status = status
		x.ResponseWriter.WriteHeader(status)
	}
}

// Write implements http.ResponseWriter.
func (x *exchange) Write(b []byte) (int, error) {
	if x.status == 0 {
		x.WriteHeader(http.StatusOK)
	}
	return x.ResponseWriter.Write(b)
}

// Unwrap lets http.ResponseController find the connection.
func (x *exchange) Unwrap() http.ResponseWriter { return x.ResponseWriter }

// end is deferred by ServeHTTP: it turns a panic into an answer and keeps count.
func (x *exchange) end(ctx context.Context, started time.Time) {
	if v := recover(); v != nil {
		x.panicked(ctx, v)
	}
	x.finish(ctx, started)
	if x.broken {
		panic(http.ErrAbortHandler)
	}
}

// panicked answers 500. The panic's value may hold anything, so only the stack
// is logged; a broken connection is nobody's fault.
func (x *exchange) panicked(ctx context.Context, v any) {
	if err, ok := v.(error); ok && errors.Is(err, http.ErrAbortHandler) {
		return
	}
	x.s.log.LogAttrs(ctx, slog.LevelError, "recovered a panic", slog.String(telemetry.AttrRequest, x.id),
		slog.String(telemetry.AttrRoute, x.pattern()), slog.String(telemetry.AttrStack, string(debug.Stack())))
	if x.status == 0 {
		x.write(x.newProblem(codeInternal))
	}
}

// write sends a problem outside of an operation.
func (x *exchange) write(p *Problem) {
	raw, err := json.Marshal(p)
	if err != nil {
		raw = []byte(`{"code":"internal"}`)
	}
	if p.Status == http.StatusUnauthorized {
		x.Header().Set("WWW-Authenticate", "Bearer")
	}
	x.Header().Set("Content-Type", p.ContentType(""))
	x.Header().Set("Content-Length", strconv.Itoa(len(raw)))
	x.WriteHeader(p.Status)
	_, _ = x.Write(raw) // a caller who hung up gets nothing
}

func (x *exchange) pattern() string {
	if x.route == nil {
		return "unmatched"
	}
	return x.route.pattern
}

func (x *exchange) finish(ctx context.Context, started time.Time) {
	took := time.Since(started)
	x.s.metrics.served(ctx, x, took)
	level := slog.LevelDebug
	if x.status >= http.StatusInternalServerError {
		level = slog.LevelWarn
	}
	if !x.s.log.Enabled(ctx, level) {
		return
	}
	attrs := []slog.Attr{slog.String(telemetry.AttrRequest, x.id), slog.String(telemetry.AttrRoute, x.pattern()),
		slog.Int(telemetry.AttrStatus, x.status), slog.Duration(telemetry.AttrDuration, took), slog.String(telemetry.AttrCode, x.code)}
	if x.cause != nil {
		attrs = append(attrs, slog.String(telemetry.AttrError, unquoted(x.cause)))
	}
	x.s.log.LogAttrs(ctx, level, "answered", attrs...)
}

// unquoted is an error's text without what stands in quotes or in =(...): that is
// where drivers repeat values (invalid input syntax for type uuid: "...").
func unquoted(err error) string {
	var b strings.Builder
	rest := err.Error()
	for {
		i := strings.IndexAny(rest, "\"'`")
		if j := strings.Index(rest, "=("); j >= 0 && (i < 0 || j < i) {
			i = j + 1
		}
		if i < 0 {
			return b.String() + rest
		}
		end := rest[i : i+1]
		if end == "(" {
			end = ")"
		}
		b.WriteString(rest[:i+1] + "…")
		_, after, found := strings.Cut(rest[i+1:], end)
		if !found {
			return b.String()
		}
		b.WriteString(end)
		rest = after
	}
}

// unmatched answers what no operation matches: 405 where another method would.
func (s *service) unmatched(_ http.ResponseWriter, r *http.Request) {
	x := from(r.Context())
	var allow []string
	for _, method := range []string{http.MethodGet, http.MethodPost, http.MethodPatch, http.MethodDelete} {
		probe := &http.Request{Method: method, URL: r.URL, Host: r.Host}
		if _, pattern := s.mux.Handler(probe); pattern != "/" && pattern != "" {
			allow = append(allow, method)
		}
	}
	if len(allow) == 0 {
		x.write(x.newProblem(codeNotFound))
		return
	}
	x.Header().Set("Allow", strings.Join(allow, ", "))
	x.write(x.newProblem(codeMethodNotAllowed))
}

// newRequestID makes 96 random bits; an id that a caller sends is not used, or
// two requests could share one in the log.
func newRequestID() string {
	var b [12]byte
	rand.Read(b[:]) // never fails
	return "req_" + hex.EncodeToString(b[:])
}

// readsChinese reports whether zh stands before en in Accept-Language. Weights
// are not weighed: browsers send them in order.
func readsChinese(accept string) bool {
	for part := range strings.SplitSeq(accept, ",") {
		switch tag := strings.ToLower(strings.TrimSpace(part)); {
		case strings.HasPrefix(tag, "zh"):
			return true
		case strings.HasPrefix(tag, "en"):
			return false
		}
	}
	return false
}

// guarded runs an operation's handler behind what all operations share: span,
// deadline, query check and token. Its errors are always *Problem.
func guarded[I, O any](s *service, rt *route, h func(context.Context, *exchange, *I) (*O, error)) func(context.Context, *I) (*O, error) {
	return func(ctx context.Context, in *I) (*O, error) {
		x := from(ctx)
		x.route = rt
		deadline := s.cfg.Deadline
		if rt.long {
			deadline = s.cfg.LongDeadline
		}
		cancel := context.CancelFunc(func() {})
		if !rt.stream {
			ctx, cancel = context.WithTimeout(ctx, deadline)
		}
		defer cancel()
		ctx, span := s.tracer.Start(ctx, rt.name, trace.WithSpanKind(trace.SpanKindServer), trace.WithNewRoot())
		defer span.End()
		out, err := enter(ctx, x, in, h)
		if err == nil {
			return out, nil
		}
		p := x.problem(err)
		if p.Status == http.StatusUnauthorized {
			x.Header().Set("WWW-Authenticate", "Bearer")
		}
		if rt.stream {
			x.Header().Set("Connection", "close") // the rest of a file is not read
		}
		if span.IsRecording() {
			span.SetAttributes(attribute.String(telemetry.AttrRoute, rt.pattern), attribute.String(telemetry.AttrCode, p.Code))
			if p.Status >= http.StatusInternalServerError {
				span.SetStatus(codes.Error, "")
			}
		}
		return nil, p
	}
}

func enter[I, O any](ctx context.Context, x *exchange, in *I, h func(context.Context, *exchange, *I) (*O, error)) (*O, error) {
	if !x.route.public {
		if err := x.authenticate(ctx); err != nil {
			return nil, err
		}
	}
	if err := x.checkQuery(); err != nil {
		return nil, err
	}
	return h(ctx, x, in)
}

// authenticate fills in the caller from the bearer token.
func (x *exchange) authenticate(ctx context.Context) error {
	scheme, token, _ := strings.Cut(x.r.Header.Get("Authorization"), " ")
	if !strings.EqualFold(scheme, "Bearer") {
		token = ""
	}
	id, err := x.s.cfg.Verifier.Verify(ctx, strings.TrimSpace(token))
	if err != nil {
		var refused *authn.RefusedError
		if errors.As(err, &refused) {
			x.s.metrics.tokenRefused(ctx, string(refused.Cause))
		}
		return err
	}
	x.caller = custody.Caller{
		Institution: id.Institution, Person: id.Person, Kind: custody.Kind(id.Kind), Roles: id.Roles, Auth: id.Auth,
		OnBehalf: id.OnBehalf, Request: x.id, Net: x.s.cfg.Zone(x.r), Subject: id.Complaint,
	}
	return nil
}

// checkQuery refuses parameters that the operation does not have, and any that
// comes twice: two readers could each believe another one. They are named by
// their place only.
func (x *exchange) checkQuery() error {
	raw := x.r.URL.RawQuery
	if raw == "" {
		return nil
	}
	position, seen := 0, make(map[string]struct{}, len(x.route.query))
	for pair := range strings.SplitSeq(raw, "&") {
		position++
		key, _, _ := strings.Cut(pair, "=")
		code := "unknown_field"
		if _, ok := x.route.query[key]; ok {
			if _, twice := seen[key]; !twice {
				seen[key] = struct{}{}
				continue
			}
			code = "duplicate_key"
		}
		p := x.place(codeInvalid, "/query", code)
		p.Errors[0].Position = position
		return p
	}
	return nil
}

// operation describes one operation of the API.
type operation struct {
	id, method, path, tag string
	summary               string
	description           string
	body                  *huma.RequestBody
	status                int  // of a success; default 200
	long, public          bool // a longer deadline; no token needed
	stream                bool // no deadline: bounded by standing still
	responses             map[string]*huma.Response
}
