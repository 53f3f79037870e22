package server

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"path/filepath"
	"sync"
	"time"

	"go.opentelemetry.io/otel/metric"
	"golang.org/x/sync/errgroup"

	"github.com/sealtrail/sealtrail/audit"
	"github.com/sealtrail/sealtrail/audit/pglog"
	"github.com/sealtrail/sealtrail/audit/publish"
	"github.com/sealtrail/sealtrail/crypto/transit"
	"github.com/sealtrail/sealtrail/internal/custody"
	"github.com/sealtrail/sealtrail/internal/supervision"
)

// publishing keeps one publisher per yearly log of the institution and answers
// reports from what they published.
type publishing struct {
	server    *Server
	witnesses []publish.Witness
	policy    *audit.WitnessPolicy // nil: --witness and --min-witness
	alarms    chan publish.Alarm   // about witnesses, to become entries
	alarmed   metric.Int64Counter

	mu      sync.Mutex
	running map[int]*publish.Publisher // by year
	leases  map[int]*pglog.Lease       // by year: which replica publishes
	vkeys   string                     // verifier keys of the logs, one a line
	logs    map[int]keyedLog           // by year
	mirrors mirrors

	committing sync.Mutex                // one entry about the ends of trails at a time
	heads      []*custody.CommittedHeads // the last ones, oldest first

	reporting sync.Mutex // one report is computed at a time
	reports   map[string]madeReport
}

func newPublishing(ctx context.Context, s *Server) (*publishing, error) {
	p := &publishing{server: s, running: map[int]*publish.Publisher{}, leases: map[int]*pglog.Lease{}, logs: map[int]keyedLog{}, reports: map[string]madeReport{}}
	p.alarms = make(chan publish.Alarm, maxWitnessAlarms)
	return p, p.openWitnesses(ctx)
}

// Run opens this year's log, and next year's when it comes, and publishes each
// log until ctx ends.
func (p *publishing) Run(ctx context.Context) error {
	p.mu.Lock()
	clear(p.running)
	clear(p.leases)
	p.vkeys = ""
	p.mu.Unlock()
	group, gctx := errgroup.WithContext(ctx)
	group.Go(func() error {
		return every(gctx, 5*time.Second, func(ctx context.Context) {
			if err := p.open(ctx, func(run func(context.Context) error) { group.Go(func() error { return run(gctx) }) }); err != nil && ctx.Err() == nil {
				p.server.log.WarnContext(ctx, "log not ready for publishing", slog.String("cause", err.Error()))
			}
		})
	})
	group.Go(func() error { return p.server.mirror(gctx) })
	group.Go(func() error { return p.enterAlarms(gctx) })
	return group.Wait()
}

// open starts a publisher for each log that has none yet. It needs Vault for
// the signing key and is tried again until it has it.
func (p *publishing) open(ctx context.Context, start func(run func(context.Context) error)) error {
	s := p.server
	if err := p.ensure(ctx); err != nil {
		return err
	}
	shards, err := pglog.Shards(ctx, s.pool, s.cfg.Institution)
	if err != nil {
		return err
	}
	for i, shard := range shards {
		if p.of(shard.Year) != nil {
			continue
		}
		if i > 0 {
			if done, err := p.finished(ctx, shards[i-1]); err != nil || !done {
				return err // soon
			}
		}
		lease := pglog.NewLease(s.pool, shard, 0)
		publisher, vkey, err := p.publisher(ctx, shard, lease)
		if err != nil {
			return err
		}
		p.mu.Lock()
		p.running[shard.Year], p.leases[shard.Year], p.vkeys = publisher, lease, p.vkeys+vkey+"\n"
		p.logs[shard.Year] = keyedLog{shard, vkey}
		p.mu.Unlock()
		start(func(ctx context.Context) error {
			err := p.runLeased(ctx, publisher, lease)
			if twoHistories(err) {
				p.server.refuse(ctx, err)
				return nil
			}
			return err
		})
	}
	return nil
}

// finished reports whether the final checkpoint of a closed log is published:
// the log behind it names that checkpoint in its first entry, so it comes first.
func (p *publishing) finished(ctx context.Context, shard pglog.Shard) (bool, error) {
	head, err := pglog.NewTree(p.server.pool, shard).Head(ctx)
	if err != nil {
		return false, err
	}
	folder, err := publish.NewFolder(p.folder(shard))
	if err != nil {
		return false, err
	}
	_, err = folder.Get(ctx, audit.CheckpointSizePath(head.Size))
	if errors.Is(err, fs.ErrNotExist) {
		return false, nil
	}
	return err == nil, err
}

