package cryptotest_test

import (
	"bytes"
	"context"
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/sealtrail/sealtrail/crypto/cryptotest"
)

// nodeReport is what crypto/testdata/open.mjs prints.
type nodeReport struct {
	Node       string   `json:"node"`
	OpenSSL    string   `json:"openssl"`
	Opened     int      `json:"opened"`
	Refused    int      `json:"refused"`
	Verified   int      `json:"verified"`
	Reproduced int      `json:"reproduced"`
	Failed     []string `json:"failed"`
	NotChecked []string `json:"not_checked"`
}

// total is the number of vectors that a run has to account for, and sm that of
// those of suite 0x02, which an OpenSSL without SM3 or SM4 cannot check.
func total(vs *cryptotest.Vectors) (all, sm int) {
	suites := make([]byte, len(vs.Contexts)+len(vs.Commitments)+len(vs.IndexInputs))
	for _, v := range vs.Fields {
		suites = append(suites, v.Place.Suite)
	}
	for _, v := range vs.RefusedFields {
		suites = append(suites, v.Place.Suite)
	}
	for _, v := range vs.Manifests {
		suites = append(suites, v.Suite)
	}
	for _, v := range vs.RefusedManifest {
		suites = append(suites, v.Suite)
	}
	return len(suites), bytes.Count(suites, []byte{2})
}

// noNode, set in the environment, says that Node cannot be had here: .ci/run
// sets it where it neither is nor can be installed. The skip names what is left
// unchecked.
const noNode = "SEALTRAIL_NODE=none"

// findNode returns the path of Node. A missing Node is a failure, but where it
// cannot be had: the second implementation is a promise of the specification.
// As root on Debian or Ubuntu it is installed, as PostgreSQL is.
func findNode(t *testing.T) string {
	t.Helper()
	path, err := installedNode()
	if err == nil {
		return path
	}
	all, _ := total(load(t))
	if os.Getenv("SEALTRAIL_NODE") == "none" {
		t.Skipf("NOT CHECKED by a second implementation: %d vectors; no node, and %s says that it cannot be had", all, noNode)
	}
	if _, aptErr := exec.LookPath("apt-get"); aptErr != nil || os.Geteuid() != 0 {
		t.Fatalf("no node to run crypto/testdata/open.mjs: install the package nodejs, or set %s to leave %d vectors unchecked", noNode, all)
	}
	if out, err := installNode(t.Context()); err != nil {
		t.Fatalf("no node, and installing it failed (set %s to leave %d vectors unchecked): %v: %s", noNode, all, err, out)
	}
	path, err = installedNode()
	if err != nil {
		t.Fatalf("apt-get installed no node: %v", err)
	}
	return path
}

func installedNode() (string, error) {
	if path, err := exec.LookPath("node"); err == nil {
		return path, nil
	}
	return exec.LookPath("nodejs")
}

// installing is held while the package is installed: apt-get takes one at a time.
var installing sync.Mutex

func installNode(ctx context.Context) ([]byte, error) {
	installing.Lock()
	defer installing.Unlock()
	if _, err := installedNode(); err == nil {
		return nil, nil
	}
	ctx, cancel := context.WithTimeout(ctx, 5*time.Minute)
	defer cancel()
	var out []byte
	var err error
	for _, args := range [][]string{{"update"}, {"install", "--no-install-recommends", "nodejs"}} {
		cmd := exec.CommandContext(ctx, "apt-get", append([]string{"-y", "-q"}, args...)...)
		cmd.Env = append(os.Environ(), "DEBIAN_FRONTEND=noninteractive")
		if out, err = cmd.CombinedOutput(); err != nil {
			return out, err
		}
	}
	return nil, nil
}

func runNode(t *testing.T, node, file string, flags ...string) (nodeReport, error) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	var stderr strings.Builder
	cmd := exec.CommandContext(ctx, node, append(flags, dir+"/open.mjs", file)...)
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	var report nodeReport
	if jsonErr := json.Unmarshal(out, &report); jsonErr != nil {
		t.Fatalf("%v, %v: %s%s", err, jsonErr, out, stderr.String())
	}
	return report, err
}

