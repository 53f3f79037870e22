package main

import (
	"bytes"
	"crypto/rand"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"golang.org/x/mod/sumdb/note"

	"github.com/sealtrail/sealtrail/audit"
	"github.com/sealtrail/sealtrail/audit/audittest"
	"github.com/sealtrail/sealtrail/internal/exitcode"
)

// A log that somebody else's program made, Tessera's POSIX driver, verifies here; and Tessera's client proves entries of a log
// that our publisher's rules made. Neither knows the other's code.
func TestLogsOfTesseraAndOursReadEachOther(t *testing.T) {
	t.Parallel()
	tessera := filepath.Join(t.TempDir(), "tessera")
	if text, err := exec.Command("go", "build", "-C", filepath.Join("..", "..", "tools"), "-o", tessera, "./tessera").CombinedOutput(); err != nil {
		t.Fatalf("building Tessera's driver from the tools module: %v\n%s", err, text)
	}
	ours := audittest.New(audittest.Config{})
	ours.PutBlob([]byte("policy bundle"))
	const n = 700
	ours.Append(audittest.Bodies(n)...)

	said, err := exec.Command(tessera, "-read", "-dir", write(t, ours), "-vkey", ours.VerifierKey()).CombinedOutput()
	if err != nil || !bytes.Contains(said, []byte("read 700 entries' checkpoint, proved 8")) {
		t.Errorf("Tessera's client does not read our log: %v\n%s", err, said)
	}

	// The same entries in a log of Tessera's own, under the same name and another key.
	secret, vkey, err := note.GenerateKey(rand.Reader, ours.Origin())
	if err != nil {
		t.Fatal(err)
	}
	var entries bytes.Buffer
	for i := range uint64(n) {
		fmt.Fprintf(&entries, "%d\n%s", len(ours.Leaf(i)), ours.Leaf(i))
	}
	dir := t.TempDir()
	cmd := exec.Command(tessera, "-make", "-dir", dir, "-key", file(t, []byte(secret)))
	cmd.Stdin = &entries
	if said, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("Tessera made no log: %v\n%s", err, said)
	}
	for name, f := range ours.Folder() {
		if filepath.Dir(name) == "blob/sha256" { // what the entries name; no log keeps it for us
			if err := os.MkdirAll(filepath.Join(dir, "blob", "sha256"), 0o755); err != nil {
				t.Fatal(err)
			}
			if err := os.WriteFile(filepath.Join(dir, name), f.Data, 0o600); err != nil {
				t.Fatal(err)
			}
		}
	}
	code, out, errs := call(t, "verify", "--key", vkey, dir)
	if code != exitcode.OK {
		t.Fatalf("code %d\n%s%s", code, out, errs)
	}
	want(t, out, "1 ✓", "4 ✓", "5 ✓", "6 ✓", "7 ✓")
	code, out, errs = call(t, "verify", "--tree-only", "--key", vkey, dir)
	if code != exitcode.OK {
		t.Fatalf("tree only: code %d\n%s%s", code, out, errs)
	}
	want(t, out, "1 ✓", "4 ✓", "5 –", "6 –", "7 –", "only the tree was asked for")

	// And its root is ours: one flipped byte of a file that it wrote is found.
	tile := filepath.Join(dir, audit.TilePath(0, 0, audit.TileWidth))
	raw, err := os.ReadFile(tile)
	if err != nil {
		t.Fatal(err)
	}
	raw[5] ^= 1
	if err := os.WriteFile(tile, raw, 0o600); err != nil {
		t.Fatal(err)
	}
	for _, also := range [][]string{nil, {"--tree-only"}} {
		if code, out, _ := call(t, append([]string{"verify", "--key", vkey, dir}, also...)...); code != exitcode.Integrity {
			t.Errorf("a flipped byte of Tessera's tile passes %v: code %d\n%s", also, code, out)
		}
	}
}
