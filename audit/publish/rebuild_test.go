package publish_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/sealtrail/sealtrail/audit"
	"github.com/sealtrail/sealtrail/audit/pglog"
	"github.com/sealtrail/sealtrail/audit/publish"
	"github.com/sealtrail/sealtrail/audit/verify"
	"github.com/sealtrail/sealtrail/internal/pgtest"
)

// logTables are what a base backup of schema audit would bring back.
var logTables = []string{"entry", "pending", "log", "tree", "leaf", "trail", "checkpoint"}

// snapshot keeps the log as it is now; putBack brings it back, as a restored base backup does.
func (e *env) snapshot() {
	e.t.Helper()
	var statements []string
	for _, table := range logTables {
		statements = append(statements, "create table public.old_"+table+" as table audit."+table)
	}
	e.admin(append(statements, "create table public.old_id as select last_value from audit.entry_id")...)
}

func (e *env) putBack() {
	e.t.Helper()
	statements := []string{"delete from audit.publisher"}
	for i := range logTables {
		statements = append(statements, "delete from audit."+logTables[len(logTables)-1-i])
	}
	// The head's row goes with the log's: foreign keys.
	statements[len(statements)-4], statements[len(statements)-5] = statements[len(statements)-5], statements[len(statements)-4]
	for _, table := range logTables {
		statements = append(statements, "insert into audit."+table+" select * from public.old_"+table)
	}
	e.admin(append(statements, "select setval('audit.entry_id', (select last_value from public.old_id))")...)
}

// rebuild does what sealtraild trail rebuild does.
func (e *env) rebuild(opts verify.Options) (*pglog.Rebuilt, error) {
	e.t.Helper()
	conn, err := pgx.Connect(context.Background(), e.db.Admin)
	if err != nil {
		e.t.Fatal(err)
	}
	defer func() { _ = conn.Close(context.Background()) }()
	opts.VerifierKey = e.signer.vkey
	rebuilt, _, err := publish.Rebuild(context.Background(), pglog.RebuildConfig{Conn: conn, Institution: inst, Published: os.DirFS(e.root), Operator: "operator"}, opts)
	return rebuilt, err
}

// contents are all rows of the log but times of insertion and numbers that only count work.
func (e *env) contents() map[string][]string {
	e.t.Helper()
	out := map[string][]string{}
	for table, columns := range map[string]string{
		"entry": "institution, id, body, subject", "leaf": "*", "log": "institution, year, origin, state", "trail": "*", "pending": "*",
		"tree": "institution, year, size, compact, root, last_seq_at", "checkpoint": "institution, year, size, root, note",
	} {
		rows, err := e.pool.Query(context.Background(), fmt.Sprintf("select t::text from (select %s from audit.%s) t order by 1", columns, table))
		if err != nil {
			e.t.Fatal(err)
		}
		if out[table], err = pgx.CollectRows(rows, pgx.RowTo[string]); err != nil {
			e.t.Fatal(err)
		}
	}
	return out
}

// withoutRebuilt drops the entries that a rebuild itself writes.
func withoutRebuilt(t *testing.T, e *env, contents map[string][]string) map[string][]string {
	t.Helper()
	var ids []string
	rows, err := e.pool.Query(t.Context(), "select id::text from audit.entry where convert_from(body, 'UTF8') like '%\"kind\":\"trail.rebuilt\"%'")
	if err == nil {
		ids, err = pgx.CollectRows(rows, pgx.RowTo[string])
	}
	if err != nil || len(ids) == 0 {
		t.Fatalf("entries trail.rebuilt: %v, %v", ids, err)
	}
	for _, table := range []string{"entry", "pending"} {
		contents[table] = slices.DeleteFunc(contents[table], func(row string) bool {
			return slices.ContainsFunc(ids, func(id string) bool { return strings.HasPrefix(row, "("+inst+","+id) })
		})
	}
	return contents
}

