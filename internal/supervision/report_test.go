package supervision

import (
	"bytes"
	"encoding/xml"
	"errors"
	"flag"
	"io"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/gowebpki/jcs"

	"github.com/sealtrail/sealtrail/audit"
)

var update = flag.Bool("update", false, "rewrite testdata")

// golden compares with a file under testdata.
func golden(t *testing.T, name string, got []byte) {
	t.Helper()
	path := filepath.Join("testdata", name)
	if *update {
		if err := os.WriteFile(path, got, 0o644); err != nil { // test data is for everybody
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if d := cmp.Diff(string(got), string(want)); d != "" {
		t.Errorf("%s (-got +want):\n%s", name, d)
	}
}

func indexQuoted(s, part string) bool { return strings.Contains(s, `"`+part+`"`) }

// The format's vector: docs/formats/supervision-report.md refers to these bytes.
func TestReportVector(t *testing.T) {
	t.Parallel()
	golden(t, "report.json", []byte(reportBytes(t, report(t, "2026-01", january(t)))))
}

// Two other readers agree that the bytes are canonical.
func TestReportIsCanonical(t *testing.T) {
	t.Parallel()
	b := []byte(reportBytes(t, report(t, "2026-Q1", synthetic(t, 100, 3))))
	if err := audit.ScanCanonical(b); err != nil {
		t.Error(err)
	}
	other, err := jcs.Transform(b)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(b, other) {
		t.Error("RFC 8785 by another implementation gives other bytes")
	}
	r, err := ParseReport(b)
	if err != nil {
		t.Fatal(err)
	}
	if reportBytes(t, r) != string(b) {
		t.Error("a report read again writes other bytes")
	}
}

func TestCompareNamesFigureAndPointer(t *testing.T) {
	t.Parallel()
	r := report(t, "2026-01", january(t))
	want := reportBytes(t, r)
	for _, c := range []struct {
		name, figure, pointer string
		change                func(*Report)
	}{
		{"value", "M04", "/figures/3/value/numerator", func(r *Report) { r.Figures[3].Value.Numerator++ }},
		{"n/a made 100 %", "M01", "/figures/0/value/bp", func(r *Report) { r.Figures[0].Value.BasisPoints = nil }},
		{"figure left out", "M41", "/figures/18", func(r *Report) { r.Figures = r.Figures[:18] }},
		{"detail", "M28", "/figures/16/details/0/value", func(r *Report) { r.Figures[16].Details[0].Value++ }},
		{"header", "", "/header/calendar/sha256", func(r *Report) { r.Header.Calendar.SHA256 = "00" }},
		{"breach", "", "/breaches/0/breached", func(r *Report) { r.Breaches[0].Breached = 0 }},
	} {
		other := report(t, "2026-01", january(t))
		c.change(&other)
		d, same := Compare([]byte(want), []byte(reportBytes(t, other)))
		if same || d.Figure != c.figure || d.Pointer != c.pointer {
			t.Errorf("%s: got %q %q", c.name, d.Figure, d.Pointer)
		}
	}
	if d, same := Compare([]byte(want+"\n"), []byte(want)); same || d.Want != "the same values in other bytes" {
		t.Errorf("a newline more: got %v, %v", d, same)
	}
	if _, same := Compare([]byte("no JSON"), []byte(want)); same {
		t.Error("no JSON equals a report")
	}
	if _, same := Compare([]byte(want), []byte(want)); !same {
		t.Error("a report differs from itself")
	}
}

func TestParseReportRefuses(t *testing.T) {
	t.Parallel()
	good := reportBytes(t, report(t, "2026-01", january(t)))
	for name, b := range map[string]string{
		"empty": "", "spaced": " " + good, "newline": good + "\n", "twice": good + good,
		"other format":   strings.Replace(good, reportFormat, "sealtrail-report/2", 1),
		"unknown member": strings.Replace(good, `{"binding"`, `{"beauty":1,"binding"`, 1),
		"float":          strings.Replace(good, `"numerator":7`, `"numerator":7.0`, 1),
	} {
		if _, err := ParseReport([]byte(b)); !errors.Is(err, ErrReport) {
			t.Errorf("%s: got %v", name, err)
		}
	}
}

func TestRounding(t *testing.T) {
	t.Parallel()
	for _, c := range []struct{ n, d, want int64 }{{1, 3, 3333}, {2, 3, 6667}, {1, 20000, 1}, {1, 20001, 0}, {1, 1, 10000}, {0, 5, 0}, {7, 2, 35000}} {
		if got := *ratio(c.n, c.d, 0).BasisPoints; got != c.want {
			t.Errorf("%d/%d: got %d, want %d", c.n, c.d, got, c.want)
		}
	}
}

func TestTableAndCSV(t *testing.T) {
	t.Parallel()
	r := report(t, "2026-01", january(t))
	for _, lang := range []Lang{ZH, EN} {
		var table, csv bytes.Buffer
		if err := errors.Join(r.WriteTable(&table, lang), r.WriteCSV(&csv, lang)); err != nil {
			t.Fatal(err)
		}
		golden(t, "table."+string(lang)+".txt", table.Bytes())
		golden(t, "report."+string(lang)+".csv", csv.Bytes())
	}
}

// A department named like a formula or like markup runs nowhere.
func TestHostileNamesStayNames(t *testing.T) {
	t.Parallel()
	j := &journal{t: t}
	j.complaint("a", "2026-01-05 10:00", "2026-01-05 11:00", `=cmd|' /C calc'!A0`, nil)
	j.complaint("b", "2026-01-05 10:00", "2026-01-05 11:00", `<script>alert(1)</script>`, nil)
	j.tick("2026-02-01 00:00")
	r := report(t, "2026-01", j.leaves)
	var csv, page bytes.Buffer
	if err := errors.Join(r.WriteCSV(&csv, EN), r.WriteHTML(&page, EN)); err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(csv.String(), `,'=cmd`) || strings.Contains(csv.String(), ",=cmd") {
		t.Error("CSV holds a formula")
	}
	if strings.Contains(page.String(), "<script") {
		t.Error("page holds a script")
	}
}

// The page needs nothing from outside and runs nothing; every picture is well formed and names itself.
func TestPageIsSelfContained(t *testing.T) {
	t.Parallel()
	r := report(t, "2026-Q1", synthetic(t, 200, 3))
	outside := regexp.MustCompile(`(?i)<script|<link|<img|<iframe|\son[a-z]+=|url\(["']?[^#]|src=|href=|@import`)
	for _, lang := range []Lang{ZH, EN} {
		var page bytes.Buffer
		if err := r.WriteHTML(&page, lang); err != nil {
			t.Fatal(err)
		}
		if m := outside.FindString(page.String()); m != "" {
			t.Errorf("%s: page holds %q", lang, m)
		}
		for _, f := range r.Figures {
			if !strings.Contains(page.String(), f.Definition.Name.in(lang)) || !strings.Contains(page.String(), ">"+counterText(&r, &f, lang)+"<") {
				t.Errorf("%s: %s or its counter-figure is missing", lang, f.Definition.ID)
			}
		}
		for _, c := range r.Charts(lang) {
			wellFormed(t, c)
		}
	}
}

func wellFormed(t *testing.T, c Chart) {
	t.Helper()
	dec := xml.NewDecoder(strings.NewReader(c.SVG))
	for {
		_, err := dec.Token()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			t.Fatalf("%s: %v", c.Name, err)
		}
	}
	if !strings.Contains(c.SVG, "<title id=") || !strings.Contains(c.SVG, "<desc id=") || strings.Contains(c.SVG, "style=") {
		t.Errorf("%s: no title or description, or a style attribute", c.Name)
	}
}

func TestChartsOfAnEmptyLog(t *testing.T) {
	t.Parallel()
	j := &journal{t: t}
	j.tick("2026-01-05 10:00")
	r := report(t, "2026-01", j.leaves)
	for _, c := range r.Charts(EN) {
		wellFormed(t, c)
	}
	if got := r.Charts(EN)[0].SVG; strings.Contains(got, "100.00 %") || !strings.Contains(got, "n/a") {
		t.Error("an empty log is drawn as something")
	}
}
