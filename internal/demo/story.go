package demo

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/sealtrail/sealtrail/internal/custody"
	"github.com/sealtrail/sealtrail/internal/sandbox"
)

// story is the twelve steps on one sandbox.
type story struct {
	*sandbox.Sandbox
	*teller
	cfg    Config
	failed []string

	complaint string // id of the complaint that the story follows
	other     string // a second one, whose key nobody borrows
	revision  uint64
}

// The customer of the story. Nothing of it may ever be found in clear outside
// an answer that was asked for.
const (
	customerName  = "欧阳明月"
	customerID    = "110105198806154324"
	customerPhone = "13911112032"
	customerCard  = "6222020200112230004"
	customerStory = "三月账单里多收了一笔四百元的信用卡年费,客服两次答复不一致,请退还并回电13911112032说明收费依据。"
)

// tell tells all steps. A step that did not do what it says is named in the
// error; later steps are still told where they can be.
func (s *story) tell(ctx context.Context) error {
	steps := []struct {
		zh, en string
		tell   func(context.Context) error
	}{
		{"登记投诉:批量导入", "store complaints", s.storeComplaints},
		{"PostgreSQL 里的那一行:只有密文", "the row in PostgreSQL: only ciphertext", s.showRow},
		{"受理岗看到掩码", "an intake agent sees masked fields", s.readMasked},
		{"质检岗要身份证号:被拒,并说明依据与下一步", "a quality reviewer asks for an ID number and is refused", s.refuse},
		{"经办人为办理目的查看明文", "the assigned handler reveals it for a purpose", s.reveal},
		{"按电话号码查到客户的投诉", "a search by phone number finds the customer's complaints", s.search},
		{"投诉按阶段流转,时限随之走", "the complaint moves through its stages and its clocks", s.move},
		{"处理轨迹:谁看了什么、为何、依据哪条", "the handling trail: who saw what, why, under which article", s.trail},
		{"trailcheck 离线核验整本日志", "trailcheck verifies the whole log offline", s.verify},
		{"监督指标,逐字节复算", "supervision figures, recomputed byte for byte", s.figures},
		{"有人偷用 Vault 令牌;超级用户改动数据库与日志", "a stolen Vault token; a superuser tampers with rows, fields and the whole log", s.attacks},
		{"Vault 停了又恢复", "Vault is stopped, and comes back", s.outage},
	}
	for i, step := range steps {
		s.title(i+1, step.zh, step.en)
		if err := step.tell(ctx); err != nil {
			if ctx.Err() != nil {
				return ctx.Err()
			}
			s.say("✗", "这一步没有做到:%v", "this step did not do what it says: %v", err)
			s.failed = append(s.failed, fmt.Sprint(i+1))
		}
	}
	if len(s.failed) > 0 {
		return fmt.Errorf("steps %s did not do what they say", strings.Join(s.failed, ", "))
	}
	s.say("\n✓", "十二步都做到了(%s)", "all twelve steps did what they say (%s)", time.Since(s.began).Round(time.Second))
	return nil
}

// check is nil if ok, else an error that says what was promised.
func check(ok bool, format string, args ...any) error {
	if ok {
		return nil
	}
	return fmt.Errorf(format, args...)
}

// clean checks that a text holds nothing of the customer in clear.
func clean(where, text string) error {
	for _, secret := range []string{customerName, customerID, customerPhone, customerCard, customerStory} {
		if strings.Contains(text, secret) {
			return fmt.Errorf("%s holds a classified value in clear", where)
		}
	}
	return nil
}

// show runs a command as a persona, prints its answer and checks its exit code.
func (s *story) show(ctx context.Context, code int, persona string, args ...string) (string, error) {
	result, err := s.as(ctx, persona, append(args, "-o", "table")...)
	if err != nil {
		return "", err
	}
	s.quote(brief(result.out))
	return result.out, check(result.code == code, "sealtrail %s: exit code %d, want %d", args[0], result.code, code)
}

// call sends one request without showing it and checks the status.
func (s *story) call(ctx context.Context, persona, method, path string, body any, status int, into any, headers ...string) error {
	answer, err := s.Call(ctx, persona, method, path, body, append([]string{"Sealtrail-Purpose", "handle"}, headers...)...)
	if err != nil {
		return err
	}
	if answer.Status != status {
		return fmt.Errorf("%s %s as %s: status %d, want %d: %s", method, path, persona, answer.Status, status, answer.Body)
	}
	if into == nil {
		return nil
	}
	return json.Unmarshal(answer.Body, into)
}

