package e2e

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/sealtrail/sealtrail/audit"
)

// TestThePublishedLogIsServed: checkpoints and hash tiles are every caller's;
// bundles and blobs are for who may read the log, and each is an entry before
// it leaves; nothing else of the folder is served. Tessera's own fsck verifies
// the log through the service, with an auditor's token.
func TestThePublishedLogIsServed(t *testing.T) {
	t.Parallel()
	in := own(t)
	in.published(t, in.create(t, draft(nil)).Audit.Entry)
	base := "/v1/log/" + filepath.Base(in.LogDir()) + "/"
	get := func(who, path string) (int, []byte) {
		t.Helper()
		a, err := in.Call(t.Context(), who, "GET", base+path, nil)
		must(t, err)
		return a.Status, a.Body
	}
	size := in.checkpointSize()
	bundle := audit.EntriesPath(0, int(size))
	for path, public := range map[string]bool{
		"checkpoint": true, fmt.Sprintf("checkpoints/%d", size): true, audit.TilePath(0, 0, int(size)): true, bundle: false,
	} {
		want, err := os.ReadFile(filepath.Join(in.LogDir(), filepath.FromSlash(path)))
		must(t, err)
		before := in.logReads(t)
		status, got := get("auditor-he", path)
		if path == "checkpoint" { // may have grown meanwhile
			want = got
		}
		if status != http.StatusOK || !bytes.Equal(got, want) {
			t.Errorf("%s as an auditor: %d, %d bytes", path, status, len(got))
		}
		if wrote := in.logReads(t) - before; wrote != 1 && !public || wrote != 0 && public {
			t.Errorf("%s: %d entries access.log", path, wrote)
		}
		wantStatus := http.StatusForbidden
		if public {
			wantStatus = http.StatusOK
		}
		if status, body := get("handler-chen", path); status != wantStatus {
			t.Errorf("%s as a handler: %d %s, want %d", path, status, body, wantStatus)
		}
	}
	blobs, err := os.ReadDir(filepath.Join(in.LogDir(), "blob", "sha256"))
	must(t, err)
	if _, got := get("auditor-he", "blob/sha256/"+blobs[0].Name()); hexSum(got) != blobs[0].Name() {
		t.Error("a blob is not what its name says")
	}
	for _, path := range []string{"evidence/x", "tile/../checkpoint", "tile/%2e%2e/checkpoint", "tile/0/000.tmp-1", "tile/x/000", "heads/1", "checkpoints/01", "blob/sha256/" + strings.Repeat("0", 64), "tile/entries/999"} {
		if status, body := get("auditor-he", path); status != http.StatusNotFound {
			t.Errorf("%s: %d %s, want 404", path, status, body)
		}
	}
	a, err := in.Call(t.Context(), "auditor-he", "GET", "/v1/log/1999/checkpoint", nil)
	must(t, err)
	if a.Status != http.StatusNotFound {
		t.Errorf("the log of another year: %d", a.Status)
	}
	in.fsck(t, base)
}

func hexSum(b []byte) string {
	sum := sha256.Sum256(b)
	return hex.EncodeToString(sum[:])
}

// logReads counts the entries of reading the log.
func (in *installation) logReads(t *testing.T) int {
	t.Helper()
	return in.count(t, `select count(*) from audit.entry where convert_from(body, 'UTF8') like '%"kind":"access.log"%'`)
}

// fsck runs Tessera's over HTTP. It exits 0 whatever it finds: its words decide.
func (in *installation) fsck(t *testing.T, base string) {
	t.Helper()
	program := filepath.Join(t.TempDir(), "fsck")
	if out, err := exec.Command("go", "build", "-C", filepath.Join("..", "..", "tools"), "-o", program, "github.com/transparency-dev/tessera/cmd/fsck").CombinedOutput(); err != nil {
		t.Fatalf("building Tessera's fsck: %v\n%s", err, out)
	}
	token, err := in.Token("auditor-he")
	must(t, err)
	said, err := exec.CommandContext(t.Context(), program, "-ui=false", "-v=1", "-logtostderr", "-N=2", "-storage_url="+in.API+base, "-bearer_token="+token, "-public_key="+in.KeyFile()).CombinedOutput()
	text := string(said)
	if err != nil || !strings.Contains(text, "Completed ranges") || strings.Contains(text, "fsck failed") || strings.Contains(text, "nvalid") {
		t.Errorf("Tessera's fsck through the service: %v\n%s", err, text)
	}
}
