package vaulttest_test

import (
	"encoding/base64"
	"errors"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/hashicorp/vault/api"

	vaultdeploy "github.com/sealtrail/sealtrail/deploy/vault"
	"github.com/sealtrail/sealtrail/internal/vaultserver"
	"github.com/sealtrail/sealtrail/internal/vaulttest"
)

func TestMain(m *testing.M) { os.Exit(vaulttest.Main(m)) }

var b64 = base64.StdEncoding.EncodeToString

// call is one request of the service.
type call struct {
	method, path string
	body         map[string]any
}

func (c call) do(t *testing.T, client *api.Client) (*api.Secret, error) {
	t.Helper()
	switch c.method {
	case http.MethodGet:
		return client.Logical().ReadWithContext(t.Context(), c.path)
	case "LIST":
		return client.Logical().ListWithContext(t.Context(), c.path)
	case http.MethodDelete:
		return client.Logical().DeleteWithContext(t.Context(), c.path)
	}
	return client.Logical().WriteWithContext(t.Context(), c.path, c.body)
}

func TestServiceCanDoItsWork(t *testing.T) {
	t.Parallel()
	v := vaulttest.New(t)
	inst := vaulttest.Name("work")
	service := v.Service(inst)
	sealed, err := call{"PUT", "transit/encrypt/" + inst + "-record", map[string]any{"plaintext": b64([]byte("k")), "context": b64([]byte("c"))}}.do(t, service)
	if err != nil {
		t.Fatal(err)
	}
	makeEpoch(t, v, inst)
	for _, c := range []call{
		{"PUT", "transit/decrypt/" + inst + "-record", map[string]any{"ciphertext": sealed.Data["ciphertext"], "context": b64([]byte("c"))}},
		{"PUT", "transit/hmac/" + inst + "-index", map[string]any{"input": b64([]byte("x"))}},
		{"PUT", "transit/hmac/" + inst + "-index/sha2-256", map[string]any{"batch_input": []any{map[string]any{"input": b64([]byte("x"))}}}},
		{"PUT", "transit/sign/" + inst + "-log", map[string]any{"input": b64([]byte("x"))}},
		{"GET", "transit/keys/" + inst + "-record", nil},
		{"GET", "transit/keys/" + inst + "-index", nil},
		{"GET", "transit/keys/" + inst + "-log", nil},
		{"PUT", "transit/rewrap/" + inst + "-record", map[string]any{"ciphertext": sealed.Data["ciphertext"], "context": b64([]byte("c"))}},
		{"PUT", "transit/hmac/" + inst + "-index.2", map[string]any{"input": b64([]byte("x"))}},
		{"PUT", "transit/hmac/" + inst + "-index.2/sha2-256", map[string]any{"input": b64([]byte("x"))}},
		{"GET", "transit/keys/" + inst + "-index.2", nil},
		{"GET", "auth/token/lookup-self", nil},
		{"PUT", "auth/token/renew-self", nil},
	} {
		if _, err := c.do(t, service); err != nil {
			t.Errorf("%s %s: %v", c.method, c.path, err)
		}
	}
	_, err = call{"PUT", "transit/decrypt/" + inst + "-record", map[string]any{"ciphertext": sealed.Data["ciphertext"], "context": b64([]byte("other"))}}.do(t, service)
	if err == nil {
		t.Error("a data key opened under another record's context")
	}
}

