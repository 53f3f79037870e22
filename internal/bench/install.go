package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	postgresdeploy "github.com/sealtrail/sealtrail/deploy/postgres"
	"github.com/sealtrail/sealtrail/internal/childproc"
	"github.com/sealtrail/sealtrail/internal/sandbox"
	"github.com/sealtrail/sealtrail/internal/server"
)

// poolSize is that of both services: the default of sealtraild serve.
const poolSize = 32

// installation is a sandbox and, in another database of the same cluster, the
// floor, a process of its own.
type installation struct {
	*sandbox.Sandbox
	floor    *childproc.Process
	floorAPI string
	admin    [sides]*pgx.Conn // superuser, for counting
	trails   int              // logs of their own that were made
}

// installed starts the installation at first use.
func (b *bench) installed(ctx context.Context) (*installation, error) {
	if b.install != nil {
		return b.install, nil
	}
	bin := filepath.Join(b.dir, "bin") + "/"
	build := exec.CommandContext(ctx, "go", "build", "-o", bin, "./cmd/...")
	build.Dir = b.root
	if out, err := build.CombinedOutput(); err != nil {
		return nil, fmt.Errorf("building the commands: %w: %s", err, out)
	}
	s, err := sandbox.Start(ctx, sandbox.Config{Dir: filepath.Join(b.dir, "installation"), Bin: bin, ServeEnv: []string{"SEALTRAIL_PPROF=true"}})
	if err != nil {
		return nil, err
	}
	b.install = &installation{Sandbox: s}
	for _, step := range []func(context.Context) error{b.install.prepareFloor, b.install.startFloor, b.install.connect} {
		if err := step(ctx); err != nil {
			return nil, err
		}
	}
	return b.install, nil
}

// stop takes down what was started.
func (b *bench) stop() error {
	if b.install == nil {
		return nil
	}
	var errs []error
	if b.install.floor != nil {
		errs = append(errs, b.install.floor.Kill())
	}
	for _, conn := range b.install.admin {
		if conn != nil {
			errs = append(errs, conn.Close(context.Background()))
		}
	}
	return errors.Join(append(errs, b.install.Stop())...)
}

// on names another database for a role of the installation.
func on(dsn, database string) (string, error) {
	u, err := url.Parse(dsn)
	if err != nil {
		return "", errors.New("reading a database address: not a URL")
	}
	u.Path = "/" + database
	return u.String(), nil
}

// appDSN is the service's role on another database.
func (in *installation) appDSN(database string) (string, error) {
	dsn, err := server.Secret(filepath.Join(in.Dir(), "credentials", "database-url"))
	if err != nil {
		return "", err
	}
	return on(dsn, database)
}

// database makes a database with the rights of deploy/postgres, lets migrate
// work on it, and returns the superuser's address.
func (in *installation) database(ctx context.Context, name string, migrate func(context.Context, string) error) (string, error) {
	dsn, err := on(in.AdminDSN(), name)
	if err != nil {
		return "", err
	}
	admin, err := in.Admin(ctx)
	if err != nil {
		return "", err
	}
	defer func() { _ = admin.Close(ctx) }()
	if _, err := admin.Exec(ctx, "create database "+pgx.Identifier{name}.Sanitize()); err != nil {
		return "", fmt.Errorf("making database %s: %w", name, err)
	}
	if err := migrate(ctx, dsn); err != nil {
		return "", err
	}
	return dsn, execOn(ctx, dsn, postgresdeploy.Grants())
}

func execOn(ctx context.Context, dsn, sql string) error {
	conn, err := pgx.Connect(ctx, dsn)
	if err != nil {
		return fmt.Errorf("connecting: %w", err)
	}
	defer func() { _ = conn.Close(ctx) }()
	if _, err := conn.Exec(ctx, sql); err != nil {
		return fmt.Errorf("preparing a database: %w", err)
	}
	return nil
}

func (in *installation) pool(ctx context.Context, database string) (*pgxpool.Pool, error) {
	dsn, err := in.appDSN(database)
	if err != nil {
		return nil, err
	}
	return newPool(ctx, dsn)
}

