package stream

import (
	"bytes"
	"context"
	"crypto/tls"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	standardwebhooks "github.com/standard-webhooks/standard-webhooks/libraries/go"
)

// WebhookConfig is a Webhook's.
type WebhookConfig struct {
	URL string // https, or http on a loopback address
	// Secrets are the receiver's, newest first, as standard-webhooks spells them
	// ("whsec_" and base64). While a secret is changed both sign.
	Secrets []string
	// TLS is for receivers whose authority is the institution's own.
	TLS *tls.Config
}

// Webhook posts batches, signed as standard-webhooks has it
// (webhook-id, webhook-timestamp, webhook-signature: v1). The id of a message is
// that of its entries, so that a repeated one has the same.
type Webhook struct {
	url     string
	signers []*standardwebhooks.Webhook
	http    *http.Client
	now     func() time.Time
}

// ErrReceiver is wrapped when the receiver does not take a batch.
var ErrReceiver = errors.New("receiver refused")

// NewWebhook returns a Webhook. It does not connect.
func NewWebhook(cfg WebhookConfig) (*Webhook, error) {
	u, err := url.Parse(cfg.URL)
	if err != nil || u.Host == "" || u.User != nil || u.Scheme != "https" && (u.Scheme != "http" || !loopback(u.Hostname())) {
		return nil, fmt.Errorf("%w: a webhook's URL is https, or http on a loopback address, without user information", ErrConfig)
	}
	w := &Webhook{url: cfg.URL, now: time.Now}
	for _, secret := range cfg.Secrets {
		signer, err := standardwebhooks.NewWebhook(strings.TrimSpace(secret))
		if err != nil || len(strings.TrimPrefix(strings.TrimSpace(secret), "whsec_")) < 32 {
			return nil, fmt.Errorf("%w: a webhook's secret is whsec_ and the base64 of at least 24 bytes", ErrConfig)
		}
		w.signers = append(w.signers, signer)
	}
	if len(w.signers) == 0 {
		return nil, fmt.Errorf("%w: a webhook needs a secret", ErrConfig)
	}
	transport := http.DefaultTransport.(*http.Transport).Clone()
	transport.Proxy, transport.TLSClientConfig = nil, cfg.TLS
	w.http = &http.Client{Transport: transport, CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
	return w, nil
}

// loopback says whether a host is this machine by its address alone: a name can
// be made to point anywhere.
func loopback(host string) bool {
	ip := net.ParseIP(host)
	return ip != nil && ip.IsLoopback()
}

// message is the body of a delivery.
type message struct {
	Type      string `json:"type"`
	Timestamp string `json:"timestamp"`
	Data      data   `json:"data"`
}

type data struct {
	Year       int               `json:"year"`
	From       uint64            `json:"from"`
	To         uint64            `json:"to"` // excluded
	Checkpoint string            `json:"checkpoint"`
	Events     []json.RawMessage `json:"events"`
}

// Send posts a batch; 2xx means that the receiver has it. A redirect is not
// followed: the receiver was configured, not chosen by whoever answers.
func (w *Webhook) Send(ctx context.Context, b Batch) error {
	at := w.now()
	events := make([]json.RawMessage, len(b.Events))
	for i, e := range b.Events {
		events[i] = e
	}
	body, err := json.Marshal(message{Type: "audit.entries", Timestamp: at.UTC().Format(time.RFC3339),
		Data: data{b.Year, b.From, b.To, string(b.Checkpoint), events}})
	if err != nil {
		return fmt.Errorf("encoding a delivery: %w", err)
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, w.url, bytes.NewReader(body))
	if err != nil {
		return errors.New("making a delivery: unusable URL")
	}
	id := fmt.Sprintf("audit_%d_%d_%d", b.Year, b.From, b.To)
	var signatures []string
	for _, s := range w.signers {
		signature, err := s.Sign(id, at, body)
		if err != nil {
			return errors.New("signing a delivery: unusable secret")
		}
		signatures = append(signatures, signature)
	}
	req.Header.Set("Content-Type", "application/json")
	req.Header.Set(standardwebhooks.HeaderWebhookID, id)
	req.Header.Set(standardwebhooks.HeaderWebhookTimestamp, strconv.FormatInt(at.Unix(), 10))
	req.Header.Set(standardwebhooks.HeaderWebhookSignature, strings.Join(signatures, " "))
	res, err := w.http.Do(req)
	if err != nil {
		if u, ok := errors.AsType[*url.Error](err); ok {
			err = u.Err // without the address
		}
		return fmt.Errorf("delivering: %w", err)
	}
	_, _ = io.Copy(io.Discard, io.LimitReader(res.Body, 64<<10))
	_ = res.Body.Close()
	if res.StatusCode < 200 || res.StatusCode > 299 {
		return fmt.Errorf("delivering: status %d: %w", res.StatusCode, ErrReceiver)
	}
	return nil
}

// Close ends idle connections.
func (w *Webhook) Close() error {
	w.http.CloseIdleConnections()
	return nil
}
