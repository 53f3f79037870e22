package main

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/mod/sumdb/note"

	"github.com/sealtrail/sealtrail/internal/authn"
	"github.com/sealtrail/sealtrail/internal/exitcode"
	"github.com/sealtrail/sealtrail/internal/pgtest"
	"github.com/sealtrail/sealtrail/internal/vaulttest"
	"github.com/sealtrail/sealtrail/policy/confidentiality"
)

func TestMain(m *testing.M) {
	code := pgtest.Main(m)
	vaulttest.Cleanup()
	os.Exit(code)
}

// runs runs one command line and gives its exit code and everything it said.
func runs(t *testing.T, args ...string) (exitcode.Code, string) {
	t.Helper()
	var out bytes.Buffer
	code := run(t.Context(), args, &out, &out)
	return code, out.String()
}

// file writes a secret file and returns its name.
func file(t *testing.T, dir, name, text string) string {
	t.Helper()
	path := filepath.Join(dir, name)
	if err := os.WriteFile(path, []byte(text+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

func TestWrongCommandLinesAreUsageErrors(t *testing.T) {
	t.Parallel()
	for _, args := range [][]string{{}, {"server"}, {"serve"}, {"trail"}, {"trail", "mend"}, {"migrate", "--now"}, {"demo", "--lang", "fr"}} {
		if code, said := runs(t, args...); code != exitcode.Usage || !strings.Contains(said, "hint:") {
			t.Errorf("%v: exit code %v, said %q", args, code, said)
		}
	}
	for _, args := range [][]string{{"--help"}, {"trail", "--help"}, {"serve", "--help"}, {"version"}} {
		if code, said := runs(t, args...); code != exitcode.OK || said == "" {
			t.Errorf("%v: exit code %v, said %q", args, code, said)
		}
	}
}

func TestPolicyCheckFindsAChangedRule(t *testing.T) {
	t.Parallel()
	if code, said := runs(t, "policy", "check"); code != exitcode.OK {
		t.Errorf("the embedded chapter: exit code %v, said %q", code, said)
	}
	draft := filepath.Join(t.TempDir(), "draft")
	if err := os.CopyFS(draft, confidentiality.Files()); err != nil {
		t.Fatal(err)
	}
	rule := filepath.Join(draft, "r14_quality", "rule.rego")
	text, err := os.ReadFile(rule)
	if err != nil {
		t.Fatal(err)
	}
	changed := strings.Replace(string(text), `group != "narrative"`, `group != "contact"`, 1)
	if err := os.WriteFile(rule, []byte(changed), 0o600); err != nil {
		t.Fatal(err)
	}
	code, said := runs(t, "policy", "check", draft)
	if code != exitcode.Integrity || !strings.Contains(said, "test_r14_redacted_narrative_only") {
		t.Errorf("the draft: exit code %v, said %q", code, said)
	}
}

// site is an installation in the making: docs/operate/install.md, step by step.
type site struct {
	name, dir    string
	admin, token string   // secret files of database administrator and operator
	vault        []string // flags that say where Vault is
	flags        []string // of every command that is told what serve is told
}

func newSite(t *testing.T) *site {
	t.Helper()
	db, vault, dir := pgtest.New(t, "sealtraild", Migrate), vaulttest.New(t), t.TempDir()
	issuer, err := authn.NewDevIssuer(authn.DevConfig{})
	if err != nil {
		t.Fatal(err)
	}
	s := &site{name: vaulttest.Name("bank"), dir: dir, admin: file(t, dir, "admin-url", db.Admin), token: file(t, dir, "operator-token", vault.RootToken),
		vault: []string{"--vault-addr", vault.Addr, "--vault-ca-cert", vault.CACert}}
	s.flags = append([]string{"--institution", s.name, "--database-url-file", file(t, dir, "database-url", db.App), "--log-domain", "test.example",
		"--vault-role-file", filepath.Join(dir, "credentials", "role-id"), "--vault-secret-file", filepath.Join(dir, "credentials", "secret-id"),
		"--issuer", issuer.Issuer(), "--jwks-file", file(t, dir, "jwks.json", string(issuer.JWKS())), "--published", filepath.Join(dir, "published"), "--accept-single-node"}, s.vault...)
	return s
}

// add runs `institution add`.
func (s *site) add(t *testing.T) {
	t.Helper()
	args := append([]string{"institution", "add", s.name, "--admin-url-file", s.admin, "--token-file", s.token, "--out", filepath.Join(s.dir, "credentials")}, s.vault...)
	if code, said := runs(t, args...); code != exitcode.OK {
		t.Fatalf("institution add: exit code %v, said %q", code, said)
	}
}

func TestInstallation(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	if code, said := runs(t, "migrate", "--admin-url-file", s.admin); code != exitcode.OK {
		t.Fatalf("migrating again: exit code %v, said %q", code, said)
	}
	s.add(t)
	for _, name := range []string{"role-id", "secret-id"} {
		info, err := os.Stat(filepath.Join(s.dir, "credentials", name))
		if err != nil || info.Mode().Perm() != 0o600 {
			t.Errorf("%s: %v, %v", name, info, err)
		}
	}
	found := append([]string{"institution", "found", "--first", "lin:security:S-0001", "--second", "wu:security:S-0002"}, s.flags...)
	if code, said := runs(t, found...); code != exitcode.OK {
		t.Fatalf("founding: exit code %v, said %q", code, said)
	}
	if code, said := runs(t, found...); code != exitcode.Conflict {
		t.Errorf("founding twice: exit code %v, said %q", code, said)
	}
	code, said := runs(t, append([]string{"doctor"}, s.flags...)...)
	if code != exitcode.OK || strings.Count(said, "✓") != 8 {
		t.Errorf("doctor: exit code %v, said %q", code, said)
	}
}

func TestTrailKeyIsTheKeyThatSigns(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	s.add(t)
	keyFlags := append([]string{"trail", "key", "--institution", s.name, "--log-domain", "test.example", "--year", "2031",
		"--vault-role-file", filepath.Join(s.dir, "credentials", "role-id"), "--vault-secret-file", filepath.Join(s.dir, "credentials", "secret-id")}, s.vault...)
	code, said := runs(t, keyFlags...)
	if code != exitcode.OK {
		t.Fatalf("exit code %v, said %q", code, said)
	}
	key, err := note.NewVerifier(strings.TrimSpace(said))
	if err != nil || key.Name() != "test.example/"+s.name+"/2031" {
		t.Errorf("got %q: %v", said, err)
	}
}

func TestDoctorNamesTheNextStep(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	s.add(t)
	file(t, filepath.Join(s.dir, "credentials"), "secret-id", "not-the-secret")
	code, said := runs(t, append([]string{"doctor"}, s.flags...)...)
	if code != exitcode.Failure || strings.Count(said, "✓") != 6 || !strings.Contains(said, "✗ Vault login") || !strings.Contains(said, "next: unseal Vault") {
		t.Errorf("exit code %v, said %q", code, said)
	}
	if strings.Contains(said, "not-the-secret") {
		t.Error("the doctor repeats a secret")
	}
}

func TestFoundersMustBeTwo(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	s.add(t)
	for _, pair := range [][2]string{{"lin", "wu:security"}, {"lin:security", "lin:security"}, {"lin:security:S-1:x", "wu:security"}} {
		code, said := runs(t, append([]string{"institution", "found", "--first", pair[0], "--second", pair[1]}, s.flags...)...)
		if code == exitcode.OK {
			t.Errorf("%v founded an institution: %q", pair, said)
		}
	}
}
