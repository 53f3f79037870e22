package inforce

import (
	"archive/tar"
	"bytes"
	"testing"
)

// FuzzReadBundle: an archive of any bytes is refused or read, and never more.
func FuzzReadBundle(f *testing.F) {
	var good bytes.Buffer
	w := tar.NewWriter(&good)
	for name, text := range map[string]string{"a.rego": "package a", "reasons.yaml": "reasons:\n  x:\n    rule: R1\n    article: 6.1.1\n", "b.json": `{"articles":{"6.1.1":{"rule":"R1"}}}`} {
		if err := w.WriteHeader(&tar.Header{Name: name, Size: int64(len(text)), Mode: 0o644}); err != nil {
			f.Fatal(err)
		}
		if _, err := w.Write([]byte(text)); err != nil {
			f.Fatal(err)
		}
	}
	if err := w.Close(); err != nil {
		f.Fatal(err)
	}
	f.Add(good.Bytes())
	f.Add([]byte("no archive"))
	b, err := readBundle(good.Bytes())
	if err != nil || !b.holds("x", "R1", "6.1.1") || b.holds("x", "R2", "6.1.1") || b.holds("y", "R1", "6.1.1") {
		f.Fatalf("%+v, %v", b, err)
	}
	f.Fuzz(func(t *testing.T, raw []byte) {
		if b, err := readBundle(raw); (b == nil) == (err == nil) {
			t.Errorf("%v, %v", b, err)
		}
	})
}
