package intake

import (
	"bytes"
	"compress/gzip"
	"encoding/csv"
	"encoding/json"
	"errors"
	"io"
	"strings"
	"testing"
	"testing/iotest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/sealtrail/sealtrail/internal/complaint"
	"github.com/sealtrail/sealtrail/internal/scrub"
)

// cfpbFile has, in this order: a good row, a narrative over three lines, a
// wrong date, too few columns, a quote that is never closed, a row without
// narrative, the first row again.
const cfpbFile = `complaint_id,date_received,product,sub_product,issue,sub_issue,narrative,state,submitted_via,date_sent_to_company
7045171,2023-05-31,Credit card or prepaid card,Store credit card,Fees or interest,Charged too much interest,"On XX/XX/XXXX I called XXXX XXXX about card XXXX XXXX XXXX XXXX, ""again"".",AZ,Web,2023-06-01
7045172,2023-05-31,Debt collection,I do not know,Communication tactics,Frequent calls,"They call

XXXX and me",MI,Phone,2023-06-01
7045173,yesterday,Mortgage,,Struggling to pay mortgage,,,NY,Web,
7045174,2023-05-31,Mortgage
7045175,2023-05-31,Mortgage,,Struggling to pay mortgage,,"never closed,NY,Web,2023-06-01
7045176,2023-06-02,Checking or savings account,Checking account,Managing an account,Deposits and withdrawals,,UNITED STATES MINOR OUTLYING ISLANDS,Referral,2023-06-02
7045171,2023-05-31,Mortgage,,Struggling to pay mortgage,,text,NY,Web,2023-06-01
`

func collect(t *testing.T, seq func(func(Row, error) bool)) []Row {
	t.Helper()
	var rows []Row
	for row, err := range seq {
		if err != nil {
			t.Fatal(err)
		}
		rows = append(rows, row)
	}
	return rows
}

func TestCFPBMapsRowsAndRejectsBrokenOnes(t *testing.T) {
	t.Parallel()
	var rejects bytes.Buffer
	var stats Stats
	rows := collect(t, CFPB(strings.NewReader(cfpbFile), Options{Rejects: &rejects, Stats: &stats, Now: testNow}))
	if diff := cmp.Diff(Stats{Read: 7, Accepted: 3, Rejected: 4}, stats); diff != "" {
		t.Errorf("stats (-want +got):\n%s", diff)
	}
	sent := time.Date(2023, 6, 1, 12, 0, 0, 0, time.UTC)
	want := Draft{
		Source: "cfpb", SourceID: "7045171", Channel: "web", ReceivedAt: sent.AddDate(0, 0, -1), ReceivedEvidence: "source_record",
		Type: "product", BusinessCode: "credit_card", ProductCode: "credit_card", ReasonCode: "pricing", Branch: "us-az",
		Department: "cards", Level: "unclassified", PartyType: "self", Referral: "none", AssertedAt: &sent,
		Fields: map[string]string{"narrative": `On XX/XX/XXXX I called XXXX XXXX about card XXXX XXXX XXXX XXXX, "again".`},
	}
	if diff := cmp.Diff(want, rows[0].Draft); diff != "" {
		t.Errorf("first row (-want +got):\n%s", diff)
	}
	if got := rows[1]; got.Line != 3 || got.LastLine != 5 || got.Draft.Fields["narrative"] != "They call\n\nXXXX and me" {
		t.Errorf("row over three lines: got lines %d to %d", got.Line, got.LastLine)
	}
	if got := rows[2].Draft; got.Fields["narrative"] != "Managing an account: Deposits and withdrawals" || got.Branch != "" || got.Channel != "regulator" {
		t.Errorf("row without narrative: got %+v", got)
	}
	wantRejects := []string{"6 malformed", "7 csv_columns", "8 csv_malformed", "10 duplicate"}
	if diff := cmp.Diff(wantRejects, rejectLines(t, &rejects)); diff != "" {
		t.Errorf("rejects (-want +got):\n%s", diff)
	}
}

