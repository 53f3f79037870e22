package audit_test

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"flag"
	"os"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/sealtrail/sealtrail/audit"
	"github.com/sealtrail/sealtrail/audit/audittest"
)

var update = flag.Bool("update", false, "rewrite testdata; a change of what is there breaks every signed log")

// vectors are what another implementation runs against; see docs/formats/trail-entry.md.
type vectors struct {
	Leaves  []leafVector   `json:"leaves"`
	Refused []refused      `json:"refused"`
	Commits []commitVector `json:"commits"`
	Trees   []treeVector   `json:"trees"`
}

type leafVector struct {
	Leaf       string `json:"leaf"`
	LeafHash   string `json:"leaf_hash"`
	BodySHA256 string `json:"body_sha256"`
}

type refused struct {
	Why  string `json:"why"`
	Leaf string `json:"leaf"`
}

type commitVector struct {
	Path   string `json:"path"`
	Salt   string `json:"salt"`
	Value  string `json:"value"`
	Commit string `json:"commit"`
}

// treeVector is the root over the entries "leaf 0" to "leaf <size-1>".
type treeVector struct {
	Size int    `json:"size"`
	Root string `json:"root"`
}

func makeVectors(t *testing.T) vectors {
	t.Helper()
	var v vectors
	bodies := append(audittest.Bodies(4), fullBody())
	for _, b := range bodies {
		raw, err := b.Canonical()
		if err != nil {
			t.Fatal(err)
		}
		leaf := audit.AssembleLeaf(raw, position())
		hash, sum := audit.LeafHash(leaf), sha256.Sum256(raw)
		v.Leaves = append(v.Leaves, leafVector{string(leaf), hex.EncodeToString(hash[:]), hex.EncodeToString(sum[:])})
	}
	good := v.Leaves[0].Leaf
	for _, c := range [][3]string{
		{"space", `"v":1}`, `"v": 1}`}, {"member out of order", `"log":"sealtrail.example/demo/2026","seq_at"`, `"seq_at"`},
		{"unknown member of the body", `"subject"`, `"stuff":1,"subject"`}, {"unknown version", `"v":1}`, `"v":2}`},
		{"escape of a plain character", `"branch-lan"`, `"branch\u002dlan"`}, {"leading zero", `"idx":"7"`, `"idx":"07"`},
		{"trail number zero", `"n":"2"`, `"n":"0"`}, {"upper-case hash", `"prev":"ab`, `"prev":"AB`},
		{"time without microseconds", `.000006Z`, `Z`}, {"float", `"repeat_180d":true`, `"repeat_180d":1.0`}, {"null", `"repeat_180d":true`, `"repeat_180d":null`},
	} {
		v.Refused = append(v.Refused, refused{c[0], strings.Replace(good, c[1], c[2], 1)})
	}
	v.Commits = []commitVector{{Path: "phone", Salt: "01000000000000000000000000000000", Value: "13800138000"}, {Path: "complainant_name", Salt: "000102030405060708090a0b0c0d0e0f", Value: "王小明"}}
	for i, c := range v.Commits {
		salt, err := hex.DecodeString(c.Salt)
		if err != nil {
			t.Fatal(err)
		}
		v.Commits[i].Commit = audit.Commit(c.Path, [16]byte(salt), []byte(c.Value))
	}
	for _, n := range []int{0, 1, 2, 3, 255, 256, 257, 1000} {
		root := grow(t, n).tree.Root()
		v.Trees = append(v.Trees, treeVector{n, hex.EncodeToString(root[:])})
	}
	return v
}

func TestVectors(t *testing.T) {
	t.Parallel()
	var buf bytes.Buffer
	enc := json.NewEncoder(&buf)
	enc.SetEscapeHTML(false)
	enc.SetIndent("", " ")
	made := makeVectors(t)
	if err := enc.Encode(made); err != nil {
		t.Fatal(err)
	}
	const name = "testdata/trail-entry.json"
	if *update {
		if err := os.WriteFile(name, buf.Bytes(), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	stored, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(stored), buf.String()); diff != "" {
		t.Errorf("the format has changed (-stored +made):\n%s", diff)
	}
	for _, l := range made.Leaves {
		if _, err := audit.ParseLeaf([]byte(l.Leaf)); err != nil {
			t.Errorf("refused: %v\n%s", err, l.Leaf)
		}
	}
	for _, r := range made.Refused {
		if _, err := audit.ParseLeaf([]byte(r.Leaf)); err == nil {
			t.Errorf("%s: accepted\n%s", r.Why, r.Leaf)
		}
	}
}
