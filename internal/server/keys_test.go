package server_test

import (
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/sealtrail/sealtrail/internal/vaultserver"
	"github.com/sealtrail/sealtrail/internal/vaulttest"
)

// toldWithin is crypto.md's promise: a key made exportable or a disabled audit
// device alarms within 60 s.
const toldWithin = 60 * time.Second

func TestKeyMadeExportableAndAuditSwitchedOffAlarmWithinAMinute(t *testing.T) {
	t.Parallel()
	vault := vaulttest.Private(t)
	s := newSiteOn(t, vault)
	s.cfg.VaultAudit = "file" // the rest is what an operator has by default
	logs, _ := s.run()
	s.await("the first look", func() bool { return s.count("key.config_changed") >= 4 })
	client, err := vaultserver.NewClient(vault.Addr, vault.CACert, vault.RootToken)
	must(t, err)
	_, err = client.Logical().WriteWithContext(t.Context(), "transit/keys/"+s.cfg.Institution+"-record/config", map[string]any{"exportable": true})
	must(t, err)
	must(t, client.Sys().DisableAuditWithContext(t.Context(), "file"))
	began := time.Now()
	for s.count("key.config_alarm") < 2 {
		if time.Since(began) > toldWithin {
			t.Fatalf("%d alarms within %v, want 2", s.count("key.config_alarm"), toldWithin)
		}
		time.Sleep(100 * time.Millisecond)
	}
	t.Logf("told after %v", time.Since(began).Round(time.Millisecond))
	for _, finding := range []string{"exportable", "device_missing"} {
		if !strings.Contains(logs.String(), `"finding":"`+finding+`"`) {
			t.Errorf("no line names %s", finding)
		}
	}
	res, err := http.Get("http://" + s.cfg.OpsListen + "/metrics")
	must(t, err)
	defer res.Body.Close()
	text, err := io.ReadAll(res.Body)
	must(t, err)
	for _, want := range []string{`vault_key="` + s.cfg.Institution + `-record"`, `vault_key="audit.file"`, "sealtrail_key_look_age_seconds"} {
		if !strings.Contains(string(text), want) {
			t.Errorf("the metrics lack %s", want)
		}
	}
}
