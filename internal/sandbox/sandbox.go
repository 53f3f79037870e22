// Package sandbox is a whole Sealtrail installation on loopback: a private
// PostgreSQL, a real Vault, a witness with a folder of its own, the service as
// a process of its own, and a staff that was appointed the ordinary way.
//
// The one idea: demo, end-to-end tests and benchmarks stand on the same
// installation that an operator would make, made by the same commands. It must
// never be used for anybody's real complaints: one unseal share lies in a file.
package sandbox

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"sync"
	"time"

	"github.com/jackc/pgx/v5"
	"golang.org/x/sync/errgroup"

	"github.com/sealtrail/sealtrail/internal/authn"
	"github.com/sealtrail/sealtrail/internal/childproc"
	"github.com/sealtrail/sealtrail/internal/pgserver"
	"github.com/sealtrail/sealtrail/internal/vaultserver"
)

// Institution is the sandbox's only institution.
const Institution = "demo-bank"

// Config says where and how. Dir and Bin are required.
type Config struct {
	Dir string // folder of everything; made 0700
	Bin string // folder with sealtraild, sealtrail and trailcheck
	// Log receives progress, one line at a time; nil is silent.
	Log func(format string, args ...any)
	// ServeArgs are added to `sealtraild serve`.
	ServeArgs []string
	// ServeEnv is added to the service's environment, as NAME=value.
	ServeEnv []string
	// IssuerSeed makes the issuer's key known, for tests that forge with it: 32
	// bytes. Nil: a random key.
	IssuerSeed []byte
}

// Sandbox is a running installation. Its fields are set by Start.
type Sandbox struct {
	cfg    Config
	issuer *authn.DevIssuer

	PG    *pgserver.Server
	Vault *vaultserver.Server

	API, Ops     string // base URLs
	WitnessURL   string
	WitnessKey   string // verifier key of the witness
	LogKey       string // verifier key of the log
	DatabaseName string

	mu       sync.Mutex
	service  *childproc.Process
	witness  *childproc.Process
	replicas []*Replica
	log      func(format string, args ...any)
}

// Start builds and starts everything. On error whatever was started is stopped.
func Start(ctx context.Context, cfg Config) (*Sandbox, error) {
	if cfg.Dir == "" || cfg.Bin == "" {
		return nil, errors.New("starting a sandbox: Dir and Bin are required")
	}
	s := &Sandbox{cfg: cfg, DatabaseName: "sealtrail", log: cfg.Log}
	if s.log == nil {
		s.log = func(string, ...any) {}
	}
	if err := os.MkdirAll(cfg.Dir, 0o700); err != nil {
		return nil, fmt.Errorf("making the sandbox's folder: %w", err)
	}
	for _, step := range []func(context.Context) error{s.startServers, s.prepareDatabase, s.prepareInstitution, s.prepareIssuer, s.startWitness, s.found, s.StartService, s.appoint, s.describe} {
		if err := step(ctx); err != nil {
			return nil, errors.Join(err, s.Stop())
		}
	}
	return s, nil
}

// path is a place in the sandbox's folder.
func (s *Sandbox) path(parts ...string) string {
	return filepath.Join(append([]string{s.cfg.Dir}, parts...)...)
}

// Dir is the folder of everything.
func (s *Sandbox) Dir() string { return s.cfg.Dir }

// Published is the root of the published logs; LogDir is this year's log.
func (s *Sandbox) Published() string { return s.path("published") }

// LogDir is the folder of this year's log: what an auditor is given.
func (s *Sandbox) LogDir() string {
	return s.path("published", Institution, fmt.Sprint(time.Now().UTC().Year()))
}

// KeyFile holds the log's verifier key, one line.
func (s *Sandbox) KeyFile() string { return s.path("log.vkey") }

// ServiceLog is what the service wrote to standard error.
func (s *Sandbox) ServiceLog() string { return s.path("logs", "service.log") }

// Program is the path of one of the three commands.
func (s *Sandbox) Program(name string) string { return filepath.Join(s.cfg.Bin, name) }

