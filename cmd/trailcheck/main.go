// Command trailcheck verifies a published Sealtrail log offline, explains one entry of it, and recomputes supervision figures
// from it.
//
// The one idea: whoever checks must not have to trust what is checked. The command needs the published files, a public key
// and, to convict a log that was rewritten as a whole, one earlier checkpoint or a witness's key. It links no database, no
// Vault client, no policy engine and no telemetry, opens no connection and writes no file but the one it is told to.
package main

import (
	"context"
	"os"
	"os/signal"
	"syscall"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	code := run(ctx, &console{out: os.Stdout, err: os.Stderr, getenv: os.Getenv}, os.Args[1:])
	stop()
	os.Exit(int(code))
}
