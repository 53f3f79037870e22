package cryptotest_test

import (
	"os"
	"os/exec"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// fipsChild marks the child process.
const fipsChild = "SEALTRAIL_TEST_FIPS_CHILD"

// TestFIPSModes runs the tests of the packages that hold suite 0x01 under
// GODEBUG=fips140=on and only. What is skipped there is named: tests in fake
// time (no entropy for the FIPS module) and the seal-direction vectors (they
// need a chosen nonce). batch and blindindex have no cryptography; transit is
// network code.
func TestFIPSModes(t *testing.T) {
	if os.Getenv(fipsChild) != "" {
		return
	}
	t.Parallel()
	fakeTime := []string{"TestLeaseEndsHardAndIdle", "TestVoidDuringACallUnwrapsAgain", "TestConcurrentLendsOfOneKeyShareOneItem",
		"TestUnreachableServiceLeavesLeasesTheirTime", "TestRefusalIsSeenWithinTwoSeconds", "TestNeverAHang"}
	for mode, mayRest := range map[string][]string{"on": fakeTime, "only": append(slices.Clone(fakeTime), "TestVectorsAreTheReferences")} {
		cmd := exec.CommandContext(t.Context(), "go", "test", "-count=1", "-v", "../field", "../keyring", ".")
		cmd.Env = append(os.Environ(), "GODEBUG=fips140="+mode, fipsChild+"=1")
		out, err := cmd.CombinedOutput()
		if err != nil {
			t.Errorf("fips140=%s: %v\n%s", mode, err, failures(string(out)))
		}
		var skipped []string
		passed := 0
		for line := range strings.Lines(string(out)) {
			name, isSkip := strings.CutPrefix(strings.TrimSpace(line), "--- SKIP: ")
			if isSkip {
				skipped = append(skipped, strings.Fields(name)[0])
			}
			if strings.HasPrefix(line, "--- PASS: ") {
				passed++
			}
		}
		slices.Sort(skipped)
		slices.Sort(mayRest)
		if diff := cmp.Diff(mayRest, skipped); diff != "" || passed < 45 {
			t.Errorf("fips140=%s: %d passed, want 45 or more; skipped (-want +got):\n%s", mode, passed, diff)
		}
	}
}

// failures picks out of verbose output what failed and the lines before it.
func failures(out string) string {
	lines := strings.Split(out, "\n")
	var b strings.Builder
	for i, l := range lines {
		if strings.Contains(l, "FAIL") || strings.Contains(l, "panic:") {
			b.WriteString(strings.Join(lines[max(0, i-5):min(len(lines), i+10)], "\n") + "\n")
		}
	}
	return b.String()
}
