package cryptotest_test

import (
	"bytes"
	"strings"

	"github.com/sealtrail/sealtrail/crypto/cryptotest"
)

// This file says which vectors are published; reference_test.go computes them.

func dek(b byte) []byte   { return bytes.Repeat([]byte{b}, 32) }
func nonce(b byte) []byte { return bytes.Repeat([]byte{b}, 12) }

// phone is the place of the specification's example.
func phone(suite byte) cryptotest.Place {
	return cryptotest.Place{Suite: suite, Kind: 1, Institution: "bank-a", Record: "0190a6c2-7f3e-7c11-9a53-0c9f7f1e4b20",
		RecordType: "complaint", Path: "phone", SchemaVersion: 1, Generation: 1, Revision: 1}
}

func reference() *cryptotest.Vectors {
	v := &cryptotest.Vectors{Spec: "docs/formats/sealed-field.md, suites 0x01 and 0x02"}
	one, two := publishedFields(1), publishedFields(2)
	v.Fields = append(one, two...)
	v.RefusedFields = append(refusedFields(one), refusedFields(two)...)
	v.Manifests = append(manifests(1, one), manifests(2, two)...)
	v.RefusedManifest = append(refusedManifests(v.Manifests[0]), refusedManifests(v.Manifests[2])...)
	for _, b := range []byte{0, 1, 255} {
		v.Commitments = append(v.Commitments, cryptotest.CommitVector{DEK: dek(b), Commitment: expand(1, dek(b), "stf1/commitment", 32)})
	}
	for _, c := range []cryptotest.ContextVector{
		{Institution: "bank-a", Record: phone(1).Record, Kind: 1, Generation: 1},
		{Institution: "机构", Record: "r", Kind: 1, Generation: 4294967295},
		{Institution: "bank-a", Record: "f-1", Kind: 2, Generation: 1},
		{Institution: "bank-a", Record: "intake", Kind: 3, Generation: 2},
	} {
		c.Context = cat([]byte("stk1"), lp(c.Institution), lp(c.Record), []byte{c.Kind}, u32(c.Generation))
		v.Contexts = append(v.Contexts, c)
	}
	for _, x := range []cryptotest.IndexVector{{Institution: "bank-a", Field: "phone", Epoch: 1, Normalised: "+8613800138000"}, {Institution: "bank-a", Field: "email", Epoch: 2, Normalised: "王@example.com"}} {
		x.Input = cat([]byte("stx1"), lp(x.Institution), lp(x.Field), u32(x.Epoch), []byte(x.Normalised))
		x.Key = dek(6)
		x.Token = mac(1, x.Key, x.Input)
		v.IndexInputs = append(v.IndexInputs, x)
	}
	return v
}

// named marks the vectors of suite 0x02; those of 0x01 keep the names that they
// were published with.
func named(suite byte, name string) string {
	if suite == 2 {
		return "SM4: " + name
	}
	return name
}

func publishedFields(suite byte) []cryptotest.FieldVector {
	place := phone(suite)
	other := cryptotest.Place{Suite: suite, Kind: 1, Institution: "机构", Record: "r", RecordType: "t", Path: "附注.é",
		SchemaVersion: 4294967295, Generation: 4294967295, Revision: 18446744073709551615}
	n := func(name string) string { return named(suite, name) }
	return []cryptotest.FieldVector{
		fieldVector(n("short identifier"), dek(1), place, "short", []byte("+8613800138000"), nonce(0xa1)),
		fieldVector(n("exact"), dek(2), place, "exact", []byte("exact"), nonce(0xa2)),
		fieldVector(n("exact and empty"), dek(2), place, "exact", nil, nonce(0xa3)),
		fieldVector(n("null"), dek(2), place, "null", nil, nonce(0xa4)),
		fieldVector(n("short and empty"), dek(3), place, "short", nil, nonce(0xa5)),
		fieldVector(n("short, 32 bytes"), dek(3), place, "short", bytes.Repeat([]byte("x"), 32), nonce(0xa6)),
		fieldVector(n("text"), dek(4), other, "text", []byte(strings.Repeat("投诉", 50)), nonce(0xa7)),
		fieldVector(n("text of few bytes"), dek(4), other, "text", []byte("好"), nonce(0xa8)),
		fieldVector(n("value that looks padded"), dek(4), other, "short", []byte{0x80, 0, 0}, nonce(0xa9)),
	}
}

