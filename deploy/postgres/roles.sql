-- Roles of Sealtrail, once per cluster, by a superuser:
--   psql -v ON_ERROR_STOP=1 -f deploy/postgres/roles.sql
-- Running it again changes nothing. The password of sealtrail_app is set by the
-- operator afterwards (\password sealtrail_app), never in a file.
--
-- Nobody can log in as an owner: tables belong to roles without login, so that
-- the service cannot alter, drop or truncate what it writes to.

do $$
begin
  if not exists (select from pg_roles where rolname = 'audit_owner') then
    create role audit_owner nologin nosuperuser nocreatedb nocreaterole noreplication nobypassrls;
  end if;
  if not exists (select from pg_roles where rolname = 'sealtrail_owner') then
    create role sealtrail_owner nologin nosuperuser nocreatedb nocreaterole noreplication nobypassrls;
  end if;
  if not exists (select from pg_roles where rolname = 'sealtrail_app') then
    create role sealtrail_app login nosuperuser nocreatedb nocreaterole noreplication nobypassrls noinherit connection limit 200;
  end if;
end
$$;

comment on role audit_owner is 'owns the schema audit; the service can only execute its functions';
comment on role sealtrail_owner is 'owns the other schemas of Sealtrail';
comment on role sealtrail_app is 'the service; owns nothing';
