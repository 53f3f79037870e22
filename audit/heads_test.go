package audit_test

import (
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"slices"
	"testing"

	"pgregory.net/rapid"

	"github.com/sealtrail/sealtrail/audit"
)

// naiveRoot is the definition of the format page, word for word.
func naiveRoot(heads map[[32]byte]audit.Head, depth int) [32]byte {
	switch len(heads) {
	case 0:
		return [32]byte{}
	case 1:
		for _, h := range heads {
			raw := append([]byte{0}, h.Key[:]...)
			raw = binary.BigEndian.AppendUint64(raw, h.N)
			return sha256.Sum256(append(raw, h.Last[:]...))
		}
	}
	left, right := map[[32]byte]audit.Head{}, map[[32]byte]audit.Head{}
	for k, h := range heads {
		if k[depth/8]&(128>>(depth%8)) == 0 {
			left[k] = h
		} else {
			right[k] = h
		}
	}
	l, r := naiveRoot(left, depth+1), naiveRoot(right, depth+1)
	return sha256.Sum256(slices.Concat([]byte{1}, l[:], r[:]))
}

// drawKey draws keys that often begin alike, so that paths get long.
func drawKey(t *rapid.T) (key [32]byte) {
	key = sha256.Sum256([]byte{byte(rapid.IntRange(0, 40).Draw(t, "tail"))})
	for i := range rapid.SampledFrom([]int{0, 0, 1, 5, 31}).Draw(t, "alike") {
		key[i] = 0xaa
	}
	return key
}

func drawHead(t *rapid.T) audit.Head {
	return audit.Head{Key: drawKey(t), N: uint64(rapid.IntRange(1, 9).Draw(t, "n")), Last: [32]byte{byte(rapid.IntRange(0, 3).Draw(t, "last"))}}
}

func TestHeadsAreTheirDefinition(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		naive, m := map[[32]byte]audit.Head{}, audit.Heads{}
		for range rapid.IntRange(0, 40).Draw(t, "changes") {
			h := drawHead(t)
			naive[h.Key] = h
			m.Set(h)
			if rapid.Bool().Draw(t, "look") && m.Root() != naiveRoot(naive, 0) {
				t.Fatal("another root on the way")
			}
		}
		var list []audit.Head
		for _, h := range naive {
			list = append(list, h)
		}
		file, err := audit.NewHeadFile(list)
		if err != nil {
			t.Fatal(err)
		}
		root := naiveRoot(naive, 0)
		if m.Root() != root || file.Root() != root || m.Len() != len(naive) || file.Len() != len(naive) {
			t.Fatalf("roots or lengths differ: %x, %x, want %x", m.Root(), file.Root(), root)
		}
		for range 10 {
			provesTheSame(t, naive, &m, file, drawKey(t))
		}
	})
}

func provesTheSame(t *rapid.T, naive map[[32]byte]audit.Head, m *audit.Heads, file audit.HeadFile, key [32]byte) {
	h, p := m.Prove(key)
	fh, fp := file.Prove(key)
	if h != fh || fmt.Sprint(p.Path) != fmt.Sprint(fp.Path) || (p.Other == nil) != (fp.Other == nil) || p.Other != nil && *p.Other != *fp.Other {
		t.Fatal("map and file prove differently")
	}
	want, there := naive[key]
	root := m.Root()
	if there {
		if h != want || audit.VerifyHead(root, h, p) != nil || audit.VerifyNoHead(root, key, p) == nil {
			t.Fatal("a trail that is there was not proved, or its absence was")
		}
		forged := h
		forged.N++
		if audit.VerifyHead(root, forged, p) == nil {
			t.Fatal("one entry more was proved")
		}
		return
	}
	if h != (audit.Head{}) || audit.VerifyNoHead(root, key, p) != nil {
		t.Fatal("an absence was not proved")
	}
	if audit.VerifyHead(root, audit.Head{Key: key, N: 1}, p) == nil {
		t.Fatal("a trail that is not there was proved")
	}
}

// TestAbsenceIsHeldToItsPlace shows that a genuine proof of one absence proves no other, and none of a trail that is there.
func TestAbsenceIsHeldToItsPlace(t *testing.T) {
	t.Parallel()
	var m audit.Heads
	for i := range 200 {
		m.Set(audit.Head{Key: audit.HeadKey(fmt.Sprintf("complaint:%d", i)), N: 1})
	}
	root := m.Root()
	for i := range 100 {
		key := audit.HeadKey(fmt.Sprintf("complaint:none-%d", i))
		_, p := m.Prove(key)
		for j := range 200 {
			there := audit.HeadKey(fmt.Sprintf("complaint:%d", j))
			if audit.VerifyNoHead(root, there, p) == nil {
				t.Fatalf("absence of a trail that is there was proved by the proof for another")
			}
		}
		if p.Other != nil {
			self := *p.Other
			if audit.VerifyNoHead(root, self.Key, audit.HeadProof{Path: p.Path, Other: &self}) == nil {
				t.Fatal("a trail was taken as the other one of itself")
			}
		}
	}
}

