package e2e

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/sealtrail/sealtrail/audit/evidence"
	"github.com/sealtrail/sealtrail/internal/custody"
)

// TestEvidenceOfOneComplaint: what an auditor takes home shows everything that
// was done on a complaint, verifies without the service, and says who opened it.
func TestEvidenceOfOneComplaint(t *testing.T) {
	in := own(t)
	created := in.assigned(t, draft(nil))
	ok[custody.View](t, in, call{who: "handler-chen", method: "GET", path: complaintPath(created.ID)})
	ok[custody.View](t, in, call{who: "handler-chen", method: "POST", path: complaintPath(created.ID) + "/reveals",
		body: map[string]any{"fields": []string{"phone"}, "reason": "call the complainant back"}})
	dir := t.TempDir()
	file := filepath.Join(dir, "bundle.zip")
	out, code := in.client(t, "auditor-he", "audit", "audit", "bundle", created.ID, "-f", file)
	if code != 0 {
		t.Fatalf("exit code %d\n%s", code, out)
	}
	raw, err := os.ReadFile(file)
	must(t, err)
	b, err := evidence.Open(bytes.NewReader(raw), int64(len(raw)))
	must(t, err)
	if b.Subject != "complaint:"+created.ID || len(b.Items) < 8 || len(b.Heads) != 2 || len(b.Blobs) == 0 || len(b.Page) == 0 {
		t.Errorf("the bundle holds %d items, %d heads, %d blobs", len(b.Items), len(b.Heads), len(b.Blobs))
	}
	said, code := in.run(t, "trailcheck", "verify", "--lang", "en", "--key", in.KeyFile(), "--witness", in.WitnessKey, file)
	if code != 0 || !strings.Contains(said, "opened") {
		t.Errorf("trailcheck: exit code %d\n%s", code, said)
	}
	t.Log(said)
	raw[len(raw)/2] ^= 1
	must(t, os.WriteFile(file+".changed", raw, 0o600))
	if said, code := in.run(t, "trailcheck", "verify", "--key", in.KeyFile(), file+".changed"); code != 4 {
		t.Errorf("a changed bundle: exit code %d\n%s", code, said)
	}
	if out, code := in.client(t, "auditor-he", "audit", "audit", "bundle", created.ID, "-f", file); code != 2 || !strings.Contains(out, "already") {
		t.Errorf("an existing file: exit code %d\n%s", code, out)
	}
	// The same for what a search finds.
	query := filepath.Join(dir, "query.zip")
	if out, code := in.client(t, "auditor-he", "audit", "audit", "bundle", "--query", "action:reveal subject:"+created.ID, "-f", query); code != 0 {
		t.Fatalf("exit code %d\n%s", code, out)
	}
	said, code = in.run(t, "trailcheck", "verify", "--lang", "en", "--key", in.KeyFile(), query)
	if code != 0 || !strings.Contains(said, "withheld 1") {
		t.Errorf("trailcheck on a query's bundle: exit code %d\n%s", code, said)
	}
	if out, code := in.client(t, "auditor-he", "audit", "audit", "bundle"); code != 2 {
		t.Errorf("neither complaint nor query: exit code %d\n%s", code, out)
	}
	if out, code := in.client(t, "handler-chen", "handle", "audit", "bundle", created.ID, "-f", file+".handler"); code != 5 {
		t.Errorf("a handler may not: exit code %d\n%s", code, out)
	}
}
