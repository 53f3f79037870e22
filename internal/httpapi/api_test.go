package httpapi

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/sealtrail/sealtrail/internal/authn"
	"github.com/sealtrail/sealtrail/internal/custody"
	"github.com/sealtrail/sealtrail/internal/doortest"
	"github.com/sealtrail/sealtrail/internal/intake"
	"github.com/sealtrail/sealtrail/internal/supervision"
)

// The real door is one.
var _ Door = (*custody.Door)(nil)

const unknownID = "00000000-0000-4000-8000-000000000000"

func TestErrorsOfTheDoorBecomeProblems(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct {
		name   string
		err    error
		status int
		code   string
		retry  bool
	}{
		{"not found", custody.ErrNotFound, 404, "not_found", false},
		{"stale", custody.ErrStale, 412, "stale_etag", false},
		{"unrecorded", custody.ErrUnrecorded, 503, "audit_unavailable", true},
		{"vault", fmt.Errorf("lending a key: %w", custody.ErrKeysUnavailable), 503, "vault_unavailable", true},
		{"store", custody.ErrStoreUnavailable, 503, "database_unavailable", true},
		{"integrity", custody.ErrIntegrity, 500, "integrity_violation", false},
		{"integrity wins", errors.Join(custody.ErrKeysUnavailable, custody.ErrIntegrity), 500, "integrity_violation", false},
		{"purpose", custody.ErrPurposeRequired, 400, "purpose_required", false},
		{"key reused", custody.ErrIdempotencyReused, 422, "idempotency_key_reused", false},
		{"refused", doortest.Refusal(), 403, "policy_denied", false},
		{"budget", &custody.RefusedError{Decision: custody.DecisionView{Reason: "budget_spent"}}, 429, "reveal_budget_exhausted", true},
		{"invalid", &custody.InvalidError{Problems: []intake.Problem{{Pointer: "/fields/phone", Code: "too_long"}}}, 422, "invalid_field", false},
		{"C3", &custody.InvalidError{Problems: []intake.Problem{{Pointer: "/fields/narrative", Code: "c3_cvn"}}}, 422, "c3_refused", false},
		{"state", &custody.ConflictError{Code: "state_conflict", State: "closed"}, 409, "state_conflict", false},
		{"self", &custody.ConflictError{Code: "self_approval"}, 403, "self_approval", false},
		{"decided", &custody.ConflictError{Code: "already_decided"}, 409, "already_decided", false},
		{"four eyes", &custody.ConflictError{Code: "four_eyes"}, 403, "self_approval", false},
		{"finer conflict", &custody.ConflictError{Code: "retention_unexpired"}, 409, "state_conflict", false},
		{"deadline", context.DeadlineExceeded, 503, "deadline_exceeded", true},
		{"anything else", errors.New("CANARY of a driver"), 500, "internal", false},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			s := newStage(t)
			s.door.Fail(tc.err)
			a := s.do(t, call{method: "GET", path: "/v1/complaints/" + unknownID})
			p := a.problem(t)
			if a.status != tc.status || p.Code != tc.code {
				t.Errorf("answer = %d %s, want %d %s", a.status, p.Code, tc.status, tc.code)
			}
			if got := a.header.Get("Retry-After") != ""; got != tc.retry {
				t.Errorf("Retry-After present = %v, want %v", got, tc.retry)
			}
			if strings.Contains(string(a.body), "CANARY") {
				t.Errorf("the cause is in the answer: %s", a.body)
			}
		})
	}
}

