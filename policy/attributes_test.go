package policy

import (
	"testing"

	"pgregory.net/rapid"
)

func TestPackIsReversible(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		a := attributes{
			roles: rapid.Uint32Range(0, 1<<len(roles)-1).Draw(t, "roles"), action: rapid.Uint8Range(0, uint8(len(actions)-1)).Draw(t, "action"),
			purpose: rapid.Uint8Range(0, uint8(len(purposes)-1)).Draw(t, "purpose"), stage: rapid.Uint8Range(0, 3).Draw(t, "stage"),
			sens: rapid.Uint8Range(0, 2).Draw(t, "sens"), step: rapid.Uint8Range(0, uint8(len(steps))).Draw(t, "step"),
			facts: rapid.Uint16Range(0, 1<<len(facts)-1).Draw(t, "facts"),
		}
		if got := unpack(a.pack()); got != a {
			t.Fatalf("%+v became %+v", a, got)
		}
	})
}

// TestListsFitTheKey fails when a list outgrows its place in the packed key.
func TestListsFitTheKey(t *testing.T) {
	t.Parallel()
	for _, l := range []struct {
		name      string
		have, max int
	}{
		{"roles", len(roles), 24},
		{"actions", len(actions), 64},
		{"purposes", len(purposes), 16},
		{"stages", len(stages), 4},
		{"sensitivities", len(sensitivities), 4},
		{"steps", len(steps) + 1, 16},
		{"facts", len(facts), 12},
		{"groups", len(groups), 16},
	} {
		if l.have > l.max {
			t.Errorf("%s: %d, at most %d", l.name, l.have, l.max)
		}
	}
	if roles[16] != "portal" || roles[17] != "application" || roles[18] != "keeper" {
		t.Error("the bits of portal, application and keeper are not theirs")
	}
	if groups[groupMeta] != "meta" {
		t.Error("group meta is not the first")
	}
}
