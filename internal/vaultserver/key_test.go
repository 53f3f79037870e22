package vaultserver

import (
	"os"
	"path/filepath"
	"testing"
)

func TestBuildKeyCoversEveryFile(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	write := func(name, text string) {
		t.Helper()
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	key := func() string {
		t.Helper()
		k, err := buildKey(dir)
		if err != nil {
			t.Fatal(err)
		}
		return k
	}
	write("go.sum", "one")
	first := key()
	if again := key(); again != first {
		t.Errorf("key changed by itself: %s, then %s", first, again)
	}
	write("go.sum", "two")
	second := key()
	if second == first {
		t.Error("a changed file left the key as it was")
	}
	write("stub.go", "")
	if third := key(); third == second {
		t.Error("a new file left the key as it was")
	}
}

func TestSourceIsFoundFromAnyFolderOfTheTree(t *testing.T) {
	t.Parallel()
	dir, err := sourceDir()
	if err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(filepath.Join(dir, "go.sum")); err != nil {
		t.Error(err)
	}
	k, err := buildKey(dir)
	if err != nil {
		t.Fatal(err)
	}
	t.Log("cache entry vault-" + k)
}
