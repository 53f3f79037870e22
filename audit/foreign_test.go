package audit_test

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"unicode/utf16"

	"github.com/transparency-dev/formats/log"
	"github.com/transparency-dev/merkle/testonly"
	"golang.org/x/mod/sumdb/note"

	"github.com/sealtrail/sealtrail/audit"
)

// Vectors that nobody here wrote, read from the modules that ship them. They are not copied: a newer module brings newer ones.

// moduleDir is where a module that we require lies.
func moduleDir(t *testing.T, module string) string {
	t.Helper()
	out, err := exec.Command("go", "list", "-m", "-f", "{{.Dir}}", module).Output()
	if err != nil {
		t.Fatalf("finding module %s: %v", module, err)
	}
	return strings.TrimSpace(string(out))
}

func readJSON(t *testing.T, path string, v any) {
	t.Helper()
	raw, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(raw, v); err != nil {
		t.Fatal(err)
	}
}

// A real certificate transparency log's answers, as golang.org/x/mod/sumdb/tlog ships them: an inclusion proof and a consistency
// proof in a tree of 961,984,013 entries. Every single changed bit of either is refused.
func TestForeignCertificateTransparencyProofs(t *testing.T) {
	t.Parallel()
	dir := filepath.Join(moduleDir(t, "golang.org/x/mod"), "sumdb", "tlog", "testdata", "argon2020")
	var head struct {
		Size uint64 `json:"tree_size"`
		Root []byte `json:"sha256_root_hash"`
	}
	var entries struct {
		Entries []struct {
			Data []byte `json:"leaf_input"`
		} `json:"entries"`
	}
	var inclusion struct {
		Index uint64   `json:"leaf_index"`
		Path  [][]byte `json:"audit_path"`
	}
	var consistency struct {
		Proof [][]byte `json:"consistency"`
	}
	readJSON(t, filepath.Join(dir, "sth.json"), &head)
	readJSON(t, filepath.Join(dir, "entries.json"), &entries)
	readJSON(t, filepath.Join(dir, "proof.json"), &inclusion)
	readJSON(t, filepath.Join(dir, "consistency.json"), &consistency)
	leaf, root := audit.LeafHash(entries.Entries[0].Data), [32]byte(head.Root)
	const from = 3654490 // and its root, as ct_test.go there says
	old, err := base64.StdEncoding.DecodeString("AuIZ5V6sDUj1vn3Y1K85oOaQ7y+FJJKtyRTl1edIKBQ=")
	if err != nil {
		t.Fatal(err)
	}
	included := func() error { return audit.VerifyInclusion(inclusion.Index, head.Size, leaf, inclusion.Path, root) }
	extends := func() error { return audit.VerifyConsistency(from, head.Size, [32]byte(old), root, consistency.Proof) }
	for name, c := range map[string]struct {
		check func() error
		path  [][]byte
	}{"inclusion": {included, inclusion.Path}, "consistency": {extends, consistency.Proof}} {
		if err := c.check(); err != nil {
			t.Errorf("%s: a genuine proof is refused: %v", name, err)
		}
		for i, hash := range c.path {
			for bit := range 8 * len(hash) {
				hash[bit/8] ^= 1 << (bit % 8)
				if c.check() == nil {
					t.Fatalf("%s: bit %d of hash %d was flipped and the proof passes", name, bit, i)
				}
				hash[bit/8] ^= 1 << (bit % 8)
			}
		}
	}
}

// The reference trees of transparency-dev/merkle.
func TestForeignMerkleTrees(t *testing.T) {
	t.Parallel()
	var tree audit.Tree
	roots, nodes := testonly.RootHashes(), testonly.NodeHashes()
	if root := tree.Root(); string(root[:]) != string(roots[0]) {
		t.Errorf("empty tree: root %x, want %x", root, roots[0])
	}
	for i, input := range testonly.LeafInputs() {
		leaf := audit.LeafHash(input)
		if string(leaf[:]) != string(nodes[0][i]) {
			t.Errorf("leaf %d: hash %x, want %x", i, leaf, nodes[0][i])
		}
		if err := tree.Append(leaf); err != nil {
			t.Fatal(err)
		}
		if root := tree.Root(); string(root[:]) != string(roots[i+1]) {
			t.Errorf("size %d: root %x, want %x", i+1, root, roots[i+1])
		}
	}
	for level := 1; level < len(nodes); level++ {
		for i, want := range nodes[level] {
			left, right := nodes[level-1][2*i], nodes[level-1][2*i+1]
			if got := audit.NodeHash([32]byte(left), [32]byte(right)); string(got[:]) != string(want) {
				t.Errorf("node %d of level %d: %x, want %x", i, level, got, want)
			}
		}
	}
}

