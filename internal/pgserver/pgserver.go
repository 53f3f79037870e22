// Package pgserver finds PostgreSQL on this machine and runs a private cluster
// of it in a folder of its own, for the demo and for tests.
//
// One idea: the cluster belongs to its folder. It listens on loopback and on a
// socket inside the folder, its superuser's password lies in a 0600 file
// there, it never runs as root and never touches the system's own cluster.
// fsync stays on: what the demo and the tests show is what an operator gets.
//
// It must never know a schema, a role or a table of Sealtrail.
package pgserver

import (
	"bufio"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"maps"
	"net"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/sealtrail/sealtrail/internal/childproc"
)

// Superuser is the name of the cluster's superuser.
const Superuser = "postgres"

const (
	// startWithin is how long a start may take; recovery after a kill under
	// load takes seconds.
	startWithin = 60 * time.Second
	// stopWithin is the time given to each kind of shutdown.
	stopWithin = 20 * time.Second
	// maxSocketPath is the longest path of a Unix socket on Linux: 107 bytes
	// and a zero. macOS has 103, so that is what we keep to.
	maxSocketPath = 103
)

// Config says where a cluster lives.
type Config struct {
	// Dir is the cluster's folder, made with mode 0700 if absent. A folder
	// used before is started again with all that it holds.
	Dir string
	// Port on 127.0.0.1; 0 takes a free one. Restart keeps it.
	Port int
	// Settings are server parameters that override the defaults below.
	Settings map[string]string
	// Log receives progress; nil is silent.
	Log Logf
}

// defaults keep values out of the server's log: no statement text and no
// "failing row contains" detail is ever written there.
var defaults = map[string]string{
	"fsync":                   "on",
	"full_page_writes":        "on",
	"synchronous_commit":      "on",
	"max_connections":         "200",
	"shared_buffers":          "256MB",
	"max_wal_size":            "2GB",
	"password_encryption":     "scram-sha-256",
	"timezone":                "UTC",
	"log_timezone":            "UTC",
	"log_min_error_statement": "panic",
	"log_error_verbosity":     "terse",
	"logging_collector":       "off",
}

// Server is a running private cluster. Its methods may be called concurrently.
type Server struct {
	bin      Binaries
	identity *childproc.Identity
	cfg      Config
	port     int
	password string
	sockets  string
	fill     func(context.Context) error // makes the data folder where there is none
	// socketsApart is true if sockets had to lie outside the cluster's folder.
	socketsApart bool

	mu   sync.Mutex
	proc *childproc.Process
}

// Start finds PostgreSQL, creates the cluster if Dir is new, starts it and
// returns when it accepts connections. The caller must Stop it; if the calling
// process dies without, Linux stops the cluster (fast shutdown).
func Start(ctx context.Context, cfg Config) (*Server, error) {
	identity, err := childproc.Unprivileged("postgres")
	if err != nil {
		return nil, fmt.Errorf("choosing a user for PostgreSQL: %w", err)
	}
	return startAs(ctx, cfg, identity)
}

func startAs(ctx context.Context, cfg Config, identity *childproc.Identity) (*Server, error) {
	bin, err := Find(ctx, cfg.Log)
	if err != nil {
		return nil, err
	}
	if cfg.Dir, err = filepath.Abs(cfg.Dir); err != nil {
		return nil, fmt.Errorf("locating the cluster's folder: %w", err)
	}
	s := &Server{bin: bin, identity: identity, cfg: cfg, port: cfg.Port}
	s.fill = s.initdb
	if err := s.prepare(ctx); err != nil {
		return nil, err
	}
	if err := s.Restart(ctx); err != nil {
		return nil, err
	}
	return s, nil
}

func (s *Server) data() string   { return filepath.Join(s.cfg.Dir, "data") }
func (s *Server) pwFile() string { return filepath.Join(s.cfg.Dir, "superuser.password") }

// LogFile is the server's own log.
func (s *Server) LogFile() string { return filepath.Join(s.cfg.Dir, "postgres.log") }

// prepare makes folder, password and cluster. Crash in the middle: initdb
// works in data.new, which the next start removes; only a whole cluster is
// renamed to data.
func (s *Server) prepare(ctx context.Context) error {
	s.sockets = filepath.Join(s.cfg.Dir, "sock")
	if len(s.sockets)+len("/.s.PGSQL.65535") > maxSocketPath {
		short, err := os.MkdirTemp("/tmp", "stpg") // not TMPDIR, which may be as long
		if err != nil {
			return fmt.Errorf("making a folder for the socket: %w", err)
		}
		s.sockets, s.socketsApart = short, true
	}
	for _, dir := range []string{s.cfg.Dir, s.sockets} {
		if err := os.MkdirAll(dir, 0o700); err != nil {
			return fmt.Errorf("making the cluster's folder: %w", err)
		}
	}
	if err := s.loadPassword(); err != nil {
		return err
	}
	if err := s.handOver(); err != nil {
		return err
	}
	if _, err := os.Stat(s.data()); err == nil {
		return nil
	}
	return s.fill(ctx)
}

