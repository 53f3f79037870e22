-- +goose Up

create schema sealtrail authorization sealtrail_owner;
create schema keys authorization sealtrail_owner;
create schema people authorization sealtrail_owner;

set role sealtrail_owner;

create table sealtrail.complaint (
	institution text not null,
	id uuid not null,
	revision bigint not null,
	schema_version integer not null,
	generation integer not null,
	complaint_no text not null,
	source text not null,
	source_id text not null,
	channel text not null,
	received_at timestamptz not null,
	received_evidence text not null,
	recorded_at timestamptz not null,
	state text not null,
	stage text not null,
	sensitivity text not null,
	level text not null,
	type text not null,
	business_code text not null,
	product_code text not null,
	reason_code text not null,
	branch text not null,
	department text not null,
	assignee text not null,
	party_type text not null,
	id_type text not null,
	third_party text not null,
	regulator_ref text not null,
	referral text not null,
	group_flag boolean not null,
	amount_band text not null,
	holds text[] not null,
	retention_until timestamptz,
	milestones jsonb not null,
	performers jsonb not null,
	extension_days jsonb not null,
	under_review boolean not null,
	earlier_handlers text[] not null,
	respondent_bidx bytea[] not null,
	data_subject_bidx bytea,
	due_at timestamptz not null,
	due_clock text not null,
	due_provisional boolean not null,
	manifest bytea not null,
	complainant_name_sealed bytea,
	representative_name_sealed bytea,
	id_number_sealed bytea,
	birth_date_sealed bytea,
	address_sealed bytea,
	phone_sealed bytea,
	email_sealed bytea,
	bank_card_sealed bytea,
	account_no_sealed bytea,
	transactions_sealed bytea,
	narrative_sealed bytea,
	demand_sealed bytea,
	respondent_staff_id_sealed bytea,
	respondent_name_sealed bytea,
	contact_notes_sealed bytea,
	findings_sealed bytea,
	plan_sealed bytea,
	decision_text_sealed bytea,
	amount_claimed_sealed bytea,
	amount_paid_sealed bytea,
	satisfaction_reason_sealed bytea,
	whistle_report_sealed bytea,
	constraint complaint_pkey primary key (institution, id),
	constraint complaint_no_key unique (institution, complaint_no),
	constraint complaint_source_key unique (institution, source, source_id)
);
comment on table sealtrail.complaint is 'One complaint: clear C1 columns that policy, clocks and lists read, and one sealed envelope per classified field. The manifest authenticates both.';
comment on column sealtrail.complaint.manifest is 'List of (path, field revision, suite, SHA-256 of envelope) and MAC over it and over the clear attributes; crypto/FORMAT.md';
comment on column sealtrail.complaint.revision is 'Grows by one with each change; also in the audit entry of the change';
comment on column sealtrail.complaint.generation is 'Generation of the data key in keys.wrapped';
comment on column sealtrail.complaint.milestones is 'Event time per milestone, RFC 3339 microseconds; clocks are computed from it';
comment on column sealtrail.complaint.respondent_bidx is 'Blind-index tokens of the staff complained about, so that recusal needs no decryption';
comment on column sealtrail.complaint.performers is 'Who last did each transition, for the four-eyes rules';
comment on column sealtrail.complaint.data_subject_bidx is 'Blind-index token of the complainant''s identity number, for repeats and subject requests';
comment on column sealtrail.complaint.due_at is 'Earliest unmet time limit, infinity when none is open';

-- Ciphertext does not compress: do not try.
alter table sealtrail.complaint
	alter column narrative_sealed set storage external,
	alter column demand_sealed set storage external,
	alter column transactions_sealed set storage external,
	alter column contact_notes_sealed set storage external,
	alter column findings_sealed set storage external,
	alter column plan_sealed set storage external,
	alter column decision_text_sealed set storage external,
	alter column manifest set storage external;

create index complaint_due_idx on sealtrail.complaint (institution, due_at, id);

create table sealtrail.blind_index (
	institution text not null,
	field text not null,
	epoch integer not null,
	token bytea not null,
	complaint uuid not null,
	constraint blind_index_pkey primary key (institution, field, epoch, token, complaint),
	constraint blind_index_complaint_fkey foreign key (institution, complaint)
		references sealtrail.complaint (institution, id) deferrable initially immediate
);
comment on table sealtrail.blind_index is 'Equality search: keyed token computed inside Vault. Leaks equality and frequency within (institution, field, epoch).';
create index blind_index_complaint_idx on sealtrail.blind_index (institution, complaint);

create table sealtrail.idempotency (
	institution text not null,
	principal text not null,
	route text not null,
	key_hmac bytea not null,
	request_hmac bytea not null,
	status integer not null,
	resource uuid not null,
	created_at timestamptz not null default clock_timestamp(),
	constraint idempotency_pkey primary key (institution, principal, route, key_hmac)
);
comment on table sealtrail.idempotency is 'Which request made which resource; the reply is rebuilt, never stored.';

