-- +goose Up

set role sealtrail_owner;

create table jobs.stream (
	institution text not null,
	name text not null,
	year integer not null,
	next bigint not null,
	updated_at timestamptz not null,
	constraint stream_pkey primary key (institution, name),
	constraint stream_place check (year between 2000 and 9999 and next >= 0)
);
comment on table jobs.stream is 'How far each stream of the log to another system is.';
comment on column jobs.stream.name is 'The stream, as the configuration names it.';
comment on column jobs.stream.year is 'Log of the next entry.';
comment on column jobs.stream.next is 'Index of the next entry; all before it were handed over.';
comment on column jobs.stream.updated_at is 'PostgreSQL''s clock when it last moved.';

grant select, insert, update on jobs.stream to sealtrail_app;

reset role;
