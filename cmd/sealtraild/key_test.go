package main

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/hashicorp/vault/api"

	vaultdeploy "github.com/sealtrail/sealtrail/deploy/vault"
	"github.com/sealtrail/sealtrail/internal/custody"
	"github.com/sealtrail/sealtrail/internal/exitcode"
	"github.com/sealtrail/sealtrail/internal/server"
	"github.com/sealtrail/sealtrail/internal/vaulttest"
)

// custodian writes a token of so many uses under a policy of the institution to
// a file, as docs/operate/keys.md shows.
func (s *site) custodian(t *testing.T, policy string, uses int) string {
	t.Helper()
	vault := vaulttest.New(t)
	made, err := vault.Client(vault.RootToken).Auth().Token().CreateOrphanWithContext(t.Context(),
		&api.TokenCreateRequest{Policies: []string{policy}, NoDefaultPolicy: true, NumUses: uses, TTL: "15m"})
	if err != nil {
		t.Fatal(err)
	}
	return file(t, t.TempDir(), "token", made.Auth.ClientToken)
}

func (s *site) key(t *testing.T, args ...string) (exitcode.Code, string) {
	t.Helper()
	return runs(t, append(append([]string{"key"}, args...), s.flags...)...)
}

func TestKeyCommands(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	s.add(t)
	must := func(wants string, args ...string) string {
		t.Helper()
		code, said := s.key(t, args...)
		if code != exitcode.OK || !strings.Contains(said, wants) {
			t.Fatalf("key %v: exit code %v, said %q, want %q", args, code, said, wants)
		}
		return said
	}
	refused := func(want exitcode.Code, wants string, args ...string) {
		t.Helper()
		code, said := s.key(t, args...)
		if code != want || !strings.Contains(said, wants) {
			t.Errorf("key %v: exit code %v, want %v; said %q, want %q", args, code, want, said, wants)
		}
	}
	must("-record", "status")

	rotate := s.custodian(t, vaultdeploy.RotatePolicyName(s.name), 1)
	refused(exitcode.Usage, "--confirm", "rotate", "--token-file", rotate, "--confirm", "another")
	must("has version 2", "rotate", "--token-file", rotate, "--confirm", s.name)
	refused(exitcode.Failure, "have a new one made", "rotate", "--token-file", rotate, "--confirm", s.name)
	refused(exitcode.Failure, "permission denied", "rotate", "--token-file", s.custodian(t, vaultdeploy.PolicyName(s.name), 9), "--confirm", s.name)

	must("✓ 0 of 0 keys", "rewrap")
	refused(exitcode.Usage, "--share", "rewrap", "--share", "2")

	protocol := file(t, s.dir, "restore-test.txt", "restored the snapshot of today, opened ten records")
	trim := s.custodian(t, vaultdeploy.TrimPolicyName(s.name), 2)
	refused(exitcode.Conflict, "sealtrail key propose", "close", "--key-version", "2", "--restore-tested", protocol, "--token-file", trim, "--confirm", s.name)
	refused(exitcode.Usage, "restore-tested", "close", "--key-version", "2", "--token-file", trim, "--confirm", s.name)

	refused(exitcode.Conflict, "sealtraild key index-open", "reindex")
	must("next: sealtraild key reindex", "index-open", "--token-file", s.token, "--confirm", s.name)
	refused(exitcode.Conflict, "being built", "index-open", "--token-file", s.token, "--confirm", s.name)
	refused(exitcode.NotFound, "sealtraild key status has them", "accept", "--key", s.name+"-record", "--finding", "exportable", "--confirm", s.name)

	var keys custody.Keys
	said := must(`"keys"`, "status", "-o", "json") // the service's own lines are in it too
	if err := json.NewDecoder(strings.NewReader(said[strings.Index(said, "{\n"):])).Decode(&keys); err != nil {
		t.Fatal(err)
	}
	names := map[string]int{}
	for _, k := range keys.Keys {
		names[strings.TrimPrefix(k.Name, s.name)] = k.Latest
	}
	if len(names) != 4 || names["-record"] != 2 || names["-index.2"] != 1 {
		t.Errorf("keys: %v", names)
	}
}

func TestFindingsAboutKeysAreAnExitCode(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	s.add(t)
	// As the service's watch would: what it tells of is kept until taken back.
	var watched server.Config
	for i := 0; i+1 < len(s.flags); i++ {
		value := s.flags[i+1]
		switch s.flags[i] {
		case "--institution":
			watched.Institution = value
		case "--database-url-file":
			watched.DatabaseURLFile = value
		case "--vault-addr":
			watched.VaultAddr = value
		case "--vault-ca-cert":
			watched.VaultCACert = value
		case "--vault-role-file":
			watched.VaultRoleFile = value
		case "--vault-secret-file":
			watched.VaultSecret = value
		case "--issuer":
			watched.Issuer = value
		case "--jwks-file":
			watched.JWKSFile = value
		case "--log-domain":
			watched.LogDomain = value
		}
	}
	watched.Published, watched.PoolSize, watched.Audience = filepath.Join(s.dir, "published"), 4, "sealtrail"
	vault := vaulttest.New(t)
	_, err := vault.Client(vault.RootToken).Logical().WriteWithContext(t.Context(), "transit/keys/"+s.name+"-record/config", map[string]any{"deletion_allowed": true})
	if err != nil {
		t.Fatal(err)
	}
	look(t, watched)
	if code, said := s.key(t, "status"); code != exitcode.Integrity || !strings.Contains(said, "[deletion_allowed]") {
		t.Errorf("exit code %v, said %q", code, said)
	}
	code, said := s.key(t, "accept", "--key", s.name+"-record", "--finding", "deletion_allowed", "--confirm", s.name)
	if code != exitcode.OK {
		t.Errorf("accepting: exit code %v, said %q", code, said)
	}
	if code, said := s.key(t, "status"); code != exitcode.OK {
		t.Errorf("afterwards: exit code %v, said %q", code, said)
	}
}

// look is one look of the service's watch.
func look(t *testing.T, cfg server.Config) {
	t.Helper()
	if err := server.LookAtKeys(t.Context(), cfg, os.Stderr); err != nil {
		t.Fatal(err)
	}
}

// TestAClosingThatIsTooEarlySaysWhatToDo in the days until then.
func TestAClosingThatIsTooEarlySaysWhatToDo(t *testing.T) {
	t.Parallel()
	early := &custody.ConflictError{Code: "epoch_too_early", State: "not before 2026-11-30T18:50:01Z"}
	if said := explained(early).Error(); !strings.HasPrefix(said, early.State) || !strings.Contains(said, "snapshot of Vault restores") {
		t.Errorf("said %q", said)
	}
}
