-- A trail's head also says what its subject was last altered to: the newest revision that an event committed to, and the
-- digest of that state. Whoever reads the subject compares.

-- +goose Up
set local role audit_owner;

alter table audit.trail
    add column revision bigint not null default 0,
    add column state bytea,
    add column state_id bigint not null default 0,
    add constraint trail_state_length check (octet_length(state) = 32);
comment on column audit.trail.revision is 'Newest revision of the subject that an event of the trail committed to; 0 for none.';
comment on column audit.trail.state is 'What that event committed to under "manifest": the SHA-256 of the subject''s state at that revision.';
comment on column audit.trail.state_id is 'Entry id of that event; 0 for none.';

update audit.trail t
set revision = s.revision, state = s.state, state_id = s.id
from (
    select distinct on (l.institution, e.subject) l.institution, e.subject, e.id,
        (b.body->>'revision')::bigint as revision, decode(b.body->'commit'->>'manifest', 'hex') as state
    from audit.leaf l
    join audit.entry e on e.institution = l.institution and e.id = l.entry_id,
    lateral (select convert_from(e.body, 'UTF8')::jsonb as body) b
    where b.body->>'stage' = 'event' and b.body->>'revision' is not null and b.body->'commit'->>'manifest' ~ '^[0-9a-f]{64}$'
    order by l.institution, e.subject, (b.body->>'revision')::bigint desc, l.year, l.idx
) s
where t.institution = s.institution and t.subject = s.subject;

drop function audit.sequence(text, integer, bigint, bigint, bytea, bytea, timestamptz, bigint[], bytea[], bigint[], bytea[], bigint[], text[], integer[]);
-- +goose StatementBegin
create function audit.sequence(p_institution text, p_year integer, p_size bigint, p_epoch bigint,
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
comment on function audit.sequence(text, integer, bigint, bigint, bytea, bytea, timestamptz, bigint[], bytea[], bigint[], bytea[], bigint[], text[], integer[], bigint[], bytea[], bigint[]) is
    'Turns pending entries into leaves if the tree is still at (size, epoch); 40001 otherwise. p_last holds, per subject, the 1-based place of its last entry; p_revisions, p_states and p_state_ids what the trail now says of the subject''s state.';
revoke all on function audit.sequence(text, integer, bigint, bigint, bytea, bytea, timestamptz, bigint[], bytea[], bigint[], bytea[], bigint[], text[], integer[], bigint[], bytea[], bigint[]) from public;
grant execute on function audit.sequence(text, integer, bigint, bigint, bytea, bytea, timestamptz, bigint[], bytea[], bigint[], bytea[], bigint[], text[], integer[], bigint[], bytea[], bigint[]) to sealtrail_app;
reset role;
