-- The audit schema: an append-only log that commits in the caller's own transaction.
-- Every key starts with institution. The owner is audit_owner, who cannot log in; the service's role, sealtrail_app,
-- appends and sequences through functions of the owner and can neither insert, change nor remove an entry or a leaf itself.

-- +goose Up
set local role audit_owner;

-- Tables ------------------------------------------------------------------------------------------------------------

create sequence audit.entry_id as bigint cache 1;
comment on sequence audit.entry_id is 'Entry ids of every institution. CACHE 1: an id drawn later is larger, whoever draws it; gaps are normal.';

create table audit.entry (
    institution text        not null,
    id          bigint      not null,
    body        bytea       not null,
    subject     text        not null,
    inserted_at timestamptz not null default clock_timestamp(),
    constraint entry_pkey primary key (institution, id),
    constraint entry_body_length check (octet_length(body) between 2 and 64512)
) partition by range (id);
comment on table audit.entry is 'Bodies of the log, stored verbatim, once. Append-only.';
comment on column audit.entry.institution is 'Whose log the entry belongs to.';
comment on column audit.entry.id is 'Entry id, drawn from audit.entry_id inside audit.append.';
comment on column audit.entry.body is 'Canonical JSON of the writer, byte for byte what the leaf will hold. A leaf must fit in 65535 bytes.';
comment on column audit.entry.subject is 'The trail that the entry belongs to; a copy of the body''s own field.';
comment on column audit.entry.inserted_at is 'PostgreSQL''s clock at the insert. Not part of the leaf.';

create table audit.pending (
    institution text   not null,
    id          bigint not null,
    constraint pending_pkey primary key (institution, id)
) with (autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 20000, autovacuum_vacuum_cost_delay = 0);
comment on table audit.pending is 'Entries that have no index yet: the sequencer''s queue, ordered by id.';
comment on column audit.pending.institution is 'Whose entry.';
comment on column audit.pending.id is 'The entry.';

create table audit.log (
    institution text        not null,
    year        integer     not null,
    origin      text        not null,
    state       text        not null default 'open',
    opened_at   timestamptz not null default clock_timestamp(),
    constraint log_pkey primary key (institution, year),
    constraint log_origin_key unique (institution, origin),
    constraint log_state_known check (state in ('open', 'closed')),
    constraint log_year_plausible check (year between 2000 and 9999)
);
comment on table audit.log is 'One Merkle log per institution and year.';
comment on column audit.log.institution is 'Whose log.';
comment on column audit.log.year is 'Calendar year (UTC) that names the log.';
comment on column audit.log.origin is 'First line of its checkpoints and name of its signing key.';
comment on column audit.log.state is 'open: takes entries. closed: a later year took over.';
comment on column audit.log.opened_at is 'PostgreSQL''s clock at the opening.';
create unique index log_one_open on audit.log (institution) where state = 'open';

create table audit.tree (
    institution text        not null,
    year        integer     not null,
    size        bigint      not null default 0,
    compact     bytea       not null default '',
    root        bytea       not null,
    epoch       bigint      not null default 0,
    last_seq_at timestamptz not null default '-infinity',
    constraint tree_pkey primary key (institution, year),
    constraint tree_log_fkey foreign key (institution, year) references audit.log (institution, year),
    constraint tree_root_length check (octet_length(root) = 32),
    constraint tree_compact_length check (octet_length(compact) % 32 = 0)
) with (fillfactor = 20, autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 5000);
comment on table audit.tree is 'Head of each log. (size, epoch) is the compare-and-swap that fences sequencers.';
comment on column audit.tree.institution is 'Whose log.';
comment on column audit.tree.year is 'Which log.';
comment on column audit.tree.size is 'Number of leaves.';
comment on column audit.tree.compact is 'Compact range [0, size): roots of the perfect subtrees, left to right, 32 bytes each.';
comment on column audit.tree.root is 'RFC 6962 root over [0, size).';
comment on column audit.tree.epoch is 'Number of batches ever sequenced.';
comment on column audit.tree.last_seq_at is 'seq_at of the last leaf; the next is never earlier.';

