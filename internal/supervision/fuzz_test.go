package supervision

import (
	"errors"
	"testing"

	"github.com/sealtrail/sealtrail/audit"
)

// FuzzEntry feeds any canonical body: the fold takes it or refuses it by name, and what it took makes a canonical report.
func FuzzEntry(f *testing.F) {
	j := &journal{t: f}
	for _, l := range append(january(f), j.leaves...) {
		raw, err := l.Body.Canonical()
		if err != nil {
			f.Fatal(err)
		}
		f.Add(raw)
	}
	in := inputs(f)
	p := period(f, "2026-01")
	f.Fuzz(func(t *testing.T, raw []byte) {
		body, err := audit.ParseBody(raw)
		if err != nil {
			return
		}
		fold, err := New(p)
		if err != nil {
			t.Fatal(err)
		}
		leaf := audit.Leaf{Body: body, Position: audit.Position{Log: "demo-bank/2026", SeqAt: body.At}}
		if err := fold.Add(leaf); err != nil {
			var e *EntryError
			if !errors.As(err, &e) || !errors.Is(err, ErrFacts) {
				t.Fatalf("refused without naming the entry: %v", err)
			}
			return
		}
		r, err := fold.Report(in)
		if err != nil {
			t.Fatal(err)
		}
		b, err := r.Canonical()
		if err != nil {
			t.Fatal(err)
		}
		if _, err := ParseReport(b); err != nil {
			t.Fatal(err)
		}
	})
}

func FuzzParseReport(f *testing.F) {
	f.Add([]byte(reportBytes(f, report(f, "2026-01", january(f)))))
	f.Fuzz(func(t *testing.T, b []byte) {
		r, err := ParseReport(b)
		if err != nil {
			return
		}
		if reportBytes(t, r) != string(b) {
			t.Fatal("accepted bytes that it would not write")
		}
	})
}

func FuzzParseDefinitions(f *testing.F) {
	f.Add(Embedded())
	f.Fuzz(func(t *testing.T, b []byte) {
		if d, err := ParseDefinitions(b); err == nil && d.Digest() != digestOf(b) {
			t.Fatal("digest is not the bytes' own")
		}
	})
}
