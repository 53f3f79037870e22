// Package server builds the service's object graph from a Config and runs it.
// It is the only package that knows all the others; it holds no rule of its
// own. Reading New from the top is reading what the service is made of.
package server

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"time"

	"github.com/hashicorp/vault/api"
	"github.com/jackc/pgx/v5/pgxpool"
	"golang.org/x/sync/errgroup"

	"github.com/sealtrail/sealtrail/audit/pglog"
	"github.com/sealtrail/sealtrail/crypto/keyring"
	"github.com/sealtrail/sealtrail/crypto/transit"
	"github.com/sealtrail/sealtrail/internal/authn"
	"github.com/sealtrail/sealtrail/internal/clock"
	"github.com/sealtrail/sealtrail/internal/custody"
	"github.com/sealtrail/sealtrail/internal/filestore"
	"github.com/sealtrail/sealtrail/internal/httpapi"
	"github.com/sealtrail/sealtrail/internal/keeping"
	"github.com/sealtrail/sealtrail/internal/store"
	"github.com/sealtrail/sealtrail/internal/stream"
	"github.com/sealtrail/sealtrail/internal/telemetry"
	"github.com/sealtrail/sealtrail/policy"
)

// Version is the program's version; the release build sets it.
var Version = "0.1.0-dev"

// Server is the running service. Build it with New, run it once with Run.
type Server struct {
	cfg   Config
	tel   *telemetry.Telemetry
	log   *slog.Logger
	pool  *pgxpool.Pool
	vault *api.Client
	login *transit.Login
	keys  *keyring.Keyring

	master   *transit.Transit
	keyWatch *keeping.Watch
	started  time.Time

	voided chan voided

	policy    *policy.Engine
	trail     *pglog.Log
	sequencer *pglog.Sequencer
	door      *custody.Door
	files     filestore.Store
	verifier  *authn.JWT
	publisher *publishing
	outbound  []*stream.Stream
	standing  *standing
}

// New reads files and builds every part. It connects to nothing but the
// database pool, which connects when it is first used.
func New(ctx context.Context, cfg Config, tel *telemetry.Telemetry) (*Server, error) {
	s := &Server{cfg: cfg, tel: tel, log: tel.Logger, voided: make(chan voided, voidedQueue), standing: newStanding()}
	for _, step := range []func(context.Context) error{s.openPool, s.openVault, s.openLog, s.openPolicy, s.openDoor, s.openVerifier, s.openStreams} {
		if err := step(ctx); err != nil {
			s.Close()
			return nil, err
		}
	}
	return s, nil
}

// Close releases what New opened. Run closes by itself.
func (s *Server) Close() {
	if s.pool != nil {
		s.pool.Close()
	}
}

// Door is the built door, for commands that act without HTTP.
func (s *Server) Door() *custody.Door { return s.door }

func (s *Server) openPool(ctx context.Context) error {
	dsn, err := Secret(s.cfg.DatabaseURLFile)
	if err != nil {
		return err
	}
	cfg, err := pgxpool.ParseConfig(dsn)
	if err != nil {
		return errors.New("reading the database address: not a valid DSN or URL")
	}
	cfg.MaxConns = s.cfg.PoolSize
	cfg.ConnConfig.ConnectTimeout = 2 * time.Second
	cfg.HealthCheckPeriod = 5 * time.Second
	// Requests are short and many: compiling a plan, or spreading it over more
	// processes, costs them more than it gives, and the check of the whole log
	// should use one core, not all.
	cfg.ConnConfig.RuntimeParams["jit"] = "off"
	// A statement that times out while its commit waits for the standby is
	// called a success by PostgreSQL: deadlines are the client's.
	cfg.ConnConfig.RuntimeParams["statement_timeout"] = "0"
	cfg.ConnConfig.RuntimeParams["max_parallel_workers_per_gather"] = "0"
	s.pool, err = pgxpool.NewWithConfig(ctx, cfg)
	if err != nil {
		return fmt.Errorf("opening the database pool: %w", store.Classify(err))
	}
	return nil
}

