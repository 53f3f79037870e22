package publish_test

import (
	"context"
	"errors"
	"io/fs"
	"testing"
	"testing/fstest"

	"github.com/sealtrail/sealtrail/audit"
	"github.com/sealtrail/sealtrail/audit/audittest"
	"github.com/sealtrail/sealtrail/audit/publish"
)

// memory is a Store over a folder in memory; hook is called before each read.
type memory struct {
	fstest.MapFS
	hook func(path string)
}

func (m *memory) Put(context.Context, string, []byte) error { return errors.ErrUnsupported }
func (m *memory) Remove(context.Context, string) error      { return errors.ErrUnsupported }
func (m *memory) Get(_ context.Context, path string) ([]byte, error) {
	if m.hook != nil {
		m.hook(path)
	}
	return fs.ReadFile(m.MapFS, path)
}

func TestProveLeadsToTheCheckpoint(t *testing.T) {
	t.Parallel()
	l := audittest.New(audittest.Config{})
	l.Append(audittest.Bodies(700)...)
	l.Publish()
	store := &memory{MapFS: l.Folder()}
	for _, index := range []uint64{0, 255, 256, 511, 512, 699} {
		leaf := audit.LeafHash(l.Leaf(index))
		p, err := publish.Prove(t.Context(), store, index, leaf)
		if err != nil {
			t.Fatal(err)
		}
		c, err := audit.ParseCheckpoint(mustText(t, p.Checkpoint))
		if err != nil || p.Origin != l.Origin() || audit.VerifyInclusion(index, c.Size, leaf, p.Path, c.Root) != nil {
			t.Errorf("leaf %d is not proved: %v", index, err)
		}
		leaf[0] ^= 1
		if _, err := publish.Prove(t.Context(), store, index, leaf); err == nil {
			t.Errorf("another leaf is proved at %d", index)
		}
	}
	if _, err := publish.Prove(t.Context(), store, 700, [32]byte{}); !errors.Is(err, publish.ErrNotPublished) {
		t.Errorf("a leaf behind the checkpoint: %v", err)
	}
	if _, err := publish.Prove(t.Context(), &memory{MapFS: fstest.MapFS{}}, 0, [32]byte{}); !errors.Is(err, publish.ErrNotPublished) {
		t.Errorf("nothing published: %v", err)
	}
}

// TestProveWhileThePublisherGoesOn: a partial tile that was replaced between
// the reads of the checkpoint and of the tile is no failure.
func TestProveWhileThePublisherGoesOn(t *testing.T) {
	t.Parallel()
	before, after := audittest.New(audittest.Config{}), audittest.New(audittest.Config{})
	before.Append(audittest.Bodies(300)...)
	before.Publish()
	after.Append(audittest.Bodies(340)...)
	after.Publish()
	store := &memory{MapFS: before.Folder()}
	store.hook = func(path string) {
		if path != audit.CheckpointPath {
			store.MapFS = after.Folder() // with tiles of 84, without those of 44
		}
	}
	if _, err := publish.Prove(t.Context(), store, 290, audit.LeafHash(before.Leaf(290))); err != nil {
		t.Error(err)
	}
}

func mustText(t *testing.T, raw []byte) []byte {
	t.Helper()
	n, err := audit.SplitNote(raw)
	if err != nil {
		t.Fatal(err)
	}
	return n.Text
}
