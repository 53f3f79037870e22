package verifypage_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/sealtrail/sealtrail/audit/evidence"
	"github.com/sealtrail/sealtrail/internal/chromiumtest"
)

// openPage opens verify.html from disk, as whoever got it in a bundle does.
func openPage(t *testing.T, b *chromiumtest.Browser, prepare ...string) (*chromiumtest.Page, string) {
	t.Helper()
	path, err := filepath.Abs("verify.html")
	if err != nil {
		t.Fatal(err)
	}
	address := (&url.URL{Scheme: "file", Path: path}).String()
	return b.Open(t, address, prepare...), address
}

// quiet fails if the page asked for anything but itself, or complained.
func quiet(t *testing.T, p *chromiumtest.Page, address string) {
	t.Helper()
	asked := slices.DeleteFunc(p.Requests(), func(u string) bool { return u == address })
	if complaints := p.Complaints(); len(asked) != 0 || len(complaints) != 0 {
		t.Errorf("the page asked for %q and complained of %q", asked, complaints)
	}
}

// bring types into the page's fields what a reader brings.
func bring(t *testing.T, p *chromiumtest.Page, fields map[string]string) {
	t.Helper()
	for id, value := range fields {
		raw, err := json.Marshal(value)
		if err != nil {
			t.Fatal(err)
		}
		p.Eval(t, fmt.Sprintf(`{const e = document.getElementById(%q); e.value = %s; e.dispatchEvent(new Event("change"))}`, id, raw), nil)
	}
}

// settled waits until all chosen bundles are verified, and returns what the page says about them.
func settled(t *testing.T, p *chromiumtest.Page, bundles int) string {
	t.Helper()
	var said string
	p.Eval(t, fmt.Sprintf(`new Promise((done) => {
		const busy = document.getElementById("busy");
		const look = () => /^(已核验 )?%d /.test(busy.textContent) && !/^(verifying|正在)/.test(busy.textContent) && (watch.disconnect(), done(busy.textContent));
		const watch = new MutationObserver(look);
		watch.observe(busy, { childList: true, characterData: true, subtree: true });
		look();
	})`, bundles), &said)
	return said
}

