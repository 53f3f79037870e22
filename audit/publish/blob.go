package publish

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"

	"github.com/sealtrail/sealtrail/audit"
)

// PutBlob stores blob at audit.BlobPath of its SHA-256 and returns the lower-case hex digest. A blob that is already there,
// unharmed, is not written again.
func PutBlob(ctx context.Context, s Store, blob []byte) (string, error) {
	sum := sha256.Sum256(blob)
	digest := hex.EncodeToString(sum[:])
	if there, err := s.Get(ctx, audit.BlobPath(digest)); err == nil && bytes.Equal(there, blob) {
		return digest, nil
	}
	return digest, s.Put(ctx, audit.BlobPath(digest), blob)
}
