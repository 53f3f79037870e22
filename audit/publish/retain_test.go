package publish_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"github.com/sealtrail/sealtrail/audit"
	"github.com/sealtrail/sealtrail/audit/pglog"
	"github.com/sealtrail/sealtrail/audit/publish"
	"github.com/sealtrail/sealtrail/audit/verify"
	"github.com/sealtrail/sealtrail/internal/pgtest"
)

// narrow is how many rows the partitions of these tests have.
const narrow = 64

// migrateNarrow makes partitions of 64 rows.
func migrateNarrow(ctx context.Context, dsn string) error {
	if err := pglog.Migrate(ctx, dsn); err != nil {
		return err
	}
	conn, err := pgx.Connect(ctx, dsn)
	if err != nil {
		return err
	}
	defer func() { _ = conn.Close(ctx) }()
	_, err = conn.Exec(ctx, fmt.Sprintf(`
		begin; set local audit.migration = 'on'; set local role audit_owner;
		drop table audit.entry_000000, audit.entry_000001, audit.leaf_000000, audit.leaf_000001;
		create or replace function audit.partition_width() returns bigint
		language sql immutable set search_path = pg_catalog, pg_temp as $$ select %d::bigint $$;
		select audit.ensure_partitions(); commit`, narrow))
	return err
}

func narrowEnv(t *testing.T) *env {
	t.Helper()
	e := &env{t: t, db: pgtest.New(t, "audit-narrow", migrateNarrow), root: t.TempDir(), signer: newSigner(t), alarms: &alarms{}}
	e.connect()
	folder, err := publish.NewFolder(filepath.Join(e.root, filepath.FromSlash(shard.Folder())))
	if err != nil {
		t.Fatal(err)
	}
	e.store = &fullStore{Folder: folder}
	e.store.left.Store(-1)
	return e
}

// growOn appends and publishes n entries, in steps that the partitions follow.
func (e *env) growOn(n int) {
	e.t.Helper()
	for ; n > 0; n -= 30 {
		if _, err := e.pool.Exec(context.Background(), "select audit.ensure_partitions()"); err != nil {
			e.t.Fatal(err)
		}
		e.grow(min(n, 30))
	}
	if err := e.publisher().Publish(context.Background()); err != nil {
		e.t.Fatal(err)
	}
}

// verified verifies the published copy as Retain's caller does.
func (e *env) verified(ctx context.Context) (uint64, error) {
	rep, err := verify.Verify(ctx, os.DirFS(filepath.Join(e.root, filepath.FromSlash(shard.Folder()))), verify.Options{VerifierKey: e.signer.vkey})
	if err != nil || !rep.OK() {
		return 0, errors.Join(err, errors.New("the copy is not whole"))
	}
	return rep.Size, nil
}

// retain moves the window while sequencer and publisher work.
func (e *env) retain(upTo uint64) (pglog.Window, error) {
	e.t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
	defer cancel()
	done := make(chan struct{})
	work, p := make(chan error, 1), e.publisher()
	go func() {
		for {
			if _, err := e.seq.Step(ctx); err != nil {
				work <- err
				return
			}
			if err := p.Publish(ctx); err != nil {
				work <- err
				return
			}
			select {
			case <-done:
				work <- nil
				return
			case <-time.After(5 * time.Millisecond):
			}
		}
	}()
	w, err := pglog.Retain(ctx, e.pool, shard, upTo, e.verified)
	close(done)
	if err := <-work; err != nil {
		e.t.Error(err)
	}
	return w, err
}

func (e *env) stored(ctx context.Context, _ int, index uint64) ([]byte, error) {
	raw, err := e.store.Get(ctx, audit.EntriesPath(index/audit.TileWidth, 0))
	if err != nil {
		return nil, err
	}
	entries, err := audit.DecodeBundle(raw)
	if err != nil {
		return nil, err
	}
	return entries[index%audit.TileWidth], nil
}

