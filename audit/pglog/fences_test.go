package pglog_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/sealtrail/sealtrail/audit/pglog"
)

func TestFencesRefuseASuperuserWhoLeavesThemUp(t *testing.T) {
	t.Parallel()
	e := newEnv(t)
	e.append("complaint:1", 2)
	e.sequenceAll()
	if _, err := e.log.Alias(t.Context(), "h.lin"); err != nil {
		t.Fatal(err)
	}
	for _, sql := range []string{
		"update audit.alias set actor = 'x'",
		"set session_replication_role = replica; update audit.alias set alias = 'x'",
		"truncate audit.alias",
		"alter table audit.alias disable trigger refuse_change",
		"update audit.entry set subject = 'x'",
		"delete from audit.entry",
		"truncate audit.entry",
		"truncate audit.entry_000000",
		"update audit.leaf set trail_n = 9",
		"delete from audit.leaf_000000",
		"truncate audit.leaf_000000",
		"truncate audit.leaf, audit.pending cascade",
		"truncate audit.checkpoint",
		"set session_replication_role = replica; delete from audit.entry",
		"set session_replication_role = replica; drop table audit.entry",
		"drop table audit.entry",
		"drop table audit.entry_000001",
		"alter table audit.entry detach partition audit.entry_000000",
		"alter table audit.entry disable trigger all",
		"alter table audit.entry_000000 disable trigger refuse_truncate",
		"drop trigger refuse_change on audit.entry",
		"create or replace function audit.refuse_change() returns trigger language plpgsql as 'begin return new; end'",
		"drop function audit.append cascade",
		"drop schema audit cascade",
	} {
		if err := e.admin(sql); !isCode(err, "42501") {
			t.Errorf("%q: %v, want refusal 42501", sql, err)
		}
	}
	if findings, err := pglog.Check(t.Context(), e.pool, inst, nil); err != nil || findings != nil {
		t.Errorf("Check afterwards: %v, %v", findings, err)
	}
}

func TestAppRoleCanOnlyAppend(t *testing.T) {
	t.Parallel()
	e := newEnv(t)
	e.append("complaint:1", 1)
	for _, sql := range []string{
		"insert into audit.entry (institution, id, body, subject) values ('x', 1, 'xx', 's')",
		"update audit.entry set subject = 'x'",
		"delete from audit.entry",
		"truncate audit.entry",
		"delete from audit.pending",
		"insert into audit.leaf select * from audit.leaf",
		"update audit.tree set size = 0",
		"update audit.checkpoint set note = ''",
		"update audit.alias set actor = 'x'",
		"update audit.log set state = 'closed'",
		"select nextval('audit.entry_id')",
		"select setval('audit.entry_id', 1)",
		"select audit.ensure_partition('entry', 7)",
		"create table audit.mine (x int)",
		"set role audit_owner",
	} {
		if _, err := e.pool.Exec(t.Context(), sql); !isCode(err, "42501") {
			t.Errorf("%q as the service: %v, want permission denied", sql, err)
		}
	}
}

func TestSelfCheckFindsEveryPulledFence(t *testing.T) {
	t.Parallel()
	e := newEnv(t)
	if weak, err := pglog.SelfCheck(t.Context(), e.pool); err != nil || weak != nil {
		t.Fatalf("a fresh database is weak: %v, %v", weak, err)
	}
	const unfence = "set local audit.migration = 'on'"
	for _, test := range []struct{ name, do, undo, code, object string }{
		{"trigger off", "alter table audit.entry disable trigger refuse_change", "alter table audit.entry enable always trigger refuse_change", pglog.WeakFence, "audit.entry_000000"},
		{"trigger not always", "alter table audit.leaf enable trigger refuse_change", "alter table audit.leaf enable always trigger refuse_change", pglog.WeakFence, "audit.leaf"},
		{"partition can be truncated", "alter table audit.leaf_000000 disable trigger refuse_truncate", "alter table audit.leaf_000000 enable always trigger refuse_truncate", pglog.WeakFence, "audit.leaf_000000"},
		{"aliases can be changed", "alter table audit.alias disable trigger refuse_change", "alter table audit.alias enable always trigger refuse_change", pglog.WeakFence, "audit.alias"},
		{"event trigger off", "alter event trigger audit_refuse_drop disable", "alter event trigger audit_refuse_drop enable always", pglog.WeakFence, "audit_refuse_drop"},
		{"right granted", "grant delete on audit.leaf to sealtrail_app", "revoke delete on audit.leaf from sealtrail_app", pglog.WeakRight, "audit.leaf"},
		{"right on a partition", "grant insert on audit.entry_000001 to public", "revoke insert on audit.entry_000001 from public", pglog.WeakRight, "audit.entry_000001"},
		{"hollow fence", "alter function audit.refuse_change() rename to refuse_change_; create function audit.refuse_change() returns trigger language plpgsql as 'begin return new; end'",
			"drop function audit.refuse_change(); alter function audit.refuse_change_() rename to refuse_change", pglog.WeakFunction, "audit.refuse_change"},
		{"hollow event trigger", "alter function audit_fence.refuse_ddl() rename to kept; create function audit_fence.refuse_ddl() returns event_trigger language plpgsql as 'begin end'",
			"drop function audit_fence.refuse_ddl(); alter function audit_fence.kept() rename to refuse_ddl", pglog.WeakFunction, "audit_fence.refuse_ddl"},
		{"function of an earlier migration", earlierReserve, laterReserve, pglog.WeakFunction, "audit.reserve_checkpoint"},
		{"other owner", "alter function audit.append(text, bytea[], text[]) owner to sealtrail_app", "alter function audit.append(text, bytea[], text[]) owner to audit_owner", pglog.WeakFunction, "append"},
		{"asynchronous commit", fmt.Sprintf("alter role sealtrail_app in database %s set synchronous_commit = off", e.db.Name),
			fmt.Sprintf("alter role sealtrail_app in database %s reset synchronous_commit", e.db.Name), pglog.WeakSetting, "synchronous_commit"},
	} {
		if err := e.admin(unfence, test.do); err != nil {
			t.Fatalf("%s: %v", test.name, err)
		}
		weak, err := pglog.SelfCheck(t.Context(), connect(t, e.db.App))
		if err != nil || !slices.ContainsFunc(weak, func(w pglog.Weakness) bool { return w.Code == test.code && w.Object == test.object }) {
			t.Errorf("%s: %v, %v; want %s %s", test.name, weak, err, test.code, test.object)
		}
		if err := e.admin(unfence, test.undo); err != nil {
			t.Fatalf("%s: undoing: %v", test.name, err)
		}
	}
	if weak, err := pglog.SelfCheck(t.Context(), connect(t, e.db.App)); err != nil || weak != nil {
		t.Fatalf("after undoing: %v, %v", weak, err)
	}
}

