package pglog

import (
	"errors"
	"fmt"

	"github.com/jackc/pgx/v5/pgconn"
)

// unavailable wraps err so that errors.Is(result, ErrUnavailable) holds. PostgreSQL's own errors are cut to code and message:
// their detail may quote a row.
func unavailable(doing string, err error) error {
	return fmt.Errorf("%s: %w: %w", doing, ErrUnavailable, withoutDetail(err))
}

// withoutDetail drops what a database error quotes of the statement's values and keeps its code and constraint.
func withoutDetail(err error) error {
	var pg *pgconn.PgError
	if !errors.As(err, &pg) {
		return err
	}
	return &pgconn.PgError{Severity: pg.Severity, Code: pg.Code, Message: pg.Message, ConstraintName: pg.ConstraintName,
		SchemaName: pg.SchemaName, TableName: pg.TableName}
}

// sqlState is the SQLSTATE of a database error, "" of any other.
func sqlState(err error) string {
	var pg *pgconn.PgError
	if !errors.As(err, &pg) {
		return ""
	}
	return pg.Code
}
