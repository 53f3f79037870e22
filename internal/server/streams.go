package server

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"regexp"
	"time"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/metric"
	"golang.org/x/sync/errgroup"

	"github.com/sealtrail/sealtrail/audit"
	"github.com/sealtrail/sealtrail/audit/pglog"
	"github.com/sealtrail/sealtrail/audit/publish"
	"github.com/sealtrail/sealtrail/internal/store"
	"github.com/sealtrail/sealtrail/internal/stream"
	"github.com/sealtrail/sealtrail/internal/telemetry"
)

// StreamsConfig names the streams of the log to other systems.
type StreamsConfig struct {
	Streams string `help:"JSON file that lists streams of the log to other systems (docs/operate/streams.md). Empty: none." env:"SEALTRAIL_STREAMS"`
}

// streamSpec is one stream of the file.
type streamSpec struct {
	Name string `json:"name"`
	Kind string `json:"kind"` // webhook, file or syslog

	URL         string   `json:"url"`          // webhook
	SecretFiles []string `json:"secret_files"` // webhook: newest first
	Path        string   `json:"path"`         // file
	Address     string   `json:"address"`      // syslog
	TLS         bool     `json:"tls"`          // syslog
	CACert      string   `json:"ca_cert"`      // webhook, syslog: PEM file; empty: the system's
}

// streamName is what a stream may be called.
var streamName = regexp.MustCompile(`^[a-z][a-z0-9_-]{0,31}$`)

// openStreams reads the file and makes every stream; it connects to nothing.
func (s *Server) openStreams(context.Context) error {
	if s.cfg.Streams == "" {
		return nil
	}
	raw, err := os.ReadFile(s.cfg.Streams)
	if err != nil {
		return errors.New("reading the streams: " + describe(err))
	}
	var list []streamSpec
	dec := json.NewDecoder(bytes.NewReader(raw))
	dec.DisallowUnknownFields()
	if err := dec.Decode(&list); err != nil {
		return fmt.Errorf("reading the streams: %w", err)
	}
	seen := map[string]bool{}
	for i, spec := range list {
		if !streamName.MatchString(spec.Name) || seen[spec.Name] {
			return fmt.Errorf("reading the streams: number %d: a name is 1 to 32 of a-z 0-9 _ -, begins with a letter and stands once", i+1)
		}
		seen[spec.Name] = true
		sink, err := spec.sink()
		if err != nil {
			return fmt.Errorf("reading the streams: %s: %w", spec.Name, err)
		}
		one, err := stream.New(stream.Config{Name: spec.Name, Sink: sink, Source: &publishedLog{server: s, readers: map[int]*publish.Reader{}},
			Cursor: streamCursor{store.New(s.pool), s.cfg.Institution}, Leads: func() bool { return s.publisher.leads() },
			Changed: func(ctx context.Context, state stream.State) { s.streamChanged(ctx, spec.Name, state) }})
		if err != nil {
			return err
		}
		s.outbound = append(s.outbound, one)
	}
	return nil
}

func (p *streamSpec) sink() (stream.Sink, error) {
	switch p.Kind {
	case "webhook":
		var secrets []string
		for _, file := range p.SecretFiles {
			secret, err := Secret(file)
			if err != nil {
				return nil, err
			}
			secrets = append(secrets, secret)
		}
		cfg, err := p.tls()
		if err != nil {
			return nil, err
		}
		return stream.NewWebhook(stream.WebhookConfig{URL: p.URL, Secrets: secrets, TLS: cfg})
	case "file":
		return stream.NewFile(p.Path)
	case "syslog":
		cfg, err := p.tls()
		if err != nil {
			return nil, err
		}
		if !p.TLS {
			cfg = nil
		}
		return stream.NewSyslog(stream.SyslogConfig{Address: p.Address, TLS: cfg})
	}
	return nil, fmt.Errorf("%w: kind is webhook, file or syslog", stream.ErrConfig)
}

func (p *streamSpec) tls() (*tls.Config, error) {
	cfg := &tls.Config{MinVersion: tls.VersionTLS12, ServerName: serverName(p.Address)}
	if p.CACert == "" {
		return cfg, nil
	}
	raw, err := os.ReadFile(p.CACert)
	if err != nil {
		return nil, errors.New("reading a CA: " + describe(err))
	}
	cfg.RootCAs = x509.NewCertPool()
	if !cfg.RootCAs.AppendCertsFromPEM(raw) {
		return nil, errors.New("reading a CA: no certificate in the file")
	}
	return cfg, nil
}

// serverName is the host of host:port, whom the certificate must name.
func serverName(address string) string {
	for i := len(address) - 1; i >= 0; i-- {
		if address[i] == ':' {
			return address[:i]
		}
	}
	return ""
}

