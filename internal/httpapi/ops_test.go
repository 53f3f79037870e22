package httpapi

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"time"
)

func get(h http.Handler, path string) (int, string) {
	w := httptest.NewRecorder()
	h.ServeHTTP(w, httptest.NewRequest("GET", path, nil))
	return w.Code, w.Body.String()
}

func TestReadinessFollowsEveryCheck(t *testing.T) {
	t.Parallel()
	names := []string{"db", "vault", "audit-writable", "policy", "migrations"}
	var broken atomic.Int32
	broken.Store(-1)
	var checks []Check
	for i, name := range names {
		checks = append(checks, Check{Name: name, Check: func(context.Context) error {
			if broken.Load() == int32(i) {
				return errors.New("CANARY: password=1")
			}
			return nil
		}})
	}
	ops, err := NewOps(OpsConfig{Checks: checks})
	if err != nil {
		t.Fatal(err)
	}
	if status, body := get(ops, "/readyz"); status != 200 || body != "ok\n" {
		t.Errorf("all well: %d %q", status, body)
	}
	for i, name := range names {
		broken.Store(int32(i))
		status, body := get(ops, "/readyz?verbose")
		if status != 503 || !strings.Contains(body, fmt.Sprintf(`{"name":%q,"ok":false`, name)) || strings.Contains(body, "CANARY") {
			t.Errorf("%s broken: %d %s", name, status, body)
		}
		if status, _ := get(ops, "/livez"); status != 200 {
			t.Errorf("%s broken: /livez = %d; a dependency must not get the process killed", name, status)
		}
	}
	broken.Store(-1)
	ops.Drain()
	if status, body := get(ops, "/readyz?verbose"); status != 503 || !strings.Contains(body, `"draining":true`) {
		t.Errorf("draining: %d %s", status, body)
	}
}

func TestReadinessDoesNotHang(t *testing.T) {
	t.Parallel()
	forever := make(chan struct{})
	t.Cleanup(func() { close(forever) })
	ops, err := NewOps(OpsConfig{Checks: []Check{{Name: "db", Check: func(context.Context) error { <-forever; return nil }}}})
	if err != nil {
		t.Fatal(err)
	}
	started := time.Now()
	if status, _ := get(ops, "/readyz"); status != 503 {
		t.Errorf("status = %d", status)
	}
	if took := time.Since(started); took > 2*time.Second {
		t.Errorf("took %s", took)
	}
}

func TestMetricsAreOnTheOpsPort(t *testing.T) {
	t.Parallel()
	s := newStage(t)
	ops, err := NewOps(OpsConfig{Checks: []Check{{Name: "db", Check: func(context.Context) error { return nil }}}, Metrics: s.tel.Metrics, Meter: s.tel.Meter})
	if err != nil {
		t.Fatal(err)
	}
	s.do(t, call{method: "GET", path: "/v1/complaints/" + unknownID})
	s.do(t, call{method: "GET", path: "/v1/status", token: "bad"})
	_, body := get(ops, "/metrics")
	for _, want := range []string{`http_route="/v1/complaints/{id}"`, `sealtrail_ready_ratio{check="db"} 1`, `sealtrail_tokens_refused_total{cause="malformed"} 1`, `code="not_found"`} {
		if !strings.Contains(body, want) {
			t.Errorf("/metrics lacks %s", want)
		}
	}
}

// What a program does and holds is for nobody who did not ask for it.
func TestProfilesAreServedOnlyWhenAskedFor(t *testing.T) {
	t.Parallel()
	for _, asked := range []bool{false, true} {
		ops, err := NewOps(OpsConfig{Profile: asked})
		if err != nil {
			t.Fatal(err)
		}
		if status, _ := get(ops, "/debug/pprof/heap"); (status == 200) != asked {
			t.Errorf("asked for %v: status = %d", asked, status)
		}
	}
}

// Ending the context lets a request in flight finish, and says so first.
func TestServeDrains(t *testing.T) {
	t.Parallel()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	entered, leave := make(chan struct{}), make(chan struct{})
	var drained atomic.Bool
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() {
		done <- Serve(ctx, ServeConfig{Listener: ln, BeforeDrain: func() { drained.Store(true); close(leave) },
			Handler: http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
				close(entered)
				<-leave
				w.WriteHeader(http.StatusTeapot)
			})})
	}()
	answered := make(chan int, 1)
	go func() {
		resp, err := http.Get("http://" + ln.Addr().String())
		if err != nil {
			answered <- -1
			return
		}
		resp.Body.Close()
		answered <- resp.StatusCode
	}()
	<-entered
	cancel()
	if got := <-answered; got != http.StatusTeapot {
		t.Errorf("request in flight = %d", got)
	}
	if err := <-done; err != nil || !drained.Load() {
		t.Errorf("Serve = %v, drained %v", err, drained.Load())
	}
}
