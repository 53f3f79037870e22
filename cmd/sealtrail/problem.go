package main

import (
	"encoding/json"
	"fmt"
	"net/http"
	"strings"

	"github.com/sealtrail/sealtrail/internal/exitcode"
)

// problem is the server's RFC 9457 answer, as far as it is shown.
type problem struct {
	Title     string `json:"title"`
	Status    int    `json:"status"`
	Code      string `json:"code"`
	Detail    string `json:"detail"`
	RequestID string `json:"request_id"`
	Decision  *struct {
		ID      string `json:"id"`
		Rule    string `json:"rule"`
		Article string `json:"article"`
		Bundle  string `json:"bundle"`
	} `json:"decision"`
	Errors []struct {
		Pointer  string   `json:"pointer"`
		Position int      `json:"position"`
		Code     string   `json:"code"`
		Detail   string   `json:"detail"`
		Allowed  []string `json:"allowed"`
	} `json:"errors"`
	Next []struct {
		Code  string `json:"code"`
		Title string `json:"title"`
	} `json:"next"`
	State   string   `json:"state"`
	Allowed []string `json:"allowed"`
	Audit   *struct {
		Entry string `json:"entry"`
	} `json:"audit"`

	raw []byte
}

func (p *problem) Error() string { return p.Code }

// parseProblem reads a problem; whatever else answers with an error status,
// a proxy for instance, becomes one.
func parseProblem(resp *http.Response, body []byte) *problem {
	p := &problem{raw: body}
	if err := json.Unmarshal(body, p); err != nil || p.Code == "" {
		p = &problem{Code: fmt.Sprintf("http_%d", resp.StatusCode), Status: resp.StatusCode, Title: http.StatusText(resp.StatusCode), RequestID: resp.Header.Get("Request-Id")}
		p.raw, _ = json.Marshal(p)
	}
	return p
}

// exit maps a problem to its exit code (docs/exit-codes.md): by code first, then
// by status, so that codes of a later server still end sensibly.
func (p *problem) exit() exitcode.Code {
	switch p.Code {
	case "integrity_violation":
		return exitcode.Integrity
	case "self_approval":
		return exitcode.NeedsApproval
	case "policy_denied":
		if len(p.Next) > 0 && (p.Next[0].Code == "request_grant" || p.Next[0].Code == "ask_second_person") {
			return exitcode.NeedsApproval // the policy's next step (policy/confidentiality/next.yaml)
		}
		return exitcode.Denied
	}
	switch p.Status {
	case http.StatusUnauthorized, http.StatusForbidden, http.StatusTooManyRequests:
		return exitcode.Denied
	case http.StatusNotFound, http.StatusGone:
		return exitcode.NotFound
	case http.StatusConflict, http.StatusPreconditionFailed:
		return exitcode.Conflict
	case http.StatusBadGateway, http.StatusServiceUnavailable, http.StatusGatewayTimeout:
		return exitcode.Unavailable
	case http.StatusInternalServerError:
		return exitcode.Failure
	}
	if p.Status >= 400 && p.Status < 500 {
		return exitcode.Usage
	}
	return exitcode.Failure
}

