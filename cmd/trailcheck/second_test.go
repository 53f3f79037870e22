package main

import (
	"bytes"
	"encoding/base64"
	"encoding/binary"
	"fmt"
	"os"
	"path/filepath"
	"testing"

	fnote "github.com/transparency-dev/formats/note"

	"github.com/sealtrail/sealtrail/audit"
	"github.com/sealtrail/sealtrail/internal/exitcode"
)

// Step 1 says whether the second line is there and verifies, in both languages; who does not ask is told that a line was not checked.
func TestSecondKey(t *testing.T) {
	t.Parallel()
	l, dir := published(t)
	skey, vkey, err := fnote.GenerateMLDSAKey(l.Origin())
	if err != nil {
		t.Fatal(err)
	}
	args := func(more ...string) []string {
		return append([]string{"verify", "--key", l.VerifierKey(), dir}, more...)
	}
	code, out, _ := call(t, args("--second-key", vkey)...)
	if code != exitcode.Integrity {
		t.Errorf("missing: code %d", code)
	}
	want(t, out, "1 ✗", "no second signature (ML-DSA-44) by the given key")
	if _, out, _ = call(t, args("--second-key", vkey, "--lang", "zh")...); !bytes.Contains([]byte(out), []byte("没有所给公钥的第二签名")) {
		t.Errorf("zh:\n%s", out)
	}
	signer, err := fnote.NewSignerForCosignatureV1(skey)
	if err != nil {
		t.Fatal(err)
	}
	head := l.Checkpoint()
	text, _, _ := bytes.Cut(head, []byte("\n\n"))
	sig, err := signer.Sign(append(text[:len(text):len(text)], '\n'))
	if err != nil {
		t.Fatal(err)
	}
	head = fmt.Appendf(head, "\u2014 %s %s\n", l.Origin(), base64.StdEncoding.EncodeToString(append(binary.BigEndian.AppendUint32(nil, signer.KeyHash()), sig...)))
	if err := os.WriteFile(filepath.Join(dir, audit.CheckpointPath), head, 0o600); err != nil {
		t.Fatal(err)
	}
	code, out, errs := call(t, args("--second-key", file(t, []byte(vkey+"\n")), "--witness", l.WitnessKey())...)
	if code != exitcode.OK {
		t.Errorf("there: code %d\n%s%s", code, out, errs)
	}
	want(t, out, "1 ✓", "the second signature (ML-DSA-44) verifies")
	if code, out, _ = call(t, args("--witness", l.WitnessKey())...); code != exitcode.OK {
		t.Errorf("not asked: code %d", code)
	}
	want(t, out, "1 signature lines are by keys that were not given")
	for name, wrong := range map[string]string{"the log's key": l.VerifierKey(), "no file": "/nowhere"} {
		if code, _, _ := call(t, args("--second-key", wrong)...); code != exitcode.Usage {
			t.Errorf("%s: code %d", name, code)
		}
	}
}
