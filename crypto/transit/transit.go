package transit

import (
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strconv"
	"strings"

	"github.com/hashicorp/vault/api"

	"github.com/sealtrail/sealtrail/crypto/keyring"
)

// Config of Transit and Indexer. Zero fields mean the documented defaults.
type Config struct {
	// Client as NewClient makes it. Required. Its retries are switched off.
	Client *api.Client
	// Institution whose keys are used. Required.
	Institution string
	// Mount is the path of the transit engine; "" means "transit".
	Mount string
	// Login, if set, is told when Vault refuses the token, so that it logs in
	// again at once.
	Login *Login
}

func (c *Config) check() error {
	if c.Client == nil || c.Institution == "" {
		return errors.New("transit needs a client and an institution")
	}
	if c.Mount == "" {
		c.Mount = "transit"
	}
	c.Client.SetMaxRetries(0)
	return nil
}

// path of an operation on one of the institution's keys.
func (c *Config) path(verb, key string) string {
	return c.Mount + "/" + verb + "/" + url.PathEscape(c.Institution+"-"+key)
}

// send carries out a call and tells the login of a refusal.
func (c *Config) send(ctx context.Context, req call) (*answer, error) {
	a, err := do(ctx, c.Client, req)
	if c.Login != nil && keyring.CauseOf(err) == keyring.CauseDenied {
		c.Login.Refused()
	}
	return a, err
}

// Transit wraps and unwraps data keys in Vault. It implements keyring.Wrapper
// and keyring.Prober and is safe for concurrent use.
type Transit struct{ cfg Config }

var (
	_ keyring.Wrapper = (*Transit)(nil)
	_ keyring.Prober  = (*Transit)(nil)
)

// New returns a Transit. It makes no call.
func New(cfg Config) (*Transit, error) {
	if err := cfg.check(); err != nil {
		return nil, err
	}
	return &Transit{cfg: cfg}, nil
}

// KeyName is the name of the institution's record key in Vault.
func (t *Transit) KeyName() string { return t.cfg.Institution + "-record" }

type encryptItem struct {
	Plaintext string `json:"plaintext"`
	Context   string `json:"context"`
	Reference string `json:"reference,omitempty"`
}

type decryptItem struct {
	Ciphertext string `json:"ciphertext"`
	Context    string `json:"context"`
	Reference  string `json:"reference,omitempty"`
}

// batchRequest asks for 200 on partial failure, so that one bad item does not
// look like a failed call.
type batchRequest[I any] struct {
	Input   []I `json:"batch_input"`
	Partial int `json:"partial_failure_response_code"`
}

type encryptResult struct {
	Ciphertext string `json:"ciphertext"`
	KeyVersion int    `json:"key_version"`
	Error      string `json:"error"`
	Reference  string `json:"reference"`
}

func (r encryptResult) reference() string { return r.Reference }

// wrapped is the wrapped key and its version; ok is false if the answer has
// none, or contradicts itself.
func (r encryptResult) wrapped() (blob string, version int, ok bool) {
	version = versionOf(r.Ciphertext)
	return r.Ciphertext, version, r.Error == "" && version > 0 && (r.KeyVersion == 0 || r.KeyVersion == version)
}

type decryptResult struct {
	Plaintext string `json:"plaintext"`
	Error     string `json:"error"`
	Reference string `json:"reference"`
}

func (r decryptResult) reference() string { return r.Reference }