func TestRefusalSaysWhyAndWhatNext(t *testing.T) {
	t.Parallel()
	s := newStage(t)
	id := s.file(t)
	for lang, want := range map[string]struct{ title, detail, next string }{
		"zh-CN,zh;q=0.9,en;q=0.8": {"访问被策略拒绝", "质检岗不可取用明文", "请经办人提供"},
		"en-GB,zh;q=0.5":          {"Refused by policy", "Quality reviewers see masked values only", "ask the handler"},
	} {
		a := s.do(t, call{method: "POST", path: "/v1/complaints/" + id + "/reveals", body: `{"fields":["id_number"]}`,
			token: s.token(t, "q-1", "quality"), header: map[string]string{"Accept-Language": lang, "Sealtrail-Purpose": "quality"}})
		p := a.problem(t)
		if a.status != 403 || p.Title != want.title || p.Detail != want.detail || len(p.Next) != 1 || p.Next[0].Title != want.next {
			t.Errorf("%s: %d %+v", lang, a.status, p)
		}
		if p.Decision == nil || p.Decision.Rule != "R8" || p.Decision.Article != "6.2.1" || p.Audit == nil || p.Audit.Entry != 77 || a.header.Get("Audit-Entry") != "77" {
			t.Errorf("decision or audit entry is missing: %+v", p)
		}
		if len(p.Errors) != 1 || p.Errors[0].Pointer != "/fields/id_number" || p.Errors[0].Code != "field_denied" {
			t.Errorf("errors = %+v", p.Errors)
		}
	}
}

// Unknown, foreign, hidden and malformed ids are one answer.
func TestNotFoundTellsNothing(t *testing.T) {
	t.Parallel()
	s := newStage(t)
	var bodies []string
	for _, path := range []string{"/v1/complaints/" + unknownID, "/v1/complaints/not-a-uuid", "/v1/complaints/" + strings.ToUpper(unknownID), "/v1/complaints/%00"} {
		a := s.do(t, call{method: "GET", path: path})
		p := a.problem(t)
		if a.status != 404 {
			t.Errorf("%s = %d", path, a.status)
		}
		bodies = append(bodies, strings.ReplaceAll(string(a.body), p.RequestID, "R"))
		if len(a.header) != 7 && a.header.Get("Audit-Entry") != "" {
			t.Errorf("%s carries more headers: %v", path, a.header)
		}
	}
	for _, b := range bodies[1:] {
		if diff := cmp.Diff(bodies[0], b); diff != "" {
			t.Errorf("two kinds of not found differ:\n%s", diff)
		}
	}
}

