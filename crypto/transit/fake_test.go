package transit_test

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/hashicorp/vault/api"

	"github.com/sealtrail/sealtrail/crypto/keyring"
	"github.com/sealtrail/sealtrail/crypto/transit"
)

// fake is a Vault that answers as told: what a real one does only when broken.
func fake(t testing.TB, h http.HandlerFunc) *api.Client {
	t.Helper()
	srv := httptest.NewServer(h)
	t.Cleanup(srv.Close)
	c, err := transit.NewClient(transit.ClientConfig{Address: srv.URL})
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func answers(status int, body string) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		w.WriteHeader(status)
		_, _ = io.WriteString(w, body)
	}
}

func TestAnswersAreTyped(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct {
		status int
		body   string
		want   keyring.Cause
	}{
		"sealed":         {503, `{"errors":["Vault is sealed"]}`, keyring.CauseSealed},
		"busy":           {503, `{"errors":["overloaded"]}`, keyring.CauseUnreachable},
		"denied":         {403, `{"errors":["permission denied CANARY"]}`, keyring.CauseDenied},
		"throttled":      {429, `{"errors":["quota"]}`, keyring.CauseThrottled},
		"standby":        {473, ``, keyring.CauseUnreachable},
		"missing":        {404, `{"errors":[]}`, keyring.CauseRejected},
		"no key":         {400, `{"errors":["encryption key not found CANARY"]}`, keyring.CauseRejected},
		"internal":       {500, `{"errors":["CANARY"]}`, keyring.CauseUnreachable},
		"proxy":          {502, `<html>CANARY</html>`, keyring.CauseUnreachable},
		"not JSON":       {200, `CANARY`, keyring.CauseUnreachable},
		"no results":     {200, `{"data":{}}`, keyring.CauseUnreachable},
		"wrong results":  {200, `{"data":{"batch_results":[{},{}]}}`, keyring.CauseUnreachable},
		"empty":          {200, ``, keyring.CauseUnreachable},
		"redirect":       {307, ``, keyring.CauseUnreachable},
		"unknown status": {599, ``, keyring.CauseUnreachable},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var calls atomic.Int32
			client := fake(t, func(w http.ResponseWriter, r *http.Request) {
				calls.Add(1)
				answers(tc.status, tc.body)(w, r)
			})
			tr := newTransit(t, transit.Config{Client: client, Institution: "bank"})
			_, wrapErr := tr.Wrap(t.Context(), "b", []keyring.WrapItem{{Plaintext: []byte("CANARY")}})
			_, unwrapErr := tr.Unwrap(t.Context(), "b", []keyring.UnwrapItem{{Blob: "CANARY"}})
			for _, err := range []error{wrapErr, unwrapErr} {
				if keyring.CauseOf(err) != tc.want || !errors.Is(err, keyring.ErrUnavailable) {
					t.Errorf("%v, want cause %s", err, tc.want)
				}
				if strings.Contains(err.Error(), "CANARY") {
					t.Errorf("error repeats the answer: %v", err)
				}
			}
			if calls.Load() != 2 {
				t.Errorf("%d requests for 2 calls: the client retries", calls.Load())
			}
		})
	}
}

// TestEveryItemMayFail: then Vault answers 400 or 500 with results.
func TestEveryItemMayFail(t *testing.T) {
	t.Parallel()
	for _, status := range []int{200, 400, 500} {
		client := fake(t, answers(status, `{"data":{"batch_results":[
			{"error":"invalid ciphertext: no prefix"},{"error":"cipher: message authentication failed"},
			{"error":"ciphertext or signature version is disallowed by policy (too old)"},{"error":"CANARY"},{"plaintext":"***"}]}}`))
		tr := newTransit(t, transit.Config{Client: client, Institution: "bank"})
		res, err := tr.Unwrap(t.Context(), "b", make([]keyring.UnwrapItem, 5))
		if err != nil {
			t.Fatalf("status %d: %v", status, err)
		}
		for i, want := range []error{keyring.ErrIntegrity, keyring.ErrIntegrity, keyring.ErrRetired, keyring.ErrUnavailable, keyring.ErrIntegrity} {
			if !errors.Is(res[i].Err, want) || strings.Contains(res[i].Err.Error(), "CANARY") {
				t.Errorf("item %d: %v, want %v", i, res[i].Err, want)
			}
		}
		wrapped, err := tr.Wrap(t.Context(), "b", make([]keyring.WrapItem, 5))
		if err != nil || wrapped[3].Err == nil || wrapped[4].Err == nil {
			t.Errorf("wrap: %+v, %v", wrapped, err)
		}
	}
}

