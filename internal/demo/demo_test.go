package demo_test

import (
	"bytes"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/sealtrail/sealtrail/internal/demo"
)

// TestTheStoryHolds builds the three commands and tells the whole story once,
// in each language on a machine of its own, as `make demo ARGS=--once` does.
func TestTheStoryHolds(t *testing.T) {
	t.Parallel()
	bin := filepath.Join(t.TempDir(), "bin")
	if out, err := exec.Command("go", "build", "-o", bin+"/", "../../cmd/...").CombinedOutput(); err != nil {
		t.Fatalf("building the commands: %v\n%s", err, out)
	}
	for lang, promise := range map[string]string{"zh": "十二步都做到了", "en": "all twelve steps did what they say"} {
		t.Run(lang, func(t *testing.T) {
			t.Parallel()
			dir := filepath.Join(t.TempDir(), "demo")
			cmd := exec.Command(filepath.Join(bin, "sealtraild"), "demo", "--once", "--lang", lang, "--dir", dir, "--count", "60")
			var out bytes.Buffer
			cmd.Stdout, cmd.Stderr = &out, &out
			if err := cmd.Run(); err != nil || !strings.Contains(out.String(), promise) {
				t.Fatalf("the demo ended with %v:\n%s", err, out.String())
			}
			if _, err := os.Stat(filepath.Join(dir, "demo.json")); err != nil {
				t.Error("the demo left no demo.json for scripts")
			}
		})
	}
}

// TestAForeignFolderIsLeftAlone: the demo empties only folders of demos.
func TestAForeignFolderIsLeftAlone(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	keep := filepath.Join(dir, "keep.txt")
	if err := os.WriteFile(keep, []byte("mine"), 0o600); err != nil {
		t.Fatal(err)
	}
	out, err := exec.Command("go", "run", "../../cmd/sealtraild", "demo", "--once", "--dir", dir).CombinedOutput()
	if err == nil || !strings.Contains(string(out), "--dir") {
		t.Errorf("a folder with other files: got %v, want a refusal that names --dir\n%s", err, out)
	}
	if _, err := os.Stat(keep); err != nil {
		t.Error("a foreign file is gone")
	}
}

// TestWrongOrdersAreRefusedAtOnce: what cannot work is said before anything is
// set up, and a demo that still runs keeps its folder.
func TestWrongOrdersAreRefusedAtOnce(t *testing.T) {
	t.Parallel()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer listener.Close()
	running := t.TempDir()
	description := fmt.Sprintf(`{"api":"http://%s"}`, listener.Addr())
	if err := os.WriteFile(filepath.Join(running, "demo.json"), []byte(description), 0o600); err != nil {
		t.Fatal(err)
	}
	for name, tc := range map[string]struct {
		cfg  demo.Config
		want string
	}{
		"a file of complaints that is not there": {demo.Config{Data: filepath.Join(running, "none.csv")}, "--data"},
		"a folder as file of complaints":         {demo.Config{Data: running}, "--data"},
		"a count below nothing":                  {demo.Config{Count: -3}, "--count"},
		"the folder of a demo that runs":         {demo.Config{Dir: running}, "still runs"},
	} {
		var out bytes.Buffer
		tc.cfg.Out, tc.cfg.Once = &out, true
		if err := demo.Run(t.Context(), tc.cfg); err == nil || !strings.Contains(err.Error(), tc.want) || out.Len() > 0 {
			t.Errorf("%s: got %v, want a refusal with %q before anything is printed\n%s", name, err, tc.want, out.String())
		}
	}
	if _, err := os.Stat(filepath.Join(running, "demo.json")); err != nil {
		t.Error("the folder of a demo that runs was emptied")
	}
}
