// Package tsatest is a time stamp authority for tests: openssl's own "ts -reply" behind a small HTTP server on loopback.
//
// The one idea: the tokens that our verifier takes are made by a program that nobody here wrote.
//
// It must never be linked into a program.
package tsatest

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"encoding/pem"
	"fmt"
	"io"
	"math/big"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"testing"
	"time"

	rfc3161 "github.com/digitorus/timestamp"
)

// Config says what authority New makes. The zero value is a good one.
type Config struct {
	NotAfter time.Time          // end of the certificate; zero = in a day
	Usage    []x509.ExtKeyUsage // nil = time stamping
}

// Authority is a running authority that ends with the test.
type Authority struct {
	URL    string
	CA     []byte // PEM
	CAFile string

	leaf *x509.Certificate
	key  *ecdsa.PrivateKey
	dir  string
	mu   sync.Mutex // openssl counts serials in a file
}

// New starts an authority. It needs the program openssl.
func New(t testing.TB, c Config) *Authority {
	t.Helper()
	a := &Authority{dir: t.TempDir()}
	a.CAFile = filepath.Join(a.dir, "ca.pem")
	if err := a.certificates(c); err != nil {
		t.Fatal(err)
	}
	config := fmt.Sprintf("[tsa]\nserial = %s\nsigner_cert = %s\nsigner_key = %s\ncerts = %s\ndefault_policy = 1.2.3.4.1\ndigests = sha256\nsigner_digest = sha256\naccuracy = secs:1\n",
		a.path("serial"), a.path("tsa.pem"), a.path("tsa.key"), a.CAFile)
	for name, text := range map[string]string{"tsa.cnf": config, "serial": "01\n"} {
		if err := os.WriteFile(a.path(name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	srv := httptest.NewServer(http.HandlerFunc(func(out http.ResponseWriter, r *http.Request) {
		query, err := io.ReadAll(r.Body)
		if err != nil || r.Header.Get("Content-Type") != "application/timestamp-query" {
			http.Error(out, "not a query", http.StatusBadRequest)
			return
		}
		answer, err := a.Reply(query)
		if err != nil {
			http.Error(out, err.Error(), http.StatusInternalServerError)
			return
		}
		out.Header().Set("Content-Type", "application/timestamp-reply")
		_, _ = out.Write(answer)
	}))
	t.Cleanup(srv.Close)
	a.URL = srv.URL
	return a
}

func (a *Authority) path(name string) string { return filepath.Join(a.dir, name) }

// Reply is openssl's answer to a query.
func (a *Authority) Reply(query []byte) ([]byte, error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if err := os.WriteFile(a.path("query"), query, 0o600); err != nil {
		return nil, err
	}
	cmd := exec.Command("openssl", "ts", "-reply", "-config", a.path("tsa.cnf"), "-section", "tsa", "-queryfile", a.path("query"), "-out", a.path("reply"))
	if said, err := cmd.CombinedOutput(); err != nil {
		return nil, fmt.Errorf("openssl ts -reply: %w: %s", err, said)
	}
	return os.ReadFile(a.path("reply"))
}

// Forge is an answer about text at a time of the caller's choice, with whatever certificate the authority has: what openssl refuses
// to sign.
func (a *Authority) Forge(text []byte, at time.Time) ([]byte, error) {
	sum := sha256.Sum256(text)
	ts := &rfc3161.Timestamp{HashAlgorithm: crypto.SHA256, HashedMessage: sum[:], Time: at, Policy: asn1.ObjectIdentifier{1, 2, 3, 4, 1}, AddTSACertificate: true}
	return ts.CreateResponseWithOpts(a.leaf, a.key, crypto.SHA256)
}

// certificates makes an authority and its signer.
func (a *Authority) certificates(c Config) error {
	caKey, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return err
	}
	now := time.Now()
	if c.NotAfter.IsZero() {
		c.NotAfter = now.Add(24 * time.Hour)
	}
	if c.Usage == nil {
		c.Usage = []x509.ExtKeyUsage{x509.ExtKeyUsageTimeStamping}
	}
	ca := &x509.Certificate{SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "CA of the tests"}, NotBefore: now.Add(-48 * time.Hour),
		NotAfter: now.Add(24 * time.Hour), IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign}
	caDER, err := x509.CreateCertificate(rand.Reader, ca, ca, caKey.Public(), caKey)
	if err != nil {
		return err
	}
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return err
	}
	usage, err := usageExtension(c.Usage)
	if err != nil {
		return err
	}
	leaf := &x509.Certificate{SerialNumber: big.NewInt(2), Subject: pkix.Name{CommonName: "TSA of the tests"}, NotBefore: now.Add(-36 * time.Hour), NotAfter: c.NotAfter,
		KeyUsage: x509.KeyUsageDigitalSignature, ExtraExtensions: []pkix.Extension{usage}}
	der, err := x509.CreateCertificate(rand.Reader, leaf, ca, key.Public(), caKey)
	if err != nil {
		return err
	}
	keyDER, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		return err
	}
	if a.leaf, err = x509.ParseCertificate(der); err != nil {
		return err
	}
	a.key = key
	a.CA = pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: caDER})
	for name, block := range map[string]*pem.Block{"tsa.pem": {Type: "CERTIFICATE", Bytes: der}, "tsa.key": {Type: "PRIVATE KEY", Bytes: keyDER}} {
		if err := os.WriteFile(a.path(name), pem.EncodeToMemory(block), 0o600); err != nil {
			return err
		}
	}
	return os.WriteFile(a.CAFile, a.CA, 0o600)
}

// usageExtension is the extended key usage, critical as RFC 3161 wants it, which crypto/x509 does not make by itself.
func usageExtension(usages []x509.ExtKeyUsage) (pkix.Extension, error) {
	oids := map[x509.ExtKeyUsage]asn1.ObjectIdentifier{
		x509.ExtKeyUsageTimeStamping: {1, 3, 6, 1, 5, 5, 7, 3, 8},
		x509.ExtKeyUsageServerAuth:   {1, 3, 6, 1, 5, 5, 7, 3, 1},
	}
	var list []asn1.ObjectIdentifier
	for _, u := range usages {
		list = append(list, oids[u])
	}
	value, err := asn1.Marshal(list)
	return pkix.Extension{Id: asn1.ObjectIdentifier{2, 5, 29, 37}, Critical: true, Value: value}, err
}
