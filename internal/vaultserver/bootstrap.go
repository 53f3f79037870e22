package vaultserver

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/hashicorp/vault/api"

	vaultdeploy "github.com/sealtrail/sealtrail/deploy/vault"
)

// Credentials let the service of one institution log in by AppRole.
type Credentials struct {
	// RoleID names the role; it is not a secret.
	RoleID string
	// SecretID is one: whoever has both can do what deploy/vault/service.hcl
	// says. It belongs into a 0600 file or the service manager's credentials.
	SecretID string
}

// ErrKeyConfig is wrapped when a key exists with a configuration that weakens
// it. Nothing is changed then: somebody must look at why.
var ErrKeyConfig = errors.New("a key's configuration is not what it must be")

const (
	// tokenLife is how long the service's token lives unless renewed; a
	// stolen one that is not renewed dies within it.
	tokenLife = "15m"
	// tokenMaxLife is when even a renewed token ends and the service logs in
	// again.
	tokenMaxLife = "24h"
)

// keySpec is one transit key of an institution (crypto.md, key hierarchy).
type keySpec struct {
	suffix, kind string
	derived      bool
	extra        map[string]any
}

var keySpecs = []keySpec{
	{suffix: "record", kind: "aes256-gcm96", derived: true},
	{suffix: "index", kind: "hmac", extra: map[string]any{"key_size": 32}}, // bytes
	{suffix: "log", kind: "ed25519"},
}

// Bootstrap makes Vault ready for an institution: the transit and AppRole
// mounts, the keys <inst>-record, <inst>-index and <inst>-log, the policies of
// deploy/vault and the role, and a new secret id. It needs an operator's token
// (deploy/vault/operator.hcl), which the service never has. Running it again
// changes no key; it refuses to go on if a key has been weakened (ErrKeyConfig).
func Bootstrap(ctx context.Context, client *api.Client, institution string) (Credentials, error) {
	if err := vaultdeploy.CheckInstitution(institution); err != nil {
		return Credentials{}, err
	}
	if err := enableEngines(ctx, client); err != nil {
		return Credentials{}, err
	}
	for _, spec := range keySpecs {
		if err := makeKey(ctx, client, institution, spec); err != nil {
			return Credentials{}, err
		}
	}
	if err := writePolicies(ctx, client, institution); err != nil {
		return Credentials{}, err
	}
	return makeRole(ctx, client, vaultdeploy.PolicyName(institution))
}

// Reconciler makes the login of the institution's audit department, whose
// policy Bootstrap has written: it can compare Vault's audit file with the log
// and open nothing. It needs an operator's token.
func Reconciler(ctx context.Context, client *api.Client, institution string) (Credentials, error) {
	if err := vaultdeploy.CheckInstitution(institution); err != nil {
		return Credentials{}, err
	}
	return makeRole(ctx, client, vaultdeploy.ReconcilerPolicyName(institution))
}

func enableEngines(ctx context.Context, client *api.Client) error {
	mounts, err := client.Sys().ListMountsWithContext(ctx)
	if err != nil {
		return fmt.Errorf("listing Vault's engines: %w", err)
	}
	if _, on := mounts["transit/"]; !on {
		if err := client.Sys().MountWithContext(ctx, "transit", &api.MountInput{Type: "transit"}); err != nil && !taken(err) {
			return fmt.Errorf("mounting transit: %w", err)
		}
	}
	auths, err := client.Sys().ListAuthWithContext(ctx)
	if err != nil {
		return fmt.Errorf("listing Vault's login methods: %w", err)
	}
	if _, on := auths["approle/"]; !on {
		if err := client.Sys().EnableAuthWithOptionsWithContext(ctx, "approle", &api.EnableAuthOptions{Type: "approle"}); err != nil && !taken(err) {
			return fmt.Errorf("switching AppRole on: %w", err)
		}
	}
	return nil
}

// taken reports whether somebody else mounted the engine at the same moment.
func taken(err error) bool { return strings.Contains(err.Error(), "already in use") }

// makeKey creates a key unless it exists, then reads back what Vault made.
func makeKey(ctx context.Context, client *api.Client, institution string, spec keySpec) error {
	path := "transit/keys/" + institution + "-" + spec.suffix
	found, err := client.Logical().ReadWithContext(ctx, path)
	if err != nil {
		return fmt.Errorf("reading %s: %w", path, err)
	}
	if found == nil {
		settings := map[string]any{
			"type": spec.kind, "derived": spec.derived,
			"exportable": false, "allow_plaintext_backup": false,
		}
		for name, value := range spec.extra {
			settings[name] = value
		}
		if _, err := client.Logical().WriteWithContext(ctx, path, settings); err != nil {
			return fmt.Errorf("making %s: %w", path, err)
		}
		if found, err = client.Logical().ReadWithContext(ctx, path); err != nil {
			return fmt.Errorf("reading %s back: %w", path, err)
		}
	}
	if found == nil {
		return fmt.Errorf("making %s: Vault does not know it afterwards", path)
	}
	return checkKey(path, spec, found.Data)
}