func TestRequestsAreCheckedBeforeTheDoor(t *testing.T) {
	t.Parallel()
	s := newStage(t)
	s.door.Seen = func(act string, _ custody.Caller) { t.Errorf("the door was asked to %s", act) }
	one := "/v1/complaints/" + unknownID
	for _, tc := range []struct {
		name   string
		call   call
		status int
		code   string
		item   string // pointer, position and code of the first item
	}{
		{"no token", call{method: "GET", path: one, noToken: true}, 401, "unauthenticated", ""},
		{"bad token", call{method: "GET", path: one, token: "nonsense"}, 401, "unauthenticated", ""},
		{"basic auth", call{method: "GET", path: one, noToken: true, header: map[string]string{"Authorization": "Basic eDp5"}}, 401, "unauthenticated", ""},
		{"no purpose", call{method: "GET", path: one, noPurpose: true}, 400, "purpose_required", ""},
		{"unknown purpose", call{method: "GET", path: one + "?purpose=curiosity", noPurpose: true}, 422, "invalid_field", "/purpose 0 unknown_value"},
		{"two purposes", call{method: "GET", path: one + "?purpose=audit"}, 422, "invalid_field", "/purpose 0 unknown_value"},
		{"unknown view", call{method: "GET", path: one + "?view=plain"}, 422, "invalid_field", "/view 0 unknown_value"},
		{"unknown query", call{method: "GET", path: one + "?view=meta&x=1"}, 422, "invalid_field", "/query 2 unknown_field"},
		{"query twice", call{method: "GET", path: one + "?view=meta&view=masked"}, 422, "invalid_field", "/query 2 duplicate_key"},
		{"no idempotency key", call{method: "POST", path: "/v1/complaints", body: draftJSON, header: map[string]string{"Idempotency-Key": ""}}, 400, "idempotency_key_required", ""},
		{"long idempotency key", call{method: "POST", path: "/v1/complaints", body: draftJSON, header: map[string]string{"Idempotency-Key": strings.Repeat("k", 256)}}, 400, "malformed", "/Idempotency-Key 0 malformed"},
		{"no body", call{method: "POST", path: "/v1/complaints", header: map[string]string{"Content-Type": "application/json"}}, 400, "malformed", ""},
		{"broken JSON", call{method: "POST", path: "/v1/complaints", body: `{"source":`}, 400, "malformed", ""},
		{"two values", call{method: "POST", path: "/v1/complaints", body: draftJSON + draftJSON}, 400, "malformed", ""},
		{"not UTF-8", call{method: "POST", path: "/v1/complaints", body: "{\"source\":\"\xff\"}"}, 400, "malformed", ""},
		{"not an object", call{method: "POST", path: "/v1/complaints", body: `[]`}, 422, "invalid_field", " 0 wrong_type"},
		{"unknown key", call{method: "POST", path: "/v1/complaints", body: `{"source":"app","x":{"y":[1,{"z":2}]},"source_id":"1"}`}, 422, "invalid_field", " 2 unknown_field"},
		{"unknown field", call{method: "POST", path: "/v1/complaints", body: `{"fields":{"phone":"1","x":"2"}}`}, 422, "invalid_field", "/fields 2 unknown_field"},
		{"wrong type", call{method: "POST", path: "/v1/complaints", body: `{"fields":{"phone":138}}`}, 422, "invalid_field", "/fields/phone 0 wrong_type"},
		{"null", call{method: "POST", path: "/v1/complaints", body: `{"fields":{"phone":null}}`}, 422, "invalid_field", "/fields/phone 0 wrong_type"},
		{"same key twice", call{method: "POST", path: "/v1/complaints", body: `{"source":"a","source":"b"}`}, 422, "invalid_field", "/source 2 duplicate_key"},
		{"key in another case", call{method: "POST", path: "/v1/complaints", body: `{"Source":"a"}`}, 422, "invalid_field", " 1 unknown_field"},
		{"not a time", call{method: "POST", path: "/v1/complaints", body: `{"received_at":"yesterday"}`}, 422, "invalid_field", "/received_at 0 malformed"},
		{"missing", call{method: "POST", path: "/v1/complaints", body: `{"source":"a","source_id":"1","channel":"mobile_app","received_at":"2026-03-02T09:00:00Z"}`}, 422, "invalid_field", "/fields 0 required"},
		{"too large", call{method: "POST", path: "/v1/complaints", body: `{"source":"` + strings.Repeat("x", maxBody) + `"}`}, 413, "body_too_large", ""},
		{"text", call{method: "POST", path: "/v1/complaints", body: "x", header: map[string]string{"Content-Type": "text/plain"}}, 415, "unsupported_media_type", ""},
		{"compressed", call{method: "POST", path: "/v1/complaints", body: "x", header: map[string]string{"Content-Encoding": "gzip"}}, 415, "unsupported_media_type", ""},
		{"empty batch", call{method: "POST", path: "/v1/complaints:batch", body: `{"items":[]}`}, 422, "invalid_field", "/items 0 out_of_range"},
		{"big batch", call{method: "POST", path: "/v1/complaints:batch", body: `{"items":[` + strings.Repeat("0,", 500) + `0]}`}, 422, "invalid_field", "/items 0 out_of_range"},
		{"no If-Match", call{method: "PATCH", path: one, body: `{"fields":{"phone":"1"}}`}, 428, "etag_required", ""},
		{"bad If-Match", call{method: "PATCH", path: one, body: `{"fields":{"phone":"1"}}`, header: map[string]string{"If-Match": `"x"`}}, 400, "malformed", "/If-Match 0 malformed"},
		{"no If-Match on transition", call{method: "POST", path: one + "/transitions", body: `{"name":"accept"}`}, 428, "etag_required", ""},
		{"unknown transition", call{method: "POST", path: one + "/transitions", body: `{"name":"x"}`, header: map[string]string{"If-Match": `"1"`}}, 422, "invalid_field", "/name 0 unknown_transition"},
		{"unknown input", call{method: "POST", path: one + "/transitions", body: `{"name":"accept","inputs":{"x":"1"}}`, header: map[string]string{"If-Match": `"1"`}}, 422, "invalid_field", "/inputs 1 unknown_field"},
		{"reveal nothing", call{method: "POST", path: one + "/reveals", body: `{"fields":[]}`}, 422, "invalid_field", "/fields 0 required"},
		{"reveal unknown", call{method: "POST", path: one + "/reveals", body: `{"fields":["phone","x"]}`}, 422, "invalid_field", "/fields/1 0 unknown_field"},
		{"search unindexed", call{method: "POST", path: "/v1/complaints:search", body: `{"field":"narrative","value":"x"}`}, 422, "invalid_field", "/field 0 unknown_field"},
		{"page size", call{method: "GET", path: "/v1/complaints?page_size=0"}, 422, "invalid_field", "/page_size 0 out_of_range"},
		{"forged page token", call{method: "GET", path: "/v1/complaints?page_token=AAAA"}, 422, "page_token_mismatch", ""},
		{"period", call{method: "GET", path: "/v1/reports?period=x"}, 422, "invalid_field", "/period 0 malformed"},
		{"report format", call{method: "GET", path: "/v1/reports?period=2026-01&format=pdf"}, 422, "invalid_field", "/format 0 unknown_value"},
		{"entry", call{method: "GET", path: "/v1/audit/entries/x"}, 404, "not_found", ""},
		{"verdict", call{method: "POST", path: "/v1/access-requests/g/reviews", body: `{"verdict":"maybe"}`}, 422, "invalid_field", "/verdict 0 unknown_value"},
		{"unknown route", call{method: "GET", path: "/v1/nothing"}, 404, "not_found", ""},
		{"unclean path", call{method: "GET", path: "/v1//complaints"}, 404, "not_found", ""},
		{"docs", call{method: "GET", path: "/docs"}, 404, "not_found", ""},
		{"method", call{method: "DELETE", path: one}, 405, "method_not_allowed", ""},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			a := s.do(t, tc.call)
			p := a.problem(t)
			if a.status != tc.status || p.Code != tc.code {
				t.Errorf("answer = %d %s, want %d %s: %s", a.status, p.Code, tc.status, tc.code, a.body)
			}
			if a.status == 401 && a.header.Get("WWW-Authenticate") != "Bearer" {
				t.Error("401 without WWW-Authenticate")
			}
			if a.status == 405 && a.header.Get("Allow") != "GET, PATCH" {
				t.Errorf("Allow = %q", a.header.Get("Allow"))
			}
			got := ""
			if len(p.Errors) > 0 {
				got = fmt.Sprintf("%s %d %s", p.Errors[0].Pointer, p.Errors[0].Position, p.Errors[0].Code)
			}
			if got != tc.item {
				t.Errorf("first item = %q, want %q", got, tc.item)
			}
		})
	}
}