create table keys.wrapped (
	institution text not null,
	complaint uuid not null,
	generation integer not null,
	wrapped text not null,
	commitment bytea not null,
	key_version integer not null,
	constraint wrapped_pkey primary key (institution, complaint, generation)
);
comment on table keys.wrapped is 'Data keys, wrapped by Vault under the record''s own derived key. A schema of its own so that it can be backed up apart.';

create table people.person (
	institution text not null,
	id text not null,
	kind text not null constraint person_kind_check check (kind in ('human', 'application', 'portal')),
	department text not null,
	staff_bidx bytea,
	status text not null constraint person_status_check check (status in ('active', 'leave', 'left')),
	constraint person_pkey primary key (institution, id)
);
comment on table people.person is 'Who may be appointed. No name: the staff id is kept as a blind index, for recusal.';

create table people.duty (
	institution text not null,
	id uuid not null,
	person text not null,
	role text not null,
	level smallint not null constraint duty_level_check check (level between 1 and 3),
	department text not null,
	valid_from timestamptz not null,
	valid_until timestamptz not null,
	appointed_by text not null,
	confirmed_by text,
	ended_at timestamptz,
	constraint duty_pkey primary key (institution, id),
	constraint duty_person_fkey foreign key (institution, person) references people.person (institution, id),
	constraint duty_two_persons_check check (confirmed_by is null or confirmed_by <> appointed_by)
);
comment on table people.duty is 'Duty register: an appointment is in force once a second person confirmed it. Effective roles = token AND this.';
create index duty_person_idx on people.duty (institution, person);

create table people.training (
	institution text not null,
	person text not null,
	course text not null,
	passed_at timestamptz not null,
	valid_until timestamptz not null,
	score integer not null,
	recorded_by text not null,
	constraint training_pkey primary key (institution, person, course, passed_at),
	constraint training_person_fkey foreign key (institution, person) references people.person (institution, id)
);

create table people.undertaking (
	institution text not null,
	person text not null,
	version text not null,
	signed_at timestamptz not null,
	constraint undertaking_pkey primary key (institution, person, version),
	constraint undertaking_person_fkey foreign key (institution, person) references people.person (institution, id)
);

create table people.requirement (
	institution text not null,
	name text not null,
	value text not null,
	constraint requirement_pkey primary key (institution, name)
);
comment on table people.requirement is 'The institution''s own numbers: undertaking version in force, pass mark, reveals per hour. Set by institution add.';

create table people.budget (
	institution text not null,
	person text not null,
	hour timestamptz not null,
	reveals integer not null,
	constraint budget_pkey primary key (institution, person, hour)
);
comment on table people.budget is 'Reveals per person and hour (R10).';

create table people.access_grant (
	institution text not null,
	id uuid not null,
	complaint uuid not null,
	requester text not null,
	purpose text not null,
	groups text[] not null,
	minutes integer not null,
	reason_sealed bytea not null,
	state text not null constraint access_grant_state_check check (state in ('requested', 'issued', 'refused', 'revoked')),
	requested_at timestamptz not null,
	reviewer text,
	valid_from timestamptz,
	valid_until timestamptz,
	constraint access_grant_pkey primary key (institution, id),
	constraint access_grant_complaint_fkey foreign key (institution, complaint) references sealtrail.complaint (institution, id),
	constraint access_grant_two_persons_check check (reviewer is null or state = 'revoked' or reviewer <> requester)
);
create index access_grant_requester_idx on people.access_grant (institution, requester, complaint);

create table people.break_glass (
	institution text not null,
	id uuid not null,
	complaint uuid not null,
	person text not null,
	ticket text not null,
	reason_sealed bytea not null,
	opened_at timestamptz not null,
	valid_until timestamptz not null,
	closed_at timestamptz,
	reviewer text,
	reviewed_at timestamptz,
	justified boolean,
	constraint break_glass_pkey primary key (institution, id),
	constraint break_glass_complaint_fkey foreign key (institution, complaint) references sealtrail.complaint (institution, id),
	constraint break_glass_two_persons_check check (reviewer is null or reviewer <> person)
);
create index break_glass_person_idx on people.break_glass (institution, person, complaint);

reset role;

grant usage on schema sealtrail, keys, people to sealtrail_app;
grant select, insert, update on sealtrail.complaint to sealtrail_app;
grant select, insert, delete on sealtrail.blind_index to sealtrail_app;
grant select, insert on sealtrail.idempotency, keys.wrapped to sealtrail_app;
grant select, insert, update on people.person, people.duty, people.budget, people.access_grant, people.break_glass to sealtrail_app;
grant select, insert on people.training, people.undertaking to sealtrail_app;
grant select on people.requirement to sealtrail_app;
