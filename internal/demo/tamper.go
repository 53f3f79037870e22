package demo

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"

	"github.com/jackc/pgx/v5"

	"github.com/sealtrail/sealtrail/audit"
)

// tamper does what somebody with every right could do, and shows who notices.
func (s *story) tamper(ctx context.Context) error {
	conn, err := s.Admin(ctx)
	if err != nil {
		return err
	}
	defer conn.Close(ctx)
	return errors.Join(s.changeEntry(ctx, conn), s.swapFields(ctx, conn), s.changeAssignee(ctx, conn), s.flipByte(ctx), s.rewriteLog(ctx))
}

// unfenced runs f with the log's fences taken down, as a superuser can, and
// puts them up again.
func unfenced(ctx context.Context, conn *pgx.Conn, f func(pgx.Tx) error) error {
	return pgx.BeginFunc(ctx, conn, func(tx pgx.Tx) error {
		for _, sql := range []string{"set local audit.migration = 'on'", "alter table audit.entry disable trigger refuse_change"} {
			if _, err := tx.Exec(ctx, sql); err != nil {
				return fmt.Errorf("taking the fence down: %w", err)
			}
		}
		if err := f(tx); err != nil {
			return err
		}
		_, err := tx.Exec(ctx, "alter table audit.entry enable always trigger refuse_change")
		return err
	})
}

// changeEntry changes one word of one audit row.
func (s *story) changeEntry(ctx context.Context, conn *pgx.Conn) error {
	s.say("", "a) 超级用户拆下围栏,改一行审计记录里的一个词,再把围栏装回去", "a) a superuser takes the fence down, changes one word of an audit row, and puts the fence back")
	var id int64
	var body []byte
	err := conn.QueryRow(ctx, `select id, body from audit.entry where subject = $1 and convert_from(body, 'UTF8') like '%"access.denied"%' limit 1`,
		"complaint:"+s.complaint).Scan(&id, &body)
	if err != nil {
		return fmt.Errorf("finding an audit row: %w", err)
	}
	write := func(b []byte) error {
		return unfenced(ctx, conn, func(tx pgx.Tx) error {
			_, err := tx.Exec(ctx, "update audit.entry set body = $1 where id = $2", b, id)
			return err
		})
	}
	forged := strings.Replace(string(body), `"access.denied"`, `"access.reveal"`, 1)
	if err := write([]byte(forged)); err != nil {
		return fmt.Errorf("changing an audit row: %w", err)
	}
	result, err := s.command(ctx, nil, "sealtraild", "trail", "check", "--institution", "demo-bank",
		"--database-url-file", filepath.Join(s.Dir(), "credentials", "database-url"), "--published", s.Published())
	if err == nil {
		s.quote(brief(result.out))
		err = errors.Join(check(result.code == 4, "trail check: exit code %d, want 4", result.code),
			check(strings.Contains(result.out, "audit.entry") && strings.Contains(result.out, fmt.Sprint(id)), "trail check does not name table and id"))
	}
	return errors.Join(err, write(body))
}

// swapFields exchanges two sealed fields of two complaints.
func (s *story) swapFields(ctx context.Context, conn *pgx.Conn) error {
	s.say("", "b) 用 SQL 对调两条投诉的密文电话", "b) two sealed phone numbers change places by SQL")
	swap := func() error {
		_, err := conn.Exec(ctx, `update sealtrail.complaint c set phone_sealed = o.phone_sealed from sealtrail.complaint o
			where (c.id = $1 and o.id = $2) or (c.id = $2 and o.id = $1)`, s.complaint, s.other)
		return err
	}
	if err := swap(); err != nil {
		return fmt.Errorf("swapping fields: %w", err)
	}
	_, err := s.show(ctx, 4, "handler-chen", "reveal", s.complaint, "--field", "phone", "--purpose", "handle", "--reason", "电话回访客户")
	return errors.Join(err, swap())
}

