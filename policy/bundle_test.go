package policy_test

import (
	"bytes"
	"io/fs"
	"strings"
	"testing"
	"testing/fstest"

	"github.com/sealtrail/sealtrail/policy"
	"github.com/sealtrail/sealtrail/policy/confidentiality"
	"github.com/sealtrail/sealtrail/policy/policytest"
)

// copied is the embedded chapter in memory.
func copied(t testing.TB) fstest.MapFS {
	t.Helper()
	out := fstest.MapFS{}
	err := fs.WalkDir(confidentiality.Files(), ".", func(name string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		raw, err := fs.ReadFile(confidentiality.Files(), name)
		out[name] = &fstest.MapFile{Data: raw}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return out
}

// changed is the embedded chapter with one text in one file replaced by another, once.
func changed(t testing.TB, file, old, with string) fstest.MapFS {
	t.Helper()
	out := copied(t)
	raw := string(out[file].Data)
	if !strings.Contains(raw, old) {
		t.Fatalf("%s does not hold %q", file, old)
	}
	out[file] = &fstest.MapFile{Data: []byte(strings.Replace(raw, old, with, 1))}
	return out
}

func TestPolicytestFindsTheChapterFit(t *testing.T) {
	t.Parallel()
	policytest.Fit(t, confidentiality.Files())
}

func TestBundleDigestIsOfTheFiles(t *testing.T) {
	t.Parallel()
	one, two := newEngine(t), newEngine(t)
	digest, archive := one.Bundle()
	again, bytesAgain := two.Bundle()
	if digest != again || !bytes.Equal(archive, bytesAgain) {
		t.Error("the same files give different archives")
	}
	bundle := copied(t)
	bundle["README.md"] = &fstest.MapFile{Data: []byte("not covered")}
	if err := one.Activate(t.Context(), bundle); err != nil {
		t.Fatal(err)
	}
	if d, _ := one.Bundle(); d != digest {
		t.Error("a file that the engine does not read changes the digest")
	}
	if err := one.Activate(t.Context(), changed(t, "next.yaml", "Ask the handler.", "Ask the handler!")); err != nil {
		t.Fatal(err)
	}
	if d, _ := one.Bundle(); d == digest {
		t.Error("a changed file keeps the digest")
	}
}

func TestUnreadableBundles(t *testing.T) {
	t.Parallel()
	for name, bundle := range map[string]fs.FS{
		"empty":        fstest.MapFS{},
		"broken rego":  fstest.MapFS{"x.rego": {Data: []byte("package")}},
		"broken json":  fstest.MapFS{"x.rego": {Data: []byte("package sealtrail.x\n")}, "d.json": {Data: []byte("{")}},
		"key twice":    fstest.MapFS{"x.rego": {Data: []byte("package sealtrail.x\n")}, "a.json": {Data: []byte(`{"k":1}`)}, "b.json": {Data: []byte(`{"k":1}`)}},
		"too large":    fstest.MapFS{"x.rego": {Data: bytes.Repeat([]byte("#\n"), 1<<20)}},
		"a folder too": fstest.MapFS{"x.rego/y": {Data: []byte("")}},
	} {
		if _, err := policy.Check(t.Context(), bundle); err == nil {
			t.Errorf("%s: read without error", name)
		}
	}
}

// FuzzDecide: whatever a request says, nothing panics, and what lies outside the closed lists refuses.
func FuzzDecide(f *testing.F) {
	e := newEngine(f)
	f.Add("read", "handle", "handler", "serious", "open", "ordinary", "accept")
	f.Add("transition", "handle", "intake", "general", "archived", "whistle", "")
	f.Fuzz(func(t *testing.T, action, purpose, role, level, stage, sensitivity, transition string) {
		d, err := e.Decide(t.Context(), ask(action, purpose, as(role), func(r *policy.Request) {
			r.Record.Level, r.Record.Stage, r.Record.Sensitivity, r.Transition = level, stage, sensitivity, transition
		}))
		if err != nil && (d.Allowed() || !d.MetaDenied()) {
			t.Error("allowed in spite of an error")
		}
		if d.Reason() == "" || d.Article() == "" {
			t.Error("no reason or article")
		}
	})
}
