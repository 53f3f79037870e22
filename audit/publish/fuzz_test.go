package publish

import (
	"bytes"
	"crypto/ed25519"
	"testing"

	fnote "github.com/transparency-dev/formats/note"
	"golang.org/x/mod/sumdb/note"

	"github.com/sealtrail/sealtrail/audit"
)

// Whatever is accepted has one spelling.
func FuzzAddCheckpoint(f *testing.F) {
	f.Add([]byte("old 0\n\norigin\n1\nAAAA\n\n— x y\n"))
	f.Add([]byte("old 20852163\nCsUYapGGPo4dkMgIAUqom/Xajj7h2fB2MPA3j2jxq2I=\n\norigin\n"))
	f.Add([]byte("old 18446744073709551615\n\n"))
	f.Add([]byte("old +1\n\n"))
	f.Add([]byte("old 1\nCsUYapGGPo4dkMgIAUqom/Xajj7h2fB2MPA3j2jxq2J=\n\nx"))
	f.Fuzz(func(t *testing.T, body []byte) {
		r, err := decodeAddCheckpoint(body)
		if err != nil {
			return
		}
		if !bytes.Equal(encodeAddCheckpoint(r), body) {
			t.Errorf("accepted %q, which is not its own spelling", body)
		}
	})
}

// Whatever a witness answers, the note keeps its text and its own signature, and gains only lines of that witness's key.
func FuzzAddCosignatures(f *testing.F) {
	logKey, witnessKey := fuzzKey(f, "log.example/1"), fuzzKey(f, "witness.example/1")
	text := string(audit.Checkpoint{Origin: "log.example/1", Size: 1, Root: audit.LeafHash(nil)}.Marshal())
	logSigner, err := note.NewSigner(logKey)
	if err != nil {
		f.Fatal(err)
	}
	signed, err := note.Sign(&note.Note{Text: text}, logSigner)
	if err != nil {
		f.Fatal(err)
	}
	witness, err := fnote.NewSignerForCosignatureV1(witnessKey)
	if err != nil {
		f.Fatal(err)
	}
	cosigned, err := note.Sign(&note.Note{Text: text}, witness)
	if err != nil {
		f.Fatal(err)
	}
	plain, err := verifierKeyOf(witnessKey)
	if err != nil {
		f.Fatal(err)
	}
	vkey, err := fnote.VKeyToCosignatureV1(plain)
	if err != nil {
		f.Fatal(err)
	}
	genuine := cosigned[len(text)+1:]
	f.Add(genuine)
	f.Add(append(append([]byte{}, genuine...), signed[len(text)+1:]...))
	f.Add([]byte("— witness.example/1 AAAAAAAAAAA=\n"))
	f.Add([]byte("\n\nother text\n\n— a b\n"))
	f.Fuzz(func(t *testing.T, lines []byte) {
		out, err := addCosignatures(signed, lines, vkey)
		if err != nil {
			return
		}
		rest, ok := bytes.CutPrefix(out, signed)
		if !ok || !bytes.Contains(lines, genuine[:len(genuine)-1]) {
			t.Fatalf("accepted %q", lines)
		}
		if _, err := audit.SplitNote(out); err != nil || bytes.Count(rest, []byte("\n")) != bytes.Count(rest, []byte("— witness.example/1 ")) {
			t.Errorf("note gained %q", rest)
		}
	})
}

// fuzzKey is the same on every run, so that corpus entries stay meaningful.
func fuzzKey(f *testing.F, name string) string {
	f.Helper()
	skey, _, err := note.GenerateKey(bytes.NewReader(bytes.Repeat([]byte{7}, ed25519.SeedSize)), name)
	if err != nil {
		f.Fatal(err)
	}
	return skey
}
