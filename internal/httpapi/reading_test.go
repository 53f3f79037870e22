package httpapi

import (
	"encoding/json"
	"net/http"
	"strings"
	"testing"

	"github.com/sealtrail/sealtrail/internal/custody"
)

// TestSearchOfTheLogOverHTTP pages with a token that works for that query only.
func TestSearchOfTheLogOverHTTP(t *testing.T) {
	t.Parallel()
	s := newStage(t)
	_, a := s.post(t, "aud", "/v1/audit/entries:search", `{"q":"actor:han","page_size":1}`, 200)
	var page custody.LogPage
	if err := json.Unmarshal(a.body, &page); err != nil {
		t.Fatal(err)
	}
	if len(page.Items) != 1 || page.Size != 12 || page.Next == "" || page.Next == "1" || a.header.Get("Audit-Entry") == "" {
		t.Fatalf("a page: %s", a.body)
	}
	if _, a := s.post(t, "aud", "/v1/audit/entries:search", `{"q":"actor:han","page_token":"`+page.Next+`"}`, 200); !strings.Contains(string(a.body), "access.denied") ||
		strings.Contains(string(a.body), "next_page_token") {
		t.Errorf("the next page: %s", a.body)
	}
	for name, body := range map[string]string{"of another query": `{"q":"actor:hugo","page_token":"` + page.Next + `"}`, "made up": `{"q":"actor:han","page_token":"MQ"}`} {
		if _, a := s.post(t, "aud", "/v1/audit/entries:search", body, 422); a.problem(t).Code != "page_token_mismatch" {
			t.Errorf("a token %s: %s", name, a.body)
		}
	}
	if _, a := s.post(t, "other", "/v1/audit/entries:search", `{"q":"actor:han","page_token":"`+page.Next+`"}`, 422); a.problem(t).Code != "page_token_mismatch" {
		t.Errorf("somebody else's token: %s", a.body)
	}
	_, a = s.post(t, "aud", "/v1/audit/entries:search", `{"q":"wrong"}`, 422)
	if p := a.problem(t); p.Errors[0].Pointer != "/q" || p.Errors[0].Position != 1 {
		t.Errorf("a query that is none: %s", a.body)
	}
	s.post(t, "aud", "/v1/audit/entries:search", `{"q":"","page_size":201}`, 422)
}

// TestNamesAreNotSearchedForByAddress: GET takes codes only.
func TestNamesAreNotSearchedForByAddress(t *testing.T) {
	t.Parallel()
	s := newStage(t)
	if a := s.do(t, call{method: "GET", path: "/v1/audit/entries?q=decision:deny&page_size=5"}); a.status != http.StatusOK {
		t.Errorf("codes = %d %s", a.status, a.body)
	}
	if a := s.do(t, call{method: "GET", path: "/v1/audit/entries?q=actor:han"}); a.status != http.StatusUnprocessableEntity {
		t.Errorf("a name = %d %s", a.status, a.body)
	}
}

// TestExportEndsWithItsManifest in both formats; a cell is no formula.
func TestExportEndsWithItsManifest(t *testing.T) {
	t.Parallel()
	s := newStage(t)
	a := s.do(t, call{method: "POST", path: "/v1/audit/entries:export", body: `{"q":"actor:han","size":"12"}`})
	lines := strings.Split(strings.TrimSpace(string(a.body)), "\n")
	if len(lines) != 3 || !strings.HasPrefix(lines[2], `{"manifest":{"format":"sealtrail-log-export/v1"`) || a.header.Get("Content-Type") != "application/jsonl" {
		t.Errorf("an export: %s", a.body)
	}
	a = s.do(t, call{method: "POST", path: "/v1/audit/entries:export", body: `{"q":"actor:han","format":"csv"}`})
	lines = strings.Split(strings.TrimSpace(string(a.body)), "\n")
	if len(lines) != 4 || !strings.HasPrefix(lines[0], "log,index,leaf_hash") || !strings.HasPrefix(lines[3], `#{"manifest"`) {
		t.Errorf("a CSV export: %s", a.body)
	}
	raw, err := csvLines([]custody.LogEntry{{Kind: "=cmd|x"}})
	if err != nil || !strings.Contains(string(raw), "'=cmd|x") {
		t.Errorf("a formula: %s %v", raw, err)
	}
	s.post(t, "aud", "/v1/audit/entries:export", `{"q":"","format":"xml"}`, 422)
	s.post(t, "aud", "/v1/audit/entries:export", `{"q":"","size":"x"}`, 422)
}

