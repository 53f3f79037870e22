package policy

import (
	"fmt"
	"path"
	"slices"
	"strings"
	"unicode"

	"github.com/open-policy-agent/opa/v1/ast"
)

// ruleEntry is the METADATA of one rule's folder.
type ruleEntry struct {
	file, rule, article, owner string
	reasons                    []string
}

type articleRow struct {
	Rule    string `json:"rule"`
	Chinese string `json:"zh"`
	English string `json:"en"`
	Owner   string `json:"owner"`
	Basis   struct {
		Norm string `json:"norm"`
		Law  []struct{ Name, Article, Checked, Status string }
	} `json:"basis"`
}

type reasonRow struct {
	Rule, Article, Next string
	Chinese             string `json:"zh"`
	English             string `json:"en"`
}

// checkRegister holds rules, reason codes and articles against one another: no deny without article, no article without rule, test and
// owner, no reason without both languages.
func checkRegister(b *bundle) []Finding {
	var reasons map[string]reasonRow
	var articles map[string]articleRow
	if err := b.decode("reasons", &reasons); err != nil {
		return []Finding{{"register", "reasons", err.Error()}}
	}
	if err := b.decode("articles", &articles); err != nil {
		return []Finding{{"register", "articles", err.Error()}}
	}
	rules, found := ruleEntries(b)
	found = append(found, checkReasons(reasons, articles, rules)...)
	found = append(found, checkArticles(b, articles, rules)...)
	return append(found, checkGiven(b, reasons, articles, rules)...)
}

// ruleEntries reads the METADATA of every rule folder (r05_recusal/rule.rego).
func ruleEntries(b *bundle) (map[string]ruleEntry, []Finding) {
	out := map[string]ruleEntry{}
	var found []Finding
	for _, name := range sortedKeys(b.modules) {
		if path.Base(name) != "rule.rego" {
			continue
		}
		e, ok := entryOf(b.modules[name])
		if !ok || e.rule == "" || e.article == "" || e.owner == "" {
			found = append(found, Finding{"register", name, "METADATA lacks rule, article or owner"})
			continue
		}
		e.file = name
		if _, twice := out[e.rule]; twice {
			found = append(found, Finding{"register", name, "rule " + e.rule + " has two folders"})
		}
		out[e.rule] = e
	}
	return out, found
}

func entryOf(m *ast.Module) (ruleEntry, bool) {
	for _, a := range m.Annotations {
		if a.Custom["rule"] == nil {
			continue
		}
		e := ruleEntry{rule: text(a.Custom["rule"]), article: text(a.Custom["article"]), owner: text(a.Custom["owner"])}
		list, _ := a.Custom["reasons"].([]any)
		for _, r := range list {
			e.reasons = append(e.reasons, text(r))
		}
		return e, a.Title != "" && a.Description != ""
	}
	return ruleEntry{}, false
}

func text(v any) string {
	s, _ := v.(string)
	return s
}

func checkReasons(reasons map[string]reasonRow, articles map[string]articleRow, rules map[string]ruleEntry) []Finding {
	var found []Finding
	bad := func(code, problem string) {
		found = append(found, Finding{"register", "reasons." + code, problem})
	}
	for _, code := range sortedKeys(reasons) {
		r := reasons[code]
		if !chinese(r.Chinese) || strings.TrimSpace(r.English) == "" {
			bad(code, "lacks a sentence in Chinese or English")
		}
		if r.Next == "" {
			bad(code, "lacks a next step")
		}
		a, ok := articles[r.Article]
		if !ok || a.Rule != r.Rule {
			bad(code, fmt.Sprintf("article %q is not registered for rule %s", r.Article, r.Rule))
		}
		if !slices.Contains(rules[r.Rule].reasons, code) {
			bad(code, "is not among the reasons in the METADATA of rule "+r.Rule)
		}
	}
	for _, id := range sortedKeys(rules) {
		for _, code := range rules[id].reasons {
			if reasons[code].Rule != id {
				found = append(found, Finding{"register", rules[id].file, "names reason " + code + ", which is not registered for it"})
			}
		}
	}
	return found
}

func chinese(s string) bool {
	return strings.ContainsFunc(s, func(r rune) bool { return unicode.Is(unicode.Han, r) })
}

func checkArticles(b *bundle, articles map[string]articleRow, rules map[string]ruleEntry) []Finding {
	var found []Finding
	for _, id := range sortedKeys(articles) {
		a := articles[id]
		bad := func(problem string) { found = append(found, Finding{"register", "articles." + id, problem}) }
		r, ok := rules[a.Rule]
		if !ok || r.article != id {
			bad("has no rule")
			continue
		}
		if _, tested := b.tests[strings.TrimSuffix(r.file, ".rego")+"_test.rego"]; !tested {
			bad("its rule has no test")
		}
		if a.Owner == "" || a.Owner != r.owner {
			bad("lacks an owner, or the rule names another")
		}
		if !chinese(a.Chinese) || a.English == "" || a.Basis.Norm == "" {
			bad("lacks a title in Chinese or English, or the norm's section")
		}
		for _, l := range a.Basis.Law {
			if l.Name == "" || l.Article == "" || l.Checked == "" || l.Status == "" {
				bad("cites a law without article, date checked or status")
			}
		}
	}
	for _, id := range sortedKeys(rules) {
		if articles[rules[id].article].Rule != id {
			found = append(found, Finding{"register", rules[id].file, "article is not registered"})
		}
	}
	return found
}

// takesAway are the sets into which rules put reasons.
var takesAway = []string{"nothing", "meta_only", "masked_only", "note"}

// checkGiven finds reason codes and articles that a rule gives in its Rego but does not name in its METADATA.
func checkGiven(b *bundle, reasons map[string]reasonRow, articles map[string]articleRow, rules map[string]ruleEntry) []Finding {
	byFile := map[string]ruleEntry{}
	for _, r := range rules {
		byFile[r.file] = r
	}
	var found []Finding
	for _, name := range sortedKeys(b.modules) {
		entry, isRule := byFile[name]
		for _, r := range b.modules[name].Rules {
			head := r.Head.Ref().String()
			if code, ok := constant(r.Head.Key); ok && slices.Contains(takesAway, head) {
				if _, known := reasons[code]; !known || !isRule || !slices.Contains(entry.reasons, code) {
					found = append(found, Finding{"register", place(r.Location), "reason " + code + " is not registered for this rule"})
				}
			}
			if art, ok := obliged(r.Head.Key); ok {
				if _, known := articles[art]; !known || entry.article != art {
					found = append(found, Finding{"register", place(r.Location), "obligation rests on article " + art + ", not this rule's"})
				}
			}
		}
	}
	return found
}

func constant(t *ast.Term) (string, bool) {
	if t == nil {
		return "", false
	}
	s, ok := t.Value.(ast.String)
	return string(s), ok
}

// obliged gives the article of an obligation in a rule's head.
func obliged(t *ast.Term) (string, bool) {
	if t == nil {
		return "", false
	}
	o, ok := t.Value.(ast.Object)
	if !ok {
		return "", false
	}
	return constant(o.Get(ast.InternedTerm("article")))
}
