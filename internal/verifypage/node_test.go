package verifypage_test

import (
	"bytes"
	"context"
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"
)

// job is one bundle with what its reader brings, as testdata/node.mjs and the Chromium run take it.
type job struct {
	File      string   `json:"file"`
	Keys      string   `json:"keys"`
	Witnesses string   `json:"witnesses"`
	Quorum    int      `json:"quorum"`
	Pinned    [][]byte `json:"pinned"`
	Opens     []string `json:"opens,omitempty"`
}

// verdict is what became of a job.
type verdict struct {
	OK       bool     `json:"ok"`
	Step     int      `json:"step"` // of the first finding, 0 for none
	Code     string   `json:"code"`
	Steps    []string `json:"steps"`
	Unusable int      `json:"unusable"` // keys and checkpoints that are none
}

type jobs struct {
	Bundles    []job       `json:"bundles,omitempty"`
	Signatures []signature `json:"signatures,omitempty"`
}

// runNode runs the page's core over the jobs and decodes one line for each into out.
func runNode[T any](t *testing.T, j jobs, mode ...string) []T {
	t.Helper()
	raw, err := json.Marshal(j)
	if err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(t.TempDir(), "jobs.json")
	if err := os.WriteFile(file, raw, 0o600); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 5*time.Minute)
	defer cancel()
	var stderr bytes.Buffer
	cmd := exec.CommandContext(ctx, findNode(t), append([]string{"testdata/node.mjs", "verify.html", file}, mode...)...)
	cmd.Stderr = &stderr
	stdout, err := cmd.Output()
	if err != nil {
		t.Fatalf("%v: %s", err, stderr.Bytes())
	}
	t.Logf("signatures verified by %s", bytes.TrimSpace(stderr.Bytes()))
	var out []T
	for line := range bytes.Lines(stdout) {
		var one T
		if err := json.Unmarshal(line, &one); err != nil {
			t.Fatalf("%v: %s", err, line)
		}
		out = append(out, one)
	}
	if want := len(j.Bundles) + len(j.Signatures); len(out) != want {
		t.Fatalf("%d answers, want %d: %s", len(out), want, stderr.Bytes())
	}
	return out
}

// findNode returns the path of Node; crypto/cryptotest installs it where that is possible.
func findNode(t *testing.T) string {
	t.Helper()
	for _, name := range []string{"node", "nodejs"} {
		if path, err := exec.LookPath(name); err == nil {
			return path
		}
	}
	if os.Getenv("SEALTRAIL_NODE") == "none" {
		t.Skip("NOT CHECKED by Node: no node, and SEALTRAIL_NODE=none says that it cannot be had")
	}
	t.Fatal("no node to run testdata/node.mjs: install the package nodejs, or set SEALTRAIL_NODE=none to leave this unchecked")
	return ""
}

// TestNodeVerifiesTheSample: the sample of these tests is genuine to the core, with and without WebCrypto.
func TestNodeVerifiesTheSample(t *testing.T) {
	t.Parallel()
	s := newSample(t)
	file := filepath.Join(t.TempDir(), "sample.zip")
	if err := os.WriteFile(file, s.zip(t), 0o600); err != nil {
		t.Fatal(err)
	}
	j := jobs{Bundles: []job{{File: file, Keys: s.log.VerifierKey(), Witnesses: s.log.WitnessKey(), Pinned: [][]byte{s.log.Checkpoint()}}}}
	for _, mode := range [][]string{nil, {"own"}} {
		for _, v := range runNode[verdict](t, j, mode...) {
			if !v.OK || v.Code != "" || v.Unusable != 0 {
				t.Errorf("%v: %+v", mode, v)
			}
			t.Log(v.Steps)
		}
	}
}
