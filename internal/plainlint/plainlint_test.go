package plainlint_test

import (
	"fmt"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/tools/go/analysis/analysistest"

	"github.com/sealtrail/sealtrail/internal/plainlint"
)

// TestEachWayOutIsFound: every line of the test data that says so is flagged,
// and no other.
func TestEachWayOutIsFound(t *testing.T) {
	t.Parallel()
	analyzer := plainlint.New(plainlint.Config{Openers: map[string]string{"opener.door.Mask": "test", "opener.mask": "test"}})
	analysistest.Run(t, analysistest.TestData(), analyzer, "vault", "bad", "good", "opener")
}

// TestOpenerThatIsNoMoreIsRefused.
func TestOpenerThatIsNoMoreIsRefused(t *testing.T) {
	t.Parallel()
	analyzer := plainlint.New(plainlint.Config{Openers: map[string]string{"opener.door.Gone": "test", "elsewhere.door.Mask": "test"}})
	refused := &refusals{T: t}
	analysistest.Run(refused, analysistest.TestData(), analyzer, "opener")
	if !strings.Contains(refused.said, "opener.door.Gone does not exist") || strings.Contains(refused.said, "elsewhere") {
		t.Errorf("said %q", refused.said)
	}
}

type refusals struct {
	*testing.T
	said string
}

// Errorf implements analysistest.Testing.
func (r *refusals) Errorf(format string, args ...any) { r.said += fmt.Sprintf(format, args...) }

// TestProjectIsClean builds the tool as `make check` does and runs it, as go vet
// does, over the packages that hold plaintext and keys.
func TestProjectIsClean(t *testing.T) {
	t.Parallel()
	if testing.Short() {
		t.Skip("builds the packages")
	}
	root := filepath.Join("..", "..")
	tool := filepath.Join(t.TempDir(), "plainvet")
	run := func(args ...string) {
		t.Helper()
		cmd := exec.CommandContext(t.Context(), "go", args...)
		cmd.Dir = root
		if out, err := cmd.CombinedOutput(); err != nil {
			t.Errorf("go %s: %v\n%s", strings.Join(args, " "), err, out)
		}
	}
	run("build", "-o", tool, "./internal/plainvet")
	run("vet", "-vettool="+tool, "./crypto/...", "./internal/custody")
}
