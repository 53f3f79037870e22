package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"iter"
	"net/http"
	"os"
	"strings"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/sealtrail/sealtrail/internal/intake"
)

type importCmd struct {
	File        string `arg:"" type:"existingfile" help:"CFPB CSV or JSON lines, plain or gzip."`
	Format      string `enum:"auto,cfpb,jsonl" default:"auto" help:"auto goes by the file's name: .csv(.gz) is cfpb."`
	Batch       int    `default:"200" help:"Complaints per request, 1 to 500."`
	Connections int    `default:"4" help:"Requests at the same time, 1 to 64."`
	State       string `type:"path" help:"Where to remember how far it came; default FILE.import-state." placeholder:"FILE"`
	Rejects     string `type:"path" help:"Where rows that may not be filed go, as line numbers and codes; default FILE.rejects.jsonl." placeholder:"FILE"`
	Identities  uint64 `help:"Seed of made-up identities for the XXXX slots of a CFPB file; 0 leaves them out." placeholder:"SEED"`
	Sealed      bool   `help:"FILE holds sealed envelopes (intake seal --out): the same as intake ingest FILE."`
	Tries       int    `default:"5" help:"How often a batch is sent while the server answers 503, waiting longer each time."`
}

// maxBatch is what the server takes.
const maxBatch = 500

// batch is a run of rows that travel together.
type batch struct {
	number   int
	rows     []intake.Row
	lastLine int
}

// importing is one import. Batches are sent in any order; the state file names
// the last line before which all are done, so that killing the import at any
// moment loses nothing and files nothing twice (source and source id identify a
// complaint).
type importing struct {
	*session
	cmd  *importCmd
	wait func(ctx context.Context, d time.Duration) error

	rejects *rejectFile
	shown   *progress

	mu    sync.Mutex
	done  map[int]int // batch number -> its last line, while earlier ones are missing
	next  int         // number of the first batch that is not done
	state importState
}

// Run imports.
func (c *importCmd) Run(s *session) error {
	if c.Batch < 1 || c.Batch > maxBatch || c.Connections < 1 || c.Connections > 64 {
		return &usageError{"--batch must be 1 to 500 and --connections 1 to 64", ""}
	}
	if c.Sealed {
		return (&intakeIngestCmd{From: c.File, Batch: min(c.Batch, 200), Tries: c.Tries}).Run(s)
	}
	if c.State == "" {
		c.State = c.File + ".import-state"
	}
	if c.Rejects == "" {
		c.Rejects = c.File + ".rejects.jsonl"
	}
	im := &importing{session: s, cmd: c, wait: pause, done: map[int]int{}}
	return im.run(s)
}

func (im *importing) run(ctx context.Context) error {
	file, err := os.Open(im.cmd.File)
	if err != nil {
		return &usageError{"opening the file: " + err.Error(), ""}
	}
	defer file.Close()
	info, err := file.Stat()
	if err != nil {
		return fmt.Errorf("opening the file: %w", err)
	}
	im.state = loadState(im.cmd.State, info)
	if im.rejects, err = openRejects(im.cmd.Rejects, im.state.Line > 0); err != nil {
		return err
	}
	defer func() { _ = im.rejects.Close() }() // finish closes it first and looks
	lines, err := countLines(im.cmd.File)
	if err != nil {
		return err
	}
	im.shown = newProgress(im.session, lines, im.state)
	defer im.shown.stop()
	if im.state.Line > 0 {
		fmt.Fprintf(im.err, im.word("从第 %d 行之后继续\n", "resuming after line %d\n"), im.state.Line)
	}
	if err := im.send(ctx, file); err != nil {
		im.shown.stop()
		if errors.Is(err, intake.ErrNotCFPB) {
			return &usageError{err.Error(), im.word("要求 CFPB 公开投诉库的列;JSON 行文件用 --format jsonl", "the columns of the CFPB's complaint database are wanted; for JSON lines: --format jsonl")}
		}
		fmt.Fprintln(im.err, im.word("进度已保存,重新运行同一命令即可继续", "progress is saved: run the same command again to continue"))
		return err
	}
	return im.finish()
}

// send reads rows and sends batches until the file ends.
func (im *importing) send(ctx context.Context, file io.Reader) error {
	group, ctx := errgroup.WithContext(ctx)
	batches := make(chan batch)
	group.Go(func() error {
		defer close(batches)
		return im.read(ctx, file, batches)
	})
	for range im.cmd.Connections {
		group.Go(func() error {
			for b := range batches {
				if err := im.file(ctx, b); err != nil {
					return err
				}
			}
			return nil
		})
	}
	return group.Wait()
}

func (im *importing) rows(file io.Reader) iter.Seq2[intake.Row, error] {
	options := intake.Options{AfterLine: im.state.Line, Rejects: im.rejects, Now: time.Now()}
	format := im.cmd.Format
	if format == "auto" && strings.HasSuffix(strings.TrimSuffix(im.cmd.File, ".gz"), ".csv") {
		format = "cfpb"
	}
	if format != "cfpb" {
		return intake.JSONLines(file, options)
	}
	if im.cmd.Identities != 0 {
		options.Identities = intake.NewIdentities(im.cmd.Identities)
	}
	return intake.CFPB(file, options)
}

