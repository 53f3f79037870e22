package vaultserver

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"time"

	"github.com/hashicorp/vault/api"
)

// RecordKey is an institution's record key in the hands of a custodian: with a
// token made for one use (deploy/vault/custodian-rotate.hcl, custodian-trim.hcl).
// The service has no such token.
type RecordKey struct {
	// Client sends the custodian's token. Required.
	Client *api.Client
	// Institution whose key it is. Required.
	Institution string
}

// changeWithin bounds one call that changes a key.
const changeWithin = 10 * time.Second

func (k RecordKey) write(ctx context.Context, verb string, settings map[string]any) error {
	ctx, cancel := context.WithTimeout(ctx, changeWithin)
	defer cancel()
	path := "transit/keys/" + k.Institution + "-record/" + verb
	_, err := k.Client.Logical().WriteWithContext(ctx, path, settings)
	var refused *api.ResponseError
	if errors.As(err, &refused) && refused.StatusCode == http.StatusForbidden {
		return fmt.Errorf("changing %s in Vault: %w", path, ErrTokenRefused)
	}
	if err != nil {
		return fmt.Errorf("changing %s in Vault: %w", path, err)
	}
	return nil
}

// ErrTokenRefused says that Vault refuses the custodian's token.
var ErrTokenRefused = errors.New("permission denied: the token is used up, expired or not made for this; " +
	"have a new one made as docs/operate/keys.md says, then run this again")

// Rotate makes a new version. Older ones go on opening what they wrapped.
func (k RecordKey) Rotate(ctx context.Context) error { return k.write(ctx, "rotate", nil) }

// SetMinimum sets the oldest versions that decrypt and that encrypt (0: the
// newest only). It can be taken back as long as nothing was trimmed.
func (k RecordKey) SetMinimum(ctx context.Context, decryption, encryption int) error {
	return k.write(ctx, "config", map[string]any{"min_decryption_version": decryption, "min_encryption_version": encryption})
}

// Trim destroys every version below this one. Nobody can take it back but who
// restores an older snapshot of Vault.
func (k RecordKey) Trim(ctx context.Context, version int) error {
	return k.write(ctx, "trim", map[string]any{"min_available_version": version})
}
