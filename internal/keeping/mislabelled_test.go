package keeping_test

import (
	"testing"

	"github.com/sealtrail/sealtrail/internal/vaulttest"
)

// TestAKeyOfAnotherVersionThanItsColumnSaysStopsAClosing: whoever can write SQL
// could have a key given up for ever, past every hold, by calling it a new one.
func TestAKeyOfAnotherVersionThanItsColumnSaysStopsAClosing(t *testing.T) {
	t.Parallel()
	h := open(t, vaulttest.New(t), nil)
	h.appoint()
	h.plant(record, 1, 3)
	version := h.rotate()
	_, err := h.admin.Exec(t.Context(), "update keys.wrapped set key_version = $2 where institution = $1", h.name, version)
	must(t, err)
	_, err = h.ProposeEpoch(t.Context(), h.custodian("kim"), request(version))
	_ = conflict(t, err, "keys_older")
}