// The notes in the tests of golang.org/x/mod/sumdb/note: what its Open splits we split, and what it calls malformed we refuse.
func TestForeignNotes(t *testing.T) {
	t.Parallel()
	values := foreignStrings(t, filepath.Join(moduleDir(t, "golang.org/x/mod"), "sumdb", "note", "note_test.go"), "TestOpen")
	text, peter, enoch := values.of("text"), values.of("peterSig"), values.of("enochSig")
	n, err := audit.SplitNote([]byte(text + "\n" + peter + enoch))
	if err != nil {
		t.Fatalf("a genuine note is refused: %v", err)
	}
	if string(n.Text) != text || len(n.Sigs) != 2 || n.Sigs[0].Name != "PeterNeumann" || n.Sigs[0].KeyID != 0xc74f20a3 ||
		n.Sigs[1].Name != "EnochRoot" || n.Sigs[1].KeyID != 0xaf0cfe78 {
		t.Errorf("the note was split as %q, %+v", n.Text, n.Sigs)
	}
	verifier, err := note.NewVerifier(values.vkey(t, "PeterNeumann"))
	if err != nil {
		t.Fatal(err)
	}
	if !verifier.Verify(n.Text, n.Sigs[0].Sig) {
		t.Error("the first signature does not verify over what was split off")
	}
	bad := append(values.lists["badMsgs"], text+"\n"+strings.Repeat(peter, 101))
	if len(bad) < 7 {
		t.Fatalf("only %d malformed notes were found in the module's test", len(bad))
	}
	for _, msg := range bad {
		if _, err := audit.SplitNote([]byte(msg)); err == nil {
			t.Errorf("a malformed note is split: %q", msg)
		}
	}
}

// The checkpoints in the tests of transparency-dev/formats: what it refuses we refuse; of what it takes we take those whose root
// is a SHA-256 and whose numbers have their usual spelling.
func TestForeignCheckpoints(t *testing.T) {
	t.Parallel()
	values := foreignStrings(t, filepath.Join(moduleDir(t, "github.com/transparency-dev/formats"), "log", "checkpoint_test.go"), "TestUnmarshalLogState")
	texts := values.members["m"]
	if len(texts) < 10 {
		t.Fatalf("only %d checkpoints were found in the module's test", len(texts))
	}
	for _, text := range texts {
		var theirs log.Checkpoint
		_, refused := theirs.Unmarshal([]byte(text))
		ours, err := audit.ParseCheckpoint([]byte(text))
		if err == nil && (refused != nil || len(theirs.Hash) != audit.HashSize || ours.Size != theirs.Size || ours.Origin != theirs.Origin) {
			t.Errorf("%q: taken as %+v; formats says %+v, %v", text, ours, theirs, refused)
		}
		if err != nil && refused == nil && len(theirs.Hash) == audit.HashSize {
			t.Errorf("%q: refused (%v), formats takes it", text, err)
		}
		if refused != nil {
			continue
		}
		// The same lines with a root that is a SHA-256 must pass.
		lines := strings.SplitAfterN(text, "\n", 4)
		lines[2] = "47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU=\n"
		if _, err := audit.ParseCheckpoint([]byte(strings.Join(lines, ""))); err != nil {
			t.Errorf("%q with a root of 32 bytes: %v", text, err)
		}
	}
}

// The RFC 8785 test data: every string in it, as a fact of an entry, has in our bytes the spelling that the data's output gives it,
// and no other spelling is accepted.
func TestForeignCanonicalStrings(t *testing.T) {
	t.Parallel()
	dir := filepath.Join(moduleDir(t, "github.com/gowebpki/jcs"), "testdata")
	files, err := filepath.Glob(filepath.Join(dir, "output", "*.json"))
	if err != nil || len(files) < 6 {
		t.Fatalf("only %d files of test data: %v", len(files), err)
	}
	seen := 0
	for _, file := range files {
		raw, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		for _, spelled := range stringsIn(t, raw) {
			var value string
			if err := json.Unmarshal(spelled, &value); err != nil {
				t.Fatal(err)
			}
			b := fullBody()
			b.Facts = audit.Facts{"what": value}
			body, err := b.Canonical()
			if err != nil {
				t.Errorf("%s: %s is refused: %v", filepath.Base(file), spelled, err)
				continue
			}
			if !bytes.Contains(body, append([]byte(`"what":`), spelled...)) {
				t.Errorf("%s: %s is spelled otherwise: %s", filepath.Base(file), spelled, body)
			}
			if _, err := audit.ParseBody(body); err != nil {
				t.Errorf("%s: %s is not read back: %v", filepath.Base(file), spelled, err)
			}
			if other := respelled(value); other != string(spelled) {
				if _, err := audit.ParseBody(bytes.Replace(body, spelled, []byte(other), 1)); err == nil {
					t.Errorf("%s: %s is accepted for %s", filepath.Base(file), other, spelled)
				}
			}
			seen++
		}
	}
	if seen < 30 {
		t.Errorf("only %d strings were found", seen)
	}
}

