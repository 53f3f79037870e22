package verifypage_test

import (
	"bytes"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/sealtrail/sealtrail/internal/complaint"
	"github.com/sealtrail/sealtrail/internal/verifypage"
)

var update = flag.Bool("update", false, "rewrite verify.html and its SHA-256 in both READMEs")

// TestPageIsPutTogetherFromItsParts: the page is src, the registry's words and the format's codes, and nothing else; its SHA-256
// stands in both READMEs.
func TestPageIsPutTogetherFromItsParts(t *testing.T) {
	want := assemble(t)
	if *update {
		if err := os.WriteFile("verify.html", want, 0o644); err != nil {
			t.Fatal(err)
		}
		t.Log("rewritten: run the test again without -update")
		printDigest(t, want)
		return
	}
	if !bytes.Equal(verifypage.HTML(), want) {
		t.Error("verify.html is not what src, registry.json and docs/formats/evidence-bundle.md give: go test ./internal/verifypage -run Parts -update")
	}
	for _, name := range readmes {
		if text := read(t, name); !strings.Contains(text, verifypage.Digest()) {
			t.Errorf("%s does not print the SHA-256 of verify.html, %s: go test ./internal/verifypage -run Parts -update", name, verifypage.Digest())
		}
	}
}

var readmes = []string{"../../README.md", "../../README.zh-CN.md"}

// printed finds the page's digest in a README.
var printed = regexp.MustCompile(`(verify\.html\x60[^\n]*SHA-256[^\n]*\x60)[0-9a-f]{64}`)

