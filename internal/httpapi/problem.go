package httpapi

import (
	"context"
	"errors"
	"strconv"
	"strings"

	"github.com/sealtrail/sealtrail/internal/authn"
	"github.com/sealtrail/sealtrail/internal/complaint"
	"github.com/sealtrail/sealtrail/internal/custody"
	"github.com/sealtrail/sealtrail/internal/intake"
)

// Problem is the body of every answer that is not a success (RFC 9457). It
// holds names of the catalogue and codes, never anything that was sent.
type Problem struct {
	Type      string                `json:"type" doc:"urn:sealtrail:problem:<code>"`
	Title     string                `json:"title" doc:"Localised by Accept-Language"`
	Status    int                   `json:"status"`
	Code      string                `json:"code" doc:"Stable, never localised"`
	Detail    string                `json:"detail,omitempty" doc:"Localised by Accept-Language"`
	Instance  string                `json:"instance" doc:"The request id"`
	RequestID string                `json:"request_id"`
	Decision  *custody.DecisionView `json:"decision,omitempty" doc:"The decision that refused: rule, article, reason, policy bundle"`
	Errors    []ProblemItem         `json:"errors,omitempty"`
	Next      []NextStep            `json:"next,omitempty" doc:"What the caller can do now"`
	State     string                `json:"state,omitempty" doc:"Present state, for state_conflict"`
	Allowed   []string              `json:"allowed,omitempty" doc:"What the present state allows, for state_conflict"`
	Audit     *ProblemAudit         `json:"audit,omitempty" doc:"The log entry of the refusal"`
	Erased    *custody.Erased       `json:"erased,omitempty" doc:"The erasure and its log entry, for shredded"`
}

// ProblemItem is one place of a request that is wrong.
type ProblemItem struct {
	Pointer  string   `json:"pointer" doc:"JSON pointer of catalogue names; for an unknown key the parent's"`
	Position int      `json:"position,omitempty" doc:"One-based place of an unknown key in its parent"`
	Code     string   `json:"code"`
	Detail   string   `json:"detail,omitempty"`
	Allowed  []string `json:"allowed,omitempty"`
}

// NextStep is a step that the caller can take.
type NextStep struct {
	Code  string `json:"code"`
	Title string `json:"title,omitempty"`
}

// ProblemAudit names the log entry of a refusal.
type ProblemAudit struct {
	Entry      uint64 `json:"entry,string"`
	BodySHA256 string `json:"body_sha256,omitempty"`
}

// Error names the code only.
func (p *Problem) Error() string { return "problem " + p.Code }

// GetStatus implements huma.StatusError.
func (p *Problem) GetStatus() int { return p.Status }

// ContentType implements huma.ContentTypeFilter.
func (p *Problem) ContentType(string) string { return "application/problem+json" }

// kind is one row of the table of problems.
type kind struct {
	status     int
	titleZH    string
	titleEN    string
	retryAfter int // seconds; 0: no header
}

// Codes of problems. They are stable: clients and the command line branch on
// them, docs/api.md lists them, a test compares.
const (
	codeStalled           = "transfer_stalled"
	codeRange             = "range_not_satisfiable"
	codeFilesUnavailable  = "files_unavailable"
	codeFilesFull         = "files_full"
	codeFilesBusy         = "files_busy"
	codeMalformed         = "malformed"
	codePurposeRequired   = "purpose_required"
	codeKeyRequired       = "idempotency_key_required"
	codeUnauthenticated   = "unauthenticated"
	codePolicyDenied      = "policy_denied"
	codeSelfApproval      = "self_approval"
	codeDutyConflict      = "duty_conflict"
	codeNotFound          = "not_found"
	codeMethodNotAllowed  = "method_not_allowed"
	codeStateConflict     = "state_conflict"
	codeAlreadyDecided    = "already_decided"
	codeCaseOpen          = "case_open"
	codeLegalHold         = "legal_hold"
	codeErasureOpen       = "erasure_open"
	codeReceiptPending    = "receipt_pending"
	codeShredded          = "shredded"
	codeLost              = "lost"
	codeStale             = "stale_etag"
	codeTooLarge          = "body_too_large"
	codeMediaType         = "unsupported_media_type"
	codeInvalid           = "invalid_field"
	codeC3                = "c3_refused"
	codeKeyReused         = "idempotency_key_reused"
	codePageToken         = "page_token_mismatch"
	codeETagRequired      = "etag_required"
	codeBudget            = "reveal_budget_exhausted"
	codeIntegrity         = "integrity_violation"
	codeInternal          = "internal"
	codeAuditUnavailable  = "audit_unavailable"
	codeVaultUnavailable  = "vault_unavailable"
	codeStoreUnavailable  = "database_unavailable"
	codeIssuerUnavailable = "issuer_unavailable"
	codeDeadline          = "deadline_exceeded"
)

