package stream_test

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	standardwebhooks "github.com/standard-webhooks/standard-webhooks/libraries/go"

	"github.com/sealtrail/sealtrail/internal/stream"
)

const (
	newSecret = "whsec_MDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3ODlhYmNkZWY="
	oldSecret = "whsec_ZmVkY2JhOTg3NjU0MzIxMGZlZGNiYTk4NzY1NDMyMTA="
)

func batch(n int) stream.Batch {
	b := stream.Batch{Year: 2026, From: 7, To: 7 + uint64(n), Checkpoint: []byte("a signed note")}
	for i := range n {
		b.Events = append(b.Events, fmt.Appendf(nil, `{"class_uid":6005,"n":%d}`, i))
	}
	return b
}

// Deliveries verify with the library of the standard itself, under the new secret
// and, while it is changed, under the old one; a changed byte does not.
func TestWebhookIsSignedAsTheStandardHasIt(t *testing.T) {
	t.Parallel()
	type delivery struct {
		header http.Header
		body   []byte
	}
	got := make(chan delivery, 10)
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		got <- delivery{r.Header, body}
		w.WriteHeader(http.StatusNoContent)
	}))
	t.Cleanup(server.Close)
	hook, err := stream.NewWebhook(stream.WebhookConfig{URL: server.URL, Secrets: []string{newSecret, oldSecret}})
	if err != nil {
		t.Fatal(err)
	}
	for range 2 {
		if err := hook.Send(t.Context(), batch(3)); err != nil {
			t.Fatal(err)
		}
	}
	first, second := <-got, <-got
	if first.header.Get("webhook-id") != "audit_2026_7_10" || second.header.Get("webhook-id") != first.header.Get("webhook-id") {
		t.Errorf("ids %q and %q", first.header.Get("webhook-id"), second.header.Get("webhook-id"))
	}
	for _, secret := range []string{newSecret, oldSecret} {
		v, err := standardwebhooks.NewWebhook(secret)
		if err != nil {
			t.Fatal(err)
		}
		if err := v.Verify(first.body, first.header); err != nil {
			t.Errorf("does not verify: %v", err)
		}
		if v.Verify(append([]byte(" "), first.body...), first.header) == nil {
			t.Error("a changed body verifies")
		}
	}
	var body struct {
		Type string
		Data struct {
			Year       int
			From, To   uint64
			Checkpoint string
			Events     []struct{ N int }
		}
	}
	if err := json.Unmarshal(first.body, &body); err != nil || body.Type != "audit.entries" || body.Data.Year != 2026 || body.Data.To != 10 ||
		body.Data.Checkpoint != "a signed note" || len(body.Data.Events) != 3 || body.Data.Events[2].N != 2 {
		t.Errorf("the body is %s, %v", first.body, err)
	}
}

