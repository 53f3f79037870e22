package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"github.com/sealtrail/sealtrail/internal/custody"
	"github.com/sealtrail/sealtrail/internal/server"
	"github.com/sealtrail/sealtrail/internal/store"
	"github.com/sealtrail/sealtrail/internal/vaultserver"
)

type institutionCommand struct {
	Add   institutionAdd   `cmd:"" help:"Make Vault keys, policy and role, and the institution's own numbers. Needs an operator's token."`
	Found institutionFound `cmd:"" help:"Enter the first two security administrators. Works once."`
}

// institutionAdd is the operator's part: the service itself may do none of it.
type institutionAdd struct {
	Name         string            `arg:"" help:"Slug of the institution, e.g. demo-bank."`
	AdminURLFile string            `help:"File with a superuser's database address." env:"SEALTRAIL_ADMIN_URL_FILE" required:""`
	VaultAddr    string            `env:"VAULT_ADDR" required:""`
	VaultCACert  string            `env:"VAULT_CACERT"`
	TokenFile    string            `help:"File with an operator's Vault token (deploy/vault/operator.hcl)." required:""`
	Out          string            `help:"Folder for role-id and secret-id of the service and of the reconciler, written 0600." required:""`
	Requirement  map[string]string `help:"The institution's own numbers." default:"undertaking_version=2026-1;pass_mark=80;reveals_per_hour=60"`
}

// Run prepares Vault and the database. Running it again changes no key.
func (a *institutionAdd) Run(ctx context.Context, c console) error {
	dsn, err := server.Secret(a.AdminURLFile)
	if err != nil {
		return err
	}
	token, err := server.Secret(a.TokenFile)
	if err != nil {
		return err
	}
	client, err := vaultserver.NewClient(a.VaultAddr, a.VaultCACert, token)
	if err != nil {
		return err
	}
	credentials, err := vaultserver.Bootstrap(ctx, client, a.Name)
	if err != nil {
		return err
	}
	audit, err := vaultserver.Reconciler(ctx, client, a.Name)
	if err != nil {
		return err
	}
	if err := store.SetRequirements(ctx, dsn, a.Name, a.Requirement); err != nil {
		return err
	}
	if err := os.MkdirAll(a.Out, 0o700); err != nil {
		return fmt.Errorf("writing credentials: %w", err)
	}
	for name, text := range map[string]string{"role-id": credentials.RoleID, "secret-id": credentials.SecretID,
		"reconciler-role-id": audit.RoleID, "reconciler-secret-id": audit.SecretID} {
		if err := os.WriteFile(filepath.Join(a.Out, name), []byte(text+"\n"), 0o600); err != nil {
			return fmt.Errorf("writing credentials: %w", err)
		}
	}
	_, err = fmt.Fprintf(c.out, "✓ keys %[1]s-record, %[1]s-index, %[1]s-log; policies and roles; credentials in %[2]s (reconciler-* are the audit department's)\n"+
		"next: sealtraild institution found --first ID:DEPARTMENT[:STAFF-ID] --second ID:DEPARTMENT[:STAFF-ID]\n", a.Name, a.Out)
	return err
}

// institutionFound appoints the first two, through the door.
type institutionFound struct {
	server.Config
	First  string `help:"First security administrator, ID:DEPARTMENT[:STAFF-ID]." required:""`
	Second string `help:"Second security administrator, ID:DEPARTMENT[:STAFF-ID]." required:""`
}

// Run enters the two founders. The service may be running or not.
func (f *institutionFound) Run(ctx context.Context, c console) error {
	var founders [2]custody.Person
	for i, spec := range []string{f.First, f.Second} {
		parts := strings.Split(spec, ":")
		if len(parts) < 2 || len(parts) > 3 {
			return usageError{"reading a founder: want ID:DEPARTMENT or ID:DEPARTMENT:STAFF-ID"}
		}
		founders[i] = custody.Person{ID: parts[0], Department: parts[1]}
		if len(parts) == 3 {
			founders[i].StaffID = parts[2]
		}
	}
	err := server.Once(ctx, f.Config, c.err, func(ctx context.Context, s *server.Server) error {
		return s.Door().Found(ctx, founders)
	})
	if conflict := new(custody.ConflictError); errors.As(err, &conflict) && conflict.State == "founded" {
		return fmt.Errorf("%s was founded before, which works once: whoever else is needed is appointed by sealtrail duty appoint and confirm (%w)", f.Institution, err)
	}
	if err != nil {
		return err
	}
	_, err = fmt.Fprintln(c.out, "✓ two security administrators appointed; each signs the undertaking: sealtrail undertaking sign")
	return err
}
