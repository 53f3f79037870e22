package httpapi

import (
	"encoding/json"
	"net/http"
	"strings"
	"testing"
)

// post sends a body as somebody and returns the id that the answer names.
func (s *stage) post(t *testing.T, person, path, body string, want int) (id string, a answer) {
	t.Helper()
	a = s.do(t, call{method: "POST", path: path, body: body, token: s.token(t, person, "handler")})
	if a.status != want {
		t.Fatalf("POST %s = %d %s, want %d", path, a.status, a.body, want)
	}
	var named struct{ ID string }
	if err := json.Unmarshal(a.body, &named); err != nil {
		t.Fatal(err)
	}
	return named.ID, a
}

// TestErasureOverHTTP walks a record from a hold to 410.
func TestErasureOverHTTP(t *testing.T) {
	t.Parallel()
	s := newStage(t)
	id := s.file(t)
	request := `{"scope":"record","complaint":"` + strings.ToUpper(id) + `","basis":"retention_ended"}`
	if _, a := s.post(t, "rex", "/v1/erasures", request, 409); a.problem(t).Code != "case_open" {
		t.Errorf("an open complaint: %s", a.body)
	}
	refuse := s.do(t, call{method: "POST", path: "/v1/complaints/" + id + "/transitions", body: `{"name":"refuse","inputs":{"refusal_code":"duplicate"}}`, header: map[string]string{"If-Match": `"1"`}})
	if refuse.status != http.StatusOK {
		t.Fatalf("refuse = %d %s", refuse.status, refuse.body)
	}
	hold, _ := s.post(t, "lea", "/v1/complaints/"+id+"/holds", `{"reason":"litigation","reference":"No 1"}`, 201)
	s.post(t, "lea", "/v1/holds/"+hold+"/release-request", "", 200)
	if _, a := s.post(t, "lea", "/v1/holds/"+hold+"/release", "", 403); a.problem(t).Code != "self_approval" {
		t.Errorf("releasing one's own request: %s", a.body)
	}
	erasure, a := s.post(t, "rex", "/v1/erasures", request, 201)
	if a.header.Get("Location") != "/v1/erasures/"+erasure || a.header.Get("Audit-Entry") == "" {
		t.Errorf("headers %v", a.header)
	}
	if _, a := s.post(t, "rex", "/v1/erasures/"+erasure+"/reviews", `{"verdict":"approve"}`, 403); a.problem(t).Code != "self_approval" {
		t.Errorf("approving one's own request: %s", a.body)
	}
	if _, a := s.post(t, "dan", "/v1/erasures/"+erasure+"/reviews", `{"verdict":"approve"}`, 200); !strings.Contains(string(a.body), `"result":"held"`) ||
		!strings.Contains(string(a.body), `"suggest":"restrict"`) || strings.Contains(string(a.body), `"until"`) {
		t.Errorf("under a hold: %s", a.body)
	}
	s.post(t, "leo", "/v1/holds/"+hold+"/release", "", 200)
	due := s.do(t, call{method: "GET", path: "/v1/erasures/due?page_size=10"})
	if due.status != http.StatusOK || !strings.Contains(string(due.body), id) {
		t.Errorf("due = %d %s", due.status, due.body)
	}
	erasure, _ = s.post(t, "rex", "/v1/erasures", request, 201)
	receipt := s.do(t, call{method: "GET", path: "/v1/erasures/" + erasure + "/receipt"})
	if receipt.status != http.StatusConflict {
		t.Errorf("a receipt of what was not decided = %d", receipt.status)
	}
	s.post(t, "dan", "/v1/erasures/"+erasure+"/reviews", `{"verdict":"approve"}`, 200)
	for _, path := range []string{"/v1/erasures/" + erasure, "/v1/erasures/" + erasure + "/receipt", "/v1/erasures?state=executed"} {
		if a := s.do(t, call{method: "GET", path: path}); a.status != http.StatusOK || a.header.Get("Audit-Entry") == "" || !strings.Contains(string(a.body), erasure) {
			t.Errorf("%s = %d %s", path, a.status, a.body)
		}
	}
	for lang, title := range map[string]string{"zh": "记录已删除", "en": "The record was erased"} {
		gone := s.do(t, call{method: "GET", path: "/v1/complaints/" + id, header: map[string]string{"Accept-Language": lang}})
		p := gone.problem(t)
		if gone.status != http.StatusGone || p.Code != "shredded" || p.Title != title || p.Erased == nil || p.Erased.Erasure != erasure || p.Audit == nil ||
			gone.header.Get("Audit-Entry") == "" {
			t.Errorf("reading it in %s = %d %s", lang, gone.status, gone.body)
		}
	}
}

func TestErasureInputIsChecked(t *testing.T) {
	t.Parallel()
	s := newStage(t)
	id := s.file(t)
	for _, c := range []struct {
		method, path, body string
		want               int
	}{
		{"POST", "/v1/complaints/" + id + "/holds", `{"reason":"curiosity","reference":"x"}`, 422},
		{"POST", "/v1/complaints/" + id + "/holds", `{"reason":"litigation","reference":"x","until":"x"}`, 422},
		{"POST", "/v1/erasures/e-1/reviews", `{"verdict":"maybe"}`, 422},
		{"POST", "/v1/erasures/e-1/reviews", `{"verdict":"approve"}`, 404},
		{"GET", "/v1/erasures/due?page_size=0", "", 422},
		{"GET", "/v1/erasures/due?page_token=forged", "", 422},
		{"GET", "/v1/erasures/nowhere", "", 404},
		{"GET", "/v1/erasures/nowhere/receipt", "", 404},
		{"POST", "/v1/holds/nowhere/release", "", 404},
	} {
		if a := s.do(t, call{method: c.method, path: c.path, body: c.body}); a.status != c.want || strings.Contains(string(a.body), "curiosity") {
			t.Errorf("%s %s %s = %d %s, want %d", c.method, c.path, c.body, a.status, a.body, c.want)
		}
	}
	if a := s.do(t, call{method: "GET", path: "/v1/erasures", noPurpose: true}); a.problem(t).Code != "purpose_required" {
		t.Errorf("without a purpose: %s", a.body)
	}
}
