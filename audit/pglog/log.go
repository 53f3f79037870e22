package pglog

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/sealtrail/sealtrail/audit"
)

// Defaults of Config.
const (
	DefaultDeadline = 2 * time.Second // audit.md, promise 2
	DefaultMaxBatch = 512             // entries to a multi-row append; about 300 KB at 600 bytes an entry
	DefaultMaxQueue = 16384           // entries waiting for the commit in flight; about one second of appends
	DefaultWriters  = 1               // commits in flight
)

// Config configures a Log.
type Config struct {
	Pool        *pgxpool.Pool // connects as sealtrail_app; required. Each writer of Run holds one of its connections
	Institution string        // whose log; required
	Ready       func() error  // asked before each append: an error refuses it, wrapping ErrUnavailable; nil = always ready
	Deadline    time.Duration // longest wait of Append; 0 = DefaultDeadline
	MaxBatch    int           // entries to one commit; 0 = DefaultMaxBatch
	MaxQueue    int           // entries that may wait; 0 = DefaultMaxQueue; beyond it Append answers ErrUnavailable at once
	Writers     int           // commits in flight; 0 = DefaultWriters

	// Stored reads the published entry (the leaf's bytes) at an index of a year's log, for entries whose bodies left PostgreSQL
	// (see Retain). What it returns is compared with the leaf's hash. Nil: such entries have no Body.
	Stored func(ctx context.Context, year int, index uint64) ([]byte, error)
}

// Log appends entries of one institution. It is safe for concurrent use.
type Log struct {
	cfg   Config
	queue queue
	idle  chan *writer // writers that are not committing; empty unless Run runs

	mu      sync.Mutex
	aliases map[aliasKey]string // of actor and year; bounded by maxAliases
	actors  map[string]string   // of alias
}

// New returns a Log. It does not touch the database; [Log.Run] must run before [Log.Append] can succeed.
func New(_ context.Context, cfg Config) (*Log, error) {
	if cfg.Pool == nil || cfg.Institution == "" {
		return nil, errors.New("pglog: Pool and Institution are required")
	}
	cfg.Deadline = orDefault(cfg.Deadline, DefaultDeadline)
	cfg.MaxBatch = orDefault(cfg.MaxBatch, DefaultMaxBatch)
	cfg.MaxQueue = orDefault(cfg.MaxQueue, DefaultMaxQueue)
	cfg.Writers = orDefault(cfg.Writers, DefaultWriters)
	l := &Log{cfg: cfg, aliases: map[aliasKey]string{}, actors: map[string]string{}}
	l.idle = make(chan *writer, cfg.Writers)
	l.queue.wake = make(chan struct{}, cfg.Writers)
	return l, nil
}

func orDefault[T comparable](v, otherwise T) T {
	var zero T
	if v == zero {
		return otherwise
	}
	return v
}

// Institution is whose log this is.
func (l *Log) Institution() string { return l.cfg.Institution }

// prepared is a body ready for audit.append.
type prepared struct {
	raw     []byte
	sum     [32]byte
	binding [32]byte
	subject string
	stage   audit.Stage
}

// prepare fills institution and nonce where the caller left them empty and encodes the bodies.
func (l *Log) prepare(bodies []audit.Body) ([]prepared, error) {
	if l.cfg.Ready != nil {
		if err := l.cfg.Ready(); err != nil {
			return nil, fmt.Errorf("preparing entries: %w: %w", ErrUnavailable, err)
		}
	}
	out := make([]prepared, len(bodies))
	for i := range bodies {
		b := bodies[i] // a copy: the caller's body is not changed
		if b.Institution == "" {
			b.Institution = l.cfg.Institution
		}
		if b.Institution != l.cfg.Institution {
			return nil, fmt.Errorf("preparing entry %d: %w", i, ErrInstitution)
		}
		if b.Nonce == [16]byte{} {
			b.Nonce = audit.NewNonce()
		}
		if reserved([]byte(b.Kind)) {
			return nil, fmt.Errorf("preparing entry %d: %w: kind %s is the log's own", i, audit.ErrInvalid, kindClosed)
		}
		raw, err := b.Canonical()
		if err != nil {
			return nil, fmt.Errorf("preparing entry %d: %w", i, err)
		}
		out[i] = prepared{raw: raw, sum: sha256.Sum256(raw), binding: bindingOfBody(&b), subject: b.Subject, stage: b.Stage}
	}
	return out, nil
}

