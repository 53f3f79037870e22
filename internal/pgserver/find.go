package pgserver

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"runtime"
	"slices"
	"strconv"
	"strings"
)

// MinVersion is the oldest major version of PostgreSQL that Sealtrail runs on:
// the first whose public schema is closed to ordinary users.
const MinVersion = 15

// ErrNoPostgres is wrapped by Find when there is no PostgreSQL and it could
// not be installed; the message names the command to run.
var ErrNoPostgres = errors.New("no PostgreSQL 15 or later")

// Logf receives one line of progress; testing.T.Logf fits. Nil is silent.
type Logf func(format string, args ...any)

func (l Logf) say(format string, args ...any) {
	if l != nil {
		l(format, args...)
	}
}

// Binaries is where a usable PostgreSQL lies.
type Binaries struct {
	// Dir holds initdb and postgres.
	Dir string
	// Version is the major version, at least MinVersion.
	Version int
}

// Path is the full path of one program, such as "initdb".
func (b Binaries) Path(program string) string { return filepath.Join(b.Dir, program) }

// searchGlobs are the folders that distributions use without putting them on
// PATH: Debian and Ubuntu, Red Hat's PGDG packages, Homebrew on both Macs.
var searchGlobs = []string{
	"/usr/lib/postgresql/*/bin",
	"/usr/pgsql-*/bin",
	"/opt/homebrew/opt/postgresql@*/bin",
	"/usr/local/opt/postgresql@*/bin",
}

// Find looks for PostgreSQL on PATH, then in the folders of the usual
// distributions (newest first). As root on Debian or Ubuntu it installs the
// distribution's package when there is none, without creating a system
// cluster, and says so through log. Otherwise the error wraps ErrNoPostgres.
func Find(ctx context.Context, log Logf) (Binaries, error) {
	if b, ok := search(ctx); ok {
		return b, nil
	}
	if os.Geteuid() != 0 || !debian() {
		return Binaries{}, fmt.Errorf("%w found: install it with: %s", ErrNoPostgres, installHint())
	}
	if err := aptInstall(ctx, clusterConf, log); err != nil {
		return Binaries{}, fmt.Errorf("%w found, and installing it failed: %w", ErrNoPostgres, err)
	}
	if b, ok := search(ctx); ok {
		return b, nil
	}
	return Binaries{}, fmt.Errorf("%w in this distribution's packages: see https://www.postgresql.org/download/", ErrNoPostgres)
}

func search(ctx context.Context) (Binaries, bool) {
	for _, dir := range candidates() {
		if _, err := os.Stat(filepath.Join(dir, "initdb")); err != nil {
			continue
		}
		out, err := exec.CommandContext(ctx, filepath.Join(dir, "postgres"), "--version").Output()
		if err != nil {
			continue
		}
		if v := majorVersion(string(out)); v >= MinVersion {
			return Binaries{Dir: dir, Version: v}, true
		}
	}
	return Binaries{}, false
}

// candidates lists folders in order of preference. A program on PATH may be a
// link out of a folder that lacks its siblings, so links are followed.
func candidates() []string {
	var dirs []string
	for _, program := range []string{"initdb", "postgres"} {
		if path, err := exec.LookPath(program); err == nil {
			if path, err = filepath.EvalSymlinks(path); err == nil {
				dirs = append(dirs, filepath.Dir(path))
			}
		}
	}
	var installed []string
	for _, glob := range searchGlobs {
		found, _ := filepath.Glob(glob) // the patterns are constants
		installed = append(installed, found...)
	}
	slices.SortStableFunc(installed, func(a, b string) int { return versionInPath(b) - versionInPath(a) })
	return append(dirs, installed...)
}

var (
	versionWord  = regexp.MustCompile(`\(PostgreSQL\) (\d+)`)
	numberInPath = regexp.MustCompile(`[/@-](\d+)/bin$`)
)

// majorVersion reads "postgres (PostgreSQL) 15.18 (Debian ...)"; 0 if unknown.
func majorVersion(out string) int { return firstNumber(versionWord, out) }

func versionInPath(dir string) int { return firstNumber(numberInPath, dir) }

func firstNumber(re *regexp.Regexp, s string) int {
	m := re.FindStringSubmatch(s)
	if m == nil {
		return 0
	}
	n, _ := strconv.Atoi(m[1]) // digits only by the pattern
	return n
}

func debian() bool {
	_, errApt := exec.LookPath("apt-get")
	_, errFile := os.Stat("/etc/debian_version")
	return errApt == nil && errFile == nil
}

func installHint() string {
	if runtime.GOOS == "darwin" {
		return "brew install postgresql@17"
	}
	if debian() {
		return "sudo apt-get install postgresql"
	}
	if _, err := exec.LookPath("dnf"); err == nil {
		return "sudo dnf install postgresql-server"
	}
	return "your system's package manager (package postgresql), or set DATABASE_URL"
}

// clusterConf is where Debian's packaging is told what to do after installing a
// server. A file of ours there says not to create and start a cluster; it is
// removed again after the installation.
const clusterConf = "/etc/postgresql-common/createcluster.d"

// aptInstall installs postgresql-common first, because its folder must exist
// before the server's own installation script asks whether to make a cluster.
func aptInstall(ctx context.Context, conf string, log Logf) (err error) {
	log.say("no PostgreSQL %d or later here: installing the distribution's package with apt-get (about 1 minute; no system cluster is created)", MinVersion)
	if err := apt(ctx, "install", "postgresql-common"); err != nil {
		log.say("refreshing the package lists first")
		if err := apt(ctx, "update"); err != nil {
			return err
		}
		if err := apt(ctx, "install", "postgresql-common"); err != nil {
			return err
		}
	}
	if err := os.MkdirAll(conf, 0o755); err != nil {
		return fmt.Errorf("preparing the installation: %w", err)
	}
	noCluster := filepath.Join(conf, "sealtrail-no-cluster.conf")
	if err := os.WriteFile(noCluster, []byte("create_main_cluster = false\n"), 0o644); err != nil {
		return fmt.Errorf("preparing the installation: %w", err)
	}
	defer func() { err = errors.Join(err, os.Remove(noCluster)) }()
	return apt(ctx, "install", "postgresql")
}

func apt(ctx context.Context, verb string, packages ...string) error {
	args := append([]string{verb, "-y", "-q", "--no-install-recommends"}, packages...)
	cmd := exec.CommandContext(ctx, "apt-get", args...)
	cmd.Env = append(os.Environ(), "DEBIAN_FRONTEND=noninteractive")
	out, err := cmd.CombinedOutput()
	if err != nil {
		lines := strings.Split(strings.TrimSpace(string(out)), "\n")
		return fmt.Errorf("apt-get %s: %w: %s", verb, err, lines[len(lines)-1])
	}
	return nil
}
