package pgserver

import (
	"os"
	"os/user"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5"

	"github.com/sealtrail/sealtrail/internal/childproc"
)

// otherUser is what root becomes on a kernel that refuses user namespaces.
func otherUser(t *testing.T) *childproc.Identity {
	t.Helper()
	if os.Geteuid() != 0 {
		t.Skip("only root can become somebody else")
	}
	u, err := user.Lookup("nobody")
	if err != nil {
		t.Skip("this system has no user nobody")
	}
	uid, errU := strconv.Atoi(u.Uid)
	gid, errG := strconv.Atoi(u.Gid)
	if errU != nil || errG != nil {
		t.Fatal(errU, errG)
	}
	return &childproc.Identity{UID: uid, GID: gid}
}

func TestRootWithoutNamespacesBecomesSomebodyElse(t *testing.T) {
	t.Parallel()
	id := otherUser(t)
	parent, err := os.MkdirTemp("", "pgserver") // t.TempDir is closed to others
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := os.RemoveAll(parent); err != nil {
			t.Error(err)
		}
	})
	if err := os.Chmod(parent, 0o711); err != nil {
		t.Fatal(err)
	}
	s, err := startAs(t.Context(), Config{Dir: filepath.Join(parent, "pg")}, id)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Stop(); err != nil {
			t.Error(err)
		}
	})
	conn, err := pgx.Connect(t.Context(), s.AdminDSN())
	if err != nil {
		t.Fatal(err)
	}
	if err := conn.Close(t.Context()); err != nil {
		t.Error(err)
	}
}

func TestClosedParentFolderIsNamed(t *testing.T) {
	t.Parallel()
	id := otherUser(t)
	parent, err := os.MkdirTemp("", "pgserver") // mode 0700
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := os.RemoveAll(parent); err != nil {
			t.Error(err)
		}
	})
	if _, err := startAs(t.Context(), Config{Dir: filepath.Join(parent, "pg")}, id); err == nil || !strings.Contains(err.Error(), parent+" is closed") {
		t.Errorf("error = %v, want one that names the closed folder", err)
	}
}
