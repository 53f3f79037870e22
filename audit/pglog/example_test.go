package pglog_test

import (
	"context"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/sealtrail/sealtrail/audit"
	"github.com/sealtrail/sealtrail/audit/pglog"
)

// A disclosure has a durable entry first; a change and its entry are one transaction.
func ExampleLog() {
	use := func(ctx context.Context, pool *pgxpool.Pool) error {
		log, err := pglog.New(ctx, pglog.Config{Pool: pool, Institution: "demo-bank"})
		if err != nil {
			return err
		}
		go func() { _ = log.Run(ctx) }()
		alias, err := log.Alias(ctx, "li.na")
		if err != nil {
			return err
		}
		intent := audit.Body{At: time.Now(), Stage: audit.StageIntent, Kind: "access.reveal", Actor: audit.Actor{ID: alias}, Subject: "complaint:1"}
		receipts, err := log.Append(ctx, intent) // errors.Is(err, pglog.ErrUnavailable): disclose nothing
		if err != nil {
			return err
		}
		fmt.Println("durable as entry", receipts[0].EntryID())
		return pgx.BeginFunc(ctx, pool, func(tx pgx.Tx) error {
			event := audit.Body{At: time.Now(), Stage: audit.StageEvent, Kind: "complaint.accepted", Actor: audit.Actor{ID: alias}, Subject: "complaint:1"}
			_, err := log.AppendTx(ctx, tx, event) // commits with whatever else tx does
			return err
		})
	}
	_ = use
}

// A Sequencer gives entries their indexes, some 25 ms after they were appended.
func ExampleSequencer() {
	run := func(ctx context.Context, pool *pgxpool.Pool) error {
		shard := pglog.Shard{Institution: "demo-bank", Year: 2026, Origin: "sealtrail.example/demo-bank/2026"}
		if _, err := pglog.EnsureLog(ctx, pool, shard); err != nil {
			return err
		}
		s, err := pglog.NewSequencer(ctx, pglog.SequencerConfig{Pool: pool, Institution: "demo-bank"})
		if err != nil {
			return err
		}
		return s.Run(ctx)
	}
	_ = run
}

func ExampleReceipt() {
	var r pglog.Receipt // nobody else can make a valid one
	wanted := pglog.BindingOf("demo-bank", "complaint:1", 3, "d-1", []string{"phone"})
	fmt.Println(r.Valid() && r.Stage() == audit.StageIntent && r.Binding() == wanted)
	// Output: false
}

func ExampleShard() {
	fmt.Println(pglog.Shard{Institution: "demo-bank", Year: 2026}.Folder())
	// Output: demo-bank/2026
}

func ExampleFinding() {
	fmt.Println(pglog.Finding{Table: "audit.entry", Log: "sealtrail.example/demo-bank/2026", Code: pglog.FoundChanged, ID: 124, HasID: true,
		Index: 123, HasIndex: true, Detail: "the body is not the one that was sequenced"})
	// Output: audit.entry of sealtrail.example/demo-bank/2026 id 124 index 123: changed: the body is not the one that was sequenced
}
