-- Reading the log: saved queries and sealed investigations.

-- +goose Up
set role sealtrail_owner;

create table people.log_query (
	institution text not null,
	id uuid not null,
	person text not null,
	name text not null constraint log_query_name_check check (length(name) between 1 and 64),
	text text not null constraint log_query_text_check check (length(text) between 1 and 1000),
	saved_at timestamptz not null,
	constraint log_query_pkey primary key (institution, id),
	constraint log_query_name_key unique (institution, person, name)
);
comment on table people.log_query is 'Searches of the log that a person keeps for herself. Only she reads them.';

create table people.investigation (
	institution text not null,
	id uuid not null,
	persons text[] not null,
	complaints uuid[] not null,
	salt bytea not null constraint investigation_salt_check check (length(salt) = 16),
	reason text not null constraint investigation_reason_check check (length(reason) between 1 and 500),
	requested_by text not null,
	requested_at timestamptz not null,
	until timestamptz not null,
	decided_by text,
	decided_at timestamptz,
	closed_at timestamptz,
	state text not null constraint investigation_state_check check (state in ('requested', 'approved', 'refused', 'closed')),
	entry bigint not null,
	constraint investigation_pkey primary key (institution, id),
	constraint investigation_two_persons_check check (decided_by is null or decided_by <> requested_by)
);
comment on table people.investigation is 'Sealed investigations: what an auditor reads about these persons and complaints is left out of other people''s views until the end. A row counts only as far as the log bears it out.';
comment on column people.investigation.salt is 'Opens the commitment to the subjects in the entry of the request';
comment on column people.investigation.entry is 'Entry of the request, whose commitment names the subjects';
create index investigation_state_idx on people.investigation (institution, state);

grant select, insert, delete on people.log_query to sealtrail_app;
grant select, insert on people.investigation to sealtrail_app;
grant update (decided_by, decided_at, closed_at, state) on people.investigation to sealtrail_app;

reset role;
