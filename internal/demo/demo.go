// Package demo sets a whole installation up on this machine and tells the story
// of Sealtrail with its real output: twelve steps, each of which checks that it
// did what it says.
//
// The one idea: what is printed is what happened. A step runs the commands that
// a reader can repeat, shows what they answered, and fails the demo when the
// answer is not the promised one. The package must never know how anything is
// sealed or decided: it stands outside, as a user does.
package demo

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/sealtrail/sealtrail/internal/sandbox"
)

// Config says how to tell the story.
type Config struct {
	Once  bool   // tell it, clean up and return
	Dir   string // folder of everything; empty: a new one under the user's cache
	Data  string // CFPB file; empty: generated complaints
	Count int    // how many generated complaints; 0: 300
	Lang  string // zh or en; empty: by LANG
	// Streams is the service's list of streams to other systems; empty: none.
	Streams string
	Out     io.Writer
}

// Run sets up, tells the story, and, unless Once, stays until ctx ends. The
// error names the steps that failed.
func Run(ctx context.Context, cfg Config) error {
	if cfg.Count == 0 {
		cfg.Count = 300
	}
	if err := cfg.check(); err != nil {
		return err
	}
	dir, cleanUp, err := folder(cfg.Dir)
	if err != nil {
		return err
	}
	bin, err := programs()
	if err != nil {
		return err
	}
	t := &teller{out: cfg.Out, zh: chinese(cfg.Lang), began: time.Now()}
	t.say("", "Sealtrail 演示。一切都在这个目录里,只监听本机回环地址:%s", "The Sealtrail demo. Everything is in this folder and listens on loopback only: %s", dir)
	serve := []string{"--drain-within=1s"} // nobody's balancer waits here
	if cfg.Streams != "" {
		serve = append(serve, "--streams="+cfg.Streams)
	}
	s, err := sandbox.Start(ctx, sandbox.Config{Dir: dir, Bin: bin, Log: t.progress, ServeArgs: serve})
	if err != nil {
		return errors.Join(fmt.Errorf("setting up: %w", err), cleanUp())
	}
	t.say("✓", "安装就绪,用时 %s", "installation ready in %s", time.Since(t.began).Round(100*time.Millisecond))
	story := &story{Sandbox: s, teller: t, cfg: cfg}
	err = story.tell(ctx)
	if !cfg.Once && ctx.Err() == nil {
		story.invite()
		<-ctx.Done()
	}
	t.say("", "正在停止一切……", "taking everything down ...")
	return errors.Join(err, s.Stop(), cleanUp())
}

// check refuses what would fail only after everything was set up.
func (cfg *Config) check() error {
	if cfg.Count < 0 {
		return errors.New("--count: want a number above 0")
	}
	if cfg.Data == "" {
		return nil
	}
	info, err := os.Stat(cfg.Data)
	if err != nil {
		return fmt.Errorf("reading --data: %w", err)
	}
	if !info.Mode().IsRegular() {
		return fmt.Errorf("reading --data: %s is no file", cfg.Data)
	}
	return nil
}

// marker is the file by which a folder is known to be a demo's.
const marker = "demo.json"

// folder makes the demo's folder. A chosen folder that holds an earlier demo is
// emptied; one that holds anything else, or a demo that still runs, is refused.
func folder(chosen string) (dir string, cleanUp func() error, err error) {
	if chosen == "" {
		cache, err := os.UserCacheDir()
		if err != nil {
			cache = os.TempDir()
		}
		parent := filepath.Join(cache, "sealtrail")
		if err := os.MkdirAll(parent, 0o700); err != nil {
			return "", nil, fmt.Errorf("making the demo's folder: %w", err)
		}
		dir, err := os.MkdirTemp(parent, "demo-")
		if err != nil {
			return "", nil, fmt.Errorf("making the demo's folder: %w", err)
		}
		return dir, func() error { return os.RemoveAll(dir) }, nil
	}
	dir, err = filepath.Abs(chosen)
	if err != nil {
		return "", nil, fmt.Errorf("making the demo's folder: %w", err)
	}
	entries, err := os.ReadDir(dir)
	if err == nil && len(entries) > 0 {
		raw, err := os.ReadFile(filepath.Join(dir, marker))
		if err != nil {
			return "", nil, fmt.Errorf("the folder %s holds something else than a demo: choose another one with --dir", dir)
		}
		if running(raw) {
			return "", nil, fmt.Errorf("the demo of the folder %s still runs: stop it, or choose another folder with --dir", dir)
		}
		if err := os.RemoveAll(dir); err != nil {
			return "", nil, fmt.Errorf("emptying the demo's folder: %w", err)
		}
	}
	return dir, func() error { return nil }, nil
}

// running says whether any server that a demo.json names still listens.
func running(description []byte) bool {
	var d sandbox.Description
	if err := json.Unmarshal(description, &d); err != nil {
		return false
	}
	for _, address := range []string{d.API, d.Witness, d.Vault, d.Database} {
		u, err := url.Parse(address)
		if err != nil || u.Host == "" {
			continue
		}
		if conn, err := net.DialTimeout("tcp", u.Host, time.Second); err == nil {
			conn.Close()
			return true
		}
	}
	return false
}

// programs finds the folder with the three commands: beside this program.
func programs() (string, error) {
	self, err := os.Executable()
	if err != nil {
		return "", fmt.Errorf("finding this program: %w", err)
	}
	bin := filepath.Dir(self)
	for _, name := range []string{"sealtrail", "trailcheck"} {
		if _, err := os.Stat(filepath.Join(bin, name)); err != nil {
			return "", fmt.Errorf("%s is not beside sealtraild: use `make demo`, or `go build -o bin/ ./cmd/...` and bin/sealtraild demo", name)
		}
	}
	return bin, nil
}

func chinese(lang string) bool {
	if lang == "" {
		lang = os.Getenv("LC_ALL")
	}
	if lang == "" {
		lang = os.Getenv("LANG")
	}
	return strings.HasPrefix(lang, "zh")
}
