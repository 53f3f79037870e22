// Package cryptotest lets programs test against package crypto without a key
// service: an in-memory Wrapper and Indexer that behave like the real ones,
// and can be told to fail, to hang and to be sealed.
//
//	w := cryptotest.NewWrapper("test seed")
//	ring, err := keyring.New(keyring.Config{Wrapper: w})
//	...
//	w.Fail(&keyring.UnavailableError{Cause: keyring.CauseSealed, Op: "unwrap"})
//
// It must never be linked into a service: its master key is its seed.
package cryptotest

import (
	"context"
	"crypto/aes"
	"crypto/cipher"
	"crypto/hkdf"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"fmt"
	"strings"
	"sync"

	"github.com/sealtrail/sealtrail/crypto/blindindex"
	"github.com/sealtrail/sealtrail/crypto/keyring"
)

// blobPrefix makes fake blobs recognisable in a database dump.
const blobPrefix = "cryptotest:v1:"

// Call is one call that a Wrapper received.
type Call struct {
	Op         string // "wrap" or "unwrap"
	Batch      string
	References []string
}

// Wrapper is an in-memory keyring.Wrapper and keyring.Prober. Wrapped keys of
// two Wrappers with the same seed open at each other. Safe for concurrent use.
type Wrapper struct {
	seed []byte

	mu    sync.Mutex
	err   error
	gate  chan struct{} // non-nil: calls wait until it is closed
	calls []Call
	bad   map[string]error // by blob or reference
}

var (
	_ keyring.Wrapper = (*Wrapper)(nil)
	_ keyring.Prober  = (*Wrapper)(nil)
)

// NewWrapper returns a Wrapper whose master keys derive from seed.
func NewWrapper(seed string) *Wrapper {
	return &Wrapper{seed: []byte(seed), bad: make(map[string]error)}
}

// Fail makes every call fail with err; nil heals.
func (w *Wrapper) Fail(err error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.err = err
}

// FailItem makes the items with this reference fail with err; nil heals.
func (w *Wrapper) FailItem(reference string, err error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.bad[reference] = err
}

// Hold makes calls hang, until release is called or their context ends.
func (w *Wrapper) Hold() (release func()) {
	gate := make(chan struct{})
	w.mu.Lock()
	w.gate = gate
	w.mu.Unlock()
	return sync.OnceFunc(func() {
		w.mu.Lock()
		if w.gate == gate {
			w.gate = nil
		}
		w.mu.Unlock()
		close(gate)
	})
}

// Calls returns what was called so far, in order of arrival.
func (w *Wrapper) Calls() []Call {
	w.mu.Lock()
	defer w.mu.Unlock()
	return append([]Call(nil), w.calls...)
}

// Wrap implements keyring.Wrapper.
func (w *Wrapper) Wrap(ctx context.Context, batch string, items []keyring.WrapItem) ([]keyring.WrapResult, error) {
	refs := make([]string, len(items))
	for i, it := range items {
		refs[i] = it.Reference
	}
	if err := w.enter(ctx, Call{"wrap", batch, refs}); err != nil {
		return nil, err
	}
	out := make([]keyring.WrapResult, len(items))
	for i, it := range items {
		if err := w.itemError(it.Reference); err != nil {
			out[i].Err = err
			continue
		}
		sealed := w.kek(it.Context).Seal(nil, nil, it.Plaintext, nil)
		out[i] = keyring.WrapResult{Blob: blobPrefix + base64.StdEncoding.EncodeToString(sealed), KeyVersion: 1}
	}
	return out, nil
}

// Unwrap implements keyring.Wrapper.
func (w *Wrapper) Unwrap(ctx context.Context, batch string, items []keyring.UnwrapItem) ([]keyring.UnwrapResult, error) {
	refs := make([]string, len(items))
	for i, it := range items {
		refs[i] = it.Reference
	}
	if err := w.enter(ctx, Call{"unwrap", batch, refs}); err != nil {
		return nil, err
	}
	out := make([]keyring.UnwrapResult, len(items))
	for i, it := range items {
		if err := w.itemError(it.Reference); err != nil {
			out[i].Err = err
			continue
		}
		sealed, err := base64.StdEncoding.Strict().DecodeString(strings.TrimPrefix(it.Blob, blobPrefix))
		if err == nil && strings.HasPrefix(it.Blob, blobPrefix) {
			out[i].Plaintext, err = w.kek(it.Context).Open(nil, nil, sealed, nil)
		}
		if err != nil || out[i].Plaintext == nil {
			out[i] = keyring.UnwrapResult{Err: fmt.Errorf("fake wrapped key: %w", keyring.ErrIntegrity)}
		}
	}
	return out, nil
}

// Probe implements keyring.Prober: it fails as the next call would.
func (w *Wrapper) Probe(ctx context.Context) error { return w.wait(ctx) }

func (w *Wrapper) enter(ctx context.Context, c Call) error {
	w.mu.Lock()
	w.calls = append(w.calls, c)
	w.mu.Unlock()
	return w.wait(ctx)
}

func (w *Wrapper) wait(ctx context.Context) error {
	w.mu.Lock()
	gate := w.gate
	w.mu.Unlock()
	if gate != nil {
		select {
		case <-gate:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.err
}

func (w *Wrapper) itemError(reference string) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.bad[reference]
}

// kek derives the key of one context, as Vault's derived keys do.
func (w *Wrapper) kek(keyContext []byte) cipher.AEAD {
	prk := sha256.Sum256(w.seed)
	key, err := hkdf.Expand(sha256.New, prk[:], string(keyContext), 32)
	if err != nil {
		panic(err) // 32 bytes are always possible
	}
	block, err := aes.NewCipher(key)
	if err != nil {
		panic(err) // 32 bytes are a key
	}
	aead, err := cipher.NewGCMWithRandomNonce(block)
	if err != nil {
		panic(err) // an AES block is what it takes
	}
	return aead
}

// Indexer computes tokens in memory, with an index key that is its seed.
type Indexer struct {
	institution string
	seed        [32]byte

	mu  sync.Mutex
	err error
}

// NewIndexer returns an Indexer for one institution.
func NewIndexer(institution, seed string) *Indexer {
	return &Indexer{institution: institution, seed: sha256.Sum256([]byte(seed))}
}

// Fail makes every call fail with err; nil heals.
func (x *Indexer) Fail(err error) {
	x.mu.Lock()
	defer x.mu.Unlock()
	x.err = err
}

// Tokens has the contract of transit.Indexer.Tokens.
func (x *Indexer) Tokens(ctx context.Context, items []blindindex.Item) ([][]byte, error) {
	tokens, _, err := x.TokensIn(ctx, items)
	return tokens, err
}

// TokensIn has the contract of transit.Indexer.TokensIn: each call here is one
// of its own.
func (x *Indexer) TokensIn(_ context.Context, items []blindindex.Item) ([][]byte, []string, error) {
	x.mu.Lock()
	defer x.mu.Unlock()
	if x.err != nil {
		return nil, nil, x.err
	}
	out, calls, call := make([][]byte, len(items)), make([]string, len(items)), rand.Text()
	for i, it := range items {
		mac := hmac.New(sha256.New, x.seed[:])
		mac.Write(blindindex.Input(x.institution, it))
		out[i], calls[i] = mac.Sum(nil), call
	}
	return out, calls, nil
}
