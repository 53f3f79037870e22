package transit

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"net/http"
	"net/url"

	"github.com/hashicorp/vault/api"

	"github.com/sealtrail/sealtrail/crypto/keyring"
)

// ErrNoAuditDevice says that Vault answers and has no audit device of this name:
// whatever keys are used for is written down nowhere.
var ErrNoAuditDevice = errors.New("vault has no such audit device")

// auditProbe is the only text whose hash a service's policy lets it ask for
// (deploy/vault/service.hcl, allowed_parameters). The hash of any other text
// would let whoever has the service's token look up values in Vault's audit
// file.
const auditProbe = "sealtrail"

// AuditHash is the HMAC under which the audit device writes a text down. It needs
// a token of the audit department (deploy/vault/reconciler.hcl): the service's
// own may ask for one word only. Errors: ErrNoAuditDevice, or one that wraps
// keyring.ErrUnavailable.
func AuditHash(ctx context.Context, client *api.Client, device, text string) (string, error) {
	a, err := do(ctx, client, call{op: "audit hash", method: http.MethodPut, path: "sys/audit-hash/" + url.PathEscape(device),
		body: map[string]string{"input": text}})
	var away *keyring.UnavailableError
	if errors.As(err, &away) && away.Status == http.StatusBadRequest {
		return "", ErrNoAuditDevice
	}
	if err != nil {
		return "", err
	}
	var said struct {
		Hash string `json:"hash"`
	}
	if json.Unmarshal(a.Data, &said) != nil || said.Hash == "" {
		return "", &keyring.UnavailableError{Cause: keyring.CauseUnreachable, Op: "audit hash"}
	}
	return said.Hash, nil
}

// AuditDevice looks whether Vault has an audit device of this name ("file") and
// returns a fingerprint of it: 16 hex digits that stay the same until the
// device is made anew, since its salt goes into them. A caller without the
// rights to list devices can tell so that one was disabled, and that one was
// disabled and enabled again. It cannot tell where the device writes to.
// Errors: ErrNoAuditDevice, or one that wraps keyring.ErrUnavailable; cause
// denied means that the policy lacks the path, not that the token is bad.
func (t *Transit) AuditDevice(ctx context.Context, name string) (fingerprint string, err error) {
	// Not through send: a refusal here must not make the login start over.
	a, err := do(ctx, t.cfg.Client, call{op: "audit device", method: http.MethodPut, path: "sys/audit-hash/" + url.PathEscape(name),
		body: map[string]string{"input": auditProbe}})
	var away *keyring.UnavailableError
	if errors.As(err, &away) && away.Status == http.StatusBadRequest {
		return "", ErrNoAuditDevice
	}
	if err != nil {
		return "", err
	}
	var said struct {
		Hash string `json:"hash"`
	}
	if json.Unmarshal(a.Data, &said) != nil || said.Hash == "" {
		return "", &keyring.UnavailableError{Cause: keyring.CauseUnreachable, Op: "audit device"}
	}
	sum := sha256.Sum256([]byte(said.Hash))
	return hex.EncodeToString(sum[:8]), nil
}
