package supervision

import (
	"bytes"
	"testing"

	"github.com/sealtrail/sealtrail/audit"
	"github.com/sealtrail/sealtrail/audit/audittest"
)

// BenchmarkFold measures entries folded per second, scanned views in, as trailcheck report does after verification.
func BenchmarkFold(b *testing.B) {
	leaves := synthetic(b, 5000, 3)
	views := make([]*audit.LeafView, len(leaves))
	for i, l := range leaves {
		views[i] = viewOf(b, l)
	}
	p := period(b, "2026-Q1")
	b.ReportAllocs()
	n := 0
	for b.Loop() {
		f, err := New(p)
		if err != nil {
			b.Fatal(err)
		}
		for _, v := range views {
			if err := f.AddView(v); err != nil {
				b.Fatal(err)
			}
		}
		n += len(views)
	}
	b.ReportMetric(float64(n)/b.Elapsed().Seconds(), "entries/s")
}

// BenchmarkReport measures the making of a report over 5,000 complaints, canonical bytes included.
func BenchmarkReport(b *testing.B) {
	f := foldOf(b, period(b, "2026-Q1"), synthetic(b, 5000, 3))
	in := inputs(b)
	b.ReportAllocs()
	for b.Loop() {
		r, err := f.Report(in)
		if err != nil {
			b.Fatal(err)
		}
		if _, err := r.Canonical(); err != nil {
			b.Fatal(err)
		}
	}
	b.ReportMetric(5000*float64(b.N)/b.Elapsed().Seconds(), "complaints/s")
}

func BenchmarkPage(b *testing.B) {
	r := report(b, "2026-Q1", synthetic(b, 1000, 3))
	var page bytes.Buffer
	for b.Loop() {
		page.Reset()
		if err := r.WriteHTML(&page, ZH); err != nil {
			b.Fatal(err)
		}
	}
}

// BenchmarkFromFolder measures the whole of it: verify a published log in memory, with one checkpoint, and fold it.
func BenchmarkFromFolder(b *testing.B) {
	leaves := synthetic(b, 3000, 3)
	log := audittest.New(audittest.Config{Origin: "demo-bank/2026", Start: leaves[0].Body.At})
	for _, p := range testPublications() {
		log.PutBlob(p.data)
	}
	for _, l := range leaves {
		raw, err := l.Body.Canonical()
		if err != nil {
			b.Fatal(err)
		}
		log.AppendRaw(raw, l.Body.Subject)
	}
	log.Publish()
	folder, p, n := log.Folder(), period(b, "2026-Q1"), 0
	for b.Loop() {
		if _, err := FromFolder(b.Context(), folder, log.VerifierKey(), p); err != nil {
			b.Fatal(err)
		}
		n += len(leaves)
	}
	b.ReportMetric(float64(n)/b.Elapsed().Seconds(), "entries/s")
}
