package main

import (
	"bytes"
	"context"
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/sealtrail/sealtrail/audit"
	"github.com/sealtrail/sealtrail/audit/audittest"
	"github.com/sealtrail/sealtrail/internal/exitcode"
)

// call runs the command as main does and returns its exit code and what it wrote.
func call(t *testing.T, args ...string) (code exitcode.Code, stdout, stderr string) {
	t.Helper()
	var out, errs bytes.Buffer
	code = run(context.Background(), &console{out: &out, err: &errs, getenv: func(string) string { return "" }}, args)
	return code, out.String(), errs.String()
}

// published writes a log of 300 entries below a new folder and returns it with the folder.
func published(t *testing.T) (*audittest.Log, string) {
	t.Helper()
	l := audittest.New(audittest.Config{Witness: true})
	l.PutBlob([]byte("policy bundle"))
	l.Append(audittest.Bodies(200)...)
	l.Append(audittest.Bodies(300)[200:]...)
	return l, write(t, l)
}

func write(t *testing.T, l *audittest.Log) string {
	t.Helper()
	dir := t.TempDir()
	if err := audittest.WriteDir(l.Folder(), dir); err != nil {
		t.Fatal(err)
	}
	return dir
}

func file(t *testing.T, data []byte) string {
	t.Helper()
	name := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(name, data, 0o600); err != nil {
		t.Fatal(err)
	}
	return name
}

func want(t *testing.T, out string, lines ...string) {
	t.Helper()
	for _, l := range lines {
		if !strings.Contains(out, l) {
			t.Errorf("output lacks %q:\n%s", l, out)
		}
	}
}

func TestVerifySaysWhatItDidNotCheck(t *testing.T) {
	t.Parallel()
	l, dir := published(t)
	code, out, errs := call(t, "verify", "--key", l.VerifierKey(), dir)
	if code != exitcode.OK {
		t.Fatalf("code %d\n%s%s", code, out, errs)
	}
	want(t, out, "1 ✓ checkpoint signed", "2 – witness", "3 – consistent", "4 ✓", "5 ✓", "6 ✓", "7 ✓", "8 ✓",
		"✓ nothing found wrong; not checked: no earlier checkpoint, no witness", "next: keep this checkpoint")

	code, out, _ = call(t, "verify", "--lang", "zh", "--key", l.VerifierKey(), dir)
	if code != exitcode.OK {
		t.Fatalf("code %d", code)
	}
	want(t, out, "✓ 未发现问题; 未检查: 没有先前保存的检查点、没有见证方")
}

func TestVerifyWithEverything(t *testing.T) {
	t.Parallel()
	l, dir := published(t)
	kept := file(t, l.Checkpoint())
	code, out, errs := call(t, "verify", dir, "--key", file(t, []byte("# the demo's key\n"+l.VerifierKey()+"\n")), "--pinned", kept,
		"--witness", l.WitnessKey(), "--witness-checkpoint", kept, "--quorum", "1")
	if code != exitcode.OK {
		t.Fatalf("code %d\n%s%s", code, out, errs)
	}
	want(t, out, "2 ✓", "all 300 entries are cosigned, last at 2026-01-02 03:04:05 UTC", "3 ✓", "✓ nothing found wrong\n")
}

