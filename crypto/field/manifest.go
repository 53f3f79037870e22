package field

import (
	"bytes"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/binary"
	"fmt"
	"iter"
	"slices"
	"strings"
	"unicode/utf8"

	"golang.org/x/text/unicode/norm"
)

const (
	manifestTag = "stm1"
	// entryFixed is what a manifest entry needs beside its path: u32 length,
	// u64 revision, u8 suite, 32 bytes digest.
	entryFixed = 4 + 8 + 1 + digestSize
	// MaxFields is the largest number of fields in one manifest.
	MaxFields = 4096
)

// FieldDigest is what a manifest says of one field.
type FieldDigest struct {
	Path     string
	Revision uint64   // the field's revision, the one in its Place
	Suite    byte     // 0 means the manifest's; another one is refused
	Digest   [32]byte // of the envelope: SHA-256, or SM3 under Suite2
}

// DigestOf is the manifest entry of an envelope just sealed for p.
func DigestOf(p Place, envelope []byte) FieldDigest {
	return FieldDigest{Path: p.Path, Revision: p.Revision, Suite: p.suite(), Digest: digest(p.suite(), envelope)}
}

// ManifestInput says what a manifest covers. All but Fields comes from the row
// when it is verified.
type ManifestInput struct {
	Institution   string
	Record        string
	Revision      uint64 // the record's revision
	SchemaVersion uint32
	Suite         byte // of every field and of the MAC; 0 means Suite1
	// Attrs are the canonical bytes of the record's clear attributes: whatever
	// policy, clocks or retention read must be in them.
	Attrs []byte
	// Fields is read by BuildManifest only; the order does not matter.
	Fields []FieldDigest
}

func (in *ManifestInput) check() error {
	if err := CheckSuite(in.Suite); err != nil {
		return err
	}
	if err := checkName("institution", in.Institution); err != nil {
		return err
	}
	return checkName("record", in.Record)
}

// Manifest is the verified list of a record revision's fields. It is immutable
// and safe for concurrent use. Checking a field hashes that field only.
type Manifest struct {
	list  []byte
	suite byte
}

// Manifest builds the stored manifest of one record revision: the canonical
// list and its MAC, with HMAC and digest H of the suite. Errors wrap ErrPlace
// (also when a field is of another suite), ErrSuiteForbidden or ErrDestroyed.
//
//	stored = list | MAC
//	list   = "stm1" | u32 n | n x ( lp(path) | u64 revision | u8 suite | H(envelope) ), by path
//	MAC    = HMAC(HKDF-Expand(dek, "stf1/manifest"),
//	         "stm1" | lp(institution) | lp(record) | u64 revision | u32 schema_version | lp(attrs) | list)
func (s *Sealer) Manifest(in ManifestInput) ([]byte, error) {
	if err := in.check(); err != nil {
		return nil, fmt.Errorf("building manifest: %w", err)
	}
	suite := orSuite1(in.Suite)
	if err := s.key.ready(s.core, suite); err != nil {
		return nil, fmt.Errorf("building manifest: %w", err)
	}
	list, err := appendList(nil, suite, in.Fields)
	if err != nil {
		return nil, fmt.Errorf("building manifest: %w", err)
	}
	return s.core.manifestMAC(&in, list, list), nil
}

// VerifyManifest checks the MAC of a stored manifest against the record, its
// suite, its revision and its attributes (in.Fields is ignored) and returns the
// list. The error wraps ErrIntegrity when anything differs, ErrPlace,
// ErrSuiteForbidden or ErrDestroyed.
func (o *Opener) VerifyManifest(in ManifestInput, stored []byte) (*Manifest, error) {
	if err := in.check(); err != nil {
		return nil, fmt.Errorf("verifying manifest: %w", err)
	}
	suite := orSuite1(in.Suite)
	if err := o.key.ready(o.core, suite); err != nil {
		return nil, fmt.Errorf("verifying manifest: %w", err)
	}
	if len(stored) < len(manifestTag)+4+digestSize {
		return nil, broken("", "manifest.format")
	}
	list, mac := stored[:len(stored)-digestSize], stored[len(stored)-digestSize:]
	var buf [digestSize]byte
	// The MAC first: nothing is parsed before it is known to be ours.
	if !hmac.Equal(mac, o.core.manifestMAC(&in, list, buf[:0])) {
		return nil, broken("", "manifest.mac")
	}
	if !canonicalList(list, suite) {
		return nil, broken("", "manifest.format")
	}
	return &Manifest{list: bytes.Clone(list), suite: suite}, nil
}

// ManifestDigest is the SHA-256 of a stored manifest, whatever its suite: what
// the audit entry of a write names, so that a database restored to yesterday is
// noticed. It belongs to the log, and the log is SHA-256 throughout.
func ManifestDigest(stored []byte) [32]byte { return sha256.Sum256(stored) }

// Check compares an envelope with the list. The error wraps ErrIntegrity when
// the field is not listed or its envelope is another one.
func (m *Manifest) Check(path string, envelope []byte) error {
	d, ok := m.Field(path)
	if !ok {
		return broken(path, "manifest.missing")
	}
	if digest(m.suite, envelope) != d.Digest {
		return broken(path, "manifest.digest")
	}
	return nil
}

// CheckSet says whether exactly the listed fields are present: the error wraps
// ErrIntegrity and names the first path that was removed or added. paths is in
// any order, without duplicates.
func (m *Manifest) CheckSet(paths []string) error {
	for d := range m.Fields() {
		if !slices.Contains(paths, d.Path) {
			return broken(d.Path, "manifest.missing")
		}
	}
	for _, p := range paths {
		if _, ok := m.Field(p); !ok {
			return broken(p, "manifest.missing")
		}
	}
	return nil
}

