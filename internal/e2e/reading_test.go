package e2e

import (
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/sealtrail/sealtrail/internal/authn"
	"github.com/sealtrail/sealtrail/internal/custody"
)

// TestReadingTheLog: with the whole service an entry is found within seconds, by
// who may search; the person it is about and the complainant see their part, and
// the operator's commands say that the index is whole.
func TestReadingTheLog(t *testing.T) {
	in := common(t)
	c := in.assigned(t, draft(nil))
	read := ok[custody.View](t, in, call{who: "handler-chen", method: "GET", path: complaintPath(c.ID)})
	search := call{who: "auditor-he", method: "POST", path: "/v1/audit/entries:search", purpose: "audit",
		body: map[string]any{"q": "操作人:handler-chen 动作:access.read 对象:" + c.ID}}
	began := time.Now()
	var page *custody.LogPage
	eventually(t, "the entry in the search index", func() bool {
		page = ok[custody.LogPage](t, in, search)
		return len(page.Items) == 1
	})
	if e := page.Items[0]; e.Entry != read.Audit.Entry || e.Name != "handler-chen" || e.LeafHash == "" {
		t.Errorf("found: %+v", e)
	}
	t.Logf("found after %v", time.Since(began))
	in.refused(t, 403, "policy_denied", call{who: "handler-chen", method: "POST", path: search.path, body: search.body})
	in.refused(t, 422, "invalid_field", call{who: "auditor-he", method: "GET", path: "/v1/audit/entries?q=actor:handler-chen", purpose: "audit"})

	own := ok[custody.OwnPage](t, in, call{who: "handler-chen", method: "GET", path: "/v1/audit/own?page_size=200"})
	mine := false
	for _, e := range own.Items {
		mine = mine || e.Entry == read.Audit.Entry && e.Mine
	}
	if !mine {
		t.Error("her own view lacks her access")
	}
	in.lookedBy(t, c.ID)
	in.indexIsWhole(t)
	in.exports(t, c.ID)
}

// lookedBy asks as the complainant who looked, with proofs.
func (in *installation) lookedBy(t *testing.T, id string) {
	t.Helper()
	token, err := in.Issuer().Mint(authn.Persona{Person: "portal-app", Institution: "demo-bank", Kind: authn.KindPortal, Roles: []string{"portal"}, Complaint: id}, time.Hour)
	must(t, err)
	portal := hired{id: "portal-app", token: token}
	eventually(t, "a published proof", func() bool {
		looked := ok[custody.Looked](t, in, portal.as(call{method: "GET", path: complaintPath(id, "/looked?proofs=true"), purpose: "subject_request"}))
		if len(looked.Items) != 1 || looked.Items[0].Duty != "handler" || looked.Items[0].What != "masked" {
			t.Fatalf("looked: %+v", looked.Items)
		}
		return len(looked.Items[0].Proofs) == 1 && strings.Contains(looked.Items[0].Proofs[0].Checkpoint, "\n")
	})
}

func (in *installation) indexIsWhole(t *testing.T) {
	t.Helper()
	args := []string{"trail", "index", "--institution", "demo-bank", "--database-url-file", filepath.Join(in.Dir(), "credentials", "database-url")}
	for _, more := range []string{"", "--rebuild"} {
		if more != "" {
			args = append(args, more)
		}
		if out, code := in.run(t, "sealtraild", args...); code != 0 || !strings.Contains(out, "✓") {
			t.Errorf("trail index %s: %d %s", more, code, out)
		}
	}
	open := []string{"trail", "erase-aliases", "--institution", "demo-bank", "--admin-url-file", filepath.Join(in.Dir(), "credentials", "admin-url"),
		"--person", "handler-chen", "--year", time.Now().UTC().Format("2006")}
	for confirm, want := range map[string]string{"x": "does not repeat", "handler-chen/" + time.Now().UTC().Format("2006"): "still open"} {
		if out, code := in.run(t, "sealtraild", append(open, "--confirm", confirm)...); code != 2 || !strings.Contains(out, want) {
			t.Errorf("erase-aliases --confirm %s: %d %s", confirm, code, out)
		}
	}
}

// exports writes what a search shows; every leaf hash of it is in the manifest's
// lines.
func (in *installation) exports(t *testing.T, id string) {
	t.Helper()
	file := filepath.Join(t.TempDir(), "out.jsonl")
	out, code := in.client(t, "auditor-he", "audit", "audit", "export", "subject:"+id, "--file", file)
	if code != 0 || !strings.Contains(out, `"format":"sealtrail-log-export/v1"`) || !strings.Contains(out, "subject:"+id) {
		t.Errorf("export: %d %s", code, out)
	}
}
