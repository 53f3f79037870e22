package sandbox

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"syscall"

	"github.com/sealtrail/sealtrail/internal/childproc"
)

// Replica is one more process of the service on the sandbox's database, Vault
// and published folder. Its methods may be called concurrently.
type Replica struct {
	API, Ops string // base URLs

	box     *Sandbox
	log     string
	process *childproc.Process
}

// StartReplica starts one more process of the service, with ports of its own
// and otherwise the very settings of the first, and waits until it is ready.
// Stop of the sandbox ends it.
func (s *Sandbox) StartReplica(ctx context.Context, name string, args ...string) (*Replica, error) {
	api, err := freeAddress()
	if err != nil {
		return nil, err
	}
	ops, err := freeAddress()
	if err != nil {
		return nil, err
	}
	r := &Replica{API: "http://" + api, Ops: "http://" + ops, box: s, log: s.path("logs", name+".log")}
	// The last of two equal flags counts.
	flags := append(append([]string{"serve"}, s.serveFlags()...), "--listen", api, "--ops-listen", ops)
	r.process, err = childproc.Start(childproc.Config{Path: s.Program("sealtraild"), LogFile: r.log, Args: append(flags, args...),
		Env: append(childproc.Environ(), s.cfg.ServeEnv...)})
	if err != nil {
		return nil, err
	}
	s.mu.Lock()
	s.replicas = append(s.replicas, r)
	s.mu.Unlock()
	if _, err := s.await(ctx, r.Ops+"/readyz", r.process); err != nil {
		return nil, fmt.Errorf("%w: %s", err, childproc.Tail(r.log, 3))
	}
	return r, nil
}

// Log is the file of what the replica wrote to standard error.
func (r *Replica) Log() string { return r.log }

// Pid is the process id.
func (r *Replica) Pid() int { return r.process.Pid() }

// Running reports whether the process has not ended.
func (r *Replica) Running() bool { return r.process.Running() }

// Pause stops the process without ending it (SIGSTOP); Resume lets it go on.
func (r *Replica) Pause() error { return r.process.SignalAll(syscall.SIGSTOP) }

// Resume continues a paused replica.
func (r *Replica) Resume() error { return r.process.SignalAll(syscall.SIGCONT) }

// Kill ends the process by SIGKILL, as a crash does.
func (r *Replica) Kill() error { return r.process.Kill() }

// Stop ends the process by SIGTERM; nil if it does not run.
func (r *Replica) Stop() error {
	if !r.process.Running() {
		return nil
	}
	return stop(r.process)
}

// Call is Sandbox.Call, asked of this replica.
func (r *Replica) Call(ctx context.Context, persona, method, path string, body any, headers ...string) (*Answer, error) {
	return r.box.callAt(ctx, r.API+path, persona, method, body, headers...)
}

// Leads reports whether the process that serves ops is the one that publishes
// the log, by its own metrics.
func Leads(ctx context.Context, ops string) (bool, error) {
	text, err := get(ctx, ops+"/metrics")
	if err != nil {
		return false, err
	}
	for line := range strings.Lines(text) {
		if name, value, ok := strings.Cut(strings.TrimSpace(line), " "); ok && strings.HasPrefix(name, "sealtrail_log_leader") {
			return value == "1", nil
		}
	}
	return false, errors.New("the metrics do not say who leads")
}

// stopReplicas ends all of them.
func (s *Sandbox) stopReplicas() error {
	s.mu.Lock()
	list := s.replicas
	s.mu.Unlock()
	var errs []error
	for _, r := range list {
		if r.process.Running() {
			errs = append(errs, r.Resume(), r.Stop()) // one that is paused takes no signal
		}
	}
	return errors.Join(errs...)
}
