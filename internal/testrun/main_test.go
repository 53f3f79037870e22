package main

import (
	"errors"
	"os/exec"
	"path/filepath"
	"testing"
)

func TestCommandFindsBothServersAndItsExitCodeIsKept(t *testing.T) {
	tmp := t.TempDir()
	t.Setenv("TMPDIR", tmp)
	script := `test -n "$SEALTRAIL_TEST_PG_DSN" && test -r "$SEALTRAIL_TEST_VAULT_CACERT" &&
		test -n "$SEALTRAIL_TEST_VAULT_ADDR" && test -n "$SEALTRAIL_TEST_VAULT_TOKEN" && exit 7; exit 1`
	err := run(t.Context(), []string{"--", "sh", "-c", script})
	var exit *exec.ExitError
	if !errors.As(err, &exit) || exit.ExitCode() != 7 {
		t.Fatalf("run = %v, want the command's exit code 7", err)
	}
	left, err := filepath.Glob(tmp + "/sealtrail-run-*/*/pg")
	if err != nil || len(left) != 0 {
		t.Errorf("left behind: %v, %v", left, err)
	}
}

func TestNothingToRunIsAnError(t *testing.T) {
	t.Parallel()
	for _, args := range [][]string{nil, {"--"}} {
		if err := run(t.Context(), args); err == nil {
			t.Errorf("run(%q) did nothing and was content", args)
		}
	}
}
