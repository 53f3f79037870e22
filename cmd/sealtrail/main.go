// Command sealtrail is the client of Sealtrail for people and scripts: it files,
// reads, reveals, searches and moves complaints, imports files and fetches
// figures, all over HTTP.
//
// The one idea: it knows nothing that the server does not tell it, and says no
// less: a refusal comes with its rule, its article, the next step and an exit
// code (docs/exit-codes.md). It must never know a database, a key or a policy.
package main

import (
	"context"
	"os"
	"os/signal"
	"syscall"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	code := run(ctx, os.Args[1:], &streams{in: os.Stdin, out: os.Stdout, err: os.Stderr})
	stop()
	os.Exit(int(code))
}
