package e2e

import (
	"context"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"filippo.io/age"

	"github.com/sealtrail/sealtrail/crypto/disclosure"
)

// client runs sealtrail as somebody.
func (in *installation) client(t *testing.T, who, purpose string, args ...string) (string, int) {
	t.Helper()
	return in.run(t, "sealtrail", append([]string{"--server", in.API, "--token-file", in.TokenFile(who), "--purpose", purpose, "-o", "json"}, args...)...)
}

// says runs sealtrail and wants an exit code and words.
func (in *installation) says(t *testing.T, who string, code int, want string, args ...string) string {
	t.Helper()
	out, got := in.client(t, who, "handle", args...)
	if got != code || !strings.Contains(out, want) {
		t.Fatalf("sealtrail %s as %s: exit code %d, want %d and %q\n%s", strings.Join(args, " "), who, got, code, want, out)
	}
	return out
}

// TestSealedIntakeSurvivesATotalOutage: service, PostgreSQL and Vault are dead,
// killed; a client that was given the key before seals 100 drafts; everything
// comes back, and the spool is handed in twice.
func TestSealedIntakeSurvivesATotalOutage(t *testing.T) {
	in := own(t)
	dir := t.TempDir() // outside of the installation
	key, spool, again := filepath.Join(dir, "intake.key"), filepath.Join(dir, "spool"), filepath.Join(dir, "spool-again")
	eventually(t, "an intake key", func() bool {
		_, code := in.client(t, "intake-li", "handle", "intake", "key", "--out", key)
		return code == 0
	})
	in.publishedKey(t, key)
	if out, code := in.run(t, "sealtraild", in.operator("key", "intake-rotate", "--confirm", "demo-bank")...); code != 0 || !strings.Contains(out, "version 2") {
		t.Fatalf("rotating: exit code %d\n%s", code, out)
	}
	newer := filepath.Join(dir, "newer.key")
	in.says(t, "intake-li", 0, `"version": 2`, "intake", "key", "--out", newer)
	in.publishedKey(t, newer)
	marks := map[string]string{}
	var lines strings.Builder
	received := time.Now().Add(-20 * time.Hour).UTC().Truncate(time.Second)
	for n := range 100 {
		mark := fmt.Sprintf("sealed-mark-%d-%d", n, time.Now().UnixNano())
		marks[mark] = "sealed"
		d := draft(map[string]string{"narrative": mark})
		d["received_at"] = received.Format(time.RFC3339)
		raw, err := json.Marshal(d)
		must(t, err)
		lines.Write(append(raw, '\n'))
	}
	drafts := filepath.Join(dir, "drafts.jsonl")
	must(t, os.WriteFile(drafts, []byte(lines.String()), 0o600))
	before := in.count(t, "select count(*) from sealtrail.complaint")

	must(t, in.KillService())
	must(t, in.PG.Kill())
	must(t, in.Vault.Kill())
	in.says(t, "intake-li", 0, `"sealed": 100`, "intake", "seal", drafts, "--key", key, "--spool", spool)
	must(t, os.CopyFS(again, os.DirFS(spool)))
	in.says(t, "intake-li", 8, "run the same command again", "intake", "ingest", spool, "--tries", "1")

	ctx := context.Background()
	must(t, in.PG.Restart(ctx))
	must(t, in.Vault.Restart(ctx))
	must(t, in.Vault.Unseal(ctx))
	must(t, in.StartService(ctx))
	in.says(t, "intake-li", 0, `"recorded": 100`, "intake", "ingest", spool)
	in.says(t, "intake-li", 0, `"existing": 100`, "intake", "ingest", again)
	if got := in.count(t, "select count(*) from sealtrail.complaint") - before; got != 100 {
		t.Errorf("%d complaints were stored, want 100", got)
	}
	if got := in.count(t, "select count(*) from sealtrail.complaint where received_at = $1", received); got != 100 {
		t.Errorf("%d complaints keep the time of their receipt", got)
	}
	if got := in.count(t, `select count(*) from audit.entry where convert_from(body, 'UTF8') like '%"kind":"complaint.recorded"%' and convert_from(body, 'UTF8') like '%"late":true%'`); got != 100 {
		t.Errorf("%d entries say late", got)
	}
	must(t, in.StopService()) // it moves files that the search walks through
	for _, folder := range []string{in.Dir(), spool, again} {
		found, size := newFinder(t, marks).below(t, folder)
		t.Logf("%d markers looked for in %.1f MB of %s", len(marks), float64(size)/1e6, filepath.Base(folder))
		for file := range maps.Keys(found) {
			t.Errorf("%s holds what was sealed", file)
		}
	}
	if found, _ := newFinder(t, marks).below(t, filepath.Dir(drafts)); len(found) == 0 {
		t.Error("the search does not find what is there")
	}
}

