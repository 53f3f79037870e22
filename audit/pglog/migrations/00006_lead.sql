-- Which process publishes a log. The lease only saves work: that two publish does no harm is the publisher's own business.

-- +goose Up
set local role audit_owner;

create table audit.publisher (
    institution text        not null,
    year        integer     not null,
    holder      text        not null,
    epoch       bigint      not null,
    until       timestamptz not null,
    constraint publisher_pkey primary key (institution, year),
    constraint publisher_log_fkey foreign key (institution, year) references audit.log (institution, year),
    constraint publisher_holder_length check (length(holder) between 1 and 128)
) with (fillfactor = 20);
comment on table audit.publisher is 'Which process publishes each log, and until when if it does not ask again. No evidence.';
comment on column audit.publisher.institution is 'Whose log.';
comment on column audit.publisher.year is 'Which log.';
comment on column audit.publisher.holder is 'Random name of a process.';
comment on column audit.publisher.epoch is 'Number of times that the lease went to another process.';
comment on column audit.publisher.until is 'PostgreSQL''s clock; from then on another process may take it.';
create trigger refuse_truncate before truncate on audit.publisher for each statement execute function audit.refuse_change();
alter table audit.publisher enable always trigger refuse_truncate;

-- +goose StatementBegin
create function audit.lead(p_institution text, p_year integer, p_holder text, p_ms integer) returns bigint
language plpgsql security definer set search_path = pg_catalog, pg_temp as $$
declare
    held bigint;
begin
    if exists (select from audit.publisher p where p.institution = p_institution and p.year = p_year and p.holder <> p_holder and p.until >= clock_timestamp()) then
        return 0; -- without a lock on the row, which would be a write
    end if;
    insert into audit.publisher as p (institution, year, holder, epoch, until)
    values (p_institution, p_year, p_holder, 1, clock_timestamp() + make_interval(secs => p_ms / 1000.0))
    on conflict (institution, year) do update
    set holder = excluded.holder, until = excluded.until, epoch = case when p.holder = excluded.holder then p.epoch else p.epoch + 1 end
    where p.holder = excluded.holder or p.until < clock_timestamp()
    returning p.epoch into held;
    return coalesce(held, 0);
end
$$;
-- +goose StatementEnd
comment on function audit.lead(text, integer, text, integer) is
    'Takes or keeps the lease on publishing a log for so many milliseconds and answers its epoch; 0 while another process has it.';

revoke all on function audit.lead(text, integer, text, integer) from public;
grant select on audit.publisher to sealtrail_app;
grant execute on function audit.lead(text, integer, text, integer) to sealtrail_app;
reset role;