create table audit.leaf (
    institution text        not null,
    year        integer     not null,
    idx         bigint      not null,
    entry_id    bigint      not null,
    hash        bytea       not null,
    seq_at      timestamptz not null,
    trail_n     bigint      not null,
    prev        bytea       not null,
    prev_id     bigint      not null,
    constraint leaf_pkey primary key (institution, year, idx),
    constraint leaf_hash_length check (octet_length(hash) = 32 and octet_length(prev) = 32)
) partition by range (idx);
comment on table audit.leaf is 'Where each entry stands in its log: index, hash and trail. Append-only.';
comment on column audit.leaf.institution is 'Whose log.';
comment on column audit.leaf.year is 'Which log.';
comment on column audit.leaf.idx is 'Index in the log, dense from 0.';
comment on column audit.leaf.entry_id is 'The entry; leaf bytes are put together from its body and this row.';
comment on column audit.leaf.hash is 'RFC 6962 leaf hash over the leaf bytes.';
comment on column audit.leaf.seq_at is 'PostgreSQL''s clock when sequenced, never earlier than the leaf before.';
comment on column audit.leaf.trail_n is 'Number of this entry within its subject''s trail, from 1, across years.';
comment on column audit.leaf.prev is 'Leaf hash of the trail''s previous entry; 32 zero bytes for the first.';
comment on column audit.leaf.prev_id is 'Entry id of the trail''s previous entry; 0 for the first. A way back for readers, not part of the leaf.';
create index leaf_entry_idx on audit.leaf (institution, entry_id);

create table audit.trail (
    institution text   not null,
    subject     text   not null,
    n           bigint not null,
    year        integer not null,
    last_idx    bigint not null,
    last_id     bigint not null,
    last_hash   bytea  not null,
    constraint trail_pkey primary key (institution, subject),
    constraint trail_hash_length check (octet_length(last_hash) = 32)
) with (fillfactor = 70);
comment on table audit.trail is 'Head of each subject''s trail.';
comment on column audit.trail.institution is 'Whose trail.';
comment on column audit.trail.subject is 'What the trail is about.';
comment on column audit.trail.n is 'Number of sequenced entries in the trail.';
comment on column audit.trail.year is 'Log of the last entry.';
comment on column audit.trail.last_idx is 'Index of the last entry in that log.';
comment on column audit.trail.last_id is 'Entry id of the last entry.';
comment on column audit.trail.last_hash is 'Leaf hash of the last entry.';

create table audit.alias (
    institution text    not null,
    year        integer not null,
    alias       text    not null,
    actor       text    not null,
    constraint alias_pkey primary key (institution, year, alias),
    constraint alias_actor_key unique (institution, year, actor)
);
comment on table audit.alias is 'Which person stands behind an alias of a year''s log. Never in a leaf.';
comment on column audit.alias.institution is 'Whose log.';
comment on column audit.alias.year is 'Year of the log; a person has another alias each year.';
comment on column audit.alias.alias is 'Random name that the leaves carry.';
comment on column audit.alias.actor is 'The person or application.';

create table audit.opening (
    institution text        not null,
    entry_id    bigint      not null,
    path        text        not null,
    salt        bytea       not null,
    value_sealed bytea      not null default '',
    created_at  timestamptz not null default clock_timestamp(),
    constraint opening_pkey primary key (institution, entry_id, path)
);
comment on table audit.opening is 'Salts and encrypted values of commitments: the only evidence that can be deleted. The hole stays verifiable.';
comment on column audit.opening.institution is 'Whose entry.';
comment on column audit.opening.entry_id is 'The entry whose commitment this opens.';
comment on column audit.opening.path is 'Path of the commitment in the entry''s commit map.';
comment on column audit.opening.salt is 'Salt of the commitment, 16 bytes.';
comment on column audit.opening.value_sealed is 'The value, sealed by the caller; empty when the value is not kept.';
comment on column audit.opening.created_at is 'PostgreSQL''s clock at the insert.';

create table audit.checkpoint (
    institution text        not null,
    year        integer     not null,
    size        bigint      not null,
    root        bytea       not null,
    note        bytea,
    created_at  timestamptz not null default clock_timestamp(),
    constraint checkpoint_pkey primary key (institution, year, size),
    constraint checkpoint_root_length check (octet_length(root) = 32)
);
comment on table audit.checkpoint is 'One root per size, ever: the row is written before the signature is asked for.';
comment on column audit.checkpoint.institution is 'Whose log.';
comment on column audit.checkpoint.year is 'Which log.';
comment on column audit.checkpoint.size is 'Size that the checkpoint commits to.';
comment on column audit.checkpoint.root is 'Root at that size.';
comment on column audit.checkpoint.note is 'The signed note; null between reservation and signature.';
comment on column audit.checkpoint.created_at is 'PostgreSQL''s clock at the reservation.';

-- Fences ------------------------------------------------------------------------------------------------------------

