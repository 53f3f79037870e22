package server_test

import (
	"bytes"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	fnote "github.com/transparency-dev/formats/note"
	"golang.org/x/mod/sumdb/note"

	"github.com/sealtrail/sealtrail/audit/publish"
)

// The quorum of the policy file falls silent and comes back: each is an entry and a metric, and with a greatest age the service says
// that it is not ready and publishes nothing meanwhile.
func TestSilenceOfWitnessesIsAnEntry(t *testing.T) {
	t.Parallel()
	s, dir := newSite(t), t.TempDir()
	keyFile := filepath.Join(dir, "witness.key")
	key, err := publish.LoadWitnessKey(keyFile, "witness.example/audit")
	must(t, err)
	skey, err := os.ReadFile(keyFile)
	must(t, err)
	signer, err := fnote.NewSignerForCosignatureV1(strings.TrimSpace(string(skey)))
	must(t, err)
	var answers atomic.Bool
	witness := httptest.NewServer(http.HandlerFunc(func(out http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		_, checkpoint, ok := bytes.Cut(body, []byte("\n\n")) // behind the proof
		text, _, ok2 := bytes.Cut(checkpoint, []byte("\n\n"))
		if !answers.Load() || !ok || !ok2 {
			http.Error(out, "away", http.StatusServiceUnavailable)
			return
		}
		signed, err := note.Sign(&note.Note{Text: string(text) + "\n"}, signer)
		if err != nil {
			t.Error(err)
			return
		}
		_, _ = out.Write(signed[len(text)+2:])
	}))
	t.Cleanup(witness.Close)
	s.cfg.WitnessPolicy = filepath.Join(dir, "policy")
	must(t, os.WriteFile(s.cfg.WitnessPolicy, []byte(fmt.Sprintf("witness audit %s %s\ngroup all-of-us all audit\nquorum all-of-us\n", key.VerifierKey(), witness.URL)), 0o600))
	s.cfg.WitnessStale, s.cfg.WitnessMaxAge = time.Second, time.Second
	s.run()
	s.await("witness.stale of the witness and of the quorum", func() bool { return s.count("witness.stale") == 2 })
	ready := func() int { return get("http://" + s.cfg.OpsListen + "/readyz") }
	s.await("not ready", func() bool { return ready() == http.StatusServiceUnavailable })
	if found, err := filepath.Glob(filepath.Join(s.cfg.Published, "*", "*", "checkpoint")); err != nil || len(found) != 0 {
		t.Errorf("published without a quorum: %v, %v", found, err)
	}
	answers.Store(true)
	s.await("witness.recovered of both", func() bool { return s.count("witness.recovered") == 2 })
	s.await("ready", func() bool { return ready() == http.StatusOK })
	metrics, err := http.Get("http://" + s.cfg.OpsListen + "/metrics")
	must(t, err)
	defer metrics.Body.Close()
	text, err := io.ReadAll(metrics.Body)
	must(t, err)
	for _, want := range []string{`sealtrail_witness_age_seconds{`, `witness="quorum"`, `witness="witness.example/audit"`, `sealtrail_witness_lag{`, `sealtrail_witness_alarms_total{kind="witness_stale"`} {
		if !bytes.Contains(text, []byte(want)) {
			t.Errorf("metrics lack %s", want)
		}
	}
}
