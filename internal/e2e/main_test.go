package e2e

import (
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
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

// lookAtSources looks at every file of the module, so that `go test` takes no
// result from its cache that belongs to other commands: it sees what this
// process looks at while tests run, not what the build does.
func lookAtSources() error {
	return filepath.WalkDir("../..", func(name string, d fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return err
		case d.IsDir() && strings.HasPrefix(d.Name(), ".") && d.Name() != "..":
			return filepath.SkipDir
		}
		_, _ = os.Stat(name) // a file that went meanwhile was looked at, too
		return nil
	})
}
