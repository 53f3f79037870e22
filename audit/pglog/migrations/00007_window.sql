-- The hot window: partitions of audit.entry whose bodies are published, verified and logged as such can be detached. Leaves stay.

-- +goose Up
set local role audit_owner;

-- +goose StatementBegin
create function audit.partition_width() returns bigint
language sql immutable set search_path = pg_catalog, pg_temp as $$ select 16777216::bigint $$;
-- +goose StatementEnd
comment on function audit.partition_width() is 'Rows to a partition of entry and leaf: 2^24. Tests make it smaller.';

-- +goose StatementBegin
create or replace function audit.ensure_partition(p_parent text, p_n bigint) returns void
language plpgsql set search_path = pg_catalog, pg_temp as $$
declare
    child text := format('%s_%s', p_parent, lpad(p_n::text, 6, '0'));
    width constant bigint := audit.partition_width();
begin
    if to_regclass('audit.' || quote_ident(child)) is not null then
        return;
    end if;
    execute format('create table audit.%I partition of audit.%I for values from (%s) to (%s)',
        child, p_parent, p_n * width, (p_n + 1) * width);
    execute format('create trigger refuse_truncate before truncate on audit.%I for each statement execute function audit.refuse_change()', child);
    execute format('alter table audit.%I enable always trigger refuse_truncate', child);
    execute format('alter table audit.%I enable always trigger refuse_change', child);
end
$$;

create or replace function audit.ensure_partitions() returns void
language plpgsql security definer set search_path = pg_catalog, pg_temp as $$
declare
    e bigint := (select last_value from audit.entry_id) / audit.partition_width();
    l bigint := (select coalesce(max(size), 0) from audit.tree) / audit.partition_width();
    before text := coalesce(current_setting('audit.migration', true), '');
begin
    if to_regclass(format('audit.entry_%s', lpad((e + 1)::text, 6, '0'))) is not null
       and to_regclass(format('audit.leaf_%s', lpad((l + 1)::text, 6, '0'))) is not null then
        return;
    end if;
    perform pg_advisory_xact_lock(hashtextextended('audit.ensure_partitions', 0));
    perform set_config('audit.migration', 'on', true);
    perform audit.ensure_partition('entry', e);
    perform audit.ensure_partition('entry', e + 1);
    perform audit.ensure_partition('leaf', l);
    perform audit.ensure_partition('leaf', l + 1);
    perform set_config('audit.migration', before, true);
end
$$;
-- +goose StatementEnd

create table audit.retained (
    institution text        not null,
    year        integer     not null,
    from_idx    bigint      not null,
    entry_id    bigint      not null,
    ids_below   bigint      not null,
    seen_year   integer     not null,
    seen_size   bigint      not null,
    at          timestamptz not null default clock_timestamp(),
    constraint retained_pkey primary key (institution, year, from_idx),
    constraint retained_log_fkey foreign key (institution, year) references audit.log (institution, year)
);
comment on table audit.retained is 'Bounds of the hot window: bodies of a log below from_idx may be absent here; they are in the store. Append-only.';
comment on column audit.retained.institution is 'Whose log.';
comment on column audit.retained.year is 'Which log.';
comment on column audit.retained.from_idx is 'Smallest index whose body is certainly here.';
comment on column audit.retained.entry_id is 'The log.retained entry that says so, signed before anything was detached.';
comment on column audit.retained.ids_below is 'No entry of the institution with a smaller id is pending or at an index that must be here.';
comment on column audit.retained.seen_year is 'Open log when ids_below was found.';
comment on column audit.retained.seen_size is 'Its size then: only leaves from there on must be looked at again.';
comment on column audit.retained.at is 'PostgreSQL''s clock.';
create trigger refuse_change before update or delete on audit.retained for each row execute function audit.refuse_change();
create trigger refuse_truncate before truncate on audit.retained for each statement execute function audit.refuse_change();
alter table audit.retained enable always trigger refuse_change;
alter table audit.retained enable always trigger refuse_truncate;

-- +goose StatementBegin
create function audit.retain(p_institution text, p_year integer, p_from bigint, p_entry bigint) returns bigint
language plpgsql security definer set search_path = pg_catalog, pg_temp
set enable_seqscan = off as $$
declare
    s audit.leaf;
    said jsonb;
    open_year integer;
    open_size bigint;
    below bigint;
