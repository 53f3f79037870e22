package e2e

import (
	"context"
	"errors"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/sealtrail/sealtrail/internal/custody"
	"github.com/sealtrail/sealtrail/internal/scratch"
)

// TestFullDisks fills the disk of the published folder and then PostgreSQL's.
// Both are small file systems in memory, which only root can mount; what this
// test shows of the published folder, TestPublishedFolderAway shows for anybody.
func TestFullDisks(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("not root: no file system can be mounted that could be filled")
	}
	dir, err := scratch.New("e2e")
	must(t, err)
	published, database := filepath.Join(dir.Path, "published"), filepath.Join(dir.Path, "postgres")
	t.Cleanup(func() { must(t, dir.Remove()) })
	mount(t, published, "size=6m,mode=755")
	mount(t, database, "size=220m,mode=700")
	in, err := startIn(dir)
	must(t, err)
	t.Cleanup(func() { must(t, in.Stop()) })
	in.explain(t)
	pid := in.ServicePid()
	fullPublished(t, in)
	fullDatabase(t, in)
	if got := in.ServicePid(); got != pid || got == 0 {
		t.Errorf("the service was process %d and is %d", pid, got)
	}
	in.checkWhole(t)
	if out, code := in.run(t, "trailcheck", "verify", "--key", in.KeyFile(), in.LogDir()); code != 0 {
		t.Errorf("trailcheck verify: exit code %d\n%s", code, out)
	}
}

func mount(t *testing.T, dir, options string) {
	t.Helper()
	must(t, os.MkdirAll(dir, 0o755))
	err := syscall.Mount("tmpfs", dir, "tmpfs", 0, options)
	if errors.Is(err, syscall.EPERM) || errors.Is(err, syscall.EACCES) {
		t.Skipf("root may not mount here: %v", err)
	}
	must(t, err)
	t.Cleanup(func() { must(t, syscall.Unmount(dir, syscall.MNT_DETACH)) })
}

// fill leaves no room below dir; the function returned gives it back.
func fill(t *testing.T, dir string) (free func()) {
	t.Helper()
	name := filepath.Join(dir, "filler")
	f, err := os.Create(name)
	must(t, err)
	block := make([]byte, 64<<10)
	for err = nil; err == nil; {
		_, err = f.Write(block)
	}
	if !errors.Is(err, syscall.ENOSPC) {
		t.Fatalf("filling a disk: %v", err)
	}
	for err = nil; err == nil; { // and what is left of the last block
		_, err = f.Write(block[:512])
	}
	must(t, f.Close())
	return func() { must(t, os.Remove(name)) }
}

// fullPublished: nothing stops, for entries are durable in PostgreSQL; readiness
// says so; the log catches up by itself.
func fullPublished(t *testing.T, in *installation) {
	t.Helper()
	free := fill(t, in.Published())
	var last *custody.Created
	eventually(t, "/readyz to say that nothing is published", func() bool {
		last = in.create(t, draft(nil))
		got := in.ready(t)
		return strings.HasPrefix(got, "503") && strings.Contains(got, "published")
	})
	free()
	in.published(t, last.Audit.Entry)
	eventually(t, "/readyz", func() bool { return strings.HasPrefix(in.ready(t), "200") })
}

// fullDatabase: 503 with a stable code in time, nothing half-written, and
// healing once there is room. PostgreSQL itself may have ended (it must when it
// cannot write its log): then an operator starts it again.
func fullDatabase(t *testing.T, in *installation) {
	t.Helper()
	s := prepare(t, in)
	free := fill(t, filepath.Join(in.Dir(), "postgres"))
	text := strings.Repeat("客户多次来电反映费用问题。", 1500)
	eventually(t, "a create to be refused", func() bool {
		a := in.answered(t, call{who: "intake-li", method: "POST", path: "/v1/complaints", body: draft(map[string]string{"narrative": text})})
		if a.Status == http.StatusCreated {
			return false
		}
		if code := codeOf(a); a.Status != http.StatusServiceUnavailable || (code != "database_unavailable" && code != "audit_unavailable") {
			t.Fatalf("create on a full disk: got %d %s", a.Status, a.Body)
		}
		return true
	})
	for name, got := range s.probe() {
		if got.err != nil || got.took > withinDeadline || got.Status >= 500 && got.Status != http.StatusServiceUnavailable {
			t.Errorf("full disk: %s: %v %d after %s", name, got.err, got.Status, got.took)
		}
	}
	free()
	if err := ping(in); err != nil {
		t.Logf("PostgreSQL ended on its full disk and is started again: %v", err)
		must(t, in.PG.Restart(context.Background()))
	}
	s.warm(t, "full disk")
}

func ping(in *installation) error {
	conn, err := in.Admin(context.Background())
	if err != nil {
		return err
	}
	return conn.Close(context.Background())
}
