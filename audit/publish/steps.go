package publish

import (
	"context"
	"errors"

	"github.com/sealtrail/sealtrail/audit"
	"github.com/sealtrail/sealtrail/audit/pglog"
)

// Step names a point of a round of publishing, just behind something that was done. A process can die at each of them; [Steps] says
// what it leaves behind, and the tests die at each and go on.
type Step string

// The points of a round, in its order. StepBundle, StepTile and StepEdgeTile are passed once for each file; StepAskedAgain and
// StepRefreshed only in a round in which the log did not grow, which ends behind them.
const (
	StepHead       Step = "head"        // the tree's head was read
	StepAskedAgain Step = "asked-again" // witnesses whose cosignature is missing or old were asked for the published checkpoint
	StepRefreshed  Step = "refreshed"   // their lines were added to checkpoint
	StepLoaded     Step = "loaded"      // the published edge was read and compared with the database
	StepBundle     Step = "bundle"      // a full entry bundle was written
	StepTile       Step = "tile"        // a full hash tile was written
	StepGrown      Step = "grown"       // every new leaf was read and hashed again
	StepEdgeBundle Step = "edge-bundle" // the entry bundle at the right edge was written
	StepEdgeTile   Step = "edge-tile"   // a hash tile at the right edge was written
	StepProven     Step = "proven"      // the new tree was proven to extend the published one
	StepReserved   Step = "reserved"    // (size, root) was reserved in the database
	StepSigned     Step = "signed"      // the log's key signed
	StepRecorded   Step = "recorded"    // the signed note was kept in the database
	StepCosigned   Step = "cosigned"    // the witnesses were asked
	StepKept       Step = "kept"        // checkpoints/<size> was written
	StepPublished  Step = "published"   // checkpoint was written
	StepTidied     Step = "tidied"      // partial files that full ones replaced were removed
)

// StopPoint is a Step with what a crash there leaves, and what repairs it.
type StopPoint struct {
	Step Step
	Left string
}

// Steps lists every point of a round at which a process may die, in order. A round runs this very list.
func Steps() []StopPoint {
	var list []StopPoint
	for _, s := range steps() {
		list = append(append(list, s.within...), s.StopPoint)
	}
	return list
}

// step is one step of a round: what it does, the points within it and the one behind it.
type step struct {
	StopPoint
	within []StopPoint
	do     func(p *Publisher, ctx context.Context, r *round) error
}

// round is what a round knows so far.
type round struct {
	head       pglog.Head
	last, next audit.Checkpoint
	proof      [][]byte // that next extends last
	signed     []byte   // the note, once there is one
	recorded   bool     // the note was in the database before
	cosigned   []byte
	witnesses  int
	done       bool // the log did not grow
}

// steps is a round. Whatever crashes, the published checkpoint names complete tiles, and the next round begins again at it.
func steps() []step {
	return []step{
		{StopPoint: StopPoint{StepHead, "nothing new is written"}, do: (*Publisher).readHead},
		{StopPoint: StopPoint{StepLoaded, "nothing new is written"},
			within: []StopPoint{
				{StepAskedAgain, "cosignatures that nobody saw; asked for again"},
				{StepRefreshed, "nothing"},
			}, do: (*Publisher).loadEdge},
		{StopPoint: StopPoint{StepGrown, "full files beyond the checkpoint; the next round writes the same bytes again"},
			within: []StopPoint{
				{StepBundle, "entries beyond the checkpoint, which no tile names; the next round writes the same bytes again"},
				{StepTile, "a tile beyond the checkpoint; the next round writes the same bytes again"},
			}, do: (*Publisher).growFull},
		{StopPoint: StopPoint{StepProven, "files beyond the checkpoint, up to the right edge; the next round writes them again, or wider ones beside them"},
			within: []StopPoint{
				{StepEdgeBundle, "the edge's entries beyond the checkpoint; the next round writes them again, or wider ones beside them"},
				{StepEdgeTile, "a tile of the edge beyond the checkpoint; the next round writes it again, or a wider one beside it"},
			}, do: (*Publisher).growEdge},
		{StopPoint: StopPoint{StepReserved, "a reserved size without a note; reserved again with the same root, or left without a signature for ever"}, do: (*Publisher).reserve},
		{StopPoint: StopPoint{StepSigned, "a signature that nobody saw, over the one root of that size"}, do: (*Publisher).signNext},
		{StopPoint: StopPoint{StepRecorded, "a note that is not published; used again if the log did not grow"}, do: (*Publisher).record},
		{StopPoint: StopPoint{StepCosigned, "a witness may have cosigned what is not published; the next checkpoint extends it"}, do: (*Publisher).cosign},
		{StopPoint: StopPoint{StepKept, "checkpoints/<size> that is not the checkpoint; true, and verified against"}, do: (*Publisher).keep},
		{StopPoint: StopPoint{StepPublished, "partial files that full ones have replaced; harmless, they stay"}, do: (*Publisher).putCheckpoint},
		{StopPoint: StopPoint{StepTidied, "nothing"}, do: (*Publisher).tidy},
	}
}

