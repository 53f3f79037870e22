-- The search index: which leaves have which terms. A projection of the leaves, filled behind the sequencer and made anew at
-- any time. Whoever changes it can hide an entry from a search, never show a false one: hits are read from the entry's bytes.

-- +goose Up
set local role audit_owner;

create table audit.posting (
    institution text    not null,
    year        integer not null,
    block       integer not null,
    term        bigint  not null,
    places      bytea   not null,
    constraint posting_pkey primary key (institution, year, block, term),
    constraint posting_places_length check (octet_length(places) between 2 and 8192 and octet_length(places) % 2 = 0)
);
comment on table audit.posting is 'Search index: where in a block of 4,096 leaves a term occurs. Not evidence; made anew from the leaves.';
comment on column audit.posting.institution is 'Whose log.';
comment on column audit.posting.year is 'Which log.';
comment on column audit.posting.block is 'Leaf index divided by 4,096.';
comment on column audit.posting.term is 'First 64 bits of SHA-256 of "name=value".';
comment on column audit.posting.places is 'Leaf index modulo 4,096, big endian, 2 bytes each, ascending.';

create table audit.searched (
    institution text    not null,
    year        integer not null,
    size        bigint  not null default 0,
    constraint searched_pkey primary key (institution, year)
);
comment on table audit.searched is 'How far the search index of each log has come.';
comment on column audit.searched.institution is 'Whose log.';
comment on column audit.searched.year is 'Which log.';
comment on column audit.searched.size is 'Leaves before this index are in audit.posting.';

-- +goose StatementBegin
create function audit.index_terms(p_institution text, p_year integer, p_from bigint, p_to bigint, p_blocks integer[], p_terms bigint[], p_places bytea[]) returns void
language plpgsql security definer set search_path = pg_catalog, pg_temp as $$
begin
    insert into audit.searched (institution, year) select l.institution, l.year from audit.log l
    where l.institution = p_institution and l.year = p_year
    on conflict do nothing;
    update audit.searched s set size = p_to
    where s.institution = p_institution and s.year = p_year and s.size = p_from and p_from < p_to
      and p_to <= (select t.size from audit.tree t where t.institution = p_institution and t.year = p_year);
    if not found then
        raise exception 'audit: the search index is not at %', p_from using errcode = '40001';
    end if;
    insert into audit.posting as p (institution, year, block, term, places)
    select p_institution, p_year, u.block, u.term, u.places from unnest(p_blocks, p_terms, p_places) as u (block, term, places)
    on conflict (institution, year, block, term) do update set places = p.places || excluded.places;
end
$$;
-- +goose StatementEnd
comment on function audit.index_terms(text, integer, bigint, bigint, integer[], bigint[], bytea[]) is
    'Adds the terms of the leaves [p_from, p_to) if the index is still at p_from; 40001 otherwise.';

-- +goose StatementBegin
create function audit.index_reset(p_institution text, p_year integer) returns void
language plpgsql security definer set search_path = pg_catalog, pg_temp as $$
begin
    delete from audit.searched s where s.institution = p_institution and s.year = p_year;
    delete from audit.posting p where p.institution = p_institution and p.year = p_year;
end
$$;
-- +goose StatementEnd
comment on function audit.index_reset(text, integer) is 'Forgets the search index of a log, so that it is made anew from the leaves.';

-- +goose StatementBegin
create function audit.erase_aliases(p_institution text, p_actor text, p_year integer) returns bigint
language plpgsql security definer set search_path = pg_catalog, pg_temp as $$
declare
    n bigint;
begin
    if not exists (select from audit.log l where l.institution = p_institution and l.year = p_year and l.state = 'closed') then
        raise exception 'audit: the log of % is not closed', p_year using errcode = '22023';
    end if;
    delete from audit.alias a where a.institution = p_institution and a.actor = p_actor and a.year = p_year;
    get diagnostics n = row_count;
    return n;
end
$$;
-- +goose StatementEnd
comment on function audit.erase_aliases(text, text, integer) is
    'Forgets who stood behind an alias of a closed year: afterwards nobody can tell. For an operator, not for the service.';

revoke all on function audit.index_terms(text, integer, bigint, bigint, integer[], bigint[], bytea[]) from public;
revoke all on function audit.index_reset(text, integer) from public;
revoke all on function audit.erase_aliases(text, text, integer) from public;
grant execute on function audit.index_terms(text, integer, bigint, bigint, integer[], bigint[], bytea[]) to sealtrail_app;
grant execute on function audit.index_reset(text, integer) to sealtrail_app;
grant select on audit.posting, audit.searched to sealtrail_app;
reset role;
