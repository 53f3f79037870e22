package e2e

import (
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/hashicorp/vault/api"

	"github.com/sealtrail/sealtrail/internal/custody"
	"github.com/sealtrail/sealtrail/internal/reconcile"
	"github.com/sealtrail/sealtrail/internal/vaultserver"
)

// reconciler gives the flags of `sealtraild reconcile`.
func (in *installation) reconciler(args ...string) []string {
	secrets := filepath.Join(in.Dir(), "credentials")
	return append([]string{"reconcile", "--institution", "demo-bank", "--database-url-file", filepath.Join(secrets, "database-url"), "--published", in.Published(),
		"--vault-addr", in.Vault.Addr(), "--vault-ca-cert", in.Vault.CACert(), "--reconciler-role-file", filepath.Join(secrets, "reconciler-role-id"),
		"--reconciler-secret-file", filepath.Join(secrets, "reconciler-secret-id"), "--vault-audit-file", in.Vault.AuditLogPath()}, args...)
}

// follow runs the reconciler until the test ends.
func (in *installation) follow(t *testing.T) (log string) {
	t.Helper()
	log = filepath.Join(in.Dir(), "logs", "reconcile.log")
	out, err := os.OpenFile(log, os.O_CREATE|os.O_WRONLY|os.O_APPEND, 0o600)
	must(t, err)
	cmd := exec.Command(in.Program("sealtraild"), in.reconciler("--every", "500ms", "--report", "5s", "--grace", "3s", "--state", filepath.Join(in.Dir(), "reconcile.state"))...)
	cmd.Stderr = out
	must(t, cmd.Start())
	t.Cleanup(func() {
		must(t, cmd.Process.Signal(os.Interrupt))
		_ = cmd.Wait() // a signal ended it
		must(t, out.Close())
	})
	return log
}

// alarms counts the alarms of the log of one kind, "%" of all.
func (in *installation) alarms(t *testing.T, what string) int {
	t.Helper()
	return in.count(t, `select count(*) from audit.entry where convert_from(body, 'UTF8') like '%"kind":"reconciliation.alarm"%'
		and convert_from(body, 'UTF8') like '%"what":"' || $1 || '"%'`, what)
}

// TestKilledRequestsAreClosed: whatever was under way when the service was killed
// is closed as unknown, once, and the log says of every request what came of it.
func TestKilledRequestsAreClosed(t *testing.T) {
	in := own(t, "SEALTRAIL_REAP_AFTER=12s")
	l := newLoad(t, in)
	stop := l.run()
	for range 2 {
		l.more(5)
		must(t, in.KillService())
		must(t, in.StartService(t.Context()))
	}
	l.more(5)
	stop()
	open := func() int { return in.count(t, openIntents) }
	lost := open()
	eventuallyLong(t, "every intent to have an outcome", func() bool { return open() == 0 })
	if n := in.count(t, intentsTwice); n != 0 {
		t.Errorf("%d intents have more than one outcome", n)
	}
	t.Logf("%d intents were open after the last kill; %d outcomes say that nothing is known", lost,
		in.count(t, `select count(*) from audit.entry where convert_from(body, 'UTF8') like '%"kind":"access.result"%' and convert_from(body, 'UTF8') like '%"outcome":"unknown"%'`))
	l.published(t, uint64(in.count(t, "select max(id) from audit.entry")))
	out, _ := in.run(t, "trailcheck", "verify", "--key", in.KeyFile(), "-o", "json", in.LogDir())
	if !strings.Contains(out, `"open_requests": 0`) && !strings.Contains(out, `"open_requests":0`) {
		t.Errorf("trailcheck counts open requests:\n%s", out)
	}
}

// answeredIntents are the intents that outcomes name, with how many do.
const answeredIntents = `with named as (select replace(e, 'e', '')::bigint as id, count(*) as n from audit.entry,
	jsonb_array_elements_text(convert_from(body, 'UTF8')::jsonb->'facts'->'intents') e where convert_from(body, 'UTF8') like '%"stage":"outcome"%' group by 1) `

const openIntents = answeredIntents + `select count(*) from audit.entry a where convert_from(body, 'UTF8') like '%"stage":"intent"%' and not exists (select from named where named.id = a.id)`

const intentsTwice = answeredIntents + `select count(*) from named where n > 1`

// stolen is a client with a token of the service's own role.
func (in *installation) stolen(t *testing.T) *api.Client {
	t.Helper()
	client, err := vaultserver.NewClient(in.Vault.Addr(), in.Vault.CACert(), "")
	must(t, err)
	read := func(name string) string {
		raw, err := os.ReadFile(filepath.Join(in.Dir(), "credentials", name))
		must(t, err)
		return strings.TrimSpace(string(raw))
	}
	must(t, vaultserver.Login(t.Context(), client, vaultserver.Credentials{RoleID: read("role-id"), SecretID: read("secret-id")}))
	return client
}

