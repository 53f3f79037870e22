-- Whoever has the service's role can still take the lease on publishing, but not for longer than a minute: without it no checkpoint
-- is published once he is locked out.

-- +goose Up
set local role audit_owner;

-- +goose StatementBegin
create or replace function audit.lead(p_institution text, p_year integer, p_holder text, p_ms integer) returns bigint
language plpgsql security definer set search_path = pg_catalog, pg_temp as $$
declare
    held bigint;
    ms constant integer := least(p_ms, 60000);
begin
    if exists (select from audit.publisher p where p.institution = p_institution and p.year = p_year and p.holder <> p_holder and p.until >= clock_timestamp()) then
        return 0; -- without a lock on the row, which would be a write
    end if;
    insert into audit.publisher as p (institution, year, holder, epoch, until)
    values (p_institution, p_year, p_holder, 1, clock_timestamp() + make_interval(secs => ms / 1000.0))
    on conflict (institution, year) do update
    set holder = excluded.holder, until = excluded.until, epoch = case when p.holder = excluded.holder then p.epoch else p.epoch + 1 end
    where p.holder = excluded.holder or p.until < clock_timestamp()
    returning p.epoch into held;
    return coalesce(held, 0);
end
$$;
-- +goose StatementEnd
comment on function audit.lead(text, integer, text, integer) is
    'Takes or keeps the lease on publishing a log for so many milliseconds, 60,000 at most, and answers its epoch; 0 while another process has it.';
reset role;
