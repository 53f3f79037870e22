package server

import (
	"cmp"
	"context"
	"fmt"
	"log/slog"
	"os"
	"path"
	"sync"
	"time"

	"go.opentelemetry.io/otel/metric"

	"github.com/sealtrail/sealtrail/audit"
	"github.com/sealtrail/sealtrail/audit/pglog"
	"github.com/sealtrail/sealtrail/audit/publish"
	"github.com/sealtrail/sealtrail/audit/publish/s3store"
	"github.com/sealtrail/sealtrail/internal/telemetry"
)

// PublishedStoreConfig says where, beside the folder, every published file is
// put: in a store that speaks S3.
type PublishedStoreConfig struct {
	PublishedEndpoint   string        `name:"published-s3-endpoint" help:"URL of an S3-speaking store that every published file is copied to. Empty: the folder only." env:"SEALTRAIL_PUBLISHED_S3_ENDPOINT"`
	PublishedBucket     string        `name:"published-s3-bucket" help:"Its bucket, which exists." env:"SEALTRAIL_PUBLISHED_S3_BUCKET"`
	PublishedPrefix     string        `name:"published-s3-prefix" help:"Folder in the bucket." env:"SEALTRAIL_PUBLISHED_S3_PREFIX"`
	PublishedRegion     string        `name:"published-s3-region" help:"Region to sign requests for." default:"us-east-1" env:"SEALTRAIL_PUBLISHED_S3_REGION"`
	PublishedAccessFile string        `name:"published-s3-access-key-file" help:"File with the access key." env:"SEALTRAIL_PUBLISHED_S3_ACCESS_KEY_FILE"`
	PublishedSecretFile string        `name:"published-s3-secret-key-file" help:"File with the secret key." env:"SEALTRAIL_PUBLISHED_S3_SECRET_KEY_FILE"`
	PublishedCACert     string        `name:"published-s3-ca-cert" help:"PEM file of the store's CA." env:"SEALTRAIL_PUBLISHED_S3_CACERT"`
	PublishedRetain     time.Duration `name:"published-s3-retain" help:"How long what never changes is locked in the bucket, which must have object lock; 0: not locked." env:"SEALTRAIL_PUBLISHED_S3_RETAIN"`
}

// OpenPublishedStore is the store of one log's published files; nil if none is
// configured. It makes no call.
func (c *PublishedStoreConfig) OpenPublishedStore(shard pglog.Shard) (publish.Store, error) {
	if c.PublishedEndpoint == "" {
		return nil, nil
	}
	access, err := Secret(c.PublishedAccessFile)
	if err != nil {
		return nil, err
	}
	secret, err := Secret(c.PublishedSecretFile)
	if err != nil {
		return nil, err
	}
	var ca []byte
	if c.PublishedCACert != "" {
		if ca, err = os.ReadFile(c.PublishedCACert); err != nil {
			return nil, fmt.Errorf("reading the CA of the S3 store: %w", err)
		}
	}
	return s3store.New(s3store.Config{Endpoint: c.PublishedEndpoint, Bucket: c.PublishedBucket, Prefix: path.Join(c.PublishedPrefix, shard.Folder()),
		Region: c.PublishedRegion, AccessKey: access, SecretKey: secret, CACert: ca, Retain: c.PublishedRetain})
}

const (
	mirrorEvery  = 2 * time.Second
	mirrorWithin = 5 * time.Minute // one round: after a long outage there is much to copy
	// mirrorLate is how long the store may lack what is published before that is
	// an alarm.
	mirrorLate = time.Minute
)

// mirrors is what this process copies, by year of the log.
type mirrors struct {
	mu   sync.Mutex
	list map[int]*publish.Mirror
	late bool // an alarm was raised
	// limit is mirrorLate, but in tests.
	limit time.Duration
}

// mirror copies what is published to the configured store while this process
// leads. The folder stays what is served, and nobody waits for the store.
func (s *Server) mirror(ctx context.Context) error {
	if s.cfg.PublishedEndpoint == "" {
		<-ctx.Done()
		return nil
	}
	return every(ctx, mirrorEvery, func(ctx context.Context) {
		if !s.publisher.leads() {
			s.publisher.mirrors.clear() // who led before copied on: look at the store again when it is our turn
			return
		}
		for _, shard := range s.publisher.shards() {
			if err := s.mirrorOne(ctx, shard); err != nil && ctx.Err() == nil {
				s.log.WarnContext(ctx, "published files not copied to the store", slog.String("log", shard.Folder()), slog.String("cause", err.Error()))
			}
		}
		s.mirrorAlarm(ctx)
	})
}

