package audit

import (
	"bytes"
	"encoding/base64"
	"errors"
	"fmt"
	"unicode/utf8"

	"github.com/transparency-dev/formats/log"
)

// ErrCheckpoint is wrapped by every refusal of a checkpoint or of the note around it.
var ErrCheckpoint = errors.New("malformed checkpoint")

// Checkpoint is what a log signs: its name, its size and the root over all its entries (C2SP tlog-checkpoint).
type Checkpoint struct {
	Origin string
	Size   uint64
	Root   [32]byte
}

// Marshal returns the three lines of the checkpoint's text: origin, size, base64 root.
func (c Checkpoint) Marshal() []byte {
	return log.Checkpoint{Origin: c.Origin, Size: c.Size, Hash: c.Root[:]}.Marshal()
}

// ParseCheckpoint reads the text of a note as a checkpoint. It refuses, wrapping [ErrCheckpoint], every other spelling of size
// and root than the one of [Checkpoint.Marshal]. Extension lines after the third are allowed by C2SP and ignored.
func ParseCheckpoint(text []byte) (Checkpoint, error) {
	var l log.Checkpoint
	rest, err := l.Unmarshal(text)
	if err != nil {
		return Checkpoint{}, fmt.Errorf("%w: %w", ErrCheckpoint, err)
	}
	if len(l.Hash) != HashSize {
		return Checkpoint{}, fmt.Errorf("%w: root of %d bytes", ErrCheckpoint, len(l.Hash))
	}
	c := Checkpoint{Origin: l.Origin, Size: l.Size, Root: [32]byte(l.Hash)}
	if !bytes.Equal(c.Marshal(), text[:len(text)-len(rest)]) {
		return Checkpoint{}, fmt.Errorf("%w: size or root not in their usual spelling", ErrCheckpoint)
	}
	if c.Size == 0 && c.Root != EmptyRoot() {
		return Checkpoint{}, fmt.Errorf("%w: size 0 with a root other than the hash of nothing", ErrCheckpoint)
	}
	return c, nil
}

// NoteSignature is one signature line of a signed note: "— <name> base64(<key id> || <signature>)".
type NoteSignature struct {
	Name  string
	KeyID uint32
	Sig   []byte
}

// SignedNote is a text with signature lines (C2SP signed-note), split but not verified.
type SignedNote struct {
	Text []byte // ends with a newline; this is what the signatures sign
	Sigs []NoteSignature
}

// maxNote bounds a note in bytes, maxSigs its signature lines; golang.org/x/mod/sumdb/note has the same bounds.
const (
	maxNote = 1_000_000
	maxSigs = 100
)

// CheckpointOrigin reads the origin of a signed checkpoint without believing it; empty for what is no checkpoint.
func CheckpointOrigin(msg []byte) string {
	n, err := SplitNote(msg)
	if err != nil {
		return ""
	}
	c, err := ParseCheckpoint(n.Text)
	if err != nil {
		return ""
	}
	return c.Origin
}

// SplitNote splits a signed note. It refuses, wrapping [ErrCheckpoint], whatever has a second spelling, such as base64 with
// stray bits, so that a changed byte anywhere in a stored note is either an error here or a signature that fails.
func SplitNote(msg []byte) (SignedNote, error) {
	i := bytes.LastIndex(msg, []byte("\n\n"))
	if len(msg) > maxNote || i < 0 || msg[len(msg)-1] != '\n' {
		return SignedNote{}, fmt.Errorf("%w: not a text, an empty line and signature lines", ErrCheckpoint)
	}
	if !utf8.Valid(msg) || bytes.ContainsFunc(msg, func(r rune) bool { return r < ' ' && r != '\n' }) {
		return SignedNote{}, fmt.Errorf("%w: a control character, or not UTF-8", ErrCheckpoint)
	}
	n := SignedNote{Text: msg[:i+1]}
	for rest := msg[i+2:]; len(rest) > 0; {
		line, after, _ := bytes.Cut(rest, []byte("\n"))
		rest = after
		sig, err := splitSignature(line)
		if err != nil {
			return SignedNote{}, err
		}
		if n.Sigs = append(n.Sigs, sig); len(n.Sigs) > maxSigs {
			return SignedNote{}, fmt.Errorf("%w: more than %d signature lines", ErrCheckpoint, maxSigs)
		}
	}
	if len(n.Sigs) == 0 {
		return SignedNote{}, fmt.Errorf("%w: no signature line", ErrCheckpoint)
	}
	return n, nil
}

func splitSignature(line []byte) (NoteSignature, error) {
	rest, ok := bytes.CutPrefix(line, []byte("— "))
	name, b64, found := bytes.Cut(rest, []byte(" "))
	if !ok || !found || len(name) == 0 || bytes.ContainsAny(name, "+\t\r") {
		return NoteSignature{}, fmt.Errorf("%w: signature line", ErrCheckpoint)
	}
	raw := make([]byte, base64.StdEncoding.DecodedLen(len(b64)))
	n, err := base64.StdEncoding.Strict().Decode(raw, b64)
	if err != nil || n < 5 || bytes.ContainsAny(b64, "\r\n") {
		return NoteSignature{}, fmt.Errorf("%w: signature is not base64", ErrCheckpoint)
	}
	id := uint32(raw[0])<<24 | uint32(raw[1])<<16 | uint32(raw[2])<<8 | uint32(raw[3])
	return NoteSignature{Name: string(name), KeyID: id, Sig: raw[4:n]}, nil
}