// TestReaderOpensThePageFromDisk goes the reader's way in a real Chromium: open the page, choose a bundle, give a key; then another
// language, and a forged bundle.
func TestReaderOpensThePageFromDisk(t *testing.T) {
	t.Parallel()
	s := newSample(t)
	dir := t.TempDir()
	genuine, forged := filepath.Join(dir, "genuine.zip"), filepath.Join(dir, "forged.zip")
	write := func(path string) {
		if err := os.WriteFile(path, s.zip(t), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	write(genuine)
	s.files["log/0/entries/2.json"] = []byte(strings.Replace(string(s.files["log/0/entries/2.json"]), `"handle"`, `"audits"`, 1))
	write(forged)

	p, address := openPage(t, chromiumtest.Start(t))
	p.Eval(t, `document.documentElement.lang.startsWith("zh") && document.getElementById("lang").click()`, nil)
	p.SetFiles(t, "#bundle", []string{genuine})
	if said := settled(t, p, 1); !strings.Contains(said, "1 without a key") {
		t.Errorf("without a key the page says %q", said)
	}
	text := func() (all string) {
		p.Eval(t, `document.body.innerText`, &all)
		return all
	}
	if got := text(); !strings.Contains(got, "signed by whom was not checked") || strings.Contains(got, "✓ Nothing found wrong") {
		t.Errorf("without a key: %s", got)
	}
	shoot(t, p, "no-key-en", false)
	bring(t, p, map[string]string{"keys": s.log.VerifierKey(), "witnesses": s.log.WitnessKey(), "pinned": string(s.log.Checkpoint())})
	p.Eval(t, `new Promise((done) => { const look = () => document.querySelector(".verdict.ok") ? done(true) : setTimeout(look, 10); look(); })`, nil)
	got := text()
	for _, want := range []string{"✓ Nothing found wrong", "These 6 entries and no others, up to size 8 of sealtrail.example/demo/2026", "Opened through this service, times: 1",
		"by the service's clock; nothing is said of the",
		"Withheld: 1. What those entries record is not said.", "▧ withheld", "⊘ erased, with the proof of its approval: entry 7", "信用卡部 <b>王</b>", "◆ opens content", "李雷, says the service", "What no bundle can show"} {
		if !strings.Contains(got, want) {
			t.Errorf("the page does not say %q: %s", want, got)
		}
	}
	shoot(t, p, "genuine-en", false)
	p.Eval(t, `document.getElementById("lang").click()`, nil)
	for _, want := range []string{"✓ 未发现问题", "仅有此 6 条记录,别无其他", "查看明文", "经办人", "▧ 未提供", "⊘ 已删除(附批准证明):第 7 条"} {
		if got := text(); !strings.Contains(got, want) {
			t.Errorf("in Chinese the page does not say %q: %s", want, got)
		}
	}
	shoot(t, p, "genuine-zh", true)
	p.SetFiles(t, "#bundle", []string{forged})
	p.Eval(t, `new Promise((done) => { const look = () => document.querySelector(".verdict.failed") ? done(true) : setTimeout(look, 10); look(); })`, nil)
	if got := text(); !strings.Contains(got, "✗ 发现完整性问题") || !strings.Contains(got, "entry_altered") || strings.Contains(got, "别无其他,") {
		t.Errorf("forged: %s", got)
	}
	shoot(t, p, "forged-zh", false)
	p.SetFiles(t, "#bundle", []string{genuine, forged})
	if said := settled(t, p, 2); !strings.Contains(said, "✓ 1") || !strings.Contains(said, "✗ 1") {
		t.Errorf("two bundles: %q", said)
	}
	shoot(t, p, "two-zh", false)
	quiet(t, p, address)
}

// shown is what the page says of a bundle.
type shown struct {
	Name, Verdict, Step, Code string
}

// chosen lets the page verify the jobs of one reader, as files that the reader chooses, and compares what it shows with Go.
func chosen(t *testing.T, p *chromiumtest.Page, all []*forged) {
	t.Helper()
	files := make([]string, len(all))
	for i, f := range all {
		files[i] = f.job.File
	}
	j := all[0].job
	fields := map[string]string{"keys": j.Keys, "witnesses": j.Witnesses, "quorum": fmt.Sprint(j.Quorum), "pinned": ""}
	if len(j.Pinned) > 0 {
		fields["pinned"] = string(j.Pinned[0])
	}
	p.Eval(t, `{const e = document.getElementById("bundle"); e.value = ""; e.dispatchEvent(new Event("change"))}`, nil)
	bring(t, p, fields)
	p.SetFiles(t, "#bundle", files)
	settled(t, p, len(files))
	var got []shown
	p.Eval(t, `[...document.querySelectorAll("article")].map((a) => ({Name: a.getAttribute("aria-label"), Verdict: a.dataset.verdict, Step: a.dataset.step || "0", Code: a.dataset.code || ""}))`, &got)
	if len(got) != len(all) {
		t.Fatalf("the page shows %d bundles of %d", len(got), len(all))
	}
	differ := 0
	for i, f := range all {
		v := goVerdict(t, f)
		want := shown{filepath.Base(f.job.File), "failed", fmt.Sprint(v.Step), v.Code}
		if v.OK {
			if want.Verdict = "ok"; v.Steps[evidence.StepSignature-1] != "ok" {
				want.Verdict = "not_checked"
			}
		}
		if got[i] != want {
			if differ++; differ < 5 {
				t.Errorf("%s: the page shows %+v, Go says %+v", f.name, got[i], want)
			}
		}
	}
}

// byReader splits the corpus by what the reader brings.
func byReader(all []*forged) (groups [][]*forged) {
	for _, f := range all {
		i := slices.IndexFunc(groups, func(g []*forged) bool {
			a, b := g[0].job, f.job
			return a.Keys == b.Keys && a.Witnesses == b.Witnesses && a.Quorum == b.Quorum && slices.EqualFunc(a.Pinned, b.Pinned, bytes.Equal)
		})
		if i < 0 {
			groups, i = append(groups, nil), len(groups)
		}
		groups[i] = append(groups[i], f)
	}
	return groups
}

// TestChromiumAgreesWithGo: bundles damaged by chance through the page itself, opened from disk once; nothing is asked of a network
// and nothing complained of.
func TestChromiumAgreesWithGo(t *testing.T) {
	t.Parallel()
	var all []*forged
	for i, f := range forgeries(t) {
		if i < 7 || i%4 == 0 { // the readers, and enough of the rest: Node takes every one
			all = append(all, f)
		}
	}
	written(t, all)
	b := chromiumtest.Start(t)
	p, address := openPage(t, b)
	for _, g := range byReader(all) {
		chosen(t, p, g)
	}
	quiet(t, p, address)
	var used struct{ Webcrypto, Own int }
	p.Eval(t, `Sealtrail.engine.used`, &used)
	if used.Webcrypto == 0 || used.Own != 0 {
		t.Errorf("signatures verified by %+v", used)
	}

	// The same page in a browser whose WebCrypto has no Ed25519, and in one that has none at all: the page's own lines decide.
	for name, prepare := range map[string]string{
		"no Ed25519": `const ask = SubtleCrypto.prototype.importKey;
			SubtleCrypto.prototype.importKey = function (format, key, algorithm, ...rest) {
				return (algorithm.name || algorithm) === "Ed25519" ? Promise.reject(new DOMException("no", "NotSupportedError")) : ask.call(this, format, key, algorithm, ...rest);
			};`,
		"no WebCrypto": `Object.defineProperty(Crypto.prototype, "subtle", { get: () => undefined })`,
	} {
		p, address := openPage(t, b, prepare)
		var some []*forged
		for i, f := range all {
			if f.job.Keys == all[0].job.Keys && i%4 == 0 {
				some = append(some, f)
			}
		}
		chosen(t, p, some)
		quiet(t, p, address)
		p.Eval(t, `Sealtrail.engine.used`, &used)
		if used.Webcrypto != 0 || used.Own < len(some) {
			t.Errorf("%s: signatures verified by %+v", name, used)
		}
	}
}

// shoot keeps a picture of the page in the folder that SEALTRAIL_SHOTS names; without it, nothing.
func shoot(t *testing.T, p *chromiumtest.Page, name string, dark bool) {
	t.Helper()
	if dir := os.Getenv("SEALTRAIL_SHOTS"); dir != "" {
		if err := os.WriteFile(filepath.Join(dir, name+".png"), p.Screenshot(t, 1100, dark), 0o600); err != nil {
			t.Fatal(err)
		}
	}
}
