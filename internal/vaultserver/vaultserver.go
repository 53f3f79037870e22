// Package vaultserver finds, builds and runs a real Vault server in a folder of
// its own, for the demo and for tests, and makes a Vault ready for an
// institution.
//
// One idea: everything is as an operator has it - server mode, raft storage,
// TLS, a file audit device, sealed after every start - except that one unseal
// share lies in a 0600 file beside the data, so that nobody has to type it.
// That one difference is said aloud on every first start: whoever can read the
// folder can read every key.
//
// It must never know PostgreSQL, a complaint or a key's bytes.
package vaultserver

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"sync"
	"syscall"
	"time"

	"github.com/hashicorp/vault/api"

	"github.com/sealtrail/sealtrail/internal/childproc"
)

// ErrNotOurs is returned when a Vault that somebody else runs would have to be
// stopped, sealed or unsealed.
var ErrNotOurs = errors.New("this Vault is not ours to stop, seal or unseal")

const (
	// startWithin is how long the server may take to answer, and again to
	// become active: 1 s is usual, a loaded machine takes longer.
	startWithin = 60 * time.Second
	// stopWithin is the time given to an orderly stop before SIGKILL.
	stopWithin = 15 * time.Second
	// poll is how often a starting server is asked for its state.
	poll = 25 * time.Millisecond
)

// Config says where a Vault lives.
type Config struct {
	// Dir is the server's folder, made with mode 0700 if absent. A folder
	// used before is started again and unsealed.
	Dir string
	// Log receives progress; nil is silent.
	Log Logf
}

// Server is a Vault to talk to. Its methods may be called concurrently.
type Server struct {
	addr      string
	caCert    string
	rootToken string

	cfg       Config
	program   Program
	port      int
	unsealKey string

	mu   sync.Mutex
	proc *childproc.Process
	ours bool
}

// secrets is the file unseal.json.
type secrets struct {
	Note      string `json:"note"`
	UnsealKey string `json:"unseal_key"`
	RootToken string `json:"root_token"`
}

const secretsNote = "For demo and tests only: in production three of five custodians hold shares and nobody keeps a root token."

// Open uses the Vault at VAULT_ADDR (with VAULT_TOKEN and VAULT_CACERT) if that
// is set, and else starts a private one.
func Open(ctx context.Context, cfg Config) (*Server, error) {
	addr := os.Getenv("VAULT_ADDR")
	if addr == "" {
		return Start(ctx, cfg)
	}
	cfg.Log.say("using the Vault at VAULT_ADDR")
	return At(addr, os.Getenv("VAULT_CACERT"), os.Getenv("VAULT_TOKEN")), nil
}

// At describes a Vault that somebody else runs. caCert is a file or empty.
func At(addr, caCert, token string) *Server {
	return &Server{addr: addr, caCert: caCert, rootToken: token}
}

// Start runs a private Vault in cfg.Dir and returns when it is initialised,
// unsealed, active and audited. The caller must Stop it; if the calling process
// dies without, Linux terminates it.
func Start(ctx context.Context, cfg Config) (*Server, error) {
	program, err := Find(ctx, cfg.Log)
	if err != nil {
		return nil, err
	}
	if cfg.Dir, err = filepath.Abs(cfg.Dir); err != nil {
		return nil, fmt.Errorf("locating Vault's folder: %w", err)
	}
	s := &Server{cfg: cfg, program: program, ours: true, caCert: filepath.Join(cfg.Dir, "ca.pem")}
	if err := os.MkdirAll(s.raftDir(), 0o700); err != nil {
		return nil, fmt.Errorf("making Vault's folder: %w", err)
	}
	if err := makeCertificates(cfg.Dir); err != nil {
		return nil, err
	}
	if err := s.Restart(ctx); err != nil {
		return nil, err
	}
	if err := s.makeReady(ctx); err != nil {
		return nil, errors.Join(err, s.Stop())
	}
	return s, nil
}

func (s *Server) raftDir() string     { return filepath.Join(s.cfg.Dir, "raft") }
func (s *Server) secretsFile() string { return filepath.Join(s.cfg.Dir, "unseal.json") }
func (s *Server) configFile() string  { return filepath.Join(s.cfg.Dir, "vault.hcl") }

