package publish_test

import (
	"errors"
	"io/fs"
	"testing"

	"github.com/sealtrail/sealtrail/audit"
	"github.com/sealtrail/sealtrail/audit/publish"
)

func TestHeadsAreWhatWasCommittedTo(t *testing.T) {
	t.Parallel()
	store, err := publish.NewFolder(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	file, err := audit.NewHeadFile([]audit.Head{{Key: audit.HeadKey("complaint:1"), N: 2}, {Key: audit.HeadKey("complaint:2"), N: 1}})
	if err != nil {
		t.Fatal(err)
	}
	if err := publish.PutHeads(t.Context(), store, 3, file); err != nil {
		t.Fatal(err)
	}
	if got, err := publish.GetHeads(t.Context(), store, 3, file.Root()); err != nil || got.Root() != file.Root() {
		t.Fatalf("%v", err)
	}
	for i := range file {
		bad := append(audit.HeadFile{}, file...)
		bad[i] ^= 1
		if err := publish.PutHeads(t.Context(), store, 4, bad); err != nil {
			t.Fatal(err)
		}
		if _, err := publish.GetHeads(t.Context(), store, 4, file.Root()); !errors.Is(err, audit.ErrHeads) {
			t.Fatalf("byte %d flipped: %v", i, err)
		}
	}
	if err := publish.RemoveHeads(t.Context(), store, 4); err != nil {
		t.Fatal(err)
	}
	if _, err := publish.GetHeads(t.Context(), store, 4, file.Root()); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("%v", err)
	}
}
