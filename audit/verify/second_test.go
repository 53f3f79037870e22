package verify_test

import (
	"bytes"
	"encoding/base64"
	"encoding/binary"
	"errors"
	"fmt"
	"strings"
	"testing"
	"testing/fstest"

	fnote "github.com/transparency-dev/formats/note"

	"github.com/sealtrail/sealtrail/audit"
	"github.com/sealtrail/sealtrail/audit/audittest"
	"github.com/sealtrail/sealtrail/audit/verify"
)

// withSecond adds the second line to every checkpoint of a log and returns its key.
func withSecond(t *testing.T, l *audittest.Log) (folder fstest.MapFS, vkey string) {
	t.Helper()
	skey, vkey, err := fnote.GenerateMLDSAKey(l.Origin())
	if err != nil {
		t.Fatal(err)
	}
	signer, err := fnote.NewSignerForCosignatureV1(skey)
	if err != nil {
		t.Fatal(err)
	}
	folder = l.Folder()
	for name, file := range folder {
		if !strings.HasPrefix(name, audit.CheckpointPath) {
			continue
		}
		text, _, _ := bytes.Cut(file.Data, []byte("\n\n"))
		sig, err := signer.Sign(append(text[:len(text):len(text)], '\n'))
		if err != nil {
			t.Fatal(err)
		}
		file.Data = fmt.Appendf(file.Data, "\u2014 %s %s\n", l.Origin(), base64.StdEncoding.EncodeToString(append(binary.BigEndian.AppendUint32(nil, signer.KeyHash()), sig...)))
	}
	return folder, vkey
}

// dropSecond takes the last line of a note away.
func dropSecond(note []byte) []byte {
	return note[:bytes.LastIndexByte(note[:len(note)-1], '\n')+1]
}

func TestSecondLine(t *testing.T) {
	t.Parallel()
	l := newLog(t, 40, audittest.Config{Witness: true})
	folder, vkey := withSecond(t, l)
	_, other := withSecond(t, l)
	_, elsewhere, err := fnote.GenerateMLDSAKey("sealtrail.example/other/2026")
	if err != nil {
		t.Fatal(err)
	}
	head := folder[audit.CheckpointPath].Data
	change := func(f func(note []byte) []byte) func(fstest.MapFS) {
		return func(m fstest.MapFS) { m[audit.CheckpointPath].Data = f(bytes.Clone(head)) }
	}
	flip := func(note []byte) []byte {
		n := len(note) - 1000
		if note[n]++; note[n] > 'y' || note[n] == '0' || note[n] == ':' || note[n] == '[' || note[n] == ',' {
			note[n] = 'Q'
		}
		return note
	}
	for name, c := range map[string]struct {
		keys   []string
		change func(fstest.MapFS)
		step   int // of the finding; 0: none
		note   string
	}{
		"genuine":              {keys: []string{vkey}, note: "second signature (ML-DSA-44) verifies"},
		"of two keys, one":     {keys: []string{other, vkey}, note: "second signature (ML-DSA-44) verifies"},
		"nobody asked":         {note: "signature lines are by keys that were not given"},
		"asked of another log": {keys: []string{elsewhere}, note: "no second key was given for this log"},
		"another key":          {keys: []string{other}, step: verify.StepSignature},
		"missing":              {keys: []string{vkey}, change: change(dropSecond), step: verify.StepSignature},
		"tampered":             {keys: []string{vkey}, change: change(flip), step: verify.StepSignature},
		"under another name": {keys: []string{vkey}, step: verify.StepSignature, change: change(func(note []byte) []byte {
			i := bytes.LastIndex(note, []byte("\u2014 "))
			return append(note[:i:i], bytes.Replace(note[i:], []byte(l.Origin()), []byte("somebody"), 1)...)
		})},
		"tampered on a stored one": {keys: []string{vkey}, step: verify.StepCheckpoints, change: func(m fstest.MapFS) {
			file := m[audit.CheckpointSizePath(20)]
			file.Data = flip(bytes.Clone(file.Data))
		}},
		"missing on a stored one": {keys: []string{vkey}, note: "second signature (ML-DSA-44) verifies", change: func(m fstest.MapFS) {
			file := m[audit.CheckpointSizePath(20)]
			file.Data = dropSecond(file.Data)
		}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			folder := audittest.CopyFolder(folder)
			if c.change != nil {
				c.change(folder)
			}
			rep := check(t, folder, verify.Options{VerifierKey: l.VerifierKey(), Witnesses: []string{l.WitnessKey()}, SecondKeys: c.keys})
			if c.step == 0 {
				said := fmt.Sprint(rep.Step(verify.StepSignature).Notes, rep.Step(verify.StepLimits).Notes)
				if !rep.OK() || !strings.Contains(said, c.note) {
					t.Errorf("want %q: %s\n%s", c.note, said, findings(rep))
				}
				return
			}
			step, f := rep.FirstFinding()
			if f == nil || f.Code != "second_signature" || step.Number != c.step || f.Text.ZH == "" {
				t.Errorf("want second_signature in step %d:\n%s", c.step, findings(rep))
			}
		})
	}
	if _, err := verify.Verify(t.Context(), folder, verify.Options{VerifierKey: l.VerifierKey(), SecondKeys: []string{l.VerifierKey()}}); !errors.Is(err, verify.ErrOptions) {
		t.Errorf("an Ed25519 key as the second one: %v", err)
	}
	rep := check(t, folder, verify.Options{VerifierKey: l.VerifierKey(), SecondKeys: []string{vkey}, Pinned: [][]byte{flip(bytes.Clone(head))}})
	if step, f := rep.FirstFinding(); f == nil || f.Code != "second_signature" || step.Number != verify.StepPinned {
		t.Errorf("a kept checkpoint with a damaged line: %s", findings(rep))
	}
}
