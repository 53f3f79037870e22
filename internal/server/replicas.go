package server

import (
	"context"
	"slices"
	"time"

	"github.com/sealtrail/sealtrail/audit/pglog"
	"github.com/sealtrail/sealtrail/audit/publish"
)

// Several processes may serve one institution. Each answers requests; one of
// them publishes the log and does what one suffices for. Which one a lease in
// PostgreSQL says, see pglog.Lease and docs/operate/replicas.md.

// releaseWithin is how long a process that ends may take to say so: without, the
// next one takes over when the lease ends.
const releaseWithin = time.Second

// runLeased publishes a log while this process leads, and gives the lead up at
// the end.
func (p *publishing) runLeased(ctx context.Context, publisher *publish.Publisher, lease *pglog.Lease) error {
	err := publisher.Run(ctx)
	release, cancel := context.WithTimeout(context.WithoutCancel(ctx), releaseWithin)
	defer cancel()
	_ = lease.Release(release) // not said: the lease ends by itself
	return err
}

// leads reports whether this process publishes this year's log.
func (p *publishing) leads() bool {
	p.mu.Lock()
	lease := p.leases[time.Now().UTC().Year()]
	p.mu.Unlock()
	return lease != nil && lease.Sure()
}

// keyedLog is a log that this process can publish, with its verifier key.
type keyedLog struct {
	shard pglog.Shard
	vkey  string
}

// shards are the logs that this process can publish, oldest first.
func (p *publishing) shards() (list []pglog.Shard) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, l := range p.logs {
		list = append(list, l.shard)
	}
	slices.SortFunc(list, func(a, b pglog.Shard) int { return a.Year - b.Year })
	return list
}

// vkeyOf is the verifier key of a year's log, "" while it is not known.
func (p *publishing) vkeyOf(year int) string {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.logs[year].vkey
}
