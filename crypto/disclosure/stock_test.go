package disclosure_test

import (
	"bytes"
	"crypto/fips140"
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"github.com/sealtrail/sealtrail/crypto/disclosure"
)

// stockAge builds the age tool as its authors publish it: nothing of ours.
func stockAge(t *testing.T) (age, keygen string) {
	t.Helper()
	dir := t.TempDir()
	build := exec.Command("go", "build", "-C", filepath.Join("..", "..", "tools", "age"), "-o", dir+"/", "tool")
	build.Env = append(os.Environ(), "GOFLAGS=-mod=readonly")
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("building age: %v\n%s", err, out)
	}
	return filepath.Join(dir, "age"), filepath.Join(dir, "age-keygen")
}

func TestTheStockToolOpensAPackage(t *testing.T) {
	t.Parallel()
	if fips140.Enforced() {
		t.Skip("fips140=only: age")
	}
	tool, keygen := stockAge(t)
	for name, flags := range map[string][]string{"X25519": nil, "post-quantum": {"-pq"}} {
		dir := t.TempDir()
		key := filepath.Join(dir, "key")
		if out, err := exec.Command(keygen, append(flags, "-o", key)...).CombinedOutput(); err != nil {
			t.Fatalf("%s: %v\n%s", name, err, out)
		}
		public, err := exec.Command(keygen, "-y", key).Output()
		if err != nil {
			t.Fatal(err)
		}
		to, err := disclosure.ParseRecipient(string(public))
		if err != nil || to.PostQuantum() != (flags != nil) {
			t.Fatalf("%s: %v", name, err)
		}
		sealed, _ := packed(t, to, bytes.Repeat([]byte("f"), 100_000))
		file := filepath.Join(dir, "package.age")
		if err := os.WriteFile(file, sealed, 0o600); err != nil {
			t.Fatal(err)
		}
		var stderr bytes.Buffer
		open := exec.Command(tool, "-d", "-i", key, file)
		open.Stderr = &stderr
		plain, err := open.Output()
		if err != nil {
			t.Fatalf("%s: %v\n%s", name, err, stderr.String())
		}
		if _, r, err := drain(plain); err != nil || r.Trailer().Records != 2 {
			t.Errorf("%s: what age wrote is no package: %v", name, err)
		}
	}
}
