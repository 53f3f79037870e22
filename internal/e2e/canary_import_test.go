package e2e

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"
)

// imports runs files with good and broken lines through the command line. What
// it leaves behind, progress and rejects, is searched like everything else.
func (c *canary) imports() {
	c.t.Helper()
	line := func(fields map[string]string) string {
		raw, err := json.Marshal(draft(fields))
		must(c.t, err)
		return string(raw)
	}
	w := c.word
	before := c.count(c.t, "select count(*) from sealtrail.complaint")
	c.importFile("drafts.jsonl", 2, 6,
		line(c.fields("imported", "whistle_report")), `{"source":"`+w("cut off line"), w("line that is no JSON"),
		`{"source":"app","`+w("unknown key of a line")+`":"`+w("its value in a line")+`"}`,
		line(map[string]string{"id_number": c.keep("malformed id_number of a line", "110105"+digits(11)+"?")}),
		line(map[string]string{"narrative": c.word("C3 line") + " 卡片验证码是 837"}),
		`["`+w("array as a line")+`"]`, line(c.fields("imported", "whistle_report")))
	const header = "complaint_id,date_received,product,sub_product,issue,sub_issue,narrative,company_public_response,company,state,zip_code,tags,consent,submitted_via,date_sent_to_company,company_response,timely,consumer_disputed"
	row := func(id, narrative string) string {
		return id + ",2023-05-31,Debt collection,Other debt,Attempts to collect debt not owed,Debt is not yours," + narrative + ",,BANK,CA,900XX,,Consent provided,Web,2023-05-31,Closed with explanation,Yes,N/A"
	}
	c.importFile("complaints.csv", 2, 3,
		header, row("70451"+digits(4), w("CSV narrative")+" XXXX"), row("70452"+digits(4), w("CSV narrative")+",one cell too many"),
		row("70453"+digits(4), `"`+w("CSV quote")+`" and then more`), row("70454"+digits(4), "my CVN is 837 "+w("CSV with C3")), row("70455"+digits(4), w("CSV narrative after broken lines")))
	if n := c.count(c.t, "select count(*) from sealtrail.complaint") - before; n != 4 {
		c.t.Errorf("the imports left %d complaints, want the 4 good ones", n)
	}
	c.checkWhole(c.t)
}

func (c *canary) importFile(name string, filed, rejected int, lines ...string) {
	c.t.Helper()
	file := filepath.Join(c.t.TempDir(), name) // the caller's own: not searched
	must(c.t, os.WriteFile(file, []byte(strings.Join(lines, "\n")+"\n"), 0o600))
	answers := filepath.Join(c.dir.Path, "answers")
	out, code := c.run(c.t, "sealtrail", "--server", c.API, "--token-file", c.TokenFile("app-core"), "import", file, "--purpose", "handle",
		"--state", filepath.Join(answers, name+".state"), "--rejects", filepath.Join(answers, name+".rejects"), "-o", "json")
	_, err := fmt.Fprintf(c.answers, "%s at %s\n", out, time.Now())
	must(c.t, err)
	if want := fmt.Sprintf(`"rejected":%d`, rejected); code != 0 || !strings.Contains(out, fmt.Sprintf(`"filed":%d`, filed)) || !strings.Contains(out, want) {
		c.t.Errorf("import of %s: exit code %d: %s, want %d filed, %s", name, code, out, filed, want)
	}
}
