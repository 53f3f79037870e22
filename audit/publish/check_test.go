package publish_test

import (
	"context"
	"fmt"
	"strings"
	"testing"

	"github.com/sealtrail/sealtrail/audit"
	"github.com/sealtrail/sealtrail/audit/pglog"
)

const flipBody = "update audit.entry set body = set_byte(body, 40, get_byte(body, 40) # 1) where id = "

// Each act of a superuser who pulled the fences down, and what Check must name. %d is the id of the entry at the index.
func TestCheckNamesWhatASuperuserChanged(t *testing.T) {
	t.Parallel()
	const published, size = 300, 310
	for _, test := range []struct {
		name  string
		index uint64
		sql   []string
		want  pglog.Finding // Table, Code, Index; ID is filled in
		only  bool          // nothing else may be named
	}{
		{name: "one byte of a published body", index: 123, sql: []string{flipBody + "%d"},
			want: pglog.Finding{Table: "audit.entry", Code: pglog.FoundChanged}, only: true},
		{name: "one byte of a body not yet published", index: 305, sql: []string{flipBody + "%d"},
			want: pglog.Finding{Table: "audit.entry", Code: pglog.FoundChanged}, only: true},
		{name: "subject moved to another trail", index: 20, sql: []string{"update audit.entry set subject = 'complaint:other' where id = %d"},
			want: pglog.Finding{Table: "audit.entry", Code: pglog.FoundChanged}},
		{name: "entry deleted", index: 256, sql: []string{"delete from audit.entry where id = %d"},
			want: pglog.Finding{Table: "audit.entry", Code: pglog.FoundMissing}, only: true},
		{name: "leaf deleted", index: 77, sql: []string{"delete from audit.leaf where entry_id = %d"},
			want: pglog.Finding{Table: "audit.leaf", Code: pglog.FoundMissing}},
		{name: "entry and leaf deleted", index: 77, sql: []string{"delete from audit.leaf where entry_id = %d", "delete from audit.entry where id = %[1]d"},
			want: pglog.Finding{Table: "audit.leaf", Code: pglog.FoundMissing}},
		{name: "last leaf deleted", index: 309, sql: []string{"delete from audit.leaf where entry_id = %d"},
			want: pglog.Finding{Table: "audit.leaf", Code: pglog.FoundMissing}},
		{name: "leaf's hash changed", index: 9, sql: []string{"update audit.leaf set hash = sha256('x') where entry_id = %d"},
			want: pglog.Finding{Table: "audit.leaf", Code: pglog.FoundChanged}},
		{name: "leaf's time changed", index: 9, sql: []string{"update audit.leaf set seq_at = seq_at - interval '1 day' where entry_id = %d"},
			want: pglog.Finding{Table: "audit.leaf", Code: pglog.FoundChanged}, only: true},
		{name: "leaf's trail changed", index: 50, sql: []string{"update audit.leaf set trail_n = trail_n + 1 where entry_id = %d"},
			want: pglog.Finding{Table: "audit.leaf", Code: pglog.FoundTrail}},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			e := newEnv(t)
			e.grow(published)
			if err := e.publisher().Publish(t.Context()); err != nil {
				t.Fatal(err)
			}
			e.grow(size - published)
			id := e.idAt(test.index)
			for _, sql := range test.sql {
				e.admin(fmt.Sprintf(sql, id))
			}
			test.want.ID, test.want.Index = id, test.index
			e.wantFinding(test.want, test.only)
		})
	}
}

// idAt is the entry id at an index.
func (e *env) idAt(index uint64) (id uint64) {
	e.t.Helper()
	if err := e.pool.QueryRow(context.Background(), "select entry_id from audit.leaf where idx = $1", int64(index)).Scan(&id); err != nil {
		e.t.Fatal(err)
	}
	return id
}

// wantFinding demands a finding with the table, code, id and index of want (id only where the row still tells it).
func (e *env) wantFinding(want pglog.Finding, only bool) {
	e.t.Helper()
	findings := e.check()
	for _, f := range findings {
		sameID := f.ID == want.ID || !f.HasID && f.Table == "audit.leaf"
		if f.Table == want.Table && f.Code == want.Code && f.HasIndex && f.Index == want.Index && sameID && (!only || len(findings) == 1) {
			return
		}
	}
	e.t.Errorf("Check does not say (only: %v) %s; it says:\n%s", only, want, sayAll(findings))
}

func sayAll(findings []pglog.Finding) string {
	var b strings.Builder
	for _, f := range findings {
		b.WriteString("  " + f.String() + "\n")
	}
	return b.String()
}

