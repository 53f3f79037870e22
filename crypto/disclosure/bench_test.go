package disclosure_test

import (
	"io"
	"testing"

	"github.com/sealtrail/sealtrail/crypto/disclosure"
)

// zeros reads as many of them as are wanted.
type zeros struct{}

func (zeros) Read(p []byte) (int, error) { clear(p); return len(p), nil }

// BenchmarkRecord adds records to a package.
func BenchmarkRecord(b *testing.B) {
	_, to := hybrid(b)
	w, err := disclosure.NewWriter(io.Discard, to, header())
	if err != nil {
		b.Fatal(err)
	}
	r := record(1)
	b.ReportAllocs()
	for b.Loop() {
		if err := w.Record(r); err != nil {
			b.Fatal(err)
		}
	}
}

// BenchmarkFile adds files of 16 MiB to a package.
func BenchmarkFile(b *testing.B) {
	_, to := hybrid(b)
	w, err := disclosure.NewWriter(io.Discard, to, header())
	if err != nil {
		b.Fatal(err)
	}
	f := aFile(16 << 20)
	b.SetBytes(f.Size)
	b.ReportAllocs()
	for b.Loop() {
		if err := w.File(f, io.LimitReader(zeros{}, f.Size)); err != nil {
			b.Fatal(err)
		}
	}
}
