package inforce_test

import (
	"archive/tar"
	"bytes"
	"io/fs"
	"os"
	"path"
	"strings"
	"testing"
	"testing/fstest"
	"time"

	"github.com/sealtrail/sealtrail/audit"
	"github.com/sealtrail/sealtrail/audit/audittest"
	"github.com/sealtrail/sealtrail/audit/verify"
	"github.com/sealtrail/sealtrail/internal/inforce"
)

// packed archives the files of a folder as a policy bundle is archived.
func packed(t *testing.T, fsys fs.FS, change func(name string, raw []byte) []byte) []byte {
	t.Helper()
	var out bytes.Buffer
	w := tar.NewWriter(&out)
	err := fs.WalkDir(fsys, ".", func(name string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() || !strings.Contains(".rego .json .yaml", path.Ext(name)) || path.Ext(name) == "" {
			return err
		}
		raw, err := fs.ReadFile(fsys, name)
		if err != nil {
			return err
		}
		if change != nil {
			raw = change(name, raw)
		}
		if err := w.WriteHeader(&tar.Header{Typeflag: tar.TypeReg, Name: name, Mode: 0o644, Size: int64(len(raw)), Format: tar.FormatUSTAR}); err != nil {
			return err
		}
		_, err = w.Write(raw)
		return err
	})
	if err != nil || w.Close() != nil {
		t.Fatal(err)
	}
	return out.Bytes()
}

// chapter is the embedded chapter; another one differs in a comment only.
func chapter(t *testing.T) []byte { return packed(t, os.DirFS("../../policy/confidentiality"), nil) }

func otherChapter(t *testing.T) []byte {
	return packed(t, os.DirFS("../../policy/confidentiality"), func(name string, raw []byte) []byte {
		if name == "reasons.yaml" {
			return append([]byte("# another one\n"), raw...)
		}
		return raw
	})
}

// written makes logs of decisions and activations at chosen times.
type written struct {
	t *testing.T
	l *audittest.Log
	n int
}

func newWritten(t *testing.T) *written {
	return &written{t: t, l: audittest.New(audittest.Config{})}
}

func (w *written) body(kind string) audit.Body {
	w.n++
	b := audittest.Body(4 * w.n)
	b.Kind, b.Stage, b.Facts, b.Commit, b.Decision = kind, audit.StageEvent, nil, nil, nil
	return b
}

func (w *written) activate(digest string) {
	b := w.body("bundle.activated")
	b.Subject, b.Facts, b.Purpose, b.Revision = inforce.Subject, audit.Facts{"sequence": 1, "digest": digest}, "", 0
	w.l.Append(b)
}

func (w *written) opened(facts audit.Facts) {
	b := w.body("log.opened")
	b.Subject, b.Facts, b.Purpose, b.Revision = "charter:log", facts, "", 0
	w.l.Append(b)
}

// decide appends a refusal under a bundle; what of it is wrong is for the caller to say.
func (w *written) decide(digest string, change ...func(*audit.DecisionRef)) {
	b := w.body("access.denied")
	b.Facts = audit.Facts{"action": "read", "reason": "quality_redacted_only"}
	b.Decision = &audit.DecisionRef{Result: "deny", Rule: "R14", Article: "6.1.14", Reason: "quality_redacted_only", Bundle: digest}
	for _, c := range change {
		c(b.Decision)
	}
	w.l.Append(b)
}

// later lets the sequencer's clock run on, by entries that decide nothing: the log's clock moves a millisecond with each.
func (w *written) later(d time.Duration) { w.l.Later(d) }

func (w *written) step(change ...func(fstest.MapFS)) verify.Step {
	w.t.Helper()
	folder := w.l.Folder()
	for _, c := range change {
		c(folder)
	}
	fold := &inforce.Fold{}
	report, err := verify.Verify(w.t.Context(), folder, verify.Options{VerifierKey: w.l.VerifierKey(), Entries: fold.Take})
	if err != nil {
		w.t.Fatal(err)
	}
	return fold.Step(12, report.Origin, folder)
}

func codes(s verify.Step) string {
	var out []string
	for _, f := range s.Findings {
		out = append(out, f.Code)
	}
	return strings.Join(out, " ")
}

func notes(s verify.Step) string {
	var out []string
	for _, n := range s.Notes {
		out = append(out, n.EN)
	}
	return strings.Join(out, "; ")
}

