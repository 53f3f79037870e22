-- Whoever has the service's role can append, but can no longer stop the log, nor rename who stands behind an alias.

-- +goose Up
set local role audit_owner;

-- Appending ---------------------------------------------------------------------------------------------------------

-- +goose StatementBegin
create or replace function audit.append(p_institution text, p_bodies bytea[], p_subjects text[]) returns bigint[]
language plpgsql security definer set search_path = pg_catalog, pg_temp as $$
declare
    ids bigint[];
    one bigint;
    place constant text := '%institution":"' || p_institution || '"%subject":"'; -- a quote in front would double the search's time
begin
    if current_setting('synchronous_commit') = 'off' then
        perform set_config('synchronous_commit', 'on', true);
    end if;
    -- Cheap and rough: one search for what a canonical body of this institution and subject must hold, in its order: 0.4 us
    -- an entry. Reading the JSON would double the cost of a batch. Only the sequencer reads the whole body, and looks past what it
    -- can make no leaf of.
    if cardinality(p_bodies) = 1 and cardinality(p_subjects) = 1 then
        if (p_bodies[1] like convert_to(place || p_subjects[1] || '"%', 'UTF8')) is not true then
            raise exception 'audit: the body is of another subject or institution' using errcode = '22023';
        end if;
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
        from (
            select u.body, u.subject from unnest(p_bodies, p_subjects) with ordinality as u (body, subject, n)
            where u.body like convert_to(place || u.subject || '"%', 'UTF8')
            order by u.n
        ) t
        returning id
    ), queued as (
        insert into audit.pending (institution, id) select p_institution, new.id from new order by new.id
    )
    select array_agg(new.id order by new.id) into ids from new;
    if cardinality(ids) is distinct from cardinality(p_bodies) then
        raise exception 'audit: a body is of another subject or institution' using errcode = '22023';
    end if;
    return ids;
end
$$;
-- +goose StatementEnd
comment on function audit.append(text, bytea[], text[]) is
    'Appends entries in the caller''s transaction; answers their ids in the order of the bodies. Refuses (22023) what does not name the subject and institution. Never commits asynchronously.';

-- Sequencing --------------------------------------------------------------------------------------------------------

drop function audit.take(text, integer);
-- +goose StatementBegin
create function audit.take(p_institution text, p_limit integer, p_beside bigint[]) returns table (id bigint, subject text, body bytea)
language plpgsql security definer set search_path = pg_catalog, pg_temp
set enable_seqscan = off set enable_hashjoin = off set enable_mergejoin = off as $$
begin
    -- The queue is empty whenever statistics are taken: without the settings the planner believes that and reads it whole
    -- for every row of a batch.
    -- No SKIP LOCKED: a row held by an older leader must not let a later id overtake it.
    return query
        select p.id, e.subject, e.body
        from (
            select q.id from audit.pending q
            where q.institution = p_institution and q.id <> all (p_beside)
            order by q.id limit p_limit for update
        ) p
        join audit.entry e on e.institution = p_institution and e.id = p.id
        order by p.id;
end
$$;
-- +goose StatementEnd
comment on function audit.take(text, integer, bigint[]) is
    'Locks the oldest pending entries but those of p_beside, in order, and answers them with their bodies.';
revoke all on function audit.take(text, integer, bigint[]) from public;
grant execute on function audit.take(text, integer, bigint[]) to sealtrail_app;

-- +goose StatementBegin
create or replace function audit.ensure_log(p_institution text, p_year integer, p_origin text) returns boolean
language plpgsql security definer set search_path = pg_catalog, pg_temp as $$
declare
    old audit.log;
    latest constant integer := extract(year from (clock_timestamp() at time zone 'UTC') + interval '1 day');
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
    -- A new log ends the one before for good: not before its year has come, and only under the name that follows from the last.
    if p_year > latest then
        raise exception 'audit: year % has not come', p_year using errcode = '22023';
    end if;
    select * into old from audit.log l where l.institution = p_institution order by l.year desc limit 1;
    if found and p_origin <> rtrim(regexp_replace(old.origin, old.year || '$', ''), '/') || '/' || p_year then
        raise exception 'audit: log %/% does not continue the name of the log before', p_institution, p_year using errcode = '22023';
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
comment on function audit.ensure_log(text, integer, text) is
    'Opens the log of a year that has come (UTC, a day of slack) and closes the one before; true when it is new. The origin of a later log is that of the one before with the year changed.';

-- +goose StatementBegin
create or replace function audit.reserve_checkpoint(p_institution text, p_year integer, p_size bigint, p_root bytea) returns bytea
language plpgsql security definer set search_path = pg_catalog, pg_temp as $$
declare
    c audit.checkpoint;
    t audit.tree;
begin
    select * into t from audit.tree k where k.institution = p_institution and k.year = p_year;
    if not found or p_size < 0 or p_size > t.size then
        raise exception 'audit: log %/% has no size %', p_institution, p_year, p_size using errcode = '22023';
    end if;
    if p_size = t.size and p_root <> t.root then
        raise exception 'audit: the root at size % is another', p_size using errcode = '22023';
    end if;
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
    'Reserves the one root of a size that the tree has reached; 22023 beyond it or for another root than the head''s, 23505 when another is reserved. Answers the note if it was signed already.';

-- Aliases -----------------------------------------------------------------------------------------------------------

alter table audit.alias add column salt bytea;
comment on column audit.alias.salt is 'Binds alias and actor: the alias is a digest of salt, institution, year and actor. Null: made before there were salts.';
comment on column audit.alias.alias is 'Name that the leaves carry. It says nothing about the person without this row.';
create trigger refuse_change before update on audit.alias for each row execute function audit.refuse_change();
create trigger refuse_truncate before truncate on audit.alias for each statement execute function audit.refuse_change();
alter table audit.alias enable always trigger refuse_change;
alter table audit.alias enable always trigger refuse_truncate;
comment on function audit.refuse_change() is 'Fence: refuses UPDATE, DELETE and TRUNCATE of entries and leaves, and UPDATE and TRUNCATE of aliases, whose rows can be erased one by one.';
reset role;
