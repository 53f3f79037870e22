package main

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
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
	secret, _, err := note.GenerateKey(rand.Reader, "bench.example/tessera")
	if err != nil {
		return nil, err
	}
	signer, err := note.NewSigner(secret)
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

func (t *tesseraLog) add(ctx context.Context, entry []byte) error {
	_, err := t.appender.Add(ctx, tessera.NewEntry(append([]byte(nil), entry...)))()
	if errors.Is(err, tessera.ErrPushback) {
		return errPushedBack
	}
	return err
}

func (t *tesseraLog) close(ctx context.Context) error { return t.shutdown(ctx) }
