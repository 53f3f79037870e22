-- +goose Up

create schema jobs authorization sealtrail_owner;

set role sealtrail_owner;

-- What the manifest covers besides (internal/custody, attrsOf).
alter table sealtrail.complaint
	add column suite smallint not null default 1 constraint complaint_suite_check check (suite in (1, 2)),
	add column files jsonb not null default '[]',
	add column erased_groups text[] not null default '{}',
	add column restricted_from text not null default '',
	add column retention_reason text not null default '';
comment on column sealtrail.complaint.suite is 'Suite of every envelope of this row: 1 AES-256-GCM with SHA-256, 2 SM4-GCM with SM3';
comment on column sealtrail.complaint.files is 'Clear list of attachments and recordings: id, field, generation, media type, size, digest of the stored ciphertext';
comment on column sealtrail.complaint.erased_groups is 'Field groups whose retention ended and that were erased by a new generation of the data key';
comment on column sealtrail.complaint.restricted_from is 'State before the restriction (封存), so that it can be lifted';
comment on column sealtrail.complaint.retention_reason is 'Which retention rule sets retention_until: the longest that applies';

create table sealtrail.legal_hold (
	institution text not null,
	id uuid not null,
	complaint uuid not null,
	reason_code text not null,
	reference text not null,
	placed_by text not null,
	placed_at timestamptz not null,
	release_asked_by text,
	release_asked_at timestamptz,
	released_by text,
	released_at timestamptz,
	constraint legal_hold_pkey primary key (institution, id),
	constraint legal_hold_complaint_fkey foreign key (institution, complaint) references sealtrail.complaint (institution, id),
	constraint legal_hold_two_persons_check check (released_by is null or released_by <> release_asked_by)
);
comment on table sealtrail.legal_hold is 'Legal holds. The ids of open ones stand in complaint.holds, which the manifest covers; a release needs two persons.';
create index legal_hold_complaint_idx on sealtrail.legal_hold (institution, complaint);

create table sealtrail.erasure (
	institution text not null,
	id uuid not null,
	scope text not null constraint erasure_scope_check check (scope in ('record', 'groups', 'subject')),
	complaint uuid not null,
	groups text[] not null,
	basis text not null,
	requested_by text not null,
	requested_at timestamptz not null,
	decided_by text,
	decided_at timestamptz,
	state text not null constraint erasure_state_check check (state in ('requested', 'refused', 'approved', 'executed')),
	constraint erasure_pkey primary key (institution, id),
	constraint erasure_complaint_fkey foreign key (institution, complaint) references sealtrail.complaint (institution, id),
	constraint erasure_two_persons_check check (decided_by is null or decided_by <> requested_by)
);
comment on table sealtrail.erasure is 'Requests to erase and what became of them. Scope subject: every record of the complainant of the named record.';

create table sealtrail.erasure_item (
	institution text not null,
	erasure uuid not null,
	complaint uuid not null,
	result text not null constraint erasure_item_result_check check (result in ('pending', 'held', 'retained', 'shredded', 'reduced', 'irrecoverable')),
	hold uuid,
	until timestamptz,
	commitment bytea,
	wrapped_sha256 bytea,
	key_version integer,
	settled_at timestamptz,
	settled_entry bigint,
	irrecoverable_at timestamptz,
	irrecoverable_entry bigint,
	constraint erasure_item_pkey primary key (institution, erasure, complaint),
	constraint erasure_item_erasure_fkey foreign key (institution, erasure) references sealtrail.erasure (institution, id)
);
comment on table sealtrail.erasure_item is 'What became of each record of an erasure: held and retained ones stay, and say so.';
comment on column sealtrail.erasure_item.settled_entry is 'Entry erasure.shredded, erasure.reduced or erasure.kept: stage 1 of the receipt.';
comment on column sealtrail.erasure_item.irrecoverable_entry is 'Entry erasure.irrecoverable: stage 2 of the receipt.';
create index erasure_item_complaint_idx on sealtrail.erasure_item (institution, complaint);
create index erasure_item_version_idx on sealtrail.erasure_item (institution, key_version) where key_version is not null and irrecoverable_at is null;
create index erasure_complaint_idx on sealtrail.erasure (institution, complaint);
create index complaint_retention_idx on sealtrail.complaint (institution, retention_until, id) where retention_until is not null;

create table sealtrail.disclosure (
	institution text not null,
	id uuid not null,
	scope text not null constraint disclosure_scope_check check (scope in ('record', 'subject', 'institution')),
	complaint uuid,
	groups text[] not null,
	recipient text not null,
	recipient_name text not null,
	basis text not null,
	purpose text not null,
	watermark text not null,
	expires_at timestamptz not null,
	requested_by text not null,
	requested_at timestamptz not null,
	approved_by text,
	approved_at timestamptz,
	confirmed_by text,
	confirmed_at timestamptz,
	state text not null constraint disclosure_state_check check (state in ('requested', 'approved', 'refused', 'confirmed', 'produced')),
	produced_at timestamptz,
	package_sha256 bytea,
	records integer,
	constraint disclosure_pkey primary key (institution, id),
	constraint disclosure_two_persons_check check (
		(approved_by is null or approved_by <> requested_by) and
		(confirmed_by is null or confirmed_by <> requested_by and confirmed_by <> approved_by))
);
comment on table sealtrail.disclosure is 'Packages for a recipient''s public key: what was asked for, who approved it, what left. Scope institution needs a third person.';

