package transit

import (
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/sealtrail/sealtrail/crypto/batch"
	"github.com/sealtrail/sealtrail/crypto/blindindex"
	"github.com/sealtrail/sealtrail/crypto/keyring"
)

// IndexItem is one token to compute.
type IndexItem = blindindex.Item

// Indexer computes blind index tokens in Vault, so that the index key is never
// in this process. Concurrent requests share calls. Safe for concurrent use.
//
// Each epoch has an index key of its own: epoch 1 (and 0) the key
// "<institution>-index", epoch n the key "<institution>-index.<n>".
type Indexer struct {
	cfg     Config
	wait    time.Duration
	circuit *keyring.Circuit

	mu     sync.Mutex
	epochs map[uint32]*collector
}

type collector = batch.Collector[IndexItem, tokenResult]

// maxEpochs bounds how many epochs one Indexer serves: two are in use during a
// rotation, and each rotation adds one.
const maxEpochs = 64

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
	return &Indexer{cfg: cfg, wait: indexDeadline, circuit: keyring.NewCircuit(keyring.CircuitConfig{}), epochs: make(map[uint32]*collector)}, nil
}

// indexKey is the suffix of the name of an epoch's key in Vault.
func indexKey(epoch uint32) string {
	if epoch <= 1 {
		return "index"
	}
	return "index." + strconv.FormatUint(uint64(epoch), 10)
}

// collector of one epoch: a call to Vault concerns one key.
func (x *Indexer) collector(epoch uint32) (*collector, error) {
	epoch = max(epoch, 1)
	x.mu.Lock()
	defer x.mu.Unlock()
	if c := x.epochs[epoch]; c != nil {
		return c, nil
	}
	if len(x.epochs) == maxEpochs {
		return nil, fmt.Errorf("computing index tokens: more than %d epochs", maxEpochs)
	}
	path := x.cfg.path("hmac", indexKey(epoch))
	c := batch.New(batch.Config[IndexItem, tokenResult]{MaxWait: indexWait, Deadline: x.wait,
		Call: func(ctx context.Context, id string, items []IndexItem) ([]tokenResult, error) {
			return x.call(ctx, path, id, items)
		}})
	x.epochs[epoch] = c
	return c, nil
}

// Tokens returns one token of blindindex.TokenSize bytes per item, in order:
// HMAC-SHA-256 of blindindex.Input under the key of the item's epoch. Equal
// items have equal tokens. Items of several epochs may be mixed: that is one
// call per epoch, side by side. The error wraps keyring.ErrUnavailable or
// context.Canceled; then there are no tokens at all.
func (x *Indexer) Tokens(ctx context.Context, items []IndexItem) ([][]byte, error) {
	tokens, _, err := x.TokensIn(ctx, items)
	return tokens, err
}

// TokensIn is Tokens, and says which call to Vault carried each item, by the id
// under which Vault's own audit log has it. It says so also with an error, for
// Vault may have computed what never came back; an item without a call has "".
func (x *Indexer) TokensIn(ctx context.Context, items []IndexItem) (tokens [][]byte, calls []string, err error) {
	byEpoch := make(map[uint32][]int, 1)
	for i, it := range items {
		if it.Field == "" || len(it.Normalised) == 0 {
			return nil, nil, errors.New("computing index tokens: empty field or value")
		}
		epoch := max(it.Epoch, 1)
		byEpoch[epoch] = append(byEpoch[epoch], i)
	}
	if len(items) == 0 {
		return nil, nil, nil
	}
	wait, cancel := context.WithTimeout(ctx, x.wait)
	defer cancel()
	tokens, calls = make([][]byte, len(items)), make([]string, len(items))
	var group errgroup.Group
	for epoch, which := range byEpoch {
		c, err := x.collector(epoch)
		if err != nil {
			return nil, calls, err
		}
		group.Go(func() error { return x.epoch(ctx, wait, c, work{items, which, tokens, calls}) })
	}
	if err := group.Wait(); err != nil {
		return nil, calls, err
	}
	return tokens, calls, nil
}

// work is the items of one epoch among all, and where their tokens go.
type work struct {
	items  []IndexItem
	which  []int
	tokens [][]byte
	calls  []string
}

// epoch computes the tokens of one epoch.
func (x *Indexer) epoch(ctx, wait context.Context, c *collector, w work) error {
	own := make([]IndexItem, len(w.which))
	for i, at := range w.which {
		own[i] = w.items[at]
	}
	outcomes, err := c.Do(wait, own)
	if err != nil {
		if errors.Is(ctx.Err(), context.Canceled) {
			return fmt.Errorf("computing index tokens: %w", context.Canceled)
		}
		return &keyring.UnavailableError{Cause: keyring.CauseDeadline, Op: "hmac"}
	}
	for i, o := range outcomes {
		w.calls[w.which[i]] = o.Batch
	}
	for i, o := range outcomes {
		if err := errors.Join(o.Err, o.Result.err); err != nil {
			return fmt.Errorf("computing index tokens of %s: %w", own[i].Field, err)
		}
		w.tokens[w.which[i]] = o.Result.token
	}
	return nil
}

type hmacItem struct {
	Input     string `json:"input"`
	Reference string `json:"reference,omitempty"`
}

type hmacRequest struct {
	Input      []hmacItem `json:"batch_input"`
	Algorithm  string     `json:"algorithm"`
	KeyVersion int        `json:"key_version"`
}

type hmacResult struct {
	HMAC      string `json:"hmac"`
	Error     string `json:"error"`
	Reference string `json:"reference"`
}

func (r hmacResult) reference() string { return r.Reference }

// call asks Vault, unless too many calls failed in a row.
func (x *Indexer) call(ctx context.Context, path, id string, items []IndexItem) ([]tokenResult, error) {
	if err := x.circuit.Allow("hmac"); err != nil {
		return nil, err
	}
	out, err := x.ask(ctx, path, id, items)
	x.circuit.Done(err)
	return out, err
}

func (x *Indexer) ask(ctx context.Context, path, id string, items []IndexItem) ([]tokenResult, error) {
	in, references := make([]hmacItem, len(items)), referencesOf(items, func(it IndexItem) string { return it.Reference })
	for i, it := range items {
		in[i] = hmacItem{base64.StdEncoding.EncodeToString(blindindex.Input(x.cfg.Institution, it)), references[i]}
	}
	a, err := x.cfg.send(ctx, call{"hmac", http.MethodPut, path, id, hmacRequest{in, "sha2-256", indexKeyVersion}})
	if err != nil {
		return nil, err
	}
	results, err := batchOf[hmacResult]("hmac", a, references)
	if err != nil {
		return nil, err
	}
	out := make([]tokenResult, len(items))
	for i, r := range results {
		out[i] = tokenOf(r)
	}
	return out, nil
}

// indexKeyVersion is asked for by number. An index key is never rotated: a new
// epoch gets a new key. Tokens of a second version would match no older ones, and
// searches would miss records without a word.
const indexKeyVersion = 1

// tokenOf reads "vault:v1:<base64>".
func tokenOf(r hmacResult) tokenResult {
	text, ok := strings.CutPrefix(r.HMAC, "vault:v"+strconv.Itoa(indexKeyVersion)+":")
	raw, err := base64.StdEncoding.DecodeString(text)
	if !ok || err != nil || r.Error != "" || len(raw) != blindindex.TokenSize {
		return tokenResult{err: &keyring.UnavailableError{Cause: keyring.CauseRejected, Op: "hmac"}}
	}
	return tokenResult{token: raw}
}