// kinds returns the one table of problems. It is a function so that nobody can
// change it; the service keeps one copy.
func kinds() map[string]kind {
	return map[string]kind{
		codeMalformed:         {400, "请求格式错误", "The request is malformed", 0},
		codePurposeRequired:   {400, "必须说明处理目的", "A purpose is required", 0},
		codeKeyRequired:       {400, "缺少 Idempotency-Key", "The header Idempotency-Key is required", 0},
		codeUnauthenticated:   {401, "身份未验证", "Not authenticated", 0},
		codePolicyDenied:      {403, "访问被策略拒绝", "Refused by policy", 0},
		codeSelfApproval:      {403, "不得审批本人事项", "Nobody approves her own act", 0},
		codeDutyConflict:      {403, "职责不相容", "The duties exclude each other", 0},
		codeNotFound:          {404, "不存在", "Not found", 0},
		codeMethodNotAllowed:  {405, "不支持此方法", "Method not allowed", 0},
		codeStateConflict:     {409, "当前状态不允许此操作", "The present state does not allow this", 0},
		codeAlreadyDecided:    {409, "已有决定", "Already decided", 0},
		codeCaseOpen:          {409, "投诉尚未办结", "The complaint is still open", 0},
		codeLegalHold:         {409, "记录处于法律保全", "The record is under a legal hold", 0},
		codeErasureOpen:       {409, "已有待审批的删除申请", "An erasure of this record is waiting for approval", 0},
		codeReceiptPending:    {409, "回执所据日志条目尚未发布", "The entries of the receipt are not published yet", 0},
		codeShredded:          {410, "记录已删除", "The record was erased", 0},
		codeLost:              {410, "日志记有此记录,数据库中已丢失", "The log names this record; the database has lost it", 0},
		codeStale:             {412, "记录已有更新版本", "The record has a newer revision", 0},
		codeStalled:           {408, "传输停滞", "The transfer stood still", 0},
		codeRange:             {416, "文件没有所请求的范围", "The file has no such range", 0},
		codeFilesBusy:         {503, "正在传输的文件过多", "Too many files are under way", 5},
		codeFilesUnavailable:  {503, "文件存储不可用", "The file store is not available", 5},
		codeFilesFull:         {507, "文件存储空间不足", "The file store is full", 0},
		codeTooLarge:          {413, "请求体过大", "The body is too large", 0},
		codeMediaType:         {415, "不支持的内容类型", "Unsupported media type", 0},
		codeInvalid:           {422, "字段无效", "Invalid field", 0},
		codeC3:                {422, "含不得存储的鉴别信息", "Holds authentication data that is never stored", 0},
		codeKeyReused:         {422, "Idempotency-Key 已用于其他请求", "The idempotency key was used for another request", 0},
		codePageToken:         {422, "分页令牌与请求不符或已过期", "The page token is not of this request, or too old", 0},
		codeETagRequired:      {428, "缺少 If-Match", "The header If-Match is required", 0},
		codeBudget:            {429, "明文查看额度已用尽", "The reveal budget is spent", 600},
		codeIntegrity:         {500, "存储数据未通过完整性校验,未打开任何字段", "Stored data fails its integrity check; nothing was opened", 0},
		codeInternal:          {500, "内部错误", "Internal error", 0},
		codeAuditUnavailable:  {503, "审计日志不可写,未披露也未更改任何数据", "The audit log cannot be written; nothing was disclosed or changed", 2},
		codeVaultUnavailable:  {503, "密钥服务不可用", "The key server is not available", 2},
		codeStoreUnavailable:  {503, "数据库不可用", "The database is not available", 2},
		codeIssuerUnavailable: {503, "身份提供方不可用", "The identity provider is not available", 2},
		codeDeadline:          {503, "未能在期限内完成", "Not done within the deadline", 2},
	}
}

// newProblem makes the problem for a code, in the caller's language.
func (x *exchange) newProblem(code string) *Problem {
	k := x.s.metrics.kinds[code]
	p := &Problem{Type: "urn:sealtrail:problem:" + code, Title: pick(x.zh, k.titleZH, k.titleEN), Status: k.status, Code: code,
		Instance: x.id, RequestID: x.id}
	if k.retryAfter > 0 {
		x.Header().Set("Retry-After", strconv.Itoa(k.retryAfter))
	}
	x.code = code
	return p
}

func pick(zh bool, a, b string) string {
	if zh {
		return a
	}
	return b
}

// place makes a problem about one place of the request.
func (x *exchange) place(code, pointer, why string) *Problem {
	p := x.newProblem(code)
	p.Errors = []ProblemItem{x.item(intake.Problem{Pointer: pointer, Code: why})}
	return p
}

// problem turns any error into what the caller is told.
func (x *exchange) problem(err error) *Problem {
	var (
		p        *Problem
		refused  *custody.RefusedError
		invalid  *custody.InvalidError
		conflict *custody.ConflictError
		erased   *custody.ShreddedError
		lost     *custody.LostError
	)
	switch {
	case errors.As(err, &erased):
		return x.shredded(erased)
	case errors.As(err, &lost):
		p = x.newProblem(codeLost)
		x.audited(p, lost.Audit)
		return p
	case errors.As(err, &p):
		return p
	case errors.As(err, &refused):
		return x.refusal(refused)
	case errors.As(err, &invalid):
		return x.invalid(invalid.Problems)
	case errors.As(err, &conflict):
		return x.conflict(conflict)
	}
	code := codeOf(err)
	if _, ok := errors.AsType[*custody.RangeError](err); ok {
		code = codeRange
	}
	if code == codeInternal || code == codeIntegrity {
		x.cause = err
	}
	return x.newProblem(code)
}

