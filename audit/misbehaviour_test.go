package audit_test

import (
	"bytes"
	"encoding/base64"
	"errors"
	"fmt"
	"io/fs"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/sealtrail/sealtrail/audit"
	"github.com/sealtrail/sealtrail/audit/audittest"
)

// forked returns two logs of one key and origin that agree on the first common entries only.
func forked(common, sizeA, sizeB int) (a, b *audittest.Log) {
	return history(0, common, sizeA), history(1, common, sizeB)
}

// history is a log whose entries from common on are of that history only.
func history(n, common, size int) *audittest.Log {
	l := audittest.New(audittest.Config{Witness: true})
	for j := range size {
		leaf := fmt.Sprintf("leaf %d", j)
		if j >= common {
			leaf += fmt.Sprintf(" of history %d", n)
		}
		l.AppendLeaf([]byte(leaf), "")
	}
	l.Publish()
	return l
}

func rootAt(n, common, size int) [32]byte {
	tree := &audit.Tree{}
	for j := range size {
		leaf := fmt.Sprintf("leaf %d", j)
		if j >= common {
			leaf += fmt.Sprintf(" of history %d", n)
		}
		if err := tree.Append(audit.LeafHash([]byte(leaf))); err != nil {
			panic(err)
		}
	}
	return tree.Root()
}

func tilesOf(l *audittest.Log) audit.TileReader {
	return func(level int, index uint64, width int) ([]byte, error) {
		if width == audit.TileWidth {
			width = 0
		}
		return fs.ReadFile(l.Folder(), audit.TilePath(level, index, width))
	}
}

func opener(t testing.TB, vkey string) func([]byte) (audit.Checkpoint, error) {
	t.Helper()
	open, err := audit.LogVerifier(vkey)
	if err != nil {
		t.Fatal(err)
	}
	return open
}