func TestServiceCanDoNothingElse(t *testing.T) {
	t.Parallel()
	v := vaulttest.New(t)
	inst, other := vaulttest.Name("least"), vaulttest.Name("other")
	service := v.Service(inst)
	v.Institution(other)
	makeEpoch(t, v, inst)
	for _, c := range []call{
		{"PUT", "transit/keys/" + inst + "-record/config", map[string]any{"exportable": true}},
		{"PUT", "transit/keys/" + inst + "-record/config", map[string]any{"min_decryption_version": 1}},
		{"PUT", "transit/keys/" + inst + "-record/trim", map[string]any{"min_available_version": 1}},
		{"PUT", "transit/keys/" + inst + "-record/rotate", nil},
		{"PUT", "transit/keys/" + inst + "-new", map[string]any{"type": "aes256-gcm96"}},
		{"DELETE", "transit/keys/" + inst + "-record", nil},
		{"LIST", "transit/keys", nil},
		{"GET", "transit/export/encryption-key/" + inst + "-record", nil},
		{"GET", "transit/export/hmac-key/" + inst + "-index", nil},
		{"GET", "transit/backup/" + inst + "-record", nil},
		{"PUT", "transit/restore", map[string]any{"backup": "x"}},
		{"PUT", "transit/encrypt/" + inst + "-fresh", map[string]any{"plaintext": b64([]byte("k"))}},
		{"PUT", "transit/decrypt/" + inst + "-log", map[string]any{"ciphertext": "vault:v1:x"}},
		{"PUT", "transit/hmac/" + inst + "-record", map[string]any{"input": b64([]byte("x"))}},
		{"PUT", "transit/sign/" + inst + "-record", map[string]any{"input": b64([]byte("x"))}},
		{"PUT", "transit/datakey/plaintext/" + inst + "-record", map[string]any{"context": b64([]byte("c"))}},
		{"PUT", "transit/rewrap/" + inst + "-log", map[string]any{"ciphertext": "vault:v1:x"}},
		{"PUT", "transit/rewrap/" + other + "-record", map[string]any{"ciphertext": "vault:v1:x"}},
		{"PUT", "transit/keys/" + inst + "-index.2", map[string]any{"type": "hmac", "key_size": 32}},
		{"PUT", "transit/keys/" + inst + "-index.2/config", map[string]any{"exportable": true}},
		{"PUT", "transit/keys/" + inst + "-index.2/trim", map[string]any{"min_available_version": 1}},
		{"PUT", "transit/keys/" + inst + "-index.2/rotate", nil},
		{"DELETE", "transit/keys/" + inst + "-index.2", nil},
		{"GET", "transit/export/hmac-key/" + inst + "-index.2", nil},
		{"GET", "transit/backup/" + inst + "-index.2", nil},
		{"PUT", "transit/encrypt/" + inst + "-index.2", map[string]any{"plaintext": b64([]byte("k"))}},
		{"PUT", "transit/encrypt/" + other + "-record", map[string]any{"plaintext": b64([]byte("k")), "context": b64([]byte("c"))}},
		{"PUT", "transit/hmac/" + other + "-index", map[string]any{"input": b64([]byte("x"))}},
		{"PUT", "transit/sign/" + other + "-log", map[string]any{"input": b64([]byte("x"))}},
		{"GET", "transit/keys/" + other + "-record", nil},
		{"GET", "sys/audit", nil},
		{"PUT", "sys/audit-hash/file", map[string]any{"input": "x"}},
		{"DELETE", "sys/audit/file", nil},
		{"GET", "sys/raw/core/master", nil},
		{"GET", "sys/policies/acl/sealtrail-" + inst, nil},
		{"PUT", "sys/policies/acl/sealtrail-" + inst, map[string]any{"policy": ""}},
		{"PUT", "auth/approle/role/sealtrail-" + inst + "/secret-id", nil},
		{"PUT", "auth/token/create", nil},
		{"PUT", "sys/seal", nil},
		{"GET", "sys/mounts", nil},
	} {
		_, err := c.do(t, service)
		wantDenied(t, c.method+" "+c.path, err)
	}
}

// makeEpoch makes the index key of the second epoch, as an operator does.
func makeEpoch(t *testing.T, v *vaulttest.Vault, inst string) {
	t.Helper()
	_, err := call{"PUT", "transit/keys/" + inst + "-index.2", map[string]any{"type": "hmac", "key_size": 32}}.do(t, v.Client(v.RootToken))
	if err != nil {
		t.Fatal(err)
	}
}