func refusedFields(fields []cryptotest.FieldVector) []cryptotest.RefusedField {
	type change func(p *cryptotest.Place, env []byte) []byte
	set := func(i int, b byte) change {
		return func(_ *cryptotest.Place, env []byte) []byte { env[i] = b; return env }
	}
	move := func(f func(*cryptotest.Place)) change {
		return func(p *cryptotest.Place, env []byte) []byte { f(p); return env }
	}
	cut := func(n int) change { return func(_ *cryptotest.Place, env []byte) []byte { return env[:n] } }
	more := func(_ *cryptotest.Place, env []byte) []byte { return append(env, 0) }
	first, null := fields[0], fields[3]
	suite := first.Place.Suite
	swapped := 3 - suite
	var out []cryptotest.RefusedField
	refuse := func(v cryptotest.FieldVector, name, finding string, c change) {
		p := v.Place
		env := c(&p, bytes.Clone(v.Envelope))
		out = append(out, cryptotest.RefusedField{Name: named(suite, name), DEK: v.DEK, Place: p, Envelope: env, Finding: finding})
	}
	refuse(first, "unknown version", "envelope.version", set(0, 2))
	refuse(first, "unknown suite", "envelope.suite", set(1, 3))
	refuse(first, "the other suite's byte", "envelope.suite", set(1, swapped))
	refuse(first, "a row of the other suite", "envelope.suite", move(func(p *cryptotest.Place) { p.Suite = swapped }))
	refuse(first, "byte and row of the other suite", "envelope.tag", func(p *cryptotest.Place, env []byte) []byte {
		p.Suite, env[1] = swapped, swapped
		return env
	})
	refuse(first, "unknown flag", "envelope.flags", set(2, 4))
	refuse(first, "two flags", "envelope.flags", set(2, 3))
	refuse(first, "reserved byte", "envelope.reserved", set(3, 1))
	refuse(first, "another flag", "envelope.tag", set(2, 0))
	refuse(first, "null with a value", "envelope.length", set(2, 2))
	refuse(first, "flipped nonce", "envelope.tag", set(20, 0))
	refuse(first, "flipped ciphertext", "envelope.tag", set(32, 0))
	refuse(first, "empty", "envelope.length", cut(0))
	refuse(first, "header only", "envelope.length", cut(20))
	refuse(first, "too short", "envelope.length", cut(47))
	refuse(first, "cut", "envelope.tag", cut(len(first.Envelope)-1))
	refuse(first, "extended", "envelope.tag", more)
	refuse(null, "null, extended", "envelope.length", more)
	refuse(null, "null turned to empty", "envelope.tag", set(2, 0))
	refuse(first, "other institution", "envelope.tag", move(func(p *cryptotest.Place) { p.Institution = "bank-b" }))
	refuse(first, "other record", "envelope.tag", move(func(p *cryptotest.Place) { p.Record = "0190a6c2-7f3e-7c11-9a53-0c9f7f1e4b21" }))
	refuse(first, "other type", "envelope.tag", move(func(p *cryptotest.Place) { p.RecordType = "person" }))
	refuse(first, "other field", "envelope.tag", move(func(p *cryptotest.Place) { p.Path = "email" }))
	refuse(first, "other schema", "envelope.schema", move(func(p *cryptotest.Place) { p.SchemaVersion++ }))
	refuse(first, "other generation", "envelope.generation", move(func(p *cryptotest.Place) { p.Generation++ }))
	refuse(first, "other revision", "envelope.revision", move(func(p *cryptotest.Place) { p.Revision++ }))
	return append(out, badPadding(suite, "padding without marker", make([]byte, 32), nonce(0xaa)),
		badPadding(suite, "padding with another marker", append(bytes.Repeat([]byte{'x'}, 31), 0x81), nonce(0xab)))
}

