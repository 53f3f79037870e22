package filestore

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/minio/minio-go/v7"
	"github.com/minio/minio-go/v7/pkg/credentials"
)

const (
	// partSize is one part of a multipart upload, in bytes: what one upload
	// holds in memory. S3 takes 10,000 parts of at least 5 MiB.
	partSize = 16 << 20
	// small is up to what length a blob goes in one request, in bytes.
	small = 1 << 20
	// retries of one request; each is bounded by the caller's context.
	retries = 3
)

// S3Config says where an S3-speaking store is.
type S3Config struct {
	// Endpoint is a URL without a path, https but for loopback.
	Endpoint string
	// Bucket exists; the service does not make it. Prefix, if set, is a folder
	// in it, without slashes around.
	Bucket, Prefix string
	// Region signs requests; empty means us-east-1, which self-hosted stores
	// commonly take.
	Region string
	// AccessKey and SecretKey sign requests. They are kept in memory only and
	// stand in no error.
	AccessKey, SecretKey string
	// CACert is a PEM bundle to trust in place of the system's; nil: the system's.
	CACert []byte
}

// S3 keeps blobs as objects of a bucket, by path-style requests. It is safe for
// concurrent use; each upload holds one part (16 MiB).
type S3 struct {
	client *minio.Client
	core   minio.Core
	bucket string
	prefix string
}

// NewS3 makes a client; it makes no call.
func NewS3(cfg S3Config) (*S3, error) {
	at, err := url.Parse(cfg.Endpoint)
	if err != nil || at.Host == "" || strings.Trim(at.Path, "/") != "" || at.User != nil || at.Scheme != "https" && at.Scheme != "http" {
		return nil, errors.New("reading the S3 endpoint: want https://host[:port]")
	}
	if at.Scheme == "http" && !loopback(at.Hostname()) {
		return nil, errors.New("reading the S3 endpoint: without TLS only loopback addresses are used")
	}
	if cfg.Bucket == "" || cfg.AccessKey == "" || cfg.SecretKey == "" {
		return nil, errors.New("opening the S3 store: bucket, access key and secret key are required")
	}
	if cfg.Prefix != "" && checkName(cfg.Prefix) != nil {
		return nil, errors.New("reading the S3 prefix: want small letters, digits and dashes")
	}
	if cfg.Region == "" {
		cfg.Region = "us-east-1"
	}
	transport, err := s3Transport(cfg.CACert)
	if err != nil {
		return nil, err
	}
	client, err := minio.New(at.Host, &minio.Options{
		Creds: credentials.NewStaticV4(cfg.AccessKey, cfg.SecretKey, ""), Secure: at.Scheme == "https",
		Transport: transport, Region: cfg.Region, BucketLookup: minio.BucketLookupPath, MaxRetries: retries,
	})
	if err != nil {
		return nil, errors.New("opening the S3 store: the client refuses this endpoint")
	}
	s := &S3{client: client, core: minio.Core{Client: client}, bucket: cfg.Bucket}
	if cfg.Prefix != "" {
		s.prefix = cfg.Prefix + "/"
	}
	return s, nil
}

func loopback(host string) bool {
	ip := net.ParseIP(host)
	return host == "localhost" || ip != nil && ip.IsLoopback()
}

func s3Transport(ca []byte) (*http.Transport, error) {
	secured := &tls.Config{MinVersion: tls.VersionTLS12}
	if ca != nil {
		secured.RootCAs = x509.NewCertPool()
		if !secured.RootCAs.AppendCertsFromPEM(ca) {
			return nil, errors.New("reading the CA of the S3 store: no certificate in it")
		}
	}
	return &http.Transport{
		DialContext:         (&net.Dialer{Timeout: 2 * time.Second}).DialContext,
		TLSHandshakeTimeout: 5 * time.Second, ResponseHeaderTimeout: 30 * time.Second,
		MaxIdleConnsPerHost: 16, IdleConnTimeout: 90 * time.Second,
		DisableCompression: true, TLSClientConfig: secured,
	}, nil
}

// Put implements Store. An object is visible once it is whole: a short one comes
// in one request, a longer one in parts that are put together at the end. crash
// in between: parts that Tidy removes.
func (s *S3) Put(ctx context.Context, name string, r io.Reader) (int64, error) {
	if err := checkName(name); err != nil {
		return 0, err
	}
	if _, err := s.Stat(ctx, name); err == nil {
		return 0, ErrExists
	} else if !errors.Is(err, ErrNotFound) {
		return 0, err
	}
	src := &source{ctx: ctx, r: r}
	head, err := io.ReadAll(io.LimitReader(src, small+1))
	if err != nil {
		return 0, src.failed(err)
	}
	opts := minio.PutObjectOptions{ContentType: "application/octet-stream", PartSize: partSize, NumThreads: 1}
	if len(head) <= small {
		_, err = s.client.PutObject(ctx, s.bucket, s.prefix+name, bytes.NewReader(head), int64(len(head)), opts)
	} else {
		_, err = s.client.PutObject(ctx, s.bucket, s.prefix+name, io.MultiReader(bytes.NewReader(head), src), -1, opts)
	}
	if err != nil {
		return 0, src.failed(s3Error(ctx, err))
	}
	return src.n, nil
}

