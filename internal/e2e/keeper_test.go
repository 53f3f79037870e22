package e2e

import (
	"context"
	"encoding/json"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/sealtrail/sealtrail/internal/custody"
)

// operator gives the flags that a command of sealtraild beside the service
// needs.
func (in *installation) operator(args ...string) []string {
	secrets := filepath.Join(in.Dir(), "credentials")
	return append(args, "--institution", "demo-bank", "--database-url-file", filepath.Join(secrets, "database-url"),
		"--vault-addr", in.Vault.Addr(), "--vault-ca-cert", in.Vault.CACert(), "--vault-role-file", filepath.Join(secrets, "role-id"),
		"--vault-secret-file", filepath.Join(secrets, "secret-id"), "--issuer", in.Issuer().Issuer(), "--audience", in.Issuer().Audience(),
		"--jwks-file", filepath.Join(in.Dir(), "jwks.json"), "--published", in.Published(), "--accept-single-node")
}

// TestTheKeepersCommands: an operator changes the suite, kills the job that
// moves the records and starts it again, rebuilds the index and scrubs, while
// the service runs and answers.
func TestTheKeepersCommands(t *testing.T) {
	in := own(t)
	var ids []string
	for range 40 {
		ids = append(ids, in.assigned(t, draft(nil)).ID)
	}
	read := func(what string) {
		t.Helper()
		for _, id := range []string{ids[0], ids[len(ids)-1]} {
			ok[custody.View](t, in, call{who: "handler-chen", method: "GET", path: complaintPath(id)})
		}
		if t.Failed() {
			t.Fatal(what)
		}
	}
	says := func(code int, want string, args ...string) string {
		t.Helper()
		out, got := in.run(t, "sealtraild", in.operator(args...)...)
		if got != code || !strings.Contains(out, want) {
			t.Fatalf("sealtraild %s: exit code %d, want %d and %q\n%s", strings.Join(args, " "), got, code, want, out)
		}
		return out
	}
	says(2, "--confirm", "key", "suite", "--to", "sm4")
	says(0, "entry", "key", "suite", "--to", "sm4", "--confirm", "demo-bank")
	read("a suite was chosen")
	ctx, cancel := context.WithTimeout(context.Background(), 3*patience)
	defer cancel()
	job := exec.CommandContext(ctx, in.Program("sealtraild"), in.operator("key", "reseal")...)
	must(t, job.Start())
	moved := func() int {
		return in.count(t, "select count(*) from sealtrail.complaint where suite = 2")
	}
	for moved() == 0 && ctx.Err() == nil && job.ProcessState == nil {
		time.Sleep(5 * time.Millisecond)
	}
	must(t, job.Process.Kill()) // SIGKILL
	_ = job.Wait()              // it was killed
	read("a job was killed")
	// The killed one is believed to work until it has been silent for a while.
	for began := time.Now(); ; time.Sleep(time.Second) {
		out, code := in.run(t, "sealtraild", in.operator("key", "reseal")...)
		if code == 0 {
			break
		}
		if !strings.Contains(out, "another process") || time.Since(began) > patience {
			t.Fatalf("reseal again: exit code %d\n%s", code, out)
		}
	}
	out := says(0, "chosen", "key", "suite", "-o", "json")
	var suites custody.Suites
	must(t, json.Unmarshal([]byte(out[strings.Index(out, "{\n"):]), &suites))
	if !suites.Agree || suites.Logged[2] != 40 || suites.Stored[1] != 0 {
		t.Errorf("got %+v", suites)
	}
	read("all were moved")
	forbidden := exec.CommandContext(ctx, in.Program("sealtraild"), in.operator("serve")...)
	forbidden.Env = append(os.Environ(), "GODEBUG=fips140=only")
	if said, err := forbidden.CombinedOutput(); err == nil || !strings.Contains(string(said), "choose suite 1, or run without fips140=only") {
		t.Errorf("a service that may not use the suite: %v\n%s", err, said)
	}

	says(7, "being built", "key", "reindex")
	says(0, "generation 2", "key", "index-open", "--confirm", "demo-bank", "--token-file", filepath.Join(in.Dir(), "credentials", "operator-token"))
	says(7, "not in index 2 yet", "key", "index-switch", "--epoch", "2", "--confirm", "demo-bank")
	says(0, "40 records", "key", "reindex")
	says(0, "entry", "key", "index-switch", "--epoch", "2", "--confirm", "demo-bank")
	page := ok[custody.Page](t, in, call{who: "handler-chen", method: "POST", path: "/v1/complaints:search", body: map[string]any{"field": "phone", "value": "13800138000"}})
	if len(page.Items) == 0 {
		t.Error("a search after the switch finds nothing")
	}
	says(0, "dropped", "key", "index-drop", "--epoch", "1", "--confirm", "demo-bank")

	says(0, "40 records", "scrub", "--all")
	in.sql(t, "update sealtrail.complaint set narrative_sealed = set_byte(narrative_sealed, 40, get_byte(narrative_sealed, 40) # 1) where id = $1", ids[3])
	if out := says(4, "manifest.digest", "scrub", "--all"); !strings.Contains(out, ids[3]) {
		t.Errorf("the finding does not name the record\n%s", out)
	}
	in.refused(t, http.StatusInternalServerError, "integrity_violation", call{who: "handler-chen", method: "GET", path: complaintPath(ids[3])})
}
