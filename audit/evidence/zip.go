package evidence

import (
	"bytes"
	"compress/flate"
	"encoding/binary"
	"fmt"
	"hash/crc32"
	"io"
	"maps"
	"slices"
	"strings"

	"github.com/sealtrail/sealtrail/audit"
)

// Limits of rule 1 and 3, in bytes and files.
const (
	MaxSize       = 64 << 20 // of the zip, and of its files together, unpacked
	maxFiles      = 65534
	maxReadme     = 64 << 10
	maxJSON       = 16 << 20
	maxPage       = 4 << 20
	maxCheckpoint = 16384
	maxProof      = 32768
	maxStamp      = 65536
)

// Methods of a zip, and what its headers hold besides: version 2.0, the first day that the format can spell.
const (
	stored   = 0
	deflated = 8
	version  = 20
	day      = 33

	localLength   = 30
	centralLength = 46
	endLength     = 22
)

// file is one file of a zip: what both its headers say.
type file struct {
	name   string
	method uint16
	crc    uint32
	packed []byte
	size   uint32
}

// common are the 26 bytes that both headers share, from version to length of extra.
func (f *file) common() []byte {
	le := binary.LittleEndian
	out := make([]byte, 0, 26)
	for _, v := range []uint16{version, 0, f.method, 0, day} {
		out = le.AppendUint16(out, v)
	}
	out = le.AppendUint32(out, f.crc)
	out = le.AppendUint32(out, uint32(len(f.packed)))
	out = le.AppendUint32(out, f.size)
	return append(le.AppendUint16(out, uint16(len(f.name))), 0, 0)
}

// writeZip writes the one form of rule 2. Files that deflate makes smaller are deflated.
func writeZip(w io.Writer, contents map[string][]byte) error {
	var central []byte
	offset := 0
	names := slices.Sorted(maps.Keys(contents))
	packer, err := flate.NewWriter(io.Discard, flate.BestCompression)
	if err != nil {
		return fmt.Errorf("writing a bundle: %w", err)
	}
	for _, name := range names {
		f, err := pack(packer, name, contents[name])
		if err != nil {
			return err
		}
		common := f.common()
		local := slices.Concat([]byte("PK\x03\x04"), common, []byte(name), f.packed)
		central = append(append(central, "PK\x01\x02\x14\x00"...), common...)
		central = append(central, make([]byte, 10)...)
		central = append(binary.LittleEndian.AppendUint32(central, uint32(offset)), name...)
		if _, err := w.Write(local); err != nil {
			return fmt.Errorf("writing a bundle: %w", err)
		}
		offset += len(local)
	}
	if offset+len(central)+endLength > MaxSize {
		return malformed("zip_limit")
	}
	if _, err := w.Write(append(central, endRecord(len(names), len(central), offset)...)); err != nil {
		return fmt.Errorf("writing a bundle: %w", err)
	}
	return nil
}

func endRecord(files, length, offset int) []byte {
	le := binary.LittleEndian
	out := append([]byte("PK\x05\x06"), 0, 0, 0, 0)
	out = le.AppendUint16(le.AppendUint16(out, uint16(files)), uint16(files))
	out = le.AppendUint32(le.AppendUint32(out, uint32(length)), uint32(offset))
	return append(out, 0, 0)
}

func pack(w *flate.Writer, name string, data []byte) (*file, error) {
	f := &file{name: name, crc: crc32.ChecksumIEEE(data), size: uint32(len(data)), packed: data}
	var out bytes.Buffer
	w.Reset(&out)
	_, err := w.Write(data)
	if err == nil {
		err = w.Close()
	}
	if err != nil {
		return nil, fmt.Errorf("packing %s: %w", name, err)
	}
	if out.Len() < len(data) {
		f.method, f.packed = deflated, out.Bytes()
	}
	return f, nil
}

// readZip returns the files of a zip of the one form: rules 1 to 3.
func readZip(zip []byte) (map[string][]byte, error) {
	if len(zip) > MaxSize {
		return nil, malformed("zip_limit")
	}
	files, err := readHeaders(zip)
	if err != nil {
		return nil, err
	}
	left, last := MaxSize, ""
	for i, f := range files {
		limit := nameLimit(f.name)
		if limit < 0 {
			return nil, malformed("zip_name")
		}
		if i > 0 && last >= f.name {
			return nil, malformedAt("zip_order", f.name)
		}
		if left -= int(f.size); int64(f.size) > int64(limit) || left < 0 {
			return nil, malformedAt("zip_limit", f.name)
		}
		last = f.name
	}
	out := make(map[string][]byte, len(files))
	for _, f := range files {
		data, ok := f.unpack()
		if !ok {
			return nil, malformedAt("zip_content", f.name)
		}
		out[f.name] = data
	}
	return out, nil
}