// Field returns the entry of one path.
func (m *Manifest) Field(path string) (FieldDigest, bool) {
	for name, rest := range m.entries() {
		if string(name) == path {
			return readEntry(path, rest), true
		}
	}
	return FieldDigest{}, false
}

// Fields yields the entries by path, ascending: the input of the next revision.
func (m *Manifest) Fields() iter.Seq[FieldDigest] {
	return func(yield func(FieldDigest) bool) {
		for name, rest := range m.entries() {
			if !yield(readEntry(string(name), rest)) {
				return
			}
		}
	}
}

// entries walks the list, which canonicalList has found well formed.
func (m *Manifest) entries() iter.Seq2[[]byte, []byte] {
	return func(yield func(name, rest []byte) bool) {
		b := m.list[len(manifestTag)+4:]
		for len(b) > 0 {
			n := int(binary.BigEndian.Uint32(b))
			if !yield(b[4:4+n], b[4+n:entryFixed+n]) {
				return
			}
			b = b[entryFixed+n:]
		}
	}
}

func readEntry(path string, rest []byte) FieldDigest {
	return FieldDigest{Path: path, Revision: binary.BigEndian.Uint64(rest), Suite: rest[8], Digest: [32]byte(rest[9:])}
}

// manifestMAC appends the MAC over the input's context and list to dst. c is
// ready for the suite.
func (c *core) manifestMAC(in *ManifestInput, list, dst []byte) []byte {
	b := append(c.aad[:0], manifestTag...)
	b = appendLP(b, in.Institution)
	b = appendLP(b, in.Record)
	b = binary.BigEndian.AppendUint64(b, in.Revision)
	b = binary.BigEndian.AppendUint32(b, in.SchemaVersion)
	b = binary.BigEndian.AppendUint32(b, uint32(len(in.Attrs)))
	c.aad = b
	mac := c.macs[orSuite1(in.Suite)-1].manifest
	mac.Reset()
	mac.Write(b)
	mac.Write(in.Attrs)
	mac.Write(list)
	return mac.Sum(dst)
}

// appendList writes the canonical list, with room for the MAC behind it.
func appendList(b []byte, suite byte, fields []FieldDigest) ([]byte, error) {
	if len(fields) > MaxFields {
		return nil, fmt.Errorf("%w: more than %d fields", ErrPlace, MaxFields)
	}
	byPath := func(a, b FieldDigest) int { return strings.Compare(a.Path, b.Path) }
	if !slices.IsSortedFunc(fields, byPath) {
		fields = slices.Clone(fields)
		slices.SortFunc(fields, byPath)
	}
	size := len(manifestTag) + 4 + digestSize
	for i := range fields {
		size += entryFixed + len(fields[i].Path)
	}
	b = slices.Grow(b, size)
	b = append(b, manifestTag...)
	b = binary.BigEndian.AppendUint32(b, uint32(len(fields)))
	for i := range fields {
		f := &fields[i]
		if err := checkName("path", f.Path); err != nil {
			return nil, err
		}
		if f.Suite != 0 && f.Suite != suite {
			return nil, fmt.Errorf("%w: field %q of suite 0x%02x in a manifest of suite 0x%02x", ErrPlace, f.Path, f.Suite, suite)
		}
		if i > 0 && fields[i-1].Path == f.Path {
			return nil, fmt.Errorf("%w: field %q twice", ErrPlace, f.Path)
		}
		b = appendLP(b, f.Path)
		b = binary.BigEndian.AppendUint64(b, f.Revision)
		b = append(b, suite)
		b = append(b, f.Digest[:]...)
	}
	return b, nil
}

// canonicalList says whether b is exactly what appendList writes for some
// fields of the suite: one byte string per list, so that a digest of it means something.
func canonicalList(b []byte, suite byte) bool {
	if len(b) < len(manifestTag)+4 || string(b[:len(manifestTag)]) != manifestTag {
		return false
	}
	n := binary.BigEndian.Uint32(b[len(manifestTag):])
	if n > MaxFields {
		return false
	}
	b = b[len(manifestTag)+4:]
	var last []byte
	for i := range n {
		if len(b) < entryFixed {
			return false
		}
		l := int(binary.BigEndian.Uint32(b))
		if l > MaxName || len(b) < entryFixed+l {
			return false
		}
		path := b[4 : 4+l]
		if !canonicalPath(path) || b[4+l+8] != suite || i > 0 && bytes.Compare(last, path) >= 0 {
			return false
		}
		last, b = path, b[entryFixed+l:]
	}
	return len(b) == 0
}

// canonicalPath says the same as checkName, of bytes.
func canonicalPath(b []byte) bool {
	return len(b) > 0 && len(b) <= MaxName && (ascii(b) || utf8.Valid(b) && norm.NFC.IsNormal(b))
}

// BuildManifest builds one manifest; see [Sealer.Manifest].
func BuildManifest(k *Key, in ManifestInput) ([]byte, error) {
	s, err := NewSealer(k)
	if err != nil {
		return nil, err
	}
	defer s.Close()
	return s.Manifest(in)
}

// VerifyManifest verifies one manifest; see [Opener.VerifyManifest].
func VerifyManifest(k *Key, in ManifestInput, stored []byte) (*Manifest, error) {
	o, err := NewOpener(k)
	if err != nil {
		return nil, err
	}
	defer o.Close()
	return o.VerifyManifest(in, stored)
}
