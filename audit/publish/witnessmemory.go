package publish

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"strconv"

	"github.com/sealtrail/sealtrail/audit"
)

// errForgot means that the witness's last checkpoint of a log is missing, or older than one that it cosigned. Whoever went on
// from there would cosign a second history. Only a person can help: put the file back from checkpoints/, or give the witness a
// new folder and a new key.
var errForgot = errors.New("the last checkpoint is not the largest one that was cosigned")

// last returns the checkpoint cosigned last and its bytes; nil bytes and size 0 if there never was one. The error wraps errForgot
// if there was. The caller holds w.mu.
func (w *WitnessServer) last(ctx context.Context, origin string) (audit.Checkpoint, []byte, error) {
	c := audit.Checkpoint{Origin: origin, Root: audit.EmptyRoot()}
	raw, err := w.store.Get(ctx, folderOf(origin)+"/checkpoint")
	if err == nil {
		c, err = openByAny(raw, origin, w.logs[origin])
	}
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return audit.Checkpoint{}, nil, err
	}
	largest, err := w.largest(origin)
	if err != nil {
		return audit.Checkpoint{}, nil, err
	}
	if c.Size < largest {
		return c, raw, fmt.Errorf("%w: %d after %d", errForgot, c.Size, largest)
	}
	return c, raw, nil
}

// largest returns the largest size of a log that was ever cosigned: what the folder held when it was first asked for, and what
// this process cosigned since.
func (w *WitnessServer) largest(origin string) (uint64, error) {
	if size, ok := w.cosigned[origin]; ok {
		return size, nil
	}
	entries, err := fs.ReadDir(w.store.FS(), folderOf(origin)+"/checkpoints")
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return 0, fmt.Errorf("listing cosigned checkpoints: %w", withoutPath(err))
	}
	largest := uint64(0)
	for _, e := range entries {
		if size, err := strconv.ParseUint(e.Name(), 10, 64); err == nil { // else a temporary file
			largest = max(largest, size)
		}
	}
	w.cosigned[origin] = largest
	return largest, nil
}

// forgotten alarms and keeps the first checkpoint that was offered since, beside the largest that is known to be cosigned.
func (w *WitnessServer) forgotten(ctx context.Context, offered audit.Checkpoint, msg []byte) error {
	dir, size := folderOf(offered.Origin), w.cosigned[offered.Origin]
	w.cfg.Logger.ErrorContext(ctx, "witness cosigns nothing: its last checkpoint of the log is missing or was put back",
		slog.String("origin", offered.Origin), slog.Uint64("cosigned", size), slog.Uint64("offered", offered.Size))
	name := fmt.Sprintf("%s/evidence/forgotten-%d.txt", dir, size)
	if _, err := w.store.Get(ctx, name); !errors.Is(err, fs.ErrNotExist) {
		return err // kept already
	}
	kept, err := w.store.Get(ctx, dir+"/checkpoints/"+strconv.FormatUint(size, 10))
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return w.store.Put(ctx, name, audit.Misbehaviour{Kind: audit.WentBehind, A: kept, B: msg}.Marshal())
}