func TestWebhookRefusals(t *testing.T) {
	t.Parallel()
	reached := false
	elsewhere := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { reached = true }))
	t.Cleanup(elsewhere.Close)
	status := http.StatusServiceUnavailable
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { http.Redirect(w, r, elsewhere.URL, status) }))
	t.Cleanup(server.Close)
	hook, err := stream.NewWebhook(stream.WebhookConfig{URL: server.URL, Secrets: []string{newSecret}})
	if err != nil {
		t.Fatal(err)
	}
	for _, status = range []int{http.StatusServiceUnavailable, http.StatusTemporaryRedirect, http.StatusBadRequest} {
		if err := hook.Send(t.Context(), batch(1)); !errors.Is(err, stream.ErrReceiver) || strings.Contains(err.Error(), "127.0.0.1") {
			t.Errorf("status %d: %v", status, err)
		}
	}
	if reached {
		t.Error("a redirect was followed")
	}
	for name, cfg := range map[string]stream.WebhookConfig{
		"plain http":       {URL: "http://siem.example/hook", Secrets: []string{newSecret}},
		"a name for here":  {URL: "http://localhost:1/hook", Secrets: []string{newSecret}},
		"user information": {URL: "https://a:b@siem.example/", Secrets: []string{newSecret}},
		"no secret":        {URL: "https://siem.example/"},
		"a short secret":   {URL: "https://siem.example/", Secrets: []string{"whsec_MDEy"}},
		"no URL":           {Secrets: []string{newSecret}},
	} {
		if _, err := stream.NewWebhook(cfg); !errors.Is(err, stream.ErrConfig) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestFileIsAppendedAndPutAside(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "events.jsonl")
	f, err := stream.NewFile(path)
	if err != nil {
		t.Fatal(err)
	}
	for range 2 {
		if err := f.Send(t.Context(), batch(3)); err != nil {
			t.Fatal(err)
		}
	}
	raw, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if n := strings.Count(string(raw), "\n"); n != 6 {
		t.Errorf("%d lines", n)
	}
	f.MaxBytes(10)
	if err := f.Send(t.Context(), batch(1)); err != nil {
		t.Fatal(err)
	}
	if aside, err := os.ReadFile(path + ".1"); err != nil || string(aside) != string(raw) {
		t.Errorf("what was put aside is another file: %v", err)
	}
	gone, err := stream.NewFile(filepath.Join(t.TempDir(), "no", "such"))
	if err != nil {
		t.Fatal(err)
	}
	if err := gone.Send(t.Context(), batch(1)); err == nil || strings.Contains(err.Error(), "/") {
		t.Errorf("no folder: %v", err)
	}
	if _, err := stream.NewFile("events.jsonl"); !errors.Is(err, stream.ErrConfig) {
		t.Errorf("a relative path: %v", err)
	}
}

// Frames are counted octets, messages RFC 5424; a receiver that hangs up at once
// did not get the batch.
func TestSyslogFramesAndHangUps(t *testing.T) {
	t.Parallel()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = listener.Close() })
	lines, hangUp := make(chan string, 10), make(chan bool, 2)
	go func() {
		for {
			conn, err := listener.Accept()
			if err != nil {
				return
			}
			if <-hangUp {
				_ = conn.Close()
				continue
			}
			in := bufio.NewReader(conn)
			for {
				length, err := in.ReadString(' ')
				if err != nil {
					return
				}
				n, _ := strconv.Atoi(strings.TrimSpace(length))
				line := make([]byte, n)
				if _, err := io.ReadFull(in, line); err != nil {
					return
				}
				lines <- string(line)
			}
		}
	}()
	s, err := stream.NewSyslog(stream.SyslogConfig{Address: listener.Addr().String(), Settle: 300 * time.Millisecond})
	if err != nil {
		t.Fatal(err)
	}
	hangUp <- true
	if err := s.Send(t.Context(), batch(2)); err == nil {
		t.Error("a receiver that hung up has the batch")
	}
	hangUp <- false
	b := batch(2)
	b.Events[1] = []byte(`{"class_uid":2006}`)
	if err := s.Send(context.Background(), b); err != nil {
		t.Fatal(err)
	}
	for i, want := range []string{"<110>1 ", "<108>1 "} {
		line := <-lines
		words := strings.SplitN(line, " ", 8)
		if !strings.HasPrefix(line, want) || len(words) != 8 || words[3] != "sealtraild" || words[5] != "audit" || words[6] != "-" || words[7] != string(b.Events[i]) {
			t.Errorf("message %d: %q", i, line)
		}
		if _, err := time.Parse(time.RFC3339, words[1]); err != nil {
			t.Errorf("message %d: %v", i, err)
		}
	}
	if err := s.Close(); err != nil {
		t.Error(err)
	}
	if _, err := stream.NewSyslog(stream.SyslogConfig{Address: "siem.example:514"}); !errors.Is(err, stream.ErrConfig) {
		t.Errorf("plain text over a network: %v", err)
	}
}