func TestCheckNamesWhatHasNoIndex(t *testing.T) {
	t.Parallel()
	for _, test := range []struct{ name, sql, table, code string }{
		{"entry hidden from the queue", "delete from audit.pending where id = %d", "audit.pending", pglog.FoundOrphan},
		{"queued entry deleted", "delete from audit.entry where id = %d", "audit.pending", pglog.FoundMissing},
		{"trail head set back", "update audit.trail set n = n - 1 where last_id = (select max(last_id) from audit.trail) and %d > 0", "audit.trail", pglog.FoundTrail},
		{"trail's state set back", "update audit.trail set revision = 1, state = sha256('x'), state_id = 1 where last_id = (select max(last_id) from audit.trail) and %d > 0", "audit.trail", pglog.FoundTrail},
		{"trail head deleted", "delete from audit.trail where last_id = (select max(last_id) from audit.trail) and %d > 0", "audit.trail", pglog.FoundMissing},
		{"tree set back", "update audit.tree set size = size - 1 where %d > 0", "audit.tree", pglog.FoundRoot},
		{"signed root changed", "update audit.checkpoint set root = sha256('x') where %d > 0", "audit.checkpoint", pglog.FoundRoot},
		{"opening of nothing", "insert into audit.opening (institution, entry_id, path, salt) values ('demo-bank', %d + 999, 'p', '')", "audit.opening", pglog.FoundOrphan},
		{"entry queued twice", "insert into audit.pending select institution, entry_id from audit.leaf where idx = 3 and %d > 0", "audit.pending", pglog.FoundTwice},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			e := newEnv(t)
			e.grow(20)
			if err := e.publisher().Publish(t.Context()); err != nil {
				t.Fatal(err)
			}
			r, err := e.log.Append(t.Context(), body("complaint:pending", 1))
			if err != nil {
				t.Fatal(err)
			}
			if findings := e.check(); findings != nil {
				t.Fatalf("before: %s", sayAll(findings))
			}
			e.admin(fmt.Sprintf(test.sql, r[0].EntryID()))
			findings := e.check()
			for _, f := range findings {
				if f.Table == test.table && f.Code == test.code {
					return
				}
			}
			t.Errorf("Check does not say %s %s; it says:\n%s", test.table, test.code, sayAll(findings))
		})
	}
}

// Truncating a partition bypasses the parent's triggers; with its own triggers off, every entry is named.
func TestCheckNamesEveryEntryOfATruncatedPartition(t *testing.T) {
	t.Parallel()
	e := newEnv(t)
	e.grow(5)
	if err := e.publisher().Publish(t.Context()); err != nil {
		t.Fatal(err)
	}
	e.admin("alter table audit.entry_000000 disable trigger all", "truncate audit.entry_000000")
	findings := e.check()
	if len(findings) != 5 {
		t.Fatalf("%d findings, want 5:\n%s", len(findings), sayAll(findings))
	}
	for i, f := range findings {
		if f.Table != "audit.entry" || f.Code != pglog.FoundMissing || f.Index != uint64(i) || !f.HasID {
			t.Errorf("finding %d is %s", i, f)
		}
	}
}

// The rich case: somebody with every right replaces an entry and re-computes leaf, tree and trail so that the database agrees
// with itself. Only the published folder tells.
func TestCheckNamesAConsistentRewriteOfTheDatabase(t *testing.T) {
	t.Parallel()
	e := newEnv(t)
	e.grow(6)
	if err := e.publisher().Publish(t.Context()); err != nil {
		t.Fatal(err)
	}
	e.admin("delete from audit.checkpoint", "delete from audit.leaf", "delete from audit.trail",
		"update audit.tree set size = 0, compact = '', root = sha256(''), epoch = 0",
		"update audit.entry set body = convert_to(replace(convert_from(body, 'UTF8'), 'R3', 'R4'), 'UTF8') where id = (select min(id) + 2 from audit.entry)",
		"insert into audit.pending select institution, id from audit.entry")
	e.grow(0)
	f := e.check()
	if len(f) == 0 || f[0].Table != "audit.entry" || f[0].Code != pglog.FoundChanged {
		t.Errorf("Check says:\n%s", sayAll(f))
	}
}

func TestCheckNamesPublishedFilesThatWereHarmed(t *testing.T) {
	t.Parallel()
	e := newEnv(t)
	e.grow(300)
	if err := e.publisher().Publish(t.Context()); err != nil {
		t.Fatal(err)
	}
	path := audit.EntriesPath(0, 0)
	raw, err := e.store.Get(t.Context(), path)
	if err != nil {
		t.Fatal(err)
	}
	entries, err := audit.DecodeBundle(raw)
	if err != nil {
		t.Fatal(err)
	}
	entries[7][60] ^= 1
	harmed, err := audit.EncodeBundle(entries)
	if err != nil {
		t.Fatal(err)
	}
	if err := e.store.Put(t.Context(), path, harmed); err != nil {
		t.Fatal(err)
	}
	e.wantFinding(pglog.Finding{Table: "published", Code: pglog.FoundChanged, ID: e.idAt(7), Index: 7}, true)
	if err := e.store.Remove(t.Context(), path); err != nil {
		t.Fatal(err)
	}
	if findings := e.check(); len(findings) != 256 || findings[0].Table != "published" || findings[0].Code != pglog.FoundMissing {
		t.Errorf("%d findings for a lost bundle, want 256", len(findings))
	}
}

func TestCheckSeesADatabaseBehindThePublishedLog(t *testing.T) {
	t.Parallel()
	e := newEnv(t)
	e.grow(9)
	if err := e.publisher().Publish(t.Context()); err != nil {
		t.Fatal(err)
	}
	restored := newEnv(t)
	restored.root = e.root
	restored.grow(4)
	findings := restored.check()
	for _, f := range findings {
		if f.Table == "audit.tree" && f.Code == pglog.FoundBehind && f.Index == 4 {
			return
		}
	}
	t.Errorf("Check says:\n%s", sayAll(findings))
}
