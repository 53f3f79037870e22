package demo

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"time"

	"github.com/sealtrail/sealtrail/internal/custody"
)

// answersWithin is how soon an outage must be said. audit.md: 2 s.
const answersWithin = 2500 * time.Millisecond

// outage stops Vault, shows that nothing is disclosed and nothing hangs, and
// brings it back.
func (s *story) outage(ctx context.Context) error {
	if !s.Vault.Ours() {
		s.say("–", "VAULT_ADDR 指向的 Vault 不归演示管,不停它", "the Vault at VAULT_ADDR is not the demo's to stop: not told")
		return nil
	}
	unread, err := s.unread(ctx)
	if err != nil {
		return err
	}
	s.say("  ▼", "停止 Vault", "Vault is stopped")
	if err := s.Vault.Stop(); err != nil {
		return fmt.Errorf("stopping Vault: %w", err)
	}
	for _, probe := range []struct {
		zh, en, persona, method, path string
		body                          any
	}{
		{"登记", "create", "intake-li", http.MethodPost, "/v1/complaints", draft("call-0003", time.Now().Add(-time.Hour))},
		{"检索", "search", "intake-li", http.MethodPost, "/v1/complaints:search", map[string]any{"field": "phone", "value": customerPhone}},
		{"读取(无密钥租约)", "read without a leased key", "intake-li", http.MethodGet, "/v1/complaints/" + unread, nil},
	} {
		began := time.Now()
		answer, err := s.Call(ctx, probe.persona, probe.method, probe.path, probe.body, "Sealtrail-Purpose", "handle", "Idempotency-Key", "outage-"+probe.en)
		if err != nil {
			return err
		}
		took := time.Since(began)
		s.say("  →", "%[1]s:%[3]d %[4]s,%[5]s", "%[2]s: %[3]d %[4]s, %[5]s", s.text(probe.zh, probe.en), probe.en, answer.Status, code(answer.Body), took.Round(time.Millisecond))
		if answer.Status != http.StatusServiceUnavailable || took > answersWithin {
			return fmt.Errorf("%s answers %d after %s, want 503 within %s", probe.en, answer.Status, took, answersWithin)
		}
		if err := clean("the error", string(answer.Body)); err != nil {
			return err
		}
	}
	if err := s.call(ctx, "intake-li", http.MethodGet, "/v1/complaints/"+s.complaint+"?view=meta", nil, http.StatusOK, nil); err != nil {
		return fmt.Errorf("metadata and due dates need no Vault: %w", err)
	}
	s.say("  →", "元数据与时限不需要 Vault:200", "metadata and due dates need no Vault: 200")
	return s.recover(ctx)
}

// unread is a complaint that nobody has opened, so that no key of it is leased.
func (s *story) unread(ctx context.Context) (string, error) {
	var page custody.Page
	if err := s.call(ctx, "intake-li", http.MethodGet, "/v1/complaints?page_size=10", nil, http.StatusOK, &page); err != nil {
		return "", err
	}
	for _, item := range page.Items {
		if item.ID != s.complaint && item.ID != s.other {
			return item.ID, nil
		}
	}
	return "", errors.New("there is no other complaint to read")
}

// recover starts Vault again and waits for the service to heal by itself.
func (s *story) recover(ctx context.Context) error {
	s.say("  ▲", "Vault 重新启动并解封", "Vault is started again and unsealed")
	if err := s.Vault.Restart(ctx); err != nil {
		return fmt.Errorf("starting Vault again: %w", err)
	}
	if err := s.Vault.Unseal(ctx); err != nil {
		return fmt.Errorf("unsealing Vault: %w", err)
	}
	began := time.Now()
	for {
		answer, err := s.Call(ctx, "intake-li", http.MethodPost, "/v1/complaints", draft("call-0003", time.Now().Add(-time.Hour)),
			"Sealtrail-Purpose", "handle", "Idempotency-Key", fmt.Sprint("after-", time.Now().UnixNano()))
		if err == nil && answer.Status == http.StatusCreated {
			s.say("✓", "服务自行恢复,用时 %s,无需重启", "the service healed by itself in %s, without a restart", time.Since(began).Round(10*time.Millisecond))
			return nil
		}
		if time.Since(began) > 20*time.Second {
			return fmt.Errorf("the service did not heal within 20 s")
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(100 * time.Millisecond):
		}
	}
}

// code finds the stable code in a problem.
func code(body []byte) string {
	_, rest, ok := strings.Cut(string(body), `"code":"`)
	if !ok {
		return ""
	}
	value, _, _ := strings.Cut(rest, `"`)
	return value
}