// Addr is the server's URL, https on loopback for a private one.
func (s *Server) Addr() string { return s.addr }

// CACert is the file with the CA's certificate; empty means the system's CAs.
func (s *Server) CACert() string { return s.caCert }

// RootToken is the token of a private server's root, else VAULT_TOKEN.
func (s *Server) RootToken() string { return s.rootToken }

// Program is the path of the server program, which is also Vault's command
// line; empty for a Vault that somebody else runs.
func (s *Server) Program() string { return s.program.Path }

// AuditLogPath is the file audit device's file; empty for a Vault that somebody
// else runs.
func (s *Server) AuditLogPath() string { return s.inDir("audit.log") }

// LogFile is the server's own log; empty for a Vault that somebody else runs.
func (s *Server) LogFile() string { return s.inDir("vault.log") }

func (s *Server) inDir(name string) string {
	if !s.ours {
		return ""
	}
	return filepath.Join(s.cfg.Dir, name)
}

// Ours reports whether the server is a private one, which may be stopped.
func (s *Server) Ours() bool { return s.ours }

// Client returns a new client with the given token; empty is no token.
func (s *Server) Client(token string) (*api.Client, error) {
	return NewClient(s.addr, s.caCert, token)
}

// NewClient returns a client for addr that trusts the CA in the file caCert
// (empty: the system's) and sends token. It takes neither address, trust nor
// token from the environment, and it does not repeat a failed call by itself:
// a repeated call has its own deadline, decided by whoever repeats it.
func NewClient(addr, caCert, token string) (*api.Client, error) {
	transport := http.DefaultTransport.(*http.Transport).Clone()
	transport.Proxy = nil
	if caCert != "" {
		pem, err := os.ReadFile(caCert)
		if err != nil {
			return nil, fmt.Errorf("reading Vault's CA: %w", err)
		}
		pool := x509.NewCertPool()
		if !pool.AppendCertsFromPEM(pem) {
			return nil, fmt.Errorf("reading Vault's CA: no certificate in %s", caCert)
		}
		transport.TLSClientConfig = &tls.Config{RootCAs: pool, MinVersion: tls.VersionTLS12}
	}
	cfg := &api.Config{Address: addr, HttpClient: &http.Client{Transport: transport}, MaxRetries: 0}
	client, err := api.NewClient(cfg)
	if err != nil {
		return nil, fmt.Errorf("preparing a Vault client: %w", err)
	}
	client.ClearNamespace()
	client.SetToken(token)
	return client, nil
}

// Restart starts a stopped or killed server again, on the same port, and
// returns when it answers. It is then sealed, as Vault always is after a start:
// call Unseal. A running server is stopped first.
func (s *Server) Restart(ctx context.Context) error {
	if !s.ours {
		return ErrNotOurs
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if err := s.stopLocked(); err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, startWithin)
	defer cancel()
	if err := s.writeConfig(); err != nil {
		return err
	}
	proc, err := childproc.Start(childproc.Config{
		Path: s.program.Path, Args: []string{"server", "-config=" + s.configFile()}, Dir: s.cfg.Dir,
		LogFile: s.LogFile(), LastSignal: syscall.SIGTERM, Env: childproc.Environ(),
	})
	if err != nil {
		return err
	}
	if err := s.awaitAnswer(ctx, proc); err != nil {
		return errors.Join(err, proc.Kill())
	}
	s.proc = proc
	return nil
}

// writeConfig writes the server's configuration, taking two free ports the
// first time. The cluster port has no use with one node but Vault opens it.
func (s *Server) writeConfig() error {
	if s.port == 0 {
		port, err := freePort()
		if err != nil {
			return err
		}
		s.port, s.addr = port, "https://127.0.0.1:"+strconv.Itoa(port)
	}
	clusterPort, err := freePort()
	if err != nil {
		return err
	}
	text := fmt.Sprintf(configText, s.raftDir(), s.port, clusterPort,
		filepath.Join(s.cfg.Dir, "cert.pem"), filepath.Join(s.cfg.Dir, "key.pem"), s.port, clusterPort)
	if s.program.OpenBao {
		text += fmt.Sprintf(configAudit, s.AuditLogPath())
	}
	if err := os.WriteFile(s.configFile(), []byte(text), 0o600); err != nil {
		return fmt.Errorf("writing Vault's configuration: %w", err)
	}
	return nil
}

