package e2e

import (
	"bytes"
	"encoding/base64"
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"io/fs"
	"math/rand/v2"
	"os"
	"path/filepath"
	"sort"
	"strconv"
	"strings"
	"testing"
	"unicode/utf16"

	"github.com/sealtrail/sealtrail/internal/complaint"
)

// marks makes values that exist nowhere else and remembers each, so that all of
// them can be looked for.
type marks struct {
	values map[string]string // value -> where it was used
}

func (m *marks) keep(where, value string) string {
	if m.values == nil {
		m.values = map[string]string{}
	}
	m.values[value] = where
	return value
}

func digits(n int) string {
	out := make([]byte, n)
	for i := range out {
		out[i] = byte('0' + rand.IntN(10))
	}
	return string(out)
}

func letters(n int) string {
	out := make([]byte, n)
	for i := range out {
		out[i] = byte('a' + rand.IntN(26))
	}
	return string(out)
}

// hanzi are n random characters, rare enough not to meet by chance.
func hanzi(n int) string {
	out := make([]rune, n)
	for i := range out {
		out[i] = rune(0x4e00 + rand.IntN(0x5000))
	}
	return string(out)
}

// word is a marker that fits wherever text may stand.
func (m *marks) word(where string) string { return m.keep(where, "canary"+letters(14)) }

// text is free text with a Latin and a Chinese marker in it.
func (m *marks) text(where string) string {
	return "客户来电说 " + m.word(where) + " 又说 " + m.keep(where, hanzi(6)) + " 请核实。"
}

// residentID is a valid identity number (GB 11643-1999).
func residentID() string {
	id := fmt.Sprintf("110105%04d%02d%02d%s", 1930+rand.IntN(70), 1+rand.IntN(12), 1+rand.IntN(28), digits(3))
	sum := 0
	for i := range 17 {
		sum += int(id[i]-'0') * (1 << (17 - i) % 11)
	}
	return id + string("10X98765432"[sum%11])
}

// bankCard is a valid card number (Luhn).
func bankCard() string {
	body := "622202" + digits(12)
	sum := 0
	for i := range len(body) {
		d := int(body[len(body)-1-i] - '0')
		if i%2 == 0 {
			d *= 2
			d -= 9 * (d / 10)
		}
		sum += d
	}
	return body + strconv.Itoa((10-sum%10)%10)
}

// valid is a unique value of the form that a field requires.
func (m *marks) valid(f complaint.Field, where string) string {
	where += " " + f.Name
	switch {
	case f.Index == "id_number":
		return m.keep(where, residentID())
	case f.Index == "phone":
		return m.keep(where, "199"+digits(8))
	case f.Index == "card":
		return m.keep(where, bankCard())
	case f.Index == "account":
		return m.keep(where, "31"+digits(17))
	case f.Index == "email":
		return m.keep(where, letters(16)) + "@canary.example"
	case f.Index == "staff_id":
		return m.keep(where, "ZQ"+digits(9))
	case f.Kind == "date":
		return m.keep(where, fmt.Sprintf("1%03d-%02d-%02d", 100+rand.IntN(700), 1+rand.IntN(12), 1+rand.IntN(28)))
	case f.Kind == "amount":
		return m.keep(where, fmt.Sprintf("%d%s.%s", 1+rand.IntN(9), digits(7), digits(2)))
	case f.FreeText:
		return m.text(where)
	}
	return m.keep(where, hanzi(5)+letters(6))
}

// fields fills every classified field but those named in without.
func (m *marks) fields(where string, without ...string) map[string]string {
	all := map[string]string{}
next:
	for _, f := range complaint.Fields() {
		for _, name := range without {
			if f.Name == name {
				continue next
			}
		}
		if f.Sealed {
			all[f.Name] = m.valid(f, where)
		}
	}
	return all
}

// needle is one spelling of one marker.
type needle struct {
	bytes          []byte
	value, writing string
}

