// Package s3store keeps the published files of a log as objects of a bucket
// that speaks S3: a publish.Store that lies elsewhere than the service.
//
// The one idea: what a published path holds never changes, but for the
// checkpoint. So an object that is there with the same bytes is not written
// again, one with other bytes is refused, and where the bucket has object lock
// every object but the moving edge gets a date before which nobody, not the
// bucket's owner either, removes it.
//
// It must never know an entry: it is given bytes and paths.
package s3store

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/minio/minio-go/v7"
	"github.com/minio/minio-go/v7/pkg/credentials"

	"github.com/sealtrail/sealtrail/audit"
)

var (
	// ErrDifferent means: the store holds other bytes under a path whose content
	// never changes. One of the two is not what was published.
	ErrDifferent = errors.New("the store holds other bytes under this path")
	// ErrUnavailable means: the store cannot be reached or refuses to serve us.
	ErrUnavailable = errors.New("the store is not available")
)

const (
	// maxObject bounds what Get reads, in bytes: an entry bundle is at most 256
	// entries of 65,535 bytes, the file of trail heads 72 bytes for each trail.
	maxObject = 1 << 30
	// retries of one request; each is bounded by the caller's context.
	retries = 3
)

// Config says where the bucket is.
type Config struct {
	// Endpoint is a URL without a path, https but for loopback.
	Endpoint string
	// Bucket exists. Prefix, if set, is a folder in it, without slashes around.
	Bucket, Prefix string
	// Region signs requests; empty means us-east-1.
	Region string
	// AccessKey and SecretKey sign requests. They stand in no error.
	AccessKey, SecretKey string
	// CACert is a PEM bundle to trust in place of the system's; nil: the system's.
	CACert []byte
	// Retain is for how long objects that never change are locked, in compliance
	// mode, from when they are written. 0: no lock is asked for. The bucket must
	// have object lock, else every Put fails.
	Retain time.Duration
	// Now is the clock; nil: time.Now.
	Now func() time.Time
}

// Store is a publish.Store in a bucket. Safe for concurrent use.
type Store struct {
	client *minio.Client
	core   minio.Core
	cfg    Config
}

// New makes a client; it makes no call.
func New(cfg Config) (*Store, error) {
	at, err := url.Parse(cfg.Endpoint)
	if err != nil || at.Host == "" || strings.Trim(at.Path, "/") != "" || at.User != nil || at.Scheme != "https" && at.Scheme != "http" {
		return nil, errors.New("reading the S3 endpoint: want https://host[:port]")
	}
	if ip := net.ParseIP(at.Hostname()); at.Scheme == "http" && at.Hostname() != "localhost" && (ip == nil || !ip.IsLoopback()) {
		return nil, errors.New("reading the S3 endpoint: without TLS only loopback addresses are used")
	}
	if cfg.Bucket == "" || cfg.AccessKey == "" || cfg.SecretKey == "" {
		return nil, errors.New("opening the S3 store: bucket, access key and secret key are required")
	}
	if cfg.Prefix != "" && !fs.ValidPath(cfg.Prefix) || cfg.Prefix == "." {
		return nil, errors.New("reading the S3 prefix: want a relative path")
	}
	if cfg.Prefix != "" {
		cfg.Prefix += "/"
	}
	if cfg.Region == "" {
		cfg.Region = "us-east-1"
	}
	if cfg.Now == nil {
		cfg.Now = time.Now
	}
	secured := &tls.Config{MinVersion: tls.VersionTLS12}
	if cfg.CACert != nil {
		secured.RootCAs = x509.NewCertPool()
		if !secured.RootCAs.AppendCertsFromPEM(cfg.CACert) {
			return nil, errors.New("reading the CA of the S3 store: no certificate in it")
		}
	}
	client, err := minio.New(at.Host, &minio.Options{Creds: credentials.NewStaticV4(cfg.AccessKey, cfg.SecretKey, ""), Secure: at.Scheme == "https",
		Transport: transport(secured), Region: cfg.Region, BucketLookup: minio.BucketLookupPath, MaxRetries: retries})
	if err != nil {
		return nil, errors.New("opening the S3 store: the client refuses this endpoint")
	}
	return &Store{client: client, core: minio.Core{Client: client}, cfg: cfg}, nil
}

func transport(secured *tls.Config) *http.Transport {
	return &http.Transport{
		DialContext:         (&net.Dialer{Timeout: 2 * time.Second}).DialContext,
		TLSHandshakeTimeout: 5 * time.Second, ResponseHeaderTimeout: 30 * time.Second,
		MaxIdleConnsPerHost: 16, IdleConnTimeout: 90 * time.Second,
		DisableCompression: true, TLSClientConfig: secured,
	}
}

