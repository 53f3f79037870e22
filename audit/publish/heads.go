package publish

import (
	"context"
	"fmt"

	"github.com/sealtrail/sealtrail/audit"
)

// PutHeads publishes the ends of all trails after size entries. Whoever asks for a proof of completeness is answered from this file;
// it proves nothing without the entry that commits to its root.
func PutHeads(ctx context.Context, s Store, size uint64, file audit.HeadFile) error {
	return s.Put(ctx, audit.HeadsPath(size), file)
}

// GetHeads reads what PutHeads published and compares it with the root that an entry commits to. A file that is not there wraps
// fs.ErrNotExist, one that is not what was committed to audit.ErrHeads.
func GetHeads(ctx context.Context, s Store, size uint64, root [32]byte) (audit.HeadFile, error) {
	raw, err := s.Get(ctx, audit.HeadsPath(size))
	if err != nil {
		return nil, err
	}
	file := audit.HeadFile(raw)
	if err := file.Check(); err != nil {
		return nil, fmt.Errorf("reading %s: %w", audit.HeadsPath(size), err)
	}
	if file.Root() != root {
		return nil, fmt.Errorf("reading %s: %w: another root than was committed to", audit.HeadsPath(size), audit.ErrHeads)
	}
	return file, nil
}

// RemoveHeads removes what PutHeads published: a later entry commits to a later map, and two of them are kept.
func RemoveHeads(ctx context.Context, s Store, size uint64) error {
	return s.Remove(ctx, audit.HeadsPath(size))
}
