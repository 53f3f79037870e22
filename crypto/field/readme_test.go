package field_test

import (
	"os"
	"strings"
	"testing"
)

// TestReadmeIsCompiled: each line of the README's program stands in the tested
// example, so that it cannot rot.
func TestReadmeIsCompiled(t *testing.T) {
	t.Parallel()
	readme, err := os.ReadFile("../README.md")
	if err != nil {
		t.Fatal(err)
	}
	example, err := os.ReadFile("example_test.go")
	if err != nil {
		t.Fatal(err)
	}
	_, code, found := strings.Cut(string(readme), "```go\n")
	code, _, closed := strings.Cut(code, "```")
	if !found || !closed {
		t.Fatal("README.md has no Go program")
	}
	for line := range strings.Lines(code) {
		if line = strings.TrimSpace(line); line != "" && !strings.Contains(string(example), line) {
			t.Errorf("not in example_test.go: %s", line)
		}
	}
}
