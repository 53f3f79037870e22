package main

import (
	"context"
	"fmt"
	"time"

	"github.com/sealtrail/sealtrail/audit/publish"
	"github.com/sealtrail/sealtrail/internal/server"
)

// trailSecondKey has the flags of `sealtraild serve` that it needs, by the
// same names.
type trailSecondKey struct {
	Out         string `help:"File of the key, mode 0600; made if it is not there. It serves the logs of all years." required:""`
	Institution string `env:"SEALTRAIL_INSTITUTION" required:""`
	LogDomain   string `help:"First part of a log's origin." default:"sealtrail.example" env:"SEALTRAIL_LOG_DOMAIN"`
	Year        int    `help:"Year of the log; default: this one (UTC)."`
}

// Run prints one line: the name of a year's log and the public half of the key.
func (k *trailSecondKey) Run(_ context.Context, c console) error {
	if k.Year == 0 {
		k.Year = time.Now().UTC().Year()
	}
	key, err := publish.NewSecondKey(k.Out, server.Origin(k.LogDomain, k.Institution, k.Year))
	if err != nil {
		return err
	}
	_, err = fmt.Fprintln(c.out, key.VerifierKey())
	return err
}
