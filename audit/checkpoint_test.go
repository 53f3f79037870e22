package audit_test

import (
	"bytes"
	"crypto/rand"
	"encoding/base64"
	"encoding/binary"
	"errors"
	"fmt"
	"strings"
	"testing"

	fnote "github.com/transparency-dev/formats/note"
	"golang.org/x/mod/sumdb/note"

	"github.com/sealtrail/sealtrail/audit"
	"github.com/sealtrail/sealtrail/audit/audittest"
)

// witnessed is the checkpoint of C2SP tlog-cosignature's own example.
const witnessed = "example.com/behind-the-sofa\n20852163\nCsUYapGGPo4dkMgIAUqom/Xajj7h2fB2MPA3j2jxq2I=\n\n" +
	"— example.com/behind-the-sofa Az3grlgtzPICa5OS8npVmf1Myq/5IZniMp+ZJurmRDeOoRDe4URYN7u5/Zhcyv2q1gGzGku9nTo+zyWE+xeMcTOAYQ8=\n"

func TestSplitNoteAndParseCheckpoint(t *testing.T) {
	t.Parallel()
	n, err := audit.SplitNote([]byte(witnessed))
	if err != nil {
		t.Fatal(err)
	}
	c, err := audit.ParseCheckpoint(n.Text)
	if err != nil {
		t.Fatal(err)
	}
	if c.Origin != "example.com/behind-the-sofa" || c.Size != 20852163 || c.Root[0] != 0x0a {
		t.Errorf("got %+v", c)
	}
	if len(n.Sigs) != 1 || n.Sigs[0].Name != c.Origin || n.Sigs[0].KeyID != 0x033de0ae || len(n.Sigs[0].Sig) != 64 {
		t.Errorf("got %+v", n.Sigs)
	}
	if !bytes.Equal(c.Marshal(), n.Text) {
		t.Errorf("marshalled: %q", c.Marshal())
	}
	if _, err := audit.ParseCheckpoint(append(c.Marshal(), "extension\n"...)); err != nil {
		t.Errorf("extension line: %v", err)
	}
}

func TestMalformedNotesAndCheckpoints(t *testing.T) {
	t.Parallel()
	for name, c := range map[string][2]string{
		"no empty line":    {"\n\n", "\n"},
		"no final newline": {"YQ8=\n", "YQ8="},
		"stray bits":       {"YQ8=\n", "YQ9=\n"},
		"hyphen for dash":  {"— ", "- "},
		"no name":          {"— example.com/behind-the-sofa ", "—  "},
		"plus in name":     {"— example.com/behind", "— example.com+behind"},
		"second space":     {"sofa Az3", "sofa  Az3"},
		"only a key id":    {"Az3grlgtzPICa5OS8npVmf1Myq/5IZniMp+ZJurmRDeOoRDe4URYN7u5/Zhcyv2q1gGzGku9nTo+zyWE+xeMcTOAYQ8=", "Az3grg=="},
	} {
		if in := strings.Replace(witnessed, c[0], c[1], 1); in == witnessed {
			t.Errorf("%s: unchanged", name)
		} else if _, err := audit.SplitNote([]byte(in)); !errors.Is(err, audit.ErrCheckpoint) {
			t.Errorf("%s: got %v, want ErrCheckpoint", name, err)
		}
	}
	for name, text := range map[string]string{
		"empty":           "",
		"two lines":       "a\n1\n",
		"no origin":       "\n1\nCsUYapGGPo4dkMgIAUqom/Xajj7h2fB2MPA3j2jxq2I=\n",
		"leading zero":    "a\n01\nCsUYapGGPo4dkMgIAUqom/Xajj7h2fB2MPA3j2jxq2I=\n",
		"negative":        "a\n-1\nCsUYapGGPo4dkMgIAUqom/Xajj7h2fB2MPA3j2jxq2I=\n",
		"short root":      "a\n1\nCsUY\n",
		"stray bits":      "a\n1\nCsUYapGGPo4dkMgIAUqom/Xajj7h2fB2MPA3j2jxq2J=\n",
		"empty with root": "a\n0\nCsUYapGGPo4dkMgIAUqom/Xajj7h2fB2MPA3j2jxq2I=\n",
	} {
		if _, err := audit.ParseCheckpoint([]byte(text)); !errors.Is(err, audit.ErrCheckpoint) {
			t.Errorf("%s: got %v, want ErrCheckpoint", name, err)
		}
	}
}