// The names of institutions may begin with each other's, and the keys of index
// epochs are granted by the beginning of their names: no such pair may reach
// the other's keys, nor get out of its own by dots in a path.
func TestOneInstitutionNeverReachesAnothersIndex(t *testing.T) {
	t.Parallel()
	v := vaulttest.New(t)
	name := vaulttest.Name("bank")
	insts := []string{name, name + "-index", name + "-index-index", name + "0", name + "-2"}
	services := make(map[string]*api.Client, len(insts))
	for _, inst := range insts {
		services[inst] = v.Service(inst)
		makeEpoch(t, v, inst)
	}
	input := map[string]any{"input": b64([]byte("x"))}
	for _, inst := range insts {
		for _, other := range insts {
			for _, key := range []string{"-index", "-index.2"} {
				for _, c := range []call{
					{"PUT", "transit/hmac/" + other + key, input},
					{"PUT", "transit/hmac/" + other + key + "/sha2-256", input},
					{"GET", "transit/keys/" + other + key, nil},
				} {
					_, err := c.do(t, services[inst])
					switch {
					case inst != other:
						wantDenied(t, inst+": "+c.method+" "+c.path, err)
					case err != nil:
						t.Errorf("%s: %s %s: %v", inst, c.method, c.path, err)
					}
				}
			}
		}
	}
	if status := rawPut(t, v, services[name].Token(), "/v1/transit/hmac/"+name+"-index.2"); status != http.StatusOK {
		t.Fatalf("its own key by a raw path: status %d", status)
	}
	for _, way := range []string{"/../", "%2f../", "/..%2f", "%2f..%2f", "//../", "/./../", "/%2e%2e/"} {
		for _, target := range []string{insts[1] + "-index.2", insts[1] + "-index", insts[3] + "-index.2"} {
			path := "/v1/transit/hmac/" + name + "-index." + way + target
			if status := rawPut(t, v, services[name].Token(), path); status >= 200 && status < 300 {
				t.Errorf("%s: status %d", path, status)
			}
		}
	}
}

// rawPut sends a path as it stands, follows no redirect and returns the status.
func rawPut(t *testing.T, v *vaulttest.Vault, token, path string) int {
	t.Helper()
	client := v.Client(token).CloneConfig().HttpClient
	client.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
	req, err := http.NewRequestWithContext(t.Context(), http.MethodPut, v.Addr, strings.NewReader(`{"input":"eA=="}`))
	if err != nil {
		t.Fatal(err)
	}
	req.URL.Opaque = path
	req.Header.Set("X-Vault-Token", token)
	res, err := client.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	return res.StatusCode
}

func wantDenied(t *testing.T, what string, err error) {
	t.Helper()
	var res *api.ResponseError
	if !errors.As(err, &res) || res.StatusCode != http.StatusForbidden {
		t.Errorf("%s = %v, want permission denied", what, err)
	}
}

// A policy that was added by mistake and grants everything must not open what
// the standing deny closes.
func TestStandingDenyBeatsALaterGrant(t *testing.T) {
	t.Parallel()
	v := vaulttest.New(t)
	inst := vaulttest.Name("deny")
	v.Institution(inst)
	root := v.Client(v.RootToken)
	mistake := vaulttest.Name("mistake")
	if err := root.Sys().PutPolicyWithContext(t.Context(), mistake, `path "*" { capabilities = ["create","read","update","delete","list","sudo"] }`); err != nil {
		t.Fatal(err)
	}
	token, err := root.Auth().Token().CreateWithContext(t.Context(), &api.TokenCreateRequest{
		Policies: []string{vaultdeploy.PolicyName(inst), vaultdeploy.DenyPolicyName, mistake}, TTL: "5m",
	})
	if err != nil {
		t.Fatal(err)
	}
	client := v.Client(token.Auth.ClientToken)
	makeEpoch(t, v, inst)
	for _, c := range []call{
		{"PUT", "transit/keys/" + inst + "-index.2/config", map[string]any{"exportable": true}},
		{"PUT", "transit/keys/" + inst + "-index.2/trim", map[string]any{"min_available_version": 1}},
		{"GET", "transit/export/hmac-key/" + inst + "-index.2", nil},
		{"GET", "transit/backup/" + inst + "-index.2", nil},
		{"PUT", "transit/keys/" + inst + "-record/config", map[string]any{"exportable": true}},
		{"PUT", "transit/keys/" + inst + "-record/trim", map[string]any{"min_available_version": 1}},
		{"GET", "transit/export/encryption-key/" + inst + "-record", nil},
		{"GET", "transit/backup/" + inst + "-record", nil},
		{"PUT", "transit/restore/" + inst + "-copy", map[string]any{"backup": "x"}},
		{"GET", "sys/audit", nil},
		{"PUT", "sys/audit-hash/file", map[string]any{"input": "x"}},
		{"DELETE", "sys/audit/file", nil},
		{"GET", "sys/raw/core/master", nil},
	} {
		_, err := c.do(t, client)
		wantDenied(t, c.method+" "+c.path, err)
	}
	if _, err := (call{"GET", "transit/keys/" + inst + "-record", nil}).do(t, client); err != nil {
		t.Errorf("the deny policy closed more than it says: %v", err)
	}
}

