package demo_test

import (
	"bytes"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
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