create table sealtrail.sealed_intake (
	institution text not null,
	envelope_sha256 bytea not null,
	complaint uuid,
	sealed_at timestamptz not null,
	ingested_at timestamptz not null,
	constraint sealed_intake_pkey primary key (institution, envelope_sha256)
);
comment on table sealtrail.sealed_intake is 'Which sealed envelope became which complaint: bringing one in twice makes one.';

create table keys.wrapped_file (
	institution text not null,
	complaint uuid not null,
	file uuid not null,
	generation integer not null,
	wrapped text not null,
	commitment bytea not null,
	key_version integer not null,
	constraint wrapped_file_pkey primary key (institution, file, generation)
);
comment on table keys.wrapped_file is 'Data keys of attachments and recordings, one per file.';
create index wrapped_file_complaint_idx on keys.wrapped_file (institution, complaint);

create table keys.destroyed (
	institution text not null,
	complaint uuid not null,
	part text not null,
	generation integer not null,
	commitment bytea not null,
	wrapped_sha256 bytea not null,
	key_version integer not null,
	why text not null constraint destroyed_why_check check (why in ('shred', 'generation')),
	destroyed_at timestamptz not null,
	constraint destroyed_pkey primary key (institution, complaint, part, generation)
);
comment on table keys.destroyed is 'Keys that were destroyed on purpose: what is missing here is a loss. Travels with the backup of the keys, so that an old backup of the data knows.';
comment on column keys.destroyed.part is 'Empty for the record''s own key, else the id of the file.';

create table keys.epoch (
	institution text not null,
	key text not null,
	version integer not null,
	state text not null constraint epoch_state_check check (state in ('proposed', 'confirmed', 'closed', 'withdrawn')),
	proposed_by text not null,
	proposed_at timestamptz not null,
	confirmed_by text,
	confirmed_at timestamptz,
	not_before timestamptz,
	closed_at timestamptz,
	min_available integer,
	closed_entry bigint,
	constraint epoch_pkey primary key (institution, key, version),
	constraint epoch_two_persons_check check (confirmed_by is null or confirmed_by <> proposed_by)
);
comment on table keys.epoch is 'Closings of master key epochs: every version below the named one is given up for ever, after two custodians and a delay.';

create table keys.index_epoch (
	institution text not null,
	epoch integer not null,
	key text not null,
	state text not null constraint index_epoch_state_check check (state in ('building', 'current', 'retired', 'dropped')),
	created_at timestamptz not null,
	switched_at timestamptz,
	constraint index_epoch_pkey primary key (institution, epoch)
);
comment on table keys.index_epoch is 'Generations of the blind indexes. Writers fill the current and the building one, readers use the current one. No row: epoch 1 is current.';
create unique index index_epoch_current_idx on keys.index_epoch (institution) where state = 'current';
create unique index index_epoch_building_idx on keys.index_epoch (institution) where state = 'building';

create table keys.intake (
	institution text not null,
	version integer not null,
	public bytea not null,
	wrapped text not null,
	commitment bytea not null,
	key_version integer not null,
	created_at timestamptz not null,
	retired_at timestamptz,
	constraint intake_pkey primary key (institution, version)
);
comment on table keys.intake is 'Key pairs of sealed intake; the private half is wrapped by Vault like a data key.';

create table jobs.progress (
	institution text not null,
	job text not null,
	run uuid not null,
	holder text not null default '',
	target text not null,
	cursor text not null,
	done bigint not null,
	total bigint not null,
	failed bigint not null,
	state text not null constraint progress_state_check check (state in ('running', 'paused', 'finished', 'cancelled')),
	started_at timestamptz not null,
	updated_at timestamptz not null,
	constraint progress_pkey primary key (institution, job)
);
comment on column jobs.progress.holder is 'Which process works at it; whoever finds it silent for long takes the run over.';
comment on table jobs.progress is 'How far a resumable job is: where it goes on after it was killed. The log proves the figures; this row only remembers the place.';

-- The service destroys and rewraps keys through these two only: what is
-- destroyed leaves a row, and a rewrapped key stays the same data key.
-- +goose StatementBegin
create function keys.destroy(p_institution text, p_complaint uuid, p_part text, p_generation integer, p_why text, p_at timestamptz) returns bigint
language plpgsql security definer set search_path = pg_catalog, pg_temp as $$
declare
	n bigint;
