package keyring_test

import (
	"testing"

	"github.com/sealtrail/sealtrail/crypto/cryptotest"
)

// BenchmarkLendHit is a borrow and a return under a live lease.
func BenchmarkLendHit(b *testing.B) {
	w := cryptotest.NewWrapper(b.Name())
	req := mint(b, w, 1)[0]
	k := newRing(b, w, nil)
	b.ReportAllocs()
	for b.Loop() {
		l, err := k.Lend(b.Context(), req.Wrapped, req.ID, "r")
		if err != nil {
			b.Fatal(err)
		}
		l.Release()
	}
}
