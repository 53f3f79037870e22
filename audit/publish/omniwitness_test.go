package publish_test

import (
	"bytes"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	fnote "github.com/transparency-dev/formats/note"
	"golang.org/x/mod/sumdb/note"

	"github.com/sealtrail/sealtrail/audit"
	"github.com/sealtrail/sealtrail/audit/publish"
	"github.com/sealtrail/sealtrail/audit/verify"
)

// buildOmniwitness builds transparency-dev's omniwitness as it is, from a module of its own; the Go build cache keeps what it needs.
func buildOmniwitness(t *testing.T) string {
	t.Helper()
	out := filepath.Join(t.TempDir(), "omniwitness")
	cmd := exec.Command("go", "build", "-C", filepath.Join("..", "..", "tools", "omniwitness"), "-trimpath", "-buildvcs=false", "-o", out,
		"github.com/transparency-dev/witness/cmd/omniwitness")
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0", "GOWORK=off")
	if text, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("building omniwitness: %v\n%s", err, text)
	}
	return out
}

// omniwitness runs the program with our log as its additional log and its state in dir, until stop is called.
func omniwitness(t *testing.T, program, dir, vkey string) (url string, stop func()) {
	t.Helper()
	config := filepath.Join(dir, "logs.yaml")
	yaml := fmt.Sprintf("Logs:\n  - Origin: %s\n    PublicKey: %s\n    URL: http://127.0.0.1:1/\n", shard.Origin, vkey)
	if err := os.WriteFile(config, []byte(yaml), 0o600); err != nil {
		t.Fatal(err)
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	address := l.Addr().String()
	_ = l.Close()
	ctx, cancel := context.WithCancel(context.Background())
	cmd := exec.CommandContext(ctx, program, "--listen", address, "--metrics_listen=", "--additional_logs", config,
		"--private_key_path", filepath.Join(dir, "key"), "--db_file", filepath.Join(dir, "state.db"))
	var said bytes.Buffer
	cmd.Stdout, cmd.Stderr = &said, &said
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	stopped := false
	stop = func() {
		if !stopped {
			stopped = true
			cancel()
			_ = cmd.Wait()
		}
	}
	t.Cleanup(stop)
	waitFor(t, "omniwitness answering", func() bool {
		resp, err := http.Get("http://" + address + "/")
		if err == nil {
			_ = resp.Body.Close()
		}
		return err == nil
	})
	return "http://" + address, stop
}

// A witness that nobody here wrote cosigns our log over tlog-witness, our reader verifies what it signed, it remembers across a
// restart, and it refuses a second history of our log that our own key signed.
func TestOmniwitnessCosignsUsAndRefusesOurFork(t *testing.T) {
	t.Parallel()
	program, dir := buildOmniwitness(t), t.TempDir()
	skey, plain, err := note.GenerateKey(rand.Reader, "omniwitness.example/outside")
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, "key"), []byte(skey), 0o600); err != nil {
		t.Fatal(err)
	}
	vkey, err := fnote.VKeyToCosignatureV1(plain)
	if err != nil {
		t.Fatal(err)
	}
	e := newEnv(t)
	url, stop := omniwitness(t, program, dir, e.signer.vkey)
	client := func() *publish.WitnessClient {
		c, err := publish.NewWitnessClient(t.Context(), publish.WitnessClientConfig{URL: url, VerifierKey: vkey})
		if err != nil {
			t.Fatal(err)
		}
		return c
	}
	p := e.publisherWith(publish.Config{Witnesses: []publish.Witness{client()}, RequireWitnesses: 1, WitnessDeadline: 10 * time.Second})
	size := uint64(0)
	for _, n := range []int{3, 300, 1} {
		e.grow(n)
		size += uint64(n)
		if err := p.Publish(t.Context()); err != nil {
			t.Fatal(err)
		}
		wantVerified(t, e, vkey, size)
	}
	stop()
	url, _ = omniwitness(t, program, dir, e.signer.vkey)
	e.grow(20)
	// Another process of ours, which does not know where the witness stands.
	again := e.publisherWith(publish.Config{Witnesses: []publish.Witness{client()}, RequireWitnesses: 1, WitnessDeadline: 10 * time.Second})
	if err := again.Publish(t.Context()); err != nil {
		t.Fatal(err)
	}
	wantVerified(t, e, vkey, size+20)

	fork := newEnv(t)
	fork.signer = e.signer
	fork.grow(int(size) + 50)
	p = fork.publisherWith(publish.Config{Witnesses: []publish.Witness{client()}, RequireWitnesses: 1, WitnessDeadline: 10 * time.Second})
	if err := p.Publish(t.Context()); !errors.Is(err, publish.ErrWitnesses) || fork.checkpoint().Size != 0 {
		t.Errorf("Publish of a fork: %v, size %d; want ErrWitnesses and nothing published", err, fork.checkpoint().Size)
	}
}

// wantVerified verifies the published folder as trailcheck does, with that witness required.
func wantVerified(t *testing.T, e *env, vkey string, size uint64) {
	t.Helper()
	rep, err := verify.Verify(t.Context(), e.store.FS(), verify.Options{VerifierKey: e.signer.vkey, Witnesses: []string{vkey}})
	if err != nil {
		t.Fatal(err)
	}
	if step := rep.Step(verify.StepWitnesses); step.Status != verify.OK || rep.Counts.Cosigned != size || time.Since(rep.Counts.CosignedAt) > time.Minute {
		raw, _ := e.store.Get(t.Context(), audit.CheckpointPath)
		t.Errorf("step 2 %+v, cosigned %d at %v, want %d\n%s", step, rep.Counts.Cosigned, rep.Counts.CosignedAt, size, strings.TrimSpace(string(raw)))
	}
}
