package transit_test

import (
	"fmt"
	"testing"

	"github.com/sealtrail/sealtrail/crypto/keyring"
	"github.com/sealtrail/sealtrail/internal/vaulttest"
)

const page = 50

// coldPage mints the keys of one page and returns a ring that has none of them.
func coldPage(b *testing.B) (*keyring.Keyring, []keyring.LendRequest) {
	b.Helper()
	cfg, _ := service(b, vaulttest.New(b))
	w := newTransit(b, cfg)
	reqs := make([]keyring.MintRequest, page)
	for i := range reqs {
		reqs[i] = keyring.MintRequest{ID: recordID(cfg.Institution, i), Reference: fmt.Sprint("mint-", i)}
	}
	lends := make([]keyring.LendRequest, page)
	for i, r := range newRing(b, w).MintBatch(b.Context(), reqs) {
		if r.Err != nil {
			b.Fatal(r.Err)
		}
		lends[i] = keyring.LendRequest{ID: reqs[i].ID, Wrapped: r.Wrapped, Reference: fmt.Sprint("read-", i)}
	}
	return newRing(b, w), lends
}

// BenchmarkColdPage lends 50 cold keys in one call. Goal: at least ten times
// faster than BenchmarkColdSingles.
func BenchmarkColdPage(b *testing.B) {
	ring, reqs := coldPage(b)
	for b.Loop() {
		for _, r := range ring.LendBatch(b.Context(), reqs) {
			if r.Err != nil {
				b.Fatal(r.Err)
			}
			r.Lease.Release()
		}
		ring.VoidAll("bench")
	}
}

// BenchmarkColdSingles lends the same keys one after the other.
func BenchmarkColdSingles(b *testing.B) {
	ring, reqs := coldPage(b)
	for b.Loop() {
		for _, r := range reqs {
			l, err := ring.Lend(b.Context(), r.Wrapped, r.ID, r.Reference)
			if err != nil {
				b.Fatal(err)
			}
			l.Release()
		}
		ring.VoidAll("bench")
	}
}