-- +goose StatementBegin
create function audit.refuse_change() returns trigger
language plpgsql set search_path = pg_catalog, pg_temp as $$
begin
    raise exception 'audit: % on %.% is refused: the log is append-only', tg_op, tg_table_schema, tg_table_name
        using errcode = '42501';
end
$$;
-- +goose StatementEnd
comment on function audit.refuse_change() is 'Fence: refuses UPDATE, DELETE and TRUNCATE of entries and leaves.';

-- Row triggers on the parents are cloned to every partition, TRUNCATE triggers are not: ensure_partitions makes those.
create trigger refuse_change before update or delete on audit.entry for each row execute function audit.refuse_change();
create trigger refuse_change before update or delete on audit.leaf for each row execute function audit.refuse_change();
create trigger refuse_truncate before truncate on audit.entry for each statement execute function audit.refuse_change();
create trigger refuse_truncate before truncate on audit.leaf for each statement execute function audit.refuse_change();
create trigger refuse_truncate before truncate on audit.pending for each statement execute function audit.refuse_change();
create trigger refuse_truncate before truncate on audit.tree for each statement execute function audit.refuse_change();
create trigger refuse_truncate before truncate on audit.trail for each statement execute function audit.refuse_change();
create trigger refuse_truncate before truncate on audit.checkpoint for each statement execute function audit.refuse_change();
alter table audit.entry enable always trigger refuse_change;
alter table audit.leaf enable always trigger refuse_change;
alter table audit.entry enable always trigger refuse_truncate;
alter table audit.leaf enable always trigger refuse_truncate;
alter table audit.pending enable always trigger refuse_truncate;
alter table audit.tree enable always trigger refuse_truncate;
alter table audit.trail enable always trigger refuse_truncate;
alter table audit.checkpoint enable always trigger refuse_truncate;

-- Functions ---------------------------------------------------------------------------------------------------------

-- +goose StatementBegin
create function audit.ensure_partition(p_parent text, p_n bigint) returns void
language plpgsql set search_path = pg_catalog, pg_temp as $$
declare
    child text := format('%s_%s', p_parent, lpad(p_n::text, 6, '0'));
    width constant bigint := 16777216; -- 2^24 rows to a partition
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
-- +goose StatementEnd
comment on function audit.ensure_partition(text, bigint) is 'Makes the n-th partition of entry or leaf with its fences, if it is not there.';

-- +goose StatementBegin
create function audit.ensure_partitions() returns void
language plpgsql security definer set search_path = pg_catalog, pg_temp as $$
declare
    e bigint := (select last_value from audit.entry_id) / 16777216;
    l bigint := (select coalesce(max(size), 0) from audit.tree) / 16777216;
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
comment on function audit.ensure_partitions() is 'Keeps one partition ahead of the writers. Called by the sequencer.';

-- +goose StatementBegin
create function audit.append(p_institution text, p_bodies bytea[], p_subjects text[]) returns bigint[]
language plpgsql security definer set search_path = pg_catalog, pg_temp as $$
declare
    ids bigint[];
    one bigint;
begin
    if current_setting('synchronous_commit') = 'off' then
        perform set_config('synchronous_commit', 'on', true);
    end if;
    if cardinality(p_bodies) = 1 and cardinality(p_subjects) = 1 then
        one := nextval('audit.entry_id');
        insert into audit.entry (institution, id, body, subject) values (p_institution, one, p_bodies[1], p_subjects[1]);
        insert into audit.pending (institution, id) values (p_institution, one);
        return array[one];
    end if;
    if cardinality(p_bodies) is distinct from cardinality(p_subjects) or cardinality(p_bodies) = 0 then
        raise exception 'audit: as many bodies as subjects, and at least one' using errcode = '22023';
    end if;
    with new as (
        insert into audit.entry (institution, id, body, subject)
        select p_institution, nextval('audit.entry_id'), t.body, t.subject
        from (select u.body, u.subject from unnest(p_bodies, p_subjects) with ordinality as u (body, subject, n) order by u.n) t
        returning id
    ), queued as (
        insert into audit.pending (institution, id) select p_institution, new.id from new order by new.id
    )
    select array_agg(new.id order by new.id) into ids from new;
    return ids;
end
$$;
-- +goose StatementEnd
comment on function audit.append(text, bytea[], text[]) is
    'Appends entries in the caller''s transaction; answers their ids in the order of the bodies. Never commits asynchronously.';

