package s3test

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"syscall"
	"time"

	"github.com/sealtrail/sealtrail/internal/vaultserver"
)

// program is the server's main package in its module.
const program = "github.com/versity/versitygw/cmd/versitygw"

// build returns the server program, built once per user and version into the
// user's cache, under a lock, as vaultserver does with Vault.
func build(ctx context.Context, say func(string, ...any)) (string, error) {
	source, err := sourceDir()
	if err != nil {
		return "", err
	}
	key, err := buildKey(source)
	if err != nil {
		return "", fmt.Errorf("hashing tools/s3gateway: %w", err)
	}
	cache := vaultserver.CacheDir()
	target := filepath.Join(cache, "s3gateway-"+key, "versitygw")
	if _, err := os.Stat(target); err == nil {
		return target, nil
	}
	if err := os.MkdirAll(filepath.Dir(target), 0o755); err != nil {
		return "", fmt.Errorf("making the cache: %w", err)
	}
	lock, err := os.OpenFile(filepath.Join(cache, "s3gateway.lock"), os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return "", fmt.Errorf("locking the build of the S3 gateway: %w", err)
	}
	defer lock.Close() // drops the lock
	if err := syscall.Flock(int(lock.Fd()), syscall.LOCK_EX); err != nil {
		return "", fmt.Errorf("locking the build of the S3 gateway: %w", err)
	}
	if _, err := os.Stat(target); err == nil { // somebody else built it meanwhile
		return target, nil
	}
	return target, compile(ctx, source, target, say)
}

// compile builds beside the target and renames: crash here leaves a file that
// nobody uses and the next build overwrites.
func compile(ctx context.Context, source, target string, say func(string, ...any)) error {
	say("building the S3 gateway of the tests once, about 75 s on two cores (versitygw, Apache-2.0, a separate program)")
	began := time.Now()
	cmd := exec.CommandContext(ctx, "go", "build", "-C", source, "-mod=readonly", "-trimpath", "-buildvcs=false", "-ldflags=-s -w", "-o", target+".partial", program)
	cmd.Env = environment("CGO_ENABLED=0", "GOWORK=off")
	out, err := cmd.CombinedOutput()
	if err != nil {
		return fmt.Errorf("building the S3 gateway: %w: %s", err, out)
	}
	if err := os.Rename(target+".partial", target); err != nil {
		return fmt.Errorf("keeping the built S3 gateway: %w", err)
	}
	say("built the S3 gateway in %s", time.Since(began).Round(time.Second))
	return nil
}

// environment is ours but for what is meant for this process alone: a child
// that inherits GODEBUG=fips140=only would be another server.
func environment(more ...string) []string {
	env := make([]string, 0, len(os.Environ())+len(more))
	for _, kv := range os.Environ() {
		name, _, _ := strings.Cut(kv, "=")
		if name != "GODEBUG" && name != "GOFLAGS" && name != "GOOS" && name != "GOARCH" {
			env = append(env, kv)
		}
	}
	return append(env, more...)
}

// sourceDir is tools/s3gateway of the tree that the test was built from.
func sourceDir() (string, error) {
	_, file, _, ok := runtime.Caller(0)
	if ok && filepath.IsAbs(file) {
		dir := filepath.Join(filepath.Dir(file), "..", "..", "tools", "s3gateway")
		if _, err := os.Stat(filepath.Join(dir, "go.mod")); err == nil {
			return dir, nil
		}
	}
	wd, err := os.Getwd()
	if err != nil {
		return "", fmt.Errorf("finding tools/s3gateway: %w", err)
	}
	for dir := wd; dir != filepath.Dir(dir); dir = filepath.Dir(dir) {
		found := filepath.Join(dir, "tools", "s3gateway")
		if _, err := os.Stat(filepath.Join(found, "go.mod")); err == nil {
			return found, nil
		}
	}
	return "", errors.New("finding tools/s3gateway: run the tests in a clone")
}

func buildKey(source string) (string, error) {
	h := sha256.New()
	fmt.Fprintln(h, runtime.GOOS, runtime.GOARCH)
	for _, name := range []string{"go.mod", "go.sum"} {
		b, err := os.ReadFile(filepath.Join(source, name))
		if err != nil {
			return "", err
		}
		fmt.Fprintln(h, name, len(b))
		h.Write(b)
	}
	return hex.EncodeToString(h.Sum(nil))[:16], nil
}