// TestAnOlderDatabaseIsRebuilt puts a database back to an older state, in which some entries that are published today were still
// pending, and brings it to today's with what was published. Row by row it is the database that was lost.
func TestAnOlderDatabaseIsRebuilt(t *testing.T) {
	t.Parallel()
	e := newEnv(t)
	w := newWitness(t, t.TempDir(), e.signer.vkey)
	e.grow(300)
	if err := e.publisher(w.client(t)).Publish(t.Context()); err != nil {
		t.Fatal(err)
	}
	if _, err := e.log.Append(t.Context(), bodies(5, 300)...); err != nil { // pending in the backup, published later
		t.Fatal(err)
	}
	e.snapshot()
	for range 3 {
		e.grow(150)
		if err := e.publisher(w.client(t)).Publish(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	pinned, err := e.store.Get(t.Context(), audit.CheckpointPath)
	if err != nil {
		t.Fatal(err)
	}
	want := e.contents()
	e.putBack()
	if _, err := e.compare(e.signer.vkey); !errors.Is(err, publish.ErrBehind) {
		t.Fatalf("the older database: %v, want ErrBehind", err)
	}
	rebuilt, err := e.rebuild(verify.Options{Pinned: [][]byte{pinned}, Witnesses: []string{w.VerifierKey()}})
	if err != nil {
		t.Fatal(err)
	}
	if l := rebuilt.Logs; len(l) != 1 || l[0].Had != 300 || l[0].Size != 755 || l[0].Added != 450 || rebuilt.Claimed != 5 || rebuilt.Waiting != 0 || rebuilt.Findings != nil {
		t.Errorf("Rebuild = %+v", rebuilt)
	}
	if diff := cmp.Diff(want, withoutRebuilt(t, e, e.contents()), cmpopts.EquateEmpty()); diff != "" {
		t.Errorf("the database is not the one that was lost (-lost +rebuilt):\n%s", diff)
	}
	if c, err := e.compare(e.signer.vkey, w.client(t)); err != nil || c.Size != 755 || c.Witnesses != 1 {
		t.Errorf("compared again: %+v, %v", c, err)
	}
	again, err := e.rebuild(verify.Options{})
	if err != nil || again.Logs != nil {
		t.Errorf("a second time there is nothing to do: %+v, %v", again, err)
	}
	r, err := e.log.Append(t.Context(), bodies(1, 0)...)
	if err != nil || r[0].EntryID() <= rebuilt.SkipTo {
		t.Errorf("a new entry has an id that may have been given before: %v, %v", r, err)
	}
	e.grow(300)
	if err := e.publisher(w.client(t)).Publish(t.Context()); err != nil {
		t.Fatal(err)
	}
	e.wantClean(755+1+1+300, pinned)
	e.wantCosigned(w, 755+1+1+300)
}

// TestAnEmptyDatabaseIsRebuilt has nothing but what migrations make.
func TestAnEmptyDatabaseIsRebuilt(t *testing.T) {
	t.Parallel()
	e := newEnv(t)
	e.grow(300)
	if err := e.publisher().Publish(t.Context()); err != nil {
		t.Fatal(err)
	}
	want := e.contents()
	empty := &env{t: t, db: pgtest.New(t, "audit", pglog.Migrate), root: e.root, store: e.store, signer: e.signer, alarms: e.alarms}
	rebuilt, err := empty.rebuild(verify.Options{})
	if err != nil || len(rebuilt.Logs) != 1 || rebuilt.Logs[0].Added != 300 {
		t.Fatalf("Rebuild = %+v, %v", rebuilt, err)
	}
	if empty.pool, err = pgxpool.New(t.Context(), empty.db.App); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(empty.pool.Close)
	if diff := cmp.Diff(want, withoutRebuilt(t, empty, empty.contents()), cmpopts.EquateEmpty()); diff != "" {
		t.Errorf("the database is not the one that was lost (-lost +rebuilt):\n%s", diff)
	}
	empty.connect()
	if weak, err := pglog.SelfCheck(t.Context(), empty.pool); err != nil || weak != nil {
		t.Errorf("fences after a rebuild: %v, %v", weak, err)
	}
	empty.grow(3)
	if err := empty.publisher().Publish(t.Context()); err != nil {
		t.Fatal(err)
	}
	empty.wantClean(304)
}

// TestWhatIsPendingStaysPending: entries that only this database has are kept and named.
func TestWhatIsPendingStaysPending(t *testing.T) {
	t.Parallel()
	e := newEnv(t)
	e.grow(10)
	e.snapshot()
	e.grow(10)
	if err := e.publisher().Publish(t.Context()); err != nil {
		t.Fatal(err)
	}
	e.putBack()
	e.admin("select setval('audit.entry_id', 5000)")
	r, err := e.log.Append(t.Context(), bodies(2, 0)...)
	if err != nil {
		t.Fatal(err)
	}
	rebuilt, err := e.rebuild(verify.Options{})
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([]uint64{r[0].EntryID(), r[1].EntryID()}, rebuilt.Pending); diff != "" || rebuilt.Waiting != 2 {
		t.Errorf("Rebuild = %+v\n%s", rebuilt, diff)
	}
	e.grow(1)
	if err := e.publisher().Publish(t.Context()); err != nil {
		t.Fatal(err)
	}
	e.wantClean(20 + 2 + 1 + 1)
}

// TestARebuildThatWouldChangeSomethingIsRefused: what the database has and the published log contradicts is named, and so is a
// folder that does not verify. Nothing is changed.
func TestARebuildThatWouldChangeSomethingIsRefused(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		harm func(e *env)
		opts func(e *env) verify.Options
		want error
		says string
	}{
		"the older database grew on": {harm: func(e *env) { e.grow(4) }, want: pglog.ErrContradicted, says: "8 places"},
		"an id was given again": {harm: func(e *env) {
			if _, err := e.log.Append(context.Background(), bodies(1, 77)...); err != nil {
				e.t.Error(err)
			}
		}, want: pglog.ErrContradicted, says: "audit.entry"},
		"an entry was changed": {harm: func(e *env) { e.admin(fmt.Sprintf(flipBody+"%d", e.idAt(3))) }, want: pglog.ErrContradicted, says: "audit.entry"},
		"an entry was removed": {harm: func(e *env) {
			e.admin(fmt.Sprintf("insert into audit.leaf select institution, year, 10, 9999, hash, seq_at, trail_n, prev, prev_id from audit.leaf where entry_id = %d", e.idAt(3)))
		}, want: pglog.ErrContradicted, says: "is gone"},
		"another root is reserved": {harm: func(e *env) { e.admin("insert into audit.checkpoint values ('" + inst + "', 2026, 20, sha256('x'))") },
			want: pglog.ErrContradicted, says: "audit.checkpoint"},
		"a published byte was flipped": {harm: func(e *env) {
			if err := flip(e, audit.EntriesPath(0, 20)); err != nil {
				e.t.Error(err)
			}
		}, want: publish.ErrUnverified},
		"the folder is older than a kept checkpoint": {opts: func(e *env) verify.Options {
			return verify.Options{Pinned: [][]byte{e.signer.signed(e.t, 21, [32]byte{1})}}
		}, want: publish.ErrUnverified, says: "log_shorter"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			e := newEnv(t)
			e.grow(10)
			e.snapshot()
			e.grow(10)
			if err := e.publisher().Publish(t.Context()); err != nil {
				t.Fatal(err)
			}
			e.putBack()
			if test.harm != nil {
				test.harm(e)
			}
			before := e.contents()
			opts := verify.Options{}
			if test.opts != nil {
				opts = test.opts(e)
			}
			if rebuilt, err := e.rebuild(opts); !errors.Is(err, test.want) || !strings.Contains(err.Error(), test.says) {
				t.Errorf("Rebuild = %+v, %v; want %v that names %s", rebuilt, err, test.want, test.says)
			}
			if diff := cmp.Diff(before, e.contents()); diff != "" {
				t.Errorf("something was changed:\n%s", diff)
			}
		})
	}
}
