package childproc_test

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/sealtrail/sealtrail/internal/childproc"
)

// TestMain is also the program of TestChildDiesWithItsParent: a parent that
// starts a child, prints its id and is then killed.
func TestMain(m *testing.M) {
	if log := os.Getenv("CHILDPROC_TEST_PARENT"); log != "" {
		p, err := childproc.Start(childproc.Config{Path: "/bin/sleep", Args: []string{"600"}, LogFile: log})
		if err != nil {
			fmt.Println(err)
			os.Exit(1)
		}
		runtime.GC() // must not end the locked thread
		fmt.Println(p.Pid())
		select {}
	}
	os.Exit(m.Run())
}

// gone waits until a process is no more: the pipe it inherited as standard
// output is closed by the kernel when the last holder ends.
func gone(t *testing.T, r io.Reader) {
	t.Helper()
	done := make(chan error, 1)
	go func() { _, err := io.Copy(io.Discard, r); done <- err }()
	select {
	case err := <-done:
		if err != nil {
			t.Error(err)
		}
	case <-time.After(10 * time.Second):
		t.Error("the child outlived its parent by 10 s")
	}
}

func TestChildDiesWithItsParent(t *testing.T) {
	t.Parallel()
	if runtime.GOOS != "linux" {
		t.Skip("only Linux tells a child of its parent's death")
	}
	// The child's log is a pipe, so its end is seen as end of file.
	fifo := filepath.Join(t.TempDir(), "log")
	if err := syscall.Mkfifo(fifo, 0o600); err != nil {
		t.Fatal(err)
	}
	opened := make(chan *os.File, 1)
	go func() {
		f, err := os.Open(fifo)
		if err != nil {
			t.Error(err)
		}
		opened <- f
	}()
	parent := exec.Command(os.Args[0])
	parent.Env = append(os.Environ(), "CHILDPROC_TEST_PARENT="+fifo)
	out, err := parent.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := parent.Start(); err != nil {
		t.Fatal(err)
	}
	line, err := bufio.NewReader(out).ReadString('\n')
	if err != nil {
		t.Fatal(err)
	}
	pid, err := strconv.Atoi(strings.TrimSpace(line))
	if err != nil {
		t.Fatalf("the parent said %q", line)
	}
	if err := syscall.Kill(pid, 0); err != nil {
		t.Fatalf("the child does not run: %v", err)
	}
	if err := parent.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	_ = parent.Wait() // "signal: killed", as intended
	f := <-opened
	defer f.Close()
	gone(t, f)
}

func TestKillTakesTheWholeFamily(t *testing.T) {
	t.Parallel()
	if runtime.GOOS != "linux" {
		t.Skip("descendants are found in /proc")
	}
	log := filepath.Join(t.TempDir(), "log")
	p, err := childproc.Start(childproc.Config{
		Path: "/bin/sh", LogFile: log, // setsid: out of the group, as PostgreSQL's backends are
		Args: []string{"-c", "setsid sh -c 'echo $$; exec sleep 600' & wait"},
	})
	if err != nil {
		t.Fatal(err)
	}
	grandchild := awaitNumber(t, log)
	if err := p.Kill(); err != nil {
		t.Fatal(err)
	}
	if p.Running() || p.Err() == nil {
		t.Errorf("after Kill: running %v, error %v", p.Running(), p.Err())
	}
	awaitEnd(t, grandchild)
}

// awaitNumber reads the log until it holds a number.
func awaitNumber(t *testing.T, log string) int {
	t.Helper()
	for deadline := time.Now().Add(10 * time.Second); time.Now().Before(deadline); runtime.Gosched() {
		if b, _ := os.ReadFile(log); strings.HasSuffix(string(b), "\n") {
			n, err := strconv.Atoi(strings.TrimSpace(string(b)))
			if err != nil {
				t.Fatalf("log = %q", b)
			}
			return n
		}
	}
	t.Fatal("the child wrote nothing in 10 s")
	return 0
}