// startServers brings PostgreSQL and Vault up at the same time.
func (s *Sandbox) startServers(ctx context.Context) error {
	group, gctx := errgroup.WithContext(ctx)
	group.Go(func() (err error) {
		s.PG, err = pgserver.Start(gctx, pgserver.Config{Dir: s.path("postgres"), Log: s.log})
		return err
	})
	group.Go(func() (err error) {
		s.Vault, err = vaultserver.Open(gctx, vaultserver.Config{Dir: s.path("vault"), Log: s.log})
		return err
	})
	return group.Wait()
}

// AdminDSN is the superuser's address of the sandbox's database.
func (s *Sandbox) AdminDSN() string {
	return onDatabase(s.PG.AdminDSN(), s.DatabaseName)
}

// Admin connects as the superuser: for showing rows and for tampering.
func (s *Sandbox) Admin(ctx context.Context) (*pgx.Conn, error) {
	conn, err := pgx.Connect(ctx, s.AdminDSN())
	if err != nil {
		return nil, fmt.Errorf("connecting as superuser: %w", err)
	}
	return conn, nil
}

// Stop takes everything down, the service first. The folder stays.
func (s *Sandbox) Stop() error {
	var errs []error
	errs = append(errs, s.stopReplicas(), s.StopService())
	s.mu.Lock()
	witness := s.witness
	s.mu.Unlock()
	if witness != nil {
		errs = append(errs, stop(witness))
	}
	if s.Vault != nil {
		errs = append(errs, s.Vault.Stop())
	}
	if s.PG != nil {
		errs = append(errs, s.PG.Stop())
	}
	return errors.Join(errs...)
}

// Description is demo.json: what a script needs to use a running sandbox.
type Description struct {
	Institution string            `json:"institution"`
	API         string            `json:"api"`
	Ops         string            `json:"ops"`
	Vault       string            `json:"vault"`
	VaultCA     string            `json:"vault_ca"`
	Database    string            `json:"database" doc:"superuser's address"`
	DatabaseApp string            `json:"database_app_file" doc:"file with the service's address"`
	Published   string            `json:"published"`
	LogDir      string            `json:"log"`
	LogKey      string            `json:"log_verifier_key"`
	LogKeyFile  string            `json:"log_verifier_key_file"`
	Witness     string            `json:"witness"`
	WitnessKey  string            `json:"witness_verifier_key"`
	Bin         string            `json:"bin"`
	Tokens      map[string]string `json:"tokens" doc:"a bearer token per persona"`
	TokenFiles  map[string]string `json:"token_files"`
}

// describe writes demo.json, 0600: it holds tokens.
func (s *Sandbox) describe(context.Context) error {
	d := Description{Institution: Institution, API: s.API, Ops: s.Ops, Vault: s.Vault.Addr(), VaultCA: s.Vault.CACert(),
		Database: s.AdminDSN(), DatabaseApp: s.path("credentials", "database-url"), Published: s.Published(), LogDir: s.LogDir(),
		LogKey: s.LogKey, LogKeyFile: s.KeyFile(), Witness: s.WitnessURL, WitnessKey: s.WitnessKey, Bin: s.cfg.Bin,
		Tokens: map[string]string{}, TokenFiles: map[string]string{}}
	for _, p := range Staff() {
		token, err := s.Token(p.ID)
		if err != nil {
			return err
		}
		d.Tokens[p.ID], d.TokenFiles[p.ID] = token, s.TokenFile(p.ID)
	}
	raw, err := json.MarshalIndent(d, "", "  ")
	if err != nil {
		return fmt.Errorf("writing demo.json: %w", err)
	}
	if err := os.WriteFile(s.path("sealtraild.env"), []byte(s.environment()), 0o600); err != nil {
		return fmt.Errorf("writing sealtraild.env: %w", err)
	}
	return os.WriteFile(s.path("demo.json"), append(raw, '\n'), 0o600)
}

// stop ends a process in an orderly way, and after a while by force.
func stop(p *childproc.Process) error {
	ctx, cancel := context.WithTimeout(context.Background(), stopWithin)
	defer cancel()
	return p.Stop(ctx, stopWithin/2, terminate...)
}

// stopWithin is how long a process may take to end.
const stopWithin = 20 * time.Second
