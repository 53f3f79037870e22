package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/sealtrail/sealtrail/audit"
	"github.com/sealtrail/sealtrail/internal/exitcode"
)

// The key is made once, for its owner alone; each year's log has another line for the same key, and no other institution gets one.
func TestTrailSecondKey(t *testing.T) {
	t.Parallel()
	out := filepath.Join(t.TempDir(), "second.key")
	args := func(institution, year string) []string {
		return []string{"trail", "second-key", "--out", out, "--institution", institution, "--log-domain", "test.example", "--year", year}
	}
	var made []byte
	for _, year := range []string{"2031", "2032"} {
		code, said := runs(t, args("bank", year)...)
		key, err := audit.NewSecondVerifier(strings.TrimSpace(said))
		if code != exitcode.OK || err != nil || key.Name() != "test.example/bank/"+year {
			t.Fatalf("exit code %v, said %.80q, %v", code, said, err)
		}
		raw, err := os.ReadFile(out)
		if err != nil || made != nil && string(raw) != string(made) {
			t.Fatalf("the file changed, %v", err)
		}
		made = raw
	}
	if info, err := os.Stat(out); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("%v, %v", info, err)
	}
	code, said := runs(t, args("other", "2031")...)
	if code == exitcode.OK || strings.Contains(said, strings.TrimSpace(string(made))) {
		t.Errorf("another institution: exit code %v, said %.80q", code, said)
	}
}
