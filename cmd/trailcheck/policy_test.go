package main

import (
	"crypto/rand"
	"fmt"
	"os"
	"path/filepath"
	"testing"

	"golang.org/x/mod/sumdb/note"

	"github.com/sealtrail/sealtrail/audit"
	"github.com/sealtrail/sealtrail/audit/audittest"
	"github.com/sealtrail/sealtrail/internal/exitcode"
)

// The quorum of groups decides: a witness of the one group alone is not enough where the policy wants both.
func TestVerifyByPolicy(t *testing.T) {
	t.Parallel()
	l, dir := published(t) // cosigned by one witness
	_, other, err := note.GenerateKey(rand.Reader, "witness.example/risk")
	if err != nil {
		t.Fatal(err)
	}
	policy := func(quorum string) string {
		return file(t, []byte(fmt.Sprintf("log %s\nwitness audit %s\nwitness risk %s\ngroup inside any audit\ngroup outside 1 risk\ngroup both all inside outside\nquorum %s\n",
			l.VerifierKey(), l.WitnessKey(), other, quorum)))
	}
	code, out, errs := call(t, "verify", "--policy", policy("inside"), "--pinned", file(t, l.Checkpoint()), dir) // the log's key is in the policy
	if code != exitcode.OK {
		t.Fatalf("code %d\n%s%s", code, out, errs)
	}
	want(t, out, "1 ✓", "2 ✓", "all 300 entries are cosigned", "✓ nothing found wrong\n")
	code, out, _ = call(t, "verify", "--policy", policy("both"), dir)
	if code != exitcode.Integrity {
		t.Errorf("half of the quorum: code %d", code)
	}
	want(t, out, "2 ✗", "no checkpoint is cosigned by a quorum of the policy's 2 witnesses")
	code, out, _ = call(t, "verify", "--policy", policy("both"), "--lang", "zh", dir)
	if code != exitcode.Integrity {
		t.Errorf("zh: code %d", code)
	}
	want(t, out, "没有任何检查点获得策略所列 2 个见证方的法定联署")
	code, out, _ = call(t, "verify", "--policy", policy("none"), dir)
	if code != exitcode.OK {
		t.Errorf("no quorum: code %d", code)
	}
	want(t, out, "2 –", "the policy asks for no witness")
	if code, _, _ := call(t, "verify", "--policy", policy("none"), "--max-age", "1h", dir); code != exitcode.Usage {
		t.Errorf("--max-age without a quorum: code %d", code)
	}
	if code, _, _ := call(t, "verify", "--policy", policy("both"), "--max-age", "1h", dir); code != exitcode.Integrity {
		t.Errorf("--max-age with a quorum: code %d", code)
	}
	for name, args := range map[string][]string{
		"with --witness":    {"--policy", policy("inside"), "--witness", l.WitnessKey()},
		"with --quorum":     {"--policy", policy("inside"), "--quorum", "1"},
		"not a policy":      {"--policy", file(t, []byte("quorum nobody\n")), "--key", l.VerifierKey()},
		"no file":           {"--policy", "/nowhere", "--key", l.VerifierKey()},
		"no key of any log": {"--policy", file(t, []byte("quorum none\n"))},
	} {
		if code, _, _ := call(t, append([]string{"verify", dir}, args...)...); code != exitcode.Usage {
			t.Errorf("%s: code %d", name, code)
		}
	}
	saved := l.Checkpoint()
	if code, out, _ := call(t, "verify", "--policy", policy("inside"), "--witness-checkpoint", file(t, saved), dir); code != exitcode.OK {
		t.Errorf("a witness's checkpoint: code %d\n%s", code, out)
	}
	plain := audittest.New(audittest.Config{})
	plain.Append(audittest.Bodies(300)...)
	if err := os.WriteFile(filepath.Join(dir, audit.CheckpointPath), plain.Checkpoint(), 0o600); err != nil {
		t.Fatal(err)
	}
	if code, out, _ := call(t, "verify", "--policy", policy("inside"), "--witness-checkpoint", file(t, plain.Checkpoint()), dir); code != exitcode.Integrity {
		t.Errorf("a witness's checkpoint without its line: code %d\n%s", code, out)
	}
}
