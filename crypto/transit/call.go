package transit

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"strconv"
	"strings"

	"github.com/hashicorp/vault/api"

	"github.com/sealtrail/sealtrail/crypto/keyring"
)

// correlationHeader carries the batch id into Vault's audit log, where an
// operator lists it as an audited header.
const correlationHeader = "X-Correlation-Id"

// maxAnswer bounds what is read of an answer, in bytes: 256 items need 60 KB.
const maxAnswer = 8 << 20

// call is one request to Vault.
type call struct {
	op     string // for errors: "wrap", "unwrap", "hmac", "sign", "probe", "login"
	method string
	path   string // below /v1/
	batch  string
	body   any
}

// answer is the part of Vault's answer that is read.
type answer struct {
	Data   json.RawMessage `json:"data"`
	Auth   *authAnswer     `json:"auth"`
	Errors []string        `json:"errors"`
}

type authAnswer struct {
	ClientToken   string `json:"client_token"`
	LeaseDuration int    `json:"lease_duration"` // seconds
	Renewable     bool   `json:"renewable"`
}

// do sends c. The error is a *keyring.UnavailableError, or wraps
// context.Canceled. A 400 or 500 that answers a batch item by item is no error
// here: Vault sends it when every item failed.
func do(ctx context.Context, client *api.Client, c call) (*answer, error) {
	req := client.NewRequest(c.method, "/v1/"+c.path)
	if c.batch != "" {
		req.Headers = req.Headers.Clone()
		if req.Headers == nil {
			req.Headers = http.Header{}
		}
		req.Headers.Set(correlationHeader, c.batch)
	}
	if c.body != nil {
		if err := req.SetJSONBody(c.body); err != nil {
			return nil, &keyring.UnavailableError{Cause: keyring.CauseRejected, Op: c.op}
		}
	}
	resp, err := client.RawRequestWithContext(ctx, req) //nolint:staticcheck // Logical() drops the body of an error, where a batch has its results
	if resp == nil {
		return nil, noAnswer(ctx, c.op, err)
	}
	defer resp.Body.Close()
	var a answer
	raw, readErr := io.ReadAll(io.LimitReader(resp.Body, maxAnswer))
	if readErr != nil {
		return nil, noAnswer(ctx, c.op, readErr)
	}
	if len(raw) > 0 && json.Unmarshal(raw, &a) != nil {
		return nil, &keyring.UnavailableError{Cause: keyring.CauseUnreachable, Op: c.op, Status: resp.StatusCode}
	}
	if cause := causeOf(resp.StatusCode, &a); cause != "" {
		return nil, &keyring.UnavailableError{Cause: cause, Op: c.op, Status: resp.StatusCode}
	}
	return &a, nil
}

// noAnswer types a failure below HTTP. The cause is not part of the text: it
// may hold the URL and what a broken proxy sent.
func noAnswer(ctx context.Context, op string, err error) error {
	switch {
	case errors.Is(ctx.Err(), context.Canceled):
		return context.Canceled
	case ctx.Err() != nil, errors.Is(err, context.DeadlineExceeded):
		return &keyring.UnavailableError{Cause: keyring.CauseDeadline, Op: op}
	}
	return &keyring.UnavailableError{Cause: keyring.CauseUnreachable, Op: op}
}

// causeOf types a status; "" means that the answer is to be read.
func causeOf(status int, a *answer) keyring.Cause {
	hasBatch := strings.Contains(string(a.Data), `"batch_results"`)
	switch {
	case status < 300 && len(a.Errors) > 0:
		return keyring.CauseUnreachable // no Vault says both
	case status < 300:
		return ""
	case status == http.StatusForbidden:
		return keyring.CauseDenied
	case status == http.StatusTooManyRequests:
		return keyring.CauseThrottled
	case status == http.StatusServiceUnavailable && says(a, "sealed"):
		return keyring.CauseSealed
	case hasBatch && (status == http.StatusBadRequest || status == http.StatusInternalServerError):
		return ""
	case status >= 400 && status < 500 && status != 472 && status != 473: // 472, 473: standby nodes
		return keyring.CauseRejected
	}
	return keyring.CauseUnreachable
}

func says(a *answer, word string) bool {
	for _, e := range a.Errors {
		if strings.Contains(strings.ToLower(e), word) {
			return true
		}
	}
	return false
}

// result is one item of an answer. Vault repeats the item's reference.
type result interface{ reference() string }

// referencesOf are the references of a call's items, made to tell them apart also
// where several stand for one entry of the log (a run, the fields of a record)
// or for none: such an item's has "#" and its position behind it. Only so the
// echo shows that no two answers changed places.
func referencesOf[I any](items []I, of func(I) string) []string {
	references, seen := make([]string, len(items)), make(map[string]bool, len(items))
	for i, it := range items {
		r := of(it)
		if seen[r] {
			r += "#" + strconv.Itoa(i)
		}
		references[i], seen[r] = r, true
	}
	return references
}

// batchOf reads the results of a batch; there MUST be one per item, in order. A
// result that names another item's reference belongs to somebody else, and then
// none of the answer is believed: a key stored for the wrong record is lost.
// Servers that repeat no references (Vault before 1.14) are taken as they are.
func batchOf[R result](op string, a *answer, references []string) ([]R, error) {
	var data struct {
		Results []R `json:"batch_results"`
	}
	broken := &keyring.UnavailableError{Cause: keyring.CauseUnreachable, Op: op}
	if json.Unmarshal(a.Data, &data) != nil || len(data.Results) != len(references) {
		return nil, broken
	}
	for i, r := range data.Results {
		if got := r.reference(); got != "" && got != references[i] {
			return nil, broken
		}
	}
	return data.Results, nil
}