// publishedKey checks that a key that a client was given is the one that the log
// and the published folder have.
func (in *installation) publishedKey(t *testing.T, file string) {
	t.Helper()
	raw, err := os.ReadFile(file)
	must(t, err)
	sum := fmt.Sprintf("%x", sha256.Sum256(raw))
	blob, err := os.ReadFile(filepath.Join(in.LogDir(), "blob", "sha256", sum))
	if err != nil || string(blob) != string(raw) {
		t.Errorf("the published folder has not the key %s: %v", sum, err)
	}
	if n := in.count(t, `select count(*) from audit.entry where convert_from(body, 'UTF8') like '%"kind":"intake.key_made"%' and convert_from(body, 'UTF8') like $1`,
		`%"public_sha256":"`+sum+`"%`); n != 1 {
		t.Errorf("%d entries name the key %s", n, sum)
	}
}

// TestAnInstitutionLeaves: everything in a package for the institution's own
// key, under three persons, by the commands of docs/operate/leaving.md.
func TestAnInstitutionLeaves(t *testing.T) {
	in := own(t)
	const n = 130
	for range n {
		in.create(t, draft(nil))
	}
	dir := t.TempDir()
	identity, err := age.GenerateHybridIdentity()
	must(t, err)
	public := filepath.Join(dir, "leaving.pub")
	must(t, os.WriteFile(public, []byte(identity.Recipient().String()+"\n"), 0o600))
	out := in.says(t, "legal-song", 0, `"requested"`, "disclosure", "request", "--scope", "institution", "--group", "identity", "--group", "contact",
		"--group", "narrative", "--recipient-file", public, "--name", "Demo Bank", "--basis", "migration", "--for-purpose", "legal",
		"--expires", time.Now().AddDate(0, 0, 7).Format(time.DateOnly))
	var asked struct {
		ID          string `json:"id"`
		Fingerprint string `json:"recipient_sha256"`
	}
	must(t, json.Unmarshal([]byte(out), &asked))
	file := filepath.Join(dir, "everything.age")
	in.says(t, "legal-song", 7, "state_conflict", "disclosure", "fetch", asked.ID, "--out", file)
	in.says(t, "compliance-ma", 0, `"approved"`, "disclosure", "approve", asked.ID)
	in.says(t, "dpo-xu", 0, `"confirmed"`, "disclosure", "confirm", asked.ID, "--confirm", asked.Fingerprint[:8])
	in.says(t, "legal-song", 0, fmt.Sprintf(`"records": %d`, n), "disclosure", "fetch", asked.ID, "--out", file)
	in.says(t, "legal-song", 7, "already_decided", "disclosure", "fetch", asked.ID, "--out", file+"2")

	sealed, err := os.Open(file)
	must(t, err)
	defer sealed.Close()
	r, err := disclosure.Open(sealed, identity)
	must(t, err)
	records := 0
	for {
		item, err := r.Next()
		if errors.Is(err, io.EOF) {
			break
		}
		must(t, err)
		if item.Record != nil {
			records++
		}
	}
	if records != n {
		t.Errorf("%d records, want %d", records, n)
	}
	if got := in.count(t, `select count(*) from audit.entry where convert_from(body, 'UTF8') like '%"kind":"access.disclosed"%'`); got != n {
		t.Errorf("%d intents access.disclosed for %d records", got, n)
	}
	must(t, in.StopService())
	found, _ := newFinder(t, map[string]string{"信用卡被多收了年费": "narrative"}).below(t, in.Dir())
	for f := range found {
		t.Errorf("%s holds a narrative", f)
	}
}