// moves reports whether the content of a path changes, or the path goes when a
// full file replaces it: such an object is never locked.
func moves(path string) bool {
	return path == audit.CheckpointPath || strings.Contains(path, ".p/") || strings.HasPrefix(path, audit.HeadsDir+"/") || strings.HasPrefix(path, "evidence/")
}

func (s *Store) name(path string) (string, error) {
	if !fs.ValidPath(path) || path == "." {
		return "", fmt.Errorf("path %q: %w", path, fs.ErrInvalid)
	}
	return s.cfg.Prefix + path, nil
}

// Put writes an object. S3 shows an object once it is whole, so a reader sees
// the old bytes or the new; it is durable when the store says so. A path that
// never changes is written once: the same bytes again are no write (and no new
// version in a bucket that keeps versions), other bytes are [ErrDifferent].
// crash here: the object is there or not; the caller writes again whatever it
// did not finish.
func (s *Store) Put(ctx context.Context, path string, contents []byte) error {
	name, err := s.name(path)
	if err != nil {
		return fmt.Errorf("publishing: %w", err)
	}
	opts := minio.PutObjectOptions{ContentType: "application/octet-stream", DisableMultipart: true}
	if !moves(path) {
		there, err := s.Get(ctx, path)
		switch {
		case err == nil && bytes.Equal(there, contents):
			return nil
		case err == nil:
			return fmt.Errorf("publishing %s: %w", path, ErrDifferent)
		case !errors.Is(err, fs.ErrNotExist):
			return err
		}
		if s.cfg.Retain > 0 {
			opts.Mode, opts.RetainUntilDate = minio.Compliance, s.cfg.Now().UTC().Add(s.cfg.Retain)
		}
	}
	if _, err := s.client.PutObject(ctx, s.cfg.Bucket, name, bytes.NewReader(contents), int64(len(contents)), opts); err != nil {
		return fmt.Errorf("publishing %s: %w", path, translate(ctx, err))
	}
	return nil
}

// Get reads an object.
func (s *Store) Get(ctx context.Context, path string) ([]byte, error) {
	name, err := s.name(path)
	if err != nil {
		return nil, fmt.Errorf("reading published: %w", err)
	}
	body, _, _, err := s.core.GetObject(ctx, s.cfg.Bucket, name, minio.GetObjectOptions{})
	if err != nil {
		return nil, fmt.Errorf("reading published %s: %w", path, translate(ctx, err))
	}
	defer body.Close()
	contents, err := io.ReadAll(io.LimitReader(body, maxObject+1))
	if err == nil && len(contents) > maxObject {
		err = errors.New("the object is too long")
	}
	if err != nil {
		return nil, fmt.Errorf("reading published %s: %w", path, translate(ctx, err))
	}
	return contents, nil
}

// Remove removes path and what lies below it. A locked object stays and is an
// error.
func (s *Store) Remove(ctx context.Context, path string) error {
	name, err := s.name(path)
	if err != nil {
		return fmt.Errorf("removing published: %w", err)
	}
	ctx, stop := context.WithCancel(ctx) // ends the listing on an error
	defer stop()
	names := []string{name}
	for o := range s.client.ListObjects(ctx, s.cfg.Bucket, minio.ListObjectsOptions{Prefix: name + "/", Recursive: true}) {
		if o.Err != nil {
			return fmt.Errorf("removing published %s: %w", path, translate(ctx, o.Err))
		}
		names = append(names, o.Key)
	}
	for _, n := range names {
		err := translate(ctx, s.client.RemoveObject(ctx, s.cfg.Bucket, n, minio.RemoveObjectOptions{}))
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			return fmt.Errorf("removing published %s: %w", path, err)
		}
	}
	return nil
}

// Locked reports whether the bucket can lock objects.
func (s *Store) Locked(ctx context.Context) (bool, error) {
	enabled, _, _, _, err := s.client.GetObjectLockConfig(ctx, s.cfg.Bucket)
	if code := minio.ToErrorResponse(err).Code; code == "ObjectLockConfigurationNotFoundError" {
		return false, nil
	}
	if err != nil {
		return false, fmt.Errorf("asking for the bucket's object lock: %w", translate(ctx, err))
	}
	return enabled == "Enabled", nil
}

// translate names what callers branch on and keeps the store's code only: its
// text repeats keys and what was signed.
func translate(ctx context.Context, err error) error {
	if err == nil {
		return nil
	}
	if ctx.Err() != nil {
		return ctx.Err()
	}
	answer := minio.ToErrorResponse(err)
	switch {
	case answer.Code == "NoSuchKey":
		return fs.ErrNotExist
	case answer.StatusCode != 0:
		return fmt.Errorf("%w: %s", ErrUnavailable, answer.Code)
	}
	return fmt.Errorf("%w: no answer", ErrUnavailable)
}
