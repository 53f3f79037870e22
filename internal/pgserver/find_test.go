package pgserver

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// script puts an executable shell script into dir.
func script(t *testing.T, dir, name, body string) {
	t.Helper()
	if err := os.MkdirAll(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, name), []byte("#!/bin/sh\n"+body+"\n"), 0o755); err != nil {
		t.Fatal(err)
	}
}

func TestMajorVersion(t *testing.T) {
	t.Parallel()
	for out, want := range map[string]int{
		"postgres (PostgreSQL) 15.18 (Debian 15.18-0+deb12u1)\n": 15,
		"postgres (PostgreSQL) 18beta1":                          18,
		"postgres (PostgreSQL) 9.6.24":                           9,
		"postgres":                                               0,
	} {
		if got := majorVersion(out); got != want {
			t.Errorf("majorVersion(%q) = %d, want %d", out, got, want)
		}
	}
	for dir, want := range map[string]int{
		"/usr/lib/postgresql/9/bin": 9, "/usr/lib/postgresql/17/bin": 17, "/usr/pgsql-16/bin": 16,
		"/opt/homebrew/opt/postgresql@15/bin": 15, "/usr/bin": 0,
	} {
		if got := versionInPath(dir); got != want {
			t.Errorf("versionInPath(%q) = %d, want %d", dir, got, want)
		}
	}
}

// A program on PATH may be a link; its siblings are where it points.
func TestSearchFollowsLinksAndSkipsOldServers(t *testing.T) {
	root := t.TempDir()
	for _, v := range []int{14, 16} {
		dir := filepath.Join(root, fmt.Sprint(v), "bin")
		script(t, dir, "initdb", "exit 0")
		script(t, dir, "postgres", fmt.Sprintf("echo 'postgres (PostgreSQL) %d.1'", v))
	}
	links := filepath.Join(root, "links")
	if err := os.Mkdir(links, 0o755); err != nil {
		t.Fatal(err)
	}
	for name, target := range map[string]string{"initdb": "14/bin/initdb", "postgres": "16/bin/postgres"} {
		if err := os.Symlink(filepath.Join(root, target), filepath.Join(links, name)); err != nil {
			t.Fatal(err)
		}
	}
	t.Setenv("PATH", links+":"+os.Getenv("PATH"))
	got, ok := search(t.Context())
	want := filepath.Join(root, "16", "bin")
	if resolved, err := filepath.EvalSymlinks(want); err == nil {
		want = resolved
	}
	if !ok || got.Dir != want || got.Version != 16 {
		t.Errorf("search = %+v, %v; want version 16 in %s", got, ok, want)
	}
}

func TestInstallMakesNoSystemCluster(t *testing.T) {
	root := t.TempDir()
	conf, calls := filepath.Join(root, "createcluster.d"), filepath.Join(root, "calls")
	// The fake refuses once, as apt does before its lists are refreshed, and
	// shows what the packaging would read when the server is installed.
	script(t, filepath.Join(root, "bin"), "apt-get", `
echo "$DEBIAN_FRONTEND $*" >> `+calls+`
cat `+conf+`/*.conf >> `+calls+` 2>/dev/null
if [ "$1" = install ] && [ ! -e `+root+`/updated ]; then echo "E: Unable to locate package"; exit 100; fi
if [ "$1" = update ]; then touch `+root+`/updated; fi
exit 0`)
	t.Setenv("PATH", filepath.Join(root, "bin")+":"+os.Getenv("PATH"))
	var said []string
	log := func(format string, args ...any) { said = append(said, fmt.Sprintf(format, args...)) }
	if err := aptInstall(t.Context(), conf, log); err != nil {
		t.Fatal(err)
	}
	b, err := os.ReadFile(calls)
	if err != nil {
		t.Fatal(err)
	}
	want := strings.Join([]string{
		"noninteractive install -y -q --no-install-recommends postgresql-common",
		"noninteractive update -y -q --no-install-recommends",
		"noninteractive install -y -q --no-install-recommends postgresql-common",
		"noninteractive install -y -q --no-install-recommends postgresql",
		"create_main_cluster = false", "",
	}, "\n")
	if string(b) != want {
		t.Errorf("apt-get saw\n%s\nwant\n%s", b, want)
	}
	if left, _ := filepath.Glob(conf + "/*"); len(left) != 0 {
		t.Errorf("left behind: %v", left)
	}
	if len(said) == 0 || !strings.Contains(said[0], "apt-get") {
		t.Errorf("said %q, want the installation announced", said)
	}
}

func TestFailedInstallSaysWhatAptSaid(t *testing.T) {
	root := t.TempDir()
	script(t, root, "apt-get", `echo "E: no network"; exit 100`)
	t.Setenv("PATH", root+":"+os.Getenv("PATH"))
	err := aptInstall(t.Context(), filepath.Join(root, "conf"), nil)
	if err == nil || !strings.Contains(err.Error(), "E: no network") {
		t.Errorf("error = %v, want apt's last line", err)
	}
}

func TestHintNamesACommand(t *testing.T) {
	t.Parallel()
	if hint := installHint(); !strings.Contains(hint, "postgresql") {
		t.Errorf("hint = %q", hint)
	}
}
