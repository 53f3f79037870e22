package httpapi

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	sdktrace "go.opentelemetry.io/otel/sdk/trace"

	"github.com/sealtrail/sealtrail/internal/authn"
	"github.com/sealtrail/sealtrail/internal/doortest"
	"github.com/sealtrail/sealtrail/internal/telemetry"
)

// stage is the whole API over a fake door, with everything it emits recorded.
type stage struct {
	door   *doortest.Door
	url    string
	issuer *authn.DevIssuer
	tel    *telemetry.Telemetry
	log    *syncBuffer
	spans  *spanSink
}

type syncBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (s *syncBuffer) Write(p []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.b.Write(p)
}
func (s *syncBuffer) String() string { s.mu.Lock(); defer s.mu.Unlock(); return s.b.String() }

type spanSink struct{ syncBuffer }

func (s *spanSink) ExportSpans(_ context.Context, spans []sdktrace.ReadOnlySpan) error {
	for _, sp := range spans {
		fmt.Fprintln(s, sp.Name(), sp.Attributes(), sp.Events(), sp.Status(), sp.Links())
	}
	return nil
}

func (s *spanSink) Shutdown(context.Context) error { return nil }

func newStage(t testing.TB, alter ...func(*Config)) *stage {
	t.Helper()
	s := &stage{door: &doortest.Door{}, log: &syncBuffer{}, spans: &spanSink{}}
	var err error
	s.tel, err = telemetry.New(t.Context(), telemetry.Config{Output: s.log, Level: slog.LevelDebug, SpanExporter: s.spans})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = s.tel.Shutdown(context.Background()) })
	if s.issuer, err = authn.NewDevIssuer(authn.DevConfig{}); err != nil {
		t.Fatal(err)
	}
	verifier := mustVerifier(t, s)
	cfg := Config{Door: s.door, Verifier: verifier, Logger: s.tel.Logger, Tracer: s.tel.Tracer, Meter: s.tel.Meter, Version: "test",
		Reasons: func(code string) (Reason, bool) {
			return Reason{ZH: "质检岗不可取用明文", EN: "Quality reviewers see masked values only", NextZH: "请经办人提供", NextEN: "ask the handler"}, code == "quality_masked_only"
		}}
	for _, a := range alter {
		a(&cfg)
	}
	handler, err := New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	srv := httptest.NewServer(handler)
	t.Cleanup(srv.Close)
	s.url = srv.URL
	return s
}

func mustVerifier(t testing.TB, s *stage) authn.Verifier {
	t.Helper()
	name := filepath.Join(t.TempDir(), "jwks.json")
	if err := os.WriteFile(name, s.issuer.JWKS(), 0o600); err != nil {
		t.Fatal(err)
	}
	verifier, err := authn.New(t.Context(), authn.Config{JWKSFile: name, Issuer: s.issuer.Issuer(), Audience: s.issuer.Audience()})
	if err != nil {
		t.Fatal(err)
	}
	return verifier
}

func (s *stage) token(t testing.TB, person string, roles ...string) string {
	t.Helper()
	token, err := s.issuer.Mint(authn.Persona{Person: person, Institution: "demo-bank", Kind: authn.KindHuman, Roles: roles}, time.Hour)
	if err != nil {
		t.Fatal(err)
	}
	return token
}

// call is one request; zero fields are sent as the usual ones.
type call struct {
	method, path, body string
	header             map[string]string
	noToken, noPurpose bool
	token              string
}

type answer struct {
	status int
	header http.Header
	body   []byte
}

// problem parses the answer as a problem.
func (a answer) problem(t testing.TB) Problem {
	t.Helper()
	var p Problem
	if err := json.Unmarshal(a.body, &p); err != nil {
		t.Fatalf("answer %d is no problem: %v", a.status, err)
	}
	if got := a.header.Get("Content-Type"); got != "application/problem+json" {
		t.Errorf("content type of a problem = %q", got)
	}
	if p.Status != a.status || p.RequestID != a.header.Get("Request-Id") || p.Instance != p.RequestID || p.Title == "" || p.Type != "urn:sealtrail:problem:"+p.Code {
		t.Errorf("inconsistent problem: %+v (status %d, request %s)", p, a.status, a.header.Get("Request-Id"))
	}
	return p
}

func (s *stage) do(t testing.TB, c call) answer {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), c.method, s.url+c.path, strings.NewReader(c.body))
	if err != nil {
		t.Fatal(err)
	}
	if c.body != "" {
		req.Header.Set("Content-Type", "application/json")
	}
	if !c.noToken {
		if c.token == "" {
			c.token = s.token(t, "p-1", "handler")
		}
		req.Header.Set("Authorization", "Bearer "+c.token)
	}
	if !c.noPurpose {
		req.Header.Set("Sealtrail-Purpose", "handle")
	}
	if c.method == http.MethodPost && c.path == "/v1/complaints" {
		req.Header.Set("Idempotency-Key", "k-1")
	}
	for k, v := range c.header {
		if v == "" {
			req.Header.Del(k)
			continue
		}
		req.Header.Set(k, v)
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	if resp.Header.Get("Request-Id") == "" || resp.Header.Get("Cache-Control") != "no-store" {
		t.Errorf("%s %s: Request-Id or Cache-Control is missing: %v", c.method, c.path, resp.Header)
	}
	return answer{status: resp.StatusCode, header: resp.Header, body: body}
}

const draftJSON = `{"source":"app","source_id":"A-1","channel":"mobile_app","received_at":"2026-03-02T09:00:00+08:00","fields":{"phone":"13800138000","narrative":"n"}}`

// file stores one complaint and returns its id.
func (s *stage) file(t testing.TB) string {
	t.Helper()
	a := s.do(t, call{method: "POST", path: "/v1/complaints", body: draftJSON})
	if a.status != http.StatusCreated {
		t.Fatalf("create = %d %s", a.status, a.body)
	}
	var c struct{ ID string }
	if err := json.Unmarshal(a.body, &c); err != nil {
		t.Fatal(err)
	}
	return c.ID
}