// TestRequestForm: what reaches Vault, as its API wants it.
func TestRequestForm(t *testing.T) {
	t.Parallel()
	var got struct {
		Input []struct {
			Plaintext, Context, Reference string
		} `json:"batch_input"`
		Partial int `json:"partial_failure_response_code"`
	}
	client := fake(t, func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path != "/v1/kms/encrypt/bank-record" || r.Header.Get("X-Correlation-Id") != "batch-1" {
			t.Errorf("path %s, correlation %q", r.URL.Path, r.Header.Get("X-Correlation-Id"))
		}
		if err := json.NewDecoder(r.Body).Decode(&got); err != nil {
			t.Error(err)
		}
		answers(200, `{"data":{"batch_results":[{"ciphertext":"vault:v12:abc"}]}}`)(w, r)
	})
	tr := newTransit(t, transit.Config{Client: client, Institution: "bank", Mount: "kms"})
	res, err := tr.Wrap(t.Context(), "batch-1", []keyring.WrapItem{{Reference: "e-1", Context: []byte("ctx"), Plaintext: []byte("key")}})
	if err != nil || res[0].Blob != "vault:v12:abc" || res[0].KeyVersion != 12 || res[0].Err != nil {
		t.Errorf("Wrap = %+v, %v", res, err)
	}
	b64 := base64.StdEncoding.EncodeToString
	if len(got.Input) != 1 || got.Input[0].Context != b64([]byte("ctx")) || got.Input[0].Plaintext != b64([]byte("key")) ||
		got.Input[0].Reference != "e-1" || got.Partial != 200 {
		t.Errorf("request %+v", got)
	}
	if tr.KeyName() != "bank-record" {
		t.Errorf("key name %q", tr.KeyName())
	}
}

func TestEndedContexts(t *testing.T) {
	t.Parallel()
	client := fake(t, func(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done() })
	tr := newTransit(t, transit.Config{Client: client, Institution: "bank"})
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Millisecond)
	defer cancel()
	if err := tr.Probe(ctx); keyring.CauseOf(err) != keyring.CauseDeadline {
		t.Errorf("deadline: %v", err)
	}
	ctx, cancel = context.WithCancel(t.Context())
	cancel()
	if err := tr.Probe(ctx); !errors.Is(err, context.Canceled) || errors.Is(err, keyring.ErrUnavailable) {
		t.Errorf("cancelled: %v, want context.Canceled alone", err)
	}
	gone := fake(t, nil)
	if err := gone.SetAddress("http://127.0.0.1:1"); err != nil {
		t.Fatal(err)
	}
	if err := newTransit(t, transit.Config{Client: gone, Institution: "bank"}).Probe(t.Context()); keyring.CauseOf(err) != keyring.CauseUnreachable {
		t.Errorf("nobody listens: %v, want unreachable", err)
	}
}