func (s *Server) mirrorOne(ctx context.Context, shard pglog.Shard) error {
	ctx, cancel := context.WithTimeout(ctx, mirrorWithin)
	defer cancel()
	m, err := s.mirrorOf(shard)
	if err != nil {
		return err
	}
	return m.Sync(ctx)
}

func (s *Server) mirrorOf(shard pglog.Shard) (*publish.Mirror, error) {
	s.publisher.mirrors.mu.Lock()
	defer s.publisher.mirrors.mu.Unlock()
	if m := s.publisher.mirrors.list[shard.Year]; m != nil {
		return m, nil
	}
	to, err := s.cfg.OpenPublishedStore(shard)
	if err != nil {
		return nil, err
	}
	from, err := publish.NewFolder(s.publisher.folder(shard))
	if err != nil {
		return nil, err
	}
	tree := pglog.NewTree(s.pool, shard)
	m, err := publish.NewMirror(publish.MirrorConfig{From: from, To: to, Origin: shard.Origin, VerifierKey: s.publisher.vkeyOf(shard.Year),
		Sizes: func(ctx context.Context, from uint64) (sizes []uint64, err error) {
			list, err := tree.Checkpoints(ctx, from+1)
			for _, c := range list {
				sizes = append(sizes, c.Size)
			}
			return sizes, err
		}})
	if err != nil {
		return nil, err
	}
	if s.publisher.mirrors.list == nil {
		s.publisher.mirrors.list = map[int]*publish.Mirror{}
	}
	s.publisher.mirrors.list[shard.Year] = m
	return m, nil
}

func (m *mirrors) clear() {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.list, m.late = nil, false
}

// state is the size that is in the store of this year's log, and since when any
// log's store lacks something.
func (m *mirrors) state() (size uint64, behind time.Time) {
	m.mu.Lock()
	defer m.mu.Unlock()
	for year, one := range m.list {
		status := one.Status()
		if year == time.Now().UTC().Year() {
			size = status.Size
		}
		if at := status.Behind; !at.IsZero() && (behind.IsZero() || at.Before(behind)) {
			behind = at
		}
	}
	return size, behind
}

// mirrorAlarm makes it an entry that the store is behind for long, and that it
// is no longer.
func (s *Server) mirrorAlarm(ctx context.Context) {
	size, behind := s.publisher.mirrors.state()
	late := !behind.IsZero() && time.Since(behind) > cmp.Or(s.publisher.mirrors.limit, mirrorLate)
	if late == s.publisher.mirrors.late {
		return
	}
	kind, facts := "mirror.recovered", audit.Facts{"size": int(size)}
	if late {
		kind = "mirror.behind"
		facts["seconds"] = int(time.Since(behind).Seconds())
		s.log.ErrorContext(ctx, "the store lacks published files", slog.Uint64("index", size))
	}
	alias, err := s.trail.Alias(ctx, "service")
	if err != nil {
		return
	}
	if _, err := s.trail.Append(ctx, s.serviceEvent(alias, "mirror", kind, facts)); err == nil {
		s.publisher.mirrors.late = late
	}
}

// observeMirror registers how far the store is.
func (s *Server) observeMirror(m metric.Meter) error {
	size, err := m.Int64ObservableGauge(telemetry.MetricMirrorSize, metric.WithUnit("{entry}"), metric.WithDescription("Entries of this year's log in the store, read back."))
	if err != nil {
		return fmt.Errorf("making the mirror's metrics: %w", err)
	}
	lag, err := m.Float64ObservableGauge(telemetry.MetricMirrorLag, metric.WithUnit("s"), metric.WithDescription("For how long the store has lacked something that is published."))
	if err != nil {
		return fmt.Errorf("making the mirror's metrics: %w", err)
	}
	_, err = m.RegisterCallback(func(_ context.Context, o metric.Observer) error {
		if s.cfg.PublishedEndpoint == "" || !s.publisher.leads() {
			return nil
		}
		n, behind := s.publisher.mirrors.state()
		o.ObserveInt64(size, int64(n))
		if behind.IsZero() {
			o.ObserveFloat64(lag, 0)
		} else {
			o.ObserveFloat64(lag, time.Since(behind).Seconds())
		}
		return nil
	}, size, lag)
	if err != nil {
		return fmt.Errorf("making the mirror's metrics: %w", err)
	}
	return nil
}