// What the first migration gave reserve_checkpoint, cut short, and how to put the present one back: by name, it is kept.
const (
	earlierReserve = `alter function audit.reserve_checkpoint(text, integer, bigint, bytea) rename to kept;
		create function audit.reserve_checkpoint(p_institution text, p_year integer, p_size bigint, p_root bytea) returns bytea
		language plpgsql security definer set search_path = pg_catalog, pg_temp as $$
declare
    c audit.checkpoint;
begin
    insert into audit.checkpoint (institution, year, size, root) values (p_institution, p_year, p_size, p_root)
    on conflict (institution, year, size) do nothing;
    select * into strict c from audit.checkpoint k where k.institution = p_institution and k.year = p_year and k.size = p_size;
    if c.root <> p_root then
        raise exception 'audit: another root is reserved at size %', p_size using errcode = '23505';
    end if;
    return c.note;
end
$$`
	laterReserve = `drop function audit.reserve_checkpoint(text, integer, bigint, bytea);
		alter function audit.kept(text, integer, bigint, bytea) rename to reserve_checkpoint`
)

// An alias that a superuser gives to another actor behind the fence is named; one that was erased is not.
func TestCheckNamesAnAliasGivenToAnother(t *testing.T) {
	t.Parallel()
	e := newEnv(t)
	var aliases []string
	for _, actor := range []string{"h.lin", "h.wu", "h.xu"} {
		alias, err := e.log.Alias(t.Context(), actor)
		if err != nil {
			t.Fatal(err)
		}
		aliases = append(aliases, alias)
	}
	// One made before there were salts says nothing, for or against.
	if err := e.admin("insert into audit.alias (institution, year, alias, actor) values ('demo-bank', 2025, 'a-7q2m3kd5x4w6t7u2', 'h.old')"); err != nil {
		t.Fatal(err)
	}
	if findings, err := pglog.Check(t.Context(), e.pool, inst, nil); err != nil || findings != nil {
		t.Fatalf("Check before: %v, %v", findings, err)
	}
	forge := func(change string) error {
		return e.admin("set local audit.migration = 'on'", "alter table audit.alias disable trigger refuse_change",
			change, "alter table audit.alias enable always trigger refuse_change")
	}
	for _, change := range []string{
		fmt.Sprintf("update audit.alias set actor = 'h.other' where alias = '%s'", aliases[0]),
		fmt.Sprintf("update audit.alias set actor = 'h.more', salt = null where alias = '%s'", aliases[1]),
		fmt.Sprintf("delete from audit.alias where alias = '%s'", aliases[2]),
	} {
		if err := forge(change); err != nil {
			t.Fatal(err)
		}
	}
	findings, err := pglog.Check(t.Context(), e.pool, inst, nil)
	if err != nil || len(findings) != 2 {
		t.Fatalf("Check: %v, %v; want two", findings, err)
	}
	for _, f := range findings {
		if f.Table != "audit.alias" || f.Code != pglog.FoundChanged || !strings.Contains(f.Detail, aliases[0]) && !strings.Contains(f.Detail, aliases[1]) {
			t.Errorf("finding %v", f)
		}
	}
	// Erasing needs no forging: the fence lets one row go.
	if err := e.admin(fmt.Sprintf("delete from audit.alias where alias = '%s'", aliases[0])); err != nil {
		t.Errorf("erasing an alias: %v", err)
	}
}

func TestSelfCheckRefusesASuperuser(t *testing.T) {
	t.Parallel()
	e := newEnv(t)
	weak, err := pglog.SelfCheck(t.Context(), connect(t, e.db.Admin))
	if err != nil || len(weak) == 0 || weak[0].Code != pglog.WeakRole || !strings.Contains(weak[0].String(), "superuser") {
		t.Errorf("SelfCheck as superuser: %v, %v", weak, err)
	}
}

func TestAppendCommitsSynchronouslyWhateverTheSessionSays(t *testing.T) {
	t.Parallel()
	e := newEnv(t)
	conn, err := e.pool.Acquire(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Release()
	tx, err := conn.Begin(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = tx.Rollback(t.Context()) }()
	if _, err := tx.Exec(t.Context(), "set local synchronous_commit = off"); err != nil {
		t.Fatal(err)
	}
	if _, err := e.log.AppendTx(t.Context(), tx, body("complaint:1", 1)); err != nil {
		t.Fatal(err)
	}
	var got string
	if err := tx.QueryRow(t.Context(), "show synchronous_commit").Scan(&got); err != nil || got != "on" {
		t.Errorf("synchronous_commit at commit = %q, %v; want on", got, err)
	}
}
