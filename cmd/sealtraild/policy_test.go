package main

import (
	"path/filepath"
	"strings"
	"testing"

	"github.com/sealtrail/sealtrail/internal/exitcode"
)

// TestPolicyCheckNamesTheFolder: a mistyped folder is a wrong command line, and
// the answer says which one.
func TestPolicyCheckNamesTheFolder(t *testing.T) {
	t.Parallel()
	none := filepath.Join(t.TempDir(), "none")
	if code, said := runs(t, "policy", "check", none); code != exitcode.Usage || !strings.Contains(said, none) {
		t.Errorf("a folder that is not there: exit code %v, said %q", code, said)
	}
	empty := t.TempDir()
	if code, said := runs(t, "policy", "check", empty); code == exitcode.OK || !strings.Contains(said, empty) {
		t.Errorf("an empty folder: exit code %v, said %q", code, said)
	}
}

func TestWrongCommandLines(t *testing.T) {
	t.Parallel()
	for line, want := range map[string]string{"polcy": "sealtraild --help", "policy chek": "hint: sealtraild policy --help", "demo --onec": "hint: sealtraild demo --help"} {
		if code, said := runs(t, strings.Fields(line)...); code != exitcode.Usage || !strings.Contains(said, want) {
			t.Errorf("%s: exit code %v, said %q, want %q", line, code, said, want)
		}
	}
	if code, said := runs(t, "--version"); code != exitcode.OK || !strings.HasPrefix(said, "sealtraild ") {
		t.Errorf("--version: exit code %v, said %q", code, said)
	}
}
