package vaultserver_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/hashicorp/vault/api"
	"golang.org/x/sync/errgroup"

	"github.com/sealtrail/sealtrail/internal/vaultserver"
)

func start(t *testing.T, dir string) *vaultserver.Server {
	t.Helper()
	s, err := vaultserver.Start(t.Context(), vaultserver.Config{Dir: dir, Log: t.Logf})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Stop(); err != nil {
			t.Error(err)
		}
	})
	return s
}

func client(t *testing.T, s *vaultserver.Server, token string) *api.Client {
	t.Helper()
	c, err := s.Client(token)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func TestServerIsSealedAfterARestartAndKeepsItsKeys(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	s := start(t, dir)
	root := client(t, s, s.RootToken())
	creds, err := vaultserver.Bootstrap(t.Context(), root, "bank-a")
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Kill(); err != nil {
		t.Fatal(err)
	}
	if err := s.Restart(t.Context()); err != nil {
		t.Fatal(err)
	}
	if status, err := root.Sys().SealStatusWithContext(t.Context()); err != nil || !status.Sealed {
		t.Errorf("after Restart: sealed = %v, %v; want true", status != nil && status.Sealed, err)
	}
	if err := s.Unseal(t.Context()); err != nil {
		t.Fatal(err)
	}
	if err := vaultserver.Login(t.Context(), client(t, s, ""), creds); err != nil {
		t.Errorf("login after Unseal: %v", err)
	}
	if err := s.Seal(t.Context()); err != nil {
		t.Fatal(err)
	}
	err = vaultserver.Login(t.Context(), client(t, s, ""), creds)
	var res *api.ResponseError
	if !errors.As(err, &res) || res.StatusCode != http.StatusServiceUnavailable {
		t.Errorf("login to a sealed Vault = %v, want status 503", err)
	}
	if err := s.Stop(); err != nil {
		t.Fatal(err)
	}
	again := start(t, dir)
	if again.RootToken() != s.RootToken() {
		t.Error("the folder used again has another root token")
	}
	if err := vaultserver.Login(t.Context(), client(t, again, ""), creds); err != nil {
		t.Errorf("login after a start on the same folder: %v", err)
	}
}

func TestSecretsArePrivateAndCallsAreAudited(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	s := start(t, dir)
	if _, err := vaultserver.Bootstrap(t.Context(), client(t, s, s.RootToken()), "bank-a"); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"unseal.json", "key.pem", "vault.hcl", "audit.log", "vault.log"} {
		fi, err := os.Stat(filepath.Join(dir, name))
		if err != nil {
			t.Fatal(err)
		}
		if fi.Mode().Perm() != 0o600 {
			t.Errorf("%s has mode %v, want 0600", name, fi.Mode().Perm())
		}
	}
	log, err := os.ReadFile(s.AuditLogPath())
	if err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(string(log), "transit/keys/bank-a-record") {
		t.Error("the audit file does not show the key being made")
	}
	if strings.Contains(string(log), s.RootToken()) {
		t.Error("the audit file holds the root token")
	}
	other, err := vaultserver.NewClient(s.Addr(), "", "")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := other.Sys().SealStatusWithContext(t.Context()); err == nil {
		t.Error("a client without the private CA trusted the server")
	}
}

func TestPausedServerHoldsACallUntilItsDeadline(t *testing.T) {
	t.Parallel()
	s := start(t, t.TempDir())
	c := client(t, s, "")
	if err := s.Pause(); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 300*time.Millisecond)
	defer cancel()
	if _, err := c.Sys().SealStatusWithContext(ctx); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("a paused server answered: %v", err)
	}
	if err := s.Resume(); err != nil {
		t.Fatal(err)
	}
	if _, err := c.Sys().SealStatusWithContext(t.Context()); err != nil {
		t.Errorf("after Resume: %v", err)
	}
}

func TestBootstrapAgainKeepsKeysAndRefusesAWeakenedOne(t *testing.T) {
	t.Parallel()
	s := start(t, t.TempDir())
	root := client(t, s, s.RootToken())
	first, err := vaultserver.Bootstrap(t.Context(), root, "bank-a")
	if err != nil {
		t.Fatal(err)
	}
	second, err := vaultserver.Bootstrap(t.Context(), root, "bank-a")
	if err != nil {
		t.Fatal(err)
	}
	if first.RoleID != second.RoleID || first.SecretID == second.SecretID {
		t.Error("a second run must keep the role and hand out another secret id")
	}
	_, err = root.Logical().WriteWithContext(t.Context(), "transit/keys/bank-a-record/config", map[string]any{"exportable": true})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := vaultserver.Bootstrap(t.Context(), root, "bank-a"); !errors.Is(err, vaultserver.ErrKeyConfig) {
		t.Errorf("with an exportable key: %v, want ErrKeyConfig", err)
	}
}

