package transit

import (
	"context"
	"encoding/base64"
	"net/http"

	"github.com/sealtrail/sealtrail/crypto/keyring"
)

// RewrapItem is one wrapped data key to bring to the newest version of the
// master key. The data key itself never leaves Vault.
type RewrapItem struct {
	Reference string // id of what stands for this item in the log
	Context   []byte // see keyring.RecordID.Context
	Blob      string // "vault:v<n>:..."
}

// RewrapResult answers a RewrapItem.
type RewrapResult struct {
	Blob       string
	KeyVersion int
	Err        error // wraps keyring.ErrIntegrity, ErrRetired or ErrUnavailable
}

// Rewrap has Vault decrypt each blob and encrypt it anew under the newest
// version, in one call. An error of one item concerns that item only; the error
// of the call wraps keyring.ErrUnavailable or context.Canceled. The caller sets
// the deadline and keeps a call at 256 items or fewer (larger ones hold back
// those who read meanwhile).
func (t *Transit) Rewrap(ctx context.Context, batch string, items []RewrapItem) ([]RewrapResult, error) {
	in, references := make([]decryptItem, len(items)), referencesOf(items, func(it RewrapItem) string { return it.Reference })
	for i, it := range items {
		in[i] = decryptItem{it.Blob, base64.StdEncoding.EncodeToString(it.Context), references[i]}
	}
	a, err := t.cfg.send(ctx, call{"rewrap", http.MethodPut, t.cfg.path("rewrap", "record"), batch, batchRequest[decryptItem]{in, http.StatusOK}})
	if err != nil {
		return nil, err
	}
	results, err := batchOf[encryptResult]("rewrap", a, references)
	if err != nil {
		return nil, err
	}
	out := make([]RewrapResult, len(items))
	for i, r := range results {
		out[i] = rewrapResult(r)
	}
	return out, nil
}

func rewrapResult(r encryptResult) RewrapResult {
	if r.Error != "" {
		return RewrapResult{Err: itemError("rewrap", r.Error)}
	}
	blob, version, ok := r.wrapped()
	if !ok {
		return RewrapResult{Err: &keyring.UnavailableError{Cause: keyring.CauseRejected, Op: "rewrap"}}
	}
	return RewrapResult{Blob: blob, KeyVersion: version}
}