// badPadding is authentic, but its padding is not: only a faulty writer makes it.
func badPadding(suite byte, name string, plaintext, nonce []byte) cryptotest.RefusedField {
	v := fieldVector("", dek(1), phone(suite), "short", nil, nonce)
	env := append(v.Envelope[:32:32], gcm(suite, v.FieldKey).Seal(nil, nonce, plaintext, v.AAD)...)
	return cryptotest.RefusedField{Name: named(suite, name), DEK: v.DEK, Place: v.Place, Envelope: env, Finding: "envelope.padding"}
}

func manifests(suite byte, fields []cryptotest.FieldVector) []cryptotest.ManifestVector {
	entry := func(path string, i int) cryptotest.ManifestField {
		return cryptotest.ManifestField{Path: path, Revision: uint64(i + 1), Suite: suite, Digest: sum(suite, fields[i].Envelope)}
	}
	base := cryptotest.ManifestVector{Suite: suite, DEK: dek(5), Institution: "bank-a", Record: "r-1", Revision: 7, SchemaVersion: 1,
		Attrs: []byte(`{"assignee":"p-1","level":"major"}`)}
	three, none := base, base
	three.Name, three.Fields = named(suite, "three fields"), []cryptotest.ManifestField{entry("email", 1), entry("phone", 0), entry("附注", 6)}
	none.Name, none.Attrs, none.Fields = named(suite, "no fields, no attributes"), nil, []cryptotest.ManifestField{}
	return []cryptotest.ManifestVector{manifestVector(three), manifestVector(none)}
}

func refusedManifests(m cryptotest.ManifestVector) []cryptotest.RefusedManifest {
	list := m.Stored[:len(m.Stored)-32]
	refuse := func(name, finding string, stored []byte) cryptotest.RefusedManifest {
		return cryptotest.RefusedManifest{Name: named(m.Suite, name), Against: m.Name, Suite: m.Suite, Stored: stored, Finding: finding}
	}
	// An authentic MAC over a list that is not canonical: only a faulty writer
	// makes it, and two readers must not take it for different things.
	signed := func(name string, list []byte) cryptotest.RefusedManifest {
		return refuse(name, "manifest.format", cat(list, manifestMAC(m, list)))
	}
	// body is the list of the given fields, first with the entry's suite changed.
	body := func(suite byte, fields ...cryptotest.ManifestField) []byte {
		v := m
		v.Fields = append([]cryptotest.ManifestField(nil), fields...)
		if len(fields) > 0 {
			v.Fields[0].Suite = suite
		}
		s := manifestVector(v).Stored
		return s[:len(s)-32]
	}
	f := m.Fields
	more := bytes.Clone(list)
	more[7]++
	flipped := bytes.Clone(m.Stored)
	flipped[len(flipped)-1] ^= 1
	swapped := 3 - m.Suite
	asOther := m
	asOther.Suite = swapped
	asOther = manifestVector(asOther)
	row := refuse("a row of the other suite", "manifest.mac", m.Stored)
	row.Suite = swapped
	return []cryptotest.RefusedManifest{
		refuse("flipped MAC", "manifest.mac", flipped),
		refuse("field removed", "manifest.mac", cat(body(9, f[0]), m.Stored[len(list):])),
		refuse("too short", "manifest.format", m.Stored[:39]),
		refuse("extended", "manifest.mac", append(bytes.Clone(m.Stored), 0)),
		row,
		refuse("a MAC of the other suite", "manifest.mac", asOther.Stored),
		signed("not sorted", body(m.Suite, f[1], f[0])),
		signed("a field twice", body(m.Suite, f[0], f[0])),
		signed("count too high", more),
		signed("bytes behind the list", cat(list, []byte{0})),
		signed("unknown suite", body(9, f[0])),
		signed("a field of the other suite", body(swapped, f...)),
		signed("other tag", cat([]byte("stm2"), list[4:])),
	}
}
