package demo

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"
)

// reconcileGrace is how long the demo's reconciler waits for the other side of a
// use of a key: short, for the sake of the reader.
const reconcileGrace = 1500 * time.Millisecond

// stolen has somebody open a key at Vault with the service's own login. The log
// has no entry of it; Vault's audit file has a line; the reconciler has both.
func (s *story) stolen(ctx context.Context) error {
	if !s.Vault.Ours() {
		s.say("–", "VAULT_ADDR 指向的 Vault 的审计文件不在本机:状态为“未对账”", "the audit file of the Vault at VAULT_ADDR is not here: not reconciled")
		return nil
	}
	began := time.Now()
	s.say("  ▼", "有人拿着服务的 Vault 令牌和数据库副本,绕过服务直接解开一把数据密钥——成功了", "somebody with the service's Vault token and a copy of the database opens a data key past the service: it works")
	if err := s.StealKey(ctx, s.other, ""); err != nil {
		return err
	}
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-time.After(reconcileGrace + 500*time.Millisecond):
	}
	found, err := s.command(ctx, nil, "sealtraild", slices.Concat([]string{"reconcile", "--once", "--grace", reconcileGrace.String()}, s.ReconcileFlags())...)
	if err != nil {
		return err
	}
	s.quote(brief(found.out))
	if err := clean("the reconciliation", found.out); err != nil {
		return err
	}
	if n := strings.Count(found.out, "use_without_entry"); found.code != 4 || n != 1 || !strings.Contains(found.out, " 1 findings") {
		return fmt.Errorf("the reconciliation ended with %d and %d such findings, want 4 and the one", found.code, n)
	}
	s.say("✓", "%s 之内告警:Vault 记下了这次解密,日志里没有任何一条为它负责", "alarm after %s: Vault wrote the decryption down, and no entry of the log stands for it", time.Since(began).Round(100*time.Millisecond))
	return nil
}

// attacks are two: on the keys, and on what is stored.
func (s *story) attacks(ctx context.Context) error {
	if err := s.stolen(ctx); err != nil {
		return err
	}
	return s.tamper(ctx)
}
