package publish_test

import (
	"errors"
	"strings"
	"testing"

	"github.com/sealtrail/sealtrail/audit"
	"github.com/sealtrail/sealtrail/audit/audittest"
	"github.com/sealtrail/sealtrail/audit/publish"
)

// A Reader goes on from its checkpoint whatever the publisher does meanwhile.
func TestReaderProvesAgainstOneCheckpoint(t *testing.T) {
	t.Parallel()
	l := audittest.New(audittest.Config{})
	l.Append(audittest.Bodies(300)...)
	l.Publish()
	old, err := audit.ParseCheckpoint(mustText(t, l.Checkpoint()))
	if err != nil {
		t.Fatal(err)
	}
	l.Append(audittest.Bodies(700)[300:]...)
	l.Publish()
	store := &memory{MapFS: l.Folder()}
	r, err := publish.NewReader(t.Context(), store)
	if err != nil {
		t.Fatal(err)
	}
	for path := range store.MapFS { // the publisher went on: partial files are gone
		if strings.Contains(path, ".p/") {
			delete(store.MapFS, path)
		}
	}
	for _, index := range []uint64{0, 255, 256, 511, 512, 699} {
		leaf, path, err := r.Entry(t.Context(), index)
		if err != nil {
			t.Fatal(err)
		}
		if string(leaf) != string(l.Leaf(index)) {
			t.Errorf("leaf %d is another", index)
		}
		if err := audit.VerifyInclusion(index, 700, audit.LeafHash(leaf), path, r.Checkpoint().Root); err != nil {
			t.Errorf("leaf %d: %v", index, err)
		}
	}
	path, err := r.Extends(t.Context(), old.Size)
	if err != nil || audit.VerifyConsistency(old.Size, 700, old.Root, r.Checkpoint().Root, path) != nil {
		t.Errorf("the checkpoint does not extend the older one: %v", err)
	}
	if _, _, err := r.Entry(t.Context(), 700); !errors.Is(err, publish.ErrNotPublished) {
		t.Errorf("a leaf behind the checkpoint: %v", err)
	}
	if _, err := r.Extends(t.Context(), 700); !errors.Is(err, publish.ErrNotPublished) {
		t.Errorf("its own size: %v", err)
	}
}

func TestReaderShowsNothingThatWasNotSigned(t *testing.T) {
	t.Parallel()
	l := audittest.New(audittest.Config{})
	l.Append(audittest.Bodies(300)...)
	l.Publish()
	for _, path := range []string{audit.EntriesPath(0, audit.TileWidth), audit.TilePath(0, 0, audit.TileWidth)} {
		r, err := publish.NewReader(t.Context(), &memory{MapFS: audittest.Flip(l.Folder(), path, 8*40)})
		if err != nil {
			t.Fatal(err)
		}
		if _, _, err := r.Entry(t.Context(), 0); err == nil {
			t.Errorf("%s was changed, and its entry is shown", path)
		}
	}
}
