package publish

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net/http"
	"net/url"
	"sync"
	"time"

	fnote "github.com/transparency-dev/formats/note"
	"golang.org/x/mod/sumdb/note"

	"github.com/sealtrail/sealtrail/audit"
	"github.com/sealtrail/sealtrail/audit/pglog"
)

// Rememberer is a Witness that can say which checkpoint of a log it cosigned last; WitnessClient is one, if it asks a witness of
// this package. C2SP tlog-witness does not ask that of a witness.
type Rememberer interface {
	// Last returns the checkpoint of the log, verbatim. The error wraps fs.ErrNotExist if the witness never saw the log.
	Last(ctx context.Context, origin string) ([]byte, error)
}

// Last asks the witness for the checkpoint of a log that it cosigned last.
func (c *WitnessClient) Last(ctx context.Context, origin string) ([]byte, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, c.url+"/checkpoint?origin="+url.QueryEscape(origin), nil)
	if err != nil {
		return nil, fmt.Errorf("asking witness %s: %w", c.name, err)
	}
	resp, err := c.http.Do(req)
	if err != nil {
		return nil, fmt.Errorf("asking witness %s: %w", c.name, err)
	}
	defer func() { _ = resp.Body.Close() }()
	answer, err := io.ReadAll(io.LimitReader(resp.Body, maxWitnessAnswer))
	switch {
	case err != nil:
		return nil, fmt.Errorf("reading the answer of witness %s: %w", c.name, err)
	case resp.StatusCode == http.StatusNotFound:
		return nil, fmt.Errorf("witness %s: no checkpoint of the log: %w", c.name, fs.ErrNotExist)
	case resp.StatusCode != http.StatusOK:
		return nil, fmt.Errorf("witness %s answered %d: %w", c.name, resp.StatusCode, ErrRefused)
	}
	return answer, nil
}

// CompareConfig says what a database is compared with.
type CompareConfig struct {
	Source      Source        // required; a log that the database does not know counts as empty
	Store       Store         // the log's own folder; required
	Witnesses   []Witness     // those that are no Rememberer are not compared
	Deadline    time.Duration // for the witnesses together; 0 = DefaultWitnessDeadline
	VerifierKey string        // of the log. "": not at hand, signatures of the log are not verified, those of witnesses are
}

// Comparison is what a database was compared with. Nobody may sequence, append or sign before it was made and found good: an
// older database would give indexes and ids again that are given already.
type Comparison struct {
	Size      uint64           // leaves in the database
	Published uint64           // size of the published checkpoint; 0: none
	Witnesses int              // how many witnesses said where they stand, or that they never saw the log
	Missing   map[string]error // witnesses that could not say, by name: not compared
}

// Compare compares the database with the published checkpoint, with everything that the database itself says was signed, and with
// what the witnesses cosigned last. The error wraps [ErrBehind] if anybody saw more leaves than the database has, [ErrFork] if
// anybody saw another root (evidence then lies in the store), and [ErrForeign] if the published checkpoint is not of the log's key.
// Other errors mean that the comparison could not be made. It reads every leaf hash up to the largest size that it compares.
func Compare(ctx context.Context, cfg CompareConfig) (*Comparison, error) {
	c := &comparing{cfg: cfg, shard: cfg.Source.Shard()}
	if cfg.VerifierKey != "" {
		v, err := note.NewVerifier(cfg.VerifierKey)
		if err != nil {
			return nil, fmt.Errorf("reading the log's verifier key: %w", err)
		}
		c.verifier = v
	}
	return c.compare(ctx)
}

// comparing is one comparison.
type comparing struct {
	cfg      CompareConfig
	shard    pglog.Shard
	verifier note.Verifier // nil: not at hand
	seen     []sighting
	result   Comparison
}

// sighting is a checkpoint that somebody saw.
type sighting struct {
	audit.Checkpoint
	who  string
	note []byte
}

func (c *comparing) compare(ctx context.Context) (*Comparison, error) {
	// Everybody else first and the head last: a log that grows meanwhile must not look as if it were behind.
	if err := c.readPublished(ctx); err != nil {
		return nil, err
	}
	if err := c.askWitnesses(ctx); err != nil {
		return nil, err
	}
	signed, err := c.cfg.Source.Checkpoints(ctx, c.result.Published)
	if err != nil {
		return nil, err
	}
	for _, s := range signed {
		if s.Note != nil {
			c.seen = append(c.seen, sighting{audit.Checkpoint{Origin: c.shard.Origin, Size: s.Size, Root: s.Root}, "audit.checkpoint", s.Note})
		}
	}
	head, err := c.cfg.Source.Head(ctx)
	if errors.Is(err, pglog.ErrNotFound) {
		head, err = pglog.Head{Root: audit.EmptyRoot()}, nil
	}
	if err != nil {
		return nil, err
	}
	c.result.Size = head.Size
	return &c.result, c.judge(ctx, head)
}

// readPublished takes up the published checkpoint.
func (c *comparing) readPublished(ctx context.Context) error {
	raw, err := c.cfg.Store.Get(ctx, audit.CheckpointPath)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	published, err := c.open(raw)
	if err != nil {
		return fmt.Errorf("%w: %w", ErrForeign, err)
	}
	c.result.Published = published.Size
	c.seen = append(c.seen, sighting{published, "published checkpoint", raw})
	return nil
}

// open reads a checkpoint of the log, under its key if that is at hand.
func (c *comparing) open(raw []byte) (audit.Checkpoint, error) {
	if c.verifier != nil {
		return openCheckpoint(raw, c.verifier, c.shard.Origin)
	}
	n, err := audit.SplitNote(raw)
	if err != nil {
		return audit.Checkpoint{}, err
	}
	cp, err := audit.ParseCheckpoint(n.Text)
	if err == nil && cp.Origin != c.shard.Origin {
		err = fmt.Errorf("origin %q, want %q", cp.Origin, c.shard.Origin)
	}
	return cp, err
}