// What the witness has not seen yet is not checked, and both sizes are named.
func TestHeadThatIsNotCosigned(t *testing.T) {
	t.Parallel()
	l, dir := published(t)
	plain := audittest.New(audittest.Config{})
	plain.Append(audittest.Bodies(300)...)
	for _, name := range []string{audit.CheckpointPath, audit.CheckpointSizePath(300)} { // as it is between signature and cosignature
		if err := os.WriteFile(filepath.Join(dir, name), plain.Checkpoint(), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	args := []string{"verify", "--key", l.VerifierKey(), "--pinned", file(t, l.Checkpoint()), "--witness", l.WitnessKey(), dir}
	code, out, errs := call(t, args...)
	if code != exitcode.OK {
		t.Fatalf("code %d\n%s%s", code, out, errs)
	}
	want(t, out, "2 – witness", "cosigned up to size 200, at 2026-01-02 03:04:05 UTC", "not checked: the 100 entries after it, up to size 300",
		"✓ nothing found wrong; not checked: no witness beyond size 200 of 300\n", "next: ask the witness itself")
	code, out, _ = call(t, append(args, "--lang", "zh")...)
	if code != exitcode.OK {
		t.Errorf("zh: code %d", code)
	}
	want(t, out, "2 – 见证方", "已联署至规模 200,时间 2026-01-02 03:04:05 UTC", "未检查:其后 100 条(至规模 300",
		"✓ 未发现问题; 未检查: 规模 200 之后无见证方联署(日志规模 300)\n", "下一步:直接向见证方索取")
	_, out, _ = call(t, append(args, "-o", "json")...)
	want(t, out, `"cosigned": 200`, `"cosigned_at": "2026-01-02T03:04:05Z"`)
}

// A log that was put back to an older state is whole in itself; its newest cosignature is old.
func TestMaxAge(t *testing.T) {
	t.Parallel()
	l, dir := published(t)
	args := []string{"verify", "--key", l.VerifierKey(), "--witness", l.WitnessKey(), dir, "--max-age"}
	if code, out, errs := call(t, append(args, "800000h")...); code != exitcode.OK {
		t.Errorf("in 91 years: code %d\n%s%s", code, out, errs)
	}
	code, out, _ := call(t, append(args, "1h")...)
	if code != exitcode.Integrity {
		t.Errorf("older than an hour: code %d\n%s", code, out)
	}
	want(t, out, "2 ✗ witness", "the newest cosignature, of size 300, is of 2026-01-02 03:04:05 UTC: more than 1h0m0s ago")
	_, out, _ = call(t, append(args, "1h", "--lang", "zh")...)
	want(t, out, "最近的联署(规模 300)时间为 2026-01-02 03:04:05 UTC,距今超过 1h0m0s")
}

func TestRewrittenLog(t *testing.T) {
	t.Parallel()
	l, _ := published(t)
	forged := write(t, l.Rewrite(func(i uint64, b *audit.Body) bool { return i != 77 }))
	kept := file(t, l.Checkpoint())
	if code, out, _ := call(t, "verify", "--key", l.VerifierKey(), forged); code != exitcode.OK || !strings.Contains(out, "not checked: no earlier checkpoint, no witness") {
		t.Errorf("alone: code %d\n%s", code, out)
	}
	for name, args := range map[string][]string{"earlier checkpoint": {"--pinned", kept}, "witness": {"--witness", l.WitnessKey()},
		"witness checkpoint": {"--witness", l.WitnessKey(), "--witness-checkpoint", kept}} {
		code, out, _ := call(t, append([]string{"verify", "--key", l.VerifierKey(), forged}, args...)...)
		if code != exitcode.Integrity {
			t.Errorf("%s: code %d\n%s", name, code, out)
		}
		want(t, out, "✗ integrity finding")
	}
}

func TestFlippedByteNamesEntryAndNextCommand(t *testing.T) {
	t.Parallel()
	l, dir := published(t)
	name := filepath.Join(dir, audit.EntriesPath(0, 0))
	data, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	i := bytes.Index(data, []byte("p-0011")) // the actor of entry 11
	data[i] = 'q'
	if err := os.WriteFile(name, data, 0o600); err != nil {
		t.Fatal(err)
	}
	code, out, _ := call(t, "verify", "--key", l.VerifierKey(), dir)
	if code != exitcode.Integrity {
		t.Fatalf("code %d\n%s", code, out)
	}
	want(t, out, "4 ✗", "entry 11 was changed after it was signed", "on record", "recomputed", "next: trailcheck explain "+dir+" 11")

	code, out, _ = call(t, "explain", dir, "11")
	if code != exitcode.Integrity {
		t.Errorf("explain: code %d", code)
	}
	want(t, out, "does NOT hold this entry")

	code, out, _ = call(t, "verify", "-o", "json", "--key", l.VerifierKey(), dir)
	var doc struct {
		OK   bool
		Logs []struct{ Steps []struct{ Status string } }
	}
	if err := json.Unmarshal([]byte(out), &doc); err != nil || code != exitcode.Integrity || doc.OK || len(doc.Logs) != 1 || doc.Logs[0].Steps[3].Status != "failed" {
		t.Errorf("JSON: code %d, %v\n%s", code, err, out)
	}
}

func TestExplain(t *testing.T) {
	t.Parallel()
	l, dir := published(t)
	code, out, errs := call(t, "explain", "--key", l.VerifierKey(), dir, "257")
	if code != exitcode.OK {
		t.Fatalf("code %d\n%s%s", code, out, errs)
	}
	want(t, out, "Entry 257: at 2026-01-02 03:04:05 UTC, p-0035 (handler) announced: fields revealed (access.reveal), concerning complaint:00000040-",
		"for the purpose of handling the complaint, fields id_number, phone; allowed by rule R3, article 6.2.1",
		"✓ the signed root over 300 entries holds this entry at 257", "✓ the root is signed")
	code, out, _ = call(t, "explain", "--lang", "zh", dir, "259")
	if code != exitcode.OK {
		t.Fatalf("code %d", code)
	}
	want(t, out, "第 259 条", "访问被拒绝(access.denied)", "拒绝,规则 R3", "– 签名未检查")
	code, out, _ = call(t, "explain", "-o", "json", dir, "0")
	var doc explained
	if err := json.Unmarshal([]byte(out), &doc); err != nil || code != exitcode.OK || !doc.Included || doc.Leaf != string(l.Leaf(0)) {
		t.Errorf("JSON: code %d, %v\n%s", code, err, out)
	}
	other := audittest.New(audittest.Config{Seed: 1})
	if code, out, _ := call(t, "explain", "--key", other.VerifierKey(), dir, "0"); code != exitcode.Integrity || !strings.Contains(out, "NOT signed") {
		t.Errorf("another key: code %d\n%s", code, out)
	}
}

func TestExitCodes(t *testing.T) {
	t.Parallel()
	l, dir := published(t)
	key := l.VerifierKey()
	parent := t.TempDir()
	if err := audittest.WriteDir(l.Folder(), filepath.Join(parent, "demo", "2026")); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		name string
		args []string
		want exitcode.Code
		says string
	}{
		{"no command", nil, exitcode.Usage, "trailcheck verify"},
		{"unknown command", []string{"varify"}, exitcode.Usage, "unknown command"},
		{"help", []string{"help"}, exitcode.OK, "trailcheck verify"},
		{"help of a command", []string{"verify", "--help"}, exitcode.OK, "-pinned"},
		{"no key", []string{"verify", dir}, exitcode.Usage, "--key is required"},
		{"no folder", []string{"verify", "--key", key}, exitcode.Usage, "DIR"},
		{"two folders", []string{"verify", "--key", key, dir, dir}, exitcode.Usage, "DIR"},
		{"unknown flag", []string{"verify", "--kee", key, dir}, exitcode.Usage, "kee"},
		{"key that is none", []string{"verify", "--key", "a+b+c", dir}, exitcode.Usage, "verifier key"},
		{"key file missing", []string{"verify", "--key", "nowhere", dir}, exitcode.Usage, "reading key"},
		{"checkpoint file missing", []string{"verify", "--key", key, "--pinned", "nowhere", dir}, exitcode.Usage, "reading checkpoint"},
		{"witness checkpoint without key", []string{"verify", "--key", key, "--witness-checkpoint", filepath.Join(dir, "checkpoint"), dir}, exitcode.Usage, "needs the --witness key"},
		{"quorum", []string{"verify", "--key", key, "--quorum", "1", dir}, exitcode.Usage, "quorum"},
		{"age without witness", []string{"verify", "--key", key, "--max-age", "1h", dir}, exitcode.Usage, "needs the --witness key"},
		{"age that is none", []string{"verify", "--key", key, "--max-age", "soon", dir}, exitcode.Usage, "max-age"},
		{"negative age", []string{"verify", "--key", key, "--witness", l.WitnessKey(), "--max-age", "-1h", dir}, exitcode.Usage, "not negative"},
		{"language", []string{"verify", "--lang", "fr", "--key", key, dir}, exitcode.Usage, "--lang"},
		{"output", []string{"verify", "-o", "xml", "--key", key, dir}, exitcode.Usage, "-o is"},
		{"folder missing", []string{"verify", "--key", key, filepath.Join(dir, "nowhere")}, exitcode.NotFound, "nowhere"},
		{"no log", []string{"verify", "--key", key, t.TempDir()}, exitcode.NotFound, "no log"},
		{"root of logs", []string{"verify", "--key", key, parent}, exitcode.OK, "sealtrail.example/demo/2026"},
		{"entry beyond the log", []string{"explain", dir, "300"}, exitcode.NotFound, "entry 300"},
		{"index that is none", []string{"explain", dir, "-x"}, exitcode.Usage, "-x"},
		{"index in words", []string{"explain", dir, "one"}, exitcode.Usage, "INDEX"},
		{"explain of a root", []string{"explain", parent, "1"}, exitcode.Usage, filepath.Join(parent, "demo", "2026")},
		{"report without period", []string{"report", "--key", key, dir}, exitcode.Usage, "--period"},
	} {
		code, out, errs := call(t, c.args...)
		if code != c.want || !strings.Contains(out+errs, c.says) {
			t.Errorf("%s: code %d, want %d with %q\n%s%s", c.name, code, c.want, c.says, out, errs)
		}
	}
}

func TestLanguageOfTheEnvironment(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		env  map[string]string
		want string
	}{
		{nil, "en"}, {map[string]string{"LANG": "zh_CN.UTF-8"}, "zh"}, {map[string]string{"LANG": "zh_CN", "LC_ALL": "C"}, "en"},
		{map[string]string{"LANG": "en_US", "LC_MESSAGES": "zh_TW"}, "zh"},
	} {
		if got := language(func(n string) string { return c.env[n] }); got != c.want {
			t.Errorf("%v: %s, want %s", c.env, got, c.want)
		}
	}
}