// draft is the customer's complaint as the story stores it.
func draft(sourceID string, received time.Time) map[string]any {
	return map[string]any{
		"source": "hotline", "source_id": sourceID, "channel": "phone", "received_at": received.UTC().Format(time.RFC3339),
		"received_evidence": "call_record", "type": "service", "business_code": "credit_card", "product_code": "credit_card",
		"reason_code": "pricing", "branch": "b001", "department": "cards", "party_type": "self", "id_type": "resident_id",
		"fields": map[string]string{"complainant_name": customerName, "id_number": customerID, "phone": customerPhone,
			"bank_card": customerCard, "narrative": customerStory, "demand": "退还年费四百元"},
	}
}

func (s *story) storeComplaints(ctx context.Context) error {
	file, err := s.dataFile()
	if err != nil {
		return err
	}
	args := []string{"import", "--purpose", "handle", "--state", filepath.Join(s.Dir(), "import.state"), "--rejects", filepath.Join(s.Dir(), "import.rejects.jsonl")}
	if s.cfg.Data != "" {
		args = append(args, "--identities", "7")
	}
	args = append(args, file)
	if err := s.stream(ctx, "app-core", args...); err != nil {
		return err
	}
	var first, second custody.Created
	now := time.Now()
	if err := s.call(ctx, "intake-li", http.MethodPost, "/v1/complaints", draft("call-0001", now.Add(-50*time.Hour)), 201, &first, "Idempotency-Key", "demo-1"); err != nil {
		return err
	}
	if err := s.call(ctx, "intake-li", http.MethodPost, "/v1/complaints", draft("call-0002", now.Add(-2*time.Hour)), 201, &second, "Idempotency-Key", "demo-2"); err != nil {
		return err
	}
	s.complaint, s.other, s.revision = first.ID, second.ID, first.Revision
	s.say("✓", "客户来电两次,登记为 %s 与 %s", "a customer called twice: %s and %s", first.ComplaintNo, second.ComplaintNo)
	return s.keepCheckpoint(ctx, first.Audit.Entry)
}

// keepCheckpoint waits until the entry is in a signed checkpoint and saves it
// as an auditor does who comes by early.
func (s *story) keepCheckpoint(ctx context.Context, entry uint64) error {
	size, err := s.published(ctx, entry)
	if err != nil {
		return err
	}
	raw, err := os.ReadFile(filepath.Join(s.LogDir(), "checkpoint"))
	if err != nil {
		return fmt.Errorf("saving a checkpoint: %w", err)
	}
	if err := os.MkdirAll(s.auditor(), 0o700); err != nil {
		return fmt.Errorf("saving a checkpoint: %w", err)
	}
	s.say("✓", "审计员此刻存下一个检查点(%d 条),放在系统之外", "an auditor saves a checkpoint (%d entries) outside the system", size)
	return os.WriteFile(s.auditor("checkpoint.saved"), raw, 0o600)
}

// auditor is a place in the auditor's own folder.
func (s *story) auditor(parts ...string) string {
	return filepath.Join(append([]string{s.Dir(), "auditor"}, parts...)...)
}

// published waits until an entry is covered by the signed checkpoint.
func (s *story) published(ctx context.Context, entry uint64) (size uint64, err error) {
	ctx, cancel := context.WithTimeout(ctx, 10*time.Second)
	defer cancel()
	for {
		var view custody.EntryView
		if err := s.call(ctx, "auditor-he", http.MethodGet, fmt.Sprintf("/v1/audit/entries/%d", entry), nil, 200, &view); err != nil {
			return 0, err
		}
		raw, err := os.ReadFile(filepath.Join(s.LogDir(), "checkpoint"))
		if err == nil && view.Index != nil {
			if _, err := fmt.Sscanf(strings.SplitN(string(raw), "\n", 3)[1], "%d", &size); err == nil && size > *view.Index {
				return size, nil
			}
		}
		select {
		case <-ctx.Done():
			return 0, errors.New("the entry was not published within 10 s")
		case <-time.After(50 * time.Millisecond):
		}
	}
}