// readHeaders reads the end, every central header and the local one that it points to, and holds each byte to its one value.
func readHeaders(zip []byte) ([]*file, error) {
	le := binary.LittleEndian
	end := len(zip) - endLength
	if end < 0 {
		return nil, malformed("zip_malformed")
	}
	tail := zip[end:]
	count, length, from := int(le.Uint16(tail[10:])), int(le.Uint32(tail[12:])), int(le.Uint32(tail[16:]))
	if !bytes.Equal(tail, endRecord(count, length, from)) || from+length != end || count < 1 || count > maxFiles {
		return nil, malformed("zip_malformed")
	}
	files := make([]*file, 0, count)
	central, local := from, 0
	for range count {
		f := readHeader(zip, central, local, from, end)
		if f == nil {
			return nil, malformed("zip_malformed")
		}
		files = append(files, f)
		central, local = central+centralLength+len(f.name), local+localLength+len(f.name)+len(f.packed)
	}
	if central != end || local != from {
		return nil, malformed("zip_malformed")
	}
	return files, nil
}

// readHeader reads the file whose central header is at central and whose local one must be at local; nil for any other byte.
func readHeader(zip []byte, central, local, from, end int) *file {
	if central+centralLength > end || local+localLength > from {
		return nil
	}
	le, c := binary.LittleEndian, zip[central:end]
	f := &file{method: le.Uint16(c[10:]), crc: le.Uint32(c[16:]), size: le.Uint32(c[24:])}
	packed, n := int(le.Uint32(c[20:])), int(le.Uint16(c[28:]))
	data := local + localLength + n
	if centralLength+n > len(c) || data+packed > from || f.method != deflated && (f.method != stored || packed != int(f.size)) {
		return nil
	}
	f.name, f.packed = string(c[centralLength:centralLength+n]), zip[data:data+packed]
	common := f.common()
	head := append([]byte("PK\x01\x02\x14\x00"), common...)
	head = append(le.AppendUint32(append(head, make([]byte, 10)...), uint32(local)), f.name...)
	if !bytes.HasPrefix(c, head) || !bytes.HasPrefix(zip[local:], slices.Concat([]byte("PK\x03\x04"), common, []byte(f.name))) {
		return nil
	}
	return f
}

// unpack returns the file's bytes; ok is false if they are not of the size and checksum, or if the stream does not end with its data.
func (f *file) unpack() (data []byte, ok bool) {
	data = slices.Clone(f.packed)
	if f.method == deflated {
		in := bytes.NewReader(f.packed)
		r := flate.NewReader(in)
		var err error
		if data, err = io.ReadAll(io.LimitReader(r, int64(f.size)+1)); err != nil || in.Len() > 0 {
			return nil, false
		}
	}
	return data, len(data) == int(f.size) && crc32.ChecksumIEEE(data) == f.crc
}

// nameLimit returns how long a file of that name may be, -1 for a name that is not of the layout.
func nameLimit(name string) int {
	switch name {
	case nameReadme:
		return maxReadme
	case nameJSON:
		return maxJSON
	case namePage:
		return maxPage
	}
	parts := strings.Split(name, "/")
	switch {
	case len(parts) == 3 && parts[0] == "blob" && parts[1] == "sha256" && isHex(parts[2], 64):
		return MaxSize
	case len(parts) == 3 && parts[0] == "log" && isDecimal(parts[1]) && parts[2] == "checkpoint":
		return maxCheckpoint
	case len(parts) == 4 && parts[0] == "log" && isDecimal(parts[1]) && parts[2] == "entries" && suffixed(parts[3], ".json"):
		return audit.MaxLeaf
	case len(parts) == 4 && parts[0] == "log" && isDecimal(parts[1]) && parts[2] == "proofs" && suffixed(parts[3], ".tlog-proof"):
		return maxProof
	case len(parts) == 3 && parts[0] == "stamp" && isDecimal(parts[1]) && suffixed(parts[2], ".tsr"):
		return maxStamp
	}
	return -1
}

func suffixed(s, suffix string) bool {
	number, ok := strings.CutSuffix(s, suffix)
	return ok && isDecimal(number)
}

func isDecimal(s string) bool {
	return s != "" && strings.Trim(s, "0123456789") == "" && (s == "0" || s[0] != '0')
}

func isHex(s string, n int) bool { return len(s) == n && strings.Trim(s, "0123456789abcdef") == "" }