func (s *Server) openVault(context.Context) error {
	role, err := Secret(s.cfg.VaultRoleFile)
	if err != nil {
		return err
	}
	if s.vault, err = transit.NewClient(transit.ClientConfig{Address: s.cfg.VaultAddr, CACert: s.cfg.VaultCACert}); err != nil {
		return err
	}
	s.login, err = transit.NewLogin(transit.LoginConfig{Client: s.vault, RoleID: role,
		SecretID: func() (string, error) { return Secret(s.cfg.VaultSecret) }, OnState: s.vaultState})
	if err != nil {
		return err
	}
	wrapper, err := transit.New(s.transit())
	if err != nil {
		return err
	}
	s.master = wrapper
	s.keys, err = keyring.New(keyring.Config{Wrapper: wrapper, OnVoid: s.keysVoided})
	return err
}

func (s *Server) transit() transit.Config {
	return transit.Config{Client: s.vault, Institution: s.cfg.Institution, Login: s.login}
}

// vaultState logs changes only: an outage is one line, not one per request.
func (s *Server) vaultState(err error) {
	if err != nil {
		s.log.Warn("vault login failed", slog.String("cause", string(keyring.CauseOf(err))))
		return
	}
	s.log.Info("vault login succeeded")
}

func (s *Server) openLog(ctx context.Context) (err error) {
	if s.trail, err = pglog.New(ctx, pglog.Config{Pool: s.pool, Institution: s.cfg.Institution, Ready: s.standing.Err, Stored: s.storedEntry}); err != nil {
		return err
	}
	s.sequencer, err = pglog.NewSequencer(ctx, pglog.SequencerConfig{Pool: s.pool, Institution: s.cfg.Institution, Logger: s.log})
	if err != nil {
		return err
	}
	s.publisher, err = newPublishing(ctx, s)
	return err
}

func (s *Server) openPolicy(ctx context.Context) (err error) {
	s.policy, err = policy.New(ctx, policy.Config{Catalogue: policyCatalogue()})
	if err != nil {
		return err
	}
	s.keys.SetPolicy(s.policy.Sequence())
	return nil
}

func (s *Server) openDoor(ctx context.Context) error {
	index, err := transit.NewIndexer(s.transit())
	if err != nil {
		return err
	}
	profile := clock.CNLaw()
	adopted, err := s.cfg.adopted()
	if err != nil {
		return err
	}
	if !adopted.IsZero() {
		profile = profile.With(clock.Norm(), adopted)
	}
	if s.files, err = s.cfg.OpenFiles(); err != nil {
		return err
	}
	s.door, err = custody.New(ctx, custody.Config{Files: s.files, MaxFile: s.cfg.MaxFile, Institution: s.cfg.Institution, Store: store.New(s.pool), Log: s.trail, Policy: s.policy,
		Keys: s.keys, Index: index, Master: s.master, Calendar: clock.China(), Profile: profile, Figures: s.publisher, Proofs: s.publisher, Published: s.publisher, LogFiles: s.publisher, Logger: s.log, Tracer: s.tel.Tracer, Meter: s.tel.Meter})
	return err
}

func (s *Server) openVerifier(ctx context.Context) (err error) {
	s.verifier, err = authn.New(ctx, authn.Config{JWKSURL: s.cfg.JWKSURL, JWKSFile: s.cfg.JWKSFile, Issuer: s.cfg.Issuer, Audience: s.cfg.Audience})
	return err
}

// Run serves until ctx ends, drains, and returns. Everything that it starts
// ends with it.
func (s *Server) Run(ctx context.Context) error {
	defer s.Close()
	if err := keyring.Harden(); err != nil {
		s.log.WarnContext(ctx, "process not hardened", slog.String("err", err.Error()))
	}
	if err := s.awaitDatabase(ctx); err != nil {
		return err
	}
	if err := s.selfCheck(ctx); err != nil {
		return err
	}
	if err := s.checkSuite(ctx); err != nil {
		return err
	}
	// Log in before anything asks whether Vault is there: a service that is still
	// starting is no outage. If Vault is away, login.Run goes on trying.
	if err := s.login.Now(ctx); err != nil {
		s.log.WarnContext(ctx, "starting without vault", slog.String("cause", string(keyring.CauseOf(err))))
	}
	if err := s.observe(); err != nil {
		return err
	}
	api, err := s.api(ctx)
	if err != nil {
		return err
	}
	ops, err := httpapi.NewOps(httpapi.OpsConfig{Checks: s.checks(), Metrics: s.tel.Metrics, Meter: s.tel.Meter, Profile: s.cfg.Profile})
	if err != nil {
		return err
	}
	faces, err := s.listen(api, ops)
	if err != nil {
		return err
	}
	return s.runAll(ctx, faces)
}

