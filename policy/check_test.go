package policy

import (
	"io/fs"
	"strings"
	"testing"
	"testing/fstest"

	"github.com/sealtrail/sealtrail/policy/confidentiality"
)

// changedBundle is the embedded chapter with one text in one file replaced by another, once.
func changedBundle(t testing.TB, file, old, with string) *bundle {
	t.Helper()
	tree := fstest.MapFS{}
	err := fs.WalkDir(confidentiality.Files(), ".", func(name string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		raw, err := fs.ReadFile(confidentiality.Files(), name)
		if name == file {
			if !strings.Contains(string(raw), old) {
				t.Fatalf("%s does not hold %q", file, old)
			}
			raw = []byte(strings.Replace(string(raw), old, with, 1))
		}
		tree[name] = &fstest.MapFile{Data: raw}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	b, err := readBundle(tree)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// checksByName are the parts of Check, by the name that their findings carry.
func checksByName(t *testing.T) map[string]func(*bundle) []Finding {
	tests := func(b *bundle) []Finding {
		found, err := checkTests(t.Context(), b)
		if err != nil {
			t.Fatal(err)
		}
		return found
	}
	return map[string]func(*bundle) []Finding{
		"format": checkFormat, "compile": checkCompile, "schema": checkDocuments, "matrix": checkDocuments, "vocabulary": checkWords,
		"register": checkRegister, "test": tests, "coverage": tests,
	}
}

// TestCheckFinds breaks the chapter in one place at a time; the check that is responsible must name the place.
func TestCheckFinds(t *testing.T) {
	t.Parallel()
	for _, c := range []struct{ name, file, old, with, check, place string }{
		{"unformatted rule", "r08_account/rule.rego", `if not input.facts.fit`, `if   not input.facts.fit`, "format", "r08_account/rule.rego"},
		{"misspelt attribute", "r08_account/rule.rego", `input.facts.fit`, `input.facts.fitt`, "compile", "r08_account/rule.rego"},
		{"forbidden builtin", "r08_account/rule.rego", `if not input.facts.fit`, `if time.now_ns() > 0`, "compile", "r08_account/rule.rego"},
		{"misspelt word", "r09_field_release/rule.rego", `input.stage == "archived"`, `input.stage == "archved"`, "vocabulary", "r09_field_release/rule.rego"},
		{"misspelt word in a set", "r09_field_release/rule.rego", `{"compliance", "portal"`, `{"complaynce", "portal"`, "vocabulary", "r09_field_release/rule.rego"},
		{"reason without English", "reasons.yaml", `en: "No such complaint."`, `en: " "`, "register", "reasons.not_found"},
		{"reason without Chinese", "reasons.yaml", `zh: "未找到该投诉。"`, `zh: "not found"`, "register", "reasons.not_found"},
		{"reason without article", "reasons.yaml", "article: 6.1.14", "article: 6.1.99", "register", "reasons.quality_redacted_only"},
		{"article without owner", "r05_recusal/rule.rego", "owner: compliance", "owner: legal", "register", "articles.6.1.5"},
		{"rule without article", "r05_recusal/rule.rego", "article: 6.1.5", "article: 6.1.55", "register", "articles.6.1.5"},
		{"unregistered reason", "r05_recusal/rule.rego", `nothing contains "recused"`, `nothing contains "unlucky"`, "register", "r05_recusal/rule.rego"},
		{"obligation of another article", "r13_auditor/rule.rego", `"article": "6.1.13"`, `"article": "6.1.12"`, "register", "r13_auditor/rule.rego"},
		{"law without a date", "articles.yaml", `checked: "2026-11-23"`, `checked: ""`, "schema", "articles"},
		{"reveal beyond mask", "matrix.yaml", "mask: [narrative, decision, amount]\n        reveal: [narrative, decision, amount]", "mask: [decision, amount]\n        reveal: [narrative, decision, amount]", "matrix", "matrix.compliance.regulator_report"},
		{"unknown group", "matrix.yaml", "mask: [narrative]", "mask: [narrativ]", "schema", "matrix"},
		{"unknown role", "matrix.yaml", "\n  analyst:\n", "\n  analist:\n", "schema", "matrix"},
		{"unknown fact", "domain.json", `["fit", "assigned"]`, `["fit", "asigned"]`, "schema", "domain"},
		{"record without recusal", "domain.json", `["fit", "implicated", "assigned", "unit", "cleared"]`, `["fit", "assigned", "unit", "cleared"]`, "schema", "domain"},
		{"failing test", "r08_account/rule_test.rego", `d.reason == "unfit"`, `d.reason == "recused"`, "test", "r08_account/rule_test.rego"},
		{"skipped test", "r08_account/rule_test.rego", "test_r08_missing", "todo_test_r08_missing", "test", "r08_account/rule_test.rego"},
		{"uncovered line", "r13_auditor/rule.rego", "obligation contains", "obligation contains {\"do\": \"never\", \"article\": \"6.1.13\"} if {\n\tinput.role == \"auditor\"\n\tinput.action == \"create\"\n}\n\nobligation contains", "coverage", "r13_auditor/rule.rego"},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			b := changedBundle(t, c.file, c.old, c.with)
			found := checksByName(t)[c.check](b)
			for _, f := range found {
				if f.Check == c.check && strings.HasPrefix(f.Place, c.place) && f.Problem != "" {
					return
				}
			}
			t.Errorf("not found: %v", found)
		})
	}
}
