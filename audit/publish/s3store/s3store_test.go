package s3store_test

import (
	"bytes"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io/fs"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/minio/minio-go/v7"
	"github.com/minio/minio-go/v7/pkg/credentials"

	"github.com/sealtrail/sealtrail/audit/publish"
	"github.com/sealtrail/sealtrail/audit/publish/s3store"
	"github.com/sealtrail/sealtrail/internal/s3test"
)

var _ publish.Store = (*s3store.Store)(nil)

// gateway is a running server with one bucket without and one with object lock.
type gateway struct {
	*s3test.Server
	client *minio.Client
}

const locked = "locked"

func newGateway(t *testing.T) *gateway {
	t.Helper()
	g := &gateway{Server: s3test.New(t)}
	at, err := url.Parse(g.Endpoint)
	if err != nil {
		t.Fatal(err)
	}
	pool := x509.NewCertPool()
	pool.AppendCertsFromPEM(g.CACert)
	g.client, err = minio.New(at.Host, &minio.Options{Creds: credentials.NewStaticV4(g.AccessKey, g.SecretKey, ""), Secure: true, Region: "us-east-1",
		Transport: &http.Transport{TLSClientConfig: &tls.Config{RootCAs: pool}}})
	if err != nil {
		t.Fatal(err)
	}
	return g
}

func (g *gateway) store(t *testing.T, bucket string, retain time.Duration) *s3store.Store {
	t.Helper()
	s, err := s3store.New(s3store.Config{Endpoint: g.Endpoint, Bucket: bucket, Prefix: "demo-bank/2026", AccessKey: g.AccessKey, SecretKey: g.SecretKey,
		CACert: g.CACert, Retain: retain})
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func TestStoreKeepsTheContract(t *testing.T) {
	t.Parallel()
	g := newGateway(t)
	s := g.store(t, s3test.Bucket, 0)
	ctx := t.Context()
	put := func(path, contents string, want error) {
		t.Helper()
		if err := s.Put(ctx, path, []byte(contents)); !errors.Is(err, want) {
			t.Errorf("Put %s: %v, want %v", path, err, want)
		}
	}
	get := func(path, want string) {
		t.Helper()
		if got, err := s.Get(ctx, path); err != nil || string(got) != want {
			t.Errorf("Get %s = %q, %v; want %q", path, got, err, want)
		}
	}
	if _, err := s.Get(ctx, "checkpoint"); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("Get of nothing: %v, want fs.ErrNotExist", err)
	}
	put("checkpoint", "one", nil)
	put("checkpoint", "two", nil) // the one path that is overwritten
	get("checkpoint", "two")
	put("tile/0/000", "hashes", nil)
	put("tile/0/000", "hashes", nil) // the same again is no write
	put("tile/0/000", "others", s3store.ErrDifferent)
	get("tile/0/000", "hashes")
	put("tile/0/001.p/3", "abc", nil)
	put("tile/0/001.p/4", "abcd", nil)
	put("tile/0/001.px", "stays", nil)
	if err := s.Remove(ctx, "tile/0/001.p"); err != nil {
		t.Fatal(err)
	}
	for _, gone := range []string{"tile/0/001.p/3", "tile/0/001.p/4"} {
		if _, err := s.Get(ctx, gone); !errors.Is(err, fs.ErrNotExist) {
			t.Errorf("Get %s after Remove: %v", gone, err)
		}
	}
	get("tile/0/001.px", "stays")
	if err := s.Remove(ctx, "nothing/here"); err != nil {
		t.Errorf("Remove of nothing: %v", err)
	}
	for _, bad := range []string{"", ".", "../x", "/x", "a//b"} {
		put(bad, "x", fs.ErrInvalid)
	}
	g.Stop()
	err := s.Put(ctx, "checkpoint", []byte("three"))
	if !errors.Is(err, s3store.ErrUnavailable) || strings.Contains(fmt.Sprint(err), g.AccessKey) || strings.Contains(fmt.Sprint(err), g.SecretKey) {
		t.Errorf("with the store away: %v, want ErrUnavailable without a key in it", err)
	}
}

// What never changes is locked until the date, in compliance mode: the server
// itself refuses to remove that version. The moving edge is not.
func TestObjectsAreLockedInCompliance(t *testing.T) {
	t.Parallel()
	g := newGateway(t)
	if err := g.client.MakeBucket(t.Context(), locked, minio.MakeBucketOptions{ObjectLocking: true}); err != nil {
		t.Fatal(err)
	}
	s := g.store(t, locked, 48*time.Hour)
	if on, err := s.Locked(t.Context()); err != nil || !on {
		t.Errorf("Locked = %v, %v", on, err)
	}
	if on, err := g.store(t, s3test.Bucket, 0).Locked(t.Context()); err != nil || on {
		t.Errorf("Locked of the other bucket = %v, %v", on, err)
	}
	for path, want := range map[string]bool{
		"tile/0/000": true, "tile/entries/000": true, "checkpoints/256": true, "blob/sha256/" + strings.Repeat("a", 64): true,
		"checkpoint": false, "tile/0/001.p/7": false, "tile/entries/001.p/7": false, "heads/300": false,
	} {
		if err := s.Put(t.Context(), path, []byte(path)); err != nil {
			t.Fatal(err)
		}
		name := "demo-bank/2026/" + path
		info, err := g.client.StatObject(t.Context(), locked, name, minio.StatObjectOptions{})
		if err != nil {
			t.Fatal(err)
		}
		mode, until := info.Metadata.Get("X-Amz-Object-Lock-Mode"), info.Metadata.Get("X-Amz-Object-Lock-Retain-Until-Date")
		if (mode == "COMPLIANCE") != want || (until != "") != want {
			t.Errorf("%s: lock %q until %q, want locked: %v", path, mode, until, want)
		}
		if !want {
			continue
		}
		if at, err := time.Parse(time.RFC3339, until); err != nil || time.Until(at) < 47*time.Hour || time.Until(at) > 49*time.Hour {
			t.Errorf("%s is locked until %s, want in 48 hours", path, until)
		}
		// With the owner's own key, and asking to bypass: refused.
		err = g.client.RemoveObject(t.Context(), locked, name, minio.RemoveObjectOptions{GovernanceBypass: true, VersionID: info.VersionID})
		if got, readErr := s.Get(t.Context(), path); err == nil || readErr != nil || !bytes.Equal(got, []byte(path)) {
			t.Errorf("%s was removed: %v, %v", path, err, readErr)
		}
	}
}