// TestNodeOpensTheVectors: an implementation that shares no line and no library
// with ours reads, verifies and refuses what is published.
func TestNodeOpensTheVectors(t *testing.T) {
	t.Parallel()
	vs := load(t)
	report, err := runNode(t, findNode(t), filepath.Join(dir, cryptotest.VectorFile))
	if err != nil || len(report.Failed) > 0 {
		t.Errorf("%v: %s", err, strings.Join(report.Failed, "\n"))
	}
	all, sm := total(vs)
	done := report.Opened + report.Refused + report.Verified + report.Reproduced
	if missing := len(report.NotChecked); done+missing != all || missing != 0 && missing != sm {
		t.Errorf("%d vectors checked, %d not, of %d (%d of suite 0x02)", done, missing, all, sm)
	}
	t.Logf("Node %s, OpenSSL %s: %d opened, %d refused, %d verified, %d reproduced, %d not checked %q", report.Node, report.OpenSSL,
		report.Opened, report.Refused, report.Verified, report.Reproduced, len(report.NotChecked), report.NotChecked)
}

// TestNodeSaysWhatItCannotCheck: where OpenSSL was built without SM3 or SM4, the
// vectors of suite 0x02 are named as not checked, each of them, and no other.
func TestNodeSaysWhatItCannotCheck(t *testing.T) {
	t.Parallel()
	node := findNode(t)
	all, sm := total(load(t))
	for what, preload := range map[string]string{
		"SM3": `c.getHashes = () => ['sha256']`,
		"SM4": `c.getHashes = () => ['sha256', 'sm3']; c.getCiphers = () => ['aes-256-gcm']`,
	} {
		file := filepath.Join(t.TempDir(), "without.cjs")
		code := "const c = require('crypto'); " + preload + "; require('module').syncBuiltinESMExports()\n"
		if err := os.WriteFile(file, []byte(code), 0o600); err != nil {
			t.Fatal(err)
		}
		report, err := runNode(t, node, filepath.Join(dir, cryptotest.VectorFile), "-r", file)
		done := report.Opened + report.Refused + report.Verified + report.Reproduced
		if err != nil || len(report.Failed) != 0 || len(report.NotChecked) != sm || done != all-sm {
			t.Errorf("without %s: %v, %d failed, %d checked and %d not of %d", what, err, len(report.Failed), done, len(report.NotChecked), all)
		}
		for _, line := range report.NotChecked {
			if !strings.HasSuffix(line, "no "+what+" in this OpenSSL") {
				t.Errorf("without %s: %q", what, line)
			}
		}
	}
}

// TestNodeNoticesEveryChangedVector: the script can fail, for each vector.
func TestNodeNoticesEveryChangedVector(t *testing.T) {
	t.Parallel()
	node, vs := findNode(t), load(t)
	good := map[byte]cryptotest.FieldVector{}
	byName := map[string]cryptotest.ManifestVector{}
	flip := func(b []byte) { b[len(b)-1] ^= 1 }
	for _, v := range vs.Fields {
		if _, ok := good[v.Place.Suite]; !ok {
			whole := v
			whole.Envelope = bytes.Clone(v.Envelope)
			good[v.Place.Suite] = whole
		}
		flip(v.Envelope)
	}
	for i := range vs.RefusedFields { // what must be refused is now whole
		v := &vs.RefusedFields[i]
		whole := good[v.Place.Suite]
		v.DEK, v.Place, v.Envelope = whole.DEK, whole.Place, whole.Envelope
	}
	for i, v := range vs.Manifests {
		byName[v.Name] = v
		flip(vs.Manifests[i].ManifestKey)
	}
	for i := range vs.RefusedManifest {
		v := &vs.RefusedManifest[i]
		v.Suite, v.Stored = byName[v.Against].Suite, byName[v.Against].Stored
	}
	for i := range vs.Contexts {
		flip(vs.Contexts[i].Context)
	}
	for i := range vs.Commitments {
		flip(vs.Commitments[i].Commitment)
	}
	for i := range vs.IndexInputs {
		flip(vs.IndexInputs[i].Token)
	}
	raw, err := json.Marshal(vs)
	if err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(t.TempDir(), "changed.json")
	if err := os.WriteFile(file, raw, 0o600); err != nil {
		t.Fatal(err)
	}
	report, err := runNode(t, node, file)
	all, _ := total(vs)
	if done := report.Opened + report.Refused + report.Verified + report.Reproduced; err == nil || done != 0 || len(report.Failed)+len(report.NotChecked) != all {
		t.Errorf("%v: %d passed, %d failed, %d not checked, of %d changed", err, done, len(report.Failed), len(report.NotChecked), all)
	}
}