func (s *Server) loadPassword() error {
	b, err := os.ReadFile(s.pwFile())
	if errors.Is(err, os.ErrNotExist) {
		s.password = rand.Text()
		return writePrivate(s.pwFile(), s.password)
	}
	if err != nil {
		return fmt.Errorf("reading the superuser's password: %w", err)
	}
	s.password = strings.TrimSpace(string(b))
	return nil
}

func writePrivate(path, text string) error {
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		return fmt.Errorf("writing %s: %w", filepath.Base(path), err)
	}
	return nil
}

// handOver gives the folder to the server's account where there is no user
// namespace to pretend with. That account must be able to reach the folder.
func (s *Server) handOver() error {
	if s.identity == nil || s.identity.Namespace {
		return nil
	}
	for dir := filepath.Dir(s.cfg.Dir); dir != filepath.Dir(dir); dir = filepath.Dir(dir) {
		if fi, err := os.Stat(dir); err == nil && fi.Mode().Perm()&0o001 == 0 {
			return fmt.Errorf("%s is closed to the user that PostgreSQL must run as here (this kernel refuses user namespaces): choose a folder elsewhere", dir)
		}
	}
	for _, path := range []string{s.cfg.Dir, s.sockets, s.pwFile()} {
		if err := os.Chown(path, s.identity.UID, s.identity.GID); err != nil {
			return fmt.Errorf("giving the cluster's folder to its user: %w", err)
		}
	}
	return nil
}

func (s *Server) initdb(ctx context.Context) error {
	fresh := s.data() + ".new"
	if err := os.RemoveAll(fresh); err != nil {
		return fmt.Errorf("removing an unfinished cluster: %w", err)
	}
	s.cfg.Log.say("creating a private PostgreSQL %d cluster in %s", s.bin.Version, s.cfg.Dir)
	return s.make(exec.CommandContext(ctx, s.bin.Path("initdb"), "-D", fresh, "-U", Superuser,
		"--pwfile="+s.pwFile(), "--auth=scram-sha-256", "--encoding=UTF8", "--locale=C", "--data-checksums"), nil)
}

// make runs the program that fills data.new and makes it the data folder.
func (s *Server) make(cmd *exec.Cmd, env []string) error {
	cmd.Env, cmd.Dir = append(childproc.Environ(), env...), s.cfg.Dir
	if s.identity != nil {
		s.identity.Apply(cmd)
	}
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("creating the cluster: %w: %s", err, strings.TrimSpace(string(out)))
	}
	if err := os.Rename(s.data()+".new", s.data()); err != nil {
		return fmt.Errorf("creating the cluster: %w", err)
	}
	return nil
}

// Restart starts the cluster again after Stop or Kill, on the same port, and
// returns when it accepts connections (after crash recovery, if need be). A
// running cluster is stopped first.
func (s *Server) Restart(ctx context.Context) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if err := s.stopLocked(); err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, startWithin)
	defer cancel()
	var err error
	for tries := 0; tries < 3; tries++ { // a free port may be taken between the look and the start
		if s.port == 0 {
			if s.port, err = freePort(); err != nil {
				return err
			}
		}
		if err = s.launch(ctx); err == nil || s.cfg.Port != 0 {
			return err
		}
		if ctx.Err() == nil && strings.Contains(err.Error(), "shared memory block") {
			tries-- // a backend that was killed is not gone yet; the port is not to blame
			select {
			case <-ctx.Done():
			case <-time.After(20 * time.Millisecond):
			}
			continue
		}
		if ctx.Err() != nil || !strings.Contains(err.Error(), "in use") {
			return err
		}
		s.port = 0
	}
	return err
}

func (s *Server) launch(ctx context.Context) error {
	if err := os.MkdirAll(s.sockets, 0o700); err != nil { // Stop may have removed it
		return fmt.Errorf("making a folder for the socket: %w", err)
	}
	if err := s.handOver(); err != nil {
		return err
	}
	proc, err := childproc.Start(childproc.Config{
		Path: s.bin.Path("postgres"), Args: s.arguments(), Dir: s.cfg.Dir,
		LogFile: s.LogFile(), LastSignal: syscall.SIGINT, Identity: s.identity,
	})
	if err != nil {
		return err
	}
	if err := s.awaitReady(ctx, proc); err != nil {
		_ = proc.Kill() // the start already failed; its own error is the one to tell
		return err
	}
	s.proc = proc
	return nil
}

