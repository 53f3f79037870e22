package policy

import (
	"encoding/json"
	"fmt"
	"os"
	"testing"
)

// vector is one row of testdata/commitment.json (docs/formats/policy-bundle.md).
type vector struct {
	Digest     string   `json:"digest"`
	Roles      []string `json:"roles"`
	Action     string   `json:"action"`
	Purpose    string   `json:"purpose"`
	Stage      string   `json:"stage"`
	Sens       string   `json:"sensitivity"`
	Step       string   `json:"step"`
	Facts      []string `json:"facts"`
	Groups     []string `json:"grant_groups"`
	Packed     string   `json:"packed"`
	Commitment string   `json:"commitment"`
}

func TestCommitmentVectors(t *testing.T) {
	t.Parallel()
	raw, err := os.ReadFile("testdata/commitment.json")
	if err != nil {
		t.Fatal(err)
	}
	var vectors []vector
	if err := json.Unmarshal(raw, &vectors); err != nil {
		t.Fatal(err)
	}
	if len(vectors) == 0 {
		t.Fatal("no vectors")
	}
	for i, v := range vectors {
		var a attributes
		for _, r := range v.Roles {
			a.roles |= 1 << index(roles, r)
		}
		for _, f := range v.Facts {
			a.facts |= 1 << index(facts, f)
		}
		a.action, a.purpose = uint8(index(actions, v.Action)), uint8(index(purposes, v.Purpose))
		a.stage, a.sens = uint8(index(stages, v.Stage)), uint8(index(sensitivities, v.Sens))
		a.step = uint8(index(steps, v.Step) + 1)
		var grant uint16
		for _, g := range v.Groups {
			grant |= 1 << index(groups, g)
		}
		if packed := fmt.Sprintf("%016x", a.pack()); packed != v.Packed {
			t.Errorf("vector %d: packed %s, want %s", i, packed, v.Packed)
		}
		if got := commitment(v.Digest, a.pack(), grant); got != v.Commitment {
			t.Errorf("vector %d: commitment %s, want %s", i, got, v.Commitment)
		}
	}
}
