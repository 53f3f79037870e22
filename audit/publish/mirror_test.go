package publish_test

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/sealtrail/sealtrail/audit"
	"github.com/sealtrail/sealtrail/audit/pglog"
	"github.com/sealtrail/sealtrail/audit/publish"
	"github.com/sealtrail/sealtrail/audit/verify"
)

// mirrored is a log and a second folder that it is mirrored to.
type mirrored struct {
	*env
	p      *publish.Publisher
	copy   *publish.Folder
	mirror *publish.Mirror
}

func newMirrored(t *testing.T) *mirrored {
	t.Helper()
	e := newEnv(t)
	folder, err := publish.NewFolder(filepath.Join(t.TempDir(), "copy"))
	if err != nil {
		t.Fatal(err)
	}
	m := &mirrored{env: e, p: e.publisher(), copy: folder}
	m.mirror = m.newMirror(folder)
	return m
}

func (m *mirrored) newMirror(to publish.Store) *publish.Mirror {
	m.t.Helper()
	tree := pglog.NewTree(m.pool, shard)
	mirror, err := publish.NewMirror(publish.MirrorConfig{From: m.store.Folder, To: to, Origin: shard.Origin, VerifierKey: m.signer.vkey,
		Sizes: func(ctx context.Context, from uint64) (sizes []uint64, err error) {
			list, err := tree.Checkpoints(ctx, from+1)
			for _, c := range list {
				sizes = append(sizes, c.Size)
			}
			return sizes, err
		}})
	if err != nil {
		m.t.Fatal(err)
	}
	return mirror
}

func (m *mirrored) publish(n int) {
	m.t.Helper()
	m.grow(n)
	if err := m.p.Publish(m.t.Context()); err != nil {
		m.t.Fatal(err)
	}
}

func (m *mirrored) sync() {
	m.t.Helper()
	if err := m.mirror.Sync(m.t.Context()); err != nil {
		m.t.Fatal(err)
	}
}

// files lists a folder's files with their bytes.
func files(t *testing.T, folder *publish.Folder) map[string]string {
	t.Helper()
	all := map[string]string{}
	err := fs.WalkDir(folder.FS(), ".", func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		raw, err := fs.ReadFile(folder.FS(), path)
		all[path] = string(raw)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return all
}

func TestMirrorHoldsEveryPublishedFile(t *testing.T) {
	t.Parallel()
	m := newMirrored(t)
	m.sync() // nothing published
	for round, n := range []int{3, 200, 400, 1, 30} {
		m.publish(n)
		if _, err := m.p.PutBlob(t.Context(), []byte{byte(round)}); err != nil {
			t.Fatal(err)
		}
		if round == 2 {
			m.mirror = m.newMirror(m.copy) // another process goes on
		}
		if round != 3 { // one sync for two checkpoints
			m.sync()
		}
	}
	want, got := files(t, m.store.Folder), files(t, m.copy)
	for path := range want { // the folder keeps partial files for a round longer
		if filepath.Base(filepath.Dir(path)) != "checkpoints" && filepath.Ext(filepath.Dir(path)) == ".p" && got[path] == "" {
			delete(want, path)
		}
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("published and mirrored files differ (-want +got):\n%s", diff)
	}
	report, err := verify.Verify(t.Context(), m.copy.FS(), verify.Options{VerifierKey: m.signer.vkey})
	if err != nil || !report.OK() {
		t.Errorf("the copy does not verify: %+v, %v", report, err)
	}
	if s := m.mirror.Status(); s.Size != 634 || !s.Behind.IsZero() || s.Err != nil {
		t.Errorf("status %+v", s)
	}
}

// forgetful says that it stored a file, and did not.
type forgetful struct {
	*publish.Folder
	path string
}

func (f forgetful) Put(ctx context.Context, path string, contents []byte) error {
	if path == f.path {
		contents = contents[:len(contents)-1]
	}
	return f.Folder.Put(ctx, path, contents)
}

func TestMirrorBelievesNoStore(t *testing.T) {
	t.Parallel()
	m := newMirrored(t)
	m.publish(300)
	mirror := m.newMirror(forgetful{m.copy, audit.EntriesPath(0, 0)})
	if err := mirror.Sync(t.Context()); !errors.Is(err, publish.ErrStored) {
		t.Errorf("Sync to a store that loses a byte: %v, want ErrStored", err)
	}
	if _, err := m.copy.Get(t.Context(), audit.CheckpointPath); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("the copy has a checkpoint for what it does not hold: %v", err)
	}
	if s := mirror.Status(); s.Behind.IsZero() || s.Err == nil {
		t.Errorf("status %+v, want behind", s)
	}
}

// Every byte of every stored bundle and tile below the bound counts.
func TestVerifyStoredFindsEveryDamage(t *testing.T) {
	t.Parallel()
	m := newMirrored(t)
	m.publish(700)
	m.sync()
	check := func(from, to uint64) (uint64, error) {
		return publish.VerifyStored(t.Context(), publish.StoredConfig{Store: m.copy, Origin: shard.Origin, VerifierKey: m.signer.vkey, From: from, To: to})
	}
	for _, c := range []struct{ from, to, want uint64 }{{0, 700, 512}, {0, 512, 512}, {256, 600, 512}, {0, 255, 0}} {
		if got, err := check(c.from, c.to); err != nil || got != c.want {
			t.Errorf("entries %d to %d: verified to %d, %v; want %d", c.from, c.to, got, err, c.want)
		}
	}
	if _, err := check(0, 1024); !errors.Is(err, publish.ErrStored) {
		t.Errorf("beyond the checkpoint: %v, want ErrStored", err)
	}
	for _, path := range []string{audit.EntriesPath(0, 0), audit.EntriesPath(1, 0), audit.TilePath(0, 0, 0), audit.TilePath(0, 1, 0), audit.CheckpointPath} {
		name := filepath.Join(m.copy.Root(), filepath.FromSlash(path))
		whole, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		for _, at := range []int{0, len(whole) / 2, len(whole) - 1} {
			broken := append([]byte(nil), whole...)
			broken[at] ^= 1
			if err := os.WriteFile(name, broken, 0o600); err != nil {
				t.Fatal(err)
			}
			if _, err := check(0, 700); !errors.Is(err, publish.ErrStored) {
				t.Errorf("%s with byte %d flipped: %v, want ErrStored", path, at, err)
			}
		}
		if err := os.Remove(name); err != nil {
			t.Fatal(err)
		}
		if _, err := check(0, 700); !errors.Is(err, publish.ErrStored) {
			t.Errorf("without %s: %v, want ErrStored", path, err)
		}
		if err := os.WriteFile(name, whole, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	// A copy of another log's beginning under our checkpoint.
	if got, err := check(0, 700); err != nil || got != 512 {
		t.Errorf("afterwards: %d, %v", got, err)
	}
}
