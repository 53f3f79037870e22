-- What the replicas of one institution's service must have in common and that is neither a record nor a key of one.

-- +goose Up
set local role sealtrail_owner;

create table jobs.shared (
	institution text not null,
	name text not null,
	secret bytea not null,
	made_at timestamptz not null default now(),
	constraint shared_pkey primary key (institution, name),
	constraint shared_secret_length check (octet_length(secret) = 32)
);
comment on table jobs.shared is 'Random secrets that every replica needs and that protect nothing which this database does not hold anyway: page tokens.';

grant select, insert on jobs.shared to sealtrail_app;
reset role;
