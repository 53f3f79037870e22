package e2e

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	postgresdeploy "github.com/sealtrail/sealtrail/deploy/postgres"
	"github.com/sealtrail/sealtrail/internal/childproc"
	"github.com/sealtrail/sealtrail/internal/custody"
)

// TestYesterdaysDatabaseIsRefusedAndRebuilt restores a copy of the database from
// before: the service stays up, takes nothing and says what to do; after
// sealtraild trail rebuild it goes on without a restart, and the log verifies
// against checkpoint and witness from before. What the log names and the old
// tables lack is reported lost.
func TestYesterdaysDatabaseIsRefusedAndRebuilt(t *testing.T) {
	t.Parallel()
	in := own(t)
	older := in.assigned(t, draft(nil))
	in.published(t, lastEntry(t, in, older.ID))
	must(t, in.StopService())
	oldFolder := filepath.Join(t.TempDir(), "published")
	must(t, os.CopyFS(oldFolder, os.DirFS(in.Published())))
	in.cluster(t, "create database yesterday template "+in.DatabaseName)
	must(t, in.StartService(t.Context()))

	missing := in.assigned(t, draft(nil))
	v := ok[custody.View](t, in, call{who: "handler-chen", method: "PATCH", path: complaintPath(older.ID), ifMatch: older.Revision,
		body: map[string]any{"fields": map[string]string{"phone": "13900139000"}}})
	in.published(t, v.Audit.Entry)
	must(t, in.StopService())
	pinned, size := filepath.Join(t.TempDir(), "pinned"), in.checkpointSize()
	raw, err := os.ReadFile(filepath.Join(in.LogDir(), "checkpoint"))
	must(t, err)
	must(t, os.WriteFile(pinned, raw, 0o600))

	in.cluster(t, "drop database "+in.DatabaseName+" with (force)", "alter database yesterday rename to "+in.DatabaseName)
	in.sql(t, postgresdeploy.Grants()) // rights on a database do not travel with it
	entries := in.count(t, "select count(*) from audit.entry")
	soon, cancel := context.WithTimeout(t.Context(), 5*time.Second)
	defer cancel()
	if err := in.StartService(soon); err == nil {
		t.Fatal("the service is ready on yesterday's database")
	}
	const alarm = "database is not what was published: nothing is taken or signed; see sealtraild trail rebuild"
	eventually(t, "the alarm", func() bool { return strings.Contains(childproc.Tail(in.ServiceLog(), 60), alarm) })
	if in.ServicePid() == 0 {
		t.Error("the service ended: it would be restarted in a loop")
	}
	in.refused(t, http.StatusServiceUnavailable, "audit_unavailable", call{who: "intake-li", method: "POST", path: "/v1/complaints", body: draft(nil)})
	in.refused(t, http.StatusServiceUnavailable, "audit_unavailable", call{who: "handler-chen", method: "GET", path: complaintPath(older.ID)})
	if n := in.count(t, "select count(*) from audit.entry"); n != entries || in.checkpointSize() != size {
		t.Errorf("%d entries and size %d, before %d and %d: something was taken or signed", n, in.checkpointSize(), entries, size)
	}

	in.alsoTheFolder(t, oldFolder)
	rebuild := func(folder string, more ...string) (string, int) {
		return in.run(t, "sealtraild", append([]string{"trail", "rebuild", "--institution", "demo-bank", "--published", folder, "--key", in.KeyFile(),
			"--admin-url-file", filepath.Join(in.Dir(), "credentials", "admin-url"), "--ask-witness", in.WitnessURL + "=" + in.WitnessKey}, more...)...)
	}
	origin := strings.SplitN(string(raw), "\n", 2)[0]
	if out, code := rebuild(in.Published(), "--confirm", "demo-bank"); code != 2 {
		t.Errorf("another confirmation: exit code %d\n%s", code, out)
	}
	if out, code := rebuild(oldFolder, "--confirm", origin); code != 4 || !strings.Contains(out, "log_shorter") {
		t.Errorf("from a folder that was put back too, with a witness that saw more: exit code %d\n%s", code, out)
	}
	out, code := rebuild(in.Published(), "--confirm", origin, "--pinned", pinned)
	if code != 4 || !strings.Contains(out, missing.ID+" missing") || !strings.Contains(out, older.ID+" older") || !strings.Contains(out, fmt.Sprintf("%d now", size)) {
		t.Errorf("rebuild: exit code %d, want 4 and both records lost\n%s", code, out)
	}
	eventually(t, "the service to go on by itself", func() bool {
		res, err := http.Get(in.Ops + "/readyz")
		if err != nil {
			return false
		}
		defer res.Body.Close()
		return res.StatusCode == http.StatusOK
	})
	after := in.assigned(t, draft(nil))
	in.published(t, lastEntry(t, in, after.ID))
	in.checkRebuilt(t, pinned, origin)
	if n := in.count(t, `select count(*) from audit.entry where convert_from(body, 'UTF8') like '%"kind":"trail.rebuilt"%'`); n != 1 {
		t.Errorf("%d entries trail.rebuilt, want 1", n)
	}
}

