package evidence

import (
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/sealtrail/sealtrail/audit"
)

// ErrMalformed is wrapped by every refusal of bytes that are no bundle. See [FormError].
var ErrMalformed = errors.New("malformed evidence bundle")

// FormError says which rule of the format was broken. It wraps [ErrMalformed].
type FormError struct {
	Code string // of step 1
	Path string // of the file, where there is one
}

// Error names the code and the file.
func (e *FormError) Error() string {
	if e.Path == "" {
		return fmt.Sprintf("%v: %s", ErrMalformed, e.Code)
	}
	return fmt.Sprintf("%v: %s: %s", ErrMalformed, e.Code, e.Path)
}

// Unwrap returns ErrMalformed.
func (e *FormError) Unwrap() error { return ErrMalformed }

func malformed(code string) error         { return &FormError{Code: code} }
func malformedAt(code, path string) error { return &FormError{Code: code, Path: path} }

// Open reads a bundle as far as its form goes: step 1 of the verification. It proves nothing; [Verify] does. The error wraps
// [ErrMalformed], or is one of reading. Memory is twice the size of the bundle, unpacked, at most.
func Open(r io.ReaderAt, size int64) (*Bundle, error) {
	if size > MaxSize {
		return nil, malformed("zip_limit")
	}
	raw := make([]byte, max(size, 0))
	if n, err := r.ReadAt(raw, 0); n < len(raw) {
		return nil, fmt.Errorf("reading a bundle: %w", err)
	}
	files, err := readZip(raw)
	if err != nil {
		return nil, err
	}
	return assemble(files)
}

// assemble reads evidence.json and gives each file its place.
func assemble(files map[string][]byte) (*Bundle, error) {
	raw, ok := files[nameJSON]
	if !ok {
		return nil, malformedAt("file_missing", nameJSON)
	}
	if len(raw) > maxJSON || audit.ScanCanonical(raw) != nil {
		return nil, malformedAt("json_not_canonical", nameJSON)
	}
	var w wireBundle
	if !decodeStrict(raw, &w) || !w.shaped() {
		return nil, malformedAt("json_malformed", nameJSON)
	}
	if !w.ordered() {
		return nil, malformedAt("json_order", nameJSON)
	}
	if !w.referenced() {
		return nil, malformedAt("json_reference", nameJSON)
	}
	b := w.bundle()
	if err := b.attach(files); err != nil {
		return nil, err
	}
	return b, b.readCheckpoints()
}

// decodeStrict decodes canonical JSON and refuses whatever it would not write so again: unknown members, members spelled otherwise,
// empty lists, numbers in quotes.
func decodeStrict(raw []byte, w *wireBundle) bool {
	if json.Unmarshal(raw, w) != nil {
		return false
	}
	again, err := w.marshal()
	return err == nil && string(again) == string(raw)
}

// bundle takes over what shaped has accepted.
func (w *wireBundle) bundle() *Bundle {
	at, _ := time.Parse(audit.TimeLayout, w.MadeAt)
	b := &Bundle{Institution: w.Institution, MadeAt: at, Blobs: map[string][]byte{}}
	if w.Subject != nil {
		b.Subject = *w.Subject
	}
	if q := w.Query; q != nil {
		b.Query = &Query{Text: q.Text, Size: q.Size, Log: int(q.Log)}
	}
	for _, l := range w.Logs {
		b.Logs = append(b.Logs, Log{Origin: l.Origin, Year: int(l.Year), Key: l.Key, Size: l.Size})
	}
	for _, i := range w.Items {
		item := Item{Place: Place{int(i.Log), i.Index}, Part: i.Part, State: State(i.State), Hash: hash(i.Leaf)}
		if i.Reason != nil {
			item.Reason = *i.Reason
		}
		b.Items = append(b.Items, item)
	}
	for _, h := range w.Heads {
		head := Head{Place: Place{int(h.Log), h.Index}, Subject: h.Subject, N: h.N, Last: hash(h.Last), Path: hashes(h.Path)}
		if h.Other != nil {
			head.Other = &OtherHead{Key: hash(h.Other.Key), N: h.Other.N, Last: hash(h.Other.Last)}
		}
		b.Heads = append(b.Heads, head)
	}
	for i := range w.Openings {
		b.Openings = append(b.Openings, w.Openings[i].opening())
	}
	for _, c := range w.Consistency {
		b.Consistency = append(b.Consistency, Consistency{Log: int(c.Log), From: c.From, Path: hashes(c.Path)})
	}
	for _, s := range w.Stamps {
		b.Stamps = append(b.Stamps, Stamp{Log: int(s.Log), Size: s.Size})
	}
	for _, a := range w.Actors {
		b.Actors = append(b.Actors, Actor(a))
	}
	return b
}

