// Package vaulttest gives tests a real Vault server.
//
// One idea: what is tested is what runs - server mode, TLS, raft, an audit
// file, and the policies of deploy/vault. One server serves the whole run
// (internal/testrun sets SEALTRAIL_TEST_VAULT_*) or, under a plain `go test`,
// one test process. A test that stops or seals takes a Private one.
//
// It must never know a key's use.
package vaulttest

import (
	"context"
	"crypto/rand"
	"fmt"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/hashicorp/vault/api"

	"github.com/sealtrail/sealtrail/internal/scratch"
	"github.com/sealtrail/sealtrail/internal/vaultserver"
)

// The environment that names a shared server for tests. Only internal/testrun
// sets it; never point it at a Vault that matters.
const (
	EnvAddr   = "SEALTRAIL_TEST_VAULT_ADDR"
	EnvCACert = "SEALTRAIL_TEST_VAULT_CACERT"
	EnvToken  = "SEALTRAIL_TEST_VAULT_TOKEN"
	EnvAudit  = "SEALTRAIL_TEST_VAULT_AUDIT"
)

// bootstrapWithin is the deadline of one call that makes an institution.
const bootstrapWithin = 30 * time.Second

// Vault is a running, unsealed server.
type Vault struct {
	// Addr is its URL; CACert a file with the CA; RootToken may do anything;
	// AuditLog is the file audit device's file, shared by all tests of a run.
	Addr, CACert, RootToken, AuditLog string

	// Server is set for a Private one alone: stop, kill, seal, unseal.
	Server *vaultserver.Server

	t testing.TB
}

// New returns the run's shared server. The test must not stop or seal it, and
// should use institutions of its own (Name).
func New(t testing.TB) *Vault {
	t.Helper()
	v := &Vault{
		Addr: os.Getenv(EnvAddr), CACert: os.Getenv(EnvCACert),
		RootToken: os.Getenv(EnvToken), AuditLog: os.Getenv(EnvAudit), t: t,
	}
	if v.Addr != "" {
		return v
	}
	process.once.Do(startProcessServer)
	if process.err != nil {
		t.Fatalf("test Vault: %v", process.err)
	}
	return describe(t, process.server)
}

// Private starts a server for one test alone. It is stopped and removed when
// the test ends.
func Private(t testing.TB) *Vault {
	t.Helper()
	dir, err := scratch.New("vault")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := dir.Remove(); err != nil {
			t.Error(err)
		}
	})
	s, err := vaultserver.Start(context.Background(), vaultserver.Config{Dir: dir.Path, Log: t.Logf})
	if err != nil {
		t.Fatalf("private Vault: %v", err)
	}
	t.Cleanup(func() {
		if err := s.Stop(); err != nil {
			t.Error(err)
		}
	})
	v := describe(t, s)
	v.Server = s
	return v
}

func describe(t testing.TB, s *vaultserver.Server) *Vault {
	return &Vault{Addr: s.Addr(), CACert: s.CACert(), RootToken: s.RootToken(), AuditLog: s.AuditLogPath(), t: t}
}

// Name returns prefix with a random ending: an institution of the test's own.
func Name(prefix string) string { return prefix + "-" + strings.ToLower(rand.Text()[:10]) }

// Institution makes Vault ready for name, as an operator does, and returns what
// its service logs in with. Calling it again gives another secret id.
func (v *Vault) Institution(name string) (roleID, secretID string) {
	v.t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), bootstrapWithin)
	defer cancel()
	creds, err := vaultserver.Bootstrap(ctx, v.Client(v.RootToken), name)
	if err != nil {
		v.t.Fatalf("making institution %s: %v", name, err)
	}
	return creds.RoleID, creds.SecretID
}

// Client returns a new client that trusts the server's CA and sends token.
func (v *Vault) Client(token string) *api.Client {
	v.t.Helper()
	c, err := vaultserver.NewClient(v.Addr, v.CACert, token)
	if err != nil {
		v.t.Fatal(err)
	}
	return c
}

// Service returns a client that is logged in as the service of institution,
// which it makes ready first: exactly the rights that the service has.
func (v *Vault) Service(institution string) *api.Client {
	v.t.Helper()
	roleID, secretID := v.Institution(institution)
	ctx, cancel := context.WithTimeout(context.Background(), bootstrapWithin)
	defer cancel()
	c := v.Client("")
	if err := vaultserver.Login(ctx, c, vaultserver.Credentials{RoleID: roleID, SecretID: secretID}); err != nil {
		v.t.Fatal(err)
	}
	return c
}

// process is the server of this test process; see pgtest for how it ends.
var process struct {
	once   sync.Once
	server *vaultserver.Server
	dir    *scratch.Dir
	err    error
}

func startProcessServer() {
	if process.dir, process.err = scratch.New("vault"); process.err != nil {
		return
	}
	cfg := vaultserver.Config{Dir: process.dir.Path, Log: toStderr}
	process.server, process.err = vaultserver.Start(context.Background(), cfg)
}

// toStderr says what takes long: a first build of Vault must not look like a
// test that hangs.
func toStderr(format string, args ...any) { fmt.Fprintf(os.Stderr, "vaulttest: "+format+"\n", args...) }

// Main runs a package's tests and then stops the process's server at once:
//
//	func TestMain(m *testing.M) { os.Exit(vaulttest.Main(m)) }
//
// It is optional; without it the server ends with the process all the same. A
// package that also uses pgtest calls Cleanup beside pgtest.Main.
func Main(m *testing.M) int {
	code := m.Run()
	Cleanup()
	return code
}

// Cleanup stops the process's server, if it started one, and removes its folder.
func Cleanup() {
	if process.server != nil {
		_ = process.server.Kill() // nothing in it is to be kept
	}
	if process.dir != nil {
		_ = process.dir.Remove()
	}
}
