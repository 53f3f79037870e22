package httpapi

import (
	"net/http"
	"testing"
)

// TestPublishedLogOverHTTP: the paths of tlog-tiles, with levels of folders; the
// purpose may be missing, not wrong.
func TestPublishedLogOverHTTP(t *testing.T) {
	t.Parallel()
	s := newStage(t)
	a := s.do(t, call{method: "GET", path: "/v1/log/2026/checkpoint"})
	if a.status != http.StatusOK || string(a.body) != "sealtrail.example/demo-bank/2026\n" || a.header.Get("Content-Type") != "text/plain; charset=utf-8" {
		t.Errorf("checkpoint: %d %q %v", a.status, a.body, a.header)
	}
	a = s.do(t, call{method: "GET", path: "/v1/log/2026/tile/entries/x001/067.p/3"})
	if a.status != http.StatusOK || string(a.body) != "\x00\x01\x02" || a.header.Get("Content-Type") != "application/octet-stream" || a.header.Get("Audit-Entry") == "" {
		t.Errorf("bundle: %d %q %v", a.status, a.body, a.header)
	}
	for path, want := range map[string]int{
		"/v1/log/2026/tile/entries/x001/067.p/3?purpose=curiosity": 422, "/v1/log/2026/tile/entries/x001/067.p/3?q=1": 422,
		"/v1/log/2026/tile/entries/000": 404, "/v1/log/2025/checkpoint": 404, "/v1/log/26/checkpoint": 404, "/v1/log/xxxx/checkpoint": 404,
		"/v1/log/2026/evidence/fork-1.txt": 404, "/v1/log/2026/": 404,
	} {
		if a := s.do(t, call{method: "GET", path: path}); a.status != want {
			t.Errorf("%s: %d %s, want %d", path, a.status, a.body, want)
		}
	}
}