// MakeIndexKey makes the key of a later generation of the blind indexes,
// "<institution>-index.<epoch>", unless it exists, and reads it back. It needs
// an operator's token.
func MakeIndexKey(ctx context.Context, client *api.Client, institution string, epoch int) error {
	if err := vaultdeploy.CheckInstitution(institution); err != nil {
		return err
	}
	if epoch < 2 {
		return fmt.Errorf("making an index key: epoch %d is not a later one", epoch)
	}
	spec := keySpecs[1]
	spec.suffix = fmt.Sprintf("index.%d", epoch)
	return makeKey(ctx, client, institution, spec)
}

// CheckKeys reads back what must never change about an institution's keys. The
// service's own token may do it. The error wraps ErrKeyConfig and names key and
// setting.
func CheckKeys(ctx context.Context, client *api.Client, institution string) error {
	for _, spec := range keySpecs {
		path := "transit/keys/" + institution + "-" + spec.suffix
		found, err := client.Logical().ReadWithContext(ctx, path)
		if err != nil {
			return fmt.Errorf("reading %s: %w", path, err)
		}
		if found == nil {
			return fmt.Errorf("%w: %s is gone", ErrKeyConfig, path)
		}
		if err := checkKey(path, spec, found.Data); err != nil {
			return err
		}
	}
	return nil
}

func checkKey(path string, spec keySpec, got map[string]any) error {
	want := map[string]any{
		"type": spec.kind, "derived": spec.derived,
		"exportable": false, "allow_plaintext_backup": false, "deletion_allowed": false,
	}
	for name, value := range want {
		if got[name] != value {
			return fmt.Errorf("%w: %s has %s = %v, want %v", ErrKeyConfig, path, name, got[name], value)
		}
	}
	return nil
}

func writePolicies(ctx context.Context, client *api.Client, institution string) error {
	for name, text := range map[string]string{
		vaultdeploy.PolicyName(institution):       vaultdeploy.Service(institution),
		vaultdeploy.DenyPolicyName:                vaultdeploy.StandingDeny(),
		vaultdeploy.RotatePolicyName(institution): vaultdeploy.CustodianRotate(institution),
		vaultdeploy.TrimPolicyName(institution):   vaultdeploy.CustodianTrim(institution),

		vaultdeploy.ReconcilerPolicyName(institution): vaultdeploy.Reconciler(),
	} {
		if err := client.Sys().PutPolicyWithContext(ctx, name, text); err != nil {
			return fmt.Errorf("writing policy %s: %w", name, err)
		}
	}
	return nil
}

func makeRole(ctx context.Context, client *api.Client, name string) (Credentials, error) {
	role := "auth/approle/role/" + name
	_, err := client.Logical().WriteWithContext(ctx, role, map[string]any{
		"token_policies":          []string{name, vaultdeploy.DenyPolicyName},
		"token_no_default_policy": true,
		"token_ttl":               tokenLife, "token_max_ttl": tokenMaxLife,
		"token_type": "service", "bind_secret_id": true,
	})
	if err != nil {
		return Credentials{}, fmt.Errorf("making the role: %w", err)
	}
	id, err := client.Logical().ReadWithContext(ctx, role+"/role-id")
	if err != nil {
		return Credentials{}, fmt.Errorf("reading the role id: %w", err)
	}
	secret, err := client.Logical().WriteWithContext(ctx, role+"/secret-id", nil)
	if err != nil {
		return Credentials{}, fmt.Errorf("making a secret id: %w", err)
	}
	creds := Credentials{RoleID: text(id, "role_id"), SecretID: text(secret, "secret_id")}
	if creds.RoleID == "" || creds.SecretID == "" {
		return Credentials{}, errors.New("making a secret id: Vault's answer lacks role_id or secret_id")
	}
	return creds, nil
}

// text is one string of an answer; empty if the answer or the string is absent.
func text(answer *api.Secret, name string) string {
	if answer == nil {
		return ""
	}
	s, _ := answer.Data[name].(string)
	return s
}

// Login exchanges credentials for a token with the service's rights and sets it
// on client.
func Login(ctx context.Context, client *api.Client, creds Credentials) error {
	secret, err := client.Logical().WriteWithContext(ctx, "auth/approle/login",
		map[string]any{"role_id": creds.RoleID, "secret_id": creds.SecretID})
	if err != nil {
		return fmt.Errorf("logging in to Vault: %w", err)
	}
	if secret == nil || secret.Auth == nil {
		return errors.New("logging in to Vault: the answer has no token")
	}
	client.SetToken(secret.Auth.ClientToken)
	return nil
}