func TestComplaintLifeThroughTheAPI(t *testing.T) {
	t.Parallel()
	s := newStage(t)
	created := s.do(t, call{method: "POST", path: "/v1/complaints", body: draftJSON})
	var c custody.Created
	if err := json.Unmarshal(created.body, &c); err != nil || created.status != 201 {
		t.Fatalf("create = %d %v", created.status, err)
	}
	if created.header.Get("ETag") != `"1"` || created.header.Get("Audit-Entry") == "" || created.header.Get("Location") != "/v1/complaints/"+c.ID {
		t.Errorf("headers of a create = %v", created.header)
	}
	again := s.do(t, call{method: "POST", path: "/v1/complaints", body: draftJSON})
	if again.status != 201 || !strings.Contains(string(again.body), c.ID) || !strings.Contains(string(again.body), `"existing":true`) {
		t.Errorf("repeated create = %d %s", again.status, again.body)
	}
	other := strings.Replace(draftJSON, "A-1", "A-2", 1)
	if a := s.do(t, call{method: "POST", path: "/v1/complaints", body: other}); a.problem(t).Code != "idempotency_key_reused" {
		t.Errorf("another body under the key = %d %s", a.status, a.body)
	}
	masked := s.do(t, call{method: "GET", path: "/v1/complaints/" + c.ID + "?purpose=handle", noPurpose: true})
	if masked.status != 200 || strings.Contains(string(masked.body), "13800138000") || masked.header.Get("ETag") != `"1"` {
		t.Errorf("masked read = %d %s", masked.status, masked.body)
	}
	if meta := s.do(t, call{method: "GET", path: "/v1/complaints/" + c.ID + "?view=meta"}); strings.Contains(string(meta.body), "phone") {
		t.Errorf("meta view shows a sealed field: %s", meta.body)
	}
	shown := s.do(t, call{method: "POST", path: "/v1/complaints/" + c.ID + "/reveals", body: `{"fields":["phone"],"reason":"call back"}`})
	if shown.status != 200 || !strings.Contains(string(shown.body), `"13800138000"`) || strings.Contains(string(shown.body), "narrative") {
		t.Errorf("reveal = %d %s", shown.status, shown.body)
	}
	patch := call{method: "PATCH", path: "/v1/complaints/" + c.ID, body: `{"fields":{"email":"a@b.example","narrative":null}}`,
		header: map[string]string{"If-Match": `"1"`, "Content-Type": "application/merge-patch+json"}}
	if a := s.do(t, patch); a.status != 200 || a.header.Get("ETag") != `"2"` {
		t.Errorf("amend = %d %s", a.status, a.body)
	}
	if a := s.do(t, patch); a.status != 412 {
		t.Errorf("amend from an old revision = %d", a.status)
	}
	move := call{method: "POST", path: "/v1/complaints/" + c.ID + "/transitions", header: map[string]string{"If-Match": `"2"`},
		body: `{"name":"accept","inputs":{"identity_valid":"true"}}`}
	if a := s.do(t, move); a.status != 200 || !strings.Contains(string(a.body), `"state":"accepted"`) {
		t.Errorf("accept = %d %s", a.status, a.body)
	}
	move.header["If-Match"] = `"3"`
	if a := s.do(t, move); a.status != 409 || len(a.problem(t).Allowed) == 0 || a.problem(t).State != "accepted" {
		t.Errorf("accept again = %d %s", a.status, a.body)
	}
	if a := s.do(t, call{method: "POST", path: "/v1/complaints:search", body: `{"field":"phone","value":"13800138000"}`}); a.status != 200 || !strings.Contains(string(a.body), c.ID) {
		t.Errorf("search = %d %s", a.status, a.body)
	}
	if a := s.do(t, call{method: "GET", path: "/v1/complaints/" + c.ID + "/trail"}); a.status != 200 || !strings.Contains(string(a.body), `"entry":"7"`) {
		t.Errorf("trail = %d %s", a.status, a.body)
	}
	if a := s.do(t, call{method: "GET", path: "/v1/audit/entries/1001"}); a.status != 200 || !strings.Contains(string(a.body), `"sequenced"`) {
		t.Errorf("entry = %d %s", a.status, a.body)
	}
}