func TestSchemaRefuses(t *testing.T) {
	t.Parallel()
	for name, change := range map[string]func(*audit.Body){
		"unknown kind":     func(b *audit.Body) { b.Kind = "complaint.eaten" },
		"unknown fact":     func(b *audit.Body) { b.Facts["weather"] = "fine" },
		"missing fact":     func(b *audit.Body) { delete(b.Facts, "channel") },
		"not of the set":   func(b *audit.Body) { b.Facts["channel"] = "pigeon" },
		"text for a bool":  func(b *audit.Body) { b.Facts["repeat_180d"] = "yes" },
		"not a time":       func(b *audit.Body) { b.Facts["received_at"] = "yesterday at noon, I think" },
		"telephone number": func(b *audit.Body) { b.Facts["branch"] = "13800138000" },
	} {
		s := newSchema()
		good := audittest.Body(4)
		if err := check(t, s, good); err != nil {
			t.Fatalf("good entry refused: %v", err)
		}
		bad := audittest.Body(0)
		change(&bad)
		for range 2 { // the second time from the cache
			if err := check(t, s, bad); err == nil {
				t.Errorf("%s: accepted", name)
			}
		}
		if err := check(t, s, good); err != nil {
			t.Errorf("good entry refused afterwards: %v", err)
		}
	}
}

func TestIntentMayLackFactsOfItsOutcome(t *testing.T) {
	t.Parallel()
	b := audittest.Body(0)
	b.Stage, b.Facts = audit.StageIntent, audit.Facts{"channel": "phone"}
	if err := check(t, newSchema(), b); err != nil {
		t.Error(err)
	}
}

func check(t *testing.T, s *schema, b audit.Body) error {
	t.Helper()
	raw, err := b.Canonical()
	if err != nil {
		t.Fatal(err)
	}
	var v audit.LeafView
	p := audit.Position{Log: "l", SeqAt: time.Unix(0, 0), TrailN: 1}
	if err := audit.ScanLeaf(audit.AssembleLeaf(raw, p), &v); err != nil {
		t.Fatal(err)
	}
	return s.check(&v)
}