func rejectLines(t *testing.T, r io.Reader) []string {
	t.Helper()
	var out []string
	for dec := json.NewDecoder(r); ; {
		var one struct {
			Line json.Number
			Code string
		}
		if err := dec.Decode(&one); errors.Is(err, io.EOF) {
			return out
		} else if err != nil {
			t.Fatal(err)
		}
		out = append(out, one.Line.String()+" "+one.Code)
	}
}

func TestCFPBFillsIdentities(t *testing.T) {
	t.Parallel()
	read := func(seed uint64) []Row {
		return collect(t, CFPB(strings.NewReader(cfpbFile), Options{Identities: NewIdentities(seed)}))
	}
	rows := read(7)
	if diff := cmp.Diff(rows, read(7)); diff != "" {
		t.Errorf("the same seed gave other people:\n%s", diff)
	}
	if cmp.Equal(rows, read(8)) {
		t.Error("another seed gave the same people")
	}
	for _, row := range rows {
		for _, f := range complaint.IndexedFields() {
			if row.Draft.Fields[f.Name] == "" {
				t.Errorf("line %d: %s is empty", row.Line, f.Name)
			}
		}
	}
	first := rows[0].Draft.Fields
	if strings.Contains(first["narrative"], "XX") || !strings.Contains(first["narrative"], first["bank_card"]) {
		t.Error("the slots of the narrative were not filled")
	}
}

func TestImportResumesBehindALine(t *testing.T) {
	t.Parallel()
	all := collect(t, CFPB(strings.NewReader(cfpbFile), Options{Identities: NewIdentities(1)}))
	for i, row := range all {
		rest := collect(t, CFPB(strings.NewReader(cfpbFile), Options{Identities: NewIdentities(1), AfterLine: row.LastLine}))
		// The last row repeats the first: it is a duplicate only while the
		// importer has seen that one, afterwards the door recognises it.
		if diff := cmp.Diff(all[i+1:], rest[:len(all)-i-1]); diff != "" {
			t.Errorf("behind line %d (-want +got):\n%s", row.LastLine, diff)
		}
	}
}

func TestCFPBRefusesAnotherFile(t *testing.T) {
	t.Parallel()
	for _, text := range []string{"a,b\n1,2\n", "\"open\n", "complaint_id,product\n"} {
		var got error
		for _, err := range CFPB(strings.NewReader(text), Options{}) {
			got = err
		}
		if text != "\"open\n" && !errors.Is(got, ErrNotCFPB) {
			t.Errorf("%q: got %v, want ErrNotCFPB", text, got)
		}
	}
}

func TestCFPBTakesPublicColumnNames(t *testing.T) {
	t.Parallel()
	file := "\ufeffDate received,Product,Issue,Consumer complaint narrative,State,Submitted via,Complaint ID\n2024-01-02,Student loan,Dealing with your lender or servicer,text,CA,Web,1\n"
	rows := collect(t, CFPB(strings.NewReader(file), Options{}))
	if len(rows) != 1 || rows[0].Draft.ProductCode != "student_loan" || rows[0].Draft.Fields["narrative"] != "text" {
		t.Errorf("got %+v", rows)
	}
}

func jsonLines(t *testing.T, drafts ...Draft) []byte {
	t.Helper()
	var b bytes.Buffer
	for _, d := range drafts {
		if err := json.NewEncoder(&b).Encode(d); err != nil {
			t.Fatal(err)
		}
	}
	return b.Bytes()
}