// settleFor is how long the API still takes requests after /readyz says no, so
// that a balancer stops sending before it meets a closed port.
const settleFor = 500 * time.Millisecond

// listen opens both ports. Without TLS the API listens on loopback only.
func (s *Server) listen(api http.Handler, ops *httpapi.Ops) ([]httpapi.ServeConfig, error) {
	var secured *tls.Config
	if s.cfg.TLSCert != "" {
		pair, err := tls.LoadX509KeyPair(s.cfg.TLSCert, s.cfg.TLSKey)
		if err != nil {
			return nil, fmt.Errorf("reading the API's certificate: %w", err)
		}
		secured = &tls.Config{Certificates: []tls.Certificate{pair}, MinVersion: tls.VersionTLS13}
	}
	listener, err := net.Listen("tcp", s.cfg.Listen)
	if err != nil {
		return nil, fmt.Errorf("listening for the API: %w", err)
	}
	if at, ok := listener.Addr().(*net.TCPAddr); secured == nil && ok && !at.IP.IsLoopback() {
		return nil, errors.Join(errors.New("listening for the API: without --tls-cert only loopback addresses are served"), listener.Close())
	}
	opsListener, err := net.Listen("tcp", s.cfg.OpsListen)
	if err != nil {
		return nil, errors.Join(fmt.Errorf("listening for ops: %w", err), listener.Close())
	}
	if at, ok := opsListener.Addr().(*net.TCPAddr); s.cfg.Profile && ok && !at.IP.IsLoopback() {
		return nil, errors.Join(errors.New("listening for ops: profiles are served on loopback addresses only"), listener.Close(), opsListener.Close())
	}
	return []httpapi.ServeConfig{
		{Listener: listener, Handler: api, TLS: secured, BeforeDrain: ops.Drain, Settle: settleFor, Drain: s.cfg.DrainWithin},
		{Listener: opsListener, Handler: ops, Drain: time.Second},
	}, nil
}

// runAll runs the faces until ctx ends, then what writes to the log until its
// queue is empty, and last the log itself: what a draining request did still
// reaches it.
func (s *Server) runAll(ctx context.Context, faces []httpapi.ServeConfig) error {
	base := context.WithoutCancel(ctx)
	ground, stopGround := start(base, s.login.Run, s.keys.Run, s.trail.Run, s.compareLog, s.standing.during(s.sequencer.Run), s.standing.during(s.publisher.Run))
	writers, stopWriters := start(base, s.door.Run, s.charter, s.intake, s.watch, s.expire, s.health, s.outages, s.watchKeys, s.leases, s.scrub, s.sweepFiles, s.markMissed, s.acceptNode, s.population, s.reap, s.indexLog, s.streams, s.clocks, s.commitHeads, s.stamp)
	serveCtx, stopServing := context.WithCancel(ctx)
	defer stopServing()
	context.AfterFunc(ground.ctx, stopServing) // a part that died takes the faces down
	context.AfterFunc(writers.ctx, stopServing)
	s.log.InfoContext(ctx, "serving", slog.String("listen", faces[0].Listener.Addr().String()), slog.String("version", Version))
	opsCtx, stopOps := context.WithCancel(base)
	defer stopOps()
	var ports errgroup.Group
	ports.Go(func() error {
		defer stopOps() // the ops port tells of the draining until it is over
		return httpapi.Serve(serveCtx, faces[0])
	})
	ports.Go(func() error { return httpapi.Serve(opsCtx, faces[1]) })
	served := ports.Wait()
	stopWriters()
	wrote := writers.Wait()
	stopGround()
	return errors.Join(served, wrote, ground.Wait())
}

// parts run together: when one fails, the others are told to end.
type parts struct {
	*errgroup.Group
	ctx context.Context
}

func start(base context.Context, runs ...func(context.Context) error) (parts, context.CancelFunc) {
	cancellable, stop := context.WithCancel(base)
	group, ctx := errgroup.WithContext(cancellable)
	for _, run := range runs {
		group.Go(func() error { return run(ctx) })
	}
	return parts{group, ctx}, stop
}

func (s *Server) awaitDatabase(ctx context.Context) error {
	for said := false; ; {
		attempt, cancel := context.WithTimeout(ctx, 2*time.Second)
		err := s.pool.Ping(attempt)
		cancel()
		if err == nil {
			return nil
		}
		if !said {
			s.log.WarnContext(ctx, "waiting for the database")
			said = true
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(500 * time.Millisecond):
		}
	}
}
