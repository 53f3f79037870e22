package audit_test

import (
	"bytes"
	"encoding/hex"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/sealtrail/sealtrail/audit"
	"github.com/sealtrail/sealtrail/audit/audittest"
)

func position() audit.Position {
	return audit.Position{ID: 1<<64 - 1, Index: 7, Log: "sealtrail.example/demo/2026", SeqAt: time.Date(2026, 1, 2, 3, 4, 5, 6000, time.UTC),
		TrailN: 2, TrailPrev: [32]byte{0xab, 31: 0xcd}}
}

func TestLeafRoundTrip(t *testing.T) {
	t.Parallel()
	want := audit.Leaf{Body: fullBody(), Position: position()}
	raw, err := want.Body.Canonical()
	if err != nil {
		t.Fatal(err)
	}
	want.RawBody = raw
	leaf := audit.AssembleLeaf(raw, want.Position)
	if err := audit.ScanCanonical(leaf); err != nil {
		t.Errorf("leaf is not canonical JSON: %v", err)
	}
	got, err := audit.ParseLeaf(leaf)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	if !bytes.Equal(audit.AssembleLeaf(got.RawBody, got.Position), leaf) {
		t.Error("AssembleLeaf of what ParseLeaf returned gives other bytes")
	}
}

func TestParseLeafRefuses(t *testing.T) {
	t.Parallel()
	b := audittest.Body(2)
	raw, err := b.Canonical()
	if err != nil {
		t.Fatal(err)
	}
	good := string(audit.AssembleLeaf(raw, position()))
	long := position()
	long.Log = strings.Repeat("x", audit.MaxOrigin+1)
	cases := map[string]string{
		"cut":           good[:len(good)-1],
		"newline":       good + "\n",
		"trail 0":       strings.Replace(good, `"n":"2"`, `"n":"0"`, 1),
		"short hash":    strings.Replace(good, `"prev":"ab`, `"prev":"`, 1),
		"upper-case":    strings.Replace(good, `"prev":"ab`, `"prev":"AB`, 1),
		"version":       strings.TrimSuffix(good, `1}`) + `2}`,
		"no index":      strings.Replace(good, `,"idx":"7"`, ``, 1),
		"index number":  strings.Replace(good, `"idx":"7"`, `"idx":7`, 1),
		"body a string": strings.Replace(good, `{"body":{`, `{"body":"{`, 1),
		"time":          strings.Replace(good, `"seq_at":"2026`, `"seq_at":"x026`, 1),
		"long origin":   string(audit.AssembleLeaf(raw, long)),
		"too long":      strings.Repeat(" ", audit.MaxLeaf+1),
		"nothing":       "",
	}
	for name, in := range cases {
		if in == good {
			t.Fatalf("%s: unchanged", name)
		}
		if _, err := audit.ParseLeaf([]byte(in)); !errors.Is(err, audit.ErrNotCanonical) {
			t.Errorf("%s: got %v, want ErrNotCanonical", name, err)
		}
	}
}

// TestLongestBodyFitsABundle guards the arithmetic of MaxBody: the longest body and wrapper stay within 16 bits.
func TestLongestBodyFitsABundle(t *testing.T) {
	t.Parallel()
	p := position()
	p.Index, p.TrailN, p.Log = 1<<64-1, 1<<64-1, strings.Repeat("x", audit.MaxOrigin)
	if n := len(audit.AssembleLeaf(make([]byte, audit.MaxBody), p)); n > audit.MaxLeaf {
		t.Errorf("leaf of %d bytes, at most %d", n, audit.MaxLeaf)
	}
}

func TestViewAgreesWithLeaf(t *testing.T) {
	t.Parallel()
	for i := range 8 {
		b := audittest.Body(i)
		raw, err := b.Canonical()
		if err != nil {
			t.Fatal(err)
		}
		leaf := audit.AssembleLeaf(raw, position())
		var v audit.LeafView
		if err := audit.ScanLeaf(leaf, &v); err != nil {
			t.Fatal(err)
		}
		got := []any{string(v.Institution()), string(v.Kind()), v.Stage(), string(v.Subject()), string(v.Purpose()), string(v.Request()),
			string(v.ActorID()), v.Revision(), v.Sim(), v.At(), v.Version(), string(v.Log()), v.SeqAt(), string(v.RawSeqAt()), string(v.Raw()), string(v.RawLeaf())}
		want := []any{b.Institution, b.Kind, b.Stage, b.Subject, b.Purpose, b.Request,
			b.Actor.ID, b.Revision, b.Sim, b.At, 1, position().Log, position().SeqAt, "2026-01-02T03:04:05.000006Z", string(raw), string(leaf)}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("body %d (-want +got):\n%s", i, diff)
		}
		for name, value := range b.Facts {
			f, ok := v.Fact(name)
			if n, isInt := value.(int); isInt {
				value = int64(n)
			}
			if !ok || !v.MayHaveFact(name) || !cmp.Equal(f.Value(), value) {
				t.Errorf("body %d, fact %s: got %v, %v; want %v", i, name, f.Value(), ok, value)
			}
		}
		if _, ok := v.Fact("absent"); ok || v.MayHaveFact("absent") {
			t.Error("an absent fact is there")
		}
	}
}

