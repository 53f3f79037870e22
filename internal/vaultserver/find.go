package vaultserver

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"syscall"
	"time"
)

// ErrNoSource is wrapped when Vault would have to be built but the folder
// tools/vault of the source tree is not at hand.
var ErrNoSource = errors.New("no source tree with tools/vault")

// Logf receives one line of progress; testing.T.Logf fits. Nil is silent.
type Logf func(format string, args ...any)

func (l Logf) say(format string, args ...any) {
	if l != nil {
		l(format, args...)
	}
}

// Program is a Vault-compatible server program.
type Program struct {
	// Path is absolute.
	Path string
	// OpenBao is true for bao, which takes audit devices only from its
	// configuration file.
	OpenBao bool
}

// Find returns `vault` or `bao` from PATH, else the upstream server built from
// tools/vault: once per user and version, into the user's cache, under a lock,
// saying so first.
func Find(ctx context.Context, log Logf) (Program, error) {
	for _, name := range []string{"vault", "bao"} {
		path, err := exec.LookPath(name)
		if err != nil {
			continue
		}
		if path, err = filepath.Abs(path); err == nil {
			return Program{Path: path, OpenBao: name == "bao"}, nil
		}
	}
	path, err := Build(ctx, log)
	return Program{Path: path}, err
}

// buildFlags make the smallest server that has what we use: transit, AppRole,
// policies, raft storage, file audit. The date is the release's own.
var buildFlags = []string{
	"-mod=readonly", "-tags=minimal", "-trimpath", "-buildvcs=false",
	"-ldflags=-s -w -X github.com/hashicorp/vault/version.BuildDate=2026-01-06T00:00:00Z",
}

// Build builds the upstream Vault from tools/vault unless the cache holds it,
// and returns the program's path. The name in the cache carries a hash of
// everything that goes into the build, so every clone shares one and a change
// makes a new one.
func Build(ctx context.Context, log Logf) (string, error) {
	source, err := sourceDir()
	if err != nil {
		return "", err
	}
	key, err := buildKey(source)
	if err != nil {
		return "", fmt.Errorf("hashing tools/vault: %w", err)
	}
	cache := CacheDir()
	target := filepath.Join(cache, "vault-"+key, "vault")
	if _, err := os.Stat(target); err == nil {
		return target, nil
	}
	if err := os.MkdirAll(filepath.Dir(target), 0o755); err != nil {
		return "", fmt.Errorf("making the cache: %w", err)
	}
	unlock, err := lock(ctx, filepath.Join(cache, "vault.lock"), log)
	if err != nil {
		return "", err
	}
	defer unlock()
	if _, err := os.Stat(target); err == nil { // somebody else built it meanwhile
		return target, nil
	}
	return target, compile(ctx, source, target, log)
}

// CacheDir is the folder for built servers, outside any clone.
func CacheDir() string {
	dir, err := os.UserCacheDir()
	if err != nil { // no HOME, as in bare containers
		dir = filepath.Join(os.TempDir(), fmt.Sprintf("sealtrail-cache-%d", os.Getuid()))
	}
	return filepath.Join(dir, "sealtrail")
}

// compile builds beside the target and renames: crash here leaves a file that
// nobody uses and the next build overwrites.
func compile(ctx context.Context, source, target string, log Logf) error {
	goTool, err := findGo()
	if err != nil {
		return err
	}
	log.say("no Vault on this machine: building the upstream server once (v1.21.2, BUSL-1.1, a separate program)")
	log.say("this takes 3 to 6 minutes, about 400 MB of modules and 2.5 GB of memory; the result stays in %s", filepath.Dir(target))
	began := time.Now()
	partial := target + ".partial"
	args := append([]string{"build", "-C", source, "-o", partial}, buildFlags...)
	cmd := exec.CommandContext(ctx, goTool, append(args, "github.com/hashicorp/vault")...)
	cmd.Env = append(without(os.Environ(), "GODEBUG", "GOOS", "GOARCH", "GOWORK"), "CGO_ENABLED=0", "GOWORK=off")
	stop := tellProgress(log, began)
	out, err := cmd.CombinedOutput()
	stop()
	if err != nil {
		return fmt.Errorf("building Vault: %w: %s", err, lastLines(string(out), 8))
	}
	if err := os.Rename(partial, target); err != nil {
		return fmt.Errorf("keeping the built Vault: %w", err)
	}
	log.say("built Vault in %s", time.Since(began).Round(time.Second))
	return nil
}