func open(t testing.TB, l *audittest.Log) audit.Checkpoint {
	t.Helper()
	c, err := opener(t, l.VerifierKey())(l.Checkpoint())
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// judged marshals, parses and judges, as a reader of the file does.
func judged(t testing.TB, m audit.Misbehaviour, vkey string) audit.Verdict {
	t.Helper()
	again, err := audit.ParseMisbehaviour(m.Marshal())
	if err != nil {
		t.Fatal(err)
	}
	if d := cmp.Diff(m, again); d != "" {
		t.Fatalf("another file after parsing: %s", d)
	}
	v, err := again.Judge(opener(t, vkey))
	if err != nil {
		t.Fatal(err)
	}
	return v
}

func wantVerdict(t testing.TB, v audit.Verdict, convicts bool, reason string) {
	t.Helper()
	if v.Convicts != convicts || v.Reason != reason {
		t.Errorf("convicts %v, reason %q; want %v, %q", v.Convicts, v.Reason, convicts, reason)
	}
}

// Two roots at one size convict; the same root, one strange key and one unsigned note do not.
func TestTwoRootsConvict(t *testing.T) {
	t.Parallel()
	a, b := forked(3, 7, 7)
	m := audit.Misbehaviour{Kind: audit.TwoRoots, A: a.Checkpoint(), B: b.Checkpoint()}
	v := judged(t, m, a.VerifierKey())
	wantVerdict(t, v, true, audit.ReasonTwoRoots)
	if v.A.Root == v.B.Root || v.Second != v.B.Root || !v.SignedA || !v.SignedB {
		t.Errorf("verdict %+v", v)
	}
	wantVerdict(t, judged(t, audit.Misbehaviour{Kind: audit.TwoRoots, A: a.Checkpoint(), B: a.Checkpoint()}, a.VerifierKey()), false, audit.ReasonSameRoot)
	wantVerdict(t, judged(t, audit.Misbehaviour{Kind: audit.NotConsistent, A: a.Checkpoint(), B: b.Checkpoint()}, a.VerifierKey()), false, audit.ReasonWrongKind)
	bare := audit.Misbehaviour{Kind: audit.TwoRoots, A: a.Checkpoint(), B: open(t, b).Marshal()}
	if v = judged(t, bare, a.VerifierKey()); !v.SignedA || v.SignedB {
		t.Errorf("verdict %+v", v)
	}
	wantVerdict(t, v, false, audit.ReasonNotSigned)
	stranger := audittest.New(audittest.Config{Seed: 9})
	wantVerdict(t, judged(t, m, stranger.VerifierKey()), false, audit.ReasonNotSigned)
}

// A larger tree that does not begin with the smaller one convicts by its own proof, at every pair of sizes; the proof of a true
// extension convicts nobody.
func TestAnotherBeginningConvicts(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		from := rapid.IntRange(1, 300).Draw(t, "from")
		to := from + rapid.IntRange(1, 300).Draw(t, "more")
		common := rapid.IntRange(0, from-1).Draw(t, "common")
		small, large := history(0, common, from), history(1, common, to)
		path, err := audit.ConsistencyProof(uint64(from), uint64(to), tilesOf(large))
		if err != nil {
			t.Fatal(err)
		}
		second := rootAt(1, common, from)
		open, err := audit.LogVerifier(small.VerifierKey())
		if err != nil {
			t.Fatal(err)
		}
		judge := func(m audit.Misbehaviour) audit.Verdict {
			v, err := m.Judge(open)
			if err != nil {
				t.Fatal(err)
			}
			return v
		}
		proof := append([][]byte{second[:]}, path...)
		m := audit.Misbehaviour{Kind: audit.NotConsistent, A: small.Checkpoint(), B: large.Checkpoint(), Proof: proof}
		if v := judge(m); !v.Convicts || v.Second != second {
			t.Fatalf("a fork is not convicted: %+v", v)
		}
		m.A, m.B = m.B, m.A
		if v := judge(m); !v.Convicts {
			t.Fatalf("a fork is not convicted the other way round: %+v", v)
		}
		lc, err := open(large.Checkpoint())
		if err != nil {
			t.Fatal(err)
		}
		if got, ok := audit.PrefixRoot(uint64(from), uint64(to), path, lc.Root); ok != (from&(from-1) != 0) || ok && got != second {
			t.Fatalf("PrefixRoot(%d, %d): %x, %v; want %x", from, to, got, ok, second)
		}
		// The same proof against the log's own beginning is a true extension.
		honest := history(1, common, from)
		if v := judge(audit.Misbehaviour{Kind: audit.NotConsistent, A: honest.Checkpoint(), B: large.Checkpoint(), Proof: proof}); v.Convicts || v.Reason != audit.ReasonConsistent {
			t.Fatalf("a true extension: %+v", v)
		}
		// A proof with anything changed convicts nobody.
		i := rapid.IntRange(0, len(proof)-1).Draw(t, "changed")
		bad := make([][]byte, len(proof))
		for j := range proof {
			bad[j] = bytes.Clone(proof[j])
		}
		bad[i][rapid.IntRange(0, 31).Draw(t, "byte")] ^= 1
		if v := judge(audit.Misbehaviour{Kind: audit.NotConsistent, A: small.Checkpoint(), B: large.Checkpoint(), Proof: bad}); v.Convicts {
			t.Fatalf("a forged proof convicts: %+v", v)
		}
		if v := judge(audit.Misbehaviour{Kind: audit.NotConsistent, A: small.Checkpoint(), B: large.Checkpoint()}); v.Convicts || v.Reason != audit.ReasonNoProof {
			t.Fatalf("no proof: %+v", v)
		}
		if v := judge(audit.Misbehaviour{Kind: audit.WentBehind, A: large.Checkpoint(), B: small.Checkpoint()}); v.Convicts || v.Reason != audit.ReasonBothPossible {
			t.Fatalf("behind: %+v", v)
		}
	})
}

// A log can put whatever it likes into the extension lines of a checkpoint: also the marks of the file.
func TestNotesThatHoldTheMarksOfTheFile(t *testing.T) {
	t.Parallel()
	for _, evil := range []string{"", "\n", "--- end of note A\n", "x\n--- end of note A\n--- note B: 1 bytes\n", "proof AAAA\n"} {
		judgedOnlyParsed(t, audit.Misbehaviour{Kind: audit.WentBehind, A: []byte(evil), B: []byte("\n--- end of note B\nproof x")})
	}
}

func judgedOnlyParsed(t *testing.T, m audit.Misbehaviour) {
	t.Helper()
	again, err := audit.ParseMisbehaviour(m.Marshal())
	if err != nil {
		t.Fatalf("%q: %v", m.A, err)
	}
	if !bytes.Equal(again.A, m.A) || !bytes.Equal(again.B, m.B) || len(again.Proof) != 0 {
		t.Errorf("got %q and %q", again.A, again.B)
	}
}

