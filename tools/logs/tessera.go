package main

import (
	"bufio"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"time"

	"github.com/transparency-dev/tessera"
	"github.com/transparency-dev/tessera/storage/posix"
	"golang.org/x/mod/sumdb/note"
)

// tesseraLog is Tessera's POSIX driver in this process.
type tesseraLog struct {
	appender *tessera.Appender
	shutdown func(context.Context) error
	reader   tessera.LogReader
}

func newTessera(ctx context.Context, o options) (*tesseraLog, error) {
	signer, err := signerOf(o.key)
	if err != nil {
		return nil, err
	}
	driver, err := posix.New(ctx, posix.Config{Path: o.dir})
	if err != nil {
		return nil, fmt.Errorf("opening the folder: %w", err)
	}
	settings := tessera.NewAppendOptions().WithCheckpointSigner(signer).WithBatching(o.batch, o.age).
		WithCheckpointInterval(100 * time.Millisecond).WithPushback(1 << 16)
	appender, shutdown, reader, err := tessera.NewAppender(ctx, driver, settings)
	if err != nil {
		return nil, fmt.Errorf("opening the log: %w", err)
	}
	return &tesseraLog{appender, shutdown, reader}, nil
}

func signerOf(file string) (note.Signer, error) {
	if file == "" {
		secret, _, err := note.GenerateKey(rand.Reader, "bench.example/tessera")
		if err != nil {
			return nil, err
		}
		return note.NewSigner(secret)
	}
	raw, err := os.ReadFile(file)
	if err != nil {
		return nil, err
	}
	return note.NewSigner(strings.TrimSpace(string(raw)))
}

func (t *tesseraLog) add(ctx context.Context, entry []byte) error {
	_, err := t.appender.Add(ctx, tessera.NewEntry(append([]byte(nil), entry...)))()
	if errors.Is(err, tessera.ErrPushback) {
		return errPushedBack
	}
	return err
}

func (t *tesseraLog) close(ctx context.Context) error { return t.shutdown(ctx) }

// makeTessera makes a log of the entries of a file, one after the other, so
// that their order is the file's.
func makeTessera(ctx context.Context, o options) error {
	o.batch, o.age = 256, time.Millisecond
	t, err := newTessera(ctx, o)
	if err != nil {
		return err
	}
	file, err := os.Open(o.entries)
	if err != nil {
		return err
	}
	defer func() { _ = file.Close() }()
	in := bufio.NewReader(file)
	var futures []tessera.IndexFuture
	for {
		var n int
		if _, err := fmt.Fscanf(in, "%d\n", &n); errors.Is(err, io.EOF) {
			break
		} else if err != nil {
			return fmt.Errorf("reading entries: %w", err)
		}
		entry := make([]byte, n)
		if _, err := io.ReadFull(in, entry); err != nil {
			return fmt.Errorf("reading entries: %w", err)
		}
		futures = append(futures, t.appender.Add(ctx, tessera.NewEntry(entry)))
	}
	for want, future := range futures {
		index, err := future()
		if err != nil {
			return fmt.Errorf("adding entry %d: %w", want, err)
		}
		if index.Index != uint64(want) {
			return fmt.Errorf("entry %d got index %d", want, index.Index)
		}
	}
	return t.close(ctx) // waits for the checkpoint that covers all
}