// codeOf maps the errors without fields.
func codeOf(err error) string {
	for _, row := range []struct {
		is   error
		code string
	}{
		{custody.ErrNotFound, codeNotFound},
		{custody.ErrStale, codeStale},
		{custody.ErrIntegrity, codeIntegrity}, // before the outages: a finding wins
		{custody.ErrUnrecorded, codeAuditUnavailable},
		{custody.ErrKeysUnavailable, codeVaultUnavailable},
		{custody.ErrStoreUnavailable, codeStoreUnavailable},
		{custody.ErrFilesUnavailable, codeFilesUnavailable},
		{custody.ErrFilesFull, codeFilesFull},
		{custody.ErrTransfersBusy, codeFilesBusy},
		{custody.ErrIdle, codeStalled},
		{custody.ErrUnpublished, codeDeadline},
		{custody.ErrPurposeRequired, codePurposeRequired},
		{custody.ErrIdempotencyReused, codeKeyReused},
		{authn.ErrUnauthenticated, codeUnauthenticated},
		{authn.ErrKeysUnavailable, codeIssuerUnavailable},
		{context.DeadlineExceeded, codeDeadline},
		{context.Canceled, codeDeadline},
	} {
		if errors.Is(err, row.is) {
			return row.code
		}
	}
	return codeInternal
}

// budgetReason is the policy's reason code for a spent reveal budget.
const budgetReason = "budget_spent"

func (x *exchange) refusal(e *custody.RefusedError) *Problem {
	code := codePolicyDenied
	if e.Decision.Reason == budgetReason || e.Decision.Reason == codeBudget {
		code = codeBudget
	}
	p := x.newProblem(code)
	d := e.Decision
	p.Decision = &d
	if r, ok := x.s.cfg.Reasons(d.Reason); ok {
		p.Detail = pick(x.zh, r.ZH, r.EN)
		if d.Next != "" {
			p.Next = []NextStep{{Code: d.Next, Title: pick(x.zh, r.NextZH, r.NextEN)}}
		}
	}
	if p.Next == nil && d.Next != "" {
		p.Next = []NextStep{{Code: d.Next}}
	}
	for _, f := range e.Fields {
		p.Errors = append(p.Errors, ProblemItem{Pointer: "/fields/" + f, Code: "field_denied"})
	}
	x.audited(p, e.Audit)
	return p
}

func (x *exchange) invalid(problems []intake.Problem) *Problem {
	code := codeInvalid
	for _, q := range problems {
		switch {
		case strings.HasPrefix(q.Code, "c3_"):
			code = codeC3
		case q.Code == "media_type_unknown":
			code = codeMediaType
		case q.Code == "file_too_large":
			code = codeTooLarge
		}
	}
	p := x.newProblem(code)
	for _, q := range problems {
		p.Errors = append(p.Errors, x.item(q))
	}
	return p
}

func (x *exchange) item(q intake.Problem) ProblemItem {
	it := ProblemItem{Pointer: q.Pointer, Position: q.Position, Code: q.Code, Allowed: q.Allowed, Detail: pick(x.zh, q.ZH, q.EN)}
	if it.Detail == "" {
		r, _ := complaint.Registry().Reason(q.Code)
		it.Detail = pick(x.zh, r.ZH, r.EN)
	}
	return it
}

// shredded says which erasure it was, to whoever may see that the record was
// there.
func (x *exchange) shredded(e *custody.ShreddedError) *Problem {
	p := x.newProblem(codeShredded)
	gone := e.Erased
	p.Erased = &gone
	x.audited(p, e.Audit)
	return p
}

// audited names the entry of what was refused.
func (x *exchange) audited(p *Problem, at custody.AuditRef) {
	if at.Entry == 0 {
		return
	}
	p.Audit = &ProblemAudit{Entry: at.Entry, BodySHA256: at.BodySHA256}
	x.Header().Set("Audit-Entry", strconv.FormatUint(at.Entry, 10))
}

func (x *exchange) conflict(e *custody.ConflictError) *Problem {
	code := e.Code
	if code == "four_eyes" { // the lifecycle's word for it
		code = codeSelfApproval
	}
	if _, ok := x.s.metrics.kinds[code]; !ok {
		code = codeStateConflict
	}
	p := x.newProblem(code)
	p.State, p.Allowed = e.State, e.Allowed
	if code != e.Code { // a finer reason of the lifecycle: keep it beside the code
		p.Errors = []ProblemItem{x.item(intake.Problem{Pointer: "", Code: e.Code})}
	}
	return p
}
