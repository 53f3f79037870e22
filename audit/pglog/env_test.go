package pglog_test

import (
	"context"
	"fmt"
	"os"
	"sync"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/sealtrail/sealtrail/audit"
	"github.com/sealtrail/sealtrail/audit/pglog"
	"github.com/sealtrail/sealtrail/internal/pgtest"
)

func TestMain(m *testing.M) { os.Exit(pgtest.Main(m)) }

const inst = "demo-bank"

var shard = pglog.Shard{Institution: inst, Year: 2026, Origin: "sealtrail.example/demo-bank/2026"}

// env is a database with one open log.
type env struct {
	t    testing.TB
	db   *pgtest.DB
	pool *pgxpool.Pool // as sealtrail_app
	log  *pglog.Log    // running
	seq  *pglog.Sequencer
}

func newEnv(t testing.TB) *env {
	t.Helper()
	return envOn(t, newDB(t), shard)
}

func newDB(t testing.TB) *pgtest.DB {
	t.Helper()
	return pgtest.New(t, "audit", pglog.Migrate)
}

// shardOf is the log of a year.
func shardOf(year int) pglog.Shard {
	return pglog.Shard{Institution: inst, Year: year, Origin: fmt.Sprintf("sealtrail.example/demo-bank/%d", year)}
}

func envOn(t testing.TB, db *pgtest.DB, shard pglog.Shard) *env {
	t.Helper()
	e := &env{t: t, db: db, pool: connect(t, db.App)}
	if _, err := pglog.EnsureLog(t.Context(), e.pool, shard); err != nil {
		t.Fatal(err)
	}
	e.log = newLog(t, e.pool)
	var err error
	if e.seq, err = pglog.NewSequencer(t.Context(), pglog.SequencerConfig{Pool: e.pool, Institution: inst}); err != nil {
		t.Fatal(err)
	}
	return e
}

func newLog(t testing.TB, pool *pgxpool.Pool) *pglog.Log {
	t.Helper()
	log, err := pglog.New(t.Context(), pglog.Config{Pool: pool, Institution: inst})
	if err != nil {
		t.Fatal(err)
	}
	background(t, log.Run)
	return log
}

// background runs until the test ends, before its pools close.
func background(t testing.TB, run func(context.Context) error) {
	ctx, cancel := context.WithCancel(context.Background())
	var wg sync.WaitGroup
	wg.Go(func() {
		if err := run(ctx); err != nil {
			t.Errorf("background work: %v", err)
		}
	})
	t.Cleanup(func() { cancel(); wg.Wait() })
}

func connect(t testing.TB, dsn string) *pgxpool.Pool {
	t.Helper()
	cfg, err := pgxpool.ParseConfig(dsn)
	if err != nil {
		t.Fatal(err)
	}
	cfg.MaxConns = 40
	pool, err := pgxpool.NewWithConfig(context.Background(), cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(pool.Close)
	return pool
}

// body is an entry of about 600 bytes, as a reveal writes it.
func body(subject string, n int) audit.Body {
	return audit.Body{
		At: time.Date(2026, 11, 23, 8, 0, 0, 0, time.UTC), Stage: audit.StageIntent, Kind: "access.reveal",
		Actor:   audit.Actor{ID: "a-7q2m3kd5x4", Roles: []string{"handler"}, Auth: "oidc"},
		Subject: subject, Revision: 3, Purpose: "handle", Fields: []string{"complainant_name", "phone"},
		Decision: &audit.DecisionRef{Result: audit.ResultAllow, Rule: "R3", Article: "6.2.1", Reason: "assigned", ID: fmt.Sprintf("d-%d", n)},
		Request:  fmt.Sprintf("req-%d", n), Net: "office", Facts: audit.Facts{"level": "general", "n": n},
	}
}

// append appends n entries to the trail of subject, each with its own call.
func (e *env) append(subject string, n int) []pglog.Receipt {
	e.t.Helper()
	var all []pglog.Receipt
	for i := range n {
		r, err := e.log.Append(e.t.Context(), body(subject, i))
		if err != nil {
			e.t.Fatal(err)
		}
		all = append(all, r...)
	}
	return all
}

// sequenceAll steps until nothing is pending.
func (e *env) sequenceAll() {
	e.t.Helper()
	for {
		n, err := e.seq.Step(e.t.Context())
		if err != nil {
			e.t.Fatal(err)
		}
		if n == 0 {
			return
		}
	}
}

func (e *env) head() pglog.Head {
	e.t.Helper()
	h, err := pglog.NewTree(e.pool, shard).Head(e.t.Context())
	if err != nil {
		e.t.Fatal(err)
	}
	return h
}

// admin runs statements as superuser, one transaction.
func (e *env) admin(statements ...string) error {
	e.t.Helper()
	conn, err := pgx.Connect(e.t.Context(), e.db.Admin)
	if err != nil {
		e.t.Fatal(err)
	}
	defer func() { _ = conn.Close(context.Background()) }()
	return pgx.BeginFunc(e.t.Context(), conn, func(tx pgx.Tx) error {
		for _, s := range statements {
			if _, err := tx.Exec(e.t.Context(), s); err != nil {
				return err
			}
		}
		return nil
	})
}