func TestJSONLines(t *testing.T) {
	t.Parallel()
	good, other, bad := validDraft(), validDraft(), validDraft()
	other.SourceID = "A-2"
	bad.SourceID, bad.Fields["narrative"] = "A-3", "我的密码是abc123"
	var file bytes.Buffer
	file.Write(jsonLines(t, good))
	file.WriteString("\n{\"broken\n")
	file.Write(jsonLines(t, bad, good))
	file.WriteString(strings.Repeat("x", maxLine+10) + "\n")
	file.Write(bytes.TrimSpace(jsonLines(t, other))) // no line break at the end
	var packed bytes.Buffer
	z := gzip.NewWriter(&packed)
	_, _ = z.Write(file.Bytes())
	_ = z.Close()

	for name, in := range map[string][]byte{"plain": file.Bytes(), "gzip": packed.Bytes()} {
		var rejects bytes.Buffer
		var stats Stats
		rows := collect(t, JSONLines(bytes.NewReader(in), Options{Rejects: &rejects, Stats: &stats, Now: testNow}))
		if len(rows) != 2 || rows[0].Draft.SourceID != "A-1" || rows[1].Draft.SourceID != "A-2" || rows[1].Line != 7 {
			t.Errorf("%s: got %d rows", name, len(rows))
		}
		if strings.Contains(rejects.String(), "abc123") || strings.Contains(rejects.String(), "broken") {
			t.Errorf("%s: the rejects hold a value", name)
		}
		if diff := cmp.Diff([]string{"3 json_malformed", "4 c3_password", "5 duplicate", "6 line_too_long"}, rejectLines(t, &rejects)); diff != "" {
			t.Errorf("%s: rejects (-want +got):\n%s", name, diff)
		}
		if diff := cmp.Diff(Stats{Read: 6, Accepted: 2, Rejected: 4}, stats); diff != "" {
			t.Errorf("%s: stats (-want +got):\n%s", name, diff)
		}
	}
}

func TestReadErrorsEndTheImport(t *testing.T) {
	t.Parallel()
	broken := errors.New("disk gone")
	in := io.MultiReader(bytes.NewReader(jsonLines(t, validDraft())), iotest.ErrReader(broken))
	var got error
	for _, err := range JSONLines(in, Options{}) {
		got = err
	}
	if !errors.Is(got, broken) {
		t.Errorf("got %v, want the read error", got)
	}
	got = nil
	for _, err := range JSONLines(strings.NewReader("{\n"), Options{Rejects: failingWriter{}}) {
		got = err
	}
	if !errors.Is(got, errFull) {
		t.Errorf("got %v, want the error of the rejects file", got)
	}
}

var errFull = errors.New("disk full")

type failingWriter struct{}

func (failingWriter) Write([]byte) (int, error) { return 0, errFull }

func TestIdentitiesAreValidAndRepeatable(t *testing.T) {
	t.Parallel()
	people := NewIdentities(3)
	for i := range uint64(2000) {
		p := people.Person(i)
		if !scrub.ValidID(p.IDNumber) || !scrub.ValidCard(p.BankCard) || p != people.Person(i) {
			t.Fatalf("person %d: identity number or card is not valid, or not the same again", i)
		}
		if strings.ReplaceAll(p.BirthDate, "-", "") != p.IDNumber[6:14] {
			t.Fatalf("person %d: the birth date disagrees with the identity number", i)
		}
		fields := map[string]string{"narrative": "text"}
		p.put(fields)
		for name, value := range fields {
			if problems := CheckField(name, value); len(problems) > 0 {
				t.Fatalf("person %d: %v", i, codes(problems))
			}
		}
	}
}

func TestGeneratedComplaintsArePlausible(t *testing.T) {
	t.Parallel()
	const count = 2000
	seen := map[string]map[string]int{}
	tally := func(what, value string) {
		if seen[what] == nil {
			seen[what] = map[string]int{}
		}
		seen[what][value]++
	}
	for d := range Generate(GeneratorConfig{Seed: 1, Count: count, End: testNow, Days: 60}) {
		if problems := Validate(Clean(d), testNow); len(problems) > 0 {
			t.Fatalf("%s: %v", d.SourceID, codes(problems))
		}
		if d.ReceivedAt.After(testNow) || d.ReceivedAt.Before(testNow.AddDate(0, 0, -61)) {
			t.Fatalf("%s: received outside of the 60 days", d.SourceID)
		}
		if strings.ContainsAny(d.Fields["narrative"]+d.Fields["demand"]+d.Fields["whistle_report"], "{}") {
			t.Fatalf("%s: a slot of the story was not filled", d.SourceID)
		}
		tally("level", d.Level)
		tally("type", d.Type)
		tally("channel", d.Channel)
		tally("business", d.BusinessCode)
		tally("narrative", d.Fields["narrative"])
		tally("customer", d.Fields["id_number"])
	}
	for what, least := range map[string]int{"level": 4, "type": 5, "channel": 8, "business": 12, "narrative": count * 98 / 100, "customer": count * 3 / 4} {
		if got := len(seen[what]); got < least {
			t.Errorf("%d different values of %s, want at least %d", got, what, least)
		}
	}
	repeats := 0
	for _, n := range seen["customer"] {
		if n > 1 {
			repeats++
		}
	}
	if repeats < 100 {
		t.Errorf("%d customers complain again, want at least 100", repeats)
	}
}