func TestLeafHashIsRFC6962(t *testing.T) {
	t.Parallel()
	// RFC 6962 test vectors of Certificate Transparency: the hashes of an empty leaf, of "L123456", and of a node N123/N456.
	empty, leaf := audit.LeafHash(nil), audit.LeafHash([]byte("L123456"))
	for _, c := range []struct{ got, want string }{
		{hex.EncodeToString(empty[:]), "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d"},
		{hex.EncodeToString(leaf[:]), "395aa064aa4c29f7010acfe3f25db9485bbd4b91897b6ad7ad547639252b4d56"},
	} {
		if c.got != c.want {
			t.Errorf("got %s, want %s", c.got, c.want)
		}
	}
	root := audit.EmptyRoot()
	if got := hex.EncodeToString(root[:]); got != "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855" {
		t.Errorf("empty root %s", got)
	}
	long := bytes.Repeat([]byte("x"), 5000)
	if a, b := audit.LeafHash(long), audit.LeafHash(long[:1023]); a == b {
		t.Error("long leaf hashed like its beginning")
	}
}

func TestCommitBindsPathSaltAndValue(t *testing.T) {
	t.Parallel()
	salt := [16]byte{1}
	got := audit.Commit("phone", salt, []byte("13800138000"))
	// Computed apart from this code: SHA-256("sealtrail/commit/v1\0" || 01 00*15 || 00000005 || "phone" || "13800138000").
	if want := "6565484cbfe87f3e1f7c196f833edd4f3535bf63691e064e6e009061b5f75b19"; got != want {
		t.Errorf("got %s, want %s", got, want)
	}
	seen := map[string]bool{got: true}
	for _, other := range []string{
		audit.Commit("phone", [16]byte{2}, []byte("13800138000")),
		audit.Commit("phon", salt, []byte("e13800138000")),
		audit.Commit("email", salt, []byte("13800138000")),
		audit.Commit("phone", salt, []byte("13800138001")),
	} {
		if seen[other] {
			t.Errorf("two commitments are equal: %s", other)
		}
		seen[other] = true
	}
}

func FuzzParseLeaf(f *testing.F) {
	for i := range 4 {
		b := audittest.Body(i)
		raw, err := b.Canonical()
		if err != nil {
			f.Fatal(err)
		}
		f.Add(audit.AssembleLeaf(raw, position()))
	}
	full := fullBody()
	raw, err := full.Canonical()
	if err != nil {
		f.Fatal(err)
	}
	f.Add(audit.AssembleLeaf(raw, position()))
	f.Fuzz(func(t *testing.T, in []byte) {
		leaf, err := audit.ParseLeaf(in)
		if err != nil {
			return
		}
		if err := audit.ScanCanonical(in); err != nil {
			t.Fatalf("accepted, but not canonical: %v", err)
		}
		body, err := leaf.Body.Canonical()
		if err != nil {
			t.Fatalf("accepted, but cannot be written: %v", err)
		}
		if again := audit.AssembleLeaf(body, leaf.Position); !bytes.Equal(again, in) {
			t.Fatalf("accepted\n%s\nwhich is written\n%s", in, again)
		}
	})
}

func TestScanLeafAllocatesNothing(t *testing.T) {
	body := fullBody()
	raw, err := body.Canonical()
	if err != nil {
		t.Fatal(err)
	}
	leaf := audit.AssembleLeaf(raw, position())
	var v audit.LeafView
	if n := testing.AllocsPerRun(100, func() { err = audit.ScanLeaf(leaf, &v) }); n != 0 || err != nil {
		t.Errorf("%v allocations, %v", n, err)
	}
}

func BenchmarkScanLeaf(b *testing.B) {
	body := audittest.Body(1)
	raw, err := body.Canonical()
	if err != nil {
		b.Fatal(err)
	}
	leaf := audit.AssembleLeaf(raw, position())
	var v audit.LeafView
	b.SetBytes(int64(len(leaf)))
	b.ReportAllocs()
	for b.Loop() {
		if err := audit.ScanLeaf(leaf, &v); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkLeafHash(b *testing.B) {
	leaf := make([]byte, 800)
	b.SetBytes(800)
	for b.Loop() {
		_ = audit.LeafHash(leaf)
	}
}

func BenchmarkCanonical(b *testing.B) {
	body := audittest.Body(1)
	b.ReportAllocs()
	for b.Loop() {
		if _, err := body.Canonical(); err != nil {
			b.Fatal(err)
		}
	}
}