// Bodies below a logged, signed bound leave PostgreSQL after the stored copy was verified; the log stays whole, readable and
// checked, and what leaves in any other way is tampering.
func TestHotWindowMovesAsTheLogSays(t *testing.T) {
	t.Parallel()
	e := narrowEnv(t)
	e.growOn(300)
	w, err := e.retain(200)
	if err != nil || w.From != 200 || w.Entry == 0 || !slices.Equal(w.Detached, []string{"entry_000000", "entry_000001", "entry_000002"}) {
		t.Fatalf("Retain: %+v, %v", w, err)
	}
	if findings := e.check(); findings != nil {
		t.Errorf("Check with the folder: %s", sayAll(findings))
	}
	if findings, err := pglog.Check(t.Context(), e.pool, inst, nil); err != nil || findings != nil {
		t.Errorf("Check of the database alone: %v\n%s", err, sayAll(findings))
	}
	weak, err := pglog.SelfCheck(t.Context(), e.pool)
	weak = slices.DeleteFunc(weak, func(w pglog.Weakness) bool { return w.Object == "audit.partition_width" })
	if err != nil || len(weak) > 0 {
		t.Errorf("SelfCheck: %v, %v", weak, err)
	}
	e.wantBelowWindow()
	// The detached tables keep their rows and fences.
	for _, sql := range []string{"delete from audit.entry_000000", "truncate audit.entry_000001", "drop table audit.entry_000002"} {
		conn, err := pgx.Connect(t.Context(), e.db.Admin)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := conn.Exec(t.Context(), sql); !isRefused(err) {
			t.Errorf("%s: %v, want a refusal", sql, err)
		}
		_ = conn.Close(t.Context())
	}
	e.growOn(60)
	if findings := e.check(); findings != nil {
		t.Errorf("Check later: %s", sayAll(findings))
	}
	// A partition above the bound that is gone is tampering, and so is a detached body whose stored copy is gone.
	e.admin("alter table audit.entry detach partition audit.entry_000003")
	e.wantFinding(pglog.Finding{Table: "audit.entry", Code: pglog.FoundMissing, ID: 201, Index: 200}, false)
	if weak, err := pglog.SelfCheck(t.Context(), e.pool); err != nil || !slices.ContainsFunc(weak, func(w pglog.Weakness) bool { return w.Object == "audit.entry_000003" }) {
		t.Errorf("SelfCheck: %v, %v", weak, err)
	}
	if err := e.store.Remove(t.Context(), audit.EntriesPath(0, 0)); err != nil {
		t.Fatal(err)
	}
	e.wantFinding(pglog.Finding{Table: "published", Code: pglog.FoundMissing, ID: 8, Index: 7}, false)
}

// wantBelowWindow reads entries below and above the window, with and without the stored copy.
func (e *env) wantBelowWindow() {
	t := e.t
	t.Helper()
	bare, err := pglog.New(context.Background(), pglog.Config{Pool: e.pool, Institution: inst})
	if err != nil {
		t.Fatal(err)
	}
	full, err := pglog.New(context.Background(), pglog.Config{Pool: e.pool, Institution: inst, Stored: e.stored})
	if err != nil {
		t.Fatal(err)
	}
	ctx := context.Background()
	if x, err := bare.Entry(ctx, 8); err != nil || x.State != pglog.StateRetained || x.Index != 7 || x.Body != nil {
		t.Errorf("entry 8 without the store: %s index %d, %v", x.State, x.Index, err)
	}
	x, err := full.Entry(ctx, 8)
	if _, bad := audit.ParseBody(x.Body); err != nil || bad != nil || x.State != pglog.StateSequenced {
		t.Errorf("entry 8 with the store: %s, %v, %v", x.State, err, bad)
	}
	for _, l := range []*pglog.Log{bare, full} {
		if trail, err := l.Trail(ctx, "complaint:3", 500); err != nil || len(trail) != 40 {
			t.Errorf("a trail over the bound has %d entries, %v; want 40", len(trail), err)
		}
	}
	lying, err := pglog.New(ctx, pglog.Config{Pool: e.pool, Institution: inst, Stored: func(ctx context.Context, year int, _ uint64) ([]byte, error) { return e.stored(ctx, year, 9) }})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := lying.Entry(ctx, 8); !errors.Is(err, pglog.ErrTampered) {
		t.Errorf("another stored entry was taken: %v", err)
	}
	err = pglog.NewTree(e.pool, shard).Leaves(ctx, 100, 200, func(pglog.LeafRow) error { return nil })
	if !errors.Is(err, pglog.ErrRetained) {
		t.Errorf("Leaves below the window: %v", err)
	}
}

