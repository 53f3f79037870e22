package publish_test

import (
	"bytes"
	"context"
	"fmt"
	"math/rand/v2"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/sealtrail/sealtrail/audit"
	"github.com/sealtrail/sealtrail/audit/publish"
)

// tool builds a program of the tools module and returns its path. Tessera is a program beside ours: it never enters our go.mod.
func tool(t *testing.T, pkg string) string {
	t.Helper()
	out := filepath.Join(t.TempDir(), filepath.Base(pkg))
	cmd := exec.Command("go", "build", "-C", filepath.Join("..", "..", "tools"), "-o", out, pkg)
	if text, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("building %s from the tools module: %v\n%s", pkg, err, text)
	}
	return out
}

// Tessera's own fsck reads the published folder over HTTP, re-hashes every entry and re-builds every tile.
func TestTesseraFsckPasses(t *testing.T) {
	t.Parallel()
	fsck := tool(t, "github.com/transparency-dev/tessera/cmd/fsck")
	e := newEnv(t)
	p := e.publisher()
	for _, n := range []int{1, 254, 1, 1, 700, 66_000} { // sizes 1, 255, 256, 257, 957 and 66957, which has a full tile on level 1
		e.grow(n)
		if err := p.Publish(t.Context()); err != nil {
			t.Fatal(err)
		}
		if said, ok := runFsck(t, fsck, e); !ok {
			t.Fatalf("fsck at size %d:\n%s", e.checkpoint().Size, said)
		}
	}
	for _, path := range []string{audit.EntriesPath(3, 0), audit.TilePath(0, 200, 0), audit.TilePath(1, 0, 0)} {
		if err := flip(e, path); err != nil {
			t.Fatal(err)
		}
		if said, ok := runFsck(t, fsck, e); ok {
			t.Errorf("fsck passes although a byte of %s was flipped:\n%s", path, said)
		}
		if err := flip(e, path); err != nil {
			t.Fatal(err)
		}
	}
}

// runFsck serves the folder on loopback. fsck exits 0 whatever it finds, so its words decide.
func runFsck(t *testing.T, fsck string, e *env) (said string, ok bool) {
	t.Helper()
	server := httptest.NewServer(publish.Handler(e.store.FS()))
	defer server.Close()
	key := filepath.Join(t.TempDir(), "log.vkey")
	if err := os.WriteFile(key, []byte(e.signer.vkey), 0o600); err != nil {
		t.Fatal(err)
	}
	var out bytes.Buffer
	cmd := exec.CommandContext(context.Background(), fsck, "-ui=false", "-v=1", "-logtostderr", "-N=4", "-storage_url="+server.URL+"/", "-public_key="+key)
	cmd.Stdout, cmd.Stderr = &out, &out
	err := cmd.Run()
	said = out.String()
	return said, err == nil && strings.Contains(said, "Completed ranges") && !strings.Contains(said, "fsck failed") &&
		!strings.Contains(said, "Invalid") && !strings.Contains(said, "invalid")
}

func TestTilePathsEqualTesseras(t *testing.T) {
	t.Parallel()
	var in, want bytes.Buffer
	add := func(level int, index uint64, width int) {
		fmt.Fprintf(&in, "%d %d %d\nentries %d %d\n", level, index, width, index, width)
		fmt.Fprintf(&want, "%s\n%s\n", audit.TilePath(level, index, width), audit.EntriesPath(index, width))
	}
	for _, index := range []uint64{0, 1, 255, 256, 999, 1000, 1001, 999_999, 1_000_000, 1_234_067, 123_456_789, 1<<40 + 7} {
		for _, width := range []int{0, 1, 7, 255} {
			add(0, index, width)
			add(5, index, width)
		}
	}
	for range 2000 {
		add(rand.IntN(8), rand.Uint64()>>rand.IntN(64), rand.IntN(256))
	}
	cmd := exec.Command(tool(t, "./tilepaths"))
	cmd.Stdin = &in
	got, err := cmd.Output()
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(got, want.Bytes()) {
		t.Error("our tile paths are not Tessera's")
	}
}

// fsck while the log grows: every checkpoint that a reader can fetch is complete.
func TestTesseraFsckPassesWhileTheLogGrows(t *testing.T) {
	t.Parallel()
	fsck := tool(t, "github.com/transparency-dev/tessera/cmd/fsck")
	e := newEnv(t)
	p := e.publisher()
	e.grow(10)
	if err := p.Publish(t.Context()); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	var wg sync.WaitGroup
	wg.Go(func() {
		for ctx.Err() == nil {
			e.grow(40)
			if err := p.Publish(context.Background()); err != nil {
				t.Error(err)
			}
		}
	})
	for range 3 {
		if said, ok := runFsck(t, fsck, e); !ok {
			t.Errorf("fsck at size %d:\n%s", e.checkpoint().Size, said)
		}
	}
	cancel()
	wg.Wait()
}
