// Package store holds all SQL of the service: complaints as rows of clear C1
// columns and sealed envelopes, wrapped data keys, blind indexes, and the duty
// register. The one idea: SQL never sees a key or a plaintext, so nothing here
// can leak what it does not have. It must never know keyrings, Vault, policy or
// HTTP; the audit log's own tables belong to audit/pglog.
package store

import (
	"context"
	"embed"
	"errors"
	"fmt"
	"io/fs"
	"net"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/jackc/pgx/v5/stdlib"
	"github.com/pressly/goose/v3"
)

//go:embed migrations/*.sql
var migrations embed.FS

// Errors that callers branch on.
var (
	// ErrNotFound is returned when no row has the key that was asked for.
	ErrNotFound = errors.New("no such row")
	// ErrStale is returned when a row has another revision than the one named.
	ErrStale = errors.New("row has another revision")
	// ErrDuplicate is returned when a unique key is taken.
	ErrDuplicate = errors.New("row exists already")
	// ErrIndexMoved is returned when tokens are of other generations of the index
	// than those in use: the writer or reader looks again and repeats.
	ErrIndexMoved = errors.New("index has another generation")
	// ErrUnavailable is returned when PostgreSQL cannot answer (in time).
	ErrUnavailable = errors.New("database unavailable")
)

// Store moves rows. It is safe for concurrent use.
type Store struct {
	pool     *pgxpool.Pool
	subjects subjects
}

// New returns a Store on pool, which the caller keeps and closes.
func New(pool *pgxpool.Pool) *Store { return &Store{pool: pool} }

// Migrate brings the schemas sealtrail, keys and people to the newest version.
// dsn must belong to a role that may create schemas and set role
// sealtrail_owner. Migrations only go forward. It is safe to call from several
// processes at once: goose holds an advisory lock.
func Migrate(ctx context.Context, dsn string) error {
	cfg, err := pgx.ParseConfig(dsn)
	if err != nil {
		return errors.New("reading the database address: not a valid DSN or URL")
	}
	db := stdlib.OpenDB(*cfg)
	defer func() { _ = db.Close() }() // nothing is lost by a connection that does not close well
	dir, err := fs.Sub(migrations, "migrations")
	if err != nil {
		return fmt.Errorf("finding the embedded migrations: %w", err)
	}
	provider, err := goose.NewProvider(goose.DialectPostgres, db, dir, goose.WithTableName("public.sealtrail_migrations"))
	if err != nil {
		return fmt.Errorf("reading migrations: %w", err)
	}
	if _, err := provider.Up(ctx); err != nil {
		return fmt.Errorf("migrating schema sealtrail: %w", err)
	}
	return nil
}

// Tx runs f in one transaction and commits it if f returns nil. f MUST NOT call
// Vault or OPA: a transaction waits for nothing but PostgreSQL (contracts.md 4).
func (s *Store) Tx(ctx context.Context, f func(pgx.Tx) error) error {
	return Classify(pgx.BeginFunc(ctx, s.pool, f))
}

// Classify maps a driver error to this package's errors and leaves errors of
// other packages as they are. The driver's message, which may quote values of
// the failing row, is dropped.
func Classify(err error) error {
	var pg *pgconn.PgError
	var netErr net.Error
	var connect *pgconn.ConnectError
	switch {
	case err == nil:
		return nil
	case errors.Is(err, pgx.ErrNoRows):
		return ErrNotFound
	case errors.As(err, &pg):
		return classifyServer(pg)
	case errors.Is(err, context.DeadlineExceeded), errors.Is(err, context.Canceled),
		errors.As(err, &connect), errors.As(err, &netErr), pgconn.Timeout(err):
		return fmt.Errorf("%w: no answer", ErrUnavailable)
	case isClosed(err):
		return fmt.Errorf("%w: connection lost", ErrUnavailable)
	}
	return err
}

func classifyServer(pg *pgconn.PgError) error {
	switch pg.Code[:2] {
	case "23":
		if pg.Code == "23505" {
			return fmt.Errorf("%w: %s", ErrDuplicate, pg.ConstraintName)
		}
		return fmt.Errorf("constraint %s refuses the row", pg.ConstraintName)
	case "08", "53", "57", "58", "XX":
		// Connection, resources (disk full), operator intervention, system, internal.
		return fmt.Errorf("%w: SQLSTATE %s", ErrUnavailable, pg.Code)
	case "25", "40", "55":
		// Read-only transaction (a standby), serialisation, lock timeouts.
		return fmt.Errorf("%w: SQLSTATE %s", ErrUnavailable, pg.Code)
	}
	if pg.Code == "ST001" { // keys.hold_index
		return ErrIndexMoved
	}
	if pg.Code == "ST002" { // jobs.answer_for
		return ErrFenced
	}
	return fmt.Errorf("SQLSTATE %s in table %s.%s", pg.Code, pg.SchemaName, pg.TableName)
}

func isClosed(err error) bool {
	return errors.Is(err, net.ErrClosed) || errors.Is(err, pgx.ErrTxClosed) || errors.Is(err, pgx.ErrTxCommitRollback) ||
		pgconn.SafeToRetry(err) || isUnexpectedEOF(err)
}
