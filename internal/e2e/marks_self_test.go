package e2e

import (
	"encoding/base64"
	"encoding/json"
	"net/url"
	"os"
	"path/filepath"
	"testing"
)

// TestSearchFindsEverySpelling shows that the canary test's search works: a
// marker is found however it was written down and wherever it stands.
func TestSearchFindsEverySpelling(t *testing.T) {
	t.Parallel()
	var m marks
	value := m.text("free text")
	f := newFinder(t, m.values)
	escaped, err := json.Marshal(value)
	must(t, err)
	for name, text := range map[string]string{"plain": value, "json": string(escaped), "url": url.QueryEscape(value),
		"base64": base64.StdEncoding.EncodeToString([]byte(value)), "base64 at 1": base64.StdEncoding.EncodeToString([]byte("x" + value)),
		"base64 at 2": base64.RawURLEncoding.EncodeToString([]byte("xy" + value))} {
		if got := f.in([]byte("before " + text + " after")); len(got) < 2 {
			t.Errorf("%s: found %d of two markers", name, len(got))
		}
	}
	for marker := range m.values {
		for _, n := range spellings(marker) {
			if got := f.in(append([]byte("odd"), n.bytes...)); len(got) == 0 {
				t.Errorf("%s: not found", n.writing)
			}
		}
	}
	if got := f.in([]byte("canarynothingtofind 客户来电说")); len(got) != 0 {
		t.Errorf("found %d markers in a text without any", len(got))
	}
	dir := t.TempDir()
	must(t, os.WriteFile(filepath.Join(dir, value[:12]), nil, 0o600))
	must(t, os.WriteFile(filepath.Join(dir, "file"), []byte(value), 0o600))
	if found, _ := f.below(t, dir); len(found) != 1 || len(found["file"]) != 2 {
		t.Errorf("in a folder: found %v", found)
	}
}