func TestBatchJudgesItemsOneByOne(t *testing.T) {
	t.Parallel()
	s := newStage(t)
	good := strings.Replace(draftJSON, "A-1", "B-1", 1)
	c3 := strings.Replace(draftJSON, `"n"`, `"CVN 123"`, 1)
	a := s.do(t, call{method: "POST", path: "/v1/complaints:batch", body: `{"items":[` + good + `,{"x":1},` + c3 + `,7,` + good + `]}`})
	var got BatchResult
	if err := json.Unmarshal(a.body, &got); err != nil || a.status != 200 {
		t.Fatalf("batch = %d %v %s", a.status, err, a.body)
	}
	var codes []string
	for _, it := range got.Items {
		if (it.Created == nil) == (it.Problem == nil) {
			t.Fatalf("item has both or none: %+v", it)
		}
		if it.Problem != nil {
			codes = append(codes, it.Problem.Code)
			continue
		}
		codes = append(codes, fmt.Sprint("created existing=", it.Created.Existing))
	}
	want := []string{"created existing=false", "invalid_field", "c3_refused", "invalid_field", "created existing=true"}
	if diff := cmp.Diff(want, codes); diff != "" {
		t.Errorf("results (-want +got):\n%s", diff)
	}
	if s.door.Len() != 1 {
		t.Errorf("stored = %d, want 1", s.door.Len())
	}
}