// TestDecisionUnderAnInactiveBundleIsFound goes through the ways in which a decision can stand to the timeline of bundles.
func TestDecisionUnderAnInactiveBundleIsFound(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name       string
		write      func(w *written, a, b string)
		want, note string
	}{
		{"active throughout", func(w *written, a, _ string) { w.activate(a); w.decide(a); w.decide(a) }, "", "2 decisions, 1 activations"},
		{"active after the other", func(w *written, a, b string) { w.activate(a); w.decide(a); w.activate(b); w.decide(b) }, "", "2 decisions, 2 activations"},
		{"never active", func(w *written, a, b string) { w.activate(a); w.decide(b) }, "policy_not_active", ""},
		{"no longer active", func(w *written, a, b string) {
			w.activate(a)
			w.activate(b)
			w.later(6 * time.Second)
			w.decide(a)
		}, "policy_not_active", ""},
		{"in flight while the other became active", func(w *written, a, b string) {
			w.activate(a)
			w.activate(b)
			w.later(4 * time.Second)
			w.decide(a)
		}, "", "1 decisions were in flight"},
		{"not active yet", func(w *written, a, b string) {
			w.activate(a)
			w.decide(b)
			w.later(6 * time.Second)
			w.activate(b)
		}, "policy_not_active", ""},
		{"in flight just before", func(w *written, a, b string) { w.activate(a); w.decide(b); w.activate(b) }, "", "1 decisions were in flight"},
		{"before the first of all", func(w *written, a, _ string) { w.decide(a); w.later(time.Hour); w.activate(a) }, "", "before the first activation of all"},
		{"before the first of all, another", func(w *written, a, b string) { w.decide(b); w.activate(a) }, "policy_not_active", ""},
		{"in a log that continues one not given", func(w *written, a, b string) {
			w.opened(audit.Facts{"origin": "x", "size": 3, "root": strings.Repeat("0", 64), "year": 2025})
			w.decide(a)
			w.later(time.Hour)
			w.activate(b)
			w.decide(b)
		}, "", "not checked: 1 decisions whose bundle became active in an earlier log"},
		{"in a log that begins anew", func(w *written, a, b string) {
			w.opened(audit.Facts{"origin": "x"})
			w.decide(a)
			w.activate(b)
		}, "policy_not_active", ""},
		{"activated again", func(w *written, a, b string) { w.activate(a); w.activate(b); w.activate(a); w.decide(a) }, "", ""},
		{"an intent does not activate", func(w *written, a, b string) {
			w.activate(a)
			body := w.body("bundle.activated")
			body.Subject, body.Facts, body.Stage = inforce.Subject, audit.Facts{"sequence": 2, "digest": b}, audit.StageIntent
			w.l.Append(body)
			w.decide(b)
		}, "policy_not_active", ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			w := newWritten(t)
			a, b := w.l.PutBlob(chapter(t)), w.l.PutBlob(otherChapter(t))
			tt.write(w, a, b)
			s := w.step()
			if codes(s) != tt.want || (s.Status == verify.OK) != (tt.want == "") || !strings.Contains(notes(s), tt.note) {
				t.Errorf("%s: findings %q, want %q; notes %q, want %q", s.Status, codes(s), tt.want, notes(s), tt.note)
			}
		})
	}
}

// TestRuleAndArticleAreTheBundlesOwn: the archived bundle, not the entry, says what a reason rests on.
func TestRuleAndArticleAreTheBundlesOwn(t *testing.T) {
	t.Parallel()
	for name, change := range map[string]func(*audit.DecisionRef){
		"another rule":    func(d *audit.DecisionRef) { d.Rule = "R3" },
		"another article": func(d *audit.DecisionRef) { d.Article = "6.1.3" },
		"both, of another reason": func(d *audit.DecisionRef) {
			d.Rule, d.Article = "R3", "6.1.3"
		},
		"unknown reason":  func(d *audit.DecisionRef) { d.Reason = "because" },
		"unknown article": func(d *audit.DecisionRef) { d.Reason, d.Article = "", "9.9.9" },
		"unknown rule":    func(d *audit.DecisionRef) { d.Reason, d.Rule = "", "R99" },
	} {
		w := newWritten(t)
		digest := w.l.PutBlob(chapter(t))
		w.activate(digest)
		w.decide(digest)
		if s := w.step(); s.Status != verify.OK {
			t.Fatalf("as the bundle has it: %+v", s)
		}
		w.decide(digest, change)
		if s := w.step(); codes(s) != "policy_rule" || *s.Findings[0].From != 2 {
			t.Errorf("%s: %+v", name, s)
		}
	}
}

// TestArchivedBundleMustBeThereAndBeOne: a missing blob, and one that is no bundle, are findings.
func TestArchivedBundleMustBeThereAndBeOne(t *testing.T) {
	t.Parallel()
	w := newWritten(t)
	digest := w.l.PutBlob(chapter(t))
	w.activate(digest)
	w.decide(digest)
	if s := w.step(func(f fstest.MapFS) { delete(f, audit.BlobPath(digest)) }); codes(s) != "policy_missing" {
		t.Errorf("missing: %+v", s)
	}
	for name, raw := range map[string][]byte{"no archive": []byte("a policy bundle"), "no rule": packed(t, fstest.MapFS{"a.yaml": {Data: []byte("a: 1")}}, nil), "empty": {}} {
		if s := w.step(func(f fstest.MapFS) { f[audit.BlobPath(digest)] = &fstest.MapFile{Data: raw} }); codes(s) != "policy_unreadable" {
			t.Errorf("%s: %+v", name, s)
		}
	}
}

// TestWithoutAnyActivationNothingIsSaid: a log in which no bundle ever became active is not checked, and says so.
func TestWithoutAnyActivationNothingIsSaid(t *testing.T) {
	t.Parallel()
	w := newWritten(t)
	w.decide(w.l.PutBlob(chapter(t)))
	if s := w.step(); s.Status != verify.NotChecked || !strings.Contains(notes(s), "no activation") {
		t.Errorf("%+v", s)
	}
}
