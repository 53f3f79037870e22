package e2e

import (
	"fmt"
	"os"
	"os/exec"
	"testing"

	"github.com/sealtrail/sealtrail/internal/scratch"
)

// bin holds the three commands, built once for all tests of this package.
var bin string

func TestMain(m *testing.M) {
	code, err := withPrograms(m.Run)
	if err != nil {
		fmt.Fprintln(os.Stderr, "e2e:", err)
		code = 1
	}
	os.Exit(code)
}

func withPrograms(run func() int) (code int, err error) {
	dir, err := scratch.New("e2e-bin")
	if err != nil {
		return 1, err
	}
	defer func() {
		if removed := dir.Remove(); err == nil {
			err = removed
		}
	}()
	build := exec.Command("go", "build", "-o", dir.Path+"/", "../../cmd/...")
	if out, err := build.CombinedOutput(); err != nil {
		return 1, fmt.Errorf("building the commands: %w: %s", err, out)
	}
	bin = dir.Path
	defer stopShared()
	return run(), nil
}
