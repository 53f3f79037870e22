package main

import (
	"context"
	"fmt"

	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/sealtrail/sealtrail/internal/server"
	"github.com/sealtrail/sealtrail/internal/store"
)

// trailAccept writes the entry node.accepted, which `serve` asks for where no
// standby is synchronous.
type trailAccept struct {
	Institution     string `env:"SEALTRAIL_INSTITUTION" required:""`
	DatabaseURLFile string `help:"File with the database address (role sealtrail_app)." env:"SEALTRAIL_DATABASE_URL_FILE" required:""`
	Withdraw        bool   `help:"Take the acceptance back: from the next start on a synchronous standby is required."`
	confirmed
}

// Run writes the entry, unless the log says the same already.
func (t *trailAccept) Run(ctx context.Context, c console) error {
	if err := t.check(t.Institution); err != nil {
		return err
	}
	pool, err := openPool(ctx, t.DatabaseURLFile)
	if err != nil {
		return err
	}
	defer pool.Close()
	written, err := server.AcceptSingleNode(ctx, pool, t.Institution, "operator", !t.Withdraw)
	if err != nil {
		return err
	}
	said := "accepted in the log: what was acknowledged may be lost with the one database node / 已在日志中接受:已确认的写入可能随唯一的数据库节点丢失"
	if t.Withdraw {
		said = "withdrawn in the log: a synchronous standby is required from the next start on / 已在日志中撤回:下次启动起须有同步备库"
	}
	if !written {
		said += " (the log said so already / 日志中已有)"
	}
	_, err = fmt.Fprintln(c.out, "✓", said)
	return err
}

// openPool connects with the address in a file.
func openPool(ctx context.Context, file string) (*pgxpool.Pool, error) {
	dsn, err := server.Secret(file)
	if err != nil {
		return nil, err
	}
	pool, err := pgxpool.New(ctx, dsn)
	if err != nil {
		return nil, fmt.Errorf("opening the database: %w", store.Classify(err))
	}
	return pool, nil
}

func (d *doctorCommand) singleNodeAccepted(ctx context.Context) (bool, error) {
	pool, err := openPool(ctx, d.DatabaseURLFile)
	if err != nil {
		return false, err
	}
	defer pool.Close()
	return server.SingleNodeAccepted(ctx, pool, d.Institution)
}
