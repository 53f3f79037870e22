package main

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/sealtrail/sealtrail/audit/pglog"
	"github.com/sealtrail/sealtrail/crypto/transit"
	"github.com/sealtrail/sealtrail/internal/server"
	"github.com/sealtrail/sealtrail/internal/store"
)

type trailCommand struct {
	Check trailCheck `cmd:"" help:"Compare entries, leaves, tree and trails in PostgreSQL with what is published, and each complaint with the log."`
	Key   trailKey   `cmd:"" help:"Print the log's verifier key, for auditors and witnesses to pin."`

	SecondKey trailSecondKey `cmd:"" help:"Make the key of the second signature line (ML-DSA-44) if the file is not there, and print its verifier key."`

	Population trailPopulation `cmd:"" help:"Count which complaints there are, three ways: entries, rows, what source systems sent."`

	Index        trailIndex        `cmd:"" help:"Compare the search index with the entries, or make it anew."`
	EraseAliases trailEraseAliases `cmd:"" help:"Forget who stood behind an alias of a closed year."`

	Rebuild trailRebuild `cmd:"" help:"Bring a database that is behind the published log to its state, from verified bundles."`

	Retain trailRetain `cmd:"" help:"Let go of old entries in PostgreSQL, after their stored copy was read back and verified."`

	AcceptSingleNode trailAccept `cmd:"" help:"Say in the log that what was acknowledged may be lost with the one database node."`
}

type trailCheck struct {
	Institution     string `env:"SEALTRAIL_INSTITUTION" required:""`
	DatabaseURLFile string `help:"File with the database address (role sealtrail_app)." env:"SEALTRAIL_DATABASE_URL_FILE" required:""`
	Published       string `help:"Folder of the published log." env:"SEALTRAIL_PUBLISHED" required:""`
	Output          string `short:"o" enum:"table,json" default:"table" help:"table or json."`
}

// Run names table, id and index of every difference; exit code 4 if any.
func (t *trailCheck) Run(ctx context.Context, c console) error {
	dsn, err := server.Secret(t.DatabaseURLFile)
	if err != nil {
		return err
	}
	pool, err := pgxpool.New(ctx, dsn)
	if err != nil {
		return fmt.Errorf("opening the database: %w", store.Classify(err))
	}
	defer pool.Close()
	found, err := server.CheckStored(ctx, pool, t.Institution, os.DirFS(t.Published))
	if err != nil {
		return err
	}
	weak, err := pglog.SelfCheck(ctx, pool)
	if err != nil {
		return err
	}
	if err := t.print(c, found, weak); err != nil {
		return err
	}
	if n := len(found) + len(weak); n > 0 {
		return findings{n}
	}
	return nil
}

func (t *trailCheck) print(c console, found []pglog.Finding, weak []pglog.Weakness) error {
	if t.Output == "json" {
		enc := json.NewEncoder(c.out)
		enc.SetIndent("", "  ")
		return enc.Encode(map[string]any{"findings": found, "weaknesses": weak})
	}
	for _, f := range found {
		if _, err := fmt.Fprintln(c.out, "✗", f); err != nil {
			return err
		}
	}
	for _, w := range weak {
		if _, err := fmt.Fprintln(c.out, "✗", w); err != nil {
			return err
		}
	}
	if len(found)+len(weak) == 0 {
		_, err := fmt.Fprintln(c.out, "✓ PostgreSQL holds what was published, and the fences stand\n"+
			"– not checked: whether the published log is the one that was seen before (trailcheck, with a saved checkpoint or a witness)")
		return err
	}
	return nil
}

// trailKey has the flags of `sealtraild serve` that it needs, by the same names.
type trailKey struct {
	Institution   string `env:"SEALTRAIL_INSTITUTION" required:""`
	LogDomain     string `help:"First part of a log's origin." default:"sealtrail.example" env:"SEALTRAIL_LOG_DOMAIN"`
	Year          int    `help:"Year of the log; default: this one (UTC)."`
	VaultAddr     string `env:"VAULT_ADDR" required:""`
	VaultCACert   string `env:"VAULT_CACERT"`
	VaultRoleFile string `env:"SEALTRAIL_VAULT_ROLE_ID_FILE" required:""`
	VaultSecret   string `name:"vault-secret-file" env:"SEALTRAIL_VAULT_SECRET_ID_FILE" required:""`
}

// Run prints one line: the name of a year's log and the public half of the key
// in Vault that signs its checkpoints.
func (k *trailKey) Run(ctx context.Context, c console) error {
	keys, err := login(ctx, server.Config{Institution: k.Institution, VaultAddr: k.VaultAddr, VaultCACert: k.VaultCACert,
		VaultRoleFile: k.VaultRoleFile, VaultSecret: k.VaultSecret})
	if err != nil {
		return fmt.Errorf("logging in to Vault: %w", err)
	}
	if k.Year == 0 {
		k.Year = time.Now().UTC().Year()
	}
	signer, err := transit.NewCheckpointSigner(ctx, keys, server.Origin(k.LogDomain, k.Institution, k.Year))
	if err != nil {
		return fmt.Errorf("reading the log's key: %w", err)
	}
	_, err = fmt.Fprintln(c.out, signer.VerifierKey())
	return err
}
