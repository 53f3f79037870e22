package intake

import (
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"iter"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"
)

// Spool is a folder of envelopes that wait to be handed in. It needs nobody:
// two files for each envelope, written, synced and renamed, so that a crash at
// any moment loses nothing that Put has answered for. Several processes may put
// into one Spool; one at a time should hand in.
//
//	<sealed_at>-<sha256>.envelope   the envelope
//	<sealed_at>-<sha256>.receipt    its receipt, one line of JSON
//	done/, refused/                 what was handed in, and what was refused
type Spool struct{ dir string }

// Suffixes of the files.
const (
	envelopeSuffix = ".envelope"
	receiptSuffix  = ".receipt"
	// codeSuffix is beside a refused envelope: the code, and nothing else.
	codeSuffix = ".code"
	// partSuffix is a file that a crash left half written; nobody was told of it.
	partSuffix = ".part"
)

// OpenSpool opens a folder, which it makes if need be, readable by its owner only.
func OpenSpool(dir string) (*Spool, error) {
	for _, d := range []string{dir, filepath.Join(dir, "done"), filepath.Join(dir, "refused")} {
		if err := makeDir(d); err != nil {
			return nil, fmt.Errorf("opening a spool: %w", err)
		}
	}
	return &Spool{dir}, nil
}

// makeDir makes a folder and those above it that are missing, and makes their
// names durable: a crash must not take the spool away with all that is in it.
func makeDir(dir string) error {
	var around []string
	for d := filepath.Clean(dir); ; d = filepath.Dir(d) {
		if _, err := os.Stat(d); err == nil || d == filepath.Dir(d) {
			break
		}
		around = append(around, filepath.Dir(d))
	}
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return err
	}
	for _, d := range around {
		if err := syncDir(d); err != nil {
			return err
		}
	}
	return nil
}

// Kept is one envelope of a Spool.
type Kept struct {
	Envelope Envelope
	// Receipt is nil if a crash came between envelope and receipt; the envelope
	// is as good without.
	Receipt *Receipt
	name    string
}

func nameOf(e Envelope) string {
	sum := e.SHA256()
	return e.SealedAt().Format("20060102T150405.000000") + "-" + hex.EncodeToString(sum[:])
}

// Put keeps an envelope and its receipt. When it returns nil both are on disk.
func (s *Spool) Put(e Envelope, r Receipt) error {
	if !r.Of(e) {
		return errors.New("keeping an envelope: the receipt is of another one")
	}
	line, err := json.Marshal(r)
	if err != nil {
		return fmt.Errorf("keeping an envelope: %w", err)
	}
	// crash after the first: an envelope without receipt, which is handed in all
	// the same; crash before: Put has not answered, and the caller seals anew.
	if err := s.write(nameOf(e)+envelopeSuffix, e.Bytes()); err != nil {
		return fmt.Errorf("keeping an envelope: %w", err)
	}
	if err := s.write(nameOf(e)+receiptSuffix, append(line, '\n')); err != nil {
		return fmt.Errorf("keeping an envelope: %w", err)
	}
	return nil
}

// write makes a file durable under its name, or leaves none of that name.
func (s *Spool) write(name string, contents []byte) error {
	part, err := os.CreateTemp(s.dir, name+".*"+partSuffix)
	if err != nil {
		return err
	}
	_, err = part.Write(contents)
	err = errors.Join(err, part.Sync(), part.Close())
	if err == nil {
		err = os.Rename(part.Name(), filepath.Join(s.dir, name))
	}
	if err != nil {
		return errors.Join(err, os.Remove(part.Name()))
	}
	return syncDir(s.dir)
}

func syncDir(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}

// Waiting goes through the envelopes in the order of sealing. A file that is no
// envelope comes with an error that wraps ErrMalformed and its name in Name;
// it stays where it is.
func (s *Spool) Waiting() iter.Seq2[Kept, error] {
	return func(yield func(Kept, error) bool) {
		list, err := os.ReadDir(s.dir)
		if err != nil {
			yield(Kept{}, fmt.Errorf("reading a spool: %w", err))
			return
		}
		for _, file := range list {
			name, ok := strings.CutSuffix(file.Name(), envelopeSuffix)
			if !ok || file.IsDir() {
				continue
			}
			if !yield(s.read(name)) {
				return
			}
		}
	}
}

func (s *Spool) read(name string) (Kept, error) {
	raw, err := os.ReadFile(filepath.Join(s.dir, name+envelopeSuffix))
	if err != nil {
		return Kept{name: name}, fmt.Errorf("reading a spool: %w", err)
	}
	k := Kept{name: name}
	if k.Envelope, err = ParseEnvelope(raw); err != nil {
		return k, err
	}
	line, err := os.ReadFile(filepath.Join(s.dir, name+receiptSuffix))
	if errors.Is(err, fs.ErrNotExist) {
		return k, nil
	}
	var r Receipt
	if err != nil || json.Unmarshal(line, &r) != nil || !r.Of(k.Envelope) {
		return k, nil // the envelope speaks for itself
	}
	k.Receipt = &r
	return k, nil
}

// Name is the file's name without its suffix.
func (k Kept) Name() string { return k.name }

// Done moves an envelope that was handed in, and its receipt, to done/.
func (s *Spool) Done(k Kept) error { return s.move(k, "done", envelopeSuffix, receiptSuffix) }

// Forget deletes an envelope that was handed in, and its receipt. What lies in
// done/ can still be opened by whoever holds the intake key, also when the
// record that it became was erased.
func (s *Spool) Forget(k Kept) error {
	for _, suffix := range []string{envelopeSuffix, receiptSuffix} {
		if err := os.Remove(filepath.Join(s.dir, k.name+suffix)); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return fmt.Errorf("deleting an envelope: %w", err)
		}
	}
	return syncDir(s.dir)
}

// Refused moves an envelope that was refused to refused/, with the code why.
func (s *Spool) Refused(k Kept, code string) error {
	if err := s.write(k.name+codeSuffix, []byte(code+"\n")); err != nil {
		return fmt.Errorf("moving an envelope: %w", err)
	}
	return s.move(k, "refused", codeSuffix, receiptSuffix, envelopeSuffix)
}

// move renames the files of an envelope, itself first for done: a receipt left
// behind by a crash does no harm, an envelope is only handed in again.
func (s *Spool) move(k Kept, to string, suffixes ...string) error {
	for _, suffix := range suffixes {
		err := os.Rename(filepath.Join(s.dir, k.name+suffix), filepath.Join(s.dir, to, k.name+suffix))
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			return fmt.Errorf("moving an envelope: %w", err)
		}
	}
	return errors.Join(syncDir(filepath.Join(s.dir, to)), syncDir(s.dir))
}

// Unfinished lists half-written files older than age, which a crash left. They
// hold sealed bytes that nobody was answered for.
func (s *Spool) Unfinished(age time.Duration) ([]string, error) {
	list, err := os.ReadDir(s.dir)
	if err != nil {
		return nil, fmt.Errorf("reading a spool: %w", err)
	}
	var names []string
	for _, file := range list {
		info, err := file.Info()
		if err == nil && strings.HasSuffix(file.Name(), partSuffix) && time.Since(info.ModTime()) >= age {
			names = append(names, file.Name())
		}
	}
	slices.Sort(names)
	return names, nil
}
