package chromiumtest

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"sync"
	"syscall"
	"testing"
	"time"
)

// flags of every start: no sandbox (tests run as root), nothing that phones home, nothing that asks.
var flags = []string{
	"--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--no-default-browser-check", "--disable-sync",
	"--disable-background-networking", "--disable-component-update", "--disable-default-apps", "--disable-extensions", "--disable-dev-shm-usage",
	"--remote-debugging-pipe",
}

// patience bounds the answer to one command. A cold start on two busy cores takes seconds.
const patience = 60 * time.Second

// Browser is one running Chromium. Safe for concurrent use.
type Browser struct {
	to *os.File

	mu      sync.Mutex
	last    int
	waiting map[int]chan message
	pages   map[string]*Page // by session
	ended   error
}

// message is a command, an answer or an event of the DevTools protocol.
type message struct {
	ID      int             `json:"id,omitempty"`
	Session string          `json:"sessionId,omitempty"`
	Method  string          `json:"method,omitempty"`
	Params  json.RawMessage `json:"params,omitempty"`
	Result  json.RawMessage `json:"result,omitempty"`
	Error   *struct {
		Message string `json:"message"`
	} `json:"error,omitempty"`
}

// Start starts Chromium with a profile of its own; it ends with the test.
func Start(t testing.TB) *Browser {
	t.Helper()
	path := find(t)
	profile, err := os.MkdirTemp("", "sealtrail-chromium-") // not t.TempDir: what Chromium still writes while it dies would fail the test
	if err != nil {
		t.Fatal(err)
	}
	inR, inW, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	outR, outW, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(path, append(flags, "--user-data-dir="+profile, "about:blank")...) //nolint:noctx // ended below, with its children
	cmd.ExtraFiles = []*os.File{inR, outW}                                                 // descriptors 3 and 4, as --remote-debugging-pipe wants them
	cmd.Env = append(os.Environ(), "HOME="+profile, "XDG_CONFIG_HOME="+profile, "XDG_CACHE_HOME="+profile)
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	if err := cmd.Start(); err != nil {
		t.Fatalf("starting %s: %v", path, err)
	}
	b := &Browser{to: inW, waiting: map[int]chan message{}, pages: map[string]*Page{}}
	t.Cleanup(func() {
		_ = syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL) // the group that we started: helpers of Chromium too
		_ = cmd.Wait()
		_ = errors.Join(inW.Close(), outR.Close(), os.RemoveAll(profile))
	})
	_ = errors.Join(inR.Close(), outW.Close()) // the child has them
	go b.read(outR)
	return b
}

// read hands answers to those who wait and events to their pages, until the pipe ends.
func (b *Browser) read(from io.Reader) {
	r := bufio.NewReaderSize(from, 1<<20)
	for {
		raw, err := r.ReadBytes(0)
		if err != nil {
			b.end(fmt.Errorf("chromium ended: %w", err))
			return
		}
		var m message
		if err := json.Unmarshal(raw[:len(raw)-1], &m); err != nil {
			b.end(fmt.Errorf("reading chromium's answer: %w", err))
			return
		}
		b.mu.Lock()
		if m.ID != 0 {
			if c := b.waiting[m.ID]; c != nil {
				c <- m
			}
		} else if p := b.pages[m.Session]; p != nil {
			p.event(m)
		}
		b.mu.Unlock()
	}
}

func (b *Browser) end(err error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.ended = err
	for _, c := range b.waiting {
		close(c)
	}
	b.waiting = map[int]chan message{}
}

// call sends a command and decodes its result into out, if that is not nil.
func (b *Browser) call(ctx context.Context, session, method string, params, out any) error {
	raw, err := json.Marshal(params)
	if err != nil {
		return fmt.Errorf("%s: %w", method, err)
	}
	answer := make(chan message, 1)
	b.mu.Lock()
	if b.ended != nil {
		defer b.mu.Unlock()
		return fmt.Errorf("%s: %w", method, b.ended)
	}
	b.last++
	id := b.last
	b.waiting[id] = answer
	b.mu.Unlock()
	sent, err := json.Marshal(message{ID: id, Session: session, Method: method, Params: raw})
	if err != nil {
		return fmt.Errorf("%s: %w", method, err)
	}
	if _, err := b.to.Write(append(sent, 0)); err != nil {
		return fmt.Errorf("%s: %w", method, err)
	}
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	select {
	case m, ok := <-answer:
		return b.answered(method, id, m, ok, out)
	case <-ctx.Done():
		return fmt.Errorf("%s: %w", method, ctx.Err())
	}
}

func (b *Browser) answered(method string, id int, m message, ok bool, out any) error {
	b.mu.Lock()
	delete(b.waiting, id)
	ended := b.ended
	b.mu.Unlock()
	switch {
	case !ok:
		return fmt.Errorf("%s: %w", method, ended)
	case m.Error != nil:
		return fmt.Errorf("%s: %s", method, m.Error.Message)
	case out == nil:
		return nil
	}
	if err := json.Unmarshal(m.Result, out); err != nil {
		return fmt.Errorf("%s: %w", method, err)
	}
	return nil
}
