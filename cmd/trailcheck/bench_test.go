package main

import (
	"context"
	"os"
	"syscall"
	"testing"
	"time"

	"github.com/sealtrail/sealtrail/audit/audittest"
	"github.com/sealtrail/sealtrail/audit/verify"
)

// BenchmarkFullCheck is what "trailcheck verify" does, from files on disk: hash, tree, tiles, canonical form, registry schema,
// trails, blobs. The goal is 250,000 entries per second of one core at 600 to 800 bytes an entry. It is single-threaded; the
// figure by CPU time leaves out what other programs of the machine take.
func BenchmarkFullCheck(b *testing.B) { benchmark(b, verify.Options{}) }

// BenchmarkTreeOnly is "trailcheck verify --tree-only": what Tessera's fsck does. With SEALTRAIL_BENCH_LOG it leaves the log in that folder,
// its key beside it, for fsck to read.
func BenchmarkTreeOnly(b *testing.B) { benchmark(b, verify.Options{TreeOnly: true}) }

func benchmark(b *testing.B, opts verify.Options) {
	b.Helper()
	const n = 200_000
	l := audittest.New(audittest.Config{})
	l.PutBlob([]byte("policy bundle"))
	l.Append(audittest.Bodies(n)...)
	dir := b.TempDir()
	if kept := os.Getenv("SEALTRAIL_BENCH_LOG"); kept != "" {
		dir = kept
		if err := os.WriteFile(dir+".vkey", []byte(l.VerifierKey()), 0o600); err != nil {
			b.Fatal(err)
		}
	}
	if err := audittest.WriteDir(l.Folder(), dir); err != nil {
		b.Fatal(err)
	}
	size := 0
	for i := range uint64(n) {
		size += len(l.Leaf(i))
	}
	opts.VerifierKey = l.VerifierKey()
	l = nil
	b.ReportAllocs()
	before := cpuTime(b)
	for b.Loop() {
		opts.Schema = newSchema().check
		reports, _, err := verifyLogs(context.Background(), dir, opts)
		if err != nil || !reports[0].OK() {
			b.Fatal(err, reports)
		}
	}
	b.ReportMetric(float64(n)*float64(b.N)/b.Elapsed().Seconds(), "entries/s")
	b.ReportMetric(float64(n)*float64(b.N)/(cpuTime(b)-before).Seconds(), "entries/cpu-s")
	b.ReportMetric(float64(size)/n, "bytes/entry")
}

// cpuTime returns the user and system time that the process has used.
func cpuTime(b *testing.B) time.Duration {
	b.Helper()
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		b.Fatal(err)
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}