func TestPageTokensAreForOneCallerAndFilter(t *testing.T) {
	t.Parallel()
	s := newStage(t)
	for i := range 3 {
		body := strings.Replace(draftJSON, "A-1", fmt.Sprint("P-", i), 1)
		s.do(t, call{method: "POST", path: "/v1/complaints", body: body, header: map[string]string{"Idempotency-Key": fmt.Sprint("p", i)}})
	}
	first := s.do(t, call{method: "GET", path: "/v1/complaints?page_size=2"})
	var page custody.Page
	if err := json.Unmarshal(first.body, &page); err != nil || len(page.Items) != 2 || page.Next == "" {
		t.Fatalf("first page = %d %s", first.status, first.body)
	}
	if strings.Contains(page.Next, page.Items[1].ID) {
		t.Error("the token shows the row it stands for")
	}
	next := "/v1/complaints?page_size=2&page_token=" + page.Next
	second := s.do(t, call{method: "GET", path: next})
	var rest custody.Page
	if err := json.Unmarshal(second.body, &rest); err != nil || len(rest.Items) != 1 || rest.Next != "" {
		t.Errorf("second page = %d %s", second.status, second.body)
	}
	for name, c := range map[string]call{
		"another person":  {method: "GET", path: next, token: s.token(t, "p-2", "handler")},
		"another filter":  {method: "GET", path: next + "&state=recorded"},
		"another purpose": {method: "GET", path: next, header: map[string]string{"Sealtrail-Purpose": "audit"}},
		"a changed byte":  {method: "GET", path: next[:len(next)-2] + "AA"},
	} {
		if a := s.do(t, c); a.status != 422 || a.problem(t).Code != "page_token_mismatch" {
			t.Errorf("%s: %d %s", name, a.status, a.body)
		}
	}
}

func TestPageTokenExpires(t *testing.T) {
	t.Parallel()
	box, err := newCursorBox(make([]byte, 32))
	if err != nil {
		t.Fatal(err)
	}
	now := time.Now()
	token := box.seal("row", []byte("b"), now)
	if got, ok := box.open(token, []byte("b"), now.Add(cursorLife)); !ok || got != "row" {
		t.Errorf("within its life: %q %v", got, ok)
	}
	if _, ok := box.open(token, []byte("b"), now.Add(cursorLife+2*time.Second)); ok {
		t.Error("an expired token opens")
	}
	if _, err := newCursorBox(make([]byte, 16)); err == nil {
		t.Error("a 16-byte key was accepted")
	}
}