// respelled writes every character as an escape of its code units.
func respelled(value string) string {
	var b strings.Builder
	b.WriteByte('"')
	for _, u := range utf16.Encode([]rune(value)) {
		fmt.Fprintf(&b, `\u%04x`, u)
	}
	b.WriteByte('"')
	return b.String()
}

// stringsIn returns the strings of a JSON text, names of members too, as they are spelled there.
func stringsIn(t *testing.T, raw []byte) (list [][]byte) {
	t.Helper()
	d := json.NewDecoder(bytes.NewReader(raw))
	for {
		from := d.InputOffset()
		token, err := d.Token()
		if errors.Is(err, io.EOF) {
			return list
		}
		if err != nil {
			t.Fatal(err)
		}
		if _, ok := token.(string); ok {
			list = append(list, bytes.TrimLeft(raw[from:d.InputOffset()], ",: \n\t"))
		}
	}
}

// foreign are the strings that a function of somebody's test names.
type foreign struct {
	values  map[string]string   // variables
	lists   map[string][]string // variables that are lists
	members map[string][]string // members of composite literals, in their order
	all     []string
}

func (f foreign) of(name string) string { return f.values[name] }

// vkey is the verifier key of that name.
func (f foreign) vkey(t *testing.T, name string) string {
	t.Helper()
	for _, s := range f.all {
		if strings.HasPrefix(s, name+"+") && len(s) > len(name)+40 {
			return s
		}
	}
	t.Fatalf("no verifier key of %s in the module's test", name)
	return ""
}

// foreignStrings reads the string constants of one function of a Go file, adding them up where they are sums.
func foreignStrings(t *testing.T, file, function string) foreign {
	t.Helper()
	parsed, err := parser.ParseFile(token.NewFileSet(), file, nil, parser.SkipObjectResolution)
	if err != nil {
		t.Fatal(err)
	}
	f := foreign{values: map[string]string{}, lists: map[string][]string{}, members: map[string][]string{}}
	ast.Inspect(parsed, func(n ast.Node) bool {
		if s, ok := n.(*ast.BasicLit); ok && s.Kind == token.STRING {
			f.all = append(f.all, f.text(s))
		}
		return true
	})
	for _, d := range parsed.Decls {
		if fn, ok := d.(*ast.FuncDecl); ok && fn.Name.Name == function {
			ast.Inspect(fn, func(n ast.Node) bool { f.learn(n); return true })
		}
	}
	return f
}

func (f foreign) learn(n ast.Node) {
	switch n := n.(type) {
	case *ast.AssignStmt:
		name, ok := n.Lhs[0].(*ast.Ident)
		if !ok || len(n.Rhs) != 1 || f.values[name.Name] != "" { // the first value of a name
			return
		}
		if list, ok := n.Rhs[0].(*ast.CompositeLit); ok {
			for _, e := range list.Elts {
				if s := f.text(e); s != "" {
					f.lists[name.Name] = append(f.lists[name.Name], s)
				}
			}
		}
		if s := f.text(n.Rhs[0]); s != "" {
			f.values[name.Name] = s
		}
	case *ast.KeyValueExpr:
		if key, ok := n.Key.(*ast.Ident); ok {
			if s := f.text(n.Value); s != "" {
				f.members[key.Name] = append(f.members[key.Name], s)
			}
		}
	}
}

// text evaluates a sum of string literals and known variables; empty for everything else.
func (f foreign) text(e ast.Expr) string {
	switch e := e.(type) {
	case *ast.BasicLit:
		s, err := strconv.Unquote(e.Value)
		if err != nil {
			return ""
		}
		return s
	case *ast.Ident:
		return f.values[e.Name]
	case *ast.BinaryExpr:
		return f.text(e.X) + f.text(e.Y)
	case *ast.SliceExpr: // s[:len(s)-1] is the only one
		if s := f.text(e.X); s != "" {
			return s[:len(s)-1]
		}
	}
	return ""
}
