package pglog

import (
	"context"
	"crypto/rand"
	"fmt"
	"sync"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"
)

// DefaultLease is how long a process may publish without asking again. After a crash of the one that leads, publishing rests for
// as long at most.
const DefaultLease = 2 * time.Second

// Lease lets one of several processes publish a log. It spares work and is no fence: a process that was stopped and continued
// may believe for a moment that it still leads, and a publisher does no harm then. Safe for concurrent use.
type Lease struct {
	pool   *pgxpool.Pool
	shard  Shard
	holder string
	life   time.Duration

	mu    sync.Mutex
	epoch int64     // 0: another process has it
	asked time.Time // when the last answer was asked for
}

// NewLease returns the lease of this process on publishing shard; life 0 means [DefaultLease]. It makes no call.
func NewLease(pool *pgxpool.Pool, shard Shard, life time.Duration) *Lease {
	return &Lease{pool: pool, shard: shard, holder: rand.Text(), life: orDefault(life, DefaultLease)}
}

// Hold takes or keeps the lease and reports whether this process has it. It asks PostgreSQL when a third of the lease is over.
// The error wraps [ErrUnavailable]; the lease then counts as lost.
func (l *Lease) Hold(ctx context.Context) (bool, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	now := time.Now()
	if l.epoch > 0 && now.Sub(l.asked) < l.life/3 {
		return true, nil
	}
	ctx, cancel := context.WithTimeout(ctx, min(DefaultDeadline, l.life))
	defer cancel()
	epoch, err := l.ask(ctx, l.life)
	if err != nil {
		l.epoch = 0
		return false, err
	}
	l.epoch, l.asked = epoch, now
	return epoch > 0, nil
}

// Sure reports whether the lease of this process cannot have gone to another one yet: it asks nobody.
func (l *Lease) Sure() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.epoch > 0 && time.Since(l.asked) < l.life
}

// Release gives the lease up, so that another process need not wait for its end. One that this process does not hold stays.
func (l *Lease) Release(ctx context.Context) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.epoch == 0 {
		return nil
	}
	l.epoch = 0
	_, err := l.ask(ctx, 0)
	return err
}

func (l *Lease) ask(ctx context.Context, life time.Duration) (epoch int64, err error) {
	err = l.pool.QueryRow(ctx, "select audit.lead($1, $2, $3, $4)", l.shard.Institution, l.shard.Year, l.holder, life.Milliseconds()).Scan(&epoch)
	if err != nil {
		return 0, unavailable(fmt.Sprintf("asking for the lease of log %s", l.shard.Folder()), err)
	}
	return epoch, nil
}
