package pglog

import (
	"context"
	"fmt"
	"strings"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
)

// Weakness is one reason why this database or this role does not keep what the log promises. Object names a setting, role,
// table, trigger or function; Code is stable.
type Weakness struct {
	Code   string
	Object string
	Detail string
}

// Codes of a Weakness.
const (
	WeakSetting   = "setting"   // fsync, full_page_writes or synchronous_commit would let an acknowledged entry be lost
	WeakStandby   = "standby"   // connected to a standby
	WeakRole      = "role"      // the connected role is a superuser, an owner, or may act as one
	WeakRight     = "right"     // the connected role may write a table that it must not write
	WeakFence     = "fence"     // a trigger or event trigger is missing, off or points elsewhere
	WeakPartition = "partition" // a partition is missing, detached, attached by hand or not ahead, or a table is not the log's
	WeakFunction  = "function"  // a function of the log has another owner or body than the migration gave it
)

// String is "code object: detail".
func (w Weakness) String() string { return w.Code + " " + w.Object + ": " + w.Detail }

// SelfCheck asks PostgreSQL, over a connection of pool, whether the fences stand and the settings keep what is acknowledged. No
// weakness is a nil slice. The service refuses to start on any, and repeats the check: a fence can be pulled down later.
// The error wraps [ErrUnavailable].
func SelfCheck(ctx context.Context, pool *pgxpool.Pool) ([]Weakness, error) {
	ctx, cancel := context.WithTimeout(ctx, DefaultDeadline)
	defer cancel()
	var found []Weakness
	for _, query := range []string{weakSettings, weakRole, weakRights, weakTriggers, weakEventTriggers, weakFunctions} {
		rows, err := pool.Query(ctx, query)
		if err != nil {
			return nil, unavailable("checking the fences", err)
		}
		list, err := pgx.CollectRows(rows, pgx.RowToStructByPos[Weakness])
		if err != nil {
			return nil, unavailable("checking the fences", err)
		}
		found = append(found, list...)
	}
	for _, look := range []func(context.Context, *pgxpool.Pool) ([]Weakness, error){weakPartitions, changedFences} {
		list, err := look(ctx, pool)
		if err != nil {
			return nil, err
		}
		found = append(found, list...)
	}
	return found, nil
}

const weakSettings = `
select 'setting', name, 'is ' || setting from pg_settings
where (name in ('fsync', 'full_page_writes') and setting <> 'on')
   or (name = 'synchronous_commit' and setting in ('off', 'local', 'remote_write')) -- a commit must have reached the standby's disk before it is acknowledged
   or (name = 'statement_timeout' and setting <> '0') -- ends the wait for the standby, and PostgreSQL then calls the commit a success
union all
select 'standby', 'server', 'is in recovery' where pg_is_in_recovery()`

const weakRole = `
select 'role', r.rolname::text, 'is superuser, bypasses row security, or creates roles or databases'
from pg_roles r where r.rolname = current_user and (r.rolsuper or r.rolbypassrls or r.rolcreaterole or r.rolcreatedb or r.rolreplication)
union all
select 'role', o.rolname::text, 'can be acted as by ' || current_user
from pg_roles o where pg_has_role(current_user, o.oid, 'member')
  and o.rolname in ('audit_owner', 'pg_write_all_data', 'pg_write_server_files', 'pg_execute_server_program')
  and not exists (select from pg_roles r where r.rolname = current_user and r.rolsuper)
union all
select 'role', 'audit_owner', 'can log in' from pg_roles where rolname = 'audit_owner' and (rolcanlogin or rolsuper)
union all
select 'role', 'audit.' || c.relname, 'is owned by ' || pg_get_userbyid(c.relowner)
from pg_class c where c.relnamespace = 'audit'::regnamespace and c.relkind in ('r', 'p', 'S')
  and c.relname not like 'migration%' and pg_get_userbyid(c.relowner) <> 'audit_owner'`

const weakRights = `
select 'right', 'audit.' || c.relname, current_user || ' may ' || p.privilege
from pg_class c
cross join (values ('insert'), ('update'), ('delete'), ('truncate'), ('trigger')) as p (privilege)
where c.relnamespace = 'audit'::regnamespace and c.relkind in ('r', 'p')
  and not (c.relname in ('alias', 'opening') and p.privilege = 'insert')
  and not (c.relname = 'opening' and p.privilege = 'delete')
  and has_table_privilege(current_user, c.oid, p.privilege)
  and not exists (select from pg_roles r where r.rolname = current_user and r.rolsuper) -- said once, as a role
union all
select 'right', 'schema audit', current_user || ' may create in it' where has_schema_privilege(current_user, 'audit', 'create')
union all
select 'right', 'audit.entry_id', current_user || ' may set it' where has_sequence_privilege(current_user, 'audit.entry_id', 'update')`

