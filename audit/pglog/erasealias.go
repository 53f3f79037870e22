package pglog

import (
	"context"
	"errors"
	"fmt"

	"github.com/jackc/pgx/v5"

	"github.com/sealtrail/sealtrail/audit"
)

// ErrNotClosed is wrapped when an alias of a year whose log still takes entries was to be erased.
var ErrNotClosed = errors.New("the log of that year is not closed")

// EraseAliases forgets, with an operator's connection, who stood behind an alias of a closed year, and appends event in the same
// transaction: both, or neither. Afterwards nobody can tell, the operator included: the salt goes with the row. It returns how
// many aliases there were, 0 or 1; with 0 nothing is appended. The fact "aliases" of event is set. Logs that run keep what they
// have read in memory until they end. The error wraps [ErrNotClosed] or [ErrUnavailable].
func (l *Log) EraseAliases(ctx context.Context, admin *pgx.Conn, actor string, year int, event audit.Body) (n int64, err error) {
	err = pgx.BeginFunc(ctx, admin, func(tx pgx.Tx) error {
		err := tx.QueryRow(ctx, "select audit.erase_aliases($1, $2, $3)", l.cfg.Institution, actor, year).Scan(&n)
		if sqlState(err) == "22023" {
			return fmt.Errorf("erasing aliases: %w", ErrNotClosed)
		}
		if err != nil {
			return unavailable("erasing aliases", err)
		}
		if n == 0 {
			return nil
		}
		facts := audit.Facts{}
		for name, value := range event.Facts {
			facts[name] = value
		}
		facts["aliases"] = int(n)
		event.Facts = facts
		_, err = l.AppendTx(ctx, tx, event)
		return err
	})
	return n, err
}
