package sandbox

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"slices"
	"time"

	"github.com/sealtrail/sealtrail/internal/authn"
	"github.com/sealtrail/sealtrail/internal/custody"
)

// Persona is somebody of the sandbox's staff.
type Persona struct {
	ID, Name, Kind string // Name is for the story only
	Roles          []string
	Department     string
	StaffID        string
	Level          string
}

// Staff are the ready-made logins. The two founders appoint the others.
func Staff() []Persona {
	human := func(id, name, role, department, staffID string) Persona {
		return Persona{ID: id, Name: name, Kind: authn.KindHuman, Roles: []string{role}, Department: department, StaffID: staffID, Level: "major"}
	}
	return []Persona{
		human("sec-lin", "安全管理员林 / security administrator Lin", "secadmin", "security", "S-0001"),
		human("sec-wu", "安全管理员吴 / security administrator Wu", "secadmin", "security", "S-0002"),
		human("intake-li", "受理岗李 / intake agent Li", "intake", "front-desk", "E-0101"),
		human("handler-chen", "经办人陈 / handler Chen", "handler", "cards", "E-0102"),
		human("handler-zhao", "经办人赵 / handler Zhao", "handler", "cards", "E-0103"),
		human("head-wang", "部门负责人王 / department head Wang", "head", "cards", "E-0104"),
		human("quality-sun", "质检岗孙 / quality reviewer Sun", "quality", "quality", "E-0105"),
		human("auditor-he", "内部审计员何 / auditor He", "auditor", "audit", "E-0106"),
		human("dpo-xu", "个人信息保护负责人徐 / data protection officer Xu", "dpo", "dpo", "E-0107"),
		human("compliance-ma", "合规岗马 / compliance officer Ma", "compliance", "compliance", "E-0108"),
		human("analyst-gao", "分析岗高 / analyst Gao", "analyst", "analytics", "E-0109"),
		human("records-tang", "档案管理员唐 / records officer Tang", "records", "archives", "E-0110"),
		human("legal-song", "法务岗宋 / legal officer Song", "legal", "legal", "E-0111"),
		human("legal-luo", "法务岗罗 / legal officer Luo", "legal", "legal", "E-0112"),
		human("custodian-kong", "密钥保管员孔 / key custodian Kong", "custodian", "keys", "E-0113"),
		human("custodian-shi", "密钥保管员石 / key custodian Shi", "custodian", "keys", "E-0114"),
		{ID: "app-core", Name: "核心业务系统 / core banking application", Kind: authn.KindApplication, Roles: []string{"application"}, Department: "front-desk", Level: "general"},
	}
}

// Token mints a bearer token for a persona, good for a day.
func (s *Sandbox) Token(id string) (string, error) {
	staff := Staff()
	i := slices.IndexFunc(staff, func(p Persona) bool { return p.ID == id })
	if i < 0 {
		return "", fmt.Errorf("minting a token: no persona %s", id)
	}
	p := staff[i]
	return s.issuer.Mint(authn.Persona{Person: p.ID, Institution: Institution, Kind: p.Kind, Roles: p.Roles}, 24*time.Hour)
}

// Issuer mints tokens that are not the personas', for tests.
func (s *Sandbox) Issuer() *authn.DevIssuer { return s.issuer }

// TokenFile is where a persona's token lies, for --token-file.
func (s *Sandbox) TokenFile(id string) string { return s.path("tokens", id) }

// Answer is a reply of the API.
type Answer struct {
	Status int
	Header http.Header
	Body   []byte
}

// Call sends one request as a persona. body is encoded as JSON unless nil;
// headers are pairs of name and value.
func (s *Sandbox) Call(ctx context.Context, persona, method, path string, body any, headers ...string) (*Answer, error) {
	return s.callAt(ctx, s.API+path, persona, method, body, headers...)
}

func (s *Sandbox) callAt(ctx context.Context, address, persona, method string, body any, headers ...string) (*Answer, error) {
	token, err := s.Token(persona)
	if err != nil {
		return nil, err
	}
	var payload io.Reader
	if body != nil {
		raw, err := json.Marshal(body)
		if err != nil {
			return nil, fmt.Errorf("encoding a request: %w", err)
		}
		payload = bytes.NewReader(raw)
	}
	req, err := http.NewRequestWithContext(ctx, method, address, payload)
	if err != nil {
		return nil, err
	}
	req.Header.Set("Authorization", "Bearer "+token)
	if body != nil {
		req.Header.Set("Content-Type", "application/json")
	}
	for i := 0; i+1 < len(headers); i += 2 {
		req.Header.Set(headers[i], headers[i+1])
	}
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		return nil, err
	}
	defer res.Body.Close()
	raw, err := io.ReadAll(res.Body)
	return &Answer{Status: res.StatusCode, Header: res.Header, Body: raw}, err
}

// must calls and refuses any answer but a success.
func (s *Sandbox) must(ctx context.Context, persona, method, path string, body any, into any) error {
	answer, err := s.Call(ctx, persona, method, path, body, "Sealtrail-Purpose", "approve", "Idempotency-Key", fmt.Sprint(time.Now().UnixNano()))
	if err != nil {
		return err
	}
	if answer.Status >= 300 {
		return fmt.Errorf("%s %s as %s: %d: %s", method, path, persona, answer.Status, answer.Body)
	}
	if into == nil {
		return nil
	}
	return json.Unmarshal(answer.Body, into)
}

// appoint gives everybody the duty, training and undertaking that the chapter
// asks for: one founder proposes, the other confirms, each signs for herself.
func (s *Sandbox) appoint(ctx context.Context) error {
	const first, second = "sec-lin", "sec-wu"
	for _, id := range []string{first, second} {
		if err := s.sign(ctx, id); err != nil {
			return err
		}
	}
	for _, p := range Staff() {
		if slices.Contains(p.Roles, "secadmin") {
			continue
		}
		if err := s.must(ctx, first, "POST", "/v1/people", map[string]any{"id": p.ID, "kind": p.Kind, "department": p.Department, "staff_id": p.StaffID}, nil); err != nil {
			return err
		}
		var duty custody.Duty
		now := time.Now().UTC()
		if err := s.must(ctx, first, "POST", "/v1/people/"+p.ID+"/duties", map[string]any{"role": p.Roles[0], "level": p.Level, "department": p.Department,
			"from": now.Add(-time.Minute), "until": now.AddDate(1, 0, 0)}, &duty); err != nil {
			return err
		}
		if err := s.must(ctx, second, "POST", "/v1/people/"+p.ID+"/duties/"+duty.ID+"/confirm", nil, nil); err != nil {
			return err
		}
		if p.Kind != authn.KindHuman {
			continue
		}
		if err := s.must(ctx, first, "POST", "/v1/people/"+p.ID+"/trainings", map[string]any{"course": "confidentiality", "score": 95,
			"passed_at": now.Add(-24 * time.Hour), "valid_until": now.AddDate(1, 0, 0)}, nil); err != nil {
			return err
		}
		if err := s.sign(ctx, p.ID); err != nil {
			return err
		}
	}
	return nil
}

func (s *Sandbox) sign(ctx context.Context, id string) error {
	return s.must(ctx, id, "POST", "/v1/people/"+id+"/undertakings", map[string]string{"version": "2026-1"}, nil)
}
