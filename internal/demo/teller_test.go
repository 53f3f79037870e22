package demo

import (
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"
)

// TestSetUpSpeaksChinese: every line that the servers' set-up can say has its
// Chinese, with the same arguments, and none is left over.
func TestSetUpSpeaksChinese(t *testing.T) {
	t.Parallel()
	said := regexp.MustCompile(`\.say\(("(?:[^"\\]|\\.)*")`)
	verb := regexp.MustCompile(`%[a-z]`)
	left := map[string]bool{}
	for line := range inChinese {
		left[line] = true
	}
	for _, dir := range []string{"../pgserver", "../vaultserver"} {
		files, err := filepath.Glob(filepath.Join(dir, "*.go"))
		if err != nil {
			t.Fatal(err)
		}
		for _, name := range files {
			if strings.HasSuffix(name, "_test.go") {
				continue
			}
			source, err := os.ReadFile(name)
			if err != nil {
				t.Fatal(err)
			}
			for _, m := range said.FindAllStringSubmatch(string(source), -1) {
				line, err := strconv.Unquote(m[1])
				if err != nil {
					t.Fatal(err)
				}
				zh := inChinese[line]
				if strings.Join(verb.FindAllString(zh, -1), " ") != strings.Join(verb.FindAllString(line, -1), " ") || zh == "" {
					t.Errorf("%s says %q, in Chinese %q: want the same arguments", name, line, zh)
				}
				delete(left, line)
			}
		}
	}
	for line := range left {
		t.Errorf("%q has its Chinese, and nothing says it", line)
	}
}