-- +goose StatementBegin
create function audit.take(p_institution text, p_limit integer) returns table (id bigint, subject text, body bytea)
language plpgsql security definer set search_path = pg_catalog, pg_temp
set enable_seqscan = off set enable_hashjoin = off set enable_mergejoin = off as $$
begin
    -- The queue is empty whenever statistics are taken: without the settings the planner believes that and reads it whole
    -- for every row of a batch.
    -- No SKIP LOCKED: a row held by an older leader must not let a later id overtake it.
    return query
        select p.id, e.subject, e.body
        from (select q.id from audit.pending q where q.institution = p_institution order by q.id limit p_limit for update) p
        join audit.entry e on e.institution = p_institution and e.id = p.id
        order by p.id;
end
$$;
-- +goose StatementEnd
comment on function audit.take(text, integer) is 'Locks the oldest pending entries, in order, and answers them with their bodies.';


-- +goose StatementBegin
create function audit.sequence(p_institution text, p_year integer, p_size bigint, p_epoch bigint,
    p_compact bytea, p_root bytea, p_seq_at timestamptz,
    p_ids bigint[], p_hashes bytea[], p_trail_ns bigint[], p_prevs bytea[], p_prev_ids bigint[],
    p_subjects text[], p_last integer[]) returns void
language plpgsql security definer set search_path = pg_catalog, pg_temp
set enable_seqscan = off set enable_hashjoin = off set enable_mergejoin = off as $$
declare
    n constant integer := cardinality(p_ids);
    done integer;
begin
    update audit.tree t
    set size = t.size + n, compact = p_compact, root = p_root, epoch = t.epoch + 1, last_seq_at = p_seq_at
    where t.institution = p_institution and t.year = p_year and t.size = p_size and t.epoch = p_epoch and t.last_seq_at <= p_seq_at
      and exists (select from audit.log l where l.institution = p_institution and l.year = p_year and l.state = 'open');
    if not found then
        raise exception 'audit: the tree moved under this sequencer' using errcode = '40001';
    end if;
    delete from audit.pending p using unnest(p_ids) as u (id) where p.institution = p_institution and p.id = u.id;
    get diagnostics done = row_count;
    if done <> n then
        raise exception 'audit: an entry of the batch is no longer pending' using errcode = '40001';
    end if;
    insert into audit.leaf (institution, year, idx, entry_id, hash, seq_at, trail_n, prev, prev_id)
    select p_institution, p_year, p_size + u.n - 1, u.id, u.hash, p_seq_at, u.trail_n, u.prev, u.prev_id
    from unnest(p_ids, p_hashes, p_trail_ns, p_prevs, p_prev_ids) with ordinality as u (id, hash, trail_n, prev, prev_id, n);
    insert into audit.trail as t (institution, subject, n, year, last_idx, last_id, last_hash)
    select p_institution, u.subject, p_trail_ns[u.at], p_year, p_size + u.at - 1, p_ids[u.at], p_hashes[u.at]
    from unnest(p_subjects, p_last) as u (subject, at)
    on conflict (institution, subject) do update
    set n = excluded.n, year = excluded.year, last_idx = excluded.last_idx, last_id = excluded.last_id, last_hash = excluded.last_hash;
end
$$;
-- +goose StatementEnd
comment on function audit.sequence(text, integer, bigint, bigint, bytea, bytea, timestamptz, bigint[], bytea[], bigint[], bytea[], bigint[], text[], integer[]) is
    'Turns pending entries into leaves if the tree is still at (size, epoch); 40001 otherwise. p_last holds, per subject, the 1-based place of its last entry.';

-- +goose StatementBegin
create function audit.ensure_log(p_institution text, p_year integer, p_origin text) returns boolean
language plpgsql security definer set search_path = pg_catalog, pg_temp as $$
declare
    old audit.log;
begin
    perform pg_advisory_xact_lock(hashtextextended('audit.log ' || p_institution, 0));
    select * into old from audit.log l where l.institution = p_institution and l.year >= p_year order by l.year desc limit 1;
    if found then
        if old.year <> p_year then
            raise exception 'audit: the log of % is already past year %', p_institution, p_year using errcode = '22023';
        end if;
        if old.origin <> p_origin then
            raise exception 'audit: log %/% has another origin', p_institution, p_year using errcode = '22023';
        end if;
        return false;
    end if;
    -- The row lock on tree waits for a batch in flight, so no leaf lands in a closed log.
    perform from audit.tree t where t.institution = p_institution for update;
    update audit.log l set state = 'closed' where l.institution = p_institution and l.state = 'open';
    insert into audit.log (institution, year, origin) values (p_institution, p_year, p_origin);
    insert into audit.tree (institution, year, root) values (p_institution, p_year, sha256(''));
    return true;
