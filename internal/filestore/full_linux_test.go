package filestore_test

import (
	"errors"
	"os"
	"path/filepath"
	"syscall"
	"testing"

	"github.com/sealtrail/sealtrail/internal/filestore"
)

// A disk that fills up in the middle of a file: a clear error, nothing visible,
// nothing left, and what was there before stays readable. Only root can mount
// the small file system that this takes.
func TestAFullDiskLeavesNothingBehind(t *testing.T) {
	t.Parallel()
	if os.Geteuid() != 0 {
		t.Skip("not root: no file system can be mounted that could be filled")
	}
	dir := t.TempDir()
	err := syscall.Mount("tmpfs", dir, "tmpfs", 0, "size=4m,mode=700")
	if errors.Is(err, syscall.EPERM) || errors.Is(err, syscall.EACCES) {
		t.Skipf("root may not mount here: %v", err)
	}
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := syscall.Unmount(dir, syscall.MNT_DETACH); err != nil {
			t.Error(err)
		}
	})
	f := filestore.NewFolder(filepath.Join(dir, "files"))
	t.Cleanup(func() { _ = f.Close() })
	put(t, f, "a/b", content(1<<20))
	if _, err := f.Put(t.Context(), "a/c", &endless{}); !errors.Is(err, filestore.ErrFull) {
		t.Errorf("Put on a full disk: %v", err)
	}
	if got := listed(t, f); len(got) != 1 {
		t.Errorf("visible: %v", got)
	}
	left, err := os.ReadDir(filepath.Join(dir, "files", ".partial"))
	if err != nil || len(left) != 0 {
		t.Errorf("%d unfinished files left, %v", len(left), err)
	}
	put(t, f, "a/d", content(2<<20)) // there is room again
	if got, err := get(t, f, "a/b", 0, 1<<20); err != nil || len(got) != 1<<20 {
		t.Errorf("the earlier file: %d bytes, %v", len(got), err)
	}
}

type endless struct{}

func (*endless) Read(p []byte) (int, error) { return len(p), nil }
