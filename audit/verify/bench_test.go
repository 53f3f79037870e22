package verify_test

import (
	"context"
	"os"
	"testing"

	"github.com/sealtrail/sealtrail/audit"
	"github.com/sealtrail/sealtrail/audit/audittest"
	"github.com/sealtrail/sealtrail/audit/verify"
)

// BenchmarkVerify checks a whole log from files on disk and reports entries per second of one core. The goal of the project is
// 250,000/s at 600 to 800 bytes an entry.
func BenchmarkVerify(b *testing.B) {
	const n = 100_000
	l := audittest.New(audittest.Config{})
	l.PutBlob([]byte(policyBundle))
	l.Append(audittest.Bodies(n)...)
	dir := b.TempDir()
	if err := audittest.WriteDir(l.Folder(), dir); err != nil {
		b.Fatal(err)
	}
	bytes := 0
	for i := range uint64(n) {
		bytes += len(l.Leaf(i))
	}
	schema := func(v *audit.LeafView) error {
		for range v.Facts() {
		}
		return nil
	}
	b.ReportAllocs()
	for b.Loop() {
		rep, err := verify.Verify(context.Background(), os.DirFS(dir), verify.Options{VerifierKey: l.VerifierKey(), Schema: schema})
		if err != nil || !rep.OK() {
			b.Fatal(err, rep)
		}
	}
	b.ReportMetric(float64(n)*float64(b.N)/b.Elapsed().Seconds(), "entries/s")
	b.ReportMetric(float64(bytes)/n, "bytes/entry")
}