// alsoTheFolder puts the published folder back, too: then only the witness knows
// that there was more. Afterwards the newer folder is there again.
func (in *installation) alsoTheFolder(t *testing.T, old string) {
	t.Helper()
	newer := in.Published() + ".newer"
	must(t, os.Rename(in.Published(), newer))
	must(t, os.CopyFS(in.Published(), os.DirFS(old)))
	eventually(t, "the witness to give it away", func() bool {
		return strings.Contains(childproc.Tail(in.ServiceLog(), 60), `"cause":"witness `)
	})
	res, err := http.Get(in.Ops + "/readyz?verbose")
	must(t, err)
	defer res.Body.Close()
	body, err := io.ReadAll(res.Body)
	must(t, err)
	if res.StatusCode != http.StatusServiceUnavailable || !strings.Contains(string(body), "log-standing") {
		t.Errorf("readyz answers %d %s, want 503 and log-standing", res.StatusCode, body)
	}
	must(t, os.RemoveAll(in.Published()))
	must(t, os.Rename(newer, in.Published()))
}

// checkRebuilt verifies the log against what was kept before, and the database
// against the log.
func (in *installation) checkRebuilt(t *testing.T, pinned, origin string) {
	t.Helper()
	res, err := http.Get(in.WitnessURL + "/checkpoint?origin=" + url.QueryEscape(origin))
	must(t, err)
	defer res.Body.Close()
	witnessed, err := io.ReadAll(res.Body)
	must(t, err)
	saved := filepath.Join(t.TempDir(), "witnessed")
	must(t, os.WriteFile(saved, witnessed, 0o600))
	if out, code := in.run(t, "trailcheck", "verify", "--key", in.KeyFile(), "--pinned", pinned, "--witness", in.WitnessKey, "--witness-checkpoint", saved, in.LogDir()); code != 0 {
		t.Errorf("trailcheck: exit code %d\n%s", code, out)
	}
	out, code := in.run(t, "sealtraild", "trail", "check", "--institution", "demo-bank",
		"--database-url-file", filepath.Join(in.Dir(), "credentials", "database-url"), "--published", in.Published())
	if code != 4 || strings.Contains(out, "✗ audit.") || strings.Contains(out, "✗ published") || strings.Count(out, "lost") < 2 {
		t.Errorf("trail check: exit code %d, want 4 for the lost records and nothing of the log\n%s", code, out)
	}
}

// lastEntry is the newest entry of a complaint's trail.
func lastEntry(t *testing.T, in *installation, complaint string) (id uint64) {
	t.Helper()
	var n int
	eventually(t, "the trail", func() bool {
		n = in.count(t, "select coalesce(max(last_id), 0) from audit.trail where subject = 'complaint:' || $1", complaint)
		return n > 0
	})
	return uint64(n)
}

// cluster runs statements on the cluster's own database.
func (in *installation) cluster(t *testing.T, statements ...string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	conn, err := pgx.Connect(ctx, in.PG.AdminDSN())
	must(t, err)
	defer conn.Close(ctx)
	for _, sql := range statements {
		if _, err := conn.Exec(ctx, sql); err != nil {
			t.Fatalf("%s: %v", sql, err)
		}
	}
}