// mixed does everything that uses a key, for so long.
func (in *installation) mixed(t *testing.T, long time.Duration) {
	t.Helper()
	l := newLoad(t, in)
	stop := l.run()
	end := time.Now().Add(long)
	c := in.assigned(t, draft(nil))
	attachment := filepath.Join(t.TempDir(), "statement.pdf")
	must(t, os.WriteFile(attachment, append([]byte("%PDF-1.7\n"), make([]byte, 20_000)...), 0o600))
	for {
		for _, q := range []call{
			{who: "handler-chen", method: "POST", path: "/v1/complaints:search", body: map[string]any{"field": "phone", "value": "13800138000"}},
			{who: "handler-chen", method: "POST", path: "/v1/complaints:search", body: map[string]any{"field": "phone", "value": "13911112222"}},
			{who: "handler-chen", method: "GET", path: "/v1/complaints"},
			{who: "handler-chen", method: "GET", path: complaintPath(c.ID)},
		} {
			in.answered(t, q)
		}
		if time.Now().After(end) {
			break
		}
	}
	stop()
	for _, f := range l.failures {
		t.Errorf("under load: %s", f)
	}
	id := in.attached(t, c.ID, attachment)
	ok[json.RawMessage](t, in, call{who: "handler-chen", method: "GET", path: complaintPath(c.ID)})
	in.says(t, "handler-chen", 0, "", "file", "get", c.ID, id, "--purpose", "handle", "--reason", "to read it", "--to", filepath.Join(t.TempDir(), "out.pdf"))
	token := filepath.Join(in.Dir(), "credentials", "operator-token")
	for _, args := range [][]string{
		{"key", "rotate", "--confirm", "demo-bank", "--token-file", token}, {"key", "rewrap"},
		{"key", "index-open", "--confirm", "demo-bank", "--token-file", token}, {"key", "reindex"},
		{"key", "index-switch", "--epoch", "2", "--confirm", "demo-bank"},
		{"key", "suite", "--to", "sm4", "--confirm", "demo-bank"}, {"key", "reseal"}, {"scrub", "--all"},
	} {
		if out, code := in.run(t, "sealtraild", in.operator(args...)...); code != 0 {
			t.Fatalf("sealtraild %v: exit code %d\n%s", args, code, out)
		}
	}
	ok[custody.View](t, in, call{who: "handler-chen", method: "GET", path: complaintPath(c.ID)})

}

// once reconciles everything and returns the result.
func (in *installation) once(t *testing.T, code int, args ...string) (r reconcile.Result) {
	t.Helper()
	out, got := in.run(t, "sealtraild", in.reconciler(append(args, "--once", "-o", "json", "--grace", "2s")...)...)
	if got != code {
		t.Fatalf("reconcile --once: exit code %d, want %d\n%s", got, code, out)
	}
	must(t, json.Unmarshal([]byte(out[strings.Index(out, "{\n"):]), &r))
	return r
}

