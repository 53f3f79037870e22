package main

import (
	"testing"

	"github.com/sealtrail/sealtrail/audit/evidence/evidencetest"
	"github.com/sealtrail/sealtrail/internal/exitcode"
)

func TestVerifyBundle(t *testing.T) {
	t.Parallel()
	good, bad := evidencetest.Sample()
	key := file(t, []byte(good.Keys))
	code, out, _ := call(t, "verify", "--key", key, file(t, good.Data))
	if code != exitcode.OK {
		t.Fatalf("exit %d:\n%s", code, out)
	}
	want(t, out, "and no others, up to size", "times through this service, up to size", "✓ nothing found wrong; not checked: witness cosignatures", " 7 ✓ these entries and no others",
		"is NOT the one that this program knows")
	code, out, _ = call(t, "verify", "--lang", "zh", "--key", key, file(t, good.Data))
	if code != exitcode.OK {
		t.Fatalf("exit %d", code)
	}
	want(t, out, "别无其他", "未发现问题")
	code, out, _ = call(t, "verify", "--key", key, file(t, bad.Data))
	if code != exitcode.Integrity {
		t.Fatalf("forged: exit %d:\n%s", code, out)
	}
	want(t, out, " 7 ✗", "the trail has another number of entries than shown", "do not rely on this bundle")
	if code, out, _ = call(t, "verify", "-o", "json", "--key", key, file(t, bad.Data)); code != exitcode.Integrity {
		t.Fatalf("forged, as JSON: exit %d", code)
	}
	want(t, out, `"code": "heads_n"`, `"page_known": false`)
	if code, _, _ = call(t, "verify", file(t, good.Data)); code != exitcode.Usage {
		t.Errorf("without a key: exit %d", code)
	}
}

func TestExplainSaysWhatBecameOfCommitments(t *testing.T) {
	t.Parallel()
	_, dir := published(t)
	code, out, _ := call(t, "explain", dir, "0")
	if code != exitcode.OK {
		t.Fatalf("exit %d:\n%s", code, out)
	}
	want(t, out, "narrative            withheld: only its commitment is published")
}
