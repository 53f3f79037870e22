package main

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/sealtrail/sealtrail/audit"
	"github.com/sealtrail/sealtrail/audit/audittest"
	"github.com/sealtrail/sealtrail/internal/exitcode"
	"github.com/sealtrail/sealtrail/internal/supervision"
)

// reportLog publishes a small log below a folder and returns it with the folder.
func reportLog(t *testing.T) (*audittest.Log, string) {
	t.Helper()
	l := audittest.New(audittest.Config{Origin: "example.org/demo-bank/2026"})
	for i, p := range supervision.Publications() {
		l.PutBlob(p.Data)
		facts := audit.Facts{"digest": p.Digest}
		if p.What != "" {
			facts["what"] = p.What
		}
		l.Append(reportEntry(i, p.Kind, "service", facts))
	}
	l.Append(reportEntry(24*4, "complaint.recorded", "complaint:a", audit.Facts{
		"received_at": "2026-01-05T01:00:00.000000Z", "level": "general", "channel": "phone", "source": "test"}))
	l.Append(reportEntry(24*5, "complaint.first_response", "complaint:a", audit.Facts{"level": "general"}))
	l.Append(reportEntry(24*6, "complaint.notified", "complaint:a", nil))
	l.Append(reportEntry(24*40, "service.started", "service", nil))
	dir := filepath.Join(t.TempDir(), "published", "demo-bank", "2026")
	if err := audittest.WriteDir(l.Folder(), dir); err != nil {
		t.Fatal(err)
	}
	return l, dir
}

// reportEntry is an event some hours after New Year.
func reportEntry(hours int, kind, subject string, facts audit.Facts) audit.Body {
	return audit.Body{
		Institution: "demo-bank", At: time.Date(2026, 1, 1, hours, 0, 0, 0, time.UTC), Stage: audit.StageEvent, Kind: kind,
		Actor: audit.Actor{ID: "p-1"}, Subject: subject, Nonce: [16]byte{1}, Facts: facts,
	}
}

func trailcheckReport(t *testing.T, args ...string) (code exitcode.Code, stdout, stderr string) {
	t.Helper()
	var out, errs bytes.Buffer
	c := &console{out: &out, err: &errs, getenv: func(string) string { return "" }}
	code = run(t.Context(), c, append([]string{"report"}, args...))
	return code, out.String(), errs.String()
}

func TestReportIsRecomputedByteForByte(t *testing.T) {
	t.Parallel()
	l, dir := reportLog(t)
	code, out, errs := trailcheckReport(t, "--key", l.VerifierKey(), "--period", "2026-01", "-o", "json", dir)
	if code != exitcode.OK {
		t.Fatalf("exit %d: %s", code, errs)
	}
	if !strings.Contains(errs, "not checked") {
		t.Errorf("nothing pinned, and it is not said: %q", errs)
	}
	file := filepath.Join(t.TempDir(), "report.json")
	key := filepath.Join(t.TempDir(), "log.vkey")
	writeFile(t, file, out)
	writeFile(t, key, l.VerifierKey()+"\n")

	// The log has grown since, and lies two levels down.
	l.Append(reportEntry(24*41, "complaint.closed", "complaint:a", audit.Facts{"close_reason": "review_final"}))
	if err := audittest.WriteDir(l.Folder(), dir); err != nil {
		t.Fatal(err)
	}
	up := filepath.Dir(filepath.Dir(dir))
	if code, out, errs := trailcheckReport(t, "--key", key, "--compare", file, up); code != exitcode.OK || !strings.Contains(out, "byte for byte") {
		t.Errorf("exit %d: %s%s", code, out, errs)
	}

	r, err := supervision.ParseReport([]byte(out))
	if err != nil {
		t.Fatal(err)
	}
	r.Figure("M07").Value.Numerator++
	false1, err := r.Canonical()
	if err != nil {
		t.Fatal(err)
	}
	writeFile(t, file, string(false1))
	code, got, errs := trailcheckReport(t, "--key", key, "--period", "2026-01", "--compare", file, dir)
	if code != exitcode.Integrity || !strings.Contains(got, "M07 at /figures/6/value/numerator") {
		t.Errorf("false figure: exit %d: %s%s", code, got, errs)
	}
	writeFile(t, file, out+"\n")
	if code, _, errs = trailcheckReport(t, "--key", key, "--period", "2026-01", "--compare", file, dir); code != exitcode.Integrity {
		t.Errorf("a newline more: exit %d: %s", code, errs)
	}
}

func TestReportOfADamagedLogNamesTheEntry(t *testing.T) {
	t.Parallel()
	l, dir := reportLog(t)
	name := filepath.Join(dir, filepath.FromSlash(audit.EntriesPath(0, int(l.Size()))))
	data, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	writeFile(t, name, strings.Replace(string(data), `"level":"general"`, `"level":"serious"`, 1))
	code, out, errs := trailcheckReport(t, "--key", l.VerifierKey(), "--period", "2026-01", dir)
	if code != exitcode.Integrity || out != "" || !strings.Contains(errs, "entry 3") {
		t.Errorf("exit %d: %q %q", code, out, errs)
	}
}

func TestReportFormats(t *testing.T) {
	t.Parallel()
	l, dir := reportLog(t)
	for format, want := range map[string]string{"table": "办结率", "csv": "M07", "html": "<!DOCTYPE html>"} {
		code, out, errs := trailcheckReport(t, "--key", l.VerifierKey(), "--period", "2026-01", "--format", format, "--lang", "zh", dir)
		if code != exitcode.OK || !strings.Contains(out, want) {
			t.Errorf("%s: exit %d: %s", format, code, errs)
		}
	}
}

func TestReportUsage(t *testing.T) {
	t.Parallel()
	l, dir := reportLog(t)
	key := l.VerifierKey()
	for name, args := range map[string][]string{
		"no folder":     {"--key", key, "--period", "2026-01"},
		"no key":        {"--period", "2026-01", dir},
		"no period":     {"--key", key, dir},
		"bad period":    {"--key", key, "--period", "January", dir},
		"bad key":       {"--key", "none", "--period", "2026-01", dir},
		"bad format":    {"--key", key, "--period", "2026-01", "--format", "xml", dir},
		"bad lang":      {"--key", key, "--period", "2026-01", "--lang", "fr", dir},
		"no such flag":  {"--keys", key, dir},
		"empty folder":  {"--key", key, "--period", "2026-01", t.TempDir()},
		"missing file":  {"--key", key, "--compare", "no-such-file", dir},
		"missing saved": {"--key", key, "--period", "2026-01", "--pinned", "no-such-file", dir},
	} {
		want := exitcode.Usage
		if name == "empty folder" {
			want = exitcode.NotFound
		}
		if code, out, errs := trailcheckReport(t, args...); code != want || out != "" || errs == "" {
			t.Errorf("%s: exit %d: %q %q", name, code, out, errs)
		}
	}
}

func writeFile(t *testing.T, name, data string) {
	t.Helper()
	if err := os.WriteFile(name, []byte(data), 0o600); err != nil {
		t.Fatal(err)
	}
}
