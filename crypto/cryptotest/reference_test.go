package cryptotest_test

import (
	"bytes"
	"crypto/aes"
	"crypto/cipher"
	"crypto/fips140"
	"crypto/hkdf"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/binary"
	"hash"
	"math/bits"
	"testing"

	"github.com/emmansun/gmsm/sm3"
	"github.com/emmansun/gmsm/sm4"

	"github.com/sealtrail/sealtrail/crypto/cryptotest"
)

// This file is docs/formats/sealed-field.md written down a second time, as
// plainly as possible and without using package field. It may fix nonces, which
// the real one never does.

// needChosenNonce: a GCM with a chosen nonce is refused under fips140=only.
func needChosenNonce(t *testing.T) {
	t.Helper()
	if fips140.Enforced() {
		t.Skip("fips140=only: chosen nonce")
	}
}

func must[T any](v T, err error) T {
	if err != nil {
		panic(err)
	}
	return v
}

func u32(n uint32) []byte { return binary.BigEndian.AppendUint32(nil, n) }
func u64(n uint64) []byte { return binary.BigEndian.AppendUint64(nil, n) }

func lp(s string) []byte { return append(u32(uint32(len(s))), s...) }

func cat(parts ...[]byte) []byte { return bytes.Join(parts, nil) }

// hashOf, keySize and gcm are what differs between the suites (section 2).
func hashOf(suite byte) func() hash.Hash {
	if suite == 2 {
		return sm3.New
	}
	return sha256.New
}

func keySize(suite byte) int {
	if suite == 2 {
		return 16
	}
	return 32
}

func gcm(suite byte, key []byte) cipher.AEAD {
	if suite == 2 {
		return must(cipher.NewGCM(must(sm4.NewCipher(key))))
	}
	return must(cipher.NewGCM(must(aes.NewCipher(key))))
}

func sum(suite byte, b []byte) []byte {
	h := hashOf(suite)()
	h.Write(b)
	return h.Sum(nil)
}

func expand(suite byte, dek []byte, info string, n int) []byte {
	return must(hkdf.Expand(hashOf(suite), dek, info, n))
}

func mac(suite byte, key, msg []byte) []byte {
	h := hmac.New(hashOf(suite), key)
	h.Write(msg)
	return h.Sum(nil)
}

func padTo(value []byte, n int) []byte {
	return append(append(bytes.Clone(value), 0x80), make([]byte, n-len(value)-1)...)
}

func padded(shape string, value []byte) (flags byte, out []byte) {
	n := len(value) + 1
	switch shape {
	case "short":
		return 1, padTo(value, (n+31)/32*32)
	case "text":
		e := bits.Len(uint(n)) - 1
		low := 1<<(e-bits.Len(uint(e))) - 1
		return 1, padTo(value, max(32, (n+low)&^low))
	case "null":
		return 2, nil
	}
	return 0, value
}

func fieldVector(name string, dek []byte, p cryptotest.Place, shape string, value, nonce []byte) cryptotest.FieldVector {
	v := cryptotest.FieldVector{Name: name, DEK: dek, Place: p, Shape: shape, Value: value, Nonce: nonce}
	v.Flags, v.Padded = padded(shape, value)
	v.AAD = cat([]byte("stf1"), []byte{p.Suite, p.Kind}, lp(p.Institution), lp(p.Record), lp(p.RecordType), lp(p.Path),
		u32(p.SchemaVersion), u32(p.Generation), u64(p.Revision), []byte{v.Flags})
	v.FieldKey = expand(p.Suite, dek, "stf1/field"+string([]byte{p.Suite})+string(sum(p.Suite, v.AAD)), keySize(p.Suite))
	v.Envelope = cat([]byte{1, p.Suite, v.Flags, 0}, u32(p.Generation), u32(p.SchemaVersion), u64(p.Revision), nonce,
		gcm(p.Suite, v.FieldKey).Seal(nil, nonce, v.Padded, v.AAD))
	return v
}

func manifestVector(v cryptotest.ManifestVector) cryptotest.ManifestVector {
	list := cat([]byte("stm1"), u32(uint32(len(v.Fields))))
	for _, f := range v.Fields { // given in ascending order
		list = cat(list, lp(f.Path), u64(f.Revision), []byte{f.Suite}, f.Digest)
	}
	v.ManifestKey = expand(v.Suite, v.DEK, "stf1/manifest", 32)
	v.Stored = cat(list, manifestMAC(v, list))
	return v
}

func manifestMAC(v cryptotest.ManifestVector, list []byte) []byte {
	return mac(v.Suite, v.ManifestKey, cat([]byte("stm1"), lp(v.Institution), lp(v.Record), u64(v.Revision), u32(v.SchemaVersion), lp(string(v.Attrs)), list))
}
