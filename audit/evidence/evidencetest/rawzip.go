package evidencetest

import (
	"archive/zip"
	"bytes"
	"compress/flate"
	"encoding/binary"
	"fmt"
	"hash/crc32"
	"io"
	"maps"
	"slices"
)

// rawFile is one file of a zip with every field of its headers for whoever forges one.
type rawFile struct {
	name             string
	method, flags    uint16
	crc              uint32
	packed           []byte
	size             uint32
	localName        string // in the local header; empty: name
	extra            []byte // in the local header
	gap              []byte // behind the data
	time             uint16
	external, offset uint32 // offset is added to the true one
}

// packAll packs files in the order of their names: every second one deflated.
func (g *genuine) packAll(files map[string][]byte) []*rawFile {
	var out []*rawFile
	for i, name := range slices.Sorted(maps.Keys(files)) {
		data := files[name]
		f := &rawFile{name: name, crc: crc32.ChecksumIEEE(data), size: uint32(len(data)), packed: data}
		if i%2 == 0 {
			f.method, f.packed = 8, g.deflated(data)
		}
		out = append(out, f)
	}
	return out
}

// deflated remembers what was deflated: most files of a forgery are those of the genuine bundle.
func (g *genuine) deflated(data []byte) []byte {
	if g.packed[string(data)] == nil {
		g.packed[string(data)] = deflate(data)
	}
	return g.packed[string(data)]
}

func deflate(data []byte) []byte {
	var out bytes.Buffer
	w, err := flate.NewWriter(&out, flate.BestSpeed)
	if err == nil {
		_, err = w.Write(data)
	}
	if err == nil {
		err = w.Close()
	}
	if err != nil {
		panic(fmt.Sprintf("evidencetest: %v", err))
	}
	return out.Bytes()
}

// zipOf puts the files together as they are.
func zipOf(files []*rawFile) []byte {
	le := binary.LittleEndian
	var out, central []byte
	for _, f := range files {
		var common []byte
		for _, v := range []uint16{20, f.flags, f.method, f.time, 33} {
			common = le.AppendUint16(common, v)
		}
		for _, v := range []uint32{f.crc, uint32(len(f.packed)), f.size} {
			common = le.AppendUint32(common, v)
		}
		local := f.localName
		if local == "" {
			local = f.name
		}
		at := uint32(len(out))
		out = append(append(out, "PK\x03\x04"...), common...)
		out = le.AppendUint16(le.AppendUint16(out, uint16(len(local))), uint16(len(f.extra)))
		out = slices.Concat(out, []byte(local), f.extra, f.packed, f.gap)
		central = append(append(central, "PK\x01\x02\x14\x00"...), common...)
		central = le.AppendUint16(central, uint16(len(f.name)))
		central = append(central, make([]byte, 8)...)
		central = le.AppendUint32(le.AppendUint32(central, f.external), at+f.offset)
		central = append(central, f.name...)
	}
	end := append([]byte("PK\x05\x06"), 0, 0, 0, 0)
	for range 2 {
		end = le.AppendUint16(end, uint16(len(files)))
	}
	end = le.AppendUint32(le.AppendUint32(end, uint32(len(central))), uint32(len(out)))
	return slices.Concat(out, central, end, []byte{0, 0})
}

// unzip reads a zip with the standard library: another reader than the one under test.
func unzip(data []byte) map[string][]byte {
	r, err := zip.NewReader(bytes.NewReader(data), int64(len(data)))
	if err != nil {
		panic(fmt.Sprintf("evidencetest: %v", err))
	}
	out := map[string][]byte{}
	for _, f := range r.File {
		in, err := f.Open()
		if err != nil {
			panic(fmt.Sprintf("evidencetest: %v", err))
		}
		if out[f.Name], err = io.ReadAll(in); err != nil {
			panic(fmt.Sprintf("evidencetest: %v", err))
		}
	}
	return out
}