// Wrap encrypts data keys, each under a key derived from its context.
func (t *Transit) Wrap(ctx context.Context, batch string, items []keyring.WrapItem) ([]keyring.WrapResult, error) {
	in, references := make([]encryptItem, len(items)), referencesOf(items, func(it keyring.WrapItem) string { return it.Reference })
	for i, it := range items {
		in[i] = encryptItem{base64.StdEncoding.EncodeToString(it.Plaintext), base64.StdEncoding.EncodeToString(it.Context), references[i]}
	}
	a, err := t.cfg.send(ctx, call{"wrap", http.MethodPut, t.cfg.path("encrypt", "record"), batch, batchRequest[encryptItem]{in, http.StatusOK}})
	if err != nil {
		return nil, err
	}
	results, err := batchOf[encryptResult]("wrap", a, references)
	if err != nil {
		return nil, err
	}
	out := make([]keyring.WrapResult, len(items))
	for i, r := range results {
		blob, version, ok := r.wrapped()
		if out[i] = (keyring.WrapResult{Blob: blob, KeyVersion: version}); !ok {
			out[i] = keyring.WrapResult{Err: &keyring.UnavailableError{Cause: keyring.CauseRejected, Op: "wrap"}}
		}
	}
	return out, nil
}

// Unwrap decrypts data keys.
func (t *Transit) Unwrap(ctx context.Context, batch string, items []keyring.UnwrapItem) ([]keyring.UnwrapResult, error) {
	in, references := make([]decryptItem, len(items)), referencesOf(items, func(it keyring.UnwrapItem) string { return it.Reference })
	for i, it := range items {
		in[i] = decryptItem{it.Blob, base64.StdEncoding.EncodeToString(it.Context), references[i]}
	}
	a, err := t.cfg.send(ctx, call{"unwrap", http.MethodPut, t.cfg.path("decrypt", "record"), batch, batchRequest[decryptItem]{in, http.StatusOK}})
	if err != nil {
		return nil, err
	}
	results, err := batchOf[decryptResult]("unwrap", a, references)
	if err != nil {
		return nil, err
	}
	out := make([]keyring.UnwrapResult, len(items))
	for i, r := range results {
		out[i] = unwrapResult(r)
		// Which versions may be trimmed, and what a receipt of an erasure says,
		// is decided by the stored number: it must be the blob's.
		if v := items[i].KeyVersion; v != 0 && v != versionOf(items[i].Blob) && out[i].Err == nil {
			clear(out[i].Plaintext)
			out[i] = keyring.UnwrapResult{Err: fmt.Errorf("wrapped key is of another version than is stored beside it: %w", keyring.ErrIntegrity)}
		}
	}
	return out, nil
}

func unwrapResult(r decryptResult) keyring.UnwrapResult {
	if r.Error != "" {
		return keyring.UnwrapResult{Err: itemError("unwrap", r.Error)}
	}
	key, err := base64.StdEncoding.DecodeString(r.Plaintext)
	if err != nil {
		return keyring.UnwrapResult{Err: fmt.Errorf("unwrapped key is not base64: %w", keyring.ErrIntegrity)}
	}
	return keyring.UnwrapResult{Plaintext: key}
}

// itemError types what Vault says of one item (sdk/helper/keysutil/policy.go of
// Vault 1.21). Vault's text is matched, not passed on.
func itemError(op, text string) error {
	has := func(s string) bool { return strings.Contains(text, s) }
	switch {
	case has("disallowed by policy (too old)"):
		return keyring.ErrRetired
	case has("invalid ciphertext"), has("message authentication failed"), has("missing ciphertext"), has("illegal base64"):
		return fmt.Errorf("wrapped key does not open for this record: %w", keyring.ErrIntegrity)
	}
	return &keyring.UnavailableError{Cause: keyring.CauseRejected, Op: op}
}

// versionOf reads the key version of "vault:v<n>:..."; 0 if there is none.
func versionOf(blob string) int {
	parts := strings.SplitN(blob, ":", 3)
	if len(parts) != 3 || !strings.HasPrefix(parts[1], "v") {
		return 0
	}
	n, err := strconv.Atoi(parts[1][1:])
	if err != nil || n < 1 {
		return 0
	}
	return n
}

// Probe asks Vault about this login's own token: nil means that Vault is there,
// unsealed, and takes the token.
func (t *Transit) Probe(ctx context.Context) error {
	_, err := t.cfg.send(ctx, call{op: "probe", method: http.MethodGet, path: "auth/token/lookup-self"})
	return err
}
