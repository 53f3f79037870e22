package custody_test

import (
	"slices"
	"testing"

	"github.com/sealtrail/sealtrail/internal/custody"
	"github.com/sealtrail/sealtrail/internal/pgtest"
	"github.com/sealtrail/sealtrail/internal/vaulttest"
)

// TestTheFirstIndexKeyIsWatchedForEver: rows carry its tokens also when no search
// uses them any more, so that it is still among the keys whose configuration is
// read back.
func TestTheFirstIndexKeyIsWatchedForEver(t *testing.T) {
	t.Parallel()
	vault := vaulttest.New(t)
	h := openOn(t, pgtest.New(t, "custody", migrate), vault, taps{})
	ctx := t.Context()
	epoch := h.openIndex(vault)
	_, err := h.Reindexing(ctx, nil)
	must(t, err)
	_, err = h.SwitchIndex(ctx, epoch)
	must(t, err)
	_, _, err = h.DropIndex(ctx, 1)
	must(t, err)
	keys, err := h.MasterKeys(ctx)
	must(t, err)
	want := []custody.KeyUse{{Use: "record", State: "current"}, {Use: "index", State: "retired"}, {Use: "index.2", State: "current"}, {Use: "log", State: "current"}}
	if !slices.Equal(keys, want) {
		t.Errorf("the keys that are watched: %v, want %v", keys, want)
	}
}
