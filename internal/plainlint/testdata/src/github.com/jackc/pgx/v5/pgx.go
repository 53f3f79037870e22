// Package pgx stands in for the real one.
package pgx

// Tx is a transaction.
type Tx interface {
	Exec(sql string, args ...any) error
}