// tgtype: 2 = before, 8 = delete, 16 = update, 32 = truncate, 1 = for each row.
const weakTriggers = `
with guarded as (
	select c.oid, c.relname, true as rows from pg_class c
	where c.oid in ('audit.entry'::regclass, 'audit.leaf'::regclass, 'audit.retained'::regclass)
	   or c.relnamespace = 'audit'::regnamespace and c.relname ~ '^entry_\d+$' and c.relkind = 'r'
	   or c.oid in (select inhrelid from pg_inherits where inhparent in ('audit.entry'::regclass, 'audit.leaf'::regclass))
	union all
	select c.oid, c.relname, false from pg_class c
	where c.oid in ('audit.pending'::regclass, 'audit.tree'::regclass, 'audit.trail'::regclass, 'audit.checkpoint'::regclass, 'audit.alias'::regclass, 'audit.publisher'::regclass)
), wanted as (
	select g.oid, g.relname, w.name, w.kind from guarded g
	cross join (values ('refuse_change', 27), ('refuse_truncate', 34)) as w (name, kind)
	where g.rows or w.name = 'refuse_truncate'
	union all -- an alias can be erased, not changed
	select c.oid, c.relname, 'refuse_change', 19 from pg_class c where c.oid = 'audit.alias'::regclass
)
select 'fence', 'audit.' || w.relname, 'trigger ' || w.name || ' is missing, changed or not enabled always'
from wanted w
where not exists (
	select from pg_trigger t where t.tgrelid = w.oid and t.tgname = w.name and t.tgenabled = 'A' and t.tgtype = w.kind
	  and t.tgfoid = 'audit.refuse_change()'::regprocedure and t.tgqual is null)`

const weakEventTriggers = `
select 'fence', w.name, 'event trigger is missing, changed or not enabled always'
from (values ('audit_refuse_ddl', 'ddl_command_end', 'audit_fence.refuse_ddl()'), ('audit_refuse_drop', 'sql_drop', 'audit_fence.refuse_drop()')) as w (name, event, fn)
where not exists (
	select from pg_event_trigger e where e.evtname = w.name and e.evtevent = w.event and e.evtenabled = 'A'
	  and e.evttags is null and e.evtfoid = to_regprocedure(w.fn))`

const weakFunctions = `
select 'function', w.name, 'is missing, not owned by audit_owner or not security definer'
from (values ('append'), ('take'), ('sequence'), ('ensure_partitions'), ('ensure_log'), ('reserve_checkpoint'), ('record_checkpoint'), ('lead'), ('index_terms'), ('index_reset'), ('erase_aliases'), ('retain'), ('detach_entries'), ('drop_detached')) as w (name)
where not exists (
	select from pg_proc p where p.pronamespace = 'audit'::regnamespace and p.proname = w.name
	  and p.prosecdef and pg_get_userbyid(p.proowner) = 'audit_owner')`

// changedFences compares the source of every function of the schema with what the last migration that makes it says: a fence
// replaced by a function that does nothing still looks like a fence from outside.
func changedFences(ctx context.Context, pool *pgxpool.Pool) ([]Weakness, error) {
	text, err := migrationText()
	if err != nil {
		return nil, err
	}
	rows, err := pool.Query(ctx, `
		select pronamespace::regnamespace || '.' || proname, prosrc from pg_proc
		where pronamespace in ('audit'::regnamespace, to_regnamespace('audit_fence')) order by 1`)
	if err != nil {
		return nil, unavailable("checking the fences", err)
	}
	var found []Weakness
	var name, source string
	_, err = pgx.ForEachRow(rows, []any{&name, &source}, func() error {
		if want, ok := sourceOf(text, name); !ok || source != want {
			found = append(found, Weakness{WeakFunction, name, "has another body than the migrations give it"})
		}
		return nil
	})
	if err != nil {
		return nil, unavailable("checking the fences", err)
	}
	return found, nil
}

// sourceOf returns the body of a function as the last of the migrations that makes it gives it.
func sourceOf(text, name string) (string, bool) {
	at := max(strings.LastIndex(text, "create function "+name+"("), strings.LastIndex(text, "create or replace function "+name+"("))
	if at < 0 {
		return "", false
	}
	_, rest, _ := strings.Cut(text[at:], "$$")
	source, _, ok := strings.Cut(rest, "$$")
	return source, ok
}

// migrationText is all migrations in one string.
func migrationText() (string, error) {
	files, err := migrations.ReadDir("migrations")
	if err != nil {
		return "", fmt.Errorf("reading embedded migrations: %w", err)
	}
	var b strings.Builder
	for _, f := range files {
		text, err := migrations.ReadFile("migrations/" + f.Name())
		if err != nil {
			return "", fmt.Errorf("reading embedded migrations: %w", err)
		}
		b.Write(text)
	}
	return b.String(), nil
}
