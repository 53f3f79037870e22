package stream_test

import (
	"bytes"
	"io"
	"runtime"
	"testing"

	"github.com/sealtrail/sealtrail/crypto/field"
	"github.com/sealtrail/sealtrail/crypto/stream"
)

const benchSize = 64 << 20

// drain reads to the end through one small buffer and says how large the heap
// was at most.
func drain(r io.Reader) (peak uint64, total int64, err error) {
	buf := make([]byte, 1<<20)
	var m runtime.MemStats
	for i := 0; ; i++ {
		n, err := r.Read(buf)
		total += int64(n)
		if i%256 == 0 {
			runtime.ReadMemStats(&m)
			peak = max(peak, m.HeapAlloc)
		}
		if err == io.EOF {
			return peak, total, nil
		}
		if err != nil {
			return peak, total, err
		}
	}
}

// BenchmarkCopy is the floor: the same bytes, copied.
func BenchmarkCopy(b *testing.B) {
	b.SetBytes(benchSize)
	for b.Loop() {
		if _, n, err := drain(&zeros{left: benchSize}); err != nil || n != benchSize {
			b.Fatal(n, err)
		}
	}
}

func BenchmarkSealStream(b *testing.B) { benchSeal(b, field.Suite1) }

func BenchmarkSealStreamSM4(b *testing.B) { benchSeal(b, field.Suite2) }

func benchSeal(b *testing.B, suite byte) {
	k, p := newKey(b, 1), place()
	p.Suite = suite
	b.SetBytes(benchSize)
	for b.Loop() {
		r, err := stream.NewSealingReader(&zeros{left: benchSize}, k, p)
		if err != nil {
			b.Fatal(err)
		}
		if _, n, err := drain(r); err != nil || n != stream.SealedSize(benchSize) {
			b.Fatal(n, err)
		}
	}
}

func BenchmarkOpenStream(b *testing.B) {
	k := newKey(b, 1)
	sealed := seal(b, k, place(), make([]byte, benchSize))
	o, err := stream.NewOpener(sealed[:stream.HeaderSize], int64(len(sealed)), k, place())
	if err != nil {
		b.Fatal(err)
	}
	b.SetBytes(benchSize)
	for b.Loop() {
		if _, n, err := drain(o.Range(bytes.NewReader(sealed[stream.HeaderSize:]), 0, benchSize)); err != nil || n != benchSize {
			b.Fatal(n, err)
		}
	}
}

func BenchmarkRangeOf4KiB(b *testing.B) {
	k := newKey(b, 1)
	sealed := seal(b, k, place(), make([]byte, benchSize))
	r, err := stream.NewReader(bytes.NewReader(sealed), int64(len(sealed)), k, place())
	if err != nil {
		b.Fatal(err)
	}
	buf := make([]byte, 4<<10)
	b.SetBytes(int64(len(buf)))
	for b.Loop() {
		if _, err := r.ReadAt(buf, 33<<20); err != nil {
			b.Fatal(err)
		}
	}
}
