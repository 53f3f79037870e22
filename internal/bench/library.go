package main

import (
	"context"
	"fmt"
)

// chinese compares suite 0x02 with suite 0x01 on the same record.
func chinese(ctx context.Context, b *bench) error {
	s, err := b.compile(ctx, "crypto/field")
	if err != nil {
		return err
	}
	const seal, open, sealSM, openSM = "BenchmarkSealRecord", "BenchmarkOpenRecord", "BenchmarkSealSM4", "BenchmarkOpenSM4"
	all, err := s.turns(ctx, tries{b.rounds, 3, "50ms"}, seal, open, sealSM, openSM)
	if err != nil {
		return err
	}
	for _, x := range []struct{ name, aes, sm string }{{"seal", seal, sealSM}, {"open", open, openSM}} {
		aes, sm := of(all[x.aes], "ns/field")/1000, of(all[x.sm], "ns/field")/1000
		b.report(x.name+" a field, SM4-GCM and SM3 beside AES-GCM and SHA-256", sm/aes, "x", fmt.Sprintf("%.2f against %.2f us per field", sm, aes))
	}
	return nil
}

// peers compares with the AWS Encryption SDK for Go on one field of 32 bytes
// under a local key: what an application would take instead.
func peers(ctx context.Context, b *bench) error {
	ours, err := b.compile(ctx, "crypto/field")
	if err != nil {
		return err
	}
	peer, err := b.compileIn(ctx, "tools/peers", "awsesdk")
	if err != nil {
		return err
	}
	const seal, open = "BenchmarkSealRecord", "BenchmarkOpenRecord"
	mine, err := ours.turns(ctx, tries{b.rounds, 3, "50ms"}, seal, open)
	if err != nil {
		return err
	}
	theirs, err := peer.turns(ctx, tries{b.rounds, 1, "200ms"}, "BenchmarkPeerSeal", "BenchmarkPeerOpen")
	if err != nil {
		return err
	}
	for _, x := range []struct{ name, ours, peer string }{{"seal", seal, "BenchmarkPeerSeal"}, {"open", open, "BenchmarkPeerOpen"}} {
		us, them := of(mine[x.ours], "ns/field")/1000, of(theirs[x.peer], "ns/op")/1000
		b.report(x.name+" a field, the AWS Encryption SDK for Go to ours", them/us, "x",
			fmt.Sprintf("%.0f against %.2f us; the peer wraps a data key of its own for each field, which is how it is used", them, us))
	}
	return nil
}

// lending compares one call to Vault for a page of 50 keys with 50 calls.
func lending(ctx context.Context, b *bench) error {
	s, err := b.compile(ctx, "crypto/transit")
	if err != nil {
		return err
	}
	const page, singles = "BenchmarkColdPage", "BenchmarkColdSingles"
	all, err := s.turns(ctx, tries{b.rounds, 1, "500ms"}, page, singles)
	if err != nil {
		return err
	}
	floor := of(all[singles], "ns/op") / 1000
	b.judge(Line{Name: "cold page of 50 keys, faster than 50 single unwraps", Value: floor / (of(all[page], "ns/op") / 1000), Unit: "x",
		Note: fmt.Sprintf("%.0f against %.0f us; one call to Vault for the page: crypto/transit and internal/custody count it in their tests", of(all[page], "ns/op")/1000, floor)},
		atLeast(10), floor)
	return nil
}

// streaming compares sealing a file with copying it through the same buffer.
func streaming(ctx context.Context, b *bench) error {
	s, err := b.compile(ctx, "crypto/stream")
	if err != nil {
		return err
	}
	const floor, seal, open, sm = "BenchmarkCopy", "BenchmarkSealStream", "BenchmarkOpenStream", "BenchmarkSealStreamSM4"
	all, err := s.turns(ctx, tries{b.rounds, 1, "500ms"}, floor, seal, open, sm)
	if err != nil {
		return err
	}
	copied := of(all[floor], "MB/s") / 1000
	for _, x := range []struct{ name, bench string }{{"seal a file", seal}, {"open a file", open}, {"seal a file under SM4", sm}} {
		rate := of(all[x.bench], "MB/s") / 1000
		b.report(x.name, rate, "GB/s", fmt.Sprintf("%.3f of a plain copy through the same buffer, %.1f GB/s", rate/copied, copied))
	}
	return nil
}

// rewrapping compares the rewrap job with Vault's own rate for the same batches,
// and cold reads beside it with cold reads alone.
func rewrapping(ctx context.Context, b *bench) error {
	s, err := b.compile(ctx, "internal/keeping")
	if err != nil {
		return err
	}
	const job, reads = "BenchmarkRewrap", "BenchmarkReadDuringRewrap"
	rates, err := s.turns(ctx, tries{b.rounds, 1, "1x"}, job)
	if err != nil {
		return err
	}
	raw := of(rates[job], "raw-keys/s")
	b.judge(Line{Name: "rewrap job, keys a second to Vault's raw rate", Value: of(rates[job], "of-raw"), Unit: "x",
		Note: fmt.Sprintf("%.0f against %.0f keys a second, one call at a time; the job writes each batch and its entry", of(rates[job], "keys/s"), raw)}, atLeast(0.8), raw)
	beside, err := s.turns(ctx, tries{b.rounds, 1, "3x"}, reads)
	if err != nil {
		return err
	}
	quiet := of(beside[reads], "quiet-p99-ms")
	b.judge(Line{Name: "cold read beside a rewrap at its default share, p99 to that without", Value: of(beside[reads], "p99-ratio"), Unit: "x",
		Note: fmt.Sprintf("%.1f against %.1f ms, p50 %.1f against %.1f ms", of(beside[reads], "rewrap-p99-ms"), quiet,
			of(beside[reads], "rewrap-p50-ms"), of(beside[reads], "quiet-p50-ms"))}, atMost(1.5), quiet)
	return nil
}