// askWitnesses asks all witnesses at once. One that is away, cannot say, or says what no key of its own bears is not compared.
func (c *comparing) askWitnesses(ctx context.Context) error {
	if c.cfg.Deadline == 0 {
		c.cfg.Deadline = DefaultWitnessDeadline
	}
	ctx, cancel := context.WithTimeout(ctx, c.cfg.Deadline)
	defer cancel()
	answers, errs := make([]sighting, len(c.cfg.Witnesses)), make([]error, len(c.cfg.Witnesses))
	var wg sync.WaitGroup
	for i, w := range c.cfg.Witnesses {
		wg.Go(func() { answers[i], errs[i] = c.ask(ctx, w) })
	}
	wg.Wait()
	c.result.Missing = map[string]error{}
	for i, w := range c.cfg.Witnesses {
		switch {
		case errors.Is(errs[i], fs.ErrNotExist):
			c.result.Witnesses++
		case errs[i] != nil:
			c.result.Missing[w.Name()] = errs[i]
		default:
			c.result.Witnesses++
			c.seen = append(c.seen, answers[i])
		}
	}
	return nil
}

func (c *comparing) ask(ctx context.Context, w Witness) (sighting, error) {
	r, ok := w.(Rememberer)
	if !ok {
		return sighting{}, errors.New("it cannot say what it cosigned last")
	}
	raw, err := r.Last(ctx, c.shard.Origin)
	if err != nil {
		return sighting{}, err
	}
	v, err := fnote.NewVerifierForCosignatureV1(w.VerifierKey())
	if err != nil {
		return sighting{}, fmt.Errorf("reading the witness's verifier key: %w", err)
	}
	if _, err := note.Open(raw, note.VerifierList(v)); err != nil {
		return sighting{}, fmt.Errorf("its answer does not bear its cosignature: %w", err)
	}
	cp, err := c.open(raw)
	if err != nil {
		return sighting{}, fmt.Errorf("its answer is not a checkpoint of the log: %w", err)
	}
	return sighting{cp, "witness " + w.Name(), raw}, nil
}

// judge compares every sighting with the database's leaves.
func (c *comparing) judge(ctx context.Context, head pglog.Head) error {
	at, largest := map[uint64][]sighting{}, uint64(0)
	for _, s := range c.seen {
		if s.Size > head.Size {
			return fmt.Errorf("%s: %w", s.who, behind(head.Size, s.Size))
		}
		at[s.Size], largest = append(at[s.Size], s), max(largest, s.Size)
	}
	tree := &audit.Tree{}
	return c.cfg.Source.Hashes(ctx, 0, largest, func(hash [32]byte) error {
		if err := tree.Append(hash); err != nil {
			return err
		}
		for _, s := range at[tree.Size()] {
			if s.Root == tree.Root() {
				continue
			}
			ours := audit.Checkpoint{Origin: c.shard.Origin, Size: tree.Size(), Root: tree.Root()}
			return forked{c.cfg.Store, c.cfg.Source, ours, append(at[s.Size], s)}.keep(ctx)
		}
		return nil
	})
}

// forked is a log with two histories.
type forked struct {
	store  Store
	source Source
	ours   audit.Checkpoint // what the database's leaves give
	seen   []sighting       // what others saw at that size
}

// keep keeps the evidence and returns an error that wraps [ErrFork]. Two notes that the log signed and that contradict each other
// are kept as a misbehaviour file, which convicts whoever holds the key; a database that contradicts a signed note and signed
// nothing itself convicts nobody, and is told in words.
func (f forked) keep(ctx context.Context) error {
	err := fmt.Errorf("log %s at size %d: %w", f.source.Shard().Folder(), f.ours.Size, ErrFork)
	text := fmt.Appendf(nil, "Two roots of one log at one size, or a tree that does not extend the published one.\n\n"+
		"--- the database's leaves give:\n%s", f.ours.Marshal())
	notes := f.seen
	for _, path := range []string{audit.CheckpointPath, audit.CheckpointSizePath(f.ours.Size)} {
		if raw, e := f.store.Get(ctx, path); e == nil {
			notes = append(notes, sighting{checkpointOf(raw), "published as " + path, raw})
		}
	}
	if signed, e := f.source.Checkpoints(ctx, f.ours.Size); e == nil && len(signed) > 0 && signed[0].Size == f.ours.Size && signed[0].Note != nil {
		notes = append(notes, sighting{checkpointOf(signed[0].Note), "audit.checkpoint of that size", signed[0].Note})
	}
	for _, n := range notes {
		text = fmt.Appendf(text, "\n--- %s:\n%s", n.who, n.note)
	}
	err = errors.Join(err, f.store.Put(ctx, fmt.Sprintf("evidence/fork-%d.txt", f.ours.Size), text))
	for i, a := range notes {
		for _, b := range notes[i+1:] {
			if a.Size == b.Size && a.Root != b.Root {
				m := audit.Misbehaviour{Kind: audit.TwoRoots, A: a.note, B: b.note}
				return errors.Join(err, f.store.Put(ctx, fmt.Sprintf("evidence/misbehaviour-%d.txt", a.Size), m.Marshal()))
			}
		}
	}
	return err
}

// checkpointOf reads what a note says; zero if it says nothing.
func checkpointOf(raw []byte) (c audit.Checkpoint) {
	if n, err := audit.SplitNote(raw); err == nil {
		c, _ = audit.ParseCheckpoint(n.Text) // a note that is none stays in the evidence as it is
	}
	return c
}
