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
	in := make([]decryptItem, len(items))
	for i, it := range items {
		in[i] = decryptItem{it.Blob, base64.StdEncoding.EncodeToString(it.Context), it.Reference}
	}
	a, err := t.cfg.send(ctx, call{"rewrap", http.MethodPut, t.cfg.path("rewrap", "record"), batch, batchRequest[decryptItem]{in, http.StatusOK}})
	if err != nil {
		return nil, err
	}
	results, err := batchOf[encryptResult]("rewrap", a, len(items))
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
	switch version := versionOf(r.Ciphertext); {
	case r.Error != "":
		return RewrapResult{Err: itemError("rewrap", r.Error)}
	case version == 0, r.KeyVersion != 0 && r.KeyVersion != version:
		return RewrapResult{Err: &keyring.UnavailableError{Cause: keyring.CauseRejected, Op: "rewrap"}}
	default:
		return RewrapResult{Blob: r.Ciphertext, KeyVersion: version}
	}
}