func newPool(ctx context.Context, dsn string) (*pgxpool.Pool, error) {
	cfg, err := pgxpool.ParseConfig(dsn)
	if err != nil {
		return nil, errors.New("reading a database address: not a URL")
	}
	cfg.MaxConns = poolSize
	cfg.ConnConfig.RuntimeParams["jit"] = "off" // as the service
	cfg.ConnConfig.RuntimeParams["max_parallel_workers_per_gather"] = "0"
	return pgxpool.NewWithConfig(ctx, cfg)
}

func (in *installation) prepareFloor(ctx context.Context) error {
	_, err := in.database(ctx, floorDatabase, migrateFloor)
	return err
}

// startFloor starts this very program as the floor.
func (in *installation) startFloor(ctx context.Context) error {
	self, err := os.Executable()
	if err != nil {
		return fmt.Errorf("finding this program: %w", err)
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return fmt.Errorf("finding a free port: %w", err)
	}
	cfg := floorConfig{Listen: l.Addr().String(), Institution: sandbox.Institution, Issuer: in.Issuer().Issuer(),
		Audience: in.Issuer().Audience(), JWKS: filepath.Join(in.Dir(), "jwks.json")}
	if err := l.Close(); err != nil {
		return fmt.Errorf("finding a free port: %w", err)
	}
	if cfg.DSN, err = in.appDSN(floorDatabase); err != nil {
		return err
	}
	raw, err := json.Marshal(cfg)
	if err != nil {
		return fmt.Errorf("configuring the floor: %w", err)
	}
	file := filepath.Join(in.Dir(), "credentials", "floor.json") // holds a password, as its neighbours do
	if err := os.WriteFile(file, raw, 0o600); err != nil {
		return fmt.Errorf("configuring the floor: %w", err)
	}
	logFile := filepath.Join(in.Dir(), "logs", "floor.log")
	if in.floor, err = childproc.Start(childproc.Config{Path: self, Args: []string{"-floor", file}, LogFile: logFile}); err != nil {
		return err
	}
	in.floorAPI = "http://" + cfg.Listen
	return in.awaitFloor(ctx, logFile)
}

func (in *installation) awaitFloor(ctx context.Context, logFile string) error {
	ctx, cancel := context.WithTimeout(ctx, 30*time.Second)
	defer cancel()
	for {
		if res, err := http.Get(in.floorAPI + "/v1/status"); err == nil {
			return res.Body.Close()
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("waiting for the floor: %w: %s", ctx.Err(), childproc.Tail(logFile, 5))
		case <-in.floor.Done():
			return fmt.Errorf("waiting for the floor: it ended: %s", childproc.Tail(logFile, 5))
		case <-time.After(25 * time.Millisecond):
		}
	}
}

func (in *installation) connect(ctx context.Context) error {
	for s, name := range map[side]string{floorSide: floorDatabase, ourSide: in.DatabaseName} {
		dsn, err := on(in.AdminDSN(), name)
		if err != nil {
			return err
		}
		if in.admin[s], err = pgx.Connect(ctx, dsn); err != nil {
			return fmt.Errorf("connecting as superuser: %w", err)
		}
	}
	return nil
}

// settle waits until the service has sequenced what was appended, so that its
// work of one run does not slow the other side's next.
func (in *installation) settle(ctx context.Context) error {
	return untilSequenced(ctx, in.admin[ourSide])
}

func untilSequenced(ctx context.Context, conn interface {
	QueryRow(ctx context.Context, sql string, args ...any) pgx.Row
}) error {
	ctx, cancel := context.WithTimeout(ctx, time.Minute)
	defer cancel()
	for {
		var pending int
		if err := conn.QueryRow(ctx, "select count(*) from audit.pending").Scan(&pending); err != nil {
			return fmt.Errorf("counting pending entries: %w", err)
		}
		if pending == 0 {
			return nil
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("waiting for the sequencer: %w", ctx.Err())
		case <-time.After(20 * time.Millisecond):
		}
	}
}

// base is the address of a side's API.
func (in *installation) base(s side) string {
	if s == floorSide {
		return in.floorAPI
	}
	return in.API
}

// count asks a side's database for one number.
func (in *installation) count(ctx context.Context, s side, sql string) (n int64, err error) {
	if err = in.admin[s].QueryRow(ctx, sql).Scan(&n); err != nil {
		return 0, fmt.Errorf("counting: %w", err)
	}
	return n, nil
}

func word(s side) string {
	if s == floorSide {
		return "floor"
	}
	return "ours"
}
