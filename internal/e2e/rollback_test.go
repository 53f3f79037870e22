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
	put("older") // or: a failover to a node that was behind
	in.refused(t, http.StatusInternalServerError, "integrity_violation", call{who: "handler-chen", method: "GET", path: complaintPath(c.ID)})
	out, code := check()
	if code != 4 || !strings.Contains(out, "sealtrail.complaint") || !strings.Contains(out, c.ID) || !strings.Contains(out, "lost") || !strings.Contains(out, "index") {
		t.Errorf("rolled back: exit code %d, want 4, the complaint's id and the entry's index\n%s", code, out)
	}
	in.sql(t, "update sealtrail.complaint set revision = (select revision from public.newer n where n.id = complaint.id) where id = $1", c.ID)
	if out, code := check(); code != 4 || !strings.Contains(out, "rolled_back") {
		t.Errorf("of the newest revision and sealed otherwise: exit code %d, want 4 and rolled_back\n%s", code, out)
	}
	put("newer")
	if out, code := check(); code != 0 {
		t.Errorf("after: exit code %d\n%s", code, out)
	}
}

// TestARecordThatTheTablesLackIsLost: the check names record, entry and index;
// the service makes it one entry of the record's own trail; whoever may read the
// log hears that it is lost, everybody else that there is none.
func TestARecordThatTheTablesLackIsLost(t *testing.T) {
	in := own(t, "SEALTRAIL_CHECK_EVERY=300ms")
	c := in.assigned(t, draft(nil))
	in.published(t, c.Audit.Entry)
	read := call{who: "auditor-he", method: "GET", path: complaintPath(c.ID), purpose: "audit"}
	in.sql(t, "set session_replication_role = replica; delete from sealtrail.complaint where id = '"+c.ID+"'")
	eventually(t, "an entry record.lost", func() bool { return in.lostEntries(t, c.ID) > 0 })
	p := in.refused(t, http.StatusGone, "lost", read)
	if p.Code != "lost" {
		t.Fatal("not lost to the auditor")
	}
	in.refused(t, http.StatusNotFound, "not_found", call{who: "handler-chen", method: "GET", path: complaintPath(c.ID)})
	in.refused(t, http.StatusNotFound, "not_found", call{who: "auditor-he", method: "GET", path: complaintPath("00000000-0000-4000-8000-00000000ffff"), purpose: "audit"})
	out, code := in.storedCheck(t)
	if code != 4 || !strings.Contains(out, "lost") || !strings.Contains(out, c.ID) || !strings.Contains(out, "index") {
		t.Errorf("exit code %d, want 4, lost, the complaint's id and an index\n%s", code, out)
	}
	must(t, in.StopService())
	must(t, in.StartService(t.Context()))
	verifications := in.count(t, `select count(*) from audit.entry where convert_from(body, 'UTF8') like '%"kind":"trail.verified"%'`)
	eventually(t, "one more comparison", func() bool {
		return in.count(t, `select count(*) from audit.entry where convert_from(body, 'UTF8') like '%"kind":"trail.verified"%'`) > verifications
	})
	if n := in.lostEntries(t, c.ID); n != 1 {
		t.Errorf("%d entries record.lost, want 1 over two starts", n)
	}
}

func (in *installation) lostEntries(t *testing.T, complaint string) int {
	t.Helper()
	return in.count(t, `select count(*) from audit.entry where subject = 'complaint:' || $1 and convert_from(body, 'UTF8') like '%"kind":"record.lost"%'`, complaint)
}