// spellings are the ways in which a value may have been written down: as it is,
// in UTF-16, escaped for JSON or a URL, in hex, and in base64 at each of the
// three offsets at which it may stand in a longer text.
func spellings(value string) []needle {
	var list []needle
	add := func(writing string, b []byte) {
		for _, n := range list {
			if bytes.Equal(n.bytes, b) {
				return
			}
		}
		list = append(list, needle{b, value, writing})
	}
	add("utf-8", []byte(value))
	units := utf16.Encode([]rune(value))
	le, be := make([]byte, 0, 2*len(units)), make([]byte, 0, 2*len(units))
	var escaped strings.Builder
	for _, u := range units {
		le, be = binary.LittleEndian.AppendUint16(le, u), binary.BigEndian.AppendUint16(be, u)
		if u < 0x80 {
			escaped.WriteByte(byte(u))
			continue
		}
		fmt.Fprintf(&escaped, `\u%04x`, u)
	}
	add("utf-16le", le)
	add("utf-16be", be)
	add("json", []byte(escaped.String()))
	hexed := hex.EncodeToString([]byte(value))
	add("hex", []byte(hexed))
	add("HEX", []byte(strings.ToUpper(hexed)))
	var percent, octal strings.Builder
	for i := range len(value) {
		if c := value[i]; c < 0x80 {
			percent.WriteByte(c)
			octal.WriteByte(c)
		} else {
			fmt.Fprintf(&percent, "%%%02X", c)
			fmt.Fprintf(&octal, `\%o`, c)
		}
	}
	add("url", []byte(percent.String()))
	add("octal", []byte(octal.String()))
	for offset := range 3 {
		padded := append(make([]byte, offset), value...)
		// Leave off what depends on the neighbours: whole groups of 3 bytes only.
		from, to := (offset+2)/3*4, len(padded)/3*4
		add("base64", []byte(base64.StdEncoding.EncodeToString(padded)[from:to]))
		add("base64url", []byte(base64.URLEncoding.EncodeToString(padded)[from:to]))
	}
	return list
}

// finder looks for many needles in one pass: positions are sorted out by a
// table over the first 8 bytes.
type finder struct {
	filter [1 << 16]bool
	first  map[uint64][]needle
}

func newFinder(t testing.TB, values map[string]string) *finder {
	f := &finder{first: map[uint64][]needle{}}
	for value := range values {
		for _, n := range spellings(value) {
			if len(n.bytes) < 8 {
				t.Fatalf("a marker is too short to be looked for: %d bytes as %s", len(n.bytes), n.writing)
			}
			head := binary.LittleEndian.Uint64(n.bytes)
			f.first[head] = append(f.first[head], n)
			f.filter[bucket(head)] = true
		}
	}
	return f
}

func bucket(head uint64) uint64 { return head * 0x9e3779b97f4a7c15 >> 48 }

// in returns the needles that stand in data.
func (f *finder) in(data []byte) []needle {
	var found []needle
	for i := 0; i+8 <= len(data); i++ {
		head := binary.LittleEndian.Uint64(data[i:])
		if !f.filter[bucket(head)] {
			continue
		}
		for _, n := range f.first[head] {
			if bytes.HasPrefix(data[i:], n.bytes) {
				found = append(found, n)
			}
		}
	}
	return found
}

// below searches all files of a folder and returns, for each file with a hit,
// what was found in it; also how many bytes were read.
func (f *finder) below(t testing.TB, root string) (found map[string][]needle, size int64) {
	t.Helper()
	found = map[string][]needle{}
	err := filepath.WalkDir(root, func(name string, d fs.DirEntry, err error) error {
		if err != nil || !d.Type().IsRegular() {
			return err
		}
		raw, err := os.ReadFile(name)
		if err != nil {
			return err
		}
		size += int64(len(raw))
		relative, err := filepath.Rel(root, name)
		if err != nil {
			return err
		}
		if hits := f.in(append([]byte(filepath.ToSlash(relative)+"\n"), raw...)); len(hits) > 0 {
			found[relative] = hits
		}
		return nil
	})
	must(t, err)
	return found, size
}

// report says where markers were found, by the place that they were used in and
// never by value: test logs are read by people.
func (m *marks) report(t testing.TB, file string, hits []needle) {
	t.Helper()
	places := map[string]bool{}
	for _, n := range hits {
		places[m.values[n.value]+" ("+n.writing+")"] = true
	}
	sorted := make([]string, 0, len(places))
	for p := range places {
		sorted = append(sorted, p)
	}
	sort.Strings(sorted)
	t.Errorf("%s holds in clear: %s", file, strings.Join(sorted, "; "))
}