func printDigest(t *testing.T, html []byte) {
	t.Helper()
	sum := sha256.Sum256(html)
	for _, name := range readmes {
		text := printed.ReplaceAllString(read(t, name), fmt.Sprintf("${1}%x", sum))
		if err := os.WriteFile(name, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
}

func read(t *testing.T, name string) string {
	t.Helper()
	raw, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	return string(raw)
}

// joined returns the files of a folder of src in the order of their names.
func joined(t *testing.T, folder string) string {
	t.Helper()
	names, err := filepath.Glob(filepath.Join("src", folder, "*.js"))
	if err != nil || len(names) == 0 {
		t.Fatalf("no script in src/%s: %v", folder, err)
	}
	var out strings.Builder
	for _, name := range names {
		out.WriteString(read(t, name) + "\n")
	}
	return out.String()
}

// exported are the names of the core that page and Node use.
const exported = "readGiven, verifyBundle, unchecked, engine, OPENS, verifyEd25519, ownEd25519, ownSha256, ownSha512, toHex, fromHex, parseLeaf, readZip, CODE_TEXTS"

func assemble(t *testing.T) []byte {
	t.Helper()
	words := labels(t)
	core := fmt.Sprintf("\nconst Sealtrail = (() => {\n\"use strict\";\n%sconst OPENS = %s;\nconst CODE_TEXTS = %s;\nreturn { %s };\n})();\n",
		joined(t, "core"), compact(t, complaint.Registry().OpeningKinds()), compact(t, codes(t)), exported)
	ui := fmt.Sprintf("\n(() => {\n\"use strict\";\nconst { OPENS } = Sealtrail;\nconst LABELS = %s;\n%s})();\n", compact(t, words), joined(t, "ui"))
	style := "\n" + read(t, "src/style.css")
	csp := fmt.Sprintf("default-src 'none'; script-src '%s' '%s'; style-src '%s'; base-uri 'none'; form-action 'none'; require-trusted-types-for 'script'; trusted-types 'none'",
		hashed(core), hashed(ui), hashed(style))
	out := read(t, "src/page.html")
	for name, text := range map[string]string{"csp": csp, "style": style, "core": core, "ui": ui} {
		mark := "{{" + name + "}}"
		if strings.Count(out, mark) != 1 {
			t.Fatalf("page.html has %s not once", mark)
		}
		out = strings.Replace(out, mark, text, 1)
	}
	return []byte(out)
}

func hashed(text string) string {
	sum := sha256.Sum256([]byte(text))
	return "sha256-" + base64.StdEncoding.EncodeToString(sum[:])
}

// compact is JSON that may stand in a script: encoding/json escapes <, > and &.
func compact(t *testing.T, v any) string {
	t.Helper()
	raw, err := json.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	return string(raw)
}

// labels are the words of the registry and of the policy's reasons that entries hold: set, id, then English and Chinese.
func labels(t *testing.T) map[string]map[string][2]string {
	t.Helper()
	v := complaint.Registry()
	out := map[string]map[string][2]string{"kind": {}, "role": {}, "purpose": {}, "reason": {}, "outcome": {}}
	for _, k := range v.Events {
		out["kind"][k.ID] = [2]string{k.EN, k.ZH}
	}
	for _, set := range []string{"role", "purpose"} {
		for _, item := range v.Sets[set] {
			out[set][item.ID] = [2]string{item.EN, item.ZH}
		}
	}
	for _, item := range v.Sets["access_outcome"] {
		out["outcome"][item.ID] = [2]string{item.EN, item.ZH}
	}
	for _, m := range reasonRow.FindAllStringSubmatch(read(t, "../../policy/confidentiality/reasons.yaml"), -1) {
		out["reason"][m[1]] = [2]string{m[3], m[2]}
	}
	for code, r := range map[string][2]string{
		"not_granted": {"not granted to the one who asked", "申请人无权获得"}, "not_kept": {"never kept", "从未保存"},
		"investigation": {"under a sealed investigation", "封存调查中"},
	} {
		out["reason"][code] = r
	}
	return out
}

// reasonRow is a reason code of the policy with its sentences.
var reasonRow = regexp.MustCompile(`(?m)^  ([a-z0-9_]+):\n(?:    (?:rule|article|rank|independent|next): .*\n)+    zh: "(.*)"\n    en: "(.*)"$`)

// codeRow is a row of the table of codes in docs/formats/evidence-bundle.md.
var codeRow = regexp.MustCompile("(?m)^\\| `([a-z_]+)` \\| ([^|]+) \\| ([^|]+) \\|$")

// codes are the sentences of the findings, as the format's page has them.
func codes(t *testing.T) map[string]map[string]string {
	t.Helper()
	_, table, ok := strings.Cut(read(t, "../../docs/formats/evidence-bundle.md"), "## Codes")
	out := map[string]map[string]string{}
	for _, m := range codeRow.FindAllStringSubmatch(table, -1) {
		out[m[1]] = map[string]string{"en": m[2], "zh": m[3]}
	}
	if !ok || len(out) < 40 {
		t.Fatalf("%d codes in docs/formats/evidence-bundle.md", len(out))
	}
	return out
}

// TestEveryCodeIsOfTheFormat: the core finds nothing that the format does not name, and all that it names.
func TestEveryCodeIsOfTheFormat(t *testing.T) {
	t.Parallel()
	core, known := joined(t, "core"), codes(t)
	used := map[string]bool{}
	for _, form := range []string{`find\([A-Z]+, "([a-z0-9_]+)"`, `Refusal\("([a-z0-9_]+)"`, `code: "([a-z0-9_]+)"`, `find\(i, "([a-z0-9_]+)"`} {
		for _, m := range regexp.MustCompile(form).FindAllStringSubmatch(core, -1) {
			used[m[1]] = true
		}
	}
	for code := range used {
		if _, ok := known[code]; !ok {
			t.Errorf("the core finds %q, which docs/formats/evidence-bundle.md does not name", code)
		}
	}
	for code := range known {
		if !used[code] {
			t.Errorf("docs/formats/evidence-bundle.md names %q, which the core never finds", code)
		}
	}
}

// TestPageReachesNothing: no address, no inline handler, no way to turn text into markup.
func TestPageReachesNothing(t *testing.T) {
	t.Parallel()
	html := string(verifypage.HTML())
	for _, forbidden := range []string{"http://", "https://", "innerHTML", "outerHTML", "insertAdjacentHTML", "document.write", "eval(", "new Function",
		"fetch(", "XMLHttpRequest", "WebSocket", "sendBeacon", "import(", "localStorage", "src=", "@import", "url(", " onclick", " style=\""} {
		if strings.Contains(html, forbidden) {
			t.Errorf("verify.html holds %q", forbidden)
		}
	}
	if n := len(html); n > 256<<10 {
		t.Errorf("verify.html has %d bytes: it goes into every bundle", n)
	}
}
