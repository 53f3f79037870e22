package e2e

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/sealtrail/sealtrail/audit"
	"github.com/sealtrail/sealtrail/internal/s3test"
)

// TestPublishedFilesAreCopiedToAStore: what is published is soon in an
// S3-speaking store, too, where it verifies like the folder; the service goes on
// while the store is away, and catches up.
func TestPublishedFilesAreCopiedToAStore(t *testing.T) {
	t.Parallel()
	g := s3test.New(t)
	secret := func(name, text string) string {
		file := filepath.Join(t.TempDir(), name)
		must(t, os.WriteFile(file, []byte(text), 0o600))
		return file
	}
	in := own(t, "SEALTRAIL_PUBLISHED_S3_ENDPOINT="+g.Endpoint, "SEALTRAIL_PUBLISHED_S3_BUCKET="+s3test.Bucket, "SEALTRAIL_PUBLISHED_S3_PREFIX=logs",
		"SEALTRAIL_PUBLISHED_S3_ACCESS_KEY_FILE="+secret("access", g.AccessKey), "SEALTRAIL_PUBLISHED_S3_SECRET_KEY_FILE="+secret("secret", g.SecretKey),
		"SEALTRAIL_PUBLISHED_S3_CACERT="+secret("ca.pem", string(g.CACert)))
	copied := filepath.Join(g.Dir, s3test.Bucket, "logs", "demo-bank", filepath.Base(in.LogDir()))
	same := func() bool {
		there, err := os.ReadFile(filepath.Join(copied, "checkpoint"))
		here, errHere := os.ReadFile(filepath.Join(in.LogDir(), "checkpoint"))
		return err == nil && errHere == nil && string(there) == string(here)
	}
	in.published(t, in.create(t, draft(nil)).Audit.Entry)
	eventually(t, "the copy of what is published", same)
	g.Stop()
	in.published(t, in.create(t, draft(nil)).Audit.Entry) // nobody waits for the store
	g.Start()
	in.published(t, in.create(t, draft(nil)).Audit.Entry)
	eventually(t, "the copy to catch up", same)
	if out, code := in.run(t, "trailcheck", "verify", "--key", in.KeyFile(), copied); code != 0 {
		t.Errorf("trailcheck verify of the copy: exit code %d\n%s", code, out)
	}
	in.retains(t, copied, "--published-s3-endpoint", g.Endpoint, "--published-s3-bucket", s3test.Bucket, "--published-s3-prefix", "logs",
		"--published-s3-access-key-file", secret("access2", g.AccessKey), "--published-s3-secret-key-file", secret("secret2", g.SecretKey), "--published-s3-ca-cert", secret("ca2.pem", string(g.CACert)))
}

// retains lets go of the first bundle in PostgreSQL: only where the store holds
// it as it was published, and with an entry that says so.
func (in *installation) retains(t *testing.T, copied string, store ...string) {
	t.Helper()
	for in.checkpointSize() < 256 {
		items := make([]any, 40)
		for i := range items {
			items[i] = draft(nil)
		}
		a := in.answered(t, call{who: "app-core", method: "POST", path: "/v1/complaints:batch", body: map[string]any{"items": items}})
		if a.Status >= 300 {
			t.Fatalf("a batch: %d %s", a.Status, a.Body)
		}
	}
	bundle := filepath.Join(copied, filepath.FromSlash(audit.EntriesPath(0, 0)))
	eventually(t, "the first full bundle in the store", func() bool {
		_, err := os.Stat(bundle)
		raw, errCheckpoint := os.ReadFile(filepath.Join(copied, "checkpoint"))
		lines := strings.Split(string(raw), "\n")
		return err == nil && errCheckpoint == nil && len(lines) > 2 && len(lines[1]) >= 3 && lines[1] >= "256"
	})
	origin := "sealtrail.example/demo-bank/" + filepath.Base(in.LogDir())
	retain := func(confirm string) (string, int) {
		return in.run(t, "sealtraild", append([]string{"trail", "retain", "--institution", "demo-bank", "--database-url-file", in.databaseFile(), "--published", in.Published(),
			"--key", in.KeyFile(), "--before", "300", "--confirm", confirm}, store...)...)
	}
	moved := func() int {
		return in.count(t, `select count(*) from audit.entry where convert_from(body, 'UTF8') like '%"kind":"log.retained"%'`)
	}
	if out, code := retain("demo-bank"); code != 2 {
		t.Errorf("with a wrong --confirm: exit code %d\n%s", code, out)
	}
	whole, err := os.ReadFile(bundle)
	must(t, err)
	broken := append([]byte(nil), whole...)
	broken[len(broken)/2] ^= 1
	must(t, os.WriteFile(bundle, broken, 0o600))
	if out, code := retain(origin); code != 4 || moved() != 0 {
		t.Errorf("with a byte flipped in the store: exit code %d, %d entries\n%s", code, moved(), out)
	}
	must(t, os.WriteFile(bundle, whole, 0o600))
	if out, code := retain(origin); code != 0 || moved() != 1 || !strings.Contains(out, "index 256") {
		t.Errorf("exit code %d, %d entries\n%s", code, moved(), out)
	}
	if out, code := in.storedCheck(t); code != 0 {
		t.Errorf("sealtraild trail check afterwards: exit code %d\n%s", code, out)
	}
}