// The operator's policy is enough for Bootstrap and for no use of a key.
func TestOperatorMakesKeysAndUsesNone(t *testing.T) {
	t.Parallel()
	v := vaulttest.Private(t)
	root := v.Client(v.RootToken)
	if err := root.Sys().PutPolicyWithContext(t.Context(), vaultdeploy.OperatorPolicyName, vaultdeploy.Operator()); err != nil {
		t.Fatal(err)
	}
	token, err := root.Auth().Token().CreateWithContext(t.Context(), &api.TokenCreateRequest{
		Policies: []string{vaultdeploy.OperatorPolicyName}, TTL: "15m", NoDefaultPolicy: true,
	})
	if err != nil {
		t.Fatal(err)
	}
	operator := v.Client(token.Auth.ClientToken)
	for range 2 {
		if _, err := vaultserver.Bootstrap(t.Context(), operator, "bank-a"); err != nil {
			t.Fatal(err)
		}
	}
	for _, c := range []call{
		{"PUT", "transit/encrypt/bank-a-record", map[string]any{"plaintext": b64([]byte("k")), "context": b64([]byte("c"))}},
		{"PUT", "transit/keys/bank-a-record/config", map[string]any{"exportable": true}},
		{"GET", "transit/export/encryption-key/bank-a-record", nil},
		{"PUT", "sys/policies/acl/everything", map[string]any{"policy": `path "*" { capabilities = ["sudo"] }`}},
		{"GET", "sys/audit", nil},
	} {
		_, err := c.do(t, operator)
		wantDenied(t, c.method+" "+c.path, err)
	}
}

// The script that an operator runs without Sealtrail makes the same keys.
func TestBootstrapScriptMakesTheSame(t *testing.T) {
	t.Parallel()
	v := vaulttest.Private(t)
	run := func(args ...string) (string, error) {
		cmd := exec.CommandContext(t.Context(), "bash", append([]string{filepath.Join("..", "..", "deploy", "vault", "bootstrap.sh")}, args...)...)
		cmd.Env = append(os.Environ(), "VAULT_ADDR="+v.Addr, "VAULT_CACERT="+v.CACert, "VAULT_TOKEN="+v.RootToken,
			"VAULT_PROGRAM="+v.Server.Program(), "HOME="+t.TempDir())
		out, err := cmd.CombinedOutput()
		return string(out), err
	}
	for range 2 {
		out, err := run("bank-s")
		if err != nil {
			t.Fatalf("%v: %s", err, out)
		}
		if !strings.Contains(out, "role_id=") || !strings.Contains(out, "secret_id=") {
			t.Errorf("no credentials in %q", out)
		}
	}
	// Bootstrap checks every key's configuration before it goes on.
	if _, err := vaultserver.Bootstrap(t.Context(), v.Client(v.RootToken), "bank-s"); err != nil {
		t.Errorf("after the script: %v", err)
	}
	if _, err := run(`bad"name`); err == nil {
		t.Error("the script accepted a name that is none")
	}
}