func TestHeadFileRefuses(t *testing.T) {
	t.Parallel()
	a, b := audit.Head{Key: [32]byte{1}, N: 1}, audit.Head{Key: [32]byte{2}, N: 1}
	good, err := audit.NewHeadFile([]audit.Head{b, a})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := audit.NewHeadFile([]audit.Head{a, a}); !errors.Is(err, audit.ErrHeads) {
		t.Errorf("one trail twice: %v", err)
	}
	if _, err := audit.NewHeadFile([]audit.Head{{Key: [32]byte{1}}}); !errors.Is(err, audit.ErrHeads) {
		t.Errorf("a trail without entries: %v", err)
	}
	swapped := append(append(audit.HeadFile{}, good[audit.HeadRecord:]...), good[:audit.HeadRecord]...)
	for name, f := range map[string]audit.HeadFile{"cut": good[:len(good)-1], "swapped": swapped} {
		if err := f.Check(); !errors.Is(err, audit.ErrHeads) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestWhichTrailsAreInTheHeads(t *testing.T) {
	t.Parallel()
	for subject, want := range map[string]bool{"complaint:1": true, "charter:heads": true, "request:1": false, "query:1": false, "request": true, "requests:1": true} {
		if audit.InHeads(subject) != want || audit.InHeads([]byte(subject)) != want {
			t.Errorf("%s: want %v", subject, want)
		}
	}
	if size, ok := audit.HeadsSize(audit.HeadsPath(12)); !ok || size != 12 {
		t.Errorf("got %d, %v", size, ok)
	}
	for _, name := range []string{"heads/", "heads/012", "heads/x", "head/1", "heads/1/2", "heads/-1"} {
		if _, ok := audit.HeadsSize(name); ok {
			t.Errorf("%s was taken", name)
		}
	}
}

func TestHeadsAllocateNothingForKnownTrails(t *testing.T) {
	var m audit.Heads
	heads := make([]audit.Head, 1000)
	for i := range heads {
		heads[i] = audit.Head{Key: audit.HeadKey(fmt.Sprint("complaint:", i)), N: 1}
		m.Set(heads[i])
	}
	m.Root()
	if n := testing.AllocsPerRun(10, func() {
		for i := range heads {
			heads[i].N++
			m.Set(heads[i])
		}
		m.Root()
	}); n != 0 {
		t.Errorf("%v allocations for 1000 trails", n)
	}
}

func FuzzVerifyHead(f *testing.F) {
	var m audit.Heads
	for i := range 50 {
		m.Set(audit.Head{Key: audit.HeadKey(fmt.Sprint("complaint:", i)), N: uint64(i + 1)})
	}
	for i := range 60 {
		h, p := m.Prove(audit.HeadKey(fmt.Sprint("complaint:", i)))
		var flat []byte
		for _, s := range p.Path {
			flat = append(flat, s[:]...)
		}
		f.Add(i, h.N, h.Last[:], flat)
	}
	f.Fuzz(func(t *testing.T, i int, n uint64, last, flat []byte) {
		h := audit.Head{Key: audit.HeadKey(fmt.Sprint("complaint:", i)), N: n}
		copy(h.Last[:], last)
		var p audit.HeadProof
		for ; len(flat) >= 32; flat = flat[32:] {
			p.Path = append(p.Path, [32]byte(flat))
		}
		want, _ := m.Prove(h.Key)
		if audit.VerifyHead(m.Root(), h, p) == nil && h != want {
			t.Errorf("proved %+v, the map holds %+v", h, want)
		}
		if audit.VerifyNoHead(m.Root(), h.Key, p) == nil && want.N != 0 {
			t.Error("absence of a trail that is there was proved")
		}
	})
}

func BenchmarkHeads(b *testing.B) {
	const trails = 100_000
	heads := make([]audit.Head, trails)
	for i := range heads {
		heads[i] = audit.Head{Key: audit.HeadKey(fmt.Sprint("complaint:", i)), N: 1}
	}
	b.Run("build", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			var m audit.Heads
			for i := range heads {
				m.Set(heads[i])
			}
			m.Root()
		}
		b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N*trails), "ns/trail")
	})
	b.Run("renew", func(b *testing.B) {
		var m audit.Heads
		for i := range heads {
			m.Set(heads[i])
		}
		m.Root()
		b.ReportAllocs()
		for b.Loop() {
			for i := 0; i < trails; i += 10 {
				heads[i].N++
				m.Set(heads[i])
			}
			m.Root()
		}
		b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N*trails/10), "ns/trail")
	})
}

func ExampleHeads() {
	var m audit.Heads
	m.Set(audit.Head{Key: audit.HeadKey("complaint:1"), N: 3})
	m.Set(audit.Head{Key: audit.HeadKey("complaint:2"), N: 1})
	h, proof := m.Prove(audit.HeadKey("complaint:1"))
	fmt.Println(h.N, audit.VerifyHead(m.Root(), h, proof))
	_, proof = m.Prove(audit.HeadKey("complaint:3"))
	fmt.Println(audit.VerifyNoHead(m.Root(), audit.HeadKey("complaint:3"), proof))
	// Output:
	// 3 <nil>
	// <nil>
}