func TestPeopleAndGrants(t *testing.T) {
	t.Parallel()
	s := newStage(t)
	id := s.file(t)
	boss := s.token(t, "p-2", "head")
	for _, tc := range []struct {
		call   call
		status int
		holds  string
	}{
		{call{method: "POST", path: "/v1/people", body: `{"id":"p-9","kind":"human","department":"d1","staff_id":"S-777"}`}, 201, `"p-9"`},
		{call{method: "GET", path: "/v1/people/p-9"}, 200, `"active"`},
		{call{method: "GET", path: "/v1/people/p-unknown"}, 404, "not_found"},
		{call{method: "POST", path: "/v1/people/p-9/status", body: `{"status":"leave"}`}, 200, `"leave"`},
		{call{method: "POST", path: "/v1/people/p-9/duties", body: `{"role":"handler","level":"general","from":"2026-01-01T00:00:00Z","until":"2027-01-01T00:00:00Z"}`}, 201, `"appointed_by":"p-1"`},
		{call{method: "POST", path: "/v1/people/p-9/duties/duty-1/confirm", token: boss}, 200, `"confirmed_by":"p-2"`},
		{call{method: "POST", path: "/v1/people/p-9/duties/duty-1/end"}, 200, `"ended":true`},
		{call{method: "POST", path: "/v1/people/p-9/trainings", body: `{"course":"conf-1","score":90,"passed_at":"2026-01-01T00:00:00Z","valid_until":"2027-01-01T00:00:00Z"}`}, 201, `"conf-1"`},
		{call{method: "POST", path: "/v1/people/p-1/undertakings", body: `{"version":"v1"}`}, 201, `"v1"`},
		{call{method: "POST", path: "/v1/people/p-9/undertakings", body: `{"version":"v1"}`}, 403, "policy_denied"},
		{call{method: "POST", path: "/v1/access-requests", body: `{"complaint":"` + id + `","purpose":"quality","groups":["contact"],"reason":"r","minutes":30}`}, 201, `"requested"`},
		{call{method: "POST", path: "/v1/access-requests/grant-1/reviews", body: `{"verdict":"approve"}`}, 403, "self_approval"},
		{call{method: "POST", path: "/v1/access-requests/grant-1/reviews", body: `{"verdict":"approve"}`, token: boss}, 200, `"issued"`},
		{call{method: "POST", path: "/v1/access-requests/grant-1/reviews", body: `{"verdict":"refuse"}`, token: boss}, 409, "already_decided"},
		{call{method: "POST", path: "/v1/access-requests/grant-1/revoke"}, 200, `"revoked"`},
		{call{method: "POST", path: "/v1/access-requests/nothing/revoke"}, 404, "not_found"},
		{call{method: "POST", path: "/v1/break-glass", body: `{"complaint":"` + id + `","ticket":"T-1","reason":"fire"}`}, 201, `"open"`},
		{call{method: "POST", path: "/v1/break-glass", body: `{"complaint":"x","ticket":"T-1","reason":"fire"}`}, 404, "not_found"},
		{call{method: "POST", path: "/v1/break-glass/bg-1/close"}, 200, `"closed"`},
		{call{method: "POST", path: "/v1/break-glass/bg-1/review", body: `{"justified":false}`, token: boss}, 200, `"justified":false`},
		{call{method: "GET", path: "/v1/status"}, 200, `"person":"p-1"`},
		{call{method: "GET", path: "/v1/openapi.json", noToken: true}, 200, `"3.1.0"`},
	} {
		a := s.do(t, tc.call)
		if a.status != tc.status || !strings.Contains(string(a.body), tc.holds) {
			t.Errorf("%s %s = %d %s, want %d with %s", tc.call.method, tc.call.path, a.status, a.body, tc.status, tc.holds)
		}
		if strings.Contains(string(a.body), "S-777") || strings.Contains(string(a.body), `"fire"`) {
			t.Errorf("%s %s gives back what is write only", tc.call.method, tc.call.path)
		}
	}
}

// A door that waits for something that never comes must not hang the caller.
func TestNothingHangs(t *testing.T) {
	t.Parallel()
	for name, deadline := range map[string]time.Duration{"/v1/complaints/" + unknownID: 30 * time.Millisecond} {
		s := newStage(t, func(c *Config) {
			c.Deadline = deadline
			c.Door = waiting{c.Door}
		})
		started := time.Now()
		a := s.do(t, call{method: "GET", path: name})
		if a.status != 503 || a.problem(t).Code != "deadline_exceeded" {
			t.Errorf("answer = %d %s", a.status, a.body)
		}
		if took := time.Since(started); took > 2*time.Second {
			t.Errorf("took %s", took)
		}
	}
}

type waiting struct{ Door }

func (waiting) Read(ctx context.Context, _ custody.Caller, _ custody.ReadRequest) (*custody.View, error) {
	<-ctx.Done()
	return nil, fmt.Errorf("reading: %w", ctx.Err())
}

type panicking struct{ Door }

func (panicking) Read(context.Context, custody.Caller, custody.ReadRequest) (*custody.View, error) {
	panic("CANARY in a panic")
}

