package evidence_test

import (
	"maps"
	"testing"

	"github.com/sealtrail/sealtrail/audit"
	"github.com/sealtrail/sealtrail/audit/evidence"
)

func TestStatesAreNeverConfused(t *testing.T) {
	t.Parallel()
	salt := [16]byte{1}
	commit := map[string]string{audit.StatePath: "00"}
	for _, p := range []string{"shown", "other", "hidden", "never", "gone"} {
		commit[p] = audit.Commit(p, salt, []byte("x"))
	}
	kept := map[string]evidence.Kept{"shown": {Salt: salt, Value: "x", Shown: true}, "other": {Salt: salt, Value: "y", Shown: true}, "hidden": {Salt: salt, Value: "x"}, "never": {Never: true}}
	want := map[string]evidence.State{"shown": evidence.Disclosed, "other": evidence.Missing, "hidden": evidence.Withheld, "never": evidence.Withheld, "gone": evidence.Missing}
	if got := evidence.States(commit, kept, false); !maps.Equal(got, want) {
		t.Errorf("got %v", got)
	}
	want["gone"] = evidence.Erased
	if got := evidence.States(commit, kept, true); !maps.Equal(got, want) {
		t.Errorf("of an erased record: %v", got)
	}
}