// settled waits until everything that happened so far is published.
func (s *story) settled(ctx context.Context) error {
	answer, err := s.Call(ctx, "auditor-he", http.MethodGet, "/v1/complaints/"+s.complaint+"?view=meta", nil, "Sealtrail-Purpose", "audit")
	if err != nil {
		return err
	}
	entry, err := strconv.ParseUint(answer.Header.Get("Audit-Entry"), 10, 64)
	if err != nil {
		return fmt.Errorf("waiting for the log: the answer names no entry (status %d)", answer.Status)
	}
	_, err = s.published(ctx, entry)
	return err
}

func (s *story) showRow(ctx context.Context) error {
	conn, err := s.Admin(ctx)
	if err != nil {
		return err
	}
	defer conn.Close(ctx)
	s.say("  $", "%s", "%s", `psql … -c "select * from sealtrail.complaint where id = '`+s.complaint+`'"`)
	var row string
	if err := conn.QueryRow(ctx, `select jsonb_pretty(jsonb_build_object('id', id, 'state', state, 'received_at', received_at, 'level', level,
		'complainant_name_sealed', left(encode(complainant_name_sealed, 'hex'), 72) || '…', 'id_number_sealed', left(encode(id_number_sealed, 'hex'), 72) || '…',
		'phone_sealed', left(encode(phone_sealed, 'hex'), 72) || '…', 'narrative_sealed', left(encode(narrative_sealed, 'hex'), 72) || '…'))
		from sealtrail.complaint where id = $1`, s.complaint).Scan(&row); err != nil {
		return fmt.Errorf("reading the row: %w", err)
	}
	s.quote(row)
	var whole string
	if err := conn.QueryRow(ctx, `select c::text || (select string_agg(b::text, '') from sealtrail.blind_index b where b.complaint = c.id)
		from sealtrail.complaint c where id = $1`, s.complaint).Scan(&whole); err != nil {
		return fmt.Errorf("reading the row: %w", err)
	}
	return clean("the row", whole)
}

func (s *story) readMasked(ctx context.Context) error {
	out, err := s.show(ctx, 0, "intake-li", "complaint", "get", s.complaint, "--purpose", "handle")
	if err != nil {
		return err
	}
	if err := clean("the masked view", out); err != nil {
		return err
	}
	return check(strings.Contains(out, "139****2032"), "the masked phone is not shown")
}

func (s *story) refuse(ctx context.Context) error {
	out, err := s.show(ctx, 5, "quality-sun", "reveal", s.complaint, "--field", "id_number", "--purpose", "quality", "--reason", "quality sampling")
	if err != nil {
		return err
	}
	return check(strings.Contains(out, "R14") && strings.Contains(out, "6.1"), "the refusal does not name rule and article")
}

// steps of the lifecycle, by whom and with what.
type step struct {
	name, by string
	inputs   map[string]string
}

func (s *story) take(ctx context.Context, steps ...step) error {
	for _, st := range steps {
		var view custody.View
		if st.inputs == nil {
			st.inputs = map[string]string{}
		}
		err := s.call(ctx, st.by, http.MethodPost, "/v1/complaints/"+s.complaint+"/transitions", map[string]any{"name": st.name, "inputs": st.inputs}, 200, &view,
			"If-Match", fmt.Sprintf(`"%d"`, s.revision), "Idempotency-Key", fmt.Sprintf("%s-%d", st.name, s.revision), "Sealtrail-Purpose", st.purpose())
		if err != nil {
			return err
		}
		s.revision = view.Revision
		binding := "–"
		if i := slices.IndexFunc(view.Due, func(d custody.Due) bool { return d.Binding }); i >= 0 {
			d := view.Due[i]
			binding = fmt.Sprintf("%s %s (%s)", d.Clock, d.DueAt.In(time.FixedZone("CST", 8*3600)).Format("01-02 15:04"), d.Basis)
		}
		s.say("  →", "%-16s %-14s 状态 %-15s 最早时限 %s", "%-16s %-14s state %-15s earliest limit %s", st.name, st.by, view.Meta["state"], binding)
	}
	return nil
}

func (st step) purpose() string {
	if slices.Contains([]string{"approve", "extend", "reclassify", "decide_review"}, st.name) {
		return "approve"
	}
	return "handle"
}