// configText is the private server's configuration. performance_multiplier 1
// makes it ready in 2.4 s instead of 8.6 s (measured). Memory is not locked:
// with raft storage it cannot be, and the demo says that its keys are its own.
const configText = `
storage "raft" {
  path                   = %q
  node_id                = "sealtrail"
  performance_multiplier = 1
}
listener "tcp" {
  address         = "127.0.0.1:%d"
  cluster_address = "127.0.0.1:%d"
  tls_cert_file   = %q
  tls_key_file    = %q
  tls_min_version = "tls12"
}
api_addr      = "https://127.0.0.1:%d"
cluster_addr  = "https://127.0.0.1:%d"
disable_mlock = true
ui            = false
log_level     = "warn"
`

const configAudit = `
audit "file" "file" {
  options {
    file_path = %q
  }
}
`

func freePort() (int, error) {
	l, err := net.Listen("tcp4", "127.0.0.1:0")
	if err != nil {
		return 0, fmt.Errorf("finding a free port: %w", err)
	}
	defer l.Close()
	return l.Addr().(*net.TCPAddr).Port, nil
}

func (s *Server) awaitAnswer(ctx context.Context, proc *childproc.Process) error {
	client, err := s.Client("")
	if err != nil {
		return err
	}
	err = proc.Await(ctx, poll, func() bool {
		_, err := client.Sys().SealStatusWithContext(ctx)
		return err == nil
	})
	if err != nil {
		return fmt.Errorf("starting Vault: %w", err)
	}
	return nil
}

// Stop ends a private server in good order. Stopping a stopped server is no
// error; a Vault that somebody else runs is left alone.
func (s *Server) Stop() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.stopLocked()
}

func (s *Server) stopLocked() error {
	if s.proc == nil || !s.proc.Running() {
		return nil
	}
	if err := s.proc.Stop(context.Background(), stopWithin, syscall.SIGTERM); err != nil {
		return fmt.Errorf("stopping Vault: %w", err)
	}
	return nil
}

// Kill ends a private server with SIGKILL. Restart and Unseal bring it back.
func (s *Server) Kill() error { return s.onProcess((*childproc.Process).Kill) }

// Pause holds a private server without ending it (SIGSTOP): a Vault that hangs.
func (s *Server) Pause() error {
	return s.onProcess(func(p *childproc.Process) error { return p.Signal(syscall.SIGSTOP) })
}

// Resume continues a paused server.
func (s *Server) Resume() error {
	return s.onProcess(func(p *childproc.Process) error { return p.Signal(syscall.SIGCONT) })
}

func (s *Server) onProcess(act func(*childproc.Process) error) error {
	if !s.ours {
		return ErrNotOurs
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.proc == nil || !s.proc.Running() {
		return nil
	}
	return act(s.proc)
}

func (s *Server) loadSecrets() error {
	b, err := os.ReadFile(s.secretsFile())
	if err != nil {
		return fmt.Errorf("reading the unseal key: %w", err)
	}
	var sec secrets
	if err := json.Unmarshal(b, &sec); err != nil {
		return fmt.Errorf("reading the unseal key: %w", err)
	}
	s.unsealKey, s.rootToken = sec.UnsealKey, sec.RootToken
	return nil
}

func (s *Server) keepSecrets() error {
	b, err := json.MarshalIndent(secrets{secretsNote, s.unsealKey, s.rootToken}, "", "  ")
	if err != nil {
		return fmt.Errorf("keeping the unseal key: %w", err)
	}
	if err := os.WriteFile(s.secretsFile(), append(b, '\n'), 0o600); err != nil {
		return fmt.Errorf("keeping the unseal key: %w", err)
	}
	return nil
}
