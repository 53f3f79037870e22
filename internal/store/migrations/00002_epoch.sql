-- +goose Up

set role sealtrail_owner;

create table people.epoch (
	institution text not null,
	n bigint not null,
	constraint epoch_pkey primary key (institution)
);
comment on table people.epoch is 'Counts the changes of an institution''s register. What a process remembers of a person is true while this number is the one it was read with.';
comment on column people.epoch.institution is 'Whose register.';
comment on column people.epoch.n is 'Grows by one with each changed row of people, in the change''s own transaction. people.budget is left out: it is compared when it is spent.';

-- +goose StatementBegin
create function people.count_change() returns trigger
language plpgsql security definer set search_path = pg_catalog, pg_temp as $$
begin
	insert into people.epoch as e (institution, n) values (coalesce(new.institution, old.institution), 1)
	on conflict (institution) do update set n = e.n + 1;
	return null;
end
$$;
-- +goose StatementEnd
comment on function people.count_change() is 'Counts a change of the register in people.epoch.';
revoke all on function people.count_change() from public;

create trigger count_change after insert or update or delete on people.person for each row execute function people.count_change();
create trigger count_change after insert or update or delete on people.duty for each row execute function people.count_change();
create trigger count_change after insert or update or delete on people.training for each row execute function people.count_change();
create trigger count_change after insert or update or delete on people.undertaking for each row execute function people.count_change();
create trigger count_change after insert or update or delete on people.requirement for each row execute function people.count_change();
create trigger count_change after insert or update or delete on people.access_grant for each row execute function people.count_change();
create trigger count_change after insert or update or delete on people.break_glass for each row execute function people.count_change();

reset role;

grant select on people.epoch to sealtrail_app;
