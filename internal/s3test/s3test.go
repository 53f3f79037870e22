// Package s3test gives tests a real S3-speaking server: Versity S3 Gateway over
// a folder, with TLS, on loopback.
//
// The one idea: it is built from a module of its own (tools/s3gateway) and
// cached, so that a test that needs it runs everywhere and is never skipped.
//
// It must never know what is stored.
package s3test

import (
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"fmt"
	"math/big"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/sealtrail/sealtrail/internal/childproc"
)

// Bucket is the bucket that every server has.
const Bucket = "sealed-files"

// startWithin is how long the server may take to answer; 0.2 s is usual.
const startWithin = 30 * time.Second

// Server is a running server with one bucket.
type Server struct {
	Endpoint             string // https URL on loopback
	AccessKey, SecretKey string
	CACert               []byte // PEM
	Dir                  string // the objects, as files below Dir/Bucket
	LogFile              string // what the server itself says

	t       testing.TB
	cfg     childproc.Config
	port    int
	process *childproc.Process
}

// New starts a server that ends with the test.
func New(t testing.TB) *Server {
	t.Helper()
	path, err := build(t.Context(), t.Logf)
	if err != nil {
		t.Fatalf("S3 gateway of the tests: %v", err)
	}
	home := t.TempDir()
	s := &Server{AccessKey: "AK" + rand.Text()[:16], SecretKey: rand.Text() + rand.Text(), Dir: filepath.Join(home, "objects"), LogFile: filepath.Join(home, "log"), t: t}
	sidecar := filepath.Join(home, "sidecar") // attributes: not every file system has them
	for _, dir := range []string{filepath.Join(s.Dir, Bucket), sidecar} {
		if err := os.MkdirAll(dir, 0o700); err != nil {
			t.Fatal(err)
		}
	}
	if s.CACert, err = certificate(home); err != nil {
		t.Fatal(err)
	}
	s.port = freePort(t)
	s.Endpoint = fmt.Sprintf("https://127.0.0.1:%d", s.port)
	s.cfg = childproc.Config{Path: path, LogFile: s.LogFile,
		Args: []string{"--port", fmt.Sprintf("127.0.0.1:%d", s.port), "--cert", filepath.Join(home, "cert.pem"), "--key", filepath.Join(home, "key.pem"), "posix", "--sidecar", sidecar, s.Dir},
		Env:  append(childproc.Environ(), "ROOT_ACCESS_KEY_ID="+s.AccessKey, "ROOT_SECRET_ACCESS_KEY="+s.SecretKey)}
	t.Cleanup(s.Stop)
	s.Start()
	return s
}

// Stop ends the server as a crash would. Start starts it again.
func (s *Server) Stop() {
	if s.process != nil {
		_ = s.process.Kill()
		s.process = nil
	}
}

// Start starts a stopped server and returns when it answers.
func (s *Server) Start() {
	s.t.Helper()
	var err error
	if s.process, err = childproc.Start(s.cfg); err != nil {
		s.t.Fatal(err)
	}
	pool := x509.NewCertPool()
	pool.AppendCertsFromPEM(s.CACert)
	client := &http.Client{Timeout: time.Second, Transport: &http.Transport{TLSClientConfig: &tls.Config{RootCAs: pool}}}
	defer client.CloseIdleConnections()
	ctx, cancel := context.WithTimeout(s.t.Context(), startWithin)
	defer cancel()
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for {
		answer, err := client.Get(s.Endpoint)
		if err == nil {
			_ = answer.Body.Close()
			return
		}
		select {
		case <-ctx.Done():
			said, _ := os.ReadFile(s.LogFile)
			s.t.Fatalf("the S3 gateway does not answer: %v\n%s", err, bytes.TrimSpace(said))
		case <-tick.C:
		}
	}
}

func freePort(t testing.TB) int {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return l.Addr().(*net.TCPAddr).Port
}

// certificate writes cert.pem and key.pem for loopback, which is its own CA.
func certificate(dir string) ([]byte, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, err
	}
	c := &x509.Certificate{SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "S3 gateway of the tests"},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(24 * time.Hour), IsCA: true, BasicConstraintsValid: true,
		KeyUsage: x509.KeyUsageDigitalSignature | x509.KeyUsageCertSign, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
		IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)}}
	der, err := x509.CreateCertificate(rand.Reader, c, c, key.Public(), key)
	if err != nil {
		return nil, err
	}
	keyDER, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		return nil, err
	}
	cert := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})
	if err := os.WriteFile(filepath.Join(dir, "cert.pem"), cert, 0o600); err != nil {
		return nil, err
	}
	return cert, os.WriteFile(filepath.Join(dir, "key.pem"), pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: keyDER}), 0o600)
}
