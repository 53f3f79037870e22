package server

import (
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/sealtrail/sealtrail/audit"
	"github.com/sealtrail/sealtrail/audit/pglog"
	"github.com/sealtrail/sealtrail/audit/publish"
	"github.com/sealtrail/sealtrail/internal/custody"
	"github.com/sealtrail/sealtrail/internal/verifypage"
)

// The ends of all trails are committed to every hour, and whenever somebody asks
// for evidence: an entry names the root of a map of them, and the map is
// published beside the log (docs/formats/evidence-bundle.md, 8).

// headsEvery is how often the ends are committed to if the log grew.
const headsEvery = time.Hour

// headsPoll is how often an entry's place and the checkpoint are asked for by
// whoever waits for them: half a sequencer's pause.
const headsPoll = 20 * time.Millisecond

// keptHeads is how many maps stay published: whoever was given an entry that
// names the last but one may still be reading.
const keptHeads = 2

// commitHeads does it every hour, on the replica that publishes.
func (s *Server) commitHeads(ctx context.Context) error {
	var size uint64
	return every(ctx, headsEvery, func(ctx context.Context) {
		p := s.publisher.current()
		if p == nil || !s.publisher.leads() || p.Status().Size <= size+1 {
			return
		}
		ctx, cancel := context.WithTimeout(ctx, time.Minute)
		defer cancel()
		heads, err := s.publisher.CommitHeads(ctx, 0)
		if err != nil {
			s.log.WarnContext(ctx, "ends of trails not committed to", slog.String("cause", err.Error()))
			return
		}
		size = heads.Index
	})
}

// CommitHeads implements custody.Published.
func (p *publishing) CommitHeads(ctx context.Context, entry uint64) (*custody.CommittedHeads, error) {
	if entry != 0 {
		if _, err := p.sequenced(ctx, entry); err != nil {
			return nil, err
		}
	}
	p.committing.Lock()
	defer p.committing.Unlock()
	if known, err := p.speaksOf(ctx, entry); err != nil || known != nil {
		return known, err
	}
	s := p.server
	snapshot, err := pglog.SnapshotHeads(ctx, s.pool, s.cfg.Institution)
	if err != nil {
		return nil, err
	}
	folder, err := publish.NewFolder(p.folder(snapshot.Shard))
	if err != nil {
		return nil, err
	}
	// The map first: crash here leaves one that no entry names, which is removed
	// with the next.
	if err := publish.PutHeads(ctx, folder, snapshot.Size, snapshot.File); err != nil {
		return nil, err
	}
	alias, err := s.trail.Alias(ctx, "service")
	if err != nil {
		return nil, err
	}
	root := snapshot.File.Root()
	receipts, err := s.trail.Append(ctx, s.serviceEvent(alias, "heads", "trail.heads", audit.Facts{"origin": snapshot.Shard.Origin,
		"size": int(snapshot.Size), "trails": snapshot.File.Len(), "root": hex.EncodeToString(root[:])}))
	if err != nil {
		return nil, err
	}
	placed, err := p.sequenced(ctx, receipts[0].EntryID())
	if err != nil {
		return nil, err
	}
	heads := &custody.CommittedHeads{Year: placed.Year, Index: placed.Index, Of: snapshot.Shard.Year, Size: snapshot.Size, File: snapshot.File}
	if err := p.signed(ctx, heads); err != nil {
		return nil, err
	}
	p.keep(ctx, folder, heads)
	return heads, nil
}

// speaksOf returns the newest committed heads if they speak of an entry.
func (p *publishing) speaksOf(ctx context.Context, entry uint64) (*custody.CommittedHeads, error) {
	if len(p.heads) == 0 || entry == 0 {
		return nil, nil
	}
	last := p.heads[len(p.heads)-1]
	placed, err := p.sequenced(ctx, entry)
	if err != nil {
		return nil, err
	}
	if placed.Year < last.Of || placed.Year == last.Of && placed.Index < last.Size {
		return last, nil
	}
	return nil, nil
}

// keep remembers committed heads and removes the map of those before the last.
func (p *publishing) keep(ctx context.Context, folder publish.Store, heads *custody.CommittedHeads) {
	p.heads = append(p.heads, heads)
	if len(p.heads) <= keptHeads {
		return
	}
	old := p.heads[0]
	p.heads = p.heads[1:]
	if old.Of != heads.Of || old.Size != heads.Size {
		_ = publish.RemoveHeads(ctx, folder, old.Size) // left over: harmless
	}
}

// sequenced waits until an entry has its place.
func (p *publishing) sequenced(ctx context.Context, entry uint64) (pglog.EntryState, error) {
	for {
		state, err := p.server.trail.Entry(ctx, entry)
		if err != nil || state.State == pglog.StateSequenced {
			return state, err
		}
		if err := pauseFor(ctx, headsPoll); err != nil {
			return state, fmt.Errorf("waiting for an entry's place: %w", custody.ErrUnpublished)
		}
	}
}

// signed waits until a published checkpoint holds the entry that names the
// heads.
func (p *publishing) signed(ctx context.Context, heads *custody.CommittedHeads) error {
	for {
		folder, err := p.Store(heads.Year)
		if err != nil {
			return err
		}
		r, err := publish.NewReader(ctx, folder)
		if err == nil && r.Checkpoint().Size > heads.Index {
			return nil
		}
		if err != nil && !errors.Is(err, publish.ErrNotPublished) {
			return err
		}
		if err := pauseFor(ctx, headsPoll); err != nil {
			return fmt.Errorf("waiting for a checkpoint: %w", custody.ErrUnpublished)
		}
	}
}

func pauseFor(ctx context.Context, d time.Duration) error {
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-time.After(d):
		return nil
	}
}

// Store implements custody.Published.
func (p *publishing) Store(year int) (publish.Store, error) {
	return publish.NewFolder(p.folder(pglog.Shard{Institution: p.server.cfg.Institution, Year: year}))
}

// Key implements custody.Published.
func (p *publishing) Key(year int) (string, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	log, ok := p.logs[year]
	if !ok {
		return "", fmt.Errorf("the key of the log of %d is not known yet: %w", year, custody.ErrUnpublished)
	}
	return log.vkey, nil
}

// Page implements custody.Published.
func (p *publishing) Page() []byte { return verifypage.HTML() }