end
$$;
-- +goose StatementEnd
comment on function audit.ensure_log(text, integer, text) is 'Opens the log of a year and closes the one before; true when it is new.';

-- +goose StatementBegin
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
$$;
-- +goose StatementEnd
comment on function audit.reserve_checkpoint(text, integer, bigint, bytea) is
    'Reserves the one root of a size; 23505 when another is reserved. Answers the note if it was signed already.';

-- +goose StatementBegin
create function audit.record_checkpoint(p_institution text, p_year integer, p_size bigint, p_root bytea, p_note bytea) returns void
language plpgsql security definer set search_path = pg_catalog, pg_temp as $$
begin
    update audit.checkpoint k set note = p_note
    where k.institution = p_institution and k.year = p_year and k.size = p_size and k.root = p_root and k.note is null;
end
$$;
-- +goose StatementEnd
comment on function audit.record_checkpoint(text, integer, bigint, bytea, bytea) is 'Keeps the signed note of a reserved size; the first one stays.';

select audit.ensure_partitions();

-- Rights ------------------------------------------------------------------------------------------------------------

revoke all on all functions in schema audit from public;
grant usage on schema audit to sealtrail_app;
grant select on audit.entry, audit.pending, audit.log, audit.tree, audit.leaf, audit.trail, audit.checkpoint to sealtrail_app;
grant select, insert on audit.alias to sealtrail_app;
grant select, insert, delete on audit.opening to sealtrail_app;
grant execute on function audit.append(text, bytea[], text[]) to sealtrail_app;
grant execute on function audit.take(text, integer) to sealtrail_app;
grant execute on function audit.sequence(text, integer, bigint, bigint, bytea, bytea, timestamptz, bigint[], bytea[], bigint[], bytea[], bigint[], text[], integer[]) to sealtrail_app;
grant execute on function audit.ensure_partitions() to sealtrail_app;
grant execute on function audit.ensure_log(text, integer, text) to sealtrail_app;
grant execute on function audit.reserve_checkpoint(text, integer, bigint, bytea) to sealtrail_app;
grant execute on function audit.record_checkpoint(text, integer, bigint, bytea, bytea) to sealtrail_app;
reset role;

-- The DDL fence last: from here on the schema changes only in sessions that say audit.migration = on. Its functions live in
-- a schema of their own: "drop schema audit cascade" would take the fence down before asking it. ----------------------
create schema audit_fence;
comment on schema audit_fence is 'Event trigger functions that guard schema audit.';

-- +goose StatementBegin
create function audit_fence.refuse_ddl() returns event_trigger
language plpgsql set search_path = pg_catalog, pg_temp as $$
declare
    r record;
begin
    if coalesce(current_setting('audit.migration', true), '') = 'on' then
        return;
    end if;
    for r in select c.object_identity as identity, c.schema_name as place from pg_event_trigger_ddl_commands() c loop
        if r.place in ('audit', 'audit_fence') or (r.place is null and (r.identity in ('audit', 'audit_fence') or r.identity like 'audit.%')) then
            raise exception 'audit: % on % is refused: schema audit changes by migration only', tg_tag, r.identity using errcode = '42501';
        end if;
    end loop;
end
$$;

create function audit_fence.refuse_drop() returns event_trigger
language plpgsql set search_path = pg_catalog, pg_temp as $$
declare
    r record;
begin
    if coalesce(current_setting('audit.migration', true), '') = 'on' then
        return;
    end if;
    for r in select d.object_identity as identity, d.schema_name as place from pg_event_trigger_dropped_objects() d loop
        if r.place in ('audit', 'audit_fence') or r.identity in ('audit', 'audit_fence') then
            raise exception 'audit: % of % is refused: schema audit changes by migration only', tg_tag, r.identity using errcode = '42501';
        end if;
    end loop;
end
$$;
-- +goose StatementEnd
comment on function audit_fence.refuse_ddl() is 'Fence: refuses DDL on schema audit outside a migration.';
comment on function audit_fence.refuse_drop() is 'Fence: refuses drops in schema audit outside a migration.';
create event trigger audit_refuse_ddl on ddl_command_end execute function audit_fence.refuse_ddl();
create event trigger audit_refuse_drop on sql_drop execute function audit_fence.refuse_drop();
alter event trigger audit_refuse_ddl enable always;
alter event trigger audit_refuse_drop enable always;
revoke all on function audit_fence.refuse_ddl(), audit_fence.refuse_drop() from public;
grant usage on schema audit_fence to sealtrail_app; -- the self-check looks the fences up
