package policy_test

import (
	"errors"
	"testing"
	"testing/fstest"
	"time"

	"github.com/sealtrail/sealtrail/policy"
)

// TestFailsClosed breaks what the engine gets back from OPA; every time the answer is a refusal with an error.
func TestFailsClosed(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name    string
		bundle  fstest.MapFS
		timeout time.Duration
	}{
		{"late", copied(t), time.Nanosecond},
		{"undefined", changed(t, "access/access.rego", "\"reasons\": codes,\n}", "\"reasons\": codes,\n} if input.role == \"portal\""), 0},
		{"no boolean", changed(t, "access/access.rego", `"allow": view.allow`, `"allow": object.get(data.matrix, "x", "yes")`), 0},
		{"unknown effect", changed(t, "views/views.rego", `{group: "mask" |`, `{group: "blur" |`), 0},
		{"a group missing", changed(t, "views/views.rego", `"deny" | some group in data.domain.groups}`, `"deny" | some group in data.domain.facts}`), 0},
		{"unknown reason", changed(t, "access/access.rego", `"released" if`, `"granted by magic" if`), 0},
		{"two answers", changed(t, "r03_need_to_know/rule.rego", "reach := data.steps", "reach := \"none\"\n\nreach := data.steps"), 0},
		{"builtin error", changed(t, "r08_account/rule.rego", `"unfit" if not input.facts.fit`, `"unfit" if to_number("x") > 1`), 0},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			e, err := policy.New(t.Context(), policy.Config{Bundle: c.bundle, Catalogue: catalogue(), EvalTimeout: c.timeout})
			if err != nil {
				t.Fatal(err)
			}
			d, err := e.Decide(t.Context(), ask("read", "handle"))
			if !errors.Is(err, policy.ErrEvaluation) {
				t.Errorf("error %v", err)
			}
			if d.Allowed() || !d.MetaDenied() || d.Effect("channel") != policy.Deny || d.Reason() != "not_evaluated" {
				t.Errorf("allowed %v because of %s", d.Allowed(), d.Reason())
			}
		})
	}
}

// TestFullCacheStillDecides: a cache without room costs time, never an answer.
func TestFullCacheStillDecides(t *testing.T) {
	t.Parallel()
	e, err := policy.New(t.Context(), policy.Config{Catalogue: catalogue(), CacheSize: 1, EvalTimeout: time.Minute})
	if err != nil {
		t.Fatal(err)
	}
	for range 2 {
		for _, action := range []string{"read", "reveal", "list", "amend", "trail"} {
			if d := decide(t, e, ask(action, "handle")); !d.Allowed() {
				t.Errorf("%s is refused: %s", action, d.TrueReason())
			}
		}
	}
}

func TestConfigIsChecked(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]policy.Catalogue{
		"empty":   {},
		"no name": {Fields: []policy.Field{{Group: "meta"}}},
		"twice":   {Fields: []policy.Field{{Name: "a", Group: "meta"}, {Name: "a", Group: "contact"}}},
	} {
		if _, err := policy.New(t.Context(), policy.Config{Catalogue: c}); !errors.Is(err, policy.ErrBundle) {
			t.Errorf("%s: error %v", name, err)
		}
	}
}