// The service sees with its own token that a key was weakened or is gone.
func TestServiceNoticesAChangedKey(t *testing.T) {
	t.Parallel()
	s := start(t, t.TempDir())
	root := client(t, s, s.RootToken())
	creds, err := vaultserver.Bootstrap(t.Context(), root, "bank-a")
	if err != nil {
		t.Fatal(err)
	}
	service := client(t, s, "")
	if err := vaultserver.Login(t.Context(), service, creds); err != nil {
		t.Fatal(err)
	}
	if err := vaultserver.CheckKeys(t.Context(), service, "bank-a"); err != nil {
		t.Errorf("untouched keys: %v", err)
	}
	for _, change := range []struct{ key, setting string }{
		{"record", "exportable"}, {"index", "allow_plaintext_backup"}, {"log", "deletion_allowed"},
	} {
		path := "transit/keys/bank-a-" + change.key
		if _, err := root.Logical().WriteWithContext(t.Context(), path+"/config", map[string]any{change.setting: true}); err != nil {
			t.Fatal(err)
		}
		err := vaultserver.CheckKeys(t.Context(), service, "bank-a")
		if !errors.Is(err, vaultserver.ErrKeyConfig) || !strings.Contains(err.Error(), change.setting) {
			t.Errorf("%s of %s changed: %v, want ErrKeyConfig that names the setting", change.setting, change.key, err)
		}
		// exportable cannot be taken back, so each change gets new keys.
		for _, key := range []string{"record", "index", "log"} {
			forget(t, root, "transit/keys/bank-a-"+key)
		}
		if _, err := vaultserver.Bootstrap(t.Context(), root, "bank-a"); err != nil {
			t.Fatal(err)
		}
	}
	forget(t, root, "transit/keys/bank-a-log")
	if err := vaultserver.CheckKeys(t.Context(), service, "bank-a"); !errors.Is(err, vaultserver.ErrKeyConfig) {
		t.Errorf("a deleted key: %v, want ErrKeyConfig", err)
	}
}

func forget(t *testing.T, root *api.Client, key string) {
	t.Helper()
	if _, err := root.Logical().WriteWithContext(t.Context(), key+"/config", map[string]any{"deletion_allowed": true}); err != nil {
		t.Fatal(err)
	}
	if _, err := root.Logical().DeleteWithContext(t.Context(), key); err != nil {
		t.Fatal(err)
	}
}

// Tests of one run share a Vault, so institutions are made side by side, the
// first two while the engines are still missing.
func TestInstitutionsMayBeMadeSideBySide(t *testing.T) {
	t.Parallel()
	s := start(t, t.TempDir())
	var group errgroup.Group
	for i := range 6 {
		root := client(t, s, s.RootToken())
		group.Go(func() error {
			_, err := vaultserver.Bootstrap(t.Context(), root, fmt.Sprintf("bank-%d", i/2))
			return err
		})
	}
	if err := group.Wait(); err != nil {
		t.Error(err)
	}
}

func TestBootstrapRefusesNamesThatAreNotNames(t *testing.T) {
	t.Parallel()
	for _, name := range []string{"", "Bank", "a/b", "a*", "a\n", "-a", "a--b", "a-", strings.Repeat("a", 41), "@INSTITUTION@"} {
		if _, err := vaultserver.Bootstrap(t.Context(), nil, name); err == nil {
			t.Errorf("name %q was accepted", name)
		}
	}
}

func TestSomebodyElsesVaultIsLeftAlone(t *testing.T) {
	t.Parallel()
	s := vaultserver.At("https://vault.example:8200", "", "")
	for what, err := range map[string]error{
		"kill": s.Kill(), "restart": s.Restart(t.Context()), "seal": s.Seal(t.Context()), "unseal": s.Unseal(t.Context()),
	} {
		if !errors.Is(err, vaultserver.ErrNotOurs) {
			t.Errorf("%s = %v, want ErrNotOurs", what, err)
		}
	}
	if err := s.Stop(); err != nil {
		t.Errorf("stop = %v, want nil", err)
	}
}
