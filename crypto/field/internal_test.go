package field

import (
	"bytes"
	"crypto/hkdf"
	"crypto/hmac"
	"crypto/sha256"
	"errors"
	"fmt"
	"hash"
	"testing"

	"github.com/emmansun/gmsm/sm3"
	"pgregory.net/rapid"
)

// TestExpandEqualsStandardLibrary: the hand-written HKDF-Expand over a reused
// HMAC is the one of crypto/hkdf, for every label and field key.
func TestExpandEqualsStandardLibrary(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		dek := rapid.SliceOfN(rapid.Byte(), KeySize, KeySize).Draw(t, "dek")
		mac := hmac.New(sha256.New, dek)
		for range 3 { // reuse
			info := rapid.SliceOfN(rapid.Byte(), 0, 200).Draw(t, "info")
			want, err := hkdf.Expand(sha256.New, dek, string(info), KeySize)
			if err != nil {
				t.Fatal(err)
			}
			if got := expand(mac, nil, info); !bytes.Equal(got, want) {
				t.Fatalf("expand = %x, want %x", got, want)
			}
		}
		want, _ := hkdf.Expand(sha256.New, dek, labelCommitment, 32)
		if got := Commitment(dek); !bytes.Equal(got[:], want) {
			t.Fatalf("Commitment = %x, want %x", got, want)
		}
	})
}

func TestFieldKeyEqualsStandardLibrary(t *testing.T) {
	t.Parallel()
	for suite, tc := range map[byte]struct {
		hash func() hash.Hash
		size int
	}{Suite1: {sha256.New, KeySize}, Suite2: {sm3.New, sm4KeySize}} {
		t.Run(fmt.Sprintf("suite%d", suite), func(t *testing.T) {
			if CheckSuite(suite) != nil {
				t.Skip("fips140=only: suite 0x02")
			}
			data := bytes.Repeat([]byte{5}, KeySize)
			k, err := NewKey(bytes.Clone(data))
			if err != nil {
				t.Fatal(err)
			}
			c, err := k.take()
			if err != nil {
				t.Fatal(err)
			}
			if err := k.ready(c, suite); err != nil {
				t.Fatal(err)
			}
			for rev := range uint64(3) {
				p := Place{Institution: "i", Record: "r", RecordType: "t", Path: "p", Revision: rev, Suite: suite}
				c.fieldKey(&p, flagPadded)
				h := tc.hash()
				h.Write(p.appendAAD(nil, flagPadded))
				want, err := hkdf.Expand(tc.hash, data, labelField+string([]byte{suite})+string(h.Sum(nil)), tc.size)
				if err != nil {
					t.Fatal(err)
				}
				if got := c.sub[:tc.size]; !bytes.Equal(got, want) {
					t.Errorf("revision %d: field key %x, want %x", rev, got, want)
				}
			}
		})
	}
}

// TestAADIsInjective: different places never have the same additional data.
func TestAADIsInjective(t *testing.T) {
	t.Parallel()
	name := rapid.StringMatching(`[ab]{1,3}`)
	draw := func(t *rapid.T) Place {
		return Place{Institution: name.Draw(t, "i"), Record: name.Draw(t, "r"), RecordType: name.Draw(t, "t"), Path: name.Draw(t, "p"),
			SchemaVersion: rapid.Uint32Range(0, 1).Draw(t, "s"), Generation: rapid.Uint32Range(0, 1).Draw(t, "g"),
			Revision: rapid.Uint64Range(0, 1).Draw(t, "n"), Suite: rapid.ByteRange(Suite1, Suite2).Draw(t, "suite")}
	}
	rapid.Check(t, func(t *rapid.T) {
		p, q := draw(t), draw(t)
		if same := bytes.Equal(p.appendAAD(nil, 0), q.appendAAD(nil, 0)); same != (p == q) {
			t.Fatalf("%+v and %+v: equal AAD %v", p, q, same)
		}
	})
}

func TestUnpadRefusesWhatPadDoesNotWrite(t *testing.T) {
	t.Parallel()
	for _, b := range [][]byte{nil, {}, {0}, {0, 0}, {1}, {0x80, 1}} {
		if _, ok := unpad(b); ok {
			t.Errorf("unpad(%x) accepted", b)
		}
	}
	if v, ok := unpad([]byte{1, 0x80, 0x80, 0, 0}); !ok || !bytes.Equal(v, []byte{1, 0x80}) {
		t.Errorf("unpad = %x, %v", v, ok)
	}
}

// FuzzCanonicalList: what the parser accepts, the writer writes, byte for byte.
// It runs behind the MAC, so only a test can show it hostile bytes.
func FuzzCanonicalList(f *testing.F) {
	for _, fields := range [][]FieldDigest{nil, {{Path: "a"}}, {{Path: "a"}, {Path: "b", Revision: 9}}, {{Path: "附注"}}} {
		list, err := appendList(nil, Suite1, fields)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(list)
	}
	f.Add([]byte("stm1\x00\x00\x00\x01\xff\xff\xff\xff"))
	f.Fuzz(func(t *testing.T, list []byte) {
		if !canonicalList(list, Suite1) {
			return
		}
		m := Manifest{list: list}
		var fields []FieldDigest
		for d := range m.Fields() {
			fields = append(fields, d)
		}
		again, err := appendList(nil, Suite1, fields)
		if err != nil || !bytes.Equal(again, list) {
			t.Fatalf("%x is read as %+v and written as %x, %v", list, fields, again, err)
		}
	})
}

// TestNothingIsLeftInTheWorkingState: after Verify, Reseal and a padded Seal
// the scratch that the next user of the key gets holds no plaintext.
func TestNothingIsLeftInTheWorkingState(t *testing.T) {
	t.Parallel()
	k, err := NewKey(bytes.Repeat([]byte{5}, KeySize))
	if err != nil {
		t.Fatal(err)
	}
	p := Place{Institution: "i", Record: "r", RecordType: "t", Path: "p"}
	clean := func(after string, c *core) {
		t.Helper()
		if all := c.scratch[:cap(c.scratch)]; len(all) == 0 || !bytes.Equal(all, make([]byte, len(all))) {
			t.Errorf("%s leaves %d bytes that are not zero", after, len(all))
		}
	}
	s, _ := NewSealer(k)
	o, _ := NewOpener(k)
	for _, shape := range []Shape{Short, Text, Exact} {
		env, err := s.Seal(p, bytes.Repeat([]byte("s"), 600), shape)
		if err != nil {
			t.Fatal(err)
		}
		clean("Seal", s.core)
		if err := o.Verify(p, env); err != nil {
			t.Error(err)
		}
		clean("Verify", o.core)
		if _, err := Reseal(o, p, env, s, p); err != nil {
			t.Error(err)
		}
		clean("Reseal", o.core)
	}
	// Authentic, but without the marker of padding.
	bad, err := s.encrypt(&p, make([]byte, 32), flagPadded)
	if err != nil {
		t.Fatal(err)
	}
	finding, _ := errors.AsType[*IntegrityError](o.Verify(p, bad))
	if _, err := Reseal(o, p, bad, s, p); finding == nil || finding.What != "envelope.padding" || !errors.Is(err, ErrIntegrity) {
		t.Errorf("bad padding: Verify %v, Reseal %v", finding, err)
	}
	clean("bad padding", o.core)
}
