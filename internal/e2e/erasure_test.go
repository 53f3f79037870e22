package e2e

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/sealtrail/sealtrail/internal/custody"
)

// TestAnErasureIsAnsweredAndProved: on a whole installation, from the command
// line. Statutory retention has just begun, so the answer is that the record is
// kept and may be restricted; the receipt that says so is verified by trailcheck
// with nothing but the log's key.
func TestAnErasureIsAnsweredAndProved(t *testing.T) {
	in := common(t)
	c := in.create(t, draft(nil))
	ask := map[string]any{"scope": "record", "complaint": c.ID, "basis": "subject_request"}
	in.refused(t, 409, "case_open", (call{who: "records-tang", method: "POST", path: "/v1/erasures", purpose: "subject_request", body: ask}))
	in.move(t, c, "intake-li", "refuse", map[string]string{"refusal_code": "duplicate"})
	e := ok[custody.Erasure](t, in, (call{who: "records-tang", method: "POST", path: "/v1/erasures", purpose: "subject_request", body: ask}))
	e = ok[custody.Erasure](t, in, (call{who: "dpo-xu", method: "POST", path: "/v1/erasures/" + e.ID + "/reviews", purpose: "approve", body: map[string]string{"verdict": "approve"}}))
	if len(e.Items) != 1 || e.Items[0].Result != "retained" || e.Items[0].Suggest != "restrict" || e.Items[0].Until.Before(time.Now().AddDate(2, 11, 0)) {
		t.Fatalf("got %+v", e)
	}
	view := ok[custody.View](t, in, (call{who: "records-tang", method: "POST", path: complaintPath(c.ID, "/transitions"), purpose: "legal", ifMatch: c.Revision,
		body: map[string]any{"name": "restrict", "inputs": map[string]string{"restriction_reason": "deletion_request"}}}))
	if view.Meta["state"] != "restricted" {
		t.Errorf("restricting instead: %v", view.Meta)
	}
	in.refused(t, 404, "not_found", call{who: "intake-li", method: "GET", path: complaintPath(c.ID)})

	in.published(t, e.Items[0].Entry)
	var raw json.RawMessage
	eventually(t, "the receipt", func() bool {
		a, err := in.do(t.Context(), (call{who: "records-tang", method: "GET", path: "/v1/erasures/" + e.ID + "/receipt", purpose: "legal"}))
		must(t, err)
		raw = a.Body
		return a.Status == 200
	})
	file := filepath.Join(t.TempDir(), "receipt.json")
	must(t, os.WriteFile(file, raw, 0o600))
	if out, code := in.run(t, "trailcheck", "verify", "--key", in.KeyFile(), file); code != 0 || !strings.Contains(out, "retained") && !strings.Contains(out, "kept") {
		t.Errorf("trailcheck verify = %d\n%s", code, out)
	}
	forged := strings.Replace(string(raw), `"result":"retained"`, `"result":"shredded"`, 1)
	must(t, os.WriteFile(file, []byte(forged), 0o600))
	if out, code := in.run(t, "trailcheck", "verify", "--key", in.KeyFile(), file); code != 4 {
		t.Errorf("trailcheck takes a forged receipt: %d\n%s", code, out)
	}
}