// streams hands the log over until ctx ends.
func (s *Server) streams(ctx context.Context) error {
	if err := s.observeStreams(); err != nil {
		return err
	}
	group, gctx := errgroup.WithContext(ctx)
	for _, one := range s.outbound {
		group.Go(func() error { return one.Run(gctx) })
	}
	return group.Wait()
}

// streamChanged makes it an entry that a stream fails, or is well again.
func (s *Server) streamChanged(ctx context.Context, name string, state stream.State) {
	what := "well"
	if state.Failing {
		what = "failing"
		s.log.ErrorContext(ctx, "stream of the log fails", slog.String("name", name), slog.Any("error", state.Err))
	} else {
		s.log.InfoContext(ctx, "stream of the log goes on", slog.String("name", name))
	}
	alias, err := s.trail.Alias(ctx, "service")
	if err == nil {
		facts := audit.Facts{"stream": name, "what": what, "cursor": int(state.Place.Next), "seconds": int(time.Since(state.Since).Seconds())}
		_, err = s.trail.Append(ctx, s.serviceEvent(alias, "stream", "stream.state", facts))
	}
	if err != nil {
		s.log.WarnContext(ctx, "state of a stream not recorded", slog.String("name", name))
	}
}

func (s *Server) observeStreams() error {
	if len(s.outbound) == 0 {
		return nil
	}
	m := s.tel.Meter.Meter("sealtrail/server")
	behind, err := m.Int64ObservableGauge(telemetry.MetricStreamBehind, metric.WithUnit("{entry}"), metric.WithDescription("Signed entries that a stream has not handed over."))
	if err != nil {
		return fmt.Errorf("making the streams' metrics: %w", err)
	}
	failing, err := m.Int64ObservableGauge(telemetry.MetricStreamFailing, metric.WithDescription("1 if the receiver of a stream does not take entries."))
	if err != nil {
		return fmt.Errorf("making the streams' metrics: %w", err)
	}
	_, err = m.RegisterCallback(func(_ context.Context, o metric.Observer) error {
		for _, one := range s.outbound {
			state, of := one.State(), metric.WithAttributes(attribute.String("stream", one.Name()))
			o.ObserveInt64(behind, int64(state.Behind), of)
			bad := int64(0)
			if state.Failing {
				bad = 1
			}
			o.ObserveInt64(failing, bad, of)
		}
		return nil
	}, behind, failing)
	if err != nil {
		return fmt.Errorf("making the streams' metrics: %w", err)
	}
	return nil
}

// publishedLog reads what is streamed from the published files, not from
// PostgreSQL: what a receiver is shown was signed, and is proved against the
// checkpoint that goes with it. It is for one stream.
type publishedLog struct {
	server  *Server
	readers map[int]*publish.Reader
}

// Years implements stream.Source.
func (l *publishedLog) Years(ctx context.Context) (years []int, err error) {
	shards, err := pglog.Shards(ctx, l.server.pool, l.server.cfg.Institution)
	for _, shard := range shards {
		years = append(years, shard.Year)
	}
	return years, err
}

// Signed implements stream.Source.
func (l *publishedLog) Signed(ctx context.Context, year int) ([]byte, uint64, error) {
	shard := pglog.Shard{Institution: l.server.cfg.Institution, Year: year}
	folder, err := publish.NewFolder(l.server.publisher.folder(shard))
	if err != nil {
		return nil, 0, err
	}
	reader, err := publish.NewReader(ctx, folder)
	if errors.Is(err, publish.ErrNotPublished) {
		return nil, 0, nil
	}
	if err != nil {
		return nil, 0, err
	}
	l.readers[year] = reader
	return reader.Signed(), reader.Checkpoint().Size, nil
}

// Leaves implements stream.Source; Signed was asked before.
func (l *publishedLog) Leaves(ctx context.Context, year int, from, to uint64, f func([]byte) error) error {
	reader := l.readers[year]
	if reader == nil {
		return publish.ErrNotPublished
	}
	for index := from; index < to; index++ {
		leaf, _, err := reader.Entry(ctx, index)
		if err != nil {
			return err
		}
		if err := f(leaf); err != nil {
			return err
		}
	}
	return nil
}

// streamCursor keeps places in the database.
type streamCursor struct {
	store       *store.Store
	institution string
}

// Place implements stream.Cursor.
func (c streamCursor) Place(ctx context.Context, name string) (stream.Place, bool, error) {
	p, err := c.store.StreamPlace(ctx, c.institution, name)
	if errors.Is(err, store.ErrNotFound) {
		return stream.Place{}, false, nil
	}
	return stream.Place{Year: p.Year, Next: uint64(p.Next)}, err == nil, err
}

// Move implements stream.Cursor.
func (c streamCursor) Move(ctx context.Context, name string, from, to stream.Place) (bool, error) {
	return c.store.MoveStream(ctx, c.institution, name, store.StreamPlace{Year: from.Year, Next: int64(from.Next)}, store.StreamPlace{Year: to.Year, Next: int64(to.Next)})
}
