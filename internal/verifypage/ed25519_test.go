package verifypage_test

import (
	"crypto/ed25519"
	"crypto/sha512"
	"encoding/hex"
	"math/big"
	"math/rand/v2"
	"testing"
)

// signature is one question to the core's Ed25519, in hex.
type signature struct {
	Key       string `json:"key"`
	Message   string `json:"message"`
	Signature string `json:"signature"`
}

// TestEd25519AgreesWithGo: signatures of all odd sorts, about which implementations are known to disagree, get Go's verdict from
// the page, both through WebCrypto and by its own lines alone.
func TestEd25519AgreesWithGo(t *testing.T) {
	t.Parallel()
	var j jobs
	var want []bool
	ask := func(key, message, sig []byte) {
		j.Signatures = append(j.Signatures, signature{hex.EncodeToString(key), hex.EncodeToString(message), hex.EncodeToString(sig)})
		want = append(want, len(key) == ed25519.PublicKeySize && ed25519.Verify(key, message, sig))
	}
	seed := rand.NewChaCha8([32]byte{1})
	for i := range 5 {
		raw := make([]byte, 32)
		_, _ = seed.Read(raw)
		priv := ed25519.NewKeyFromSeed(raw)
		key, message := []byte(priv.Public().(ed25519.PublicKey)), raw[:4*i]
		sig := ed25519.Sign(priv, message)
		ask(key, message, sig)
		for _, at := range []int{0, 31, 32, 63} { // a flipped bit in R and S
			bad := append([]byte(nil), sig...)
			bad[at] ^= 0x80
			ask(key, message, bad)
		}
		ask(key, append([]byte{1}, message...), sig)
		ask(key, message, plusOrder(sig)) // S + L: the same modulo L, refused
		ask(key, message, sig[:63])
		ask(key, message, append(append([]byte(nil), sig...), 0))
	}
	points := oddPoints(t)
	zero := make([]byte, 32)
	accepted := 0
	for _, key := range points {
		for _, r := range points {
			for _, s := range [][]byte{zero} {
				for m := range byte(2) { // among many messages some make [k]A of every small order
					sig := append(append([]byte(nil), r...), s...)
					ask(key, []byte{m}, sig)
					if want[len(want)-1] {
						accepted++
					}
				}
			}
		}
	}
	if accepted < 20 {
		t.Errorf("only %d of the odd signatures are accepted by Go: they test nothing", accepted)
	}
	for _, mode := range [][]string{nil, {"own"}} {
		differ := 0
		for i, got := range runNode[[2]bool](t, j, mode...) {
			if got != [2]bool{want[i], want[i]} {
				if differ++; differ < 5 {
					t.Errorf("%v %+v: page %v, Go %v", mode, j.Signatures[i], got, want[i])
				}
			}
		}
		t.Logf("%d signatures (%d odd ones accepted), %d differ", len(want), accepted, differ)
	}
}

// plusOrder adds the group's order to S, where it still fits into 256 bits.
func plusOrder(sig []byte) []byte {
	order, _ := new(big.Int).SetString("7237005577332262213973186563042994240857116359379907606001950938285454250989", 10)
	s := new(big.Int).SetBytes(reversed(sig[32:]))
	return append(append([]byte(nil), sig[:32]...), reversed(s.Add(s, order).FillBytes(make([]byte, 32)))...)
}

func reversed(b []byte) []byte {
	out := make([]byte, len(b))
	for i := range b {
		out[len(b)-1-i] = b[i]
	}
	return out
}

// oddPoints are the encodings of the points of small order in all their spellings, points that are none, and two ordinary ones.
func oddPoints(t *testing.T) [][]byte {
	t.Helper()
	p := new(big.Int).Sub(new(big.Int).Lsh(big.NewInt(1), 255), big.NewInt(19))
	var ys []*big.Int
	for _, n := range []int64{0, 1, 2, -1} {
		y := new(big.Int).Mod(big.NewInt(n), p)
		ys = append(ys, y)
		if spelled := new(big.Int).Add(y, p); spelled.BitLen() <= 255 { // the non-canonical spelling
			ys = append(ys, spelled)
		}
	}
	for _, eight := range []string{"26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc05", "c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac037a"} {
		raw, err := hex.DecodeString(eight)
		if err != nil {
			t.Fatal(err)
		}
		ys = append(ys, new(big.Int).SetBytes(reversed(raw)))
	}
	var out [][]byte
	for _, y := range ys {
		raw := reversed(y.FillBytes(make([]byte, 32)))
		out = append(out, raw, append(append([]byte(nil), raw[:31]...), raw[31]|0x80))
	}
	sum := sha512.Sum512([]byte("an ordinary key"))
	return append(out, ed25519.NewKeyFromSeed(sum[:32]).Public().(ed25519.PublicKey))
}
