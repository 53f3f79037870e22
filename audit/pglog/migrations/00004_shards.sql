-- A year's log ends with log.closed, and the next one begins with log.opened, which names the former's final size and root.

-- +goose Up
set local role audit_owner;

-- +goose StatementBegin
create or replace function audit.ensure_log(p_institution text, p_year integer, p_origin text) returns boolean
language plpgsql security definer set search_path = pg_catalog, pg_temp as $$
declare
    old audit.log;
    latest constant integer := extract(year from (clock_timestamp() at time zone 'UTC') + interval '1 day');
    since timestamptz := '-infinity';
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
    if found then
        if p_origin <> rtrim(regexp_replace(old.origin, old.year || '$', ''), '/') || '/' || p_year then
            raise exception 'audit: log %/% does not continue the name of the log before', p_institution, p_year using errcode = '22023';
        end if;
        -- The row lock on tree waits for a batch in flight, so no leaf lands in a closed log.
        select t.last_seq_at into since from audit.tree t where t.institution = p_institution and t.year = old.year for update;
        if not exists (
            select from audit.tree t
            join audit.leaf l on l.institution = t.institution and l.year = t.year and l.idx = t.size - 1
            join audit.entry e on e.institution = l.institution and e.id = l.entry_id
            where t.institution = p_institution and t.year = old.year and e.body like convert_to('%"kind":"log.closed"%', 'UTF8')) then
            raise exception 'audit: the last entry of log %/% does not close it', p_institution, old.year using errcode = '22023';
        end if;
    end if;
    update audit.log l set state = 'closed' where l.institution = p_institution and l.state = 'open';
    insert into audit.log (institution, year, origin) values (p_institution, p_year, p_origin);
    insert into audit.tree (institution, year, root, last_seq_at) values (p_institution, p_year, sha256(''), since);
    return true;
end
$$;
-- +goose StatementEnd
comment on function audit.ensure_log(text, integer, text) is
    'Opens the log of a year that has come (UTC, a day of slack) and closes the one before, whose last entry must be log.closed; true when it is new. The origin of a later log is that of the one before with the year changed.';

-- +goose StatementBegin
create or replace function audit.sequence(p_institution text, p_year integer, p_size bigint, p_epoch bigint,
    p_compact bytea, p_root bytea, p_seq_at timestamptz,
    p_ids bigint[], p_hashes bytea[], p_trail_ns bigint[], p_prevs bytea[], p_prev_ids bigint[],
    p_subjects text[], p_last integer[], p_revisions bigint[], p_states bytea[], p_state_ids bigint[]) returns void
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
    if p_size = 0 then
        if exists (select from audit.log l where l.institution = p_institution and l.year < p_year)
           and not exists (select from audit.entry e where e.institution = p_institution and e.id = p_ids[1]
                           and e.body like convert_to('%"kind":"log.opened"%', 'UTF8')) then
            raise exception 'audit: the first entry of a log that follows another names the former' using errcode = '22023';
        end if;
    end if;
    delete from audit.pending p using unnest(p_ids) as u (id) where p.institution = p_institution and p.id = u.id;
    get diagnostics done = row_count;
    if done <> n then
        raise exception 'audit: an entry of the batch is no longer pending' using errcode = '40001';
    end if;
    insert into audit.leaf (institution, year, idx, entry_id, hash, seq_at, trail_n, prev, prev_id)
    select p_institution, p_year, p_size + u.n - 1, u.id, u.hash, p_seq_at, u.trail_n, u.prev, u.prev_id
    from unnest(p_ids, p_hashes, p_trail_ns, p_prevs, p_prev_ids) with ordinality as u (id, hash, trail_n, prev, prev_id, n);
    insert into audit.trail as t (institution, subject, n, year, last_idx, last_id, last_hash, revision, state, state_id)
    select p_institution, u.subject, p_trail_ns[u.at], p_year, p_size + u.at - 1, p_ids[u.at], p_hashes[u.at], u.revision, u.state, u.state_id
    from unnest(p_subjects, p_last, p_revisions, p_states, p_state_ids) as u (subject, at, revision, state, state_id)
    on conflict (institution, subject) do update
    set n = excluded.n, year = excluded.year, last_idx = excluded.last_idx, last_id = excluded.last_id, last_hash = excluded.last_hash,
        revision = excluded.revision, state = excluded.state, state_id = excluded.state_id;
end
$$;
-- +goose StatementEnd
reset role;
