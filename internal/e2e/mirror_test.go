package e2e

import (
	"os"
	"path/filepath"
	"testing"

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
}
