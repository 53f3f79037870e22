package authn

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os"
	"sync"
	"sync/atomic"
	"time"

	"github.com/go-jose/go-jose/v4"
)

const (
	// maxJWKS bounds a key set that is read from outside, in bytes.
	maxJWKS = 1 << 20
	// fetchWithin bounds one fetch. It is below the 2 s request deadline, so
	// that a hanging issuer becomes a 503 and not a hang.
	fetchWithin = 1500 * time.Millisecond
)

// keySet holds an issuer's public keys. An unknown key id causes a re-read, but
// not more often than every minRefresh: else forged tokens with random key ids
// would make us hammer the issuer.
type keySet struct {
	source     func(ctx context.Context) ([]byte, error)
	now        func() time.Time
	minRefresh time.Duration
	maxAge     time.Duration

	keys       atomic.Pointer[jose.JSONWebKeySet]
	generation atomic.Uint64 // grows whenever keys are replaced
	mu         sync.Mutex    // one fetch at a time
	tried      time.Time     // last attempt, guarded by mu
	last       []byte        // the document the keys came from, guarded by mu
	fetched    atomic.Int64  // unix nanoseconds of the last success
}

// find returns the verification keys with this id. An empty id matches when
// the set has exactly one key.
func (k *keySet) find(ctx context.Context, kid string) ([]jose.JSONWebKey, error) {
	set := k.keys.Load()
	stale := set == nil || k.now().UnixNano()-k.fetched.Load() > int64(k.maxAge)
	if !stale {
		if found := match(set, kid); len(found) > 0 {
			return found, nil
		}
	}
	err := k.refresh(ctx)
	if set = k.keys.Load(); set == nil {
		return nil, fmt.Errorf("%w: %w", ErrKeysUnavailable, err)
	}
	return match(set, kid), nil // keys read earlier outlive an issuer that is away
}

func match(set *jose.JSONWebKeySet, kid string) []jose.JSONWebKey {
	if kid != "" {
		return set.Key(kid)
	}
	if len(set.Keys) == 1 {
		return set.Keys
	}
	return nil
}

func (k *keySet) refresh(ctx context.Context) error {
	k.mu.Lock()
	defer k.mu.Unlock()
	if !k.tried.IsZero() && k.now().Sub(k.tried) < k.minRefresh {
		return fmt.Errorf("reading the key set: tried less than %s ago", k.minRefresh)
	}
	k.tried = k.now()
	// The caller's hanging up must not leave the next caller without keys.
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), fetchWithin)
	defer cancel()
	raw, err := k.source(ctx)
	if err != nil {
		return err
	}
	set, err := parseKeySet(raw)
	if err != nil {
		return err
	}
	if !bytes.Equal(raw, k.last) {
		k.last = raw
		k.keys.Store(set)
		k.generation.Add(1)
	}
	k.fetched.Store(k.now().UnixNano())
	return nil
}

// parseKeySet keeps the public signature keys of a JWKS document. A symmetric
// key is dropped: whoever can verify with it could also sign.
func parseKeySet(raw []byte) (*jose.JSONWebKeySet, error) {
	var all jose.JSONWebKeySet
	if err := json.Unmarshal(raw, &all); err != nil {
		return nil, fmt.Errorf("parsing the key set: not a JWKS document")
	}
	kept := &jose.JSONWebKeySet{}
	for _, key := range all.Keys {
		if key.Valid() && key.IsPublic() && (key.Use == "" || key.Use == "sig") {
			kept.Keys = append(kept.Keys, key)
		}
	}
	if len(kept.Keys) == 0 {
		return nil, fmt.Errorf("parsing the key set: no public signature key in it")
	}
	return kept, nil
}

func fromFile(name string) func(context.Context) ([]byte, error) {
	return func(context.Context) ([]byte, error) {
		raw, err := os.ReadFile(name)
		if err != nil {
			return nil, fmt.Errorf("reading the key set: %w", err)
		}
		return raw, nil
	}
}

func fromURL(client *http.Client, url string) func(context.Context) ([]byte, error) {
	return func(ctx context.Context) ([]byte, error) {
		req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
		if err != nil {
			return nil, fmt.Errorf("reading the key set: %w", err)
		}
		resp, err := client.Do(req)
		if err != nil {
			return nil, fmt.Errorf("reading the key set: %w", err)
		}
		defer resp.Body.Close()
		if resp.StatusCode != http.StatusOK {
			return nil, fmt.Errorf("reading the key set: the issuer answered %d", resp.StatusCode)
		}
		raw, err := io.ReadAll(io.LimitReader(resp.Body, maxJWKS))
		if err != nil {
			return nil, fmt.Errorf("reading the key set: %w", err)
		}
		return raw, nil
	}
}
