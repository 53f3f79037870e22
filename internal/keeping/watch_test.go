package keeping_test

import (
	"bytes"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/hashicorp/vault/api"

	"github.com/sealtrail/sealtrail/internal/keeping"
	"github.com/sealtrail/sealtrail/internal/vaultserver"
	"github.com/sealtrail/sealtrail/internal/vaulttest"
)

// lookout is a watch that a test has look.
type lookout struct {
	*keeping.Watch
	h     *house
	lines *bytes.Buffer
}

func (h *house) watch(tune func(*keeping.WatchConfig)) *lookout {
	l := &lookout{h: h, lines: &bytes.Buffer{}}
	cfg := keeping.WatchConfig{Door: h.Door, Institution: h.name, Logger: slog.New(slog.NewJSONHandler(l.lines, nil)), Now: h.now}
	if tune != nil {
		tune(&cfg)
	}
	l.Watch = keeping.NewWatch(cfg)
	return l
}

func (l *lookout) look() {
	l.h.t.Helper()
	must(l.h.t, l.Look(l.h.t.Context()))
}

// said are the alarms, or what was taken back, as "key what version".
func (l *lookout) said(kind string) (list []string) {
	l.h.t.Helper()
	for _, b := range l.h.entries(kind) {
		key, _ := b.Facts.Text("key")
		what, _ := b.Facts.Text("what")
		if what == "first_seen" {
			continue
		}
		line := strings.TrimPrefix(key, l.h.name+"-") + " " + what
		if version, ok := b.Facts.Int("version"); ok {
			line += fmt.Sprint(" ", version)
		}
		list = append(list, line)
	}
	return list
}

func (l *lookout) wants(alarms, over []string, findings ...string) {
	l.h.t.Helper()
	if got := l.said("key.config_alarm"); !slices.Equal(got, alarms) {
		l.h.t.Errorf("alarms %q, want %q", got, alarms)
	}
	if got := l.said("key.config_changed"); !slices.Equal(got, over) {
		l.h.t.Errorf("taken back %q, want %q", got, over)
	}
	var now []string
	for key, list := range l.Findings() {
		for _, what := range list {
			now = append(now, strings.TrimPrefix(key, l.h.name+"-")+" "+what)
		}
	}
	slices.Sort(now)
	if !slices.Equal(now, findings) {
		l.h.t.Errorf("findings %q, want %q", now, findings)
	}
}

// config changes a key as somebody with every right can.
func (h *house) config(key string, settings map[string]any) {
	h.t.Helper()
	_, err := h.vault.Client(h.vault.RootToken).Logical().WriteWithContext(h.t.Context(), "transit/keys/"+h.name+"-"+key+"/config", settings)
	must(h.t, err)
}

func TestKeyMadeExportableIsOneEntryAndAFindingForGood(t *testing.T) {
	t.Parallel()
	h := open(t, vaulttest.New(t), nil)
	w := h.watch(nil)
	w.look()
	w.look()
	w.wants(nil, nil)
	if w.Looked().IsZero() {
		t.Error("it did not say when it looked")
	}
	h.config("record", map[string]any{"exportable": true})
	for range 3 {
		w.look()
	}
	again := h.watch(nil) // the service was started again
	again.look()
	again.wants([]string{"record exportable"}, nil, "record exportable")
	if !strings.Contains(w.lines.String(), `"level":"ERROR","msg":"key configuration alarm"`) || again.lines.Len() > 0 {
		t.Errorf("lines: %s, then %s", w.lines, again.lines)
	}
}

func TestEveryWeakeningOfEveryKeyIsTold(t *testing.T) {
	t.Parallel()
	h := open(t, vaulttest.New(t), nil)
	epoch, err := h.NextIndexEpoch(t.Context())
	must(t, err)
	must(t, vaultserver.MakeIndexKey(t.Context(), h.vault.Client(h.vault.RootToken), h.name, epoch))
	_, err = h.OpenIndexEpoch(t.Context(), epoch)
	must(t, err)
	w := h.watch(nil)
	w.look()
	h.config("record", map[string]any{"deletion_allowed": true})
	h.config("index", map[string]any{"allow_plaintext_backup": true, "exportable": true})
	h.config("index.2", map[string]any{"exportable": true})
	h.config("log", map[string]any{"deletion_allowed": true})
	w.look()
	alarms := []string{"record deletion_allowed", "index exportable", "index allow_plaintext_backup", "index.2 exportable", "log deletion_allowed"}
	w.wants(alarms, nil, "index allow_plaintext_backup", "index exportable", "index.2 exportable", "log deletion_allowed", "record deletion_allowed")
	h.config("record", map[string]any{"deletion_allowed": false})
	h.config("log", map[string]any{"deletion_allowed": false})
	w.look()
	w.wants(alarms, []string{"record deletion_allowed", "log deletion_allowed"}, "index allow_plaintext_backup", "index exportable", "index.2 exportable")
	h.config("log", map[string]any{"deletion_allowed": true})
	_, err = h.vault.Client(h.vault.RootToken).Logical().DeleteWithContext(t.Context(), "transit/keys/"+h.name+"-log")
	must(t, err)
	w.look()
	if got := w.said("key.config_alarm"); got[len(got)-1] != "log missing" {
		t.Errorf("alarms %q, want the last to be that the key is gone", got)
	}
}

