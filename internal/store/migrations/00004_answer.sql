-- +goose Up

set role sealtrail_owner;

create table jobs.process (
	institution text not null,
	id uuid not null,
	started_at timestamptz not null,
	seen_at timestamptz not null,
	covers_at timestamptz,
	owes text[] not null,
	fenced_at timestamptz,
	constraint process_pkey primary key (institution, id)
);
comment on table jobs.process is 'Processes that write outcomes. A fenced one writes none any more: others may say what came of what it began.';
comment on column jobs.process.covers_at is 'Of what was recorded before this moment the process owes exactly what owes lists; by PostgreSQL''s clock.';
comment on column jobs.process.owes is 'Nonces of the intents whose outcome the process may still write.';

create table jobs.reaper (
	institution text not null,
	year integer not null,
	idx bigint not null,
	updated_at timestamptz not null,
	constraint reaper_pkey primary key (institution)
);
comment on table jobs.reaper is 'Every intent before this place of the log has an outcome. The row''s lock makes reapers take turns.';

create table jobs.reaped (
	institution text not null,
	entry bigint not null,
	at timestamptz not null,
	constraint reaped_pkey primary key (institution, entry)
);
comment on table jobs.reaped is 'Intents that were closed as unknown, so that none is closed twice.';

-- +goose StatementBegin
create function jobs.answer_for(p_institution text, p_id uuid) returns void
language plpgsql set search_path = pg_catalog, pg_temp as $$
begin
	perform from jobs.process where institution = p_institution and id = p_id and fenced_at is null for share;
	if not found then
		raise exception 'this process is fenced' using errcode = 'ST002';
	end if;
end
$$;
-- +goose StatementEnd
comment on function jobs.answer_for(text, uuid) is 'Fails where the process is fenced, and keeps it from being fenced until the transaction ends.';
revoke all on function jobs.answer_for(text, uuid) from public;

reset role;

grant execute on function jobs.answer_for(text, uuid) to sealtrail_app;
grant select, insert, update, delete on jobs.process, jobs.reaper, jobs.reaped to sealtrail_app;