// zipTricks are forgeries of the container; the files are genuine.
func (g *genuine) zipTricks(emit emitter) {
	trick := func(name, code string, change func(files []*rawFile) []*rawFile) {
		emit(forged{class: "zip: " + name, step: 1, code: code, raw: zipOf(change(g.packAll(g.files)))})
	}
	each := func(change func(f *rawFile)) func([]*rawFile) []*rawFile {
		return func(files []*rawFile) []*rawFile {
			change(files[g.rng.IntN(len(files))])
			return files
		}
	}
	bytesTrick := func(name string, change func(zip []byte) []byte) {
		emit(forged{class: "zip: " + name, step: 1, code: "zip_malformed", raw: change(zipOf(g.packAll(g.files)))})
	}
	bytesTrick("data after the end", func(z []byte) []byte { return append(z, 0) })
	bytesTrick("a comment", func(z []byte) []byte { z[len(z)-2] = 1; return append(z, 'x') })
	bytesTrick("data in front", func(z []byte) []byte { return append([]byte("MZ"), z...) })
	bytesTrick("cut", func(z []byte) []byte { return z[:len(z)-1] })
	bytesTrick("empty", func([]byte) []byte { return []byte{} })
	bytesTrick("one file less in the end record", func(z []byte) []byte { z[len(z)-12]--; z[len(z)-14]--; return z })
	bytesTrick("another disk", func(z []byte) []byte { z[len(z)-18] = 1; return z })
	trick("a gap", "zip_malformed", each(func(f *rawFile) { f.gap = []byte("hidden") }))
	trick("flag of encryption", "zip_malformed", each(func(f *rawFile) { f.flags = 1 }))
	trick("data descriptor", "zip_malformed", each(func(f *rawFile) { f.flags = 8 }))
	trick("UTF-8 flag", "zip_malformed", each(func(f *rawFile) { f.flags = 0x800 }))
	trick("extra field", "zip_malformed", each(func(f *rawFile) { f.extra = []byte{1, 0, 0, 0} }))
	trick("another time", "zip_malformed", each(func(f *rawFile) { f.time = 7 }))
	trick("attributes", "zip_malformed", each(func(f *rawFile) { f.external = 1 << 29 }))
	trick("another offset", "zip_malformed", each(func(f *rawFile) { f.offset = 1 }))
	trick("method 9", "zip_malformed", each(func(f *rawFile) { f.method = 9 }))
	trick("two names of one file", "zip_malformed", each(func(f *rawFile) { f.localName = "x" + f.name[1:] }))
	trick("another checksum", "zip_content", each(func(f *rawFile) { f.crc ^= 1 }))
	deflated := func(change func(f *rawFile)) func([]*rawFile) []*rawFile {
		return func(files []*rawFile) []*rawFile { change(files[2*g.rng.IntN((len(files)+1)/2)]); return files }
	}
	trick("a larger size", "zip_content", deflated(func(f *rawFile) { f.size++ }))
	trick("a smaller size", "zip_content", deflated(func(f *rawFile) { f.size-- }))
	trick("bytes behind the stream", "zip_content", deflated(func(f *rawFile) { f.packed = append(slices.Clone(f.packed), 0) }))
	trick("a bomb", "zip_limit", func(files []*rawFile) []*rawFile {
		bomb := make([]byte, 70<<10)
		files[0].method, files[0].packed, files[0].size, files[0].crc = 8, deflate(bomb), uint32(len(bomb)), crc32.ChecksumIEEE(bomb)
		return files // README.txt
	})
	trick("a bomb that lies", "zip_content", func(files []*rawFile) []*rawFile {
		files[0].method, files[0].packed, files[0].size = 8, deflate(make([]byte, 70<<10)), 100
		return files
	})
	trick("one name twice", "zip_order", func(files []*rawFile) []*rawFile { return slices.Insert(files, 1, files[0]) })
	trick("names out of order", "zip_order", func(files []*rawFile) []*rawFile { files[0], files[1] = files[1], files[0]; return files })
	for _, name := range []string{"../evil", "/etc/passwd", "log/0/../checkpoint", "log/00/checkpoint", "log/0/entries/01.json", "log\\0\\checkpoint", "LOG/0/checkpoint", "a/",
		"log/0/checkpoint/", "blob/sha256/AB", "stamp/0/x.tsr", "evidence.json\x00", "log/0/entries/1.JSON"} {
		trick("name "+fmt.Sprintf("%q", name), "zip_name", func(files []*rawFile) []*rawFile {
			files = append(files, &rawFile{name: name})
			slices.SortFunc(files, func(a, b *rawFile) int { return bytes.Compare([]byte(a.name), []byte(b.name)) })
			return files
		})
	}
}