// Append records bodies and returns one Receipt each, in order, when all are durable: all or none are recorded. Bodies without
// institution or nonce get this Log's institution and a fresh nonce. Whatever else queued while the last commit ran shares the
// commit.
//
// The caller hanging up does not un-record: Append ignores the cancellation of ctx and answers within Config.Deadline, with an
// error that wraps [ErrUnavailable] when the entries could not be confirmed. A body that cannot be encoded gives an error that
// wraps audit.ErrInvalid and nothing is recorded.
func (l *Log) Append(ctx context.Context, bodies ...audit.Body) ([]Receipt, error) {
	if len(bodies) == 0 {
		return nil, nil
	}
	entries, err := l.prepare(bodies)
	if err != nil {
		return nil, err
	}
	r := &request{entries: entries, done: make(chan struct{})}
	ids, err := l.submit(context.WithoutCancel(ctx), r)
	if err != nil {
		return nil, err
	}
	receipts := make([]Receipt, len(entries))
	for i, e := range entries {
		receipts[i] = Receipt{id: ids[i], body: e.sum, binding: e.binding, stage: e.stage}
	}
	return receipts, nil
}

// AppendTx records bodies in tx, the caller's own transaction on the same database: they are there if it commits and are not
// if it does not. It uses tx's connection only, waits for no group commit and takes no lock that another append waits for.
// The Pendings open nothing. Errors of the database wrap [ErrUnavailable]; tx is then useless and MUST be rolled back.
func (l *Log) AppendTx(ctx context.Context, tx pgx.Tx, bodies ...audit.Body) ([]Pending, error) {
	if len(bodies) == 0 {
		return nil, nil
	}
	entries, err := l.prepare(bodies)
	if err != nil {
		return nil, err
	}
	ids, err := appendSQL(ctx, tx, l.cfg.Institution, entries)
	if err != nil {
		return nil, err
	}
	pending := make([]Pending, len(entries))
	for i, e := range entries {
		pending[i] = Pending{id: ids[i], body: e.sum}
	}
	return pending, nil
}

// Queued are entries that a batch of statements appends. It is for the goroutine that sends the batch.
type Queued struct {
	entries []prepared
	ids     []int64
}

// AppendBatch is AppendTx for a batch that PostgreSQL runs as one transaction: the entries are there if everything else of the
// batch is. The batch's own error says whether it succeeded. A body that cannot be encoded gives an error that wraps
// audit.ErrInvalid, and nothing is queued.
func (l *Log) AppendBatch(b *pgx.Batch, bodies ...audit.Body) (*Queued, error) {
	entries, err := l.prepare(bodies)
	if err != nil || len(entries) == 0 {
		return &Queued{}, err
	}
	q := &Queued{entries: entries}
	raws, subjects := columns(entries)
	b.Queue(appendStatement, l.cfg.Institution, raws, subjects).QueryRow(func(row pgx.Row) error {
		if err := row.Scan(&q.ids); err != nil {
			return unavailable("appending to the log", err)
		}
		if len(q.ids) != len(entries) {
			return fmt.Errorf("appending to the log: %d ids for %d entries: %w", len(q.ids), len(entries), ErrTampered)
		}
		return nil
	})
	return q, nil
}

// Pending returns one Pending per body, in order, once the batch has succeeded; none before.
func (q *Queued) Pending() []Pending {
	pending := make([]Pending, len(q.ids))
	for i, id := range q.ids {
		pending[i] = Pending{id: uint64(id), body: q.entries[i].sum}
	}
	return pending
}

// querier is what pgx connections, pools and transactions share.
type querier interface {
	QueryRow(ctx context.Context, sql string, args ...any) pgx.Row
}

const appendStatement = "select audit.append($1, $2, $3)"

// columns are bodies and subjects as audit.append takes them.
func columns(entries []prepared) (bodies [][]byte, subjects []string) {
	bodies, subjects = make([][]byte, len(entries)), make([]string, len(entries))
	for i := range entries {
		bodies[i], subjects[i] = entries[i].raw, entries[i].subject
	}
	return bodies, subjects
}

// appendSQL calls audit.append once and returns the ids in the order of entries.
func appendSQL(ctx context.Context, q querier, institution string, entries []prepared) ([]uint64, error) {
	bodies, subjects := columns(entries)
	var ids []int64
	if err := q.QueryRow(ctx, appendStatement, institution, bodies, subjects).Scan(&ids); err != nil {
		return nil, unavailable("appending to the log", err)
	}
	if len(ids) != len(entries) {
		return nil, fmt.Errorf("appending to the log: %d ids for %d entries: %w", len(ids), len(entries), ErrTampered)
	}
	out := make([]uint64, len(ids))
	for i, id := range ids {
		out[i] = uint64(id)
	}
	return out, nil
}
