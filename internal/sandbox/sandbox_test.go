package sandbox_test

import (
	"encoding/json"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/sealtrail/sealtrail/internal/custody"
	"github.com/sealtrail/sealtrail/internal/sandbox"
)

// TestServiceRunsOnValidatedCryptographyAlone runs the real service with
// GODEBUG=fips140=only, in which every algorithm outside FIPS 140-3 panics, and
// takes one complaint through create, read, search and reveal.
func TestServiceRunsOnValidatedCryptographyAlone(t *testing.T) {
	t.Parallel()
	bin := filepath.Join(t.TempDir(), "bin")
	if out, err := exec.Command("go", "build", "-o", bin+"/", "../../cmd/...").CombinedOutput(); err != nil {
		t.Fatalf("building the commands: %v\n%s", err, out)
	}
	s, err := sandbox.Start(t.Context(), sandbox.Config{Dir: filepath.Join(t.TempDir(), "box"), Bin: bin, ServeEnv: []string{"GODEBUG=fips140=only"}})
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := s.Stop(); err != nil {
			t.Error(err)
		}
	}()
	call := func(persona, method, path string, body, into any, status int) {
		t.Helper()
		answer, err := s.Call(t.Context(), persona, method, path, body, "Sealtrail-Purpose", "handle", "Idempotency-Key", "k-"+path)
		if err != nil {
			t.Fatal(err)
		}
		if answer.Status != status {
			t.Fatalf("%s %s: %d %s", method, path, answer.Status, answer.Body)
		}
		if into != nil {
			if err := json.Unmarshal(answer.Body, into); err != nil {
				t.Fatal(err)
			}
		}
	}
	var created custody.Created
	call("intake-li", http.MethodPost, "/v1/complaints", map[string]any{"source": "hotline", "source_id": "1", "channel": "phone",
		"received_at": time.Now().Add(-time.Hour).UTC(), "department": "cards", "fields": map[string]string{"phone": "13800138000", "narrative": "多收年费"}}, &created, 201)
	var view custody.View
	call("intake-li", http.MethodGet, "/v1/complaints/"+created.ID, nil, &view, 200)
	var page custody.Page
	call("intake-li", http.MethodPost, "/v1/complaints:search", map[string]string{"field": "phone", "value": "138 0013 8000"}, &page, 200)
	if len(page.Items) != 1 || page.Items[0].ID != created.ID {
		t.Errorf("the search found %d complaints", len(page.Items))
	}
	log, err := os.ReadFile(s.ServiceLog())
	if err != nil || strings.Contains(string(log), "panic") {
		t.Errorf("the service's log: %v\n%s", err, log)
	}
	raw, err := os.ReadFile(filepath.Join(s.Dir(), "demo.json"))
	var d sandbox.Description
	if err != nil || json.Unmarshal(raw, &d) != nil || d.Tokens["handler-chen"] == "" || d.LogKey == "" {
		t.Errorf("demo.json does not hold what a script needs: %v", err)
	}
	status := exec.CommandContext(t.Context(), "bash", "-c", `set -a; . "$0"; set +a; exec "$1" key status`, filepath.Join(s.Dir(), "sealtraild.env"), s.Program("sealtraild"))
	if out, err := status.CombinedOutput(); err != nil || !strings.Contains(string(out), sandbox.Institution+"-record") {
		t.Errorf("an operator's command with the settings of sealtraild.env: %v\n%s", err, out)
	}
	conn, err := s.Admin(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close(t.Context())
	var fips bool
	if err := conn.QueryRow(t.Context(), `select convert_from(body, 'UTF8') like '%"fips":true%' from audit.entry where convert_from(body, 'UTF8') like '%service.started%'`).Scan(&fips); err != nil || !fips {
		t.Errorf("the log does not say that FIPS mode is on: %v", err)
	}
}
