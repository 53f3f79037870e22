package main

import (
	"fmt"
	"io"
	"os"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/term"
)

// countingReader counts the bytes that were read, for the share that is done.
type countingReader struct {
	r io.Reader
	n atomic.Int64
}

// Read implements io.Reader.
func (c *countingReader) Read(p []byte) (int, error) {
	n, err := c.r.Read(p)
	c.n.Add(int64(n))
	return n, err
}

// progress shows how an import goes: a bar on a terminal, a line every ten
// seconds elsewhere.
type progress struct {
	s       *session
	read    *countingReader
	size    int64
	bar     bool
	started time.Time
	done    chan struct{}
	ended   chan struct{}
	once    sync.Once

	mu               sync.Mutex
	fresh, old, back int // filed, already there, rejected by the server
	before           int // filed in former runs
}

func newProgress(s *session, read *countingReader, size int64, state importState) *progress {
	f, ok := s.err.(*os.File)
	p := &progress{s: s, read: read, size: max(size, 1), bar: ok && term.IsTerminal(int(f.Fd())), started: time.Now(),
		done: make(chan struct{}), ended: make(chan struct{}), fresh: state.Filed, old: state.Existing, back: state.Rejected,
		before: state.Filed + state.Existing}
	go p.run()
	return p
}

func (p *progress) run() {
	defer close(p.ended)
	every := 10 * time.Second
	if p.bar {
		every = 200 * time.Millisecond
	}
	tick := time.NewTicker(every)
	defer tick.Stop()
	for {
		select {
		case <-tick.C:
			p.show()
		case <-p.done:
			if p.bar {
				p.show()
				fmt.Fprintln(p.s.err)
			}
			return
		}
	}
}

func (p *progress) show() {
	line := p.line(time.Since(p.started))
	if p.bar {
		fmt.Fprint(p.s.err, "\r\x1b[K", line)
		return
	}
	fmt.Fprintln(p.s.err, line)
}

// line is what is shown: bar, share, number, rate, time left, rejects.
func (p *progress) line(took time.Duration) string {
	fresh, old, back := p.counts()
	share := min(float64(p.read.n.Load())/float64(p.size), 1)
	rate := float64(fresh+old-p.before) / max(took.Seconds(), 0.001)
	left := "?"
	if share > 0.01 {
		left = time.Duration(float64(took) * (1 - share) / share).Round(time.Second).String()
	}
	const width = 24
	full := int(share * width)
	return fmt.Sprintf(p.s.word("%s%s %3.0f%%  %d 件  %.0f 件/秒  剩余 %s  拒收 %d", "%s%s %3.0f%%  %d filed  %.0f/s  %s left  %d rejected"),
		strings.Repeat("━", full), strings.Repeat("╌", width-full), share*100, fresh+old, rate, left, back)
}

func (p *progress) filed(existing bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if existing {
		p.old++
		return
	}
	p.fresh++
}

func (p *progress) rejected() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.back++
}

func (p *progress) counts() (filed, existing, rejected int) {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.fresh, p.old, p.back
}

func (p *progress) elapsed() time.Duration { return time.Since(p.started) }

// stop ends the display; it may be called twice.
func (p *progress) stop() {
	p.once.Do(func() { close(p.done) })
	<-p.ended
}
