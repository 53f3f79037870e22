package scratch_test

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/sealtrail/sealtrail/internal/scratch"
)

// TestMain is also a process that makes a folder and dies without removing it.
func TestMain(m *testing.M) {
	if os.Getenv("SCRATCH_TEST_DIE") != "" {
		d, err := scratch.New("scratchtest")
		if err != nil {
			os.Exit(1)
		}
		fmt.Print(d.Path)
		os.Exit(0)
	}
	os.Exit(m.Run())
}

func TestFoldersOfTheDeadAreSweptAndOthersKept(t *testing.T) {
	t.Setenv("TMPDIR", t.TempDir())
	mine, err := scratch.New("scratchtest")
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), "SCRATCH_TEST_DIE=1")
	out, err := cmd.Output()
	if err != nil {
		t.Fatal(err)
	}
	left := string(out)
	if _, err := os.Stat(left); err != nil {
		t.Fatalf("the dead process's folder: %v", err)
	}
	second, err := scratch.New("scratchtest")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(left); !os.IsNotExist(err) {
		t.Errorf("the dead process's folder is still there (%v)", err)
	}
	if _, err := os.Stat(mine.Path); err != nil {
		t.Errorf("a living process's folder was swept: %v", err)
	}
	for _, d := range []*scratch.Dir{mine, second} {
		if err := d.Remove(); err != nil {
			t.Error(err)
		}
	}
	names, err := os.ReadDir(filepath.Dir(mine.Path))
	if err != nil {
		t.Fatal(err)
	}
	for _, n := range names {
		if strings.Trim(n.Name(), "lock") != "" {
			t.Errorf("left behind: %s", n.Name())
		}
	}
}
