package main

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"time"

	"github.com/sealtrail/sealtrail/internal/server"
)

// policyReplay has the flags of `sealtraild trail check`, by the same names.
type policyReplay struct {
	Institution     string `env:"SEALTRAIL_INSTITUTION" required:""`
	DatabaseURLFile string `help:"File with the database address (role sealtrail_app); with it the result becomes an entry." env:"SEALTRAIL_DATABASE_URL_FILE"`
	Published       string `help:"Folder of the published log." env:"SEALTRAIL_PUBLISHED" required:""`
	Key             string `help:"File with the log's verifier key (sealtraild trail key)." required:"" type:"existingfile"`
	Year            int    `help:"Year of the log; default: this one (UTC)."`
	From            uint64 `help:"First entry, by index."`
	Until           uint64 `help:"First entry that is not looked at; 0: all that is published."`
	Output          string `short:"o" enum:"table,json" default:"table" help:"table or json."`
}

// Run evaluates the recorded decisions again; exit code 4 if any differs.
func (p *policyReplay) Run(ctx context.Context, c console) error {
	key, err := os.ReadFile(p.Key)
	if err != nil {
		return err
	}
	if p.Year == 0 {
		p.Year = time.Now().UTC().Year()
	}
	folder := filepath.Join(p.Published, p.Institution, strconv.Itoa(p.Year))
	r, err := server.ReplayPolicy(ctx, os.DirFS(folder), string(key), p.From, p.Until)
	if err != nil {
		return err
	}
	if err := p.print(c, r); err != nil {
		return err
	}
	if p.DatabaseURLFile != "" {
		if err := p.record(ctx, r); err != nil {
			return err
		}
	}
	if r.Differing > 0 {
		return findings{r.Differing}
	}
	return nil
}

func (p *policyReplay) record(ctx context.Context, r *server.Replay) error {
	pool, err := openPool(ctx, p.DatabaseURLFile)
	if err != nil {
		return err
	}
	defer pool.Close()
	return server.RecordReplay(ctx, pool, p.Institution, r)
}

func (p *policyReplay) print(c console, r *server.Replay) error {
	if p.Output == "json" {
		enc := json.NewEncoder(c.out)
		enc.SetIndent("", "  ")
		return enc.Encode(r)
	}
	for _, d := range r.Differences {
		if _, err := fmt.Fprintf(c.out, "✗ entry %d: its archived policy bundle decides otherwise (%s) / 第 %d 条:其策略包的决定与记录不同(%s)\n", d.Index, d.What, d.Index, d.What); err != nil {
			return err
		}
	}
	mark := "✓"
	if r.Differing > 0 {
		mark = "✗"
	}
	why := ""
	for _, reason := range slices.Sorted(maps.Keys(r.Why)) {
		why += fmt.Sprintf(", %s %d", reason, r.Why[reason])
	}
	_, err := fmt.Fprintf(c.out, "%s entries %d to %d of %s: %d decisions evaluated again, %d differ, %d skipped%s / 复算 %d 项决定,%d 项不同,跳过 %d 项\n",
		mark, r.From, r.Until, r.Origin, r.Replayed, r.Differing, r.Skipped, why, r.Replayed, r.Differing, r.Skipped)
	return err
}