// TestReconciliation: all that the service does with keys is accounted for, item
// by item; whatever is done at Vault past the service is an alarm within a minute.
func TestReconciliation(t *testing.T) {
	in := own(t)
	log := in.follow(t)
	long := 3 * time.Second
	if s, err := strconv.Atoi(os.Getenv("SEALTRAIL_RECONCILE_SECONDS")); err == nil {
		long = time.Duration(s) * time.Second
	}
	in.mixed(t, long)
	time.Sleep(3 * time.Second) // the grace of --once, with room
	r := in.once(t, 0)
	if r.State != reconcile.StateGood || r.Counts.Items < 100 || r.Counts.Excused != 0 {
		t.Errorf("normal traffic: %+v", r)
	}
	t.Logf("normal traffic: %+v", r.Counts)
	if n := in.alarms(t, "%"); n != 0 {
		t.Fatalf("%d alarms about normal traffic\n%s", n, said(log))
	}

	// A stolen token: no entry stands for what it opens.
	thief := in.stolen(t)
	fresh := in.assigned(t, draft(nil))
	must(t, in.StealKey(t.Context(), fresh.ID, ""))
	began := time.Now()
	eventuallyLong(t, "an alarm about a stolen token", func() bool { return in.alarms(t, reconcile.AlarmWithoutEntry) > 0 })
	t.Logf("alarm after %s", time.Since(began).Round(100*time.Millisecond))
	if took := time.Since(began); took > time.Minute {
		t.Errorf("the alarm took %s", took)
	}
	// The same under the id and reference of a genuine call.
	var v custody.View
	a := in.answered(t, call{who: "handler-chen", method: "GET", path: complaintPath(fresh.ID)})
	must(t, json.Unmarshal(a.Body, &v))
	var batch string
	eventually(t, "the outcome of a read", func() bool { batch = in.batchOf(t, v.Audit.Entry); return batch != "" })
	must(t, in.StealKey(t.Context(), fresh.ID, batch))
	began = time.Now()
	eventuallyLong(t, "an alarm about a genuine id used twice", func() bool { return in.alarms(t, reconcile.AlarmSurplus) > 0 })
	t.Logf("alarm after %s", time.Since(began).Round(100*time.Millisecond))
	// Index tokens, and another login, and the key's configuration.
	_, err := thief.Logical().WriteWithContext(t.Context(), "transit/hmac/demo-bank-index", map[string]any{"input": "aGVsbG8="})
	must(t, err)
	root, err := vaultserver.NewClient(in.Vault.Addr(), in.Vault.CACert(), in.Vault.RootToken())
	must(t, err)
	_, err = root.Logical().WriteWithContext(t.Context(), "transit/keys/demo-bank-record/config", map[string]any{"min_decryption_version": 1})
	must(t, err)
	_, err = root.Logical().WriteWithContext(t.Context(), "transit/hmac/demo-bank-index", map[string]any{"input": "aGVsbG8="})
	must(t, err)
	eventuallyLong(t, "an alarm about another login", func() bool { return in.alarms(t, reconcile.AlarmRole) > 0 })
	eventuallyLong(t, "an alarm about tokens", func() bool { return in.alarms(t, reconcile.AlarmIndex) > 0 })
	eventuallyLong(t, "an alarm about a key's configuration", func() bool { return in.alarms(t, reconcile.AlarmKeyCall) > 0 })
	if n := in.alarms(t, "%"); n != 5 {
		t.Errorf("%d alarms, want 5\n%s", n, said(log))
	}
	if r := in.once(t, 4); len(r.Alarms) != 5 || r.Recorded != 0 {
		t.Errorf("the whole file again: %d alarms, of them %d new; want the same 5", len(r.Alarms), r.Recorded)
	}

	// Vault goes on without its audit device, and then with one made anew.
	must(t, root.Sys().DisableAuditWithContext(t.Context(), "file"))
	eventuallyLong(t, "an alarm about the device", func() bool { return in.alarms(t, reconcile.AlarmDevice) > 0 })
	must(t, in.StealKey(t.Context(), fresh.ID, "")) // nobody writes it down: hence the alarm
	eventuallyLong(t, "a result that calls nothing good", func() bool {
		return in.count(t, `select count(*) from audit.entry where convert_from(body, 'UTF8') like '%"kind":"reconciliation.made"%' and convert_from(body, 'UTF8') like '%"state":"not_reconciled"%'`) > 0
	})
	must(t, root.Sys().EnableAuditWithOptionsWithContext(t.Context(), "file", &api.EnableAuditOptions{Type: "file", Options: map[string]string{"file_path": in.Vault.AuditLogPath()}}))
	eventuallyLong(t, "an alarm about the new device", func() bool { return in.alarms(t, reconcile.AlarmDevice) > 1 })
}

// batchOf is the call at Vault that the outcome of an intent names.
func (in *installation) batchOf(t *testing.T, intent uint64) (batch string) {
	t.Helper()
	conn, err := in.Admin(t.Context())
	must(t, err)
	defer conn.Close(t.Context())
	err = conn.QueryRow(t.Context(), `select coalesce(max((regexp_match(convert_from(body, 'UTF8'), '"[0-9]+:d:([A-Z0-9]+):'))[1]), '') from audit.entry
		where id > $1 and convert_from(body, 'UTF8') like '%"e' || $2 || '"%'`, int64(intent), fmt.Sprint(intent)).Scan(&batch)
	must(t, err)
	return batch
}

// said is the end of a file.
func said(name string) string {
	raw, _ := os.ReadFile(name)
	return string(raw[max(0, len(raw)-4000):])
}

// eventuallyLong asks for a minute and a half.
func eventuallyLong(t *testing.T, what string, want func() bool) {
	t.Helper()
	tick := time.NewTicker(200 * time.Millisecond)
	defer tick.Stop()
	for began := time.Now(); !want(); <-tick.C {
		if time.Since(began) > 90*time.Second {
			t.Fatalf("waiting for %s: not within 90 s", what)
		}
	}
}
