package main

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
	"golang.org/x/sync/errgroup"

	"github.com/sealtrail/sealtrail/audit"
	"github.com/sealtrail/sealtrail/audit/pglog"
	"github.com/sealtrail/sealtrail/audit/publish"
	"github.com/sealtrail/sealtrail/crypto/transit"
	"github.com/sealtrail/sealtrail/internal/sandbox"
	"github.com/sealtrail/sealtrail/internal/vaultserver"
)

// trailDatabase begins the names of the databases that hold a log of their own
// and the floor's tables beside it, one for each part.
const trailDatabase = "trail"

const plainInsert = "insert into floor.entry (institution, body, subject) values ($1, $2, $3) returning id"

// trailLog is a running log: appender, sequencer, and a publisher that signs
// with the institution's key in Vault.
type trailLog struct {
	pool      *pgxpool.Pool
	log       *pglog.Log
	publisher *publish.Publisher
	shard     pglog.Shard
	database  string
	folder    string // published
	vkey      string
	n         atomic.Int64
}

// appending: append and {update + append} against plain inserts of the same
// bytes, and the time until a signed checkpoint.
func appending(ctx context.Context, b *bench) (err error) {
	in, err := b.installed(ctx)
	if err != nil {
		return err
	}
	t, stop, err := in.openTrail(ctx)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, stop()) }()
	// Also published: else the other side would run beside our publisher.
	settle := func(ctx context.Context) error {
		return errors.Join(untilSequenced(ctx, t.pool), t.untilPublished(ctx))
	}
	for _, clients := range []int{1, 32} {
		alone, err := compare(ctx, b, clients, [sides]act{t.insert, t.append}, settle)
		if err != nil {
			return err
		}
		within, err := compare(ctx, b, clients, [sides]act{t.updateAnd(t.insertTx), t.updateAnd(t.appendTx)}, settle)
		if err != nil {
			return err
		}
		b.judgeTrail(clients, alone, within)
	}
	return t.checkpoints(ctx, b)
}

func (b *bench) judgeTrail(clients int, alone, within pair) {
	const note = "%.0f against %.0f per second; sequencer and publisher at work"
	if clients == 1 {
		b.judge(Line{Name: "append, 1 client, p50 to a plain insert's", Value: alone.ratio(p50Of), Unit: "x",
			Note: fmt.Sprintf("%.0f us against %.0f us", alone.mid(ourSide, p50Of), alone.mid(floorSide, p50Of))}, atMost(1.7), alone.mid(floorSide, p50Of))
		b.report("update + append, 1 client, p50 to update + insert's", within.ratio(p50Of), "x",
			fmt.Sprintf("%.0f us against %.0f us", within.mid(ourSide, p50Of), within.mid(floorSide, p50Of)))
		return
	}
	b.judge(Line{Name: fmt.Sprintf("grouped append, %d clients, rate to plain inserts", clients), Value: alone.ratio(rateOf), Unit: "x",
		Note: fmt.Sprintf(note, alone.mid(ourSide, rateOf), alone.mid(floorSide, rateOf))}, atLeast(0.75), alone.mid(floorSide, rateOf))
	b.judge(Line{Name: fmt.Sprintf("update + append in one transaction, %d clients, rate to update + insert", clients), Value: within.ratio(rateOf), Unit: "x",
		Note: fmt.Sprintf(note, within.mid(ourSide, rateOf), within.mid(floorSide, rateOf))}, atLeast(0.6), within.mid(floorSide, rateOf))
}

