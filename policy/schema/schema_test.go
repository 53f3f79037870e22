package schema_test

import (
	"encoding/json"
	"slices"
	"testing"

	"github.com/sealtrail/sealtrail/policy"
	"github.com/sealtrail/sealtrail/policy/schema"
)

// node is the part of a schema that holds closed lists.
type node struct {
	Enum       []string        `json:"enum"`
	Properties map[string]node `json:"properties"`
	Items      *node           `json:"items"`
}

func read(t *testing.T, name string) node {
	t.Helper()
	raw, err := schema.Files().ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	var n node
	if err := json.Unmarshal(raw, &n); err != nil {
		t.Fatal(err)
	}
	return n
}

// TestListsAreThoseOfThePolicy compares the words in the input's schema with the program's own.
func TestListsAreThoseOfThePolicy(t *testing.T) {
	t.Parallel()
	in := read(t, "input.json").Properties
	for name, list := range map[string][]string{
		"role": policy.Roles(), "action": policy.Actions(), "purpose": policy.Purposes(), "stage": policy.Stages(), "sensitivity": policy.Sensitivities(),
	} {
		if !same(in[name].Enum, list) {
			t.Errorf("input.%s: %v, the program has %v", name, in[name].Enum, list)
		}
	}
	var facts []string
	for f := range in["facts"].Properties {
		facts = append(facts, f)
	}
	if !same(facts, policy.Facts()) {
		t.Errorf("input.facts: %v, the program has %v", facts, policy.Facts())
	}
	var rows []string
	for role := range read(t, "matrix.json").Properties["matrix"].Properties {
		rows = append(rows, role)
	}
	if !same(rows, policy.Roles()) {
		t.Errorf("matrix: %v, the program has %v", rows, policy.Roles())
	}
}

func same(a, b []string) bool {
	a, b = slices.Clone(a), slices.Clone(b)
	slices.Sort(a)
	slices.Sort(b)
	return slices.Equal(a, b)
}
