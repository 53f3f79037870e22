package server

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"sync"
	"time"

	"github.com/sealtrail/sealtrail/audit"
	"github.com/sealtrail/sealtrail/audit/pglog"
	"github.com/sealtrail/sealtrail/audit/publish"
	"github.com/sealtrail/sealtrail/crypto/transit"
)

// Whether this process may take entries, give them indexes and sign. It may not
// before PostgreSQL was compared with the published checkpoints and with what
// the witnesses saw, and not after two histories were found: an older database
// would give ids and indexes again that are given already, and so fork the log
// before the publisher even looks. The process stays up meanwhile and says so:
// dying, and being started again, would help nobody.

// errNotCompared says that the comparison was not made yet.
var errNotCompared = errors.New("the database was not compared with the published log yet")

// ErrStanding is wrapped when the database is not the one that was published:
// behind it, or with another history. The message says what to do.
var ErrStanding = errors.New("the database is not the one that was published: nothing is appended, sequenced or signed")

// How often the comparison is made again: after one that could not be made or
// was bad, and while a witness could not say where it stands.
const (
	compareAgain   = 2 * time.Second
	compareWitness = 30 * time.Second
)

// standing is what the last comparison came to.
type standing struct {
	mu      sync.Mutex
	err     error         // nil: good
	changed chan struct{} // closed when err changes between good and not good
}

func newStanding() *standing {
	return &standing{err: errNotCompared, changed: make(chan struct{})}
}

// Err is nil while entries may be taken.
func (s *standing) Err() error {
	_, err := s.get()
	return err
}

func (s *standing) get() (changed <-chan struct{}, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.changed, s.err
}

// set keeps a result and reports whether it is news.
func (s *standing) set(err error) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	news := (err == nil) != (s.err == nil) || err != nil && err.Error() != s.err.Error()
	if (err == nil) != (s.err == nil) {
		close(s.changed)
		s.changed = make(chan struct{})
	}
	s.err = err
	return news
}

// during runs run whenever the standing is good, and ends it when it is not,
// until ctx ends.
func (s *standing) during(run func(context.Context) error) func(context.Context) error {
	return func(ctx context.Context) error {
		for ctx.Err() == nil {
			changed, err := s.get()
			if err != nil {
				select {
				case <-ctx.Done():
				case <-changed:
				}
				continue
			}
			period, end := context.WithCancel(ctx)
			go func() {
				defer end()
				select {
				case <-period.Done():
				case <-changed:
				}
			}()
			err = run(period)
			end()
			if err != nil {
				return err
			}
		}
		return nil
	}
}

// refuse takes the log out of service: two histories were found.
func (s *Server) refuse(ctx context.Context, cause error) {
	if !s.standing.set(fmt.Errorf("%w: %w", ErrStanding, cause)) {
		return
	}
	s.log.ErrorContext(ctx, "database is not what was published: nothing is taken or signed; see sealtraild trail rebuild",
		slog.String("cause", cause.Error()))
}

// twoHistories reports whether err says that database and published log, or
// what a witness saw, contradict each other.
func twoHistories(err error) bool {
	return errors.Is(err, publish.ErrBehind) || errors.Is(err, publish.ErrFork) || errors.Is(err, publish.ErrForeign)
}

// compareLog compares until ctx ends: until it is good and every witness was
// heard, and again when the publisher finds two histories. A rebuilt database
// goes into service without a restart.
func (s *Server) compareLog(ctx context.Context) error {
	for ctx.Err() == nil {
		missing, err := s.compareOnce(ctx)
		changed, now := s.standing.get()
		pause := time.Duration(0)
		switch {
		case err != nil || now != nil:
			pause = compareAgain
		case missing > 0:
			pause = compareWitness
		}
		var again <-chan time.Time
		if pause > 0 {
			again = time.After(pause)
		}
		select {
		case <-ctx.Done():
		case <-again:
		case <-changed:
		}
	}
	return nil
}

// compareOnce makes the comparison, keeps what it came to and returns how many
// witnesses could not say where they stand.
func (s *Server) compareOnce(ctx context.Context) (missing int, err error) {
	missing, err = s.compareAll(ctx)
	switch {
	case err == nil:
		if s.standing.set(nil) {
			s.log.InfoContext(ctx, "database holds what was published", slog.Int("count", missing))
		}
	case twoHistories(err):
		s.refuse(ctx, err)
		err = s.standing.Err()
	case ctx.Err() == nil:
		if s.standing.Err() != nil && s.standing.set(fmt.Errorf("%w: %w", errNotCompared, err)) {
			s.log.WarnContext(ctx, "database not compared with the published log yet", slog.String("cause", err.Error()))
		}
	}
	return missing, err
}

// compareAll compares every log that the database or the published folder has.
func (s *Server) compareAll(ctx context.Context) (missing int, err error) {
	ctx, cancel := context.WithTimeout(ctx, 10*time.Minute)
	defer cancel()
	known, err := pglog.Shards(ctx, s.pool, s.cfg.Institution)
	if err != nil {
		return 0, err
	}
	for _, shard := range s.withUnknown(known) {
		folder, err := publish.NewFolder(s.publisher.folder(shard))
		if err != nil {
			return missing, err
		}
		c, err := publish.Compare(ctx, publish.CompareConfig{Source: pglog.NewTree(s.pool, shard), Store: folder,
			Witnesses: s.publisher.witnesses, VerifierKey: s.verifierKey(ctx, shard)})
		if err != nil {
			return missing, err
		}
		for name, why := range c.Missing {
			s.log.WarnContext(ctx, "witness not compared", slog.String("witness", name), slog.String("cause", why.Error()))
		}
		missing += len(c.Missing)
	}
	return missing, nil
}

// unknownYears bounds how far back a database without any log is compared with
// what is published.
const unknownYears = 10

// withUnknown adds the logs that are published, or may be known to a witness,
// and that the database does not have: it may be older than the newest log.
func (s *Server) withUnknown(known []pglog.Shard) []pglog.Shard {
	now := s.shard()
	from := now.Year - unknownYears
	if n := len(known); n > 0 {
		from = known[n-1].Year + 1
	}
	for year := from; year <= now.Year; year++ {
		shard := pglog.Shard{Institution: s.cfg.Institution, Year: year, Origin: Origin(s.cfg.LogDomain, s.cfg.Institution, year)}
		_, err := os.Stat(filepath.Join(s.publisher.folder(shard), audit.CheckpointPath))
		if year == now.Year || err == nil {
			known = append(known, shard)
		}
	}
	return known
}

// keyWithin is how long the comparison waits for the log's public key.
const keyWithin = 2 * time.Second

// verifierKey is the log's public key, "" while Vault is away. Roots are compared
// all the same; whose signature the published checkpoint bears is looked at by
// the publisher, which needs Vault anyway.
func (s *Server) verifierKey(ctx context.Context, shard pglog.Shard) string {
	ctx, cancel := context.WithTimeout(ctx, keyWithin)
	defer cancel()
	signer, err := transit.NewCheckpointSigner(ctx, s.transit(), shard.Origin)
	if err != nil {
		return ""
	}
	return signer.VerifierKey()
}