begin
	with gone as (
		delete from keys.wrapped w where p_part = '' and w.institution = p_institution and w.complaint = p_complaint and w.generation = p_generation
		returning w.wrapped, w.commitment, w.key_version
	), gone_file as (
		delete from keys.wrapped_file w where p_part <> '' and w.institution = p_institution and w.complaint = p_complaint
			and w.file::text = p_part and w.generation = p_generation
		returning w.wrapped, w.commitment, w.key_version
	)
	insert into keys.destroyed (institution, complaint, part, generation, commitment, wrapped_sha256, key_version, why, destroyed_at)
	select p_institution, p_complaint, p_part, p_generation, g.commitment, sha256(convert_to(g.wrapped, 'UTF8')), g.key_version, p_why, p_at
	from (select * from gone union all select * from gone_file) g;
	get diagnostics n = row_count;
	return n;
end
$$;
-- +goose StatementEnd
comment on function keys.destroy(text, uuid, text, integer, text, timestamptz) is 'Deletes one wrapped key and remembers that and what it was. Returns 1, or 0 if there was none.';

-- +goose StatementBegin
create function keys.rewrap(p_institution text, p_complaints uuid[], p_parts text[], p_generations integer[], p_was text[], p_now text[], p_version integer) returns bigint
language plpgsql security definer set search_path = pg_catalog, pg_temp as $$
declare
	n bigint;
	m bigint;
begin
	update keys.wrapped w set wrapped = t.now, key_version = p_version
	from unnest(p_complaints, p_parts, p_generations, p_was, p_now) as t (complaint, part, generation, was, now)
	where t.part = '' and w.institution = p_institution and w.complaint = t.complaint and w.generation = t.generation
		and w.wrapped = t.was and w.key_version < p_version;
	get diagnostics n = row_count;
	update keys.wrapped_file w set wrapped = t.now, key_version = p_version
	from unnest(p_complaints, p_parts, p_generations, p_was, p_now) as t (complaint, part, generation, was, now)
	where t.part <> '' and w.institution = p_institution and w.complaint = t.complaint and w.file::text = t.part and w.generation = t.generation
		and w.wrapped = t.was and w.key_version < p_version;
	get diagnostics m = row_count;
	return n + m;
end
$$;
-- +goose StatementEnd
comment on function keys.rewrap(text, uuid[], text[], integer[], text[], text[], integer) is 'Replaces wrapped keys that are still what they were, by a newer version only. Returns how many.';
-- +goose StatementBegin
create function keys.hold_index(p_institution text, p_epochs integer[]) returns void
language plpgsql security definer set search_path = pg_catalog, pg_temp as $$
begin
	perform pg_advisory_xact_lock_shared(hashtextextended('sealtrail index ' || p_institution, 0));
	if p_epochs is distinct from coalesce((select array_agg(e.epoch order by e.state = 'building') from keys.index_epoch e
			where e.institution = p_institution and e.state in ('current', 'building')), '{1}') then
		raise exception 'index epochs have moved' using errcode = 'ST001';
	end if;
end
$$;
-- +goose StatementEnd
comment on function keys.hold_index(text, integer[]) is 'Holds the generations of the indexes still until the transaction ends. SQLSTATE ST001 if they are not the named ones, current first: then the writer knew an older state, and its tokens would be found by nobody.';

-- +goose StatementBegin
create function keys.stop_index(p_institution text) returns void
language plpgsql security definer set search_path = pg_catalog, pg_temp as $$
begin
	perform pg_advisory_xact_lock(hashtextextended('sealtrail index ' || p_institution, 0));
end
$$;
-- +goose StatementEnd
comment on function keys.stop_index(text) is 'Waits for the writers of tokens that are under way and keeps others waiting until the transaction ends: for whoever moves the generations.';
revoke all on function keys.hold_index(text, integer[]) from public;
revoke all on function keys.stop_index(text) from public;
revoke all on function keys.destroy(text, uuid, text, integer, text, timestamptz) from public;
revoke all on function keys.rewrap(text, uuid[], text[], integer[], text[], text[], integer) from public;

reset role;

grant usage on schema jobs to sealtrail_app;
grant execute on function keys.hold_index(text, integer[]), keys.stop_index(text) to sealtrail_app;
grant execute on function keys.destroy(text, uuid, text, integer, text, timestamptz) to sealtrail_app;
grant execute on function keys.rewrap(text, uuid[], text[], integer[], text[], text[], integer) to sealtrail_app;
grant select, insert, update on sealtrail.legal_hold, sealtrail.erasure, sealtrail.erasure_item, sealtrail.disclosure to sealtrail_app;
grant select, insert on sealtrail.sealed_intake to sealtrail_app;
grant select on keys.destroyed to sealtrail_app;
grant select, insert on keys.wrapped_file to sealtrail_app;
grant select, insert, update on keys.epoch, keys.index_epoch, keys.intake to sealtrail_app;
grant select, insert, update, delete on jobs.progress to sealtrail_app;
