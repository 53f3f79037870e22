package transit_test

import (
	"errors"
	"testing"

	"github.com/sealtrail/sealtrail/crypto/keyring"
)

// The version beside a wrapped key decides what is trimmed and what a receipt of
// an erasure says: one that is not the blob's own is a finding at every use, not
// a lost key or a false receipt later.
func TestAVersionThatIsNotTheBlobsIsAFinding(t *testing.T) {
	t.Parallel()
	_, _, ring, stored := faulty(t, 3)
	stored[1].Wrapped.KeyVersion = 7
	for i, r := range ring.LendBatch(t.Context(), stored) {
		if bad := i == 1; bad != errors.Is(r.Err, keyring.ErrIntegrity) || !bad && r.Err != nil {
			t.Errorf("item %d: %v", i, r.Err)
		}
		r.Lease.Release()
	}
	stored[1].Wrapped.KeyVersion = 0 // a caller that keeps no versions
	if l, err := ring.LendOne(t.Context(), stored[1]); err != nil {
		t.Error(err)
	} else {
		l.Release()
	}
}
