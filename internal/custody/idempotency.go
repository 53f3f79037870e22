package custody

import (
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"sync"

	"github.com/sealtrail/sealtrail/internal/store"
)

// idempotencyKey is a key of this process, computed inside Vault at first use,
// under which idempotency keys and requests are kept: a plain hash of a request
// could be guessed field by field.
type idempotencyKey struct {
	mu  sync.Mutex
	key []byte
}

func (k *idempotencyKey) get(ctx context.Context, index Indexer) ([]byte, error) {
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.key != nil {
		return k.key, nil
	}
	tokens, err := index.Tokens(ctx, []IndexItem{{Field: "idempotency", Epoch: firstEpoch, Normalised: []byte("sealtrail/idempotency/v1"), Reference: "idempotency"}})
	if err != nil {
		return nil, keyError(err)
	}
	k.key = tokens[0]
	return k.key, nil
}

// idempotent looks a key up. It returns nil without a key, a use without
// Resource for a new key, and one with Resource for a key that made something
// before with the very same request.
func (d *Door) idempotent(ctx context.Context, a *asked, r CreateRequest) (*store.Idempotency, error) {
	if r.IdempotencyKey == "" {
		return nil, nil
	}
	key, err := d.idem.get(ctx, d.cfg.Index)
	if err != nil {
		return nil, err
	}
	request, err := json.Marshal(r.Draft)
	if err != nil {
		return nil, fmt.Errorf("encoding a draft: %w", err)
	}
	use := store.Idempotency{Institution: d.cfg.Institution, Principal: a.caller.Person, Route: "complaints.create",
		KeyHMAC: mac(key, "key", []byte(r.IdempotencyKey)), RequestHMAC: mac(key, "request", request), Status: 201}
	found, err := d.cfg.Store.FindIdempotent(ctx, use)
	if err != nil {
		return nil, storeError(err)
	}
	if found == nil {
		return &use, nil
	}
	if !hmac.Equal(found.RequestHMAC, mac(key, "request", request)) {
		return nil, ErrIdempotencyReused
	}
	return found, nil
}

func mac(key []byte, label string, data []byte) []byte {
	h := hmac.New(sha256.New, key)
	h.Write([]byte(label))
	h.Write([]byte{0})
	h.Write(data)
	return h.Sum(nil)
}
