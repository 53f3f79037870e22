-- Rights on the database itself, once per database, by its owner:
--   psql -v ON_ERROR_STOP=1 -d sealtrail -f deploy/postgres/grants.sql
-- Rights on schemas, tables and functions are part of the migrations
-- (`sealtraild migrate`), next to what they are rights on.

do $$
begin
  execute format('revoke all on database %I from public', current_database());
  execute format('grant connect on database %I to sealtrail_app', current_database());
end
$$;

-- Nobody makes objects in public, and the service cannot make temporary tables
-- that shadow a name (TEMPORARY went with "revoke all").
revoke all on schema public from public;