// awaitEnd waits until a process is gone or a zombie whose reaper is not us.
func awaitEnd(t *testing.T, pid int) {
	t.Helper()
	for deadline := time.Now().Add(10 * time.Second); time.Now().Before(deadline); runtime.Gosched() {
		b, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
		if err != nil || strings.Contains(string(b), ") Z ") {
			return
		}
	}
	t.Errorf("process %d still runs after 10 s", pid)
}

func TestStopEscalates(t *testing.T) {
	t.Parallel()
	log := filepath.Join(t.TempDir(), "log")
	p, err := childproc.Start(childproc.Config{
		Path: "/bin/sh", LogFile: log, Args: []string{"-c", "trap '' TERM; echo 1; while :; do sleep 1; done"},
	})
	if err != nil {
		t.Fatal(err)
	}
	awaitNumber(t, log)
	if err := p.Stop(context.Background(), 50*time.Millisecond, syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	if p.Running() {
		t.Error("a child that ignores SIGTERM still runs")
	}
	if err := p.Signal(syscall.SIGTERM); err != nil {
		t.Errorf("signalling a child that has ended: %v", err)
	}
}

func TestEnvironmentIsScrubbed(t *testing.T) {
	t.Setenv("GODEBUG", "fips140=only")
	t.Setenv("VAULT_TOKEN", "x")
	for _, kv := range childproc.Environ() {
		name, _, _ := strings.Cut(kv, "=")
		if !slices.Contains([]string{"LC_ALL", "TZ", "PATH", "HOME", "TMPDIR", "USER"}, name) {
			t.Errorf("a child gets %s", name)
		}
	}
}

func TestStartSaysWhatItCouldNotStart(t *testing.T) {
	t.Parallel()
	_, err := childproc.Start(childproc.Config{Path: "/no/such/program", LogFile: filepath.Join(t.TempDir(), "log")})
	if err == nil || !strings.Contains(err.Error(), "/no/such/program") {
		t.Errorf("error = %v, want one that names the program", err)
	}
	_, err = childproc.Start(childproc.Config{Path: "/bin/true", LogFile: filepath.Join(t.TempDir(), "no", "log")})
	if err == nil {
		t.Error("a log that cannot be opened was accepted")
	}
}

func TestTail(t *testing.T) {
	t.Parallel()
	log := filepath.Join(t.TempDir(), "log")
	if err := os.WriteFile(log, []byte("a\nb\nc\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	if got := childproc.Tail(log, 2); got != "b\nc" {
		t.Errorf("Tail = %q, want the last two lines", got)
	}
	if got := childproc.Tail(log, 9); got != "a\nb\nc" {
		t.Errorf("Tail = %q, want all", got)
	}
	if got := childproc.Tail(log+"x", 1); got != "" {
		t.Errorf("Tail of no file = %q", got)
	}
}

func TestAwaitSaysHowTheChildEnded(t *testing.T) {
	t.Parallel()
	never := func() bool { return false }
	shell := func(script string) *childproc.Process {
		p, err := childproc.Start(childproc.Config{Path: "/bin/sh", Args: []string{"-c", script}, LogFile: filepath.Join(t.TempDir(), "log")})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = p.Kill() }) // may have ended by itself
		return p
	}
	asked := 0
	if err := shell("sleep 600").Await(t.Context(), time.Millisecond, func() bool { asked++; return asked == 3 }); err != nil || asked != 3 {
		t.Errorf("ready at the third question: %v after %d", err, asked)
	}
	err := shell("echo no such disk; exit 3").Await(t.Context(), time.Millisecond, never)
	if err == nil || !strings.Contains(err.Error(), "exit status 3") || !strings.Contains(err.Error(), "no such disk") {
		t.Errorf("a child that ended: %v", err)
	}
	if err := shell("exit 0").Await(t.Context(), time.Millisecond, never); err == nil || !strings.Contains(err.Error(), "exit code 0") {
		t.Errorf("a child that ended without a word: %v", err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := shell("sleep 600").Await(ctx, time.Hour, never); !errors.Is(err, context.Canceled) {
		t.Errorf("a wait that was called off: %v", err)
	}
}
