package publish

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"time"

	"github.com/sealtrail/sealtrail/audit"
)

// Leader says whether this process publishes the log, where several could; pglog.Lease is one. It spares signatures and is no fence:
// a process that was stopped between its question and its write still writes afterwards. What it then writes are true files (a size
// has one root, a path one content); only `checkpoint`, which is overwritten, can so go back to a smaller size, and whoever leads
// puts it right within a round.
type Leader interface {
	// Hold takes or keeps the lead and reports whether this process has it.
	Hold(ctx context.Context) (bool, error)
	// Sure reports, without asking anybody, whether nobody else can have the lead by now.
	Sure() bool
}

// errOvertaken means: another process published meanwhile, and this round is void.
var errOvertaken = errors.New("another process publishes this log")

// turn is a round of the process that leads; another one only looks at what is published.
func (p *Publisher) turn(ctx context.Context) error {
	if p.cfg.Lead == nil {
		return p.publish(ctx)
	}
	leads, err := p.cfg.Lead.Hold(ctx)
	if err != nil {
		return err
	}
	if !leads {
		return p.follow(ctx)
	}
	if err := p.comparePublished(ctx); err != nil {
		return err
	}
	err = p.publish(ctx)
	if errors.Is(err, ErrBehind) {
		// The one that led before may have signed or published between our two looks, at the database and at the store. Looked at
		// again, in that order, a database that is behind is still behind.
		p.edge = nil
		err = p.publish(ctx)
	}
	if errors.Is(err, errOvertaken) {
		p.edge = nil
		return nil
	}
	return err
}

// comparePublished looks whether `checkpoint` is still what this process put there. A larger one was published by another process,
// whose files are then the edge; a smaller one by a process that was stopped before its write, and is replaced.
func (p *Publisher) comparePublished(ctx context.Context) error {
	if p.edge == nil || p.shown == nil {
		return nil
	}
	raw, err := p.cfg.Store.Get(ctx, audit.CheckpointPath)
	if bytes.Equal(raw, p.shown) && err == nil {
		return nil
	}
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	now, err := openCheckpoint(raw, p.verifier, p.shard.Origin)
	if err != nil || now.Size >= p.edge.published.Size { // gone or foreign too: loading says what that means
		p.edge, p.shown = nil, nil
		return nil
	}
	return p.cfg.Store.Put(ctx, audit.CheckpointPath, p.shown)
}

// follow takes up what another process published.
func (p *Publisher) follow(ctx context.Context) error {
	p.edge, p.stale, p.shown = nil, nil, nil
	raw, err := p.cfg.Store.Get(ctx, audit.CheckpointPath)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	c, err := openCheckpoint(raw, p.verifier, p.shard.Origin)
	if err != nil {
		return fmt.Errorf("%w: %w", ErrForeign, err)
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if c.Size != p.status.Size || p.status.PublishedAt.IsZero() {
		cosigned := max(bytes.Count(raw, []byte("\n\u2014 "))-1, 0)
		p.status = Status{Size: c.Size, Root: c.Root, PublishedAt: time.Now(), Cosignatures: cosigned}
	}
	return nil
}

// overtaken is asked just before `checkpoint` is overwritten.
func (p *Publisher) overtaken(ctx context.Context, next audit.Checkpoint) error {
	if p.cfg.Lead == nil {
		return nil
	}
	if !p.cfg.Lead.Sure() {
		return errOvertaken
	}
	raw, err := p.cfg.Store.Get(ctx, audit.CheckpointPath)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	if now, err := openCheckpoint(raw, p.verifier, p.shard.Origin); err == nil && now.Size > next.Size {
		return errOvertaken
	}
	return nil
}
