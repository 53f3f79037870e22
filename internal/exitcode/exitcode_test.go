package exitcode_test

import (
	"fmt"
	"os"
	"strings"
	"testing"

	"github.com/sealtrail/sealtrail/internal/exitcode"
)

// The page that scripts are written against has exactly the table's rows.
func TestDocumentHasTheTable(t *testing.T) {
	t.Parallel()
	page, err := os.ReadFile("../../docs/exit-codes.md")
	if err != nil {
		t.Fatal(err)
	}
	rows := 0
	for line := range strings.Lines(string(page)) {
		if strings.HasPrefix(line, "| ") && !strings.HasPrefix(line, "| Code") {
			rows++
		}
	}
	for _, r := range exitcode.Table() {
		want := fmt.Sprintf("| %d | `%s` | %s | %s |", r.Code, r.Name, r.Meaning, r.ZH)
		if !strings.Contains(string(page), want) {
			t.Errorf("docs/exit-codes.md lacks the row\n%s", want)
		}
	}
	if rows != len(exitcode.Table()) {
		t.Errorf("docs/exit-codes.md has %d rows, the table %d", rows, len(exitcode.Table()))
	}
}

func TestCodesAreDistinctAndAscending(t *testing.T) {
	t.Parallel()
	names := map[string]bool{}
	last := exitcode.Code(-1)
	for _, r := range exitcode.Table() {
		if r.Code <= last {
			t.Errorf("code %d does not follow %d", r.Code, last)
		}
		if names[r.Name] || r.ZH == "" || r.Meaning == "" {
			t.Errorf("row %d: name %q repeated or a text missing", r.Code, r.Name)
		}
		names[r.Name], last = true, r.Code
	}
	if got := exitcode.Code(99).String(); got != "unknown" {
		t.Errorf("String of a code outside the table = %q, want unknown", got)
	}
}

func ExampleCode_String() {
	fmt.Println(int(exitcode.Integrity), exitcode.Integrity)
	// Output: 4 integrity
}
