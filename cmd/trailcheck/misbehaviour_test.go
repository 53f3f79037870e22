package main

import (
	"io/fs"
	"testing"

	"github.com/sealtrail/sealtrail/audit"
	"github.com/sealtrail/sealtrail/audit/audittest"
	"github.com/sealtrail/sealtrail/internal/exitcode"
)

// twoHistories are two logs of one key that differ from their entry number 200 on.
func twoHistories(t *testing.T) (a, b *audittest.Log) {
	t.Helper()
	a, b = audittest.New(audittest.Config{Witness: true}), audittest.New(audittest.Config{})
	a.Append(audittest.Bodies(201)...)
	b.Append(audittest.Bodies(200)...)
	b.Append(audittest.Bodies(300)[299])
	return a, b
}

func TestExplainMisbehaviourConvicts(t *testing.T) {
	t.Parallel()
	a, b := twoHistories(t)
	two := file(t, audit.Misbehaviour{Kind: audit.TwoRoots, A: a.Checkpoint(), B: b.Checkpoint()}.Marshal())
	code, out, errs := call(t, "explain", two, "--key", a.VerifierKey())
	if code != exitcode.Integrity {
		t.Errorf("code %d\n%s%s", code, out, errs)
	}
	want(t, out, "kind two-roots", `A  log "sealtrail.example/demo/2026", size 201: signed by the given key`, "✗ the log's key signed two different roots",
		"a witness line claims to have seen it at (not verified here) 2026-01-02T03:04:05Z", "next: keep this file")
	code, out, _ = call(t, "explain", two, "--key", a.VerifierKey(), "--lang", "zh")
	if code != exitcode.Integrity {
		t.Errorf("zh: code %d", code)
	}
	want(t, out, "✗ 日志密钥为同一规模签署了两个不同的根哈希", "规模 201: 由所给公钥签名")
	code, out, _ = call(t, "explain", two, "--key", a.VerifierKey(), "-o", "json")
	if code != exitcode.Integrity {
		t.Errorf("json: code %d", code)
	}
	want(t, out, `"convicts": true`, `"reason": "two_roots"`, `"second_root"`)

	b.Append(audittest.Bodies(400)[300:]...)
	tiles := func(level int, index uint64, width int) ([]byte, error) {
		if width == audit.TileWidth {
			width = 0
		}
		return fs.ReadFile(b.Folder(), audit.TilePath(level, index, width))
	}
	path, err := audit.ConsistencyProof(201, b.Size(), tiles)
	if err != nil {
		t.Fatal(err)
	}
	c, err := audit.SplitNote(b.Checkpoint())
	if err != nil {
		t.Fatal(err)
	}
	cp, err := audit.ParseCheckpoint(c.Text)
	if err != nil {
		t.Fatal(err)
	}
	second, ok := audit.PrefixRoot(201, b.Size(), path, cp.Root)
	if !ok {
		t.Fatal("no root in the proof")
	}
	m := audit.Misbehaviour{Kind: audit.NotConsistent, A: a.Checkpoint(), B: b.Checkpoint(), Proof: append([][]byte{second[:]}, path...)}
	code, out, _ = call(t, "explain", file(t, m.Marshal()), "--key", file(t, []byte("# keys\n"+a.VerifierKey()+"\n")))
	if code != exitcode.Integrity {
		t.Errorf("not consistent: code %d\n%s", code, out)
	}
	want(t, out, "✗ the log's key signed a larger tree that does not begin with the smaller one")
}

func TestExplainMisbehaviourThatConvictsNobody(t *testing.T) {
	t.Parallel()
	a, b := twoHistories(t)
	stranger := audittest.New(audittest.Config{Seed: 7})
	two := file(t, audit.Misbehaviour{Kind: audit.TwoRoots, A: a.Checkpoint(), B: b.Checkpoint()}.Marshal())
	for _, test := range []struct {
		name string
		args []string
		want string
	}{
		{"no key", []string{two}, "– not checked: no --key"},
		{"a stranger's key", []string{two, "--key", stranger.VerifierKey()}, "– it convicts nobody: not both notes are signed by the given key"},
		{"one note twice", []string{file(t, audit.Misbehaviour{Kind: audit.TwoRoots, A: a.Checkpoint(), B: a.Checkpoint()}.Marshal()), "--key", a.VerifierKey()}, "both notes say the same"},
		{"no proof", []string{file(t, audit.Misbehaviour{Kind: audit.NotConsistent, A: smaller(t), B: b.Checkpoint()}.Marshal()), "--key", a.VerifierKey()}, "it holds no proof"},
		{"behind", []string{file(t, audit.Misbehaviour{Kind: audit.WentBehind, A: b.Checkpoint(), B: smaller(t)}.Marshal()), "--key", a.VerifierKey()}, "convicts nobody by itself"},
	} {
		code, out, errs := call(t, append([]string{"explain"}, test.args...)...)
		if code != exitcode.OK {
			t.Errorf("%s: code %d\n%s%s", test.name, code, out, errs)
		}
		want(t, out, test.want)
	}
	if code, _, _ := call(t, "explain", file(t, []byte("sealtrail-misbehaviour v1\nnonsense")), "--key", a.VerifierKey()); code != exitcode.Usage {
		t.Errorf("no such file: code %d", code)
	}
	if code, _, _ := call(t, "explain", t.TempDir()); code != exitcode.Usage {
		t.Errorf("folder without index: code %d", code)
	}
}

func smaller(t *testing.T) []byte {
	t.Helper()
	l := audittest.New(audittest.Config{})
	l.Append(audittest.Bodies(5)...)
	return l.Checkpoint()
}