func TestMalformedMisbehaviourFiles(t *testing.T) {
	t.Parallel()
	a, b := forked(3, 7, 7)
	good := string(audit.Misbehaviour{Kind: audit.TwoRoots, A: a.Checkpoint(), B: b.Checkpoint(), Proof: [][]byte{make([]byte, 32)}}.Marshal())
	for name, bad := range map[string]string{
		"empty":            "",
		"other version":    strings.Replace(good, "v1", "v2", 1),
		"unknown kind":     strings.Replace(good, "two-roots", "three-roots", 1),
		"cut":              good[:len(good)-1],
		"more":             good + "\n",
		"no note B":        good[:strings.Index(good, "--- note B")],
		"a longer length":  strings.Replace(good, "--- note A: ", "--- note A: 1", 1),
		"a padded length":  strings.Replace(good, "--- note A: ", "--- note A: 0", 1),
		"huge length":      strings.Replace(good, "--- note A: ", "--- note A: 99999999999999999999", 1),
		"short hash":       good + "proof AAAA\n",
		"stray bits":       strings.Replace(good, "AA=\n", "AB=\n", 1),
		"too many hashes":  good + strings.Repeat("proof "+base64.StdEncoding.EncodeToString(make([]byte, 32))+"\n", 64),
		"carriage returns": strings.ReplaceAll(good, "\n", "\r\n"),
	} {
		if _, err := audit.ParseMisbehaviour([]byte(bad)); !errors.Is(err, audit.ErrMisbehaviour) {
			t.Errorf("%s: %v, want ErrMisbehaviour", name, err)
		}
	}
	if _, err := (audit.Misbehaviour{Kind: audit.TwoRoots}).Judge(opener(t, a.VerifierKey())); !errors.Is(err, audit.ErrMisbehaviour) {
		t.Errorf("a file without notes: %v", err)
	}
}

// Whatever is accepted has one spelling, and nothing convicts that the log's key did not sign twice.
func FuzzParseMisbehaviour(f *testing.F) {
	a, b := forked(3, 7, 9)
	f.Add(audit.Misbehaviour{Kind: audit.NotConsistent, A: a.Checkpoint(), B: b.Checkpoint(), Proof: [][]byte{make([]byte, 32)}}.Marshal())
	f.Add(audit.Misbehaviour{Kind: audit.TwoRoots, A: a.Checkpoint(), B: b.Checkpoint()}.Marshal())
	f.Add(audit.Misbehaviour{Kind: audit.WentBehind}.Marshal())
	f.Add([]byte("sealtrail-misbehaviour v1\nbehind\n--- note A: 4294967295 bytes\n"))
	verify := opener(f, a.VerifierKey())
	f.Fuzz(func(t *testing.T, data []byte) {
		m, err := audit.ParseMisbehaviour(data)
		if err != nil {
			if !errors.Is(err, audit.ErrMisbehaviour) {
				t.Fatal(err)
			}
			return
		}
		if !audit.IsMisbehaviour(data) || !bytes.Equal(m.Marshal(), data) {
			t.Fatalf("%q has a second spelling", data)
		}
		if v, err := m.Judge(verify); err == nil && v.Convicts {
			t.Fatalf("convicted by %q", data) // the seeds hold no two notes that do, and nobody else has the key
		}
	})
}

// A log that signed two roots at one size is convicted by the two notes and its verifier key alone.
func ExampleMisbehaviour() {
	first, second := audittest.New(audittest.Config{}), audittest.New(audittest.Config{})
	first.AppendLeaf([]byte("what one reader was shown"), "")
	second.AppendLeaf([]byte("what another reader was shown"), "")
	first.Publish()
	second.Publish()
	file := audit.Misbehaviour{Kind: audit.TwoRoots, A: first.Checkpoint(), B: second.Checkpoint()}.Marshal()

	m, err := audit.ParseMisbehaviour(file)
	if err != nil {
		fmt.Println(err)
		return
	}
	open, err := audit.LogVerifier(first.VerifierKey())
	if err != nil {
		fmt.Println(err)
		return
	}
	v, err := m.Judge(open)
	fmt.Println(v.Convicts, v.Reason, v.A.Size, err)
	// Output: true two_roots 1 <nil>
}

// The root at every smaller size, from the tiles of the larger tree alone.
func TestRootAtEverySize(t *testing.T) {
	t.Parallel()
	const total = 600
	l := history(1, 0, total)
	for size := range total + 1 {
		want := audit.EmptyRoot()
		if size > 0 {
			want = rootAt(1, 0, size)
		}
		if got, err := audit.RootAt(uint64(size), total, tilesOf(l)); err != nil || got != want {
			t.Fatalf("size %d: %x, %v; want %x", size, got, err, want)
		}
	}
	if _, err := audit.RootAt(total+1, total, tilesOf(l)); err == nil {
		t.Error("a root beyond the end")
	}
}
