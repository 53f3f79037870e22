package custody

import (
	"testing"

	"github.com/sealtrail/sealtrail/internal/complaint"
)

// TestCodesOfTheLogAreNeverTakenForNumbers: ids of grants, cases and duties are
// random, and every one of them must fit the log's closed schema.
func TestCodesOfTheLogAreNeverTakenForNumbers(t *testing.T) {
	t.Parallel()
	ids := []string{"12345678-9123-4567-8912-345678912345", "00000000-0000-4000-8000-000000000000"}
	for range 2000 {
		ids = append(ids, newUUID())
	}
	seen := map[string]bool{}
	for _, id := range ids {
		for kind, fact := range map[string]string{"grant.requested": "grant", "breakglass.opened": "case", "duty.appointed": "duty"} {
			code := map[string]string{"grant": grantCode(id), "case": caseCode(id), "duty": dutyCode(id)}[fact]
			if !complaint.Registry().FactFits(kind, fact, code) {
				t.Fatalf("%s of %s does not fit: %s", fact, id, code)
			}
			if seen[code] {
				t.Fatalf("%s stands for two ids", code)
			}
			seen[code] = true
		}
	}
}

// TestClearWordsHoldNobodysNumber: tickets and person ids are kept in clear.
func TestClearWordsHoldNobodysNumber(t *testing.T) {
	t.Parallel()
	for word, want := range map[string]bool{"110105198806154324": true, "13911112032": true, "6222020200112230004": true, "li@example.com": true,
		"INC-2026-0042": false, "sec-lin": false, "CHG0040217": false} {
		if got := personal(word); got != want {
			t.Errorf("personal(%s) = %v, want %v", word, got, want)
		}
	}
}