// TestCosignaturesAgreeWithFormats: what transparency-dev/formats signs we verify, and the other way round.
func TestCosignaturesAgreeWithFormats(t *testing.T) {
	t.Parallel()
	skey, plain, err := note.GenerateKey(rand.Reader, "witness.example/w1")
	if err != nil {
		t.Fatal(err)
	}
	typed, err := fnote.VKeyToCosignatureV1(plain)
	if err != nil {
		t.Fatal(err)
	}
	signer, err := fnote.NewSignerForCosignatureV1(skey)
	if err != nil {
		t.Fatal(err)
	}
	text := audit.Checkpoint{Origin: "log.example", Size: 1, Root: leafHash(1)}.Marshal()
	sig, err := signer.Sign(text)
	if err != nil {
		t.Fatal(err)
	}
	for _, vkey := range []string{plain, typed} {
		v, err := audit.NewCosignatureVerifier(vkey)
		if err != nil {
			t.Fatal(err)
		}
		if v.Name() != signer.Name() || v.KeyHash() != signer.KeyHash() || !v.Verify(text, sig) {
			t.Errorf("%s: not verified", vkey)
		}
		if v.Verify(append(text, 'x'), sig) || v.Verify(text, sig[1:]) {
			t.Error("another text or a short signature is verified")
		}
	}
	if got, want := audit.CosignatureTime(sig).Unix(), int64(binary.BigEndian.Uint64(sig)); got != want {
		t.Errorf("time %d, want %d", got, want)
	}

	l := audittest.New(audittest.Config{Witness: true})
	l.Append(audittest.Bodies(3)...)
	theirs, err := fnote.NewVerifierForCosignatureV1(l.WitnessKey())
	if err != nil {
		t.Fatal(err)
	}
	logKey, err := note.NewVerifier(l.VerifierKey())
	if err != nil {
		t.Fatal(err)
	}
	n, err := note.Open(l.Checkpoint(), note.VerifierList(logKey, theirs))
	if err != nil || len(n.Sigs) != 2 {
		t.Errorf("note.Open: %v, %d signatures", err, len(n.Sigs))
	}
}

func TestCosignatureKeysRefused(t *testing.T) {
	t.Parallel()
	good := audittest.New(audittest.Config{}).WitnessKey()
	parts := strings.Split(good, "+")
	name, id := parts[0], parts[1]
	for _, vkey := range []string{"", "x", name + "+" + id, name + "+00000000+" + strings.Join(parts[2:], "+"), "other+" + strings.Join(parts[1:], "+"),
		name + "+" + id + "+" + base64.StdEncoding.EncodeToString(make([]byte, 33)), name + "+" + id + "+" + base64.StdEncoding.EncodeToString(make([]byte, 9))} {
		if _, err := audit.NewCosignatureVerifier(vkey); !errors.Is(err, audit.ErrKey) {
			t.Errorf("%q: got %v, want ErrKey", vkey, err)
		}
	}
	if (&audit.CosignatureVerifier{}).Verify(nil, make([]byte, 72)) {
		t.Error("the zero verifier verifies")
	}
}

func FuzzCheckpoint(f *testing.F) {
	f.Add([]byte(witnessed))
	f.Add([]byte("a\n0\n47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU=\n\n— a AAAAAAA=\n"))
	f.Fuzz(func(t *testing.T, in []byte) {
		n, err := audit.SplitNote(in)
		if err != nil {
			return
		}
		out := append(bytes.Clone(n.Text), '\n')
		for _, s := range n.Sigs {
			raw := append(binary.BigEndian.AppendUint32(nil, s.KeyID), s.Sig...)
			out = fmt.Appendf(out, "— %s %s\n", s.Name, base64.StdEncoding.EncodeToString(raw))
		}
		if !bytes.Equal(out, in) {
			t.Fatalf("split and joined: %q, want %q", out, in)
		}
		c, err := audit.ParseCheckpoint(n.Text)
		if err == nil && !bytes.HasPrefix(n.Text, c.Marshal()) {
			t.Fatalf("parsed and marshalled: %q, want %q", c.Marshal(), n.Text)
		}
	})
}
