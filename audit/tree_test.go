package audit_test

import (
	"bytes"
	"errors"
	"fmt"
	"testing"

	"github.com/transparency-dev/merkle/compact"
	"github.com/transparency-dev/merkle/rfc6962"
	"pgregory.net/rapid"

	"github.com/sealtrail/sealtrail/audit"
)

func leafHash(i int) [32]byte { return audit.LeafHash(fmt.Appendf(nil, "leaf %d", i)) }

// memoryTiles keeps the tiles of a tree and reads partial ones from its edge.
type memoryTiles struct {
	tree  audit.Tree
	tiles map[string][]byte
}

func grow(t testing.TB, n int) *memoryTiles {
	m := &memoryTiles{tiles: map[string][]byte{}}
	m.tree.Full = func(level int, index uint64, data []byte) error {
		m.tiles[audit.TilePath(level, index, 0)] = bytes.Clone(data)
		return nil
	}
	for i := range n {
		if err := m.tree.Append(leafHash(i)); err != nil {
			t.Fatal(err)
		}
	}
	return m
}

func (m *memoryTiles) read(level int, index uint64, width int) ([]byte, error) {
	if data, ok := m.tiles[audit.TilePath(level, index, 0)]; ok {
		return data[:width*audit.HashSize], nil
	}
	at, data := m.tree.Partial(level)
	if at != index || len(data) < width*audit.HashSize {
		return nil, fmt.Errorf("no tile %d/%d of width %d", level, index, width)
	}
	return data[:width*audit.HashSize], nil
}

// TestTreeAgreesWithCompactRange compares every root up to size 1,100 with transparency-dev/merkle.
func TestTreeAgreesWithCompactRange(t *testing.T) {
	t.Parallel()
	ours := audit.Tree{}
	theirs := (&compact.RangeFactory{Hash: rfc6962.DefaultHasher.HashChildren}).NewEmptyRange(0)
	if ours.Root() != [32]byte(rfc6962.DefaultHasher.EmptyRoot()) {
		t.Fatal("empty roots differ")
	}
	for i := range 1100 {
		h := leafHash(i)
		if err := ours.Append(h); err != nil {
			t.Fatal(err)
		}
		if err := theirs.Append(bytes.Clone(h[:]), nil); err != nil {
			t.Fatal(err)
		}
		want, err := theirs.GetRootHash(nil)
		if err != nil {
			t.Fatal(err)
		}
		if got := ours.Root(); !bytes.Equal(got[:], want) {
			t.Fatalf("size %d: root %x, want %x", i+1, got, want)
		}
	}
}

func TestLoadTreeContinuesLikeTheOriginal(t *testing.T) {
	t.Parallel()
	for _, n := range []int{0, 1, 255, 256, 257, 511, 70000} {
		m := grow(t, n)
		loaded, err := audit.LoadTree(uint64(n), m.read)
		if err != nil {
			t.Fatal(err)
		}
		if loaded.Root() != m.tree.Root() || loaded.Size() != uint64(n) {
			t.Fatalf("size %d: loaded tree has another root", n)
		}
		clone := m.tree.Clone()
		for i := n; i < n+600; i++ {
			for _, tree := range []*audit.Tree{loaded, &m.tree, &clone} {
				if err := tree.Append(leafHash(i)); err != nil {
					t.Fatal(err)
				}
			}
			if loaded.Root() != m.tree.Root() || clone.Root() != m.tree.Root() {
				t.Fatalf("size %d: roots part at %d", n, i)
			}
		}
		_, a := loaded.Partial(0)
		_, b := m.tree.Partial(0)
		if !bytes.Equal(a, b) {
			t.Errorf("size %d: edges part", n)
		}
	}
}

func TestLoadTreeRefusesShortTiles(t *testing.T) {
	t.Parallel()
	away := errors.New("away")
	if _, err := audit.LoadTree(3, func(int, uint64, int) ([]byte, error) { return nil, away }); !errors.Is(err, away) {
		t.Errorf("got %v, want the reader's error", err)
	}
	if _, err := audit.LoadTree(3, func(int, uint64, int) ([]byte, error) { return make([]byte, 32), nil }); err == nil {
		t.Error("a short tile was accepted")
	}
}

func TestFullStopsAppend(t *testing.T) {
	t.Parallel()
	broken := errors.New("disk full")
	tree := audit.Tree{Full: func(int, uint64, []byte) error { return broken }}
	for i := range 255 {
		if err := tree.Append(leafHash(i)); err != nil {
			t.Fatal(err)
		}
	}
	if err := tree.Append(leafHash(255)); !errors.Is(err, broken) {
		t.Errorf("got %v, want the error of Full", err)
	}
}

