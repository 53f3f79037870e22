package server_test

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/sealtrail/sealtrail/audit/publish"
)

// away is a store that can be away.
type away struct {
	*publish.Folder
	gone bool
}

func (a *away) Get(ctx context.Context, path string) ([]byte, error) {
	if a.gone {
		return nil, errors.New("the store is away")
	}
	return a.Folder.Get(ctx, path)
}

// TestACopyThatStaysBehindIsAnAlarm: one line and one entry when it is behind
// for too long, one entry when it is whole again, however many rounds.
func TestACopyThatStaysBehindIsAnAlarm(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	logs, _ := s.run()
	var checkpoints []string
	s.await("a published checkpoint", func() (there bool) {
		checkpoints, _ = filepath.Glob(filepath.Join(s.cfg.Published, "*", "*", "checkpoint")) // the pattern is a constant
		return len(checkpoints) == 1
	})
	from, err := publish.NewFolder(filepath.Dir(checkpoints[0]))
	must(t, err)
	to, err := publish.NewFolder(filepath.Join(t.TempDir(), "copy"))
	must(t, err)
	raw, err := os.ReadFile(checkpoints[0])
	must(t, err)
	origin, _, _ := strings.Cut(string(raw), "\n")
	store := &away{Folder: to, gone: true}
	m, err := publish.NewMirror(publish.MirrorConfig{From: from, To: store, Origin: origin, VerifierKey: s.srv.VerifierKey()})
	must(t, err)
	for _, gone := range []bool{true, true, false, false} {
		store.gone = gone
		if err := m.Sync(t.Context()); (err != nil) != gone {
			t.Fatalf("store away: %v, Sync: %v", gone, err)
		}
		s.srv.MirrorAlarm(t.Context(), m)
	}
	if behind, whole := s.count("mirror.behind"), s.count("mirror.recovered"); behind != 1 || whole != 1 {
		t.Errorf("%d entries mirror.behind and %d mirror.recovered, want one of each", behind, whole)
	}
	if n := strings.Count(logs.String(), "the store lacks published files"); n != 1 {
		t.Errorf("%d lines, want 1", n)
	}
}