func TestBadSignaturesAndTokensAreRefused(t *testing.T) {
	t.Parallel()
	public := base64.StdEncoding.EncodeToString(make([]byte, 32))
	client := fake(t, func(w http.ResponseWriter, r *http.Request) {
		switch {
		case strings.Contains(r.URL.Path, "/keys/rsa-log"):
			answers(200, `{"data":{"type":"rsa-2048","latest_version":1,"keys":{"1":{"public_key":"x"}}}}`)(w, r)
		case strings.Contains(r.URL.Path, "/keys/odd-log"):
			answers(200, `{"data":"odd"}`)(w, r)
		case strings.Contains(r.URL.Path, "/keys/"):
			answers(200, `{"data":{"type":"ed25519","latest_version":1,"keys":{"1":{"public_key":"`+public+`"}}}}`)(w, r)
		case strings.Contains(r.URL.Path, "/sign/"):
			answers(200, `{"data":{"signature":"vault:v1:AAAA"}}`)(w, r)
		default:
			answers(200, `{"data":{"batch_results":[{"hmac":"vault:v1:AAAA"}]}}`)(w, r)
		}
	})
	cfg := transit.Config{Client: client, Institution: "bank"}
	s, err := transit.NewCheckpointSigner(t.Context(), cfg, "log")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := s.Sign(t.Context(), []byte("m")); !errors.Is(err, keyring.ErrUnavailable) {
		t.Errorf("bad signature: %v", err)
	}
	if _, err := transit.NewCheckpointSigner(t.Context(), cfg, "bad name\n"); err == nil {
		t.Error("a bad note name was accepted")
	}
	for _, inst := range []string{"rsa", "odd"} {
		other := cfg
		other.Institution = inst
		if _, err := transit.NewCheckpointSigner(t.Context(), other, "log"); err == nil {
			t.Errorf("%s key was accepted", inst)
		}
	}
	x, err := transit.NewIndexer(cfg)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := x.Tokens(t.Context(), []transit.IndexItem{{Field: "f", Normalised: []byte("CANARY")}}); !errors.Is(err, keyring.ErrUnavailable) || strings.Contains(err.Error(), "CANARY") {
		t.Errorf("short token: %v", err)
	}
}

func TestConfigsAreChecked(t *testing.T) {
	t.Parallel()
	if _, err := transit.New(transit.Config{}); err == nil {
		t.Error("New without a client")
	}
	if _, err := transit.NewIndexer(transit.Config{}); err == nil {
		t.Error("NewIndexer without a client")
	}
	if _, err := transit.NewCheckpointSigner(t.Context(), transit.Config{}, "n"); err == nil {
		t.Error("NewCheckpointSigner without a client")
	}
	if _, err := transit.NewLogin(transit.LoginConfig{}); err == nil {
		t.Error("NewLogin without a client")
	}
	if _, err := transit.NewClient(transit.ClientConfig{}); err == nil {
		t.Error("NewClient without an address")
	}
	if _, err := transit.NewClient(transit.ClientConfig{Address: "http://x", CACert: "/does/not/exist"}); err == nil {
		t.Error("NewClient with a missing CA")
	}
}

// TestEnvironmentHasNoSay: a VAULT_* variable of the operator's shell must not
// lead keys elsewhere.
func TestEnvironmentHasNoSay(t *testing.T) {
	for name, value := range map[string]string{"VAULT_TOKEN": "stray", "VAULT_NAMESPACE": "stray", "VAULT_ADDR": "http://127.0.0.1:1",
		"HTTP_PROXY": "http://127.0.0.1:1", "VAULT_HTTP_PROXY": "http://127.0.0.1:1", "VAULT_MAX_RETRIES": "5"} {
		t.Setenv(name, value)
	}
	var calls atomic.Int32
	client := fake(t, func(w http.ResponseWriter, r *http.Request) {
		calls.Add(1)
		if r.Header.Get("X-Vault-Token") != "" || r.Header.Get("X-Vault-Namespace") != "" {
			t.Errorf("stray headers %v", r.Header)
		}
		answers(500, ``)(w, r)
	})
	err := newTransit(t, transit.Config{Client: client, Institution: "bank"}).Probe(t.Context())
	if keyring.CauseOf(err) != keyring.CauseUnreachable || calls.Load() != 1 {
		t.Errorf("after %d calls: %v", calls.Load(), err)
	}
}