// TestSavedQueriesOverHTTP saves, lists and deletes.
func TestSavedQueriesOverHTTP(t *testing.T) {
	t.Parallel()
	s := newStage(t)
	id, _ := s.post(t, "aud", "/v1/audit/queries", `{"name":"refusals","q":"decision:deny"}`, 201)
	if a := s.do(t, call{method: "GET", path: "/v1/audit/queries"}); !strings.Contains(string(a.body), "refusals") {
		t.Errorf("the list: %s", a.body)
	}
	if a := s.do(t, call{method: "DELETE", path: "/v1/audit/queries/" + id}); a.status != http.StatusOK || a.header.Get("Audit-Entry") == "" {
		t.Errorf("deleting = %d %s", a.status, a.body)
	}
	if a := s.do(t, call{method: "DELETE", path: "/v1/audit/queries/" + id}); a.status != http.StatusNotFound {
		t.Errorf("deleting again = %d", a.status)
	}
}

// TestOneselfOverHTTP: what is recorded of oneself, and who looked.
func TestOneselfOverHTTP(t *testing.T) {
	t.Parallel()
	s := newStage(t)
	if a := s.do(t, call{method: "GET", path: "/v1/audit/own?page_size=3", noPurpose: true}); a.status != http.StatusOK || !strings.Contains(string(a.body), `"mine":true`) {
		t.Errorf("own = %d %s", a.status, a.body)
	}
	id := s.file(t)
	for query, proofs := range map[string]bool{"": false, "?proofs=true": true} {
		a := s.do(t, call{method: "GET", path: "/v1/complaints/" + id + "/looked" + query})
		if a.status != http.StatusOK || !strings.Contains(string(a.body), `"duty":"handler"`) || strings.Contains(string(a.body), "checkpoint") != proofs {
			t.Errorf("looked%s = %d %s", query, a.status, a.body)
		}
	}
	if a := s.do(t, call{method: "GET", path: "/v1/complaints/" + id + "/looked?proofs=maybe"}); a.status != http.StatusUnprocessableEntity {
		t.Errorf("proofs=maybe = %d", a.status)
	}
}

// TestInvestigationsOverHTTP asks, assents and closes.
func TestInvestigationsOverHTTP(t *testing.T) {
	t.Parallel()
	s := newStage(t)
	const body = `{"persons":["han"],"reason":"a tip","until":"2026-12-01T00:00:00Z"}`
	id, a := s.post(t, "aud", "/v1/investigations", body, 201)
	if a.header.Get("Audit-Entry") == "" {
		t.Errorf("headers %v", a.header)
	}
	s.post(t, "aud", "/v1/investigations/"+id+"/approve", "", 404)
	s.post(t, "dan", "/v1/investigations/"+id+"/approve", "", 200)
	for _, path := range []string{"/v1/investigations/" + id, "/v1/investigations?state=approved"} {
		if a := s.do(t, call{method: "GET", path: path}); a.status != http.StatusOK || !strings.Contains(string(a.body), id) {
			t.Errorf("%s = %d %s", path, a.status, a.body)
		}
	}
	s.post(t, "aud", "/v1/investigations/"+id+"/close", "", 200)
	s.post(t, "aud", "/v1/investigations", `{"reason":"a tip","until":"soon"}`, 422)
}
