package pglog

import (
	"context"
	"database/sql"
	"embed"
	"fmt"
	"io/fs"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/stdlib"
	"github.com/pressly/goose/v3"
)

//go:embed migrations/*.sql
var migrations embed.FS

// migrationLock serialises concurrent migrations of one cluster; roles are shared by all of its databases.
const migrationLock = 0x7365616c61756474 // "sealaudt"

// rolesAndSchema is what must exist before the first migration, whose own version table lives in the schema.
// A role made by a concurrent migration of another database is not an error.
const rolesAndSchema = `
do $$ begin
    if not exists (select from pg_roles where rolname = 'audit_owner') then create role audit_owner nologin; end if;
exception when duplicate_object or unique_violation then null; end $$;
do $$ begin
    if not exists (select from pg_roles where rolname = 'sealtrail_app') then create role sealtrail_app nologin; end if;
exception when duplicate_object or unique_violation then null; end $$;
create schema if not exists audit authorization audit_owner;`

// Migrate brings schema audit of the database at adminDSN to the newest version. It is idempotent and forward only, and safe
// to run from several processes at once. The role must be a superuser: the fence against DDL is an event trigger, which
// PostgreSQL gives to superusers only. Migrate creates the roles audit_owner (NOLOGIN, owns the schema) and sealtrail_app
// (NOLOGIN until somebody alters it; may only append, sequence and read) where they do not exist.
func Migrate(ctx context.Context, adminDSN string) error {
	cfg, err := pgx.ParseConfig(adminDSN)
	if err != nil {
		return fmt.Errorf("reading the administrator's address: %w", redactDSN(err))
	}
	cfg.RuntimeParams["audit.migration"] = "on" // tells our own DDL fence that this session is a migration
	db := stdlib.OpenDB(*cfg)
	defer func() { _ = db.Close() }()
	db.SetMaxOpenConns(2) // one holds the lock
	lock, err := db.Conn(ctx)
	if err != nil {
		return fmt.Errorf("connecting as administrator: %w", err)
	}
	defer func() { _ = lock.Close() }()
	if _, err := lock.ExecContext(ctx, "select pg_advisory_lock($1)", int64(migrationLock)); err != nil {
		return fmt.Errorf("locking migrations: %w", err)
	}
	defer func() {
		_, _ = lock.ExecContext(context.WithoutCancel(ctx), "select pg_advisory_unlock($1)", int64(migrationLock))
	}()
	return migrateLocked(ctx, db)
}

func migrateLocked(ctx context.Context, db *sql.DB) error {
	if _, err := db.ExecContext(ctx, rolesAndSchema); err != nil {
		return fmt.Errorf("creating roles and schema audit: %w", err)
	}
	dir, err := fs.Sub(migrations, "migrations")
	if err != nil {
		return fmt.Errorf("opening embedded migrations: %w", err)
	}
	provider, err := goose.NewProvider(goose.DialectPostgres, db, dir,
		goose.WithTableName("audit.migration"), goose.WithDisableGlobalRegistry(true))
	if err != nil {
		return fmt.Errorf("reading migrations: %w", err)
	}
	if _, err := provider.Up(ctx); err != nil {
		return fmt.Errorf("migrating schema audit: %w", err)
	}
	return nil
}

// redactDSN keeps a connection string, which may hold a password, out of errors.
func redactDSN(error) error { return fmt.Errorf("not a PostgreSQL connection string") }
