// Package chromiumtest drives a real headless Chromium for tests of pages that must work in a browser, from file:// and without a
// network: a few lines over the DevTools protocol's pipe, no driver of other people's.
//
// The one idea: what a page asked of the network and what it complained of is recorded from the start, so that "none" is a finding
// and not an oversight.
//
// It never knows what a page shows; tests read that by its own means.
package chromiumtest

import (
	"context"
	"errors"
	"os"
	"os/exec"
	"sync"
	"testing"
	"time"
)

// none, set as SEALTRAIL_CHROMIUM, says that Chromium cannot be had here: .ci/run sets it where it neither is nor can be installed.
const none = "none"

// installing is held while the package is installed: apt-get takes one at a time.
var installing sync.Mutex

// find returns the path of Chromium or Chrome. A missing one fails the test, but where SEALTRAIL_CHROMIUM says that it cannot be had:
// then the test is skipped and says so. As root on Debian or Ubuntu the package chromium is installed, as PostgreSQL is.
func find(t testing.TB) string {
	t.Helper()
	if path, ok := installed(); ok {
		return path
	}
	if os.Getenv("SEALTRAIL_CHROMIUM") == none {
		t.Skip("NOT CHECKED in a browser: no chromium, and SEALTRAIL_CHROMIUM=none says that it cannot be had")
	}
	if _, err := exec.LookPath("apt-get"); err != nil || os.Geteuid() != 0 {
		t.Fatal("no chromium: install the package chromium, or set SEALTRAIL_CHROMIUM=none to leave this unchecked in a browser")
	}
	t.Log("no chromium here: installing the distribution's package with apt-get (100 MB, about 1 minute)")
	if out, err := install(t.Context()); err != nil {
		t.Fatalf("no chromium, and installing it failed (set SEALTRAIL_CHROMIUM=none to leave this unchecked): %v: %s", err, out)
	}
	path, ok := installed()
	if !ok {
		t.Fatal("apt-get installed no chromium")
	}
	return path
}

func installed() (string, bool) {
	for _, name := range []string{"chromium", "chromium-browser", "google-chrome", "google-chrome-stable"} {
		if path, err := exec.LookPath(name); err == nil {
			return path, true
		}
	}
	return "", false
}

func install(ctx context.Context) (out []byte, err error) {
	installing.Lock()
	defer installing.Unlock()
	if _, ok := installed(); ok {
		return nil, nil
	}
	ctx, cancel := context.WithTimeout(ctx, 10*time.Minute)
	defer cancel()
	for _, args := range [][]string{{"update"}, {"install", "--no-install-recommends", "chromium", "fonts-wqy-microhei"}} {
		cmd := exec.CommandContext(ctx, "apt-get", append([]string{"-y", "-q"}, args...)...)
		cmd.Env = append(os.Environ(), "DEBIAN_FRONTEND=noninteractive")
		if out, err = cmd.CombinedOutput(); err != nil {
			return out, errors.Join(errors.New("apt-get "+args[0]), err)
		}
	}
	return nil, nil
}