func TestProofs(t *testing.T) {
	t.Parallel()
	const size = 70000
	m := grow(t, size)
	roots := map[int][32]byte{}
	for _, n := range []int{1, 2, 255, 256, 257, 65536, 65537, size} {
		roots[n] = grow(t, n).tree.Root()
	}
	rapid.Check(t, func(t *rapid.T) {
		i := rapid.IntRange(0, size-1).Draw(t, "index")
		path, err := audit.InclusionProof(uint64(i), size, m.read)
		if err != nil {
			t.Fatal(err)
		}
		if err := audit.VerifyInclusion(uint64(i), size, leafHash(i), path, roots[size]); err != nil {
			t.Fatal(err)
		}
		if audit.VerifyInclusion(uint64(i), size, leafHash(i+1), path, roots[size]) == nil {
			t.Fatal("another leaf passes")
		}
		if audit.VerifyInclusion(uint64((i+1)%size), size, leafHash(i), path, roots[size]) == nil {
			t.Fatal("another index passes")
		}
	})
	for n, root := range roots {
		path, err := audit.ConsistencyProof(uint64(n), size, m.read)
		if err != nil {
			t.Fatal(err)
		}
		if err := audit.VerifyConsistency(uint64(n), size, root, roots[size], path); err != nil {
			t.Errorf("size %d: %v", n, err)
		}
		if n != size && audit.VerifyConsistency(uint64(n), size, leafHash(1), roots[size], path) == nil {
			t.Errorf("size %d: another root passes", n)
		}
	}
	if _, err := audit.InclusionProof(size, size, m.read); err == nil {
		t.Error("a proof for an index outside of the tree")
	}
}

func TestPaths(t *testing.T) {
	t.Parallel()
	// The examples of C2SP tlog-tiles, and its x-grouping.
	for _, c := range []struct{ got, want string }{
		{audit.TilePath(0, 0, 0), "tile/0/000"},
		{audit.TilePath(0, 1234067, 0), "tile/0/x001/x234/067"},
		{audit.TilePath(1, 5, 1), "tile/1/005.p/1"},
		{audit.TilePath(63, 999, 256), "tile/63/999"},
		{audit.EntriesPath(1000, 255), "tile/entries/x001/000.p/255"},
		{audit.EntriesPath(1234067, 8), "tile/entries/x001/x234/067.p/8"},
		{audit.EntriesPath(1<<56-1, 0), "tile/entries/x072/x057/x594/x037/x927/935"},
		{audit.BlobPath("ab"), "blob/sha256/ab"},
		{audit.CheckpointSizePath(70000), "checkpoints/70000"},
	} {
		if c.got != c.want {
			t.Errorf("got %s, want %s", c.got, c.want)
		}
	}
}

func TestTileCount(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		size    uint64
		level   int
		full    uint64
		partial int
	}{{0, 0, 0, 0}, {1, 0, 0, 1}, {256, 0, 1, 0}, {257, 0, 1, 1}, {257, 1, 0, 1}, {65536, 1, 1, 0}, {65536, 2, 0, 1}, {70000, 1, 1, 17}, {1, 8, 0, 0}} {
		if full, partial := audit.TileCount(c.size, c.level); full != c.full || partial != c.partial {
			t.Errorf("TileCount(%d, %d) = %d, %d; want %d, %d", c.size, c.level, full, partial, c.full, c.partial)
		}
	}
}

func TestBundleRefuses(t *testing.T) {
	t.Parallel()
	if _, err := audit.EncodeBundle(make([][]byte, 257)); !errors.Is(err, audit.ErrBundle) {
		t.Errorf("257 entries: %v", err)
	}
	if _, err := audit.EncodeBundle([][]byte{make([]byte, audit.MaxLeaf+1)}); !errors.Is(err, audit.ErrBundle) {
		t.Errorf("entry too long: %v", err)
	}
	if _, err := audit.DecodeBundle(make([]byte, 2*257)); !errors.Is(err, audit.ErrBundle) {
		t.Errorf("257 empty entries: %v", err)
	}
}

func FuzzDecodeBundle(f *testing.F) {
	f.Add([]byte{0, 1, 'x', 0, 0})
	f.Add([]byte{0xff, 0xff, 1})
	f.Fuzz(func(t *testing.T, in []byte) {
		entries, err := audit.DecodeBundle(in)
		if err != nil {
			return
		}
		out, err := audit.EncodeBundle(entries)
		if err != nil || !bytes.Equal(out, in) {
			t.Fatalf("decoded and encoded: %x, %v; want %x", out, err, in)
		}
	})
}

func ExampleTree() {
	var tree audit.Tree
	for _, entry := range []string{"first", "second"} {
		if err := tree.Append(audit.LeafHash([]byte(entry))); err != nil {
			fmt.Println(err)
		}
	}
	root := tree.Root()
	fmt.Printf("%d %x\n", tree.Size(), root[:4])
	// Output: 2 3ae5bfa5
}

func BenchmarkTreeAppend(b *testing.B) {
	var tree audit.Tree
	h := leafHash(0)
	b.ReportAllocs()
	for b.Loop() {
		if err := tree.Append(h); err != nil {
			b.Fatal(err)
		}
	}
}