// publish is one round.
func (p *Publisher) publish(ctx context.Context) error {
	r := &round{}
	for _, s := range steps() {
		if err := s.do(p, ctx, r); err != nil || r.done {
			return err
		}
		if err := p.stop(ctx, s.Step); err != nil {
			return err
		}
	}
	return nil
}

// stop is where a test dies.
func (p *Publisher) stop(ctx context.Context, s Step) error {
	if p.at == nil {
		return nil
	}
	return p.at(ctx, s)
}

// put writes a published file.
func (p *Publisher) put(ctx context.Context, s Step, path string, contents []byte) error {
	if err := p.cfg.Store.Put(ctx, path, contents); err != nil {
		return err
	}
	return p.stop(ctx, s)
}

func (p *Publisher) readHead(ctx context.Context, r *round) (err error) {
	r.head, err = p.cfg.Source.Head(ctx)
	return err
}

func (p *Publisher) loadEdge(ctx context.Context, r *round) (err error) {
	if p.edge == nil {
		if p.edge, err = p.load(ctx, r.head); err != nil {
			return err
		}
	}
	r.last = p.edge.published
	if r.head.Size < r.last.Size {
		return behind(r.head.Size, r.last.Size)
	}
	if r.head.Size == r.last.Size {
		r.done = true
		return p.sameSize(ctx, r.head, r.last)
	}
	r.next = audit.Checkpoint{Origin: p.shard.Origin, Size: r.head.Size, Root: r.head.Root}
	return nil
}

// sameSize is a round in which the log did not grow.
func (p *Publisher) sameSize(ctx context.Context, head pglog.Head, last audit.Checkpoint) error {
	if head.Size > 0 && head.Root != last.Root {
		return p.fork(ctx, audit.Checkpoint{Origin: p.shard.Origin, Size: head.Size, Root: head.Root})
	}
	if err := p.refreshSecond(ctx, last); err != nil {
		return err
	}
	return p.refresh(ctx, last)
}

func (p *Publisher) growFull(ctx context.Context, r *round) error { return p.grow(ctx, r.next) }

// growEdge writes the right edge and proves from the tiles just written that the new tree extends the published one.
func (p *Publisher) growEdge(ctx context.Context, r *round) (err error) {
	if err := p.putEdge(ctx, r.next); err != nil {
		return err
	}
	r.proof, err = p.consistent(ctx, r.last, r.next)
	return err
}

// reserve makes the root of r.next the one root of its size. A note that was signed before a crash is used again.
func (p *Publisher) reserve(ctx context.Context, r *round) error {
	signed, err := p.cfg.Source.Reserve(ctx, r.next.Size, r.next.Root)
	if errors.Is(err, pglog.ErrFork) {
		return p.fork(ctx, r.next)
	}
	if err != nil {
		return err
	}
	if signed != nil {
		if _, err := openCheckpoint(signed, p.verifier, r.next.Origin); err == nil {
			r.signed, r.recorded = signed, true
		}
	}
	return nil
}

func (p *Publisher) signNext(ctx context.Context, r *round) (err error) {
	if r.recorded {
		return nil
	}
	ctx, cancel := context.WithTimeout(ctx, p.cfg.SignDeadline)
	defer cancel()
	r.signed, err = signCheckpoint(ctx, p.cfg.Signer, r.next)
	return err
}

func (p *Publisher) record(ctx context.Context, r *round) error {
	if r.recorded {
		return nil
	}
	return p.cfg.Source.Record(ctx, r.next.Size, r.next.Root, r.signed)
}

func (p *Publisher) cosign(ctx context.Context, r *round) (err error) {
	r.cosigned, r.witnesses, err = p.witness(ctx, r.signed, r.next, witnessProof{from: r.last.Size, proof: r.proof})
	if err == nil {
		r.cosigned = p.withSecond(ctx, r.cosigned, r.next) // PostgreSQL and the witnesses have the note without it
	}
	return err
}

func (p *Publisher) keep(ctx context.Context, r *round) error {
	return p.cfg.Store.Put(ctx, audit.CheckpointSizePath(r.next.Size), r.cosigned)
}

func (p *Publisher) putCheckpoint(ctx context.Context, r *round) error {
	if err := p.overtaken(ctx, r.next); err != nil {
		return err
	}
	p.shown = nil
	if err := p.cfg.Store.Put(ctx, audit.CheckpointPath, r.cosigned); err != nil {
		return err
	}
	p.shown = r.cosigned
	return nil
}

// tidy keeps what was published and removes the partial tiles that were superfluous before this round: a reader that holds the
// checkpoint before this one still finds its tiles.
func (p *Publisher) tidy(ctx context.Context, r *round) error {
	for _, path := range p.stale {
		_ = p.cfg.Store.Remove(ctx, path) // left over: harmless
	}
	p.published(r.next, r.witnesses)
	return nil
}