func (im *importing) read(ctx context.Context, file io.Reader, batches chan<- batch) error {
	b := batch{}
	flush := func() error {
		if len(b.rows) == 0 {
			return nil
		}
		select {
		case batches <- b:
		case <-ctx.Done():
			return ctx.Err()
		}
		b = batch{number: b.number + 1}
		return nil
	}
	for row, err := range im.rows(file) {
		if err != nil {
			return fmt.Errorf("reading the file: %w", err)
		}
		b.rows, b.lastLine = append(b.rows, row), row.LastLine
		if len(b.rows) == im.cmd.Batch {
			if err := flush(); err != nil {
				return err
			}
		}
	}
	return flush()
}

// itemResult is one item of the server's answer.
type itemResult struct {
	Created *struct {
		Existing bool `json:"existing"`
	} `json:"created"`
	Problem *problem `json:"problem"`
}

// file sends a batch until each row is filed or rejected, or the server stays
// away for too long. Rows that are already filed are simply filed again.
func (im *importing) file(ctx context.Context, b batch) error {
	rows := b.rows
	for attempt := 1; ; attempt++ {
		left, err := im.once(ctx, rows)
		if err == nil && len(left) == 0 {
			return im.settle(b)
		}
		if err != nil && !temporary(err) {
			return err
		}
		if attempt >= im.cmd.Tries {
			if err == nil {
				err = &awayError{errors.New("the server keeps answering 503")}
			}
			return err
		}
		if err == nil {
			rows = left
		}
		if err := im.wait(ctx, time.Duration(attempt*attempt)*250*time.Millisecond); err != nil {
			return err
		}
	}
}

// once sends rows and returns those that should be sent again.
func (im *importing) once(ctx context.Context, rows []intake.Row) (left []intake.Row, err error) {
	drafts := make([]intake.Draft, len(rows))
	for i, r := range rows {
		drafts[i] = r.Draft
	}
	a, err := im.client.do(ctx, request{method: http.MethodPost, path: "/v1/complaints:batch", purpose: true, body: map[string]any{"items": drafts}})
	if err != nil {
		return nil, err
	}
	var result struct {
		Items []itemResult `json:"items"`
	}
	if err := a.into(&result); err != nil {
		return nil, err
	}
	if len(result.Items) != len(rows) {
		return nil, errors.New("reading the server's answer: it has another number of results than the batch has rows")
	}
	for i, item := range result.Items {
		switch {
		case item.Created != nil:
			im.shown.filed(item.Created.Existing)
		case item.Problem != nil && item.Problem.Status == http.StatusServiceUnavailable:
			left = append(left, rows[i])
		case item.Problem != nil && item.Problem.Status == http.StatusUnprocessableEntity:
			im.shown.rejected()
			if err := im.rejects.server(rows[i].Line, item.Problem); err != nil {
				return nil, err
			}
		case item.Problem != nil: // denied, integrity: no row will fare better
			return nil, item.Problem
		}
	}
	return left, nil
}

func temporary(err error) bool {
	var p *problem
	var away *awayError
	if errors.As(err, &p) {
		return p.Status == http.StatusServiceUnavailable || p.Status == http.StatusTooManyRequests
	}
	return errors.As(err, &away)
}

// settle notes that a batch is done and moves the state as far as all earlier
// ones are.
func (im *importing) settle(b batch) error {
	im.mu.Lock()
	defer im.mu.Unlock()
	im.done[b.number] = b.lastLine
	moved := false
	for line, ok := im.done[im.next]; ok; line, ok = im.done[im.next] {
		delete(im.done, im.next)
		im.next++
		im.state.Line, moved = line, true
	}
	if !moved {
		return nil
	}
	im.shown.line.Store(int64(im.state.Line))
	im.state.Filed, im.state.Existing, im.state.Rejected = im.shown.counts()
	im.state.Rejected += im.rejects.local()
	return im.state.save(im.cmd.State)
}

func (im *importing) finish() error {
	im.shown.line.Store(int64(im.shown.lines))
	im.shown.stop()
	if err := im.rejects.Close(); err != nil {
		return err
	}
	filed, existing, rejected := im.shown.counts()
	rejected += im.rejects.local()
	im.state.Filed, im.state.Existing, im.state.Rejected, im.state.Done = filed, existing, rejected, true
	if err := im.state.save(im.cmd.State); err != nil {
		return err
	}
	if im.format != "table" {
		raw, err := json.Marshal(map[string]any{"filed": filed, "existing": existing, "rejected": rejected,
			"rejects": im.cmd.Rejects, "seconds": im.shown.elapsed().Seconds()})
		if err != nil {
			return fmt.Errorf("writing the result: %w", err)
		}
		_, err = fmt.Fprintln(im.out, string(raw))
		return err
	}
	fmt.Fprintf(im.out, im.word("新登记 %d,已存在 %d,拒收 %d,用时 %s\n", "filed %d, already there %d, rejected %d, in %s\n"),
		filed, existing, rejected, im.shown.elapsed().Round(time.Millisecond))
	if rejected > 0 {
		fmt.Fprintln(im.out, im.word("拒收原因见", "reasons are in"), im.cmd.Rejects)
	}
	return nil
}

// pause waits, or returns when ctx ends.
func pause(ctx context.Context, d time.Duration) error {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}