// openTrail makes a database with a log and runs it until stop.
func (in *installation) openTrail(ctx context.Context) (t *trailLog, stop func() error, err error) {
	migrate := func(ctx context.Context, dsn string) error {
		return errors.Join(pglog.Migrate(ctx, dsn), migrateFloor(ctx, dsn), execOn(ctx, dsn, chainTables))
	}
	in.trails++
	t = &trailLog{database: fmt.Sprintf("%s%d", trailDatabase, in.trails)}
	if _, err := in.database(ctx, t.database, migrate); err != nil {
		return nil, nil, err
	}
	if t.pool, err = in.pool(ctx, t.database); err != nil {
		return nil, nil, err
	}
	year := time.Now().UTC().Year()
	t.shard = pglog.Shard{Institution: sandbox.Institution, Year: year, Origin: fmt.Sprintf("bench.example/%s/%d", sandbox.Institution, year)}
	if _, err := pglog.EnsureLog(ctx, t.pool, t.shard); err != nil {
		return nil, nil, err
	}
	if t.log, err = pglog.New(ctx, pglog.Config{Pool: t.pool, Institution: t.shard.Institution}); err != nil {
		return nil, nil, err
	}
	sequencer, err := pglog.NewSequencer(ctx, pglog.SequencerConfig{Pool: t.pool, Institution: t.shard.Institution})
	if err != nil {
		return nil, nil, err
	}
	if t.publisher, err = in.publisher(ctx, t); err != nil {
		return nil, nil, err
	}
	if _, err := t.publisher.PutBlob(ctx, nil); err != nil { // what the entries name as the policy's bundle
		return nil, nil, err
	}
	running, cancel := context.WithCancel(context.WithoutCancel(ctx))
	group, gctx := errgroup.WithContext(running)
	for _, run := range []func(context.Context) error{t.log.Run, sequencer.Run, t.publisher.Run} {
		group.Go(func() error { return run(gctx) })
	}
	return t, func() error { cancel(); err := group.Wait(); t.pool.Close(); return err }, nil
}

func (in *installation) publisher(ctx context.Context, t *trailLog) (*publish.Publisher, error) {
	client, err := vaultserver.NewClient(in.Vault.Addr(), in.Vault.CACert(), in.Vault.RootToken())
	if err != nil {
		return nil, err
	}
	signer, err := transit.NewCheckpointSigner(ctx, transit.Config{Client: client, Institution: t.shard.Institution}, t.shard.Origin)
	if err != nil {
		return nil, err
	}
	t.folder, t.vkey = filepath.Join(in.Dir(), "published-"+t.database), signer.VerifierKey()
	folder, err := publish.NewFolder(t.folder)
	if err != nil {
		return nil, err
	}
	return publish.New(ctx, publish.Config{Source: pglog.NewTree(t.pool, t.shard), Store: folder, Signer: signer})
}

// body is an entry of about 600 bytes, as a masked read writes it.
func (t *trailLog) body() audit.Body {
	i := t.n.Add(1)
	return audit.Body{
		Institution: t.shard.Institution, At: time.Now().UTC(), Stage: audit.StageIntent, Kind: "access.read",
		Actor:   audit.Actor{ID: "a-7q2m3kd5x4", Roles: []string{"handler"}, Auth: "jwt:https://dev-issuer.localhost"},
		Subject: fmt.Sprintf("complaint:%08x-0000-4000-8000-%012x", i%5000, i%5000), Revision: 3, Purpose: "handle",
		Fields: []string{"complainant_name", "phone"}, Nonce: audit.NewNonce(),
		Decision: &audit.DecisionRef{Result: audit.ResultAllow, Rule: "R3", Article: "6.2.1", Reason: "assigned", ID: fmt.Sprintf("d-%016x", i),
			Bundle: "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"},
		Request: fmt.Sprintf("req_%024x", i), Net: "default", Facts: audit.Facts{"masked": 9},
	}
}

func (t *trailLog) append(ctx context.Context, _ int) error {
	_, err := t.log.Append(ctx, t.body())
	return err
}

func (t *trailLog) insert(ctx context.Context, _ int) error { return t.insertInto(ctx, t.pool) }

func (t *trailLog) insertTx(ctx context.Context, tx pgx.Tx) error { return t.insertInto(ctx, tx) }

// insertInto inserts the bytes that Append would store.
func (t *trailLog) insertInto(ctx context.Context, q interface {
	QueryRow(ctx context.Context, sql string, args ...any) pgx.Row
}) error {
	body := t.body()
	raw, err := body.Canonical()
	if err != nil {
		return err
	}
	var id int64
	return q.QueryRow(ctx, plainInsert, t.shard.Institution, raw, body.Subject).Scan(&id)
}

func (t *trailLog) appendTx(ctx context.Context, tx pgx.Tx) error {
	_, err := t.log.AppendTx(ctx, tx, t.body())
	return err
}