func (w *wireOpening) opening() Opening {
	o := Opening{Place: Place{int(w.Log), w.Index}, Path: w.Path, State: State(w.State)}
	if w.Salt != nil {
		_, _ = hex.Decode(o.Salt[:], []byte(*w.Salt)) // shaped has looked
	}
	if w.Value != nil {
		o.Value = *w.Value
	}
	if w.Reason != nil {
		o.Reason = *w.Reason
	}
	if w.Proof != nil {
		o.Proof = &Place{int(w.Proof.Log), w.Proof.Index}
	}
	return o
}

func hash(s string) (h [32]byte) {
	_, _ = hex.Decode(h[:], []byte(s)) // shaped has looked: 64 digits or none
	return h
}

func hashes(list []string) [][32]byte {
	out := make([][32]byte, len(list))
	for i, s := range list {
		out[i] = hash(s)
	}
	return out
}

// attach gives each file its place and refuses those that are missing or that nothing names; blobs are judged in step 10.
func (b *Bundle) attach(files map[string][]byte) error {
	called := map[string]*[]byte{nameReadme: &b.Readme, namePage: &b.Page}
	order := []string{nameReadme, namePage}
	call := func(name string, into *[]byte) {
		called[name] = into
		order = append(order, name)
	}
	for i := range b.Logs {
		call(checkpointName(i), &b.Logs[i].Checkpoint)
	}
	for i := range b.Items {
		x := &b.Items[i]
		if x.State == Disclosed {
			call(entryName(x.Place), &x.Leaf)
		}
		call(proofName(x.Place), &x.Proof)
	}
	for i := range b.Stamps {
		call(stampName(b.Stamps[i]), &b.Stamps[i].Token)
	}
	for _, name := range order {
		data, there := files[name]
		if !there {
			return malformedAt("file_missing", name)
		}
		if nameLimit(name) < len(data) {
			return malformedAt("zip_limit", name)
		}
		*called[name] = data
	}
	for name, data := range files {
		digest, isBlob := cutBlob(name)
		switch {
		case isBlob:
			b.Blobs[digest] = data
		case called[name] == nil && name != nameJSON:
			return malformedAt("file_unnamed", name)
		}
	}
	return nil
}

func cutBlob(name string) (digest string, ok bool) {
	if len(name) < 64 || blobName(name[len(name)-64:]) != name {
		return "", false
	}
	return name[len(name)-64:], true
}

// readCheckpoints holds each checkpoint to the origin and size of its log.
func (b *Bundle) readCheckpoints() error {
	for i := range b.Logs {
		_, c, err := b.Logs[i].checkpoint()
		if err != nil {
			return malformedAt("checkpoint_malformed", checkpointName(i))
		}
		if c.Origin != b.Logs[i].Origin || c.Size != b.Logs[i].Size {
			return malformedAt("checkpoint_differs", checkpointName(i))
		}
	}
	return nil
}

func (l *Log) checkpoint() (audit.SignedNote, audit.Checkpoint, error) {
	n, err := audit.SplitNote(l.Checkpoint)
	if err != nil {
		return n, audit.Checkpoint{}, err
	}
	c, err := audit.ParseCheckpoint(n.Text)
	return n, c, err
}
