package pglog_test

import (
	"context"
	"fmt"
	"slices"
	"sync/atomic"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/sealtrail/sealtrail/audit/pglog"
)

// The floor is what the same bytes cost without a log: one row, one insert, one commit.
const floorTable = `
create schema floor;
create table floor.entry (
	institution text not null, id bigint generated always as identity, body bytea not null, subject text not null,
	inserted_at timestamptz not null default clock_timestamp(), primary key (institution, id)
);
create table floor.record (id bigint primary key, revision bigint not null);
insert into floor.record select n, 0 from generate_series(0, 9999) n;
grant usage on schema floor to sealtrail_app;
grant select, insert on floor.entry to sealtrail_app;
grant select, update on floor.record to sealtrail_app`

const floorInsert = "insert into floor.entry (institution, body, subject) values ($1, $2, $3) returning id"

// BenchmarkWrite compares, with the sequencer at work: append and its floor, and {update + AppendTx} and its floor. Ratios
// count: run with -count and compare within one run.
func BenchmarkWrite(b *testing.B) {
	e := newEnv(b)
	if err := e.admin(floorTable); err != nil {
		b.Fatal(err)
	}
	background(b, e.seq.Run)
	ctx := context.Background()
	var n atomic.Int64
	acts := []struct {
		name string
		do   func() error
	}{
		{"insert", func() error {
			i := int(n.Add(1))
			raw, err := withInstitution(i)
			if err != nil {
				return err
			}
			var id int64
			return e.pool.QueryRow(ctx, floorInsert, inst, raw, subject(i)).Scan(&id)
		}},
		{"append", func() error {
			i := int(n.Add(1))
			_, err := e.log.Append(ctx, body(subject(i), i))
			return err
		}},
		{"update+insert", func() error {
			return updateAnd(ctx, e, int(n.Add(1)), func(tx pgx.Tx, i int) error {
				raw, err := withInstitution(i)
				if err != nil {
					return err
				}
				var id int64
				return tx.QueryRow(ctx, floorInsert, inst, raw, subject(i)).Scan(&id)
			})
		}},
		{"update+appendtx", func() error {
			return updateAnd(ctx, e, int(n.Add(1)), func(tx pgx.Tx, i int) error {
				_, err := e.log.AppendTx(ctx, tx, body(subject(i), i))
				return err
			})
		}},
	}
	for _, clients := range []int{1, 32} {
		b.Run(fmt.Sprintf("clients=%d", clients), func(b *testing.B) {
			total := make([]measured, len(acts))
			for b.Loop() { // in turns, so that whatever else the machine does hits all alike
				for i, act := range acts {
					total[i].add(measure(b, clients, act.do))
				}
			}
			for i, act := range acts {
				total[i].report(b, act.name)
			}
		})
		waitFor(b, "the sequencer catching up", func() bool { return e.pendingCount() == 0 })
	}
}

func subject(i int) string { return fmt.Sprintf("complaint:%06d", i%5000) }

// withInstitution is the bytes that Append would store.
func withInstitution(i int) ([]byte, error) {
	x := body(subject(i), i)
	x.Institution, x.Nonce = inst, [16]byte{1}
	return x.Canonical()
}

func updateAnd(ctx context.Context, e *env, i int, then func(pgx.Tx, int) error) error {
	return pgx.BeginFunc(ctx, e.pool, func(tx pgx.Tx) error {
		if _, err := tx.Exec(ctx, "update floor.record set revision = revision + 1 where id = $1", i%10000); err != nil {
			return err
		}
		return then(tx, i)
	})
}

// measured is what a number of turns took.
type measured struct {
	took    []time.Duration // of each act
	elapsed time.Duration
}

func (m *measured) add(o measured) {
	m.took, m.elapsed = append(m.took, o.took...), m.elapsed+o.elapsed
}

func (m *measured) report(b *testing.B, name string) {
	slices.Sort(m.took)
	b.ReportMetric(float64(len(m.took))/m.elapsed.Seconds(), name+"-ops/s")
	b.ReportMetric(float64(m.took[len(m.took)/2].Microseconds()), name+"-p50-us")
}

// measure runs do a few times for each of so many clients, at once. Turns are short: what the rest of the machine does then hits
// every act alike, and the ratios hold on a busy machine too.
func measure(b *testing.B, clients int, do func() error) measured {
	const each = 25
	took := make([][]time.Duration, clients)
	done := make(chan error, clients)
	begin := time.Now()
	for c := range clients {
		go func() {
			for range each {
				at := time.Now()
				if err := do(); err != nil {
					done <- err
					return
				}
				took[c] = append(took[c], time.Since(at))
			}
			done <- nil
		}()
	}
	for range clients {
		if err := <-done; err != nil {
			b.Error(err)
		}
	}
	return measured{took: slices.Concat(took...), elapsed: time.Since(begin)}
}

// BenchmarkSequence is how fast pending entries become leaves.
func BenchmarkSequence(b *testing.B) {
	e := newEnv(b)
	const batch = 512
	for b.Loop() {
		b.StopTimer()
		for range pglog.DefaultSequenceBatch / batch {
			if _, err := e.pool.Exec(context.Background(), "select audit.append($1, $2, $3)", inst, bodies(b, batch), subjects(batch)); err != nil {
				b.Fatal(err)
			}
		}
		b.StartTimer()
		if n, err := e.seq.Step(context.Background()); err != nil || n != pglog.DefaultSequenceBatch {
			b.Fatal(n, err)
		}
	}
	b.ReportMetric(float64(b.N)*pglog.DefaultSequenceBatch/b.Elapsed().Seconds(), "entries/s")
}

func bodies(b *testing.B, n int) [][]byte {
	list := make([][]byte, n)
	for i := range list {
		raw, err := withInstitution(i)
		if err != nil {
			b.Fatal(err)
		}
		list[i] = raw
	}
	return list
}

func subjects(n int) []string {
	list := make([]string, n)
	for i := range list {
		list[i] = subject(i)
	}
	return list
}
