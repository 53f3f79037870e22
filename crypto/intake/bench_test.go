package intake_test

import (
	"bytes"
	"testing"

	"github.com/sealtrail/sealtrail/crypto/intake"
)

// BenchmarkSeal seals a draft of 2 KB: what a front end does for each complaint.
func BenchmarkSeal(b *testing.B) {
	k := newKey(b, "demo-bank", 1)
	d := intake.Draft{Source: "app", SourceID: "1", Body: bytes.Repeat([]byte("x"), 2048)}
	for b.Loop() {
		if _, _, err := k.Public().Seal(d, sealedAt); err != nil {
			b.Fatal(err)
		}
	}
}

// BenchmarkOpen opens it again.
func BenchmarkOpen(b *testing.B) {
	k := newKey(b, "demo-bank", 1)
	d := intake.Draft{Source: "app", SourceID: "1", Body: bytes.Repeat([]byte("x"), 2048)}
	e, _ := seal(b, k, d)
	for b.Loop() {
		if _, err := k.Open(e); err != nil {
			b.Fatal(err)
		}
	}
}

// BenchmarkSpool keeps an envelope durably.
func BenchmarkSpool(b *testing.B) {
	k := newKey(b, "demo-bank", 1)
	s, err := intake.OpenSpool(b.TempDir())
	if err != nil {
		b.Fatal(err)
	}
	for b.Loop() {
		e, r := seal(b, k, draft(1))
		if err := s.Put(e, r); err != nil {
			b.Fatal(err)
		}
	}
}
