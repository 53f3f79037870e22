// Command testrun starts one PostgreSQL and one Vault, runs a command that
// finds them in its environment, and stops them:
//
//	go run ./internal/testrun -- go test ./...
//
// One idea: servers are started once for all test processes; without it every
// package starts its own. It says what it installs or builds and how long that
// takes. Its exit code is the command's.
//
// It must never know what is tested.
package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"syscall"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/sealtrail/sealtrail/internal/pgserver"
	"github.com/sealtrail/sealtrail/internal/pgtest"
	"github.com/sealtrail/sealtrail/internal/scratch"
	"github.com/sealtrail/sealtrail/internal/vaultserver"
	"github.com/sealtrail/sealtrail/internal/vaulttest"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	err := run(ctx, os.Args[1:])
	stop()
	var exit *exec.ExitError
	if errors.As(err, &exit) && exit.ExitCode() > 0 {
		os.Exit(exit.ExitCode())
	}
	if err != nil {
		say("%v", err)
		os.Exit(1)
	}
}

func say(format string, args ...any) { fmt.Fprintf(os.Stderr, "testrun: "+format+"\n", args...) }

func run(ctx context.Context, args []string) (err error) {
	if len(args) > 0 && args[0] == "--" {
		args = args[1:]
	}
	if len(args) == 0 {
		return errors.New("usage: testrun -- command [arguments]")
	}
	dir, err := scratch.New("run")
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, dir.Remove()) }()
	began := time.Now()
	b, err := start(ctx, dir.Path)
	defer func() { err = errors.Join(err, b.stop()) }()
	if err != nil {
		return err
	}
	say("PostgreSQL %d and Vault are up after %s", b.pg.Version(), time.Since(began).Round(100*time.Millisecond))
	return command(ctx, args, b.environ())
}

// backends are the two servers; either may be nil after a failed start.
type backends struct {
	pg    *pgserver.Server
	vault *vaultserver.Server
}

func start(ctx context.Context, dir string) (*backends, error) {
	b := &backends{}
	var g errgroup.Group // without a shared context: one's failure must not orphan the other
	g.Go(func() (err error) {
		cfg := pgserver.Config{Dir: filepath.Join(dir, "pg"), Settings: pgtest.Settings(), Log: say}
		if b.pg, err = pgserver.Start(ctx, cfg); err != nil {
			return err
		}
		return pgtest.PrepareCluster(ctx, b.pg.AdminDSN())
	})
	g.Go(func() (err error) {
		b.vault, err = vaultserver.Start(ctx, vaultserver.Config{Dir: filepath.Join(dir, "vault"), Log: say})
		return err
	})
	return b, g.Wait()
}

func (b *backends) stop() error {
	var errs []error
	if b.pg != nil {
		errs = append(errs, b.pg.Kill()) // nothing in it is to be kept
	}
	if b.vault != nil {
		errs = append(errs, b.vault.Kill())
	}
	return errors.Join(errs...)
}

func (b *backends) environ() []string {
	return append(os.Environ(),
		pgtest.EnvDSN+"="+b.pg.AdminDSN(),
		vaulttest.EnvAddr+"="+b.vault.Addr(),
		vaulttest.EnvCACert+"="+b.vault.CACert(),
		vaulttest.EnvToken+"="+b.vault.RootToken(),
		vaulttest.EnvAudit+"="+b.vault.AuditLogPath(),
	)
}

// command runs the command to its end. An interrupt goes to it first; the
// servers stop when it has ended.
func command(ctx context.Context, args, env []string) error {
	cmd := exec.CommandContext(ctx, args[0], args[1:]...)
	cmd.Env, cmd.Stdin, cmd.Stdout, cmd.Stderr = env, os.Stdin, os.Stdout, os.Stderr
	cmd.Cancel = func() error { return cmd.Process.Signal(os.Interrupt) }
	cmd.WaitDelay = 10 * time.Second
	return cmd.Run()
}