func (s *Server) arguments() []string {
	settings := maps.Clone(defaults)
	maps.Copy(settings, s.cfg.Settings)
	settings["listen_addresses"] = "127.0.0.1"
	settings["port"] = strconv.Itoa(s.port)
	settings["unix_socket_directories"] = s.sockets
	args := []string{"-D", s.data()}
	for _, name := range slices.Sorted(maps.Keys(settings)) {
		args = append(args, "-c", name+"="+settings[name])
	}
	return args
}

// awaitReady watches the status line that the postmaster writes to its pid
// file, as pg_ctl does: no connection, no password.
func (s *Server) awaitReady(ctx context.Context, proc *childproc.Process) error {
	if err := proc.Await(ctx, 20*time.Millisecond, func() bool { return s.ready(proc.Pid()) }); err != nil {
		return fmt.Errorf("starting PostgreSQL: %w", err)
	}
	return nil
}

// ready reads postmaster.pid: line 1 is the process id (so a file left by a
// killed server does not count), line 8 the status.
func (s *Server) ready(pid int) bool {
	f, err := os.Open(filepath.Join(s.data(), "postmaster.pid"))
	if err != nil {
		return false
	}
	defer f.Close()
	var lines []string
	for scan := bufio.NewScanner(f); scan.Scan(); {
		lines = append(lines, strings.TrimSpace(scan.Text()))
	}
	return len(lines) >= 8 && lines[0] == strconv.Itoa(pid) && lines[7] == "ready"
}

func freePort() (int, error) {
	l, err := net.Listen("tcp4", "127.0.0.1:0")
	if err != nil {
		return 0, fmt.Errorf("finding a free port: %w", err)
	}
	defer l.Close()
	return l.Addr().(*net.TCPAddr).Port, nil
}

// Addr is host:port on loopback.
func (s *Server) Addr() string { return net.JoinHostPort("127.0.0.1", strconv.Itoa(s.port)) }

// DataDir is the cluster's data folder, for tests that search its files.
func (s *Server) DataDir() string { return s.data() }

// Version is the server's major version.
func (s *Server) Version() int { return s.bin.Version }

// AdminDSN is the superuser's connection URL to the database postgres.
func (s *Server) AdminDSN() string { return s.DSN(Superuser, s.password, "postgres") }

// DSN is a connection URL for one role and database over loopback TCP.
func (s *Server) DSN(role, password, database string) string {
	u := url.URL{Scheme: "postgres", User: url.UserPassword(role, password),
		Host: s.Addr(), Path: "/" + database, RawQuery: "sslmode=disable"}
	return u.String()
}

// Stop ends the cluster in good order (fast shutdown, then harder). Stopping a
// stopped cluster is no error.
func (s *Server) Stop() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if err := s.stopLocked(); err != nil || !s.socketsApart {
		return err
	}
	if err := os.RemoveAll(s.sockets); err != nil {
		return fmt.Errorf("removing the socket's folder: %w", err)
	}
	return nil
}

func (s *Server) stopLocked() error {
	if s.proc == nil || !s.proc.Running() {
		return nil
	}
	if err := s.proc.Stop(context.Background(), stopWithin, syscall.SIGINT, syscall.SIGQUIT); err != nil {
		return fmt.Errorf("stopping PostgreSQL: %w", err)
	}
	return nil
}

// Kill ends the postmaster and every backend with SIGKILL, as a crash would.
// Nothing is flushed. Restart recovers from the write-ahead log.
func (s *Server) Kill() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.proc == nil || !s.proc.Running() {
		return nil
	}
	if err := s.proc.Kill(); err != nil {
		return fmt.Errorf("killing PostgreSQL: %w", err)
	}
	return nil
}

// Pause stops the postmaster and its backends without ending them (SIGSTOP):
// a database that hangs. Resume lets them go on.
func (s *Server) Pause() error { return s.signalAll(syscall.SIGSTOP) }

// Resume continues a paused cluster.
func (s *Server) Resume() error { return s.signalAll(syscall.SIGCONT) }

func (s *Server) signalAll(sig syscall.Signal) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.proc == nil || !s.proc.Running() {
		return errors.New("signalling PostgreSQL: it is not running")
	}
	return s.proc.SignalAll(sig)
}