// ensure opens this year's log if it is not there.
func (p *publishing) ensure(ctx context.Context) error {
	_, err := pglog.EnsureLog(ctx, p.server.pool, p.server.shard())
	return err
}

func (p *publishing) publisher(ctx context.Context, shard pglog.Shard, lease *pglog.Lease) (*publish.Publisher, string, error) {
	s := p.server
	signer, err := transit.NewCheckpointSigner(ctx, s.transit(), shard.Origin)
	if err != nil {
		return nil, "", err
	}
	folder, err := publish.NewFolder(p.folder(shard))
	if err != nil {
		return nil, "", err
	}
	publisher, err := publish.New(ctx, publish.Config{Source: pglog.NewTree(s.pool, shard), Store: folder, Signer: signer, Lead: lease,
		Witnesses: p.witnesses, RequireWitnesses: s.cfg.MinWitness, Watch: p.watchOf(shard), Second: p.second(shard), Logger: s.log,
		Alarm: func(ctx context.Context, a publish.Alarm) { p.alarm(ctx, shard, a) }})
	return publisher, signer.VerifierKey(), err
}

func (p *publishing) folder(shard pglog.Shard) string {
	return filepath.Join(p.server.cfg.Published, filepath.FromSlash(shard.Folder()))
}

func (p *publishing) of(year int) *publish.Publisher {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.running[year]
}

// current is the publisher of this year's log, nil while it is not ready.
func (p *publishing) current() *publish.Publisher { return p.of(time.Now().UTC().Year()) }

// root is the folder that holds the institution's logs.
func (p *publishing) root() string {
	return filepath.Join(p.server.cfg.Published, p.server.cfg.Institution)
}

// Report answers with the figures of a period. A report is as old as its header
// says: one is used again for ten times as long as it took to make, so that
// asking often cannot take more than a tenth of a core, and for a minute at most.
func (p *publishing) Report(ctx context.Context, period string) (*supervision.Report, error) {
	parsed, err := supervision.ParsePeriod(period)
	if err != nil {
		return nil, err
	}
	p.reporting.Lock()
	defer p.reporting.Unlock()
	if made, ok := p.reports[period]; ok && time.Now().Before(made.until) {
		return made.report, nil
	}
	began := time.Now()
	report, err := p.fold(ctx, parsed)
	if err != nil {
		return nil, fmt.Errorf("computing a report: %w", err)
	}
	if len(p.reports) >= maxReports {
		clear(p.reports)
	}
	p.reports[period] = madeReport{report, time.Now().Add(min(10*time.Since(began), time.Minute))}
	return report, nil
}

// maxReports bounds the reports that are kept; a report is some 40 KB.
const maxReports = 64

type madeReport struct {
	report *supervision.Report
	until  time.Time
}

// fold verifies the published logs and folds them: the service computes its
// figures exactly as an auditor does.
func (p *publishing) fold(ctx context.Context, period supervision.Period) (*supervision.Report, error) {
	if p.current() == nil {
		return nil, errors.New("nothing is published yet")
	}
	folder, err := publish.NewFolder(p.root())
	if err != nil {
		return nil, err
	}
	p.mu.Lock()
	keys := p.vkeys
	p.mu.Unlock()
	report, err := supervision.FromFolder(ctx, folder.FS(), keys, period)
	if err != nil {
		return nil, err
	}
	return &report, nil
}

// shard is this year's log.
func (s *Server) shard() pglog.Shard {
	year := time.Now().UTC().Year()
	return pglog.Shard{Institution: s.cfg.Institution, Year: year, Origin: Origin(s.cfg.LogDomain, s.cfg.Institution, year)}
}

// Origin is the name of an institution's log of a year: the first line of its
// checkpoints and the name of its verifier key.
func Origin(domain, institution string, year int) string {
	return fmt.Sprintf("%s/%s/%d", domain, institution, year)
}

// every calls f now and then again and again, pause after pause, until ctx ends.
func every(ctx context.Context, pause time.Duration, f func(context.Context)) error {
	for {
		f(ctx)
		select {
		case <-ctx.Done():
			return nil
		case <-time.After(pause):
		}
	}
}