// Nothing leaves before its copy is verified, its bound logged and both signed; the service's role cannot say otherwise.
func TestHotWindowStaysWhileAnythingIsMissing(t *testing.T) {
	t.Parallel()
	e := narrowEnv(t)
	e.growOn(300)
	if _, err := e.retain(400); !errors.Is(err, pglog.ErrNotStored) {
		t.Errorf("more than is stored: %v", err)
	}
	harmed := errors.New("harmed")
	if _, err := pglog.Retain(t.Context(), e.pool, shard, 100, func(context.Context) (uint64, error) { return 0, harmed }); !errors.Is(err, harmed) {
		t.Errorf("a copy that does not verify: %v", err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 500*time.Millisecond)
	defer cancel()
	if w, err := pglog.Retain(ctx, e.pool, shard, 100, e.verified); !errors.Is(err, pglog.ErrUnavailable) || w.Detached != nil {
		t.Errorf("nobody signs: %+v, %v", w, err)
	}
	e.grow(0) // the bound has its place in the log now, and still nobody has signed it
	var id int64
	if err := e.pool.QueryRow(t.Context(), "select max(entry_id) from audit.leaf").Scan(&id); err != nil {
		t.Fatal(err)
	}
	if _, err := e.pool.Exec(t.Context(), "select audit.retain('demo-bank', 2026, 100, $1)", id); err == nil || !strings.Contains(err.Error(), "55000") {
		t.Errorf("a bound that is not signed: %v", err)
	}
	for _, sql := range []string{
		"select audit.retain('demo-bank', 2026, 100, 7)",   // an entry that says nothing of the kind
		"select audit.retain('demo-bank', 2026, 400, 301)", // beyond the signed log
		"select audit.retain('demo-bank', 2025, 1, 301)",   // no such log
		"insert into audit.retained values ('demo-bank', 2026, 300, 1, 300, 2026, 300)",
		"select audit.drop_detached('entry_000000')",
		"alter table audit.entry detach partition audit.entry_000000",
	} {
		if _, err := e.pool.Exec(t.Context(), sql); err == nil {
			t.Errorf("%s: allowed", sql)
		}
	}
	var gone []string
	if err := e.pool.QueryRow(t.Context(), "select audit.detach_entries()").Scan(&gone); err != nil || len(gone) > 0 {
		t.Errorf("detached without a bound: %v, %v", gone, err)
	}
	// A bound that a superuser writes past the log is named, and excuses nothing.
	e.admin("insert into audit.retained values ('demo-bank', 2026, 128, 5, 129, 2026, 300)", "alter table audit.entry detach partition audit.entry_000000")
	e.wantFinding(pglog.Finding{Table: "audit.entry", Code: pglog.FoundMissing, ID: 8, Index: 7}, false)
	if f := e.check(); !slices.ContainsFunc(f, func(f pglog.Finding) bool { return f.Table == "audit.retained" && f.Code == pglog.FoundOrphan }) {
		t.Errorf("Check does not name the false bound:\n%s", sayAll(f))
	}
}

func isRefused(err error) bool {
	var pg *pgconn.PgError
	return errors.As(err, &pg) && pg.Code == "42501"
}
