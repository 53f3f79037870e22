package publish

import (
	"context"
	"errors"
	"fmt"
	"io/fs"

	"github.com/sealtrail/sealtrail/audit"
)

// ErrNotPublished is wrapped when the newest published checkpoint does not hold the leaf yet.
var ErrNotPublished = errors.New("leaf is not published yet")

// Proof leads from a leaf to a signed checkpoint, for somebody who has nothing but the log's public key.
type Proof struct {
	Origin     string
	Path       [][]byte // RFC 6962 audit path to the checkpoint's root
	Checkpoint []byte   // signed note, with all its lines
}

// proveTries is how often a proof is tried while a publisher replaces partial tiles by wider ones.
const proveTries = 3

// Prove returns the proof of the leaf at index from what is published. It checks that path and checkpoint belong together for the
// leaf with that hash; whose signature the checkpoint bears is the reader's to check. The error wraps [ErrNotPublished], or says
// what cannot be read.
func Prove(ctx context.Context, store Store, index uint64, leaf [32]byte) (*Proof, error) {
	var last error
	for range proveTries {
		p, err := prove(ctx, store, index, leaf)
		if err == nil || errors.Is(err, ErrNotPublished) || !errors.Is(err, fs.ErrNotExist) {
			return p, err
		}
		last = err // the checkpoint moved on between two reads
	}
	return nil, last
}

func prove(ctx context.Context, store Store, index uint64, leaf [32]byte) (*Proof, error) {
	raw, err := store.Get(ctx, audit.CheckpointPath)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("proving leaf %d: %w", index, ErrNotPublished)
	}
	if err != nil {
		return nil, fmt.Errorf("proving leaf %d: %w", index, err)
	}
	signed, err := audit.SplitNote(raw)
	if err != nil {
		return nil, fmt.Errorf("proving leaf %d: %w", index, err)
	}
	c, err := audit.ParseCheckpoint(signed.Text)
	if err != nil {
		return nil, fmt.Errorf("proving leaf %d: %w", index, err)
	}
	if index >= c.Size {
		return nil, fmt.Errorf("proving leaf %d of %d: %w", index, c.Size, ErrNotPublished)
	}
	path, err := audit.InclusionProof(index, c.Size, tiles(ctx, store))
	if err != nil {
		return nil, fmt.Errorf("proving leaf %d: %w", index, err)
	}
	if err := audit.VerifyInclusion(index, c.Size, leaf, path, c.Root); err != nil {
		return nil, fmt.Errorf("proving leaf %d: what is published is not what was logged: %w", index, err)
	}
	return &Proof{Origin: c.Origin, Path: path, Checkpoint: raw}, nil
}