func TestGenerateIsDeterministic(t *testing.T) {
	t.Parallel()
	run := func(seed uint64) (out []Draft) {
		for d := range Generate(GeneratorConfig{Seed: seed, Count: 50, End: testNow}) {
			out = append(out, d)
		}
		return out
	}
	if diff := cmp.Diff(run(5), run(5)); diff != "" {
		t.Errorf("the same seed gave other complaints:\n%s", diff)
	}
	if cmp.Equal(run(5), run(6)) {
		t.Error("another seed gave the same complaints")
	}
}

func TestDepartmentsCoverEveryBusiness(t *testing.T) {
	t.Parallel()
	known := strings.Join(Departments(), " ")
	for _, b := range complaint.Registry().Allowed("business") {
		if !strings.Contains(known, DepartmentOf(b)) {
			t.Errorf("business %s goes to a department that is not listed", b)
		}
	}
}

func FuzzCFPB(f *testing.F) {
	f.Add([]byte(cfpbFile))
	f.Add([]byte("complaint_id,date_received,product,issue,submitted_via\n1,2024-01-01,a,b,\"c\n12345,2024-01-01,a,b,c\n"))
	f.Add([]byte{0x1f, 0x8b, 0})
	f.Fuzz(func(t *testing.T, data []byte) {
		var stats Stats
		last := 0
		for row, err := range CFPB(bytes.NewReader(data), Options{Stats: &stats, Now: testNow, Identities: NewIdentities(1)}) {
			if err != nil {
				return
			}
			if row.Line <= last || row.LastLine < row.Line {
				t.Fatalf("lines %d to %d behind line %d", row.Line, row.LastLine, last)
			}
			last = row.LastLine
		}
		if stats.Read != stats.Accepted+stats.Rejected+stats.Skipped {
			t.Fatalf("a row is not accounted for: %+v", stats)
		}
	})
}

func FuzzJSONLines(f *testing.F) {
	good, _ := json.Marshal(validDraft())
	f.Add(append(good, '\n'))
	f.Add([]byte("{}\n\n[1\n"))
	f.Fuzz(func(t *testing.T, data []byte) {
		var stats Stats
		for _, err := range JSONLines(bytes.NewReader(data), Options{Stats: &stats, Now: testNow}) {
			if err != nil {
				return
			}
		}
		if stats.Read != stats.Accepted+stats.Rejected {
			t.Fatalf("a row is not accounted for: %+v", stats)
		}
	})
}

// TestCSVSplitterAgreesWithTheStandardReader compares the rows of well-formed
// files, whatever quotes and line breaks they hold.
func TestCSVSplitterAgreesWithTheStandardReader(t *testing.T) {
	t.Parallel()
	texts := []string{"plain", "a \"quoted\" word", "two\nlines", "comma, and \"\nboth\"", "\"", "\n\n\n"}
	var file bytes.Buffer
	w := csv.NewWriter(&file)
	_ = w.Write([]string{"complaint_id", "date_received", "product", "issue", "submitted_via", "narrative"})
	for i, text := range texts {
		_ = w.Write([]string{"100000" + string(rune('0'+i)), "2024-01-02", "Mortgage", "x", "Web", "n " + text + " n"})
	}
	w.Flush()
	rows := collect(t, CFPB(&file, Options{}))
	if len(rows) != len(texts) {
		t.Fatalf("got %d rows, want %d", len(rows), len(texts))
	}
	for i, text := range texts {
		if got := rows[i].Draft.Fields["narrative"]; got != "n "+text+" n" {
			t.Errorf("row %d: got %q", i, got)
		}
	}
}
