package publish

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/sealtrail/sealtrail/audit"
)

// witnessState is what the publisher knows about a witness.
type witnessState struct {
	size     uint64    // of the checkpoint that it cosigned last, as far as we know
	failures int       // in a row
	notUntil time.Time // a witness that failed is not asked again before
	cosigned uint64    // size of the largest checkpoint of which we hold its cosignature
	at       time.Time // of its newest cosignature
	heard    time.Time // when we got it
	stale    bool      // it is silent and the alarm was raised
	split    [32]byte  // the last note of it that was found to be of another history
}

// A witness that is away is asked again after 1, 2, 4 ... at most 30 s, so that its deadline does not slow every checkpoint.
const (
	firstWitnessPause = time.Second
	maxWitnessPause   = 30 * time.Second
)

// witnessProof is a consistency proof that is already at hand.
type witnessProof struct {
	from  uint64
	proof [][]byte
}

// witness asks all witnesses at once and returns the note with the cosignatures that came in time and verified, and their
// number. A witness that is away or refuses raises an alarm; the error wraps [ErrWitnesses] if fewer than RequireWitnesses
// cosigned, or if the newest quorum is older than Watch.MaxAge and this is none.
// crash here: a witness may have cosigned a checkpoint that is not published yet; the next one extends it.
func (p *Publisher) witness(ctx context.Context, signed []byte, c audit.Checkpoint, at witnessProof) ([]byte, int, error) {
	if len(p.cfg.Witnesses) == 0 && p.cfg.RequireWitnesses == 0 {
		return signed, 0, nil
	}
	p.learn(ctx)
	defer p.lookAtWitnesses(ctx)
	tooOld := p.tooOld()
	skip := make([]bool, len(p.cfg.Witnesses))
	for i, w := range p.cfg.Witnesses {
		skip[i] = time.Now().Before(p.stateOf(w).notUntil) && p.cfg.RequireWitnesses == 0 && !tooOld
	}
	lines, cosigned, n := p.askAll(ctx, cosignRequest{signed, c, at}, skip)
	if n < p.cfg.RequireWitnesses {
		return nil, n, fmt.Errorf("checkpoint of size %d: %d of %d cosignatures: %w", c.Size, n, p.cfg.RequireWitnesses, ErrWitnesses)
	}
	if tooOld && !p.quorum(cosigned) {
		return nil, n, fmt.Errorf("checkpoint of size %d: the newest quorum of cosignatures is older than %s: %w", c.Size, p.cfg.Watch.MaxAge, ErrWitnesses)
	}
	out := append(append([]byte(nil), signed...), lines...)
	p.noteCosignatures(out, true)
	return out, n, nil
}

// askAll asks those that are not to be skipped at once and returns the signature lines that came in time and verified, and whose
// they are.
func (p *Publisher) askAll(ctx context.Context, r cosignRequest, skip []bool) (lines []byte, cosigned []bool, n int) {
	asked, cancel := context.WithTimeout(ctx, p.cfg.WitnessDeadline)
	defer cancel()
	answers := make([][]byte, len(p.cfg.Witnesses))
	errs := make([]error, len(p.cfg.Witnesses))
	var wg sync.WaitGroup
	for i, w := range p.cfg.Witnesses {
		if state := p.stateOf(w); !skip[i] {
			wg.Go(func() { answers[i], errs[i] = p.ask(asked, w, state, r) })
		}
	}
	wg.Wait()
	out := r.signed
	cosigned = make([]bool, len(p.cfg.Witnesses))
	for i, w := range p.cfg.Witnesses {
		if errs[i] == nil && answers[i] != nil {
			out, errs[i] = addTo(out, answers[i], w)
		}
		if cosigned[i] = errs[i] == nil && answers[i] != nil; cosigned[i] {
			n++
		}
		p.remember(ctx, w, errs[i])
		if refused(errs[i]) {
			p.examine(ctx, w, r)
		}
	}
	return out[len(r.signed):], cosigned, n
}

func addTo(signed, lines []byte, w Witness) ([]byte, error) {
	out, err := addCosignatures(signed, lines, w.VerifierKey())
	if err != nil {
		return signed, err
	}
	return out, nil
}

func (p *Publisher) stateOf(w Witness) *witnessState {
	if p.asked[w.Name()] == nil {
		p.asked[w.Name()] = &witnessState{}
	}
	return p.asked[w.Name()]
}

// remember keeps when to ask w again and raises the alarm, once per pause.
func (p *Publisher) remember(ctx context.Context, w Witness, err error) {
	state := p.stateOf(w)
	if err == nil {
		if time.Now().After(state.notUntil) {
			state.failures = 0
		}
		return
	}
	state.notUntil = time.Now().Add(min(firstWitnessPause<<min(state.failures, 5), maxWitnessPause))
	state.failures++
	p.alarm(ctx, Alarm{Kind: AlarmWitness, Witness: w.Name(), Err: err})
}

// cosignRequest is one checkpoint to cosign.
type cosignRequest struct {
	signed []byte
	c      audit.Checkpoint
	at     witnessProof
}

// ask asks one witness, once more if it says that it stands at another size than we thought.
func (p *Publisher) ask(ctx context.Context, w Witness, state *witnessState, r cosignRequest) ([]byte, error) {
	for range 2 {
		proof, err := p.proofFrom(ctx, state.size, r)
		if err != nil {
			return nil, err
		}
		lines, err := w.Cosign(ctx, r.signed, state.size, proof)
		var stale *StaleError
		if errors.As(err, &stale) && stale.Size != state.size {
			if stale.Size > r.c.Size {
				return nil, fmt.Errorf("witness stands at size %d, ahead of our %d: %w", stale.Size, r.c.Size, err)
			}
			state.size = stale.Size
			continue
		}
		if err != nil {
			return nil, err
		}
		state.size = r.c.Size
		return bytes.TrimLeft(lines, "\n"), nil
	}
	return nil, fmt.Errorf("witness changes its mind about its size: %w", ErrRefused)
}

func (p *Publisher) proofFrom(ctx context.Context, from uint64, r cosignRequest) ([][]byte, error) {
	if from == 0 || from == r.c.Size {
		return nil, nil
	}
	if from == r.at.from {
		return r.at.proof, nil
	}
	return audit.ConsistencyProof(from, r.c.Size, p.reader(ctx))
}