// changeAssignee makes somebody the handler by SQL.
func (s *story) changeAssignee(ctx context.Context, conn *pgx.Conn) error {
	s.say("", "c) 用 SQL 把经办人改成另一位", "c) the assignee is changed by SQL")
	set := func(person string) error {
		_, err := conn.Exec(ctx, "update sealtrail.complaint set assignee = $1 where id = $2", person, s.complaint)
		return err
	}
	if err := set("handler-zhao"); err != nil {
		return fmt.Errorf("changing the assignee: %w", err)
	}
	_, err := s.show(ctx, 4, "handler-zhao", "reveal", s.complaint, "--field", "phone", "--purpose", "handle", "--reason", "电话回访客户")
	return errors.Join(err, set("handler-chen"))
}

// flipByte damages one byte of a copy of the published log.
func (s *story) flipByte(ctx context.Context) error {
	s.say("", "d) 公布的日志(副本)里翻转一个字节", "d) one byte of (a copy of) the published log is flipped")
	copied := filepath.Join(s.Dir(), "tampered", "flipped")
	if err := copyLog(copied, s.LogDir()); err != nil {
		return err
	}
	at, err := checkpointOf(os.DirFS(copied))
	if err != nil {
		return err
	}
	width := 0
	if full, rest := audit.TileCount(at.Size, 0); full == 0 {
		width = rest
	}
	bundle := filepath.Join(copied, filepath.FromSlash(audit.EntriesPath(0, width)))
	raw, err := os.ReadFile(bundle)
	if err != nil {
		return fmt.Errorf("reading a bundle: %w", err)
	}
	raw[len(raw)/2] ^= 1
	if err := os.WriteFile(bundle, raw, 0o600); err != nil {
		return fmt.Errorf("writing a bundle: %w", err)
	}
	out, err := s.trailcheck(ctx, 4, "verify", "--key", s.KeyFile(), copied)
	if err != nil {
		return err
	}
	return check(strings.Contains(out, "✗"), "trailcheck does not name the entry")
}

// rewriteLog forges the whole log and signs it with the real key.
func (s *story) rewriteLog(ctx context.Context) error {
	s.say("", "e) 拥有全部权限者重写整本日志,并用真钥匙重新签名", "e) somebody with every right rewrites the whole log and signs it anew with the real key")
	forged := filepath.Join(s.Dir(), "tampered", "rewritten")
	if err := s.forge(ctx, forged); err != nil {
		return err
	}
	alone, err := s.trailcheck(ctx, 0, "verify", "--key", s.KeyFile(), forged)
	if err != nil {
		return err
	}
	if err := check(strings.Contains(alone, s.text("未检查", "not checked")), "trailcheck alone does not say what it did not check"); err != nil {
		return err
	}
	s.say("  ▲", "单凭文件看不出来:没有更早的检查点,也没有见证", "alone it cannot tell: no earlier checkpoint, no witness")
	if _, err := s.trailcheck(ctx, 4, "verify", "--key", s.KeyFile(), "--pinned", s.auditor("checkpoint.saved"), forged); err != nil {
		return err
	}
	s.say("  ▲", "有审计员存下的检查点:被揭穿", "with the checkpoint that the auditor saved: caught")
	seen, err := s.witnessed(ctx)
	if err != nil {
		return err
	}
	_, err = s.trailcheck(ctx, 4, "verify", "--key", s.KeyFile(), "--witness", s.WitnessKey, "--witness-checkpoint", seen, forged)
	if err != nil {
		return err
	}
	s.say("  ▲", "有见证:被揭穿", "with the witness: caught")
	return nil
}

// witnessed saves the last checkpoint that the witness cosigned.
func (s *story) witnessed(ctx context.Context) (string, error) {
	origin, _, _ := strings.Cut(s.LogKey, "+")
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, s.WitnessURL+"/checkpoint?origin="+origin, nil)
	if err != nil {
		return "", err
	}
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		return "", fmt.Errorf("asking the witness: %w", err)
	}
	defer res.Body.Close()
	raw, err := io.ReadAll(res.Body)
	if err != nil || res.StatusCode != http.StatusOK {
		return "", fmt.Errorf("asking the witness: %s: %w", res.Status, err)
	}
	name := s.auditor("checkpoint.witnessed")
	return name, os.WriteFile(name, raw, 0o600)
}
