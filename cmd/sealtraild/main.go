// Command sealtraild is the server of Sealtrail and its operator's tool: serve,
// migrate, institution, trail, policy, witness, doctor and demo.
//
// The one idea: everything that needs a database address, an operator's token
// or a folder of the log is here; people and scripts use sealtrail, which only
// speaks HTTP, and auditors use trailcheck, which needs nothing but files.
package main

import (
	"context"
	"os"
	"os/signal"
	"syscall"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	code := run(ctx, os.Args[1:], os.Stdout, os.Stderr)
	stop()
	os.Exit(int(code))
}
