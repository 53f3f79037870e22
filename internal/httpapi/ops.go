package httpapi

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"net/http/pprof"
	"sync"
	"sync/atomic"
	"time"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/metric"

	"github.com/sealtrail/sealtrail/internal/telemetry"
)

// checkWithin bounds one readiness check: below the 2 s that probes wait.
const checkWithin = 1500 * time.Millisecond

// Check is one thing without which the service is not ready. Its error is shown
// by its name only.
type Check struct {
	Name  string // db, vault, audit-writable, policy, migrations
	Check func(context.Context) error
}

// OpsConfig is what the ops port shows.
type OpsConfig struct {
	Checks  []Check
	Metrics http.Handler         // Prometheus text; nil: 404
	Meter   metric.MeterProvider // nil: no gauge of readiness
	// Profile serves /debug/pprof/. A profile shows what the program does and
	// how much memory it holds, so it is off unless an operator asks for it.
	Profile bool
}

// Ops is the handler of the ops port: /livez, /readyz and /metrics. It belongs
// on a loopback or management address: it has no authentication.
type Ops struct {
	cfg      OpsConfig
	mux      *http.ServeMux
	draining atomic.Bool
}

// NewOps builds the ops handler.
func NewOps(cfg OpsConfig) (*Ops, error) {
	o := &Ops{cfg: cfg, mux: http.NewServeMux()}
	o.mux.HandleFunc("GET /livez", func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write([]byte("ok\n")) })
	o.mux.HandleFunc("GET /readyz", o.readyz)
	if cfg.Metrics != nil {
		o.mux.Handle("GET /metrics", cfg.Metrics)
	}
	if cfg.Profile {
		o.mux.HandleFunc("GET /debug/pprof/", pprof.Index) // heap, allocs, goroutine and the others by name
		o.mux.HandleFunc("GET /debug/pprof/profile", pprof.Profile)
	}
	if cfg.Meter == nil {
		return o, nil
	}
	_, err := cfg.Meter.Meter("sealtrail/httpapi").Int64ObservableGauge(telemetry.MetricReady, metric.WithUnit("1"),
		metric.WithDescription("1 when a readiness check passes."), metric.WithInt64Callback(o.observe))
	if err != nil {
		return nil, errors.Join(errors.New("setting up the readiness metric"), err)
	}
	return o, nil
}

// Drain makes /readyz answer 503 from now on, so that balancers stop sending
// before the API port closes.
func (o *Ops) Drain() { o.draining.Store(true) }

// ServeHTTP implements http.Handler.
func (o *Ops) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("Cache-Control", "no-store")
	o.mux.ServeHTTP(w, r)
}

// outcome is one check's result.
type outcome struct {
	Name string `json:"name"`
	OK   bool   `json:"ok"`
	MS   int64  `json:"ms"`
}

// run runs all checks at the same time.
func (o *Ops) run(ctx context.Context) []outcome {
	outcomes := make([]outcome, len(o.cfg.Checks))
	var wg sync.WaitGroup
	for i, c := range o.cfg.Checks {
		wg.Go(func() {
			ctx, cancel := context.WithTimeout(ctx, checkWithin)
			defer cancel()
			started := time.Now()
			done := make(chan error, 1)
			go func() { done <- c.Check(ctx) }() // a check that ignores ctx must not hang the probe
			var err error
			select {
			case err = <-done:
			case <-ctx.Done():
				err = ctx.Err()
			}
			outcomes[i] = outcome{Name: c.Name, OK: err == nil, MS: time.Since(started).Milliseconds()}
		})
	}
	wg.Wait()
	return outcomes
}

func (o *Ops) readyz(w http.ResponseWriter, r *http.Request) {
	outcomes := o.run(r.Context())
	ready := !o.draining.Load()
	for _, c := range outcomes {
		ready = ready && c.OK
	}
	status, word := http.StatusOK, "ok"
	if !ready {
		status, word = http.StatusServiceUnavailable, "not ready"
	}
	if !r.URL.Query().Has("verbose") {
		w.WriteHeader(status)
		_, _ = w.Write([]byte(word + "\n"))
		return
	}
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(struct {
		Ready    bool      `json:"ready"`
		Draining bool      `json:"draining"`
		Checks   []outcome `json:"checks"`
	}{ready, o.draining.Load(), outcomes})
}

func (o *Ops) observe(ctx context.Context, observer metric.Int64Observer) error {
	for _, c := range o.run(ctx) {
		value := int64(0)
		if c.OK {
			value = 1
		}
		observer.Observe(value, metric.WithAttributes(attribute.String(telemetry.AttrCheck, c.Name)))
	}
	return nil
}