begin
    if not exists (
        select from audit.checkpoint k where k.institution = p_institution and k.year = p_year and k.size >= p_from and k.note is not null)
       or not exists (select from audit.tree t where t.institution = p_institution and t.year = p_year and t.size >= p_from) then
        raise exception 'audit: no signed checkpoint of log %/% covers index %', p_institution, p_year, p_from using errcode = '55000';
    end if;
    select * into s from audit.leaf l where l.institution = p_institution and l.entry_id = p_entry;
    if not found or not exists (
        select from audit.checkpoint k where k.institution = p_institution and k.year = s.year and k.size > s.idx and k.note is not null) then
        raise exception 'audit: the entry that moves the window is not signed yet' using errcode = '55000';
    end if;
    select convert_from(e.body, 'UTF8')::jsonb into said from audit.entry e where e.institution = p_institution and e.id = p_entry;
    if said->>'kind' is distinct from 'log.retained' or (said->'facts'->>'from')::bigint is distinct from p_from
       or said->'facts'->>'origin' is distinct from (select g.origin from audit.log g where g.institution = p_institution and g.year = p_year) then
        raise exception 'audit: entry % does not move this window', p_entry using errcode = '22023';
    end if;
    select l.year, t.size into strict open_year, open_size from audit.log l join audit.tree t using (institution, year)
    where l.institution = p_institution and l.state = 'open';
    -- Ids are drawn in order but not sequenced in order: what must stay is found by looking.
    select least(
        (select min(p.id) from audit.pending p where p.institution = p_institution),
        min(l.entry_id)) into below
    from audit.leaf l
    where l.institution = p_institution and l.idx >= greatest(
        (select max(r.from_idx) from audit.retained r where r.institution = l.institution and r.year = l.year),
        case when l.year = p_year then p_from else 0 end);
    below := coalesce(below, (select last_value from audit.entry_id));
    insert into audit.retained (institution, year, from_idx, entry_id, ids_below, seen_year, seen_size)
    values (p_institution, p_year, p_from, p_entry, below, open_year, open_size) on conflict do nothing;
    return below;
end
$$;

create function audit.detach_entries() returns text[]
language plpgsql security definer set search_path = pg_catalog, pg_temp as $$
declare
    below bigint;
    r record;
    gone text[] := '{}';
    before text := coalesce(current_setting('audit.migration', true), '');
begin
    perform set_config('lock_timeout', '1000', true); -- appends wait behind this lock
    lock table audit.entry in access exclusive mode;  -- and nobody is in the middle of one
    -- Every institution must have let go of the ids, and what came in since the bound was found must not lie below it.
    select min(coalesce(w.ids_below, 0)) into below
    from (select distinct t.institution from audit.tree t where t.size > 0) i
    left join lateral (
        select case when exists (select from audit.pending p where p.institution = k.institution and p.id < k.ids_below)
                      or exists (select from audit.leaf l where l.institution = k.institution and l.entry_id < k.ids_below
                                 and (l.year, l.idx) >= (k.seen_year, k.seen_size)) then 0 else k.ids_below end as ids_below
        from audit.retained k where k.institution = i.institution order by k.ids_below desc limit 1) w on true;
    perform set_config('audit.migration', 'on', true);
    for r in
        select c.relname, (substring(pg_get_expr(c.relpartbound, c.oid) from 'TO \(''(\d+)''\)'))::bigint as upper
        from pg_inherits h join pg_class c on c.oid = h.inhrelid
        where h.inhparent = 'audit.entry'::regclass order by 2
    loop
        exit when r.upper is null or r.upper > coalesce(below, 0) or r.upper > (select last_value from audit.entry_id);
        execute format('alter table audit.entry detach partition audit.%I', r.relname);
        execute format('create trigger refuse_change before update or delete on audit.%I for each row execute function audit.refuse_change()', r.relname);
        execute format('alter table audit.%I enable always trigger refuse_change', r.relname);
        gone := gone || r.relname::text;
    end loop;
    perform set_config('audit.migration', before, true);
    return gone;
end
$$;

create function audit.drop_detached(p_name text) returns void
language plpgsql security definer set search_path = pg_catalog, pg_temp as $$
declare
    before text := coalesce(current_setting('audit.migration', true), '');
begin
    if p_name !~ '^entry_\d{6,}$' or exists (select from pg_inherits h where h.inhrelid = to_regclass('audit.' || quote_ident(p_name))) then
        raise exception 'audit: % is no detached partition', p_name using errcode = '22023';
    end if;
    perform set_config('audit.migration', 'on', true);
    execute format('drop table audit.%I', p_name);
    perform set_config('audit.migration', before, true);
end
$$;
-- +goose StatementEnd
comment on function audit.retain(text, integer, bigint, bigint) is
    'Records a bound of the hot window that a signed log.retained entry states; 55000 while that or the log up to the bound is not signed. Answers the smallest entry id that must stay.';
comment on function audit.detach_entries() is
    'Detaches the partitions of audit.entry that lie wholly below every institution''s bound, and answers their names. They keep their fences and their rows.';
comment on function audit.drop_detached(text) is 'Drops a detached partition. For the administrator, when the backup of it is to go too.';
comment on function audit.refuse_change() is 'Fence: refuses UPDATE, DELETE and TRUNCATE of entries, leaves and bounds, and UPDATE and TRUNCATE of aliases, whose rows can be erased one by one.';

revoke all on function audit.partition_width(), audit.retain(text, integer, bigint, bigint), audit.detach_entries(), audit.drop_detached(text) from public;
grant execute on function audit.partition_width(), audit.retain(text, integer, bigint, bigint), audit.detach_entries() to sealtrail_app;
grant select on audit.retained to sealtrail_app;
grant select on sequence audit.entry_id to sealtrail_app; -- reads last_value; drawing needs usage
reset role;