func (t *trailLog) updateAnd(then func(context.Context, pgx.Tx) error) act {
	return func(ctx context.Context, _ int) error {
		return pgx.BeginFunc(ctx, t.pool, func(tx pgx.Tx) error {
			if _, err := tx.Exec(ctx, "update floor.record set revision = revision + 1 where id = $1", t.n.Load()%10000); err != nil {
				return err
			}
			return then(ctx, tx)
		})
	}
}

// published is the moment at which a checkpoint of some size was there.
type published struct {
	at   time.Time
	size uint64
}

// checkpoints measures from the call of Append to the signed checkpoint that
// covers the entry, at 32 clients.
func (t *trailLog) checkpoints(ctx context.Context, b *bench) error {
	var mu sync.Mutex
	called := map[uint64]time.Time{}
	seen, stop := t.watch(ctx)
	l, err := drive(ctx, 32, 2*b.each, func(ctx context.Context, _ int) error {
		at := time.Now()
		receipts, err := t.log.Append(ctx, t.body())
		if err != nil {
			return err
		}
		mu.Lock()
		called[receipts[0].EntryID()] = at
		mu.Unlock()
		return nil
	})
	if err == nil {
		err = errors.Join(untilSequenced(ctx, t.pool), t.untilPublished(ctx))
	}
	stop()
	if err != nil {
		return err
	}
	lags, err := t.lags(ctx, called, <-seen)
	if err != nil {
		return err
	}
	b.judge(Line{Name: "entry to signed checkpoint, 32 clients, p99", Value: quantile(lags, 0.99).Seconds(), Unit: "s",
		Note: fmt.Sprintf("p50 %.2f s, over %d entries at %.0f per second without a pause; signed by Vault", quantile(lags, 0.5).Seconds(), len(lags), l.rate)}, atMost(1), 0)
	return nil
}

// watch notes when the published size changes, until stop.
func (t *trailLog) watch(ctx context.Context) (<-chan []published, func()) {
	ctx, cancel := context.WithCancel(ctx)
	out := make(chan []published, 1)
	go func() {
		var seen []published
		tick := time.NewTicker(2 * time.Millisecond)
		defer tick.Stop()
		for {
			if s := t.publisher.Status(); len(seen) == 0 || s.Size > seen[len(seen)-1].size {
				seen = append(seen, published{time.Now(), s.Size})
			}
			select {
			case <-ctx.Done():
				out <- seen
				return
			case <-tick.C:
			}
		}
	}()
	return out, cancel
}

func (t *trailLog) untilPublished(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, time.Minute)
	defer cancel()
	head, err := pglog.NewTree(t.pool, t.shard).Head(ctx)
	if err != nil {
		return err
	}
	for t.publisher.Status().Size < head.Size {
		select {
		case <-ctx.Done():
			return fmt.Errorf("waiting for the publisher: %w", ctx.Err())
		case <-time.After(5 * time.Millisecond):
		}
	}
	time.Sleep(5 * time.Millisecond) // so that the watcher has seen it
	return nil
}

// lags are sorted.
func (t *trailLog) lags(ctx context.Context, called map[uint64]time.Time, seen []published) ([]time.Duration, error) {
	rows, err := t.pool.Query(ctx, "select entry_id, idx from audit.leaf where institution = $1 and year = $2", t.shard.Institution, t.shard.Year)
	if err != nil {
		return nil, fmt.Errorf("reading indexes: %w", err)
	}
	var lags []time.Duration
	var id, index int64
	_, err = pgx.ForEachRow(rows, []any{&id, &index}, func() error {
		at, ok := called[uint64(id)]
		if !ok {
			return nil
		}
		i, _ := slices.BinarySearchFunc(seen, uint64(index)+1, func(p published, size uint64) int { return int(int64(p.size) - int64(size)) })
		if i == len(seen) {
			return fmt.Errorf("entry at index %d was never published", index)
		}
		lags = append(lags, seen[i].at.Sub(at))
		return nil
	})
	slices.Sort(lags)
	if err == nil && len(lags) == 0 {
		err = errors.New("no entry was sequenced")
	}
	return lags, err
}