// Get implements Store.
func (s *S3) Get(ctx context.Context, name string, offset, length int64) (io.ReadCloser, error) {
	if err := checkName(name); err != nil {
		return nil, err
	}
	if length <= 0 {
		return io.NopCloser(strings.NewReader("")), nil
	}
	var opts minio.GetObjectOptions
	if err := opts.SetRange(offset, offset+length-1); err != nil {
		return nil, fmt.Errorf("reading a file: %w", ErrName)
	}
	body, _, _, err := s.core.GetObject(ctx, s.bucket, s.prefix+name, opts)
	if err != nil {
		if code := minio.ToErrorResponse(err).Code; code == "InvalidRange" {
			return io.NopCloser(strings.NewReader("")), nil // it ends before: an early end
		}
		return nil, s3Error(ctx, err)
	}
	return &s3Body{ctx, body}, nil
}

// s3Body gives errors of the connection a type.
type s3Body struct {
	ctx context.Context
	io.ReadCloser
}

func (b *s3Body) Read(p []byte) (int, error) {
	n, err := b.ReadCloser.Read(p)
	if err != nil && !errors.Is(err, io.EOF) {
		err = s3Error(b.ctx, err)
	}
	return n, err
}

// Stat implements Store.
func (s *S3) Stat(ctx context.Context, name string) (Info, error) {
	if err := checkName(name); err != nil {
		return Info{}, err
	}
	info, err := s.client.StatObject(ctx, s.bucket, s.prefix+name, minio.StatObjectOptions{})
	if err != nil {
		return Info{}, s3Error(ctx, err)
	}
	return Info{Name: name, Size: info.Size, Modified: info.LastModified}, nil
}

// Delete implements Store.
func (s *S3) Delete(ctx context.Context, name string) error {
	if err := checkName(name); err != nil {
		return err
	}
	err := s.client.RemoveObject(ctx, s.bucket, s.prefix+name, minio.RemoveObjectOptions{})
	if err = s3Error(ctx, err); err != nil && !errors.Is(err, ErrNotFound) {
		return err
	}
	return nil
}

// List implements Store.
func (s *S3) List(ctx context.Context, each func(Info) error) error {
	ctx, stop := context.WithCancel(ctx) // ends the listing when each does
	defer stop()
	for o := range s.client.ListObjects(ctx, s.bucket, minio.ListObjectsOptions{Prefix: s.prefix, Recursive: true}) {
		if o.Err != nil {
			return s3Error(ctx, o.Err)
		}
		name := strings.TrimPrefix(o.Key, s.prefix)
		if checkName(name) != nil {
			continue
		}
		if err := each(Info{Name: name, Size: o.Size, Modified: o.LastModified}); err != nil {
			return err
		}
	}
	return ctx.Err()
}

// Tidy implements Store: it aborts uploads that were begun before the time.
func (s *S3) Tidy(ctx context.Context, before time.Time) (int, error) {
	ctx, stop := context.WithCancel(ctx)
	defer stop()
	removed := 0
	for u := range s.client.ListIncompleteUploads(ctx, s.bucket, s.prefix, true) {
		if u.Err != nil {
			return removed, s3Error(ctx, u.Err)
		}
		if !u.Initiated.Before(before) {
			continue
		}
		if err := s.core.AbortMultipartUpload(ctx, s.bucket, u.Key, u.UploadID); err != nil {
			return removed, s3Error(ctx, err)
		}
		removed++
	}
	return removed, nil
}

// Check implements Store: it asks for the bucket. Whether it may be written to
// the first file tells.
func (s *S3) Check(ctx context.Context) error {
	there, err := s.client.BucketExists(ctx, s.bucket)
	if err != nil {
		return s3Error(ctx, err)
	}
	if !there {
		return fmt.Errorf("%w: no such bucket", ErrUnavailable)
	}
	return nil
}

// s3Error names what callers branch on and keeps the store's code only: its
// text repeats keys and what was signed.
func s3Error(ctx context.Context, err error) error {
	if err == nil {
		return nil
	}
	if ctx.Err() != nil {
		return fmt.Errorf("asking the S3 store: %w", ctx.Err())
	}
	if errors.Is(err, errSource) {
		return errSource
	}
	answer := minio.ToErrorResponse(err)
	switch {
	case answer.Code == "NoSuchKey":
		return ErrNotFound
	case answer.StatusCode == http.StatusInsufficientStorage || answer.Code == "QuotaExceeded" || answer.Code == "StorageFull" || answer.Code == "XMinioStorageFull":
		return fmt.Errorf("%w: %s", ErrFull, answer.Code)
	case answer.StatusCode != 0:
		return fmt.Errorf("%w: %s", ErrUnavailable, answer.Code)
	}
	return fmt.Errorf("%w: no answer", ErrUnavailable)
}
