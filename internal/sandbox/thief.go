package sandbox

import (
	"context"
	"encoding/base64"
	"encoding/binary"
	"errors"
	"fmt"
	"os"
	"strings"

	"github.com/hashicorp/vault/api"

	"github.com/sealtrail/sealtrail/internal/vaultserver"
)

// StealKey opens the newest wrapped key of a complaint at Vault, past the service, as
// somebody does who has the service's login and a copy of the database. It works:
// what it leaves behind is a line in Vault's own audit file, and no entry.
// correlation is the id that the call carries; empty: none.
func (s *Sandbox) StealKey(ctx context.Context, complaint, correlation string) error {
	conn, err := s.Admin(ctx)
	if err != nil {
		return err
	}
	defer conn.Close(ctx)
	var wrapped string
	var generation uint32
	if err := conn.QueryRow(ctx, "select wrapped, generation from keys.wrapped where complaint = $1 order by generation desc limit 1", complaint).Scan(&wrapped, &generation); err != nil {
		return fmt.Errorf("reading a wrapped key: %w", err)
	}
	client, err := vaultserver.NewClient(s.Vault.Addr(), s.Vault.CACert(), "")
	if err != nil {
		return err
	}
	var login [2]string
	for i, name := range []string{"role-id", "secret-id"} {
		raw, err := os.ReadFile(s.path("credentials", name))
		if err != nil {
			return fmt.Errorf("reading the service's login: %w", err)
		}
		login[i] = strings.TrimSpace(string(raw))
	}
	if err := vaultserver.Login(ctx, client, vaultserver.Credentials{RoleID: login[0], SecretID: login[1]}); err != nil {
		return err
	}
	if correlation != "" {
		client = client.WithRequestCallbacks(func(r *api.Request) { r.Headers.Set("X-Correlation-Id", correlation) })
	}
	answer, err := client.Logical().WriteWithContext(ctx, "transit/decrypt/"+Institution+"-record", map[string]any{
		"batch_input": []any{map[string]any{"ciphertext": wrapped, "context": base64.StdEncoding.EncodeToString(contextOf(complaint, generation))}}})
	if err != nil {
		return fmt.Errorf("opening a key at Vault: %w", err)
	}
	if answer == nil || answer.Data["batch_results"] == nil {
		return errors.New("opening a key at Vault: it answered nothing")
	}
	return nil
}

// contextOf is what a record's key is derived with. It is no secret: whoever
// reads docs/formats/sealed-field.md knows it.
func contextOf(record string, generation uint32) []byte {
	b := []byte("stk1")
	for _, part := range []string{Institution, record} {
		b = append(binary.BigEndian.AppendUint32(b, uint32(len(part))), part...)
	}
	return binary.BigEndian.AppendUint32(append(b, 1), generation) // 1: of a record
}

// ReconcileFlags are those of `sealtraild reconcile` here, with the audit
// department's own login.
func (s *Sandbox) ReconcileFlags() []string {
	return []string{"--institution", Institution, "--database-url-file", s.path("credentials", "database-url"), "--published", s.Published(),
		"--vault-addr", s.Vault.Addr(), "--vault-ca-cert", s.Vault.CACert(), "--reconciler-role-file", s.path("credentials", "reconciler-role-id"),
		"--reconciler-secret-file", s.path("credentials", "reconciler-secret-id"), "--vault-audit-file", s.Vault.AuditLogPath()}
}
