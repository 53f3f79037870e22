package e2e

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/sealtrail/sealtrail/internal/intake"
)

// shellBlock is what a page tells its reader to type.
var shellBlock = regexp.MustCompile("(?ms)^```sh\n(.*?)^```")

// TestTutorialsRunAsTheyStand types what the tutorials say, one page after the
// other, and looks for what they promise. The demo that they begin with is an
// installation that is there already.
func TestTutorialsRunAsTheyStand(t *testing.T) {
	t.Parallel()
	root, err := filepath.Abs(filepath.Join("..", ".."))
	must(t, err)
	dir := t.TempDir()
	list, events := filepath.Join(dir, "streams.json"), filepath.Join(dir, "events.jsonl")
	must(t, os.WriteFile(list, fmt.Appendf(nil, `[{"name":"archive","kind":"file","path":%q}]`, events), 0o600))
	in := own(t, "SEALTRAIL_STREAMS="+list)
	stock(t, in)
	for _, page := range []struct {
		name  string
		shows []string
	}{
		{"first-ten-minutes", []string{`"person":"handler-chen"`, "policy_denied", "exit code 5", "access.denied/event",
			"✓ consistent with the earlier checkpoint", "✓ the signed root over", "was changed after it was signed", "exit code 4"}},
		{"first-application", []string{`"existing":false`, `"binding":true`, `"138****8000"`, `"rule":"R14"`, `"field_denied"`}},
		{"officers-tour", []string{"covers every rule", "test_r14_redacted_narrative_only fails", "exit code 4"}},
		{"auditors-hour", []string{"✓ witness cosignatures", "✓ nothing found wrong", "Entry 12:", "complaint.recorded/event", "the same report, byte for byte"}},
		{"keys-and-erasure", []string{"demo-bank-record has version 2", "have a new one made", "0 are left", "demo-bank-record version 2", "the same bytes", "rule R14",
			`"watermark":"wm-`, `"phone":"13800138000"`, "case_open", `"result":"held"`, `"result":"retained"`, "not_found", "✓ the receipt is proved by the given key",
			"blob/sha256/", `"sealed":1`, `"recorded":1`, `"recorded":0`}},
		{"trail-evidence", []string{"✓ these entries and no others", "opened 3 times through this service", "handler-chen, as the service says", "the policy bundle named was the active one",
			"does not fit its size or checksum", "was changed after it was signed", "exit code 4", "are those of the kept checkpoint", "✓ consistent with the earlier checkpoint",
			"query_unknown_key", "access.denied", "MINE", "✓ the signed root over", "sees 0 of", "afterwards 1\n", "closed", `"log_name"`,
			"a webhook's URL is https", "0 differ", "0 without entry", "the search index is what the entries say", "Let go of old entries"}},
	} {
		t.Run(page.name, func(t *testing.T) {
			said := in.typed(t, root, page.name, events)
			for _, want := range page.shows {
				if !strings.Contains(said, want) {
					t.Errorf("the page does not show %q; it shows\n%s", want, said)
				}
			}
			if strings.Contains(said, "command not found") || strings.Contains(said, "syntax error") {
				t.Errorf("the page's commands do not run:\n%s", said)
			}
		})
	}
}

// stock stores complaints until the log's first bundle is full, and saves a
// checkpoint as the demo's auditor does.
func stock(t *testing.T, in *installation) {
	t.Helper()
	var lines bytes.Buffer
	enc := json.NewEncoder(&lines)
	for d := range intake.Generate(intake.GeneratorConfig{Seed: 11, Count: 250, End: time.Now().Add(-time.Hour), Days: 30}) {
		must(t, enc.Encode(d))
	}
	file := filepath.Join(t.TempDir(), "complaints.jsonl")
	must(t, os.WriteFile(file, lines.Bytes(), 0o600))
	cmd := exec.CommandContext(t.Context(), in.Program("sealtrail"), "import", "--purpose", "handle", file)
	cmd.Env = append(os.Environ(), "SEALTRAIL_SERVER="+in.API, "SEALTRAIL_TOKEN_FILE="+in.TokenFile("app-core"))
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("importing: %v: %s", err, out)
	}
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	for {
		checkpoint, err := os.ReadFile(filepath.Join(in.LogDir(), "checkpoint"))
		must(t, err)
		if _, err := os.Stat(filepath.Join(in.LogDir(), "tile", "entries", "000")); err == nil {
			must(t, os.MkdirAll(filepath.Join(in.Dir(), "auditor"), 0o700))
			must(t, os.WriteFile(filepath.Join(in.Dir(), "auditor", "checkpoint.saved"), checkpoint, 0o600))
			return
		}
		select {
		case <-ctx.Done():
			t.Fatal("the first bundle was not published")
		case <-time.After(50 * time.Millisecond):
		}
	}
}

// typed runs the shell blocks of a page as its reader would, in a clone with
// built commands and with the demo's folder and its stream where the page says,
// and gives everything that was said.
func (in *installation) typed(t *testing.T, root, page, events string) string {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(root, "docs", "tutorial", page+".md"))
	must(t, err)
	var script strings.Builder
	for _, block := range shellBlock.FindAllStringSubmatch(string(text), -1) {
		for line := range strings.Lines(block[1]) {
			if !strings.HasPrefix(line, "make ") && !strings.HasPrefix(line, "go test ") {
				script.WriteString(line)
			}
		}
	}
	home, clone := t.TempDir(), t.TempDir()
	must(t, os.Symlink(in.Dir(), filepath.Join(home, "sealtrail-demo")))
	must(t, os.Symlink(events, filepath.Join(home, "sealtrail-events.jsonl")))
	for _, name := range []string{"policy", "tools", "internal", "README.md"} {
		must(t, os.Symlink(filepath.Join(root, name), filepath.Join(clone, name)))
	}
	must(t, os.Mkdir(filepath.Join(clone, ".cache"), 0o700))
	must(t, os.Symlink(bin, filepath.Join(clone, ".cache", "bin")))
	cmd := exec.CommandContext(t.Context(), "bash", "-c", script.String())
	cmd.Dir = clone
	cmd.Env = append(os.Environ(), "HOME="+home, "LC_ALL=C.UTF-8", "LANG=C.UTF-8")
	for _, name := range []string{"GOCACHE", "GOMODCACHE"} { // not below this HOME
		folder, err := exec.CommandContext(t.Context(), "go", "env", name).Output()
		must(t, err)
		cmd.Env = append(cmd.Env, name+"="+strings.TrimSpace(string(folder)))
	}
	out, err := cmd.CombinedOutput()
	if len(out) == 0 {
		t.Fatalf("the page says nothing: %v", err)
	}
	return string(out)
}
