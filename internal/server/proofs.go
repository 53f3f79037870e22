package server

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"time"

	"github.com/sealtrail/sealtrail/audit/publish"
	"github.com/sealtrail/sealtrail/internal/custody"
)

// Prove leads from an entry to the newest published checkpoint of its year's
// log, from the published files alone: what a receipt hands out is what anybody
// can fetch.
func (p *publishing) Prove(ctx context.Context, year int, index uint64, leaf [32]byte) (*custody.LogProof, error) {
	shard := p.server.shard()
	shard.Year, shard.Origin = year, Origin(p.server.cfg.LogDomain, p.server.cfg.Institution, year)
	folder, err := publish.NewFolder(p.folder(shard))
	if err != nil {
		return nil, err
	}
	proof, err := publish.Prove(ctx, folder, index, leaf)
	if errors.Is(err, publish.ErrNotPublished) {
		return nil, fmt.Errorf("%w: %w", custody.ErrUnpublished, err)
	}
	if err != nil {
		return nil, err
	}
	return &custody.LogProof{Origin: proof.Origin, Path: proof.Path, Checkpoint: proof.Checkpoint}, nil
}

// markEvery is how often erasures are looked for whose key version Vault has
// given up and whose second stage is not written yet.
const markEvery = time.Minute

// markMissed writes the second stage of erasures that the closing of an epoch
// did not come to.
func (s *Server) markMissed(ctx context.Context) error {
	return every(ctx, markEvery, func(ctx context.Context) {
		if err := s.door.MarkMissed(ctx); err != nil && ctx.Err() == nil {
			s.log.WarnContext(ctx, "erasures were not marked irrecoverable", slog.String("cause", err.Error()))
		}
	})
}

// LogFile reads a published file of a year's log, for who asks over HTTP. A log
// that is none of ours is not there, and its folder is not made.
func (p *publishing) LogFile(ctx context.Context, year int, path string) ([]byte, error) {
	p.mu.Lock()
	log, ok := p.logs[year]
	p.mu.Unlock()
	if !ok {
		return nil, fmt.Errorf("reading the log of %d: %w", year, fs.ErrNotExist)
	}
	folder, err := publish.NewFolder(p.folder(log.shard))
	if err != nil {
		return nil, err
	}
	return folder.Get(ctx, path)
}