// tellProgress says every 20 seconds that the build still runs.
func tellProgress(log Logf, began time.Time) (stop func()) {
	done := make(chan struct{})
	go func() {
		tick := time.NewTicker(20 * time.Second)
		defer tick.Stop()
		for {
			select {
			case <-done:
				return
			case <-tick.C:
				log.say("still building Vault, %s so far", time.Since(began).Round(time.Second))
			}
		}
	}()
	return func() { close(done) }
}

func findGo() (string, error) {
	if path, err := exec.LookPath("go"); err == nil {
		return path, nil
	}
	path := "/usr/local/go/bin/go"
	if _, err := os.Stat(path); err != nil {
		return "", fmt.Errorf("building Vault: no go on PATH; install Vault or set VAULT_ADDR")
	}
	return path, nil
}

// sourceDir finds tools/vault: SEALTRAIL_SOURCE names the tree, else a parent
// of the working directory, else the tree this program was built from.
func sourceDir() (string, error) {
	var roots []string
	if root := os.Getenv("SEALTRAIL_SOURCE"); root != "" {
		roots = append(roots, root)
	}
	if wd, err := os.Getwd(); err == nil {
		roots = append(roots, parents(wd)...)
	}
	if _, file, _, ok := runtime.Caller(0); ok && filepath.IsAbs(file) {
		roots = append(roots, parents(filepath.Dir(file))...)
	}
	for _, root := range roots {
		dir := filepath.Join(root, "tools", "vault")
		if _, err := os.Stat(filepath.Join(dir, "nodiscover", "go.mod")); err == nil {
			return filepath.Abs(dir)
		}
	}
	return "", fmt.Errorf("%w: install vault or bao, set VAULT_ADDR, or set SEALTRAIL_SOURCE to a clone", ErrNoSource)
}

func parents(dir string) []string {
	dirs := []string{dir}
	for filepath.Dir(dir) != dir {
		dir = filepath.Dir(dir)
		dirs = append(dirs, dir)
	}
	return dirs
}

// buildKey hashes every file of the module, the flags and the platform.
func buildKey(source string) (string, error) {
	h := sha256.New()
	fmt.Fprintln(h, runtime.GOOS, runtime.GOARCH, buildFlags)
	err := fs.WalkDir(os.DirFS(source), ".", func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		b, err := os.ReadFile(filepath.Join(source, path))
		if err != nil {
			return err
		}
		fmt.Fprintf(h, "%s %d\n", path, len(b))
		h.Write(b)
		return nil
	})
	return hex.EncodeToString(h.Sum(nil))[:16], err
}

// lock takes an exclusive lock that the kernel drops when this process ends.
func lock(ctx context.Context, path string, log Logf) (unlock func(), err error) {
	f, err := os.OpenFile(path, os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return nil, fmt.Errorf("locking the build of Vault: %w", err)
	}
	told := false
	tick := time.NewTicker(200 * time.Millisecond)
	defer tick.Stop()
	for {
		err := syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB)
		if err == nil {
			return func() { _ = f.Close() }, nil // closing drops the lock
		}
		if !errors.Is(err, syscall.EWOULDBLOCK) {
			_ = f.Close()
			return nil, fmt.Errorf("locking the build of Vault: %w", err)
		}
		if !told {
			log.say("another process builds Vault: waiting for it")
			told = true
		}
		select {
		case <-ctx.Done():
			_ = f.Close()
			return nil, fmt.Errorf("waiting for another build of Vault: %w", ctx.Err())
		case <-tick.C:
		}
	}
}

// without returns env less the variables named.
func without(env []string, names ...string) []string {
	var kept []string
next:
	for _, kv := range env {
		for _, name := range names {
			if strings.HasPrefix(kv, name+"=") {
				continue next
			}
		}
		kept = append(kept, kv)
	}
	return kept
}

func lastLines(s string, n int) string {
	lines := strings.Split(strings.TrimSpace(s), "\n")
	return strings.Join(lines[max(0, len(lines)-n):], "\n")
}
