package e2e

import (
	"net/http"
	"path/filepath"
	"strings"
	"testing"

	"github.com/sealtrail/sealtrail/internal/custody"
)

// TestARowRolledBackIsNamed: a superuser puts a whole row back to an older,
// validly sealed state. It is refused at the read, and the operator's check
// names it and exits 4.
func TestARowRolledBackIsNamed(t *testing.T) {
	in := rough(t)
	c := in.assigned(t, draft(nil))
	in.sql(t, "create table public.older as select * from sealtrail.complaint where id = $1", c.ID)
	v := ok[custody.View](t, in, call{who: "handler-chen", method: "PATCH", path: complaintPath(c.ID), ifMatch: c.Revision, body: map[string]any{"fields": map[string]string{"phone": "13900139000"}}})
	in.published(t, v.Audit.Entry)
	check := func() (string, int) {
		return in.run(t, "sealtraild", "trail", "check", "--institution", "demo-bank",
			"--database-url-file", filepath.Join(in.Dir(), "credentials", "database-url"), "--published", in.Published())
	}
	if out, code := check(); code != 0 {
		t.Fatalf("before: exit code %d\n%s", code, out)
	}
	in.sql(t, "create table public.newer as select * from sealtrail.complaint where id = $1", c.ID)
	put := func(from string) {
		in.sql(t, "update sealtrail.complaint c set revision = o.revision, phone_sealed = o.phone_sealed, manifest = o.manifest from public."+from+" o where c.id = o.id")
	}
	put("older")
	in.refused(t, http.StatusInternalServerError, "integrity_violation", call{who: "handler-chen", method: "GET", path: complaintPath(c.ID)})
	out, code := check()
	if code != 4 || !strings.Contains(out, "sealtrail.complaint") || !strings.Contains(out, c.ID) || !strings.Contains(out, "rolled_back") {
		t.Errorf("rolled back: exit code %d, want 4 and the complaint's id\n%s", code, out)
	}
	put("newer")
	if out, code := check(); code != 0 {
		t.Errorf("after: exit code %d\n%s", code, out)
	}
}
