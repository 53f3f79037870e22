package server_test

import (
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/sealtrail/sealtrail/audit"
	"github.com/sealtrail/sealtrail/audit/publish"
	"github.com/sealtrail/sealtrail/audit/verify"
	"github.com/sealtrail/sealtrail/internal/server"
)

// The service publishes without the second key, says so, and adds its line when the file is there; the published folder then
// verifies with both keys.
func TestSecondKeyFile(t *testing.T) {
	t.Parallel()
	s, year := newSite(t), time.Now().UTC().Year()
	s.cfg.SecondKeyFile = filepath.Join(t.TempDir(), "second.key")
	s.run()
	s.await("a checkpoint without the key", func() bool { return len(s.checkpoint()) > 0 })
	if n, err := audit.SplitNote(s.checkpoint()); err != nil || len(n.Sigs) != 1 {
		t.Errorf("%d lines, %v", len(n.Sigs), err)
	}
	key, err := publish.NewSecondKey(s.cfg.SecondKeyFile, server.Origin(s.cfg.LogDomain, s.cfg.Institution, year))
	must(t, err)
	v, err := audit.NewSecondVerifier(key.VerifierKey())
	must(t, err)
	s.await("the second line", func() bool {
		n, err := audit.SplitNote(s.checkpoint())
		return err == nil && len(n.Sigs) == 2 && n.Sigs[1].KeyID == v.KeyHash() && v.Verify(n.Text, n.Sigs[1].Sig)
	})
	reports, err := verify.VerifyAll(t.Context(), os.DirFS(s.cfg.Published), verify.Options{VerifierKey: s.srv.VerifierKey(), SecondKeys: []string{key.VerifierKey()}})
	must(t, err)
	if len(reports) != 1 || !reports[0].OK() || len(reports[0].Step(verify.StepSignature).Notes) == 0 {
		t.Errorf("not whole under both keys: %+v", reports[0].Step(verify.StepSignature))
	}
}

func (s *site) checkpoint() []byte {
	found, err := filepath.Glob(filepath.Join(s.cfg.Published, "*", "*", "checkpoint"))
	if err != nil || len(found) == 0 {
		return nil
	}
	raw, err := os.ReadFile(found[0])
	must(s.t, err)
	return raw
}
