package transit

import (
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"time"

	"github.com/sealtrail/sealtrail/crypto/batch"
	"github.com/sealtrail/sealtrail/crypto/blindindex"
	"github.com/sealtrail/sealtrail/crypto/keyring"
)

// IndexItem is one token to compute.
type IndexItem = blindindex.Item

// Indexer computes blind index tokens in Vault, so that the index key is never
// in this process. Concurrent requests share calls. Safe for concurrent use.
type Indexer struct {
	cfg  Config
	wait time.Duration
	coll *batch.Collector[IndexItem, tokenResult]
}

// indexDeadline bounds a call and a wait for tokens, as for data keys.
const indexDeadline = 2 * time.Second

// indexWait is how long tokens are held back for company while another call is
// under way, as for new keys (keyring.Config.MintWait): both go to Vault at the
// same time in a create.
const indexWait = 25 * time.Millisecond

type tokenResult struct {
	token []byte
	err   error
}

// NewIndexer returns an Indexer. It makes no call.
func NewIndexer(cfg Config) (*Indexer, error) {
	if err := cfg.check(); err != nil {
		return nil, err
	}
	x := &Indexer{cfg: cfg, wait: indexDeadline}
	x.coll = batch.New(batch.Config[IndexItem, tokenResult]{Call: x.call, MaxWait: indexWait, Deadline: x.wait})
	return x, nil
}

// Tokens returns one token of blindindex.TokenSize bytes per item, in order:
// HMAC-SHA-256 of blindindex.Input under the institution's index key. Equal
// items have equal tokens. The error wraps keyring.ErrUnavailable or
// context.Canceled; then there are no tokens at all.
func (x *Indexer) Tokens(ctx context.Context, items []IndexItem) ([][]byte, error) {
	if len(items) == 0 {
		return nil, nil
	}
	for _, it := range items {
		if it.Field == "" || len(it.Normalised) == 0 {
			return nil, errors.New("computing index tokens: empty field or value")
		}
	}
	wait, cancel := context.WithTimeout(ctx, x.wait)
	defer cancel()
	outcomes, err := x.coll.Do(wait, items)
	if err != nil {
		if errors.Is(ctx.Err(), context.Canceled) {
			return nil, fmt.Errorf("computing index tokens: %w", context.Canceled)
		}
		return nil, &keyring.UnavailableError{Cause: keyring.CauseDeadline, Op: "hmac"}
	}
	tokens := make([][]byte, len(items))
	for i, o := range outcomes {
		if err := errors.Join(o.Err, o.Result.err); err != nil {
			return nil, fmt.Errorf("computing index tokens of %s: %w", items[i].Field, err)
		}
		tokens[i] = o.Result.token
	}
	return tokens, nil
}

type hmacItem struct {
	Input     string `json:"input"`
	Reference string `json:"reference,omitempty"`
}

type hmacRequest struct {
	Input     []hmacItem `json:"batch_input"`
	Algorithm string     `json:"algorithm"`
}

type hmacResult struct {
	HMAC  string `json:"hmac"`
	Error string `json:"error"`
}

func (x *Indexer) call(ctx context.Context, id string, items []IndexItem) ([]tokenResult, error) {
	in := make([]hmacItem, len(items))
	for i, it := range items {
		in[i] = hmacItem{base64.StdEncoding.EncodeToString(blindindex.Input(x.cfg.Institution, it)), it.Reference}
	}
	a, err := x.cfg.send(ctx, call{"hmac", http.MethodPut, x.cfg.path("hmac", "index"), id, hmacRequest{in, "sha2-256"}})
	if err != nil {
		return nil, err
	}
	results, err := batchOf[hmacResult]("hmac", a, len(items))
	if err != nil {
		return nil, err
	}
	out := make([]tokenResult, len(items))
	for i, r := range results {
		out[i] = tokenOf(r)
	}
	return out, nil
}

// tokenOf reads "vault:v<n>:<base64>". The key version is not part of the
// token: an index key is never rotated, a new epoch gets a new key.
func tokenOf(r hmacResult) tokenResult {
	raw, err := base64.StdEncoding.DecodeString(r.HMAC[strings.LastIndexByte(r.HMAC, ':')+1:])
	if err != nil || r.Error != "" || len(raw) != blindindex.TokenSize {
		return tokenResult{err: &keyring.UnavailableError{Cause: keyring.CauseRejected, Op: "hmac"}}
	}
	return tokenResult{token: raw}
}
