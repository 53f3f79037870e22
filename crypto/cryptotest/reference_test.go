package cryptotest_test

import (
	"bytes"
	"crypto/aes"
	"crypto/cipher"
	"crypto/hkdf"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/binary"
	"math/bits"
	"os"
	"strings"
	"testing"

	"github.com/sealtrail/sealtrail/crypto/cryptotest"
)

// This file is crypto/FORMAT.md written down a second time, as plainly as
// possible and without using package field. It may fix nonces, which the real
// one never does.

// skipUnlessGCM: a GCM with a chosen nonce is refused under fips140=only.
func skipUnlessGCM(t *testing.T) {
	t.Helper()
	if strings.Contains(os.Getenv("GODEBUG"), "fips140=only") {
		t.Skip("seal-direction vectors need a chosen nonce: not under fips140=only")
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

func expand(dek []byte, info string) []byte {
	return must(hkdf.Expand(sha256.New, dek, info, 32))
}

func mac(key, msg []byte) []byte {
	h := hmac.New(sha256.New, key)
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
	sum := sha256.Sum256(v.AAD)
	v.FieldKey = expand(dek, "stf1/field"+string([]byte{p.Suite})+string(sum[:]))
	gcm := must(cipher.NewGCM(must(aes.NewCipher(v.FieldKey))))
	v.Envelope = cat([]byte{1, p.Suite, v.Flags, 0}, u32(p.Generation), u32(p.SchemaVersion), u64(p.Revision), nonce,
		gcm.Seal(nil, nonce, v.Padded, v.AAD))
	return v
}

func manifestVector(v cryptotest.ManifestVector) cryptotest.ManifestVector {
	list := cat([]byte("stm1"), u32(uint32(len(v.Fields))))
	for _, f := range v.Fields { // given in ascending order
		list = cat(list, lp(f.Path), u64(f.Revision), []byte{f.Suite}, f.SHA256)
	}
	v.ManifestKey = expand(v.DEK, "stf1/manifest")
	v.Stored = cat(list, manifestMAC(v, list))
	return v
}

func manifestMAC(v cryptotest.ManifestVector, list []byte) []byte {
	return mac(v.ManifestKey, cat([]byte("stm1"), lp(v.Institution), lp(v.Record), u64(v.Revision), u32(v.SchemaVersion), lp(string(v.Attrs)), list))
}

func reference() *cryptotest.Vectors {
	dek := func(b byte) []byte { return bytes.Repeat([]byte{b}, 32) }
	nonce := func(b byte) []byte { return bytes.Repeat([]byte{b}, 12) }
	place := cryptotest.Place{Suite: 1, Kind: 1, Institution: "bank-a", Record: "0190a6c2-7f3e-7c11-9a53-0c9f7f1e4b20",
		RecordType: "complaint", Path: "phone", SchemaVersion: 1, Generation: 1, Revision: 1}
	other := cryptotest.Place{Suite: 1, Kind: 1, Institution: "机构", Record: "r", RecordType: "t", Path: "附注.é",
		SchemaVersion: 4294967295, Generation: 4294967295, Revision: 18446744073709551615}
	v := &cryptotest.Vectors{Spec: "crypto/FORMAT.md, suite 0x01"}
	v.Fields = []cryptotest.FieldVector{
		fieldVector("short identifier", dek(1), place, "short", []byte("+8613800138000"), nonce(0xa1)),
		fieldVector("exact", dek(2), place, "exact", []byte("exact"), nonce(0xa2)),
		fieldVector("exact and empty", dek(2), place, "exact", nil, nonce(0xa3)),
		fieldVector("null", dek(2), place, "null", nil, nonce(0xa4)),
		fieldVector("short and empty", dek(3), place, "short", nil, nonce(0xa5)),
		fieldVector("short, 32 bytes", dek(3), place, "short", bytes.Repeat([]byte("x"), 32), nonce(0xa6)),
		fieldVector("text", dek(4), other, "text", []byte(strings.Repeat("投诉", 50)), nonce(0xa7)),
		fieldVector("text of few bytes", dek(4), other, "text", []byte("好"), nonce(0xa8)),
		fieldVector("value that looks padded", dek(4), other, "short", []byte{0x80, 0, 0}, nonce(0xa9)),
	}
	first := v.Fields[0]
	refuse := func(name, finding string, change func(p *cryptotest.Place, env []byte) []byte) {
		p := first.Place
		env := change(&p, bytes.Clone(first.Envelope))
		v.RefusedFields = append(v.RefusedFields, cryptotest.RefusedField{Name: name, DEK: first.DEK, Place: p, Envelope: env, Finding: finding})
	}
	set := func(i int, b byte) func(*cryptotest.Place, []byte) []byte {
		return func(_ *cryptotest.Place, env []byte) []byte { env[i] = b; return env }
	}
	move := func(f func(*cryptotest.Place)) func(*cryptotest.Place, []byte) []byte {
		return func(p *cryptotest.Place, env []byte) []byte { f(p); return env }
	}
	refuse("unknown version", "envelope.version", set(0, 2))
	refuse("unknown suite", "envelope.suite", set(1, 2))
	refuse("unknown flag", "envelope.flags", set(2, 4))
	refuse("two flags", "envelope.flags", set(2, 3))
	refuse("reserved byte", "envelope.reserved", set(3, 1))
	refuse("another flag", "envelope.tag", set(2, 0))
	refuse("null with a value", "envelope.length", set(2, 2))
	refuse("flipped nonce", "envelope.tag", set(20, 0))
	refuse("flipped ciphertext", "envelope.tag", set(32, 0))
	refuse("too short", "envelope.length", func(_ *cryptotest.Place, env []byte) []byte { return env[:47] })
	refuse("cut", "envelope.tag", func(_ *cryptotest.Place, env []byte) []byte { return env[:len(env)-1] })
	refuse("other institution", "envelope.tag", move(func(p *cryptotest.Place) { p.Institution = "bank-b" }))
	refuse("other record", "envelope.tag", move(func(p *cryptotest.Place) { p.Record = "0190a6c2-7f3e-7c11-9a53-0c9f7f1e4b21" }))
	refuse("other type", "envelope.tag", move(func(p *cryptotest.Place) { p.RecordType = "person" }))
	refuse("other field", "envelope.tag", move(func(p *cryptotest.Place) { p.Path = "email" }))
	refuse("other schema", "envelope.schema", move(func(p *cryptotest.Place) { p.SchemaVersion++ }))
	refuse("other generation", "envelope.generation", move(func(p *cryptotest.Place) { p.Generation++ }))
	refuse("other revision", "envelope.revision", move(func(p *cryptotest.Place) { p.Revision++ }))
	bad := badPadding(dek(1), place, nonce(0xaa))
	v.RefusedFields = append(v.RefusedFields, bad)

	v.Manifests = manifests(dek(5), v.Fields)
	v.RefusedManifest = refusedManifests(v.Manifests[0])
	for _, b := range []byte{0, 1, 255} {
		v.Commitments = append(v.Commitments, cryptotest.CommitVector{DEK: dek(b), Commitment: expand(dek(b), "stf1/commitment")})
	}
	for _, c := range []cryptotest.ContextVector{{Institution: "bank-a", Record: place.Record, Generation: 1}, {Institution: "机构", Record: "r", Generation: 4294967295}} {
		c.Context = cat([]byte("stk1"), lp(c.Institution), lp(c.Record), []byte{1}, u32(c.Generation))
		v.Contexts = append(v.Contexts, c)
	}
	for _, x := range []cryptotest.IndexVector{{Institution: "bank-a", Field: "phone", Epoch: 1, Normalised: "+8613800138000"}, {Institution: "bank-a", Field: "email", Epoch: 2, Normalised: "王@example.com"}} {
		x.Input = cat([]byte("stx1"), lp(x.Institution), lp(x.Field), u32(x.Epoch), []byte(x.Normalised))
		x.Key = dek(6)
		x.Token = mac(x.Key, x.Input)
		v.IndexInputs = append(v.IndexInputs, x)
	}
	return v
}

// badPadding is authentic, but its padding is not: only a faulty writer makes it.
func badPadding(dek []byte, p cryptotest.Place, nonce []byte) cryptotest.RefusedField {
	v := fieldVector("", dek, p, "short", nil, nonce)
	gcm := must(cipher.NewGCM(must(aes.NewCipher(v.FieldKey))))
	env := append(v.Envelope[:32:32], gcm.Seal(nil, nonce, make([]byte, 32), v.AAD)...)
	return cryptotest.RefusedField{Name: "padding without marker", DEK: dek, Place: p, Envelope: env, Finding: "envelope.padding"}
}

func manifests(dek []byte, fields []cryptotest.FieldVector) []cryptotest.ManifestVector {
	entry := func(path string, i int) cryptotest.ManifestField {
		sum := sha256.Sum256(fields[i].Envelope)
		return cryptotest.ManifestField{Path: path, Revision: uint64(i + 1), Suite: 1, SHA256: sum[:]}
	}
	base := cryptotest.ManifestVector{DEK: dek, Institution: "bank-a", Record: "r-1", Revision: 7, SchemaVersion: 1, Attrs: []byte(`{"assignee":"p-1","level":"major"}`)}
	three, none := base, base
	three.Name, three.Fields = "three fields", []cryptotest.ManifestField{entry("email", 1), entry("phone", 0), entry("附注", 6)}
	none.Name, none.Attrs, none.Fields = "no fields, no attributes", nil, []cryptotest.ManifestField{}
	return []cryptotest.ManifestVector{manifestVector(three), manifestVector(none)}
}

func refusedManifests(m cryptotest.ManifestVector) []cryptotest.RefusedManifest {
	list := m.Stored[:len(m.Stored)-32]
	// An authentic MAC over a list that is not canonical: only a faulty writer
	// makes it, and two readers must not take it for different things.
	signed := func(name string, list []byte) cryptotest.RefusedManifest {
		return cryptotest.RefusedManifest{Name: name, Stored: cat(list, manifestMAC(m, list)), Finding: "manifest.format"}
	}
	unsorted := m
	unsorted.Fields = []cryptotest.ManifestField{m.Fields[1], m.Fields[0]}
	twice := m
	twice.Fields = []cryptotest.ManifestField{m.Fields[0], m.Fields[0]}
	body := func(v cryptotest.ManifestVector) []byte { s := manifestVector(v).Stored; return s[:len(s)-32] }
	more := bytes.Clone(list)
	more[7]++
	suite := m
	suite.Fields = []cryptotest.ManifestField{m.Fields[0]}
	suite.Fields[0].Suite = 9
	flipped := bytes.Clone(m.Stored)
	flipped[len(flipped)-1] ^= 1
	return []cryptotest.RefusedManifest{
		{Name: "flipped MAC", Stored: flipped, Finding: "manifest.mac"},
		{Name: "field removed", Stored: cat(body(suite), m.Stored[len(list):]), Finding: "manifest.mac"},
		{Name: "too short", Stored: m.Stored[:39], Finding: "manifest.format"},
		signed("not sorted", body(unsorted)),
		signed("a field twice", body(twice)),
		signed("count too high", more),
		signed("bytes behind the list", cat(list, []byte{0})),
		signed("unknown suite", body(suite)),
		signed("other tag", cat([]byte("stm2"), list[4:])),
	}
}