func TestPanicIsA500WithoutItsValue(t *testing.T) {
	t.Parallel()
	s := newStage(t, func(c *Config) { c.Door = panicking{c.Door} })
	a := s.do(t, call{method: "GET", path: "/v1/complaints/" + unknownID})
	if a.status != 500 || a.problem(t).Code != "internal" {
		t.Errorf("answer = %d %s", a.status, a.body)
	}
	if log := s.log.String(); strings.Contains(log, "CANARY") || !strings.Contains(log, "recovered a panic") {
		t.Errorf("log = %s", log)
	}
}

func TestTokenBecomesCaller(t *testing.T) {
	t.Parallel()
	s := newStage(t, func(c *Config) { c.Zone = func(*http.Request) string { return "branch" } })
	var got custody.Caller
	s.door.Seen = func(_ string, c custody.Caller) { got = c }
	token, err := s.issuer.Mint(authn.Persona{Person: "cust-1", Institution: "demo-bank", Kind: authn.KindPortal, Roles: []string{"portal"}, Complaint: unknownID}, time.Hour)
	if err != nil {
		t.Fatal(err)
	}
	a := s.do(t, call{method: "GET", path: "/v1/complaints/" + unknownID, token: token, header: map[string]string{"Request-Id": "mine"}})
	want := custody.Caller{Institution: "demo-bank", Person: "cust-1", Kind: custody.Portal, Roles: []string{"portal"}, Auth: "jwt:" + s.issuer.Issuer(),
		Request: a.header.Get("Request-Id"), Net: "branch", Subject: unknownID}
	if diff := cmp.Diff(want, got, cmp.AllowUnexported(custody.Caller{})); diff != "" {
		t.Errorf("caller (-want +got):\n%s", diff)
	}
	if got.Request == "mine" {
		t.Error("the caller chose her own request id")
	}
}

// A driver's error may repeat a value in quotes; the log must not.
func TestCauseIsLoggedWithoutQuotedText(t *testing.T) {
	t.Parallel()
	for in, want := range map[string]string{
		`reading: ERROR: invalid input syntax for type uuid: "CANARY" (SQLSTATE 22P02)`: `reading: ERROR: invalid input syntax for type uuid: "…" (SQLSTATE 22P02)`,
		"Key (phone)=(CANARY) exists": "Key (phone)=(…) exists",
		"open 'CANARY":                "open '…",
		"plain":                       "plain",
	} {
		if got := unquoted(errors.New(in)); got != want {
			t.Errorf("unquoted(%q) = %q, want %q", in, got, want)
		}
	}
	s := newStage(t)
	s.door.Fail(errors.New(`type uuid: "CANARY"`))
	s.do(t, call{method: "GET", path: "/v1/complaints/" + unknownID})
	if log := s.log.String(); strings.Contains(log, "CANARY") || !strings.Contains(log, "type uuid") {
		t.Errorf("log = %s", log)
	}
}

// The canonical report leaves as it is: trailcheck computes the same bytes.
func TestReportIsVerbatim(t *testing.T) {
	t.Parallel()
	s := newStage(t)
	s.door.Figures = &supervision.Report{Format: "sealtrail-report/1"}
	want, err := s.door.Figures.Canonical()
	if err != nil {
		t.Fatal(err)
	}
	for format, media := range map[string]string{"": "application/json", "&format=json": "application/json", "&format=csv": "text/csv; charset=utf-8", "&format=html": "text/html; charset=utf-8"} {
		a := s.do(t, call{method: "GET", path: "/v1/reports?period=2026-01" + format})
		if a.status != 200 || a.header.Get("Content-Type") != media || a.header.Get("Audit-Entry") == "" || len(a.body) == 0 {
			t.Errorf("%s: %d %v", format, a.status, a.header)
		}
		if media == "application/json" && string(a.body) != string(want) {
			t.Errorf("%s: %s, want %s", format, a.body, want)
		}
	}
}

func TestConfigIsChecked(t *testing.T) {
	t.Parallel()
	if _, err := New(Config{}); err == nil {
		t.Error("no door and no verifier: accepted")
	}
	if _, err := New(Config{Door: &doortest.Door{}, Verifier: &authn.JWT{}, CursorKey: []byte("short")}); err == nil {
		t.Error("a short cursor key: accepted")
	}
}
