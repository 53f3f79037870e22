// Package childproc starts a server process that should not outlive its parent.
//
// One idea: a demo or a test run that dies, even by kill -9, must not leave a
// database or a key server behind. On Linux the child asks the kernel for a
// signal when the thread that started it ends; that thread is therefore locked
// and lives exactly as long as the child. Elsewhere only Stop and Kill end it.
//
// It must never know what the child is: no SQL, no Vault.
package childproc

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"runtime"
	"strings"
	"syscall"
	"time"
)

// Config describes the child.
type Config struct {
	// Path is the absolute path of the program; Args are its arguments
	// without the program's name.
	Path string
	Args []string
	// Env is the whole environment of the child; nil means Environ().
	Env []string
	// Dir is the working directory; empty means "/".
	Dir string
	// LogFile receives standard output and error, appended, mode 0600.
	LogFile string
	// LastSignal is what the kernel sends to the child when this process
	// dies (Linux only). Zero means SIGKILL.
	LastSignal syscall.Signal
	// Identity drops root; nil keeps the caller's identity.
	Identity *Identity
}

// Process is a running child. Its methods may be called concurrently.
type Process struct {
	pid  int
	proc *os.Process
	done chan struct{}
	err  error // written before done is closed
	log  string
}

// Start starts the child and returns once it runs. Nobody needs to wait for
// it: it is reaped in the background.
func Start(cfg Config) (*Process, error) {
	log, err := os.OpenFile(cfg.LogFile, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return nil, fmt.Errorf("opening the log of %s: %w", cfg.Path, err)
	}
	defer log.Close()
	cmd := exec.Command(cfg.Path, cfg.Args...)
	cmd.Env, cmd.Dir = cfg.Env, cfg.Dir
	if cmd.Env == nil {
		cmd.Env = Environ()
	}
	if cmd.Dir == "" {
		cmd.Dir = "/"
	}
	cmd.Stdout, cmd.Stderr = log, log
	cmd.SysProcAttr = attributes(cfg)

	p := &Process{done: make(chan struct{}), log: cfg.LogFile}
	started := make(chan error)
	go p.run(cmd, started)
	if err := <-started; err != nil {
		return nil, fmt.Errorf("starting %s: %w", cfg.Path, err)
	}
	return p, nil
}

// run owns the child's whole life on one locked thread: the parent-death
// signal is tied to the thread that forked, not to the process.
func (p *Process) run(cmd *exec.Cmd, started chan<- error) {
	runtime.LockOSThread() // never unlocked: the thread ends with this goroutine
	if err := cmd.Start(); err != nil {
		started <- err
		return
	}
	p.pid, p.proc = cmd.Process.Pid, cmd.Process
	started <- nil
	p.err = cmd.Wait()
	close(p.done)
}

// Pid is the child's process id.
func (p *Process) Pid() int { return p.pid }

// Done is closed when the child has ended and was reaped.
func (p *Process) Done() <-chan struct{} { return p.done }

// Running reports whether the child has not ended yet.
func (p *Process) Running() bool {
	select {
	case <-p.done:
		return false
	default:
		return true
	}
}

// Err is how the child ended; nil while it runs or after exit code 0.
func (p *Process) Err() error {
	if p.Running() {
		return nil
	}
	return p.err
}

// errEnded is how a child ended that says nothing about it.
var errEnded = errors.New("exit code 0")

// Await asks ready once per pause until it says true and returns nil then. The
// error says that the child ended, and how, or wraps that of ctx, and ends with
// the last lines of the child's log.
func (p *Process) Await(ctx context.Context, pause time.Duration, ready func() bool) error {
	tick := time.NewTicker(pause)
	defer tick.Stop()
	for {
		select {
		case <-p.done:
			return fmt.Errorf("it ended: %w: %s", cmp.Or(p.Err(), errEnded), Tail(p.log, lastLines))
		case <-ctx.Done():
			return fmt.Errorf("waiting for it: %w: %s", ctx.Err(), Tail(p.log, lastLines))
		case <-tick.C:
			if ready() {
				return nil
			}
		}
	}
}

// lastLines is how much of a child's log tells why it did not start.
const lastLines = 5

// Signal sends sig to the child alone. A child that has ended is no error.
func (p *Process) Signal(sig syscall.Signal) error {
	if err := p.proc.Signal(sig); err != nil && !errors.Is(err, os.ErrProcessDone) {
		return fmt.Errorf("signalling process %d: %w", p.pid, err)
	}
	return nil
}

// Kill sends SIGKILL to the child and to every process that descends from it,
// and returns when the child is reaped. The child is killed first, so that it
// cannot tidy up after its own children: this is the power cut of the tests.
func (p *Process) Kill() error {
	family := descendants(p.pid)
	if err := p.Signal(syscall.SIGKILL); err != nil {
		return err
	}
	for _, pid := range family {
		_ = syscall.Kill(pid, syscall.SIGKILL) // may have ended by itself
	}
	<-p.done
	return nil
}

// SignalAll sends sig to the child and to every process that descends from it.
func (p *Process) SignalAll(sig syscall.Signal) error {
	if err := p.Signal(sig); err != nil {
		return err
	}
	for _, pid := range descendants(p.pid) {
		_ = syscall.Kill(pid, sig) // may have ended by itself
	}
	return nil
}

// Stop sends the signals in turn, giving the child the time `each` after
// every one, and ends with Kill.
func (p *Process) Stop(ctx context.Context, each time.Duration, signals ...syscall.Signal) error {
	for _, sig := range signals {
		if err := p.Signal(sig); err != nil {
			return err
		}
		timer := time.NewTimer(each)
		select {
		case <-p.done:
			timer.Stop()
			return nil
		case <-ctx.Done():
		case <-timer.C:
		}
		timer.Stop()
	}
	return p.Kill()
}

// Environ is the environment that children get: what a server needs to find
// its files and print messages, and nothing else. GODEBUG above all stays
// behind: a Vault that inherits fips140=only dies (docs/decisions/0002).
func Environ() []string {
	env := []string{"LC_ALL=C", "TZ=UTC"}
	for _, name := range []string{"PATH", "HOME", "TMPDIR", "USER"} {
		if v := os.Getenv(name); v != "" {
			env = append(env, name+"="+v)
		}
	}
	return env
}

// Tail returns up to n last lines of a child's log, for error messages.
func Tail(logFile string, n int) string {
	b, err := os.ReadFile(logFile)
	if err != nil {
		return ""
	}
	lines := strings.Split(strings.TrimRight(string(b), "\n"), "\n")
	return strings.Join(lines[max(0, len(lines)-n):], "\n")
}
