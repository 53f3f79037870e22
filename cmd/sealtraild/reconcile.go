package main

import (
	"context"
	"fmt"

	"github.com/sealtrail/sealtrail/internal/reconcile"
	"github.com/sealtrail/sealtrail/internal/server"
)

type reconcileCommand struct {
	server.ReconcileConfig
	Once   bool   `help:"Compare what is there and end; exit code 4 if anything is alone." xor:"mode"`
	Follow bool   `help:"Go on comparing until a signal comes (the default)." xor:"mode"`
	Output string `short:"o" enum:"table,json" default:"table" help:"table or json; of --once."`
}

// Run compares what Vault wrote down of the keys with what the log says, in both
// directions.
func (k *reconcileCommand) Run(ctx context.Context, c console) error {
	r, err := server.NewReconciler(ctx, k.ReconcileConfig, c.err)
	if err != nil {
		return err
	}
	defer r.Close()
	if !k.Once {
		if len(k.VaultAuditFile) != 1 {
			return usageError{"--follow follows one file"}
		}
		return r.Follow(ctx)
	}
	found, err := r.Once(ctx)
	if err != nil {
		return err
	}
	if err := k.print(c, found); err != nil {
		return err
	}
	if n := len(found.Alarms); n > 0 {
		return findings{n}
	}
	return nil
}

func (k *reconcileCommand) print(c console, r *reconcile.Result) error {
	if k.Output == "json" {
		return asJSON(c.out, r)
	}
	for _, a := range r.Alarms {
		if _, err := fmt.Fprintln(c.out, "✗", a.What, a.At.Format("2006-01-02T15:04:05Z"), a.Batch, a.Line); err != nil {
			return err
		}
	}
	_, err := fmt.Fprintf(c.out, "%s %s: %d calls with %d items, %d matched, %d findings; segment %s\n"+
		"– not seen: who decrypts offline with unseal shares and a snapshot of Vault\n",
		mark(r.State == reconcile.StateGood), r.State, r.Counts.Calls, r.Counts.Items, r.Counts.Matched, len(r.Alarms), r.Segment)
	return err
}