// showProblem writes a problem for a person, or with -o json as it came.
func (s *session) showProblem(p *problem) {
	if s.cli.Output == "json" || s.cli.Output == "jsonl" {
		fmt.Fprintln(s.err, strings.TrimSpace(string(p.raw)))
		return
	}
	fmt.Fprintf(s.err, "sealtrail: %s: %s\n", p.Code, p.Title)
	if p.Detail != "" {
		fmt.Fprintln(s.err, "  "+p.Detail)
	}
	if d := p.Decision; d != nil {
		fmt.Fprintf(s.err, s.word("  规则  %s(条款 %s)  决定 %s\n", "  rule %s (article %s)  decision %s\n"), d.Rule, d.Article, d.ID)
	}
	for _, e := range p.Errors {
		fmt.Fprint(s.err, "  ", s.place(e.Pointer, e.Position), "  ", e.Code)
		if e.Detail != "" {
			fmt.Fprint(s.err, ": ", e.Detail)
		}
		if len(e.Allowed) > 0 {
			fmt.Fprint(s.err, " (", strings.Join(e.Allowed, ", "), ")")
		}
		fmt.Fprintln(s.err)
	}
	if p.State != "" {
		fmt.Fprintf(s.err, s.word("  当前状态 %s", "  state is %s"), p.State)
		if len(p.Allowed) > 0 {
			fmt.Fprintf(s.err, s.word(",可以 %s", "; possible now: %s"), strings.Join(p.Allowed, ", "))
		}
		fmt.Fprintln(s.err)
	}
	entry := ""
	if p.Audit != nil {
		entry = s.word("  审计条目 ", "  audit entry ") + p.Audit.Entry
	}
	if p.RequestID != "" {
		fmt.Fprintln(s.err, "  "+s.word("请求 ", "request ")+p.RequestID+entry)
	}
	s.suggest(s.hint(p))
}

func (s *session) place(pointer string, position int) string {
	if position == 0 {
		return pointer
	}
	return fmt.Sprintf(s.word("%s 第 %d 个", "%s number %d"), pointer+"/", position)
}

// hint is the next step: the server's, or what this command line lacks.
func (s *session) hint(p *problem) string {
	if len(p.Next) > 0 {
		if p.Next[0].Title != "" {
			return p.Next[0].Title
		}
		return p.Next[0].Code
	}
	switch p.Code {
	case "not_found":
		return s.word("编号有误,或该记录不应为您所知:两者答复相同", "the id is wrong, or the record is not to be known to you: both have the same answer")
	case "invalid_field":
		for _, e := range p.Errors {
			switch e.Code {
			case "missing_input":
				return s.word("逐项用 -i 给出,例如 -i ", "give each with -i, for instance -i ") + strings.TrimPrefix(e.Pointer, "/inputs/") + s.word("=值;各流转所需见 docs/glossary.md", "=VALUE; what each transition wants: docs/glossary.md")
			case "media_type_mismatch":
				return s.word("检查文件,或用 --type 指定内容的实际类型", "look at the file, or name the type that it really has with --type")
			}
		}
	}
	if zh, en := wayOut(p.Code); en != "" {
		return s.word(zh, en)
	}
	if strings.HasPrefix(p.Code, "http_") {
		return s.word("答复的不是 Sealtrail:请检查 --server", "this was not answered by Sealtrail: check --server")
	}
	if p.Status == http.StatusServiceUnavailable {
		return s.word("稍后重试", "try again later")
	}
	return ""
}

// wayOut is what a person can do about a code, whatever the request was.
func wayOut(code string) (zh, en string) {
	switch code {
	case "purpose_required":
		return "用 --purpose 说明目的,例如 --purpose handle;各岗位的目的见 --help", "say why with --purpose, for instance --purpose handle, or what your duty is for: see --help"
	case "unauthenticated":
		return "令牌无效或已过期,请更新令牌文件", "the token is not valid or has expired: renew the token file"
	case "stale_etag":
		return "请重新读取后再试", "read the complaint again, then repeat"
	case "self_approval":
		return "请由另一人办理", "ask a colleague"
	case "case_open":
		return "先办结投诉(答复、不予受理或撤回)", "it has to be answered, refused or withdrawn first"
	case "legal_hold":
		return "请法务岗解除保全:sealtrail hold ask-release", "ask a legal officer for the release: sealtrail hold ask-release"
	case "shredded":
		return "其轨迹与删除回执仍在:sealtrail erasure receipt", "its trail and its receipt stay: sealtrail erasure receipt"
	case "lost":
		return "运维人员可查:sealtraild trail check;较新的备份中可能有", "the operator looks: sealtraild trail check; a newer backup may have it"
	case "receipt_pending":
		return "数秒后重试", "try again in some seconds"
	}
	return "", ""
}