func (s *story) reveal(ctx context.Context) error {
	err := s.take(ctx,
		step{"accept", "intake-li", map[string]string{"identity_valid": "true", "content_clear": "true", "demand_concrete": "true", "in_scope": "true"}},
		step{"classify", "intake-li", map[string]string{"type": "service", "level": "general", "business": "credit_card", "reason_class": "pricing"}},
		step{"assign", "head-wang", map[string]string{"assignee": "handler-chen"}})
	if err != nil {
		return err
	}
	out, err := s.show(ctx, 0, "handler-chen", "reveal", s.complaint, "--field", "id_number", "--purpose", "handle", "--reason", "核对身份后退费")
	if err != nil {
		return err
	}
	return check(strings.Contains(out, customerID), "the ID number was not revealed")
}

func (s *story) search(ctx context.Context) error {
	term := s.auditor("phone.txt")
	if err := os.WriteFile(term, []byte(customerPhone+"\n"), 0o600); err != nil {
		return fmt.Errorf("writing the search term: %w", err)
	}
	defer func() { _ = os.Remove(term) }() // the demo's folder goes in the end
	out, err := s.show(ctx, 0, "intake-li", "complaint", "search", "--field", "phone", "--value-file", term, "--purpose", "handle")
	if err != nil {
		return err
	}
	if err := clean("the list of hits", out); err != nil {
		return err
	}
	return check(strings.Contains(out, s.complaint) && strings.Contains(out, s.other), "the search did not find both complaints")
}

func (s *story) move(ctx context.Context) error {
	return s.take(ctx,
		step{"take", "handler-chen", nil},
		step{"respond", "handler-chen", map[string]string{"channel": "phone"}},
		step{"review", "handler-chen", nil},
		step{"complete_review", "handler-chen", nil},
		step{"propose", "handler-chen", map[string]string{"plan": "退还年费四百元并书面说明收费依据", "amount_band": "lt_1k"}},
		step{"approve", "head-wang", map[string]string{"amount_band": "lt_1k"}},
		step{"decide", "handler-chen", map[string]string{"outcome": "upheld", "decision_text": "经核实多收年费四百元,予以退还。", "redress": "true"}},
		step{"notify", "handler-chen", map[string]string{"channel": "phone"}},
		step{"send_letter", "handler-chen", map[string]string{"channel": "mail"}})
}

func (s *story) trail(ctx context.Context) error {
	out, err := s.show(ctx, 0, "auditor-he", "complaint", "trail", s.complaint, "--purpose", "audit")
	if err != nil {
		return err
	}
	if err := clean("the trail", out); err != nil {
		return err
	}
	return check(strings.Contains(out, "access.reveal") && strings.Contains(out, "6.1.14") && strings.Contains(out, "handler-chen") && strings.Contains(out, "access.denied"),
		"the trail does not name the reveal and the refusal")
}

// invite prints how to go on while the demo stays up.
func (s *story) invite() {
	s.say("\n━━", "演示保持运行。Ctrl-C 全部停止。", "the demo stays up. Ctrl-C takes everything down.")
	s.say("", "  API %s   运维 %s   见证 %s", "  API %s   ops %s   witness %s", s.API, s.Ops, s.WitnessURL)
	s.say("", "  给脚本用:%s", "  for scripts: %s", filepath.Join(s.Dir(), marker))
	s.say("", "  给运维命令用:set -a; . %s; set +a", "  for an operator's commands: set -a; . %s; set +a", filepath.Join(s.Dir(), "sealtraild.env"))
	s.say("", "  登录(令牌文件):", "  logins (token files):")
	for _, p := range sandbox.Staff() {
		s.say("", "    %-14s %s   %s", "    %-14s %s   %s", p.ID, s.TokenFile(p.ID), p.Name)
	}
	s.say("", "  试试:", "  try:")
	env := fmt.Sprintf("SEALTRAIL_SERVER=%s SEALTRAIL_TOKEN_FILE=%s", s.API, quoted(s.TokenFile("handler-chen")))
	sealtrail, trailcheck := quoted(s.Program("sealtrail")), quoted(s.Program("trailcheck"))
	for _, line := range []string{
		env + " " + sealtrail + " complaint list --purpose handle",
		env + " " + sealtrail + " complaint get " + s.complaint + " --purpose handle",
		trailcheck + " verify --key " + quoted(s.KeyFile()) + " --witness " + s.WitnessKey + " " + quoted(s.LogDir()),
		trailcheck + " explain --key " + quoted(s.KeyFile()) + " " + quoted(s.LogDir()) + " 0",
	} {
		s.say("", "    %s", "    %s", line)
	}
}
