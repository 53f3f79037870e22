package cryptotest_test

import (
	"bufio"
	"bytes"
	"encoding/json"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// fipsChild marks the child process.
const fipsChild = "SEALTRAIL_TEST_FIPS_CHILD"

// Why a test rests in a FIPS mode, as the tests themselves say it. Any other
// reason fails TestFIPSModes.
const (
	restsFakeTime = "fake time starves the FIPS entropy source"
	restsSM       = "fips140=only: suite 0x02"
	restsOracle   = "fips140=only: oracle"
	restsNonce    = "fips140=only: chosen nonce"
)

// underSM are the tests of suite 0x02 beside those named .../suite2.
var underSM = []string{"TestSuitesDoNotMix", "TestResealAcrossSuites", "TestWycheproofSM4GCM", "TestWycheproofHMAC/hmac_sm3_test.json",
	"FuzzOpenSM4", "FuzzReseal", "FuzzVerifyManifestSM4"}

// TestFIPSModes runs the tests of the packages that hold our cryptography under
// GODEBUG=fips140=off, on and only (contracts.md 5). What rests there, and why,
// is counted; nothing rests under off. batch and blindindex have no
// cryptography, transit is network code, disclosure is age's (which refuses),
// Node is not Go, and 2 GiB three times over show nothing new.
func TestFIPSModes(t *testing.T) {
	if os.Getenv(fipsChild) != "" {
		return
	}
	t.Parallel()
	only := regexp.MustCompile(`/suite2$`)
	for _, mode := range []string{"off", "on", "only"} {
		t.Run(mode, func(t *testing.T) {
			run := runFIPS(t, mode)
			for _, reason := range slices.Sorted(maps.Keys(run.rests)) {
				t.Logf("fips140=%s: %d rest, %q: %s", mode, len(run.rests[reason]), reason, strings.Join(run.rests[reason], " "))
			}
			t.Logf("fips140=%s: %d passed", mode, run.passed)
			got := map[string]int{}
			for reason, names := range run.rests {
				got[reason] = len(names)
				for _, name := range names {
					if reason == restsSM && !only.MatchString(name) && !slices.Contains(underSM, name) {
						t.Errorf("%s rests as one of suite 0x02: it is not known as one", name)
					}
				}
			}
			if diff := cmp.Diff(mayRest(t, mode), got); diff != "" || run.passed < 200 {
				t.Errorf("%d passed, want 200 or more; tests that rest, by reason (-want +got):\n%s", run.passed, diff)
			}
		})
	}
}

// mayRest is how many tests rest in a mode, by reason. Those in fake time are
// as many as there are in keyring.
func mayRest(t *testing.T, mode string) map[string]int {
	t.Helper()
	fakeTime := 0
	files, err := filepath.Glob("../keyring/*_test.go")
	if err != nil {
		t.Fatal(err)
	}
	for _, file := range files {
		raw, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		fakeTime += len(regexp.MustCompile(`\tbubble\(t, `).FindAll(raw, -1))
	}
	switch mode {
	case "on":
		return map[string]int{restsFakeTime: fakeTime}
	case "only":
		return map[string]int{restsFakeTime: fakeTime, restsSM: 28, restsOracle: 2, restsNonce: 2}
	}
	return map[string]int{}
}

// fipsRun is what came of one mode.
type fipsRun struct {
	passed int
	rests  map[string][]string // names by reason, sorted
}

// skipped finds the reason in what a test prints when it skips.
var skipped = regexp.MustCompile(`^\s+\w+_test\.go:\d+: (.*)\n$`)

func runFIPS(t *testing.T, mode string) fipsRun {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), "go", "test", "-count=1", "-json", "-skip", "^TestNode|^TestFIPSModes$|^TestTwoGiB", "../field", "../keyring", "../stream", ".")
	cmd.Env = append(os.Environ(), "GODEBUG=fips140="+mode, fipsChild+"=1")
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Errorf("fips140=%s: %v\n%s", mode, err, failures(out))
	}
	run := fipsRun{rests: map[string][]string{}}
	last := map[string]string{}
	for line := range bytes.Lines(out) {
		var e struct{ Action, Package, Test, Output string }
		if json.Unmarshal(line, &e) != nil || e.Test == "" {
			continue
		}
		id := e.Package + "." + e.Test
		switch e.Action {
		case "output":
			if m := skipped.FindStringSubmatch(e.Output); m != nil {
				last[id] = m[1]
			}
		case "pass":
			run.passed++
		case "skip":
			run.rests[last[id]] = append(run.rests[last[id]], e.Test)
		}
	}
	for _, names := range run.rests {
		slices.Sort(names)
	}
	return run
}

// failures picks out of the output of go test -json what failed.
func failures(out []byte) string {
	var all []string
	scan := bufio.NewScanner(bytes.NewReader(out))
	for scan.Scan() {
		var e struct{ Output string }
		if json.Unmarshal(scan.Bytes(), &e) != nil {
			e.Output = scan.Text() + "\n" // of the go command itself
		}
		all = append(all, e.Output)
	}
	var b strings.Builder
	for i, l := range all {
		if strings.Contains(l, "FAIL") || strings.Contains(l, "panic:") {
			b.WriteString(strings.Join(all[max(0, i-5):min(len(all), i+10)], ""))
		}
	}
	return b.String()
}