func TestVersionsAndMinimumsThatNobodyAnnounced(t *testing.T) {
	t.Parallel()
	h := open(t, vaulttest.New(t), nil)
	h.plant(record, 1, 2)
	w := h.watch(nil)
	w.look()
	h.rotate()
	w.look()
	w.look()
	w.wants(nil, nil)
	must(t, h.root().Rotate(t.Context()))
	w.look()
	w.wants(nil, nil) // an entry may follow: believed at the second look
	w.look()
	w.look()
	w.wants([]string{"record version 3"}, nil, "record version")
	h.rotate()
	w.look()
	w.wants([]string{"record version 3"}, nil)

	h.config("record", map[string]any{"min_decryption_version": 2})
	w.look()
	w.look()
	alarms := []string{"record version 3", "record min_decryption_version 2", "record keys_stranded"}
	w.wants(alarms, nil, "record keys_stranded", "record min_decryption_version")
	h.config("record", map[string]any{"min_decryption_version": 1})
	w.look()
	over := []string{"record min_decryption_version 1", "record keys_stranded"}
	w.wants(alarms, over)
	// The same again is another event.
	h.config("record", map[string]any{"min_decryption_version": 2})
	w.look()
	w.wants(append(alarms, alarms[1:]...), over, "record keys_stranded", "record min_decryption_version")
}

func TestClosingAnEpochAlarmsNobody(t *testing.T) {
	t.Parallel()
	h := open(t, vaulttest.New(t), nil)
	h.appoint()
	h.plant(record, 1, 2)
	w := h.watch(nil)
	w.look()
	version := h.rotate()
	_, err := h.rewrap(keeping.RewrapConfig{})
	must(t, err)
	h.agree(version)
	w.look()
	h.pass(delay)
	_, err = h.close(version, func(string) error { w.look(); w.look(); return nil })
	must(t, err)
	w.look()
	w.wants(nil, nil)
	_, err = h.vault.Client(h.vault.RootToken).Logical().WriteWithContext(t.Context(), "transit/keys/"+h.name+"-record/rotate", nil)
	must(t, err)
	h.config("record", map[string]any{"min_decryption_version": 3, "min_encryption_version": 3})
	must(t, h.root().Trim(t.Context(), 3))
	w.look()
	w.look()
	w.wants([]string{"record min_decryption_version 3", "record min_available_version 3", "record keys_stranded", "record version 3"}, nil,
		"record keys_stranded", "record min_available_version", "record min_decryption_version", "record version")
}

func TestAClosingThatIsNotDueYetAlarms(t *testing.T) {
	t.Parallel()
	h := open(t, vaulttest.New(t), nil)
	h.appoint()
	version := h.rotate()
	h.agree(version)
	w := h.watch(nil)
	h.config("record", map[string]any{"min_decryption_version": version})
	w.look()
	w.wants([]string{"record min_decryption_version 2"}, nil, "record min_decryption_version")
}

func TestAuditDeviceThatIsSwitchedOffOrSilentAlarms(t *testing.T) {
	t.Parallel()
	vault := vaulttest.Private(t)
	h := open(t, vault, nil)
	root := vault.Client(vault.RootToken).Sys()
	file := filepath.Join(t.TempDir(), "stands-in.log")
	grow := func(text string) { must(t, os.WriteFile(file, []byte(text), 0o600)) }
	grow("a")
	w := h.watch(func(c *keeping.WatchConfig) { c.Device, c.AuditFile = "file", file })
	w.look()
	grow("ab")
	w.look()
	w.wants(nil, nil)
	w.look()
	alarms := []string{"audit.file file_silent"}
	w.wants(alarms, nil, "audit.file file_silent")
	grow("a") // rotated
	w.look()
	over := []string{"audit.file file_silent"}
	w.wants(alarms, over)

	must(t, root.DisableAuditWithContext(t.Context(), "file"))
	grow("abc")
	w.look()
	w.wants(append(alarms, "audit.file device_missing"), over, "audit.file device_missing")
	must(t, root.EnableAuditWithOptionsWithContext(t.Context(), "file", &api.EnableAuditOptions{Type: "file", Options: map[string]string{"file_path": vault.AuditLog}}))
	grow("abcd")
	w.look()
	grow("abcde")
	w.look()
	w.wants(append(alarms, "audit.file device_missing", "audit.file device_replaced"), append(over, "audit.file device_missing"), "audit.file device_replaced")
	must(t, os.Remove(file))
	w.look()
	if got := w.Findings()["audit.file"]; !slices.Contains(got, "file_missing") {
		t.Errorf("findings %q, want that the file is gone", got)
	}
}

func TestWithVaultAwayTheWatchSaysThatItIsBlind(t *testing.T) {
	t.Parallel()
	vault := vaulttest.Private(t)
	h := open(t, vault, nil)
	w := h.watch(func(c *keeping.WatchConfig) { c.Device = "file" })
	w.look()
	looked := w.Looked()
	must(t, vault.Server.Stop())
	if err := w.Look(t.Context()); err == nil || w.Looked() != looked {
		t.Errorf("looking without Vault: %v, last looked %v, want %v", err, w.Looked(), looked)
	}
	w.wants(nil, nil)
}
